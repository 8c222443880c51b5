// io-wq: requests that a worker thread runs, beside the application's thread. Follows io_uring/io-wq.c
// and io_uring/io_uring.c (io_wq_submit_work, io_wq_free_work). What a worker does comes in two steps,
// its effect and its completion, because nothing ties the order of the ones to that of the others.
import {
  EAGAIN, EBADF, ECANCELED, EINTR, IORING_OP_READ, IORING_OP_READV, IORING_OP_READV_FIXED, IORING_OP_READ_FIXED,
  IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_WRITEV_FIXED, IORING_OP_WRITE_FIXED, RWF_NOWAIT,
} from "../spec/constants.gen.ts";
import { OPS } from "../spec/ops.gen.ts";
import { postFromWorker } from "./completion.ts";
import { assignFile, issue } from "./issue.ts";
import { identity } from "./footprint.ts";
import { chain, findNext } from "./link.ts";
import { armLinkTimer, mayFireFirst, takeLinkTimer } from "./link-timeout.ts";
import type { Machine } from "./machine.ts";
import { armInternalPoll } from "./poll.ts";
import { polls } from "./iopoll.ts";
import { load64 } from "./memory.ts";
import { readQueue, writeQueue } from "./queues.ts";
import { REQ, type Request } from "./request.ts";
import { loopBuffers, storePosition } from "./rw.ts";
import { addTaskWork, defersTaskWork, keepsDropped, releaseDropped, showsTaskWork } from "./task-work.ts";
import { sequence } from "./timeout.ts";

/** io_queue_iowq: hands a request to the workers. One that cancels may have looked for it before it was there. */
export function queueWork(m: Machine, r: Request): void {
  if (m.inCall) m.scheduler.before(m, () => identity(m, r));
  for (const each of chain(m, r)) {
    const inode = each.file === 0 ? undefined : m.world.inode(m.world.file(each.file).inode);
    const op = OPS[each.opcode];
    // io_prep_async_work: writes of one regular file are run one at a time, in order. [worker.hashed-writes]
    each.workHash = inode?.kind === "file" && op?.hashRegFile === true ? inode.id : 0;
    each.unbound = inode?.kind !== "file" && op?.unboundNonregFile === true;
    each.group = r.id;
  }
  if (r.held) {
    r.held = false;
    r.refs--;
  }
  r.backlogSince = m.stepBacklog ?? m.ring.backlogged;
  r.state = "queued";
  r.workSeq = ++m.workSeq;
  r.sinceNs = m.nowNs;
  r.sinceSeq = sequence(m);
}

/** Requests in the workers' hands, oldest first. */
export function working(m: Machine): Request[] {
  const all: Request[] = [];
  for (const r of m.requests.values()) {
    if (r.state !== "queued" && r.state !== "effected") continue;
    // They are few, and mostly in order.
    let at = all.length;
    while (at > 0 && (all[at - 1]?.workSeq ?? 0) > r.workSeq) at--;
    if (at === all.length) all.push(r);
    else all.splice(at, 0, r);
  }
  return all;
}

/**
 * What no worker has begun, in the order in which io_wq_cancel_pending_work finds it: the list of bounded work
 * before that of unbounded, and in a list the writes of one file behind the first of them.
 */
export function asListed(works: readonly Request[]): Request[] {
  // [cancel.bounded-first] [cancel.hashed-together]
  const first = (r: Request): number => works.find((other) => r.workHash !== 0 && other.workHash === r.workHash)?.workSeq ?? r.workSeq;
  return works.toSorted((a, b) => Number(a.unbound) - Number(b.unbound) || first(a) - first(b) || a.workSeq - b.workSeq);
}

/** Requests whose effect may happen now. */
export function startable(m: Machine, queue: readonly Request[] = working(m)): Request[] {
  return queue.filter((r) => mayStart(m, r, queue));
}

/** Not behind a hashed one, and not blocked. */
export function mayStart(m: Machine, r: Request, queue: readonly Request[]): boolean {
  if (r.state !== "queued") return false;
  if (r.workHash !== 0 && queue.some((other) => other.workHash === r.workHash && other.workSeq < r.workSeq)) return false;
  if (!r.waited) return true;
  // [worker.file-kept] one that will block first takes the file, and keeps it
  return !wouldBlock(m, r);
}

const EVENTFD_MAX = 0xffff_ffff_ffff_ffffn;
const READS: readonly number[] = [IORING_OP_READ, IORING_OP_READV, IORING_OP_READ_FIXED, IORING_OP_READV_FIXED];
const WRITES: readonly number[] = [IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_WRITE_FIXED, IORING_OP_WRITEV_FIXED];

/** A worker that waits inside read(2) or write(2) does so until it need not, or is interrupted. */
function wouldBlock(m: Machine, r: Request): boolean {
  if (r.workCancelled || r.workInterrupted) return false;
  // [worker.nowait-ignored] a worker that may block clears RWF_NOWAIT; other rw_flags are refused here
  if ((r.prepared.opFlags & ~RWF_NOWAIT) !== 0) return false;
  const reads = READS.includes(r.opcode);
  if (!reads && !WRITES.includes(r.opcode)) return false;
  const file = m.world.files.get(r.file);
  if (file === undefined || m.world.nonblocking(file.id)) return false;
  const inode = m.world.inode(file.inode);
  const size = (r.prepared.iov ?? []).reduce((sum, v) => sum + v.len, 0);
  if (size === 0) return false;
  if (inode.kind === "pipe") {
    if (reads) return file.read && inode.buffers.length === 0 && inode.writers > 0;
    return file.write && inode.readers > 0 && m.world.pipeRoom(inode.id, size - r.moved) === 0;
  }
  if (inode.kind !== "eventfd") return false;
  return reads ? size >= 8 && inode.count === 0n : wouldPassEnd(m, r, inode.count);
}

/** An eventfd's writer waits while the count would pass its end. */
function wouldPassEnd(m: Machine, r: Request, count: bigint): boolean {
  const next = loopBuffers(r)[r.segment];
  const bytes = next?.len === 8 ? m.memory.read(next.addr, 8) : undefined;
  if (bytes === undefined) return false;
  const value = load64(bytes, 0);
  return value !== EVENTFD_MAX && EVENTFD_MAX - count <= value;
}

/** Where a worker that waits inside a pipe's read(2) or write(2) stands. */
function waitQueues(m: Machine, r: Request): readonly number[] {
  if (r.file === 0 || m.world.inode(m.world.file(r.file).inode).kind !== "pipe") return [];
  const { inode } = m.world.file(r.file);
  return [READS.includes(r.opcode) ? readQueue(inode) : writeQueue(inode)];
}

/** io_wq_submit_work, up to the completion. */
export function startWork(m: Machine, r: Request): void {
  if (r.waited) for (const queue of waitQueues(m, r)) m.world.removeWaiter(queue, r.id);
  r.refs = r.refs === 0 ? 2 : r.refs + 1;
  if (r.workCancelled) return failWork(m, r, -ECANCELED);
  if (r.workInterrupted && m.scheduler.choose(m, "worker.cancel-before-start", ["ran", "refused"], r) === 1)
    return failWork(m, r, -ECANCELED);
  if (!assignFile(m, r)) return failWork(m, r, -EBADF);
  const op = OPS[r.opcode];
  // [worker.polls-first]
  const polls = (r.flags & REQ.FORCE_ASYNC) !== 0 && op !== undefined && (op.pollin || op.pollout) &&
    m.world.pollQueues(r.file).length > 0;
  const issued = issue(m, r, { nonblock: polls, worker: true });
  if (issued === "complete") return effected(m, r);
  if (issued === "skip") return handedOver(r);
  if (issued === "again") {
    r.refs--;
    return;
  }
  if (issued === -EAGAIN && ((r.flags & REQ.NOWAIT) === 0 || !polls)) return blockWork(m, r, polls);
  failWork(m, r, issued);
}

function effected(m: Machine, r: Request): void {
  r.state = "effected";
  m.scheduler.decided(m, r);
}

/** The thread completes it, now or when a poll or a timer ends: maybe before the worker lets go of it. */
function handedOver(r: Request): void {
  r.held = true;
}

/** It would block: it polls where it can, and else waits in the system call. */
function blockWork(m: Machine, r: Request, polls: boolean): void {
  if (polls) {
    const armed = armInternalPoll(m, r, true);
    if (armed === "armed") return handedOver(r);
    const issued = issue(m, r, { nonblock: false, worker: true });
    if (issued === "complete") return effected(m, r);
    if (issued === "skip") return handedOver(r);
    if (issued === "again") throw new Error("model: only a cancel goes on later, and that does not poll");
    if (issued !== -EAGAIN) return failWork(m, r, issued);
  }
  // [cancel.target-ecanceled]
  // [rw.nonblock-fails-on-worker] it polled for a while, and a worker that may block is turned down
  if (m.world.nonblocking(r.file)) return failWork(m, r, -EAGAIN);
  if (r.workInterrupted) {
    // Only now has it come back from issuing it.
    const timer = takeLinkTimer(m, r);
    if (timer !== undefined) armLinkTimer(m, timer);
    return failWork(m, r, -EINTR);
  }
  r.refs--;
  r.state = "queued";
  r.flags &= ~REQ.FORCE_ASYNC;
  r.waited = true;
  // [worker.waits-exclusive] in line for the next wake-up
  for (const queue of waitQueues(m, r)) m.world.addWaiter(queue, { request: r.id, exclusive: true });
}

/** io_req_task_queue_fail: the thread completes it, maybe before the worker lets go of it. */
function failWork(m: Machine, r: Request, res: number): void {
  r.res = res;
  mayFireFirst(m, r);
  // [worker.failure-task-work]
  addTaskWork(m, r, "cancel");
  if (r.workCancelled) releaseWork(m, r);
  else r.held = true;
}

/** io_req_complete_post and io_wq_free_work: the CQE, then the successor on the same worker. */
export function finishWork(m: Machine, r: Request): void {
  if (r.posted) return letGo(m, r);
  storePosition(m, r);
  if (defersTaskWork(m) || polls(m)) {
    // [iopoll.worker] [taskrun.defer-worker] the thread posts it, maybe before the worker lets go of it
    addTaskWork(m, r, "complete");
    r.held = true;
    if (!keepsDropped(m, r)) releaseDropped(m, r);
    return;
  }
  if (!postFromWorker(m, r)) {
    // [overflow.worker-hands-over] no room: the thread posts it, or puts it in the backlog
    addTaskWork(m, r, "complete");
    return letGo(m, r);
  }
  r.refs--;
  r.posted = true;
  // [worker.release-late] its successor runs only then, and what it closed is let go of: a step of its own
  if (r.link === 0 && r.dropping === 0 && !showsTaskWork(m)) letGo(m, r);
  else r.flags |= REQ.CQE_SKIP;
}

/** Its task work runs last, before the next request that it takes. */
function letGo(m: Machine, r: Request): void {
  releaseWork(m, r);
  releaseDropped(m, r);
}

/** io_wq_free_work: the worker's reference goes; where it was the last, the successor is run here. */
function releaseWork(m: Machine, r: Request): void {
  if (--r.refs > 0) {
    if (r.refs === r.timerRefs) r.state = "kept";
    return;
  }
  const next = (r.flags & (REQ.LINK | REQ.HARDLINK)) !== 0 ? findNext(m, r) : undefined;
  r.state = "done";
  r.flags |= REQ.CQE_SKIP;
  addTaskWork(m, r, "free");
  if (next !== undefined) {
    // [link.successor-on-worker]
    next.state = "queued";
    next.workSeq = ++m.workSeq;
    next.sinceNs = m.nowNs;
    next.sinceSeq = sequence(m);
    next.backlogSince = r.backlogSince;
  }
}

