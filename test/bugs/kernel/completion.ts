// Seeded bugs of the completion side: the backlog, the CQ's indices, what a CQE says.
import { onModel } from "../bug.ts";

export const COMPLETION = onModel([
  {
    id: "backlog-flushed-by-any-call", title: "any io_uring_enter moves the backlog to the CQ",
    origin: ["#1"], rules: ["overflow.flush-getevents"],
    patches: [
      { file: "enter", from: "if ((flags & IORING_ENTER_GETEVENTS) === 0)", to: "if (hasBacklog(m)) flushOverflow(m);\n    if ((flags & IORING_ENTER_GETEVENTS) === 0)" },
    ],
  },
  {
    id: "backlog-never-flushed", title: "the backlog stays where it is",
    origin: ["#1", "liburing test/cq-overflow.c"], rules: ["overflow.flush-getevents", "liveness.due"],
    patches: [
      { file: "enter", from: "if (hasBacklog(m)) flushOverflow(m); // [enter.counts-unconsumed]", to: "// [enter.counts-unconsumed]" },
      { file: "enter", from: "if (hasBacklog(m)) flushOverflow(m); const reached", to: "const reached" },
    ],
  },
  {
    id: "backlog-lost", title: "of the backlog only the first is kept, and the rest is not counted",
    origin: ["#1", "S24"], rules: ["overflow.backlog", "liveness.due", "submit.one-cqe-each"],
    patches: [
      { file: "completion", from: "ring.overflow = [...ring.overflow, cqe];", to: "if (ring.overflow.length === 0) ring.overflow = [cqe];" },
    ],
  },
  {
    id: "backlog-newest-first", title: "the backlog is flushed newest first",
    origin: ["#1", "#17", "liburing test/cq-overflow.c"], rules: ["overflow.flush-fills", "overflow.backlog"],
    patches: [
      { file: "completion", from: "ring.overflow = [...ring.overflow, cqe];", to: "ring.overflow = [cqe, ...ring.overflow];" },
    ],
  },
  {
    id: "backlog-overtaken", title: "a new completion goes into the CQ past the backlog",
    origin: ["#1", "liburing test/cq-overflow.c"], rules: ["overflow.order-kept"],
    patches: [
      { file: "completion", from: "if (!flushing && hasBacklog(m)) return false;", to: "" },
    ],
  },
  {
    id: "backlog-flag-missing", title: "IORING_SQ_CQ_OVERFLOW is never set",
    origin: ["#1", "S24"], rules: ["overflow.flag"],
    patches: [
      { file: "completion", from: "if (!hasBacklog(m)) setSqFlag(m, IORING_SQ_CQ_OVERFLOW);", to: "" },
    ],
  },
  {
    id: "backlog-flag-stays", title: "IORING_SQ_CQ_OVERFLOW stays set when the backlog is empty",
    origin: ["#1"], rules: ["overflow.flag-cleared-empty"],
    patches: [
      { file: "completion", from: "if (!hasBacklog(m)) clearSqFlag(m, IORING_SQ_CQ_OVERFLOW);", to: "" },
    ],
  },
  {
    id: "backlog-counted-as-lost", title: "cq.overflow counts what waits in the backlog",
    origin: ["#1", "S24"], rules: ["overflow.counter-only-drops"],
    patches: [
      { file: "completion", from: "ring.overflow = [...ring.overflow, cqe];", to: "ring.overflow = [...ring.overflow, cqe];\n    store32(writable(ring.ring), WORD.cqOverflow, ring.overflow.length);" },
    ],
  },
  {
    id: "submit-busy-on-backlog", title: "submission is refused with -EBUSY while there is a backlog, as before Linux 5.19",
    origin: ["#23", "L#1511"], rules: ["overflow.submit-allowed"],
    patches: [
      { file: "enter", from: "submitted = submitSqes(m, toSubmit);", to: "if (hasBacklog(m)) return -16;\n        submitted = submitSqes(m, toSubmit);" },
    ],
  },
  {
    id: "getevents-busy-on-backlog", title: "a flush that leaves a backlog ends with -EBUSY",
    origin: ["#23"], rules: ["overflow.getevents-not-busy"],
    patches: [
      { file: "enter", from: "if (hasBacklog(m)) flushOverflow(m); // [enter.counts-unconsumed]", to: "if (hasBacklog(m)) flushOverflow(m);\n    if (hasBacklog(m)) return -16; // [enter.counts-unconsumed]" },
    ],
  },
  {
    id: "cq-full-overwrites", title: "a full CQ is written over: the oldest completions are lost",
    origin: ["S13"], rules: ["overflow.backlog", "cq.head-lies"],
    patches: [
      { file: "completion", from: "if (room < (long ? 2 : 1)) return false;", to: "" },
      { file: "completion", from: "const room = Math.min(ring.cqEntries - cqPending(m), ring.cqEntries - at);", to: "const room = ring.cqEntries - at;" },
    ],
  },
  {
    id: "cq-wrap-slot", title: "past the end of the CQ its slots begin at 1",
    origin: ["S8", "S12"], rules: ["cq.free-running"],
    patches: [
      { file: "completion", from: "const at = ring.cachedCqTail & (ring.cqEntries - 1);", to: "const at = ring.cachedCqTail >= ring.cqEntries ? (ring.cachedCqTail + 1) & (ring.cqEntries - 1) : ring.cachedCqTail;" },
    ],
  },
  {
    id: "cq-head-read-always", title: "the application's head is read for every completion, not when the window is used up",
    rare: "only a hostile program whose cq.head lies shows when it is read",
    origin: ["S10"], rules: ["cq.window-cached"],
    patches: [
      { file: "completion", from: "if (m.ring.cqWindow >= (long && !isWide ? 2 : 1)) return true;", to: "m.ring.cqWindow = 0;" },
    ],
  },
  {
    id: "errno-collapsed", title: "every failure completes with -1",
    origin: ["S14"], rules: ["submit.result-in-cqe"],
    patches: [
      { file: "completion", from: "const cqe = { userData: r.userData, res: r.res, flags: r.cflags };", to: "const cqe = { userData: r.userData, res: Math.max(r.res, -1), flags: r.cflags };" },
    ],
  },
  {
    id: "completion-doubled", title: "a completion that finds the CQ empty is posted twice",
    origin: ["#1", "T#302"], rules: ["submit.one-cqe-each"],
    patches: [
      { file: "completion", from: "if (!fillCqe(m, cqe)) addOverflow(m, r, cqe);", to: "if (cqVisible(m) === 0 && first && batch.length > 1) fillCqe(m, cqe);\n        if (!fillCqe(m, cqe)) addOverflow(m, r, cqe);" },
      { file: "completion", from: "first = false; const cqe", to: "const cqe" },
    ],
  },
  {
    id: "tail-before-entry", title: "the tail moves one further than the CQEs that were written",
    origin: ["#13", "S10"], rules: ["cq.tail-after-entry"],
    patches: [
      { file: "completion", from: "const publishTail = (m) => store32(writable(m.ring.ring), WORD.cqTail, m.ring.cachedCqTail);", to: "const publishTail = (m) => store32(writable(m.ring.ring), WORD.cqTail, (m.ring.cachedCqTail + m.ring.overflow.length) >>> 0);" },
    ],
  },
  {
    id: "big-half-missing", title: "a CQE of 32 bytes keeps the second half of the slot's last use",
    rare: "one ring in thirty has CQEs of 32 bytes, and its slots must be used twice, the first time by a NOP with a second half",
    origin: ["S4"], rules: ["cq.big-half"],
    patches: [
      { file: "completion", from: "if (long || (ring.cqeSize > CQE.size && origin !== \"aside\"))", to: "if (long)" },
    ],
  },
  {
    id: "mixed-one-slot", title: "a CQE of 32 bytes among short ones moves the tail by one",
    rare: "one ring in thirty has CQEs of two sizes, and a NOP with a second half is one request in several hundred",
    origin: ["S4"], rules: ["cq.mixed-two-slots"],
    patches: [
      { file: "completion", from: "if (slots === 2) ring.cachedCqTail = (ring.cachedCqTail + 1) >>> 0;", to: "" },
    ],
  },
  {
    id: "skip-ignored", title: "IOSQE_CQE_SKIP_SUCCESS posts all the same",
    origin: ["#21", "liburing test/skip-cqe.c"], rules: ["skip.none-on-success"],
    patches: [
      { file: "completion", from: "if ((r.flags & REQ.CQE_SKIP) !== 0) { leavesBehind", to: "if ((r.flags & REQ.CQE_SKIP) !== 0 && (r.posted || r.state === \"done\")) { leavesBehind" },
    ],
  },
  {
    id: "skip-hides-failure", title: "IOSQE_CQE_SKIP_SUCCESS hides failures as well",
    origin: ["#21", "L#1235"], rules: ["skip.posts-on-failure"],
    patches: [
      { file: "completion", from: "if ((r.flags & REQ.CQE_SKIP) !== 0) r.flags = (r.flags & ~REQ.CQE_SKIP) | REQ.SKIP_LINK_CQES;", to: "" },
    ],
  },
  {
    id: "skip-chain-speaks", title: "what is cancelled behind a failed request with CQE_SKIP_SUCCESS posts",
    rare: "a request that skips must fail at the head of a chain",
    origin: ["#21", "L#824"], rules: ["skip.failed-skip-silences"],
    patches: [
      { file: "link", from: "if (silent) next.flags |= REQ.CQE_SKIP;", to: "if (silent) next.flags &= ~REQ.CQE_SKIP;" },
    ],
  },
]);
