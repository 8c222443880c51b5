// Seeded bugs of TIMEOUT and LINK_TIMEOUT.
import { onModel } from "../bug.ts";

export const TIME = onModel([
  {
    id: "timer-early", title: "a timer fires when half its time is over",
    origin: ["#8", "liburing test/timeout.c"], rules: ["timeout.never-early"],
    patches: [
      { file: "timeout", from: "const earliest = absolute ? ns : m.nowNs + ns;", to: "const earliest = absolute ? ns : m.nowNs + ns / 2n;" },
    ],
  },
  {
    id: "timeouts-counted", title: "timeouts count as completions for a TIMEOUT that counts",
    origin: ["#16", "L#232"], rules: ["timeout.timeouts-not-counted"],
    patches: [
      { file: "timeout", from: "(m.ring.cachedCqTail - m.ring.cqTimeouts) >>> 0", to: "m.ring.cachedCqTail" },
    ],
  },
  {
    id: "count-one-more", title: "a TIMEOUT that counts ends one completion late",
    origin: ["#16", "L#18"], rules: ["timeout.count-satisfied", "liveness.due"],
    patches: [
      { file: "timeout", from: "const left = r.timeoutOff - counted;", to: "const left = r.timeoutOff - counted + 1;" },
    ],
  },
  {
    id: "count-from-zero", title: "a TIMEOUT counts from the ring's beginning, not from when it is armed",
    origin: ["#16"], rules: ["timeout.count-base"],
    patches: [
      { file: "timeout", from: "r.targetSeq = (tail + left) >>> 0;", to: "r.targetSeq = left;" },
    ],
  },
  {
    id: "expiry-keeps-chain", title: "a timer that fires does not break its chain",
    origin: ["#8", "L#36"], rules: ["timeout.expiry-etime", "link.error-severs-chain"],
    patches: [
      { file: "timeout", from: "if (fails) setFail(r);", to: "" },
    ],
  },
  {
    id: "etime-success-ignored", title: "IORING_TIMEOUT_ETIME_SUCCESS breaks the chain all the same",
    rare: "the flag must be on a timer that fires and has a successor in its chain",
    origin: ["#8"], rules: ["timeout.etime-success"],
    patches: [
      { file: "timeout", from: "if (fails) setFail(r);", to: "setFail(r);" },
    ],
  },
  {
    id: "expiry-zero", title: "a timer that fires completes with 0",
    origin: ["#8", "liburing test/timeout.c"], rules: ["timeout.expiry-etime"],
    patches: [
      { file: "timeout", from: "r.res = -ETIME; addTaskWork(m, r, \"timeout\");", to: "r.res = 0;\n    addTaskWork(m, r, \"timeout\");" },
    ],
  },
  {
    id: "removal-always-zero", title: "TIMEOUT_REMOVE says 0 where it found nothing",
    origin: ["#18", "liburing test/timeout.c"], rules: ["timeout.remove-results"],
    patches: [
      { file: "timeout", from: "r.res = result; if (result < 0) setFail(r);", to: "r.res = 0;" },
    ],
  },
  {
    id: "removed-timer-silent", rare: "half of 20 seeds take 121 programs or more", title: "a timer that is removed does not complete",
    origin: ["#18", "S18"], rules: ["timeout.cancelled-ecanceled", "liveness.due", "submit.one-cqe-each"],
    patches: [
      { file: "timeout", from: "r.res = -ECANCELED; addTaskWork(m, r, \"cancel\");", to: "r.res = -ECANCELED;\n        r.flags |= REQ.CQE_SKIP;\n        addTaskWork(m, r, \"cancel\");" },
    ],
  },
  {
    id: "multishot-timer-stops", title: "a multishot timer fires once",
    origin: ["#14", "liburing test/timeout.c"], rules: ["timeout.multishot-repeats"],
    patches: [
      { file: "timeout", from: "const goesOn = r.timeoutOff === 0 || (r.repeats !== 0 && --r.repeats !== 0);", to: "const goesOn = false;" },
    ],
  },
  {
    id: "multishot-timer-one-more", title: "a multishot timer fires once too often",
    origin: ["#14"], rules: ["timeout.multishot-repeats"],
    patches: [
      { file: "timeout", from: "(r.repeats !== 0 && --r.repeats !== 0)", to: "(r.repeats !== 0 && r.repeats-- !== 0)" },
    ],
  },
  {
    id: "link-timeout-zero", title: "a link timeout that fires completes with 0",
    origin: ["#8", "L#1422"], rules: ["link-timeout.etime-first"],
    patches: [
      { file: "link-timeout", from: "timer.res = result === 0 ? -ETIME : result;", to: "timer.res = result;" },
    ],
  },
  {
    id: "link-timeout-stays", title: "a link timeout stays armed when its request has ended",
    origin: ["#8", "L#1208"], rules: ["link-timeout.disarmed-canceled", "liveness.due"],
    patches: [
      { file: "link-timeout", from: "unlist(m, timer); timer.res = -ECANCELED; addTaskWork(m, timer, \"complete\");", to: "" },
    ],
  },
  {
    id: "link-timeout-starts-early", title: "a link timeout without a request before it is a timer of its own",
    origin: ["#8"], rules: ["link-timeout.needs-head"],
    patches: [
      { file: "link-timeout", from: "if (m.ring.linkHead === 0) return -EINVAL;", to: "if (m.ring.linkHead === 0) { r.res = 0; r.opcode = 0; return 0; }" },
    ],
  },
  {
    id: "link-timeout-spares-target", title: "a link timeout fires and its request goes on",
    origin: ["#8"], rules: ["link-timeout.target-ecanceled"],
    patches: [
      { file: "link-timeout", from: "const result = head === undefined ? 0 : tryCancel(m, head.userData);", to: "const result = 0;" },
    ],
  },
]);
