// Issuing a request: inline first, and where that would block, to a poll or a worker. Follows
// io_uring/io_uring.c (io_issue_sqe, io_queue_sqe, io_queue_async).
import { EAGAIN, EBADF } from "../spec/constants.gen.ts";
import { OPS } from "../spec/ops.gen.ts";
import { completeDeferred, failDeferred } from "./completion.ts";
import { take } from "./descriptor.ts";
import { footprint } from "./footprint.ts";
import { armLinkTimer, takeLinkTimer } from "./link-timeout.ts";
import type { Machine } from "./machine.ts";
import { operation, type Issued, type IssueHow } from "./operation.ts";
import { armInternalPoll, retriesAtOnce } from "./poll.ts";
import { REQ, type Request } from "./request.ts";
import { addTaskWork } from "./task-work.ts";
import { queueWork } from "./worker.ts";

/** io_assign_file: the descriptor is looked up when the request is issued, not when it is prepared. */
export function assignFile(m: Machine, r: Request): boolean {
  if (r.file !== 0 || OPS[r.opcode]?.needsFile !== true) return true;
  // [issue.file-late] (no file table can be registered in this part of the model)
  if ((r.flags & REQ.FIXED_FILE) === 0) r.file = take(m, r.prepared.fd);
  return r.file !== 0;
}

export function issue(m: Machine, r: Request, how: IssueHow): Issued {
  // [issue.bad-fd]
  if (!assignFile(m, r)) return -EBADF;
  const issued = operation(r.opcode, OPS[r.opcode]?.name ?? "?").issue(m, r, how);
  const waits = issued === -EAGAIN && how.worker && !how.nonblock && !m.world.nonblocking(r.file);
  // [link-timeout.worker-blocks] a worker that waits has not come back from issuing it
  if (waits) return issued;
  const timer = takeLinkTimer(m, r);
  if (timer !== undefined) armLinkTimer(m, timer);
  return issued;
}

/** io_queue_sqe: by the application's thread, without blocking. */
export function queueSqe(m: Machine, r: Request): void {
  if (!retriesAtOnce(r)) m.scheduler.before(m, () => footprint(m, r));
  // [issue.inline-first]
  const issued = issue(m, r, { nonblock: true, worker: false });
  if (issued === "complete") completeDeferred(m, r);
  else if (typeof issued === "number") queueAsync(m, r, issued);
}

/** io_queue_async: a failure completes; what would block polls, or goes to a worker. */
function queueAsync(m: Machine, r: Request, error: number): void {
  // [rw.nowait-eagain]
  if (error !== -EAGAIN || (r.flags & REQ.NOWAIT) !== 0) return failDeferred(m, r, error);
  // [rw.nonblock-still-waits]
  const armed = armInternalPoll(m, r, false);
  if (armed === "ready") addTaskWork(m, r, "submit");
  else if (armed === "aborted") queueWork(m, r);
}
