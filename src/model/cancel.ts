// Cancelling: ASYNC_CANCEL, and SYNC_CANCEL through io_uring_register. Follows io_uring/cancel.c: first
// the workers, then polls, then timers; a request that waits in a chain or behind a drain is not found.
import {
  CANCEL_FLAGS, EALREADY, EBADF, EFAULT, EINVAL, ENOENT, ETIME, IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_ANY, IORING_ASYNC_CANCEL_FD,
  IORING_ASYNC_CANCEL_FD_FIXED, IORING_ASYNC_CANCEL_OP, IORING_ASYNC_CANCEL_USERDATA,
} from "../spec/constants.gen.ts";
import { hasPollThread } from "./sqpoll.ts";
import { SYNC_CANCEL_REG } from "../spec/codec.gen.ts";
import { WouldBlockForever } from "../kernel.ts";
import { setFail } from "./completion.ts";
import { take } from "./descriptor.ts";
import { footprint } from "./footprint.ts";
import type { Footprint, Machine } from "./machine.ts";
import { load32, load64 } from "./memory.ts";
import type { Operation } from "./operation.ts";
import { cancelPoll, hashed } from "./poll.ts";
import { flagsOf, obeys } from "./profile.ts";
import { type Cancelling, REQ, type Request } from "./request.ts";
import { hasLocalWork, LOCAL_WORK_MAX, runLocalWork, runTaskWork } from "./task-work.ts";
import { cancelTimeout } from "./timeout.ts";
import { wakeQueue } from "./wake.ts";
import { asListed, startWork, working } from "./worker.ts";

export const EVERYTHING: Footprint = { reads: [], writes: ["*"] };

/** struct io_cancel_data */
interface Wanted {
  readonly flags: number;
  readonly userData: bigint;
  readonly file: number;
  readonly opcode: number;
  readonly seq: number;
  /** The request that cancels, where a worker runs it. */
  readonly self: Request | undefined;
  /** It has looked among the workers, and goes on behind that. */
  readonly resumed: boolean;
}

/** io_cancel_req_match. [cancel.keys] [cancel.once-each] */
function matches(r: Request, wanted: Wanted): boolean {
  const { flags } = wanted;
  const all = (flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0;
  if ((flags & IORING_ASYNC_CANCEL_ANY) === 0) {
    if ((flags & IORING_ASYNC_CANCEL_FD) !== 0 && r.file !== wanted.file) return false;
    if ((flags & IORING_ASYNC_CANCEL_OP) !== 0 && r.opcode !== wanted.opcode) return false;
    const byOther = (flags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP)) !== 0;
    const byUserData = !byOther || (flags & IORING_ASYNC_CANCEL_USERDATA) !== 0;
    if (byUserData && r.userData !== wanted.userData) return false;
  }
  if (all) {
    if (r.cancelSeq === wanted.seq) return false;
    r.cancelSeq = wanted.seq;
  }
  return true;
}

type Fate = "pending" | "running" | "taken along";

/** Where a cancel finds a worker's request, which nothing may have shown yet. */
function fateOf(m: Machine, r: Request): Fate {
  if (r.state !== "queued" || r.waited || r.moved > 0) return "running";
  const fates: Fate[] = ["pending", "running"];
  // [cancel.taken-along] the worker that began the first of them has those behind it in hand
  if (r.workHash !== 0 && working(m).some((other) => other.workHash === r.workHash && other.workSeq < r.workSeq)) fates.push("taken along");
  return fates[m.scheduler.choose(m, "cancel.worker", fates, r)] ?? "pending";
}

/**
 * io_wq_cancel_cb: what nobody began is taken back, what runs is interrupted.
 * [cancel.worker-pending]
 */
function cancelWork(m: Machine, wanted: Wanted): "cancelled" | "running" | "not found" {
  // [sqpoll.sync-cancel] the workers of a thread that polls are its own: no other thread finds them
  if (hasPollThread(m) && !m.inCall && wanted.self === undefined) return "not found";
  const all = (wanted.flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0;
  // [cancel.unstarted-not-found] [cancel.not-itself] only what the workers have, not what waits or what the thread runs
  const found = asListed(working(m).filter((r) => !r.posted && matches(r, wanted)));
  const running: Request[] = [];
  let cancelled = 0;
  for (const r of found) {
    const fate = r === wanted.self ? "running" : fateOf(m, r);
    if (fate === "taken along") continue;
    if (fate === "running") {
      running.push(r);
      continue;
    }
    r.workCancelled = true;
    startWork(m, r);
    cancelled++;
    if (!all) return "cancelled";
  }
  // [cancel.one-each-kind] the workers of bounded and of unbounded work are looked through apart
  for (const unbound of [false, true]) {
    for (const r of running) {
      if (r.unbound !== unbound) continue;
      r.workInterrupted = true;
      if (!all) break;
    }
  }
  // [cancel.worker-running]
  if (running.length > 0) return "running";
  return cancelled > 0 ? "cancelled" : "not found";
}

/** io_try_cancel behind the workers: 0 or -ENOENT. */
function cancelWaiting(m: Machine, wanted: Wanted): number {
  // [cancel.timers-before-polls]
  const timersFirst = obeys(m.profile, "cancel.timers-before-polls");
  const timer = timersFirst ? cancelTimeout(m, (r) => matches(r, wanted)) : -ENOENT;
  if (timer !== -ENOENT) return timer;
  const byTable = (wanted.flags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP | IORING_ASYNC_CANCEL_ANY)) !== 0;
  const poll = hashed(m).find((r) => (byTable || r.userData === wanted.userData) && matches(r, wanted));
  if (poll !== undefined) {
    cancelPoll(m, poll);
    return 0;
  }
  // [cancel.fd-skips-timeouts]
  if (timersFirst || (wanted.flags & IORING_ASYNC_CANCEL_FD) !== 0) return -ENOENT;
  return cancelTimeout(m, (r) => matches(r, wanted));
}

/**
 * __io_async_cancel: 0 or -errno; with ALL or ANY how many, one after the other: what goes on beside it
 * may come in between.
 */
function cancel(m: Machine, wanted: Wanted, touched: () => Footprint, pauses: () => boolean, from = 0): number | Cancelling {
  // [cancel.all-counts] [cancel.any-is-all]
  const all = (wanted.flags & (IORING_ASYNC_CANCEL_ALL | IORING_ASYNC_CANCEL_ANY)) !== 0;
  let count = from;
  for (let resumed = wanted.resumed; ; resumed = false) {
    let result = resumed ? -ENOENT : cancelWork(m, wanted) === "cancelled" ? 0 : -ENOENT;
    if (result !== 0) {
      // [cancel.not-at-once] what is added in between is found among the one, and not among the other
      if (!resumed && pauses()) return { seq: wanted.seq, count };
      result = cancelWaiting(m, wanted);
    }
    if (result === -ENOENT) break;
    // [cancel.first-only]
    if (!all) return result;
    count++;
    if (m.inCall) m.scheduler.before(m, touched);
  }
  // [sqpoll.cancel-running] the thread that polls is not among those whose workers are looked through again
  const again = hasPollThread(m) ? "not found" : cancelWork(m, wanted);
  if (all) return again === "not found" ? count : count + 1;
  // [cancel.not-found] [cancel.worker-running]
  return again === "cancelled" ? 0 : again === "running" ? -EALREADY : -ENOENT;
}

/** io_try_cancel by user_data: 0, or -errno. */
export function tryCancel(m: Machine, userData: bigint): number {
  const wanted: Wanted = { flags: 0, userData, file: 0, opcode: 0, seq: ++m.ring.cancelSeq, self: undefined, resumed: false };
  return cancelWork(m, wanted) === "cancelled" ? 0 : cancelWaiting(m, wanted);
}

export const asyncCancel: Operation = {
  prepare(m, r, sqe) {
    if ((r.flags & REQ.BUFFER_SELECT) !== 0) return -EINVAL;
    // [cancel.user-data-only]
    if (obeys(m.profile, "cancel.user-data-only") && ((r.flags & REQ.FIXED_FILE) !== 0 || sqe.len !== 0)) return -EINVAL;
    if (sqe.off !== 0n || sqe.spliceFdIn !== 0) return -EINVAL;
    const flags = sqe.opFlags;
    // [cancel.flags-checked]
    if ((flags & ~flagsOf(m.profile, CANCEL_FLAGS)) !== 0) return -EINVAL;
    const any = (flags & IORING_ASYNC_CANCEL_ANY) !== 0;
    if (any && (flags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP)) !== 0) return -EINVAL;
    return 0;
  },
  issue(m, r, how) {
    const { opFlags, addr, len, fd } = r.prepared;
    const begun = r.cancelling;
    if (begun === undefined) m.ring.cancelSeq++;
    if (begun === undefined && (opFlags & IORING_ASYNC_CANCEL_FD) !== 0) {
      const fixed = (r.flags & REQ.FIXED_FILE) !== 0 || (opFlags & IORING_ASYNC_CANCEL_FD_FIXED) !== 0;
      r.file = fixed ? 0 : take(m, fd);
      // [cancel.bad-fd]
      if (r.file === 0) {
        setFail(r);
        r.res = -EBADF;
        return "complete";
      }
    }
    const wanted = {
      flags: opFlags, userData: addr, file: r.file, opcode: len & 0xff, seq: begun?.seq ?? m.ring.cancelSeq,
      self: how.worker ? r : undefined, resumed: begun !== undefined,
    };
    const pauses = (): boolean => how.worker && !m.inCall && m.scheduler.choose(m, "cancel.pause", ["goes on", "pauses"], r) === 1;
    const result = cancel(m, wanted, () => footprint(m, r), pauses, begun?.count);
    r.cancelling = typeof result === "number" ? undefined : result;
    if (typeof result !== "number") return "again";
    r.res = result;
    if (r.res < 0) setFail(r);
    return "complete";
  },
};

/** io_sync_cancel. [cancel.sync] */
export function syncCancel(m: Machine, addr: bigint): number {
  const bytes = m.memory.read(addr, SYNC_CANCEL_REG.size);
  m.ring.cancelSeq++;
  if (bytes === undefined) return -EFAULT;
  const flags = load32(bytes, SYNC_CANCEL_REG.flags);
  if ((flags & ~flagsOf(m.profile, CANCEL_FLAGS)) !== 0) return -EINVAL;
  for (let at = SYNC_CANCEL_REG.opcode + 1; at < SYNC_CANCEL_REG.size; at++) if (bytes[at] !== 0) return -EINVAL;
  let file = 0;
  if ((flags & IORING_ASYNC_CANCEL_FD) !== 0) {
    if ((flags & IORING_ASYNC_CANCEL_FD_FIXED) === 0) file = take(m, load32(bytes, SYNC_CANCEL_REG.fd) | 0);
    if (file === 0) return -EBADF;
  }
  const opcode = bytes[SYNC_CANCEL_REG.opcode] ?? 0;
  const userData = load64(bytes, SYNC_CANCEL_REG.addr);
  const attempt = (): number => {
    const wanted = { flags, userData, file, opcode, seq: m.ring.cancelSeq, self: undefined, resumed: false };
    const result = cancel(m, wanted, () => EVERYTHING, () => false);
    // Only a cancel that is a request pauses.
    return typeof result === "number" ? result : -ENOENT;
  };
  const first = attempt();
  const result = first === -EALREADY ? untilGone(m, attempt, timeOf(bytes)) : first;
  if (file !== 0) m.world.put(file, wakeQueue(m));
  return result;
}

/** Looks again whenever something completed, until what a worker runs is gone. [cancel.sync-waits] */
function untilGone(m: Machine, attempt: () => number, timeNs: bigint | undefined): number {
  const gone = (): boolean => {
    for (;;) {
      m.ring.cancelSeq++;
      if (attempt() !== -EALREADY) return true;
      if (hasLocalWork(m)) runLocalWork(m, LOCAL_WORK_MAX, LOCAL_WORK_MAX);
      else if (!hasPollThread(m) && m.taskWorks.length > 0) runTaskWork(m);
      else return false;
    }
  };
  const end = timeNs === undefined ? undefined : { earliestNs: m.nowNs + timeNs, latestNs: m.untilNs + timeNs };
  const ended = m.scheduler.wait(m, gone, end);
  if (ended === "stuck") throw new WouldBlockForever("a cancel waits for what a worker runs, and nothing ends that");
  if (ended === "timeout") return -ETIME;
  return 0;
}

/** The time of a cancel that waits; undefined: without end. */
function timeOf(bytes: Uint8Array): bigint | undefined {
  const seconds = BigInt.asIntN(64, load64(bytes, SYNC_CANCEL_REG.timeout));
  const nanoseconds = BigInt.asIntN(64, load64(bytes, SYNC_CANCEL_REG.timeout + 8));
  return seconds === -1n && nanoseconds === -1n ? undefined : seconds * 1_000_000_000n + nanoseconds;
}
