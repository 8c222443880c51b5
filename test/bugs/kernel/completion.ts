// Seeded bugs of the completion side: the backlog, the CQ's indices, what a CQE says.
import type { KernelBug } from "../bug.ts";

const half = "kernel";

export const COMPLETION: readonly KernelBug[] = [
  {
    id: "backlog-flushed-by-any-call", title: "any io_uring_enter moves the backlog to the CQ", origin: ["#1"], half, rules: ["overflow.flush-getevents"],
    patches: [{ file: "enter", from: "if ((flags & IORING_ENTER_GETEVENTS) === 0)", to: "if (hasBacklog(m)) flushOverflow(m);\n    if ((flags & IORING_ENTER_GETEVENTS) === 0)" }],
  },
  {
    id: "backlog-lost", title: "a completion that finds the CQ full is dropped and not counted", origin: ["#1", "S24"], half, rules: ["overflow.backlog", "liveness.due"],
    patches: [{ file: "completion", from: "ring.overflow = [...ring.overflow, cqe];", to: "if (ring.overflow.length === 0) ring.overflow = [cqe];" }],
  },
  {
    id: "backlog-newest-first", title: "the backlog is flushed newest first", origin: ["#1", "#17", "liburing test/cq-overflow.c"], half, rules: ["overflow.flush-fills", "overflow.backlog"],
    patches: [{ file: "completion", from: "ring.overflow = [...ring.overflow, cqe];", to: "ring.overflow = [cqe, ...ring.overflow];" }],
  },
  {
    id: "backlog-overtaken", title: "a new completion goes into the CQ past the backlog", origin: ["#1", "liburing test/cq-overflow.c"], half, rules: ["overflow.order-kept"],
    patches: [{ file: "completion", from: "if (!flushing && hasBacklog(m)) return false;", to: "" }],
  },
  {
    id: "backlog-flag-missing", title: "IORING_SQ_CQ_OVERFLOW is never set", origin: ["#1", "S24"], half, rules: ["overflow.flag"],
    patches: [{ file: "completion", from: "if (!hasBacklog(m)) setSqFlag(m, IORING_SQ_CQ_OVERFLOW);", to: "" }],
  },
];
