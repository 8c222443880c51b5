// Seeded bugs of io_uring_enter's waits, task work that waits to be asked for, and the thread that polls.
import { onModel } from "../bug.ts";

export const WAITING = onModel([
  {
    id: "counts-new-only", title: "a wait counts the completions that come after the call",
    rare: "a wait must find completions that are there, and ask for more than those without all that it asks for coming",
    origin: ["#11", "liburing test/submit-and-wait.c"], rules: ["enter.counts-unconsumed"],
    patches: [
      { file: "enter", from: "const target = (head + wanted) >>> 0;", to: "const target = (load32(ring.ring.bytes, WORD.cqTail) + wanted) >>> 0;" },
    ],
  },
  {
    id: "waits-without-getevents", title: "min_complete waits without IORING_ENTER_GETEVENTS",
    rare: "only a hostile program gives min_complete without IORING_ENTER_GETEVENTS",
    origin: ["S21"], rules: ["enter.no-wait-without-getevents"],
    patches: [
      { file: "enter", from: "if ((flags & IORING_ENTER_GETEVENTS) === 0)", to: "if ((flags & IORING_ENTER_GETEVENTS) === 0 && call.minComplete === 0)" },
    ],
  },
  {
    id: "does-not-wait", title: "IORING_ENTER_GETEVENTS returns without waiting",
    origin: ["S21"], rules: ["enter.getevents-waits", "liveness.due"],
    patches: [
      { file: "enter", from: "if (cqVisible(m) >= wanted >>> 0) return 0;", to: "return 0;" },
    ],
  },
  {
    id: "times-out-with-cqes", title: "a wait that runs out says -ETIME though there are completions",
    origin: ["#11", "L#1252"], rules: ["enter.timeout-with-cqes"],
    patches: [
      { file: "enter", from: "if (cqVisible(m) !== 0) return 0;", to: "if (cqVisible(m) !== 0 && ended !== \"timeout\") return 0;" },
    ],
  },
  {
    id: "timeout-hidden", title: "a wait that runs out returns 0",
    origin: ["#11"], rules: ["enter.timeout-etime"],
    patches: [
      { file: "enter", from: "return ended === \"timeout\" ? -ETIME : -EINTR;", to: "return ended === \"timeout\" ? 0 : -EINTR;" },
    ],
  },
  {
    id: "wait-error-wins", title: "a call that has submitted returns the error of its wait",
    origin: ["#11", "#10", "L#1252"], rules: ["enter.submit-count-wins"],
    patches: [
      { file: "enter", from: "if (submitted !== 0) return submitted; return waited;", to: "if (submitted !== 0 && waited >= 0) return submitted;\n    return waited;" },
    ],
  },
  {
    id: "short-submit-waits", title: "a call that took fewer SQEs than asked waits all the same",
    origin: ["S17", "#9"], rules: ["enter.short-submit-returns"],
    patches: [
      { file: "enter", from: "if (submitted !== toSubmit) return submitted;", to: "" },
    ],
  },
  {
    id: "min-complete-unclamped", title: "a wait for more than the CQ holds is refused",
    origin: ["#23"], rules: ["enter.min-complete-clamped"],
    patches: [
      { file: "enter", from: "if (wanted > ring.cqEntries) wanted = ring.cqEntries;", to: "if (wanted > ring.cqEntries) return -22;" },
    ],
  },
  {
    id: "ext-arg-size-unchecked", rare: "half of 20 seeds take 128 programs or more", title: "the size of the extended argument is not checked",
    origin: ["S21", "S22"], rules: ["enter.ext-arg-size"],
    patches: [
      { file: "enter", from: "if (size !== GETEVENTS_ARG.size) return -EINVAL;", to: "" },
    ],
  },
  {
    id: "timer-does-not-wake", title: "a timer that fires does not end a wait for more",
    rare: "the wait ends by its own time instead, and lateness is never illegal; only a wait without a bound shows it, which one hostile program in eighty has",
    origin: ["#16", "liburing test/timeout.c"], rules: ["timeout.wakes-waiter"],
    patches: [
      { file: "enter", from: "return reached || m.ring.cqTimeouts !== timeoutsSeen;", to: "return reached;" },
    ],
  },
  {
    id: "unknown-flag-accepted", title: "unknown flags of io_uring_enter are let pass",
    origin: ["S21"], rules: ["enter.unknown-flag"],
    patches: [
      { file: "enter", from: "if ((flags & ~flagsOf(m.profile, ENTER_FLAGS)) !== 0) return -EINVAL;", to: "" },
    ],
  },
  {
    id: "deferred-work-at-any-call", title: "deferred task work runs in every io_uring_enter",
    origin: ["#12"], rules: ["taskrun.defer-getevents"],
    patches: [
      { file: "enter", from: "if ((flags & IORING_ENTER_GETEVENTS) === 0) return submitted;", to: "if ((flags & IORING_ENTER_GETEVENTS) === 0) { if (defersTaskWork(m)) runLocalWork(m, 20, 20); return submitted; }" },
    ],
  },
  {
    id: "deferred-work-never", title: "deferred task work runs only where a wait sleeps",
    origin: ["#12", "T#263"], rules: ["taskrun.defer-getevents", "taskrun.before-wait", "liveness.due"],
    patches: [
      { file: "enter", from: "if (defersTaskWork(m)) runLocalWork(m, wanted, Math.max(LOCAL_WORK_MAX, wanted));", to: "" },
    ],
  },
  {
    id: "taskrun-flag-missing", title: "IORING_SQ_TASKRUN is never set",
    origin: ["#12", "L#1474"], rules: ["taskrun.flag-set"],
    patches: [
      { file: "task-work", from: "export const showsTaskWork = (m) => (m.ring.flags & IORING_SETUP_TASKRUN_FLAG) !== 0;", to: "export const showsTaskWork = (_m) => false;" },
    ],
  },
  {
    id: "need-wakeup-missing", title: "the thread that polls sleeps without IORING_SQ_NEED_WAKEUP",
    rare: "one ring in sixty is polled",
    origin: ["#13", "L#541"], rules: ["sqpoll.need-wakeup"],
    patches: [
      { file: "sqpoll", from: "setSqFlag(m, IORING_SQ_NEED_WAKEUP);", to: "" },
    ],
  },
  {
    id: "wakeup-ignored", title: "IORING_ENTER_SQ_WAKEUP does not wake the thread that polls",
    origin: ["#13", "T#281"], rules: ["sqpoll.wakeup", "liveness.due"],
    patches: [
      { file: "sqpoll", from: "if (m.ring.thread?.asleep === true) change(m, { woken: true });", to: "" },
    ],
  },
  {
    id: "need-wakeup-stays", title: "IORING_SQ_NEED_WAKEUP stays set when the thread is awake",
    origin: ["#13"], rules: ["sqpoll.awake-flag-cleared"],
    patches: [
      { file: "sqpoll", from: "clearSqFlag(m, IORING_SQ_NEED_WAKEUP);", to: "" },
    ],
  },
  {
    id: "sqpoll-stops-at-failure", title: "the thread that polls stops for good behind a request that fails at submission",
    rare: "one ring in sixty is polled, and a request that fails at submission must have another behind it in its batch",
    origin: ["#13", "#9"], rules: ["sqpoll.goes-on-after-error", "liveness.due"],
    patches: [
      { file: "sqpoll", from: "change(m, { left: submitNext(m) ? left - 1 : 0 });", to: "const goes = submitNext(m); if (!goes) { m.ring.cachedSqHead = load32(m.ring.ring.bytes, WORD.sqTail); } change(m, { left: goes ? left - 1 : 0 });" },
      { file: "sqpoll", from: "import { clearSqFlag, flushCompletions, setSqFlag } from \"./completion.js\";", to: "import { clearSqFlag, flushCompletions, setSqFlag } from \"./completion.js\";\nimport { WORD } from \"./layout.js\";\nimport { load32 } from \"./memory.js\";" },
    ],
  },
]);
