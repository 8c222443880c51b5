// Polling: POLL_ADD, and the poll that an I/O request arms on its own where it would block. Follows
// io_uring/poll.c. A request owns its poll while `pollRefs` counts; wake-ups that find it owned only
// count, and the owner looks again.
import {
  EAGAIN, EALREADY, ECANCELED, EINVAL, ENOENT,
  EPOLLERR, EPOLLET, EPOLLEXCLUSIVE, EPOLLHUP, EPOLLIN, EPOLLNVAL, EPOLLONESHOT, EPOLLOUT, EPOLLPRI, EPOLLRDHUP,
  EPOLLRDNORM, EPOLLWRNORM, IORING_CQE_F_MORE, IORING_OP_POLL_ADD, IORING_POLL_ADD_MULTI,
  IORING_POLL_UPDATE_EVENTS, IORING_POLL_UPDATE_USER_DATA, POLL_FLAGS,
} from "../spec/constants.gen.ts";
import { OPS } from "../spec/ops.gen.ts";
import { completeDeferred, failDeferred, postMore, setFail } from "./completion.ts";
import type { Issued, Operation } from "./operation.ts";
import type { Machine } from "./machine.ts";
import { flagsOf } from "./profile.ts";
import { URING_WAKE } from "./queues.ts";
import { REQ, type Request } from "./request.ts";
import { addTaskWork, submitFromTaskWork } from "./task-work.ts";

const UNMASK = EPOLLERR | EPOLLHUP | EPOLLNVAL | EPOLLRDHUP;
/** The bits that poll(2) and epoll share (demangle_poll). */
const POLL_BITS = 0x27ff;
const RETRIES = 128;
/** In the low bits of a wake-up key that are compared with what a poll waits for. */
const COMMON = EPOLLONESHOT | EPOLLPRI;

type Armed = { readonly is: "armed" } | { readonly is: "ready"; readonly mask: number } | { readonly is: "error"; readonly errno: number };

/** __io_arm_poll_handler */
function arm(m: Machine, r: Request, events: number, onWorker: boolean): Armed {
  // [poll.errors-always]
  r.pollEvents = events | UNMASK;
  r.pollRefs = onWorker ? 1 : 0;
  r.pollCancelled = false;
  const queues = m.world.pollQueues(r.file);
  const exclusive = (events & EPOLLEXCLUSIVE) !== 0;
  for (const queue of queues) m.world.addWaiter(queue, { request: r.id, exclusive });
  r.pollQueues = queues;
  const mask = m.world.pollMask(r.file) & r.pollEvents;
  const edge = (events & EPOLLET) !== 0;
  if (queues.length === 0) {
    // [poll.regular-file-ready] no ->poll: ready at once, or nothing to wait for
    return mask !== 0 && edge ? { is: "ready", mask } : { is: "error", errno: EINVAL };
  }
  // [poll.level-at-submit] what is there already is enough
  if (mask !== 0 && edge && (events & EPOLLONESHOT) !== 0) {
    leaveQueues(m, r);
    return { is: "ready", mask };
  }
  r.hashSeq = ++m.hashSeq;
  r.state = "polling";
  // [poll.level-at-submit]
  if (mask !== 0 && edge) {
    if (!onWorker) r.pollRefs++;
    execute(m, r, mask);
    return { is: "armed" };
  }
  if (onWorker) {
    if (r.pollRefs !== 1) execute(m, r, 0);
    else r.pollRefs = 0;
  }
  return { is: "armed" };
}

function leaveQueues(m: Machine, r: Request): void {
  for (const queue of r.pollQueues) m.world.removeWaiter(queue, r.id);
  r.pollQueues = [];
}

/** __io_poll_execute: hands the request to task work. */
function execute(m: Machine, r: Request, mask: number): void {
  r.res = mask;
  addTaskWork(m, r, "poll", "lazy");
}

/** io_poll_wake: did this waiter take the wake-up? [poll.wake-mask] */
export function pollWake(m: Machine, r: Request, queue: number, mask: number): boolean {
  if (mask !== 0 && (mask & r.pollEvents & ~COMMON) === 0) return false;
  if (r.pollRefs++ !== 0) return true;
  // [poll.own-signal-ends]
  if ((mask & URING_WAKE) !== 0) r.pollEvents |= EPOLLONESHOT;
  if (mask !== 0 && (r.pollEvents & EPOLLONESHOT) !== 0) {
    m.world.removeWaiter(queue, r.id);
    r.pollQueues = r.pollQueues.filter((q) => q !== queue);
  }
  execute(m, r, mask);
  return true;
}

type Checked = "none" | "done" | "again" | "use-result" | "cancelled";

/** io_poll_check_events. [poll.multishot-more] */
function checkEvents(m: Machine, r: Request): Checked {
  do {
    if (r.pollCancelled) return "cancelled";
    const seen = r.pollRefs;
    if (seen !== 1) r.res = 0;
    if (r.res === 0) r.res = m.world.pollMask(r.file) & r.pollEvents;
    if (r.res === 0) {
      if ((r.pollEvents & EPOLLONESHOT) !== 0) return "again";
    } else {
      if ((r.pollEvents & EPOLLONESHOT) !== 0) return "done";
      const mask = r.res & r.pollEvents & POLL_BITS;
      // [multishot.overflow-ends] [multishot.more-flag] where it finds no room the request ends, and its last CQE is without
      if (!postMore(m, r, mask, IORING_CQE_F_MORE)) {
        r.res = mask;
        return "use-result";
      }
      r.res = 0;
    }
    r.pollRefs -= seen;
  } while (r.pollRefs > 0);
  r.state = "polling";
  return "none";
}

/** io_poll_task_func */
export function pollTaskWork(m: Machine, r: Request): void {
  const checked = checkEvents(m, r);
  if (checked === "none") return;
  leaveQueues(m, r);
  r.hashSeq = 0;
  // [cancel.target-ecanceled] [multishot.more-flag] its last CQE is without, as those below are
  if (checked === "cancelled") return failDeferred(m, r, -ECANCELED);
  if (checked === "again" || (checked === "done" && r.opcode !== IORING_OP_POLL_ADD)) return submitFromTaskWork(m, r);
  if (checked === "done") r.res = r.res & r.pollEvents & POLL_BITS;
  completeDeferred(m, r);
}

/** io_arm_poll_handler: an I/O request that would block waits for readiness instead. [rw.poll-retry] */
export function armInternalPoll(m: Machine, r: Request, onWorker: boolean): "armed" | "ready" | "aborted" {
  const op = OPS[r.opcode];
  if (op === undefined || (!op.pollin && !op.pollout)) return "aborted";
  if (m.world.pollQueues(r.file).length === 0) return "aborted";
  if (!r.polled) r.pollRetries = RETRIES;
  if (--r.pollRetries === 0) return "aborted";
  r.polled = true;
  const wanted = op.pollin ? EPOLLIN | EPOLLRDNORM : EPOLLOUT | EPOLLWRNORM;
  const armed = arm(m, r, EPOLLPRI | EPOLLERR | EPOLLET | EPOLLONESHOT | wanted, onWorker);
  return armed.is === "error" ? "aborted" : armed.is;
}

/** One of many tries with nothing in between: what came before it may as well have come before the first or the last. */
export const retriesAtOnce = (r: Request): boolean => r.polled && r.pollRetries > 1 && r.pollRetries < RETRIES - 2;

/** io_poll_cancel_req */
export function cancelPoll(m: Machine, r: Request): void {
  r.pollCancelled = true;
  if (r.pollRefs++ === 0) execute(m, r, 0);
}

const GOLDEN_RATIO = 0x61c8_8646_80b5_83ebn;

/** hash_long of the user_data, on as many bits as the size of the first CQ gave. [resize.poll-buckets] */
function bucket(m: Machine, r: Request): number {
  const bits = BigInt(Math.min(8, Math.max(1, 31 - Math.clz32(m.ring.firstCqEntries) - 5)));
  return Number(BigInt.asUintN(64, r.userData * GOLDEN_RATIO) >> (64n - bits));
}

/** The requests in the cancel hash table as the kernel walks it: by bucket, newest first. [cancel.poll-order] */
export function hashed(m: Machine): Request[] {
  const all = [...m.requests.values()].filter((r) => r.hashSeq !== 0);
  return all.sort((a, b) => bucket(m, a) - bucket(m, b) || b.hashSeq - a.hashSeq);
}

function parseEvents(events: number, flags: number): number {
  // [poll.one-shot]
  const kept = (flags & IORING_POLL_ADD_MULTI) !== 0 ? 0 : EPOLLONESHOT;
  return (events & POLL_BITS) | (events & (EPOLLEXCLUSIVE | EPOLLONESHOT | EPOLLET)) | kept | EPOLLET;
}

export const pollAdd: Operation = {
  prepare(m, r, sqe) {
    if (sqe.bufIndex !== 0 || sqe.off !== 0n || sqe.addr !== 0n) return -EINVAL;
    // [poll.level-refused]
    if ((sqe.len & ~(IORING_POLL_ADD_MULTI & flagsOf(m.profile, POLL_FLAGS))) !== 0) return -EINVAL;
    // [poll.multishot-not-skipped]
    if ((sqe.len & IORING_POLL_ADD_MULTI) !== 0 && (r.flags & REQ.CQE_SKIP) !== 0) return -EINVAL;
    r.prepared = { ...r.prepared, opFlags: parseEvents(sqe.opFlags, sqe.len) };
    return 0;
  },
  issue(m, r, how) {
    return addPoll(m, r, r.prepared.opFlags, how.worker);
  },
};

function addPoll(m: Machine, r: Request, events: number, onWorker: boolean): Issued {
  const armed = arm(m, r, events, onWorker);
  if (armed.is === "armed") return "skip";
  if (armed.is === "error") return -armed.errno;
  r.res = armed.mask;
  return "complete";
}

export const pollRemove: Operation = {
  prepare(m, r, sqe) {
    if (sqe.bufIndex !== 0 || sqe.spliceFdIn !== 0) return -EINVAL;
    const known = IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA | IORING_POLL_ADD_MULTI;
    if ((sqe.len & ~(known & flagsOf(m.profile, POLL_FLAGS))) !== 0 || sqe.len === IORING_POLL_ADD_MULTI) return -EINVAL;
    if ((sqe.len & IORING_POLL_UPDATE_USER_DATA) === 0 && sqe.off !== 0n) return -EINVAL;
    const updatesEvents = (sqe.len & IORING_POLL_UPDATE_EVENTS) !== 0;
    if (!updatesEvents && sqe.opFlags !== 0) return -EINVAL;
    r.prepared = { ...r.prepared, opFlags: updatesEvents ? parseEvents(sqe.opFlags, sqe.len) : 0 };
    return 0;
  },
  issue(m, r) {
    const { addr, len, off, opFlags } = r.prepared;
    const target = hashed(m).find((p) => p.opcode === IORING_OP_POLL_ADD && p.userData === addr);
    // [poll.remove-results]
    if (target === undefined) return -ENOENT;
    if (target.pollRefs++ !== 0) return -EALREADY;
    leaveQueues(m, target);
    target.hashSeq = 0;
    const issued = updatePoll(m, target, len, off, opFlags);
    if (issued !== "skip") {
      // [poll.removed-ecanceled]
      if (issued !== "complete") target.res = -ECANCELED;
      if (target.res < 0) setFail(target);
      addTaskWork(m, target, "complete");
    }
    r.res = 0;
    return "complete";
  },
};

/** POLL_UPDATE_*: the poll goes on, with other events or another user_data. [poll.update] */
function updatePoll(m: Machine, target: Request, flags: number, userData: bigint, events: number): Issued {
  if ((flags & (IORING_POLL_UPDATE_EVENTS | IORING_POLL_UPDATE_USER_DATA)) === 0) return -EAGAIN;
  let wanted = target.pollEvents;
  if ((flags & IORING_POLL_UPDATE_EVENTS) !== 0) wanted = ((wanted & ~0xffff) | (events & 0xffff) | UNMASK) >>> 0;
  if ((flags & IORING_POLL_UPDATE_USER_DATA) !== 0) {
    target.userData = userData;
    target.touches = undefined;
  }
  return addPoll(m, target, wanted, false);
}
