// TIMEOUT and TIMEOUT_REMOVE: timers, and timers that a number of completions satisfies. Follows
// io_uring/timeout.c. A timer knows the earliest moment at which it may fire; firing late is always
// allowed, firing early never.
import {
  EALREADY, ECANCELED, EFAULT, EINVAL, ENOENT, ETIME, IORING_CQE_F_MORE, IORING_LINK_TIMEOUT_UPDATE, IORING_TIMEOUT_ABS,
  IORING_TIMEOUT_BOOTTIME, IORING_TIMEOUT_ETIME_SUCCESS, IORING_TIMEOUT_MULTISHOT, IORING_TIMEOUT_REALTIME,
  IORING_TIMEOUT_UPDATE, TIMEOUT_FLAGS,
} from "../spec/constants.gen.ts";
import { KERNEL_TIMESPEC, type Sqe } from "../spec/codec.gen.ts";
import { Unmodelled } from "../kernel.ts";
import { completeDeferred, postMore, setFail } from "./completion.ts";
import { updateLinkTimeout } from "./link-timeout.ts";
import { load64 } from "./memory.ts";
import type { Machine } from "./machine.ts";
import type { Issued, IssueHow, Operation } from "./operation.ts";
import { flagsOf, obeys } from "./profile.ts";
import { REQ, type Request } from "./request.ts";
import { addTaskWork } from "./task-work.ts";

const CLOCKS = IORING_TIMEOUT_BOOTTIME | IORING_TIMEOUT_REALTIME;

/** get_timespec64: nanoseconds, or -errno. [timeout.timespec-negative] tv_nsec past a second is accepted. */
export function readTimespec(m: Machine, addr: bigint): bigint | number {
  const bytes = m.memory.read(addr, KERNEL_TIMESPEC.size);
  // [timeout.bad-pointer]
  if (bytes === undefined) return -EFAULT;
  const seconds = BigInt.asIntN(64, load64(bytes, KERNEL_TIMESPEC.tv_sec));
  const nanoseconds = BigInt.asIntN(64, load64(bytes, KERNEL_TIMESPEC.tv_nsec));
  // [timeout.timespec-negative-fires] a time before now, which has passed
  if ((seconds < 0n || nanoseconds < 0n) && !obeys(m.profile, "timeout.timespec-negative-fires")) return -EINVAL;
  // [timeout.nanoseconds-carry]
  return seconds * 1_000_000_000n + nanoseconds;
}

/** io_is_timeout_noseq: only its time ends it. [timeout.pure-timer] */
const countsNothing = (r: Request): boolean =>
  r.timeoutOff === 0 || (r.prepared.opFlags & IORING_TIMEOUT_MULTISHOT) !== 0;

export function startTimer(m: Machine, r: Request, ns: bigint, flags: number): void {
  const absolute = (flags & IORING_TIMEOUT_ABS) !== 0;
  const earliest = absolute ? ns : m.nowNs + ns;
  // A time that has passed fires at once.
  r.earliestNs = earliest > m.nowNs ? earliest : m.nowNs;
  r.state = "timing";
  r.backlogSince = m.stepBacklog ?? m.ring.backlogged;
}

/** The completions that count: those posted, without the timeouts among them. [timeout.timeouts-not-counted] */
export const sequence = (m: Machine): number => (m.ring.cachedCqTail - m.ring.cqTimeouts) >>> 0;

/**
 * A worker armed it, some time after it was handed to one: how many of the completions that it counts
 * have come since. That is reckoned when it shows, not tried at every completion.
 */
function countedAlready(m: Machine, r: Request, tail: number): number {
  const most = Math.min((tail - r.sinceSeq) >>> 0, r.timeoutOff);
  if (most === 0) return 0;
  return m.scheduler.choose(m, "timeout.counted", Array.from({ length: most + 1 }, (_, n) => String(n)), r);
}

function issueTimeout(m: Machine, r: Request, how: IssueHow): Issued {
  const ring = m.ring;
  let at = ring.timeouts.length;
  if (!countsNothing(r)) {
    const tail = sequence(m);
    const counted = how.worker ? countedAlready(m, r, tail) : 0;
    if (counted === r.timeoutOff) {
      ring.cqTimeouts = (ring.cqTimeouts + 1) >>> 0;
      r.res = 0;
      addTaskWork(m, r, "complete");
      return "skip";
    }
    const left = r.timeoutOff - counted;
    // [timeout.count-base] relative to what is posted when it is armed
    r.targetSeq = (tail + left) >>> 0;
    ring.lastTimeoutFlush = tail;
    for (; at > 0; at--) {
      const before = m.request(ring.timeouts[at - 1] ?? 0);
      if (countsNothing(before)) continue;
      if (left >= (before.targetSeq - tail) >>> 0) break;
    }
  }
  ring.timeouts = [...ring.timeouts.slice(0, at), r.id, ...ring.timeouts.slice(at)];
  startTimer(m, r, r.prepared.ns ?? 0n, r.prepared.opFlags);
  return "skip";
}

function unlist(m: Machine, r: Request): void {
  m.ring.timeouts = m.ring.timeouts.filter((id) => id !== r.id);
}

/** io_flush_timeouts: after every posting, the counts that are reached complete with 0. [timeout.count-satisfied] */
export function flushTimeouts(m: Machine): void {
  const ring = m.ring;
  const now = sequence(m);
  const satisfied: Request[] = [];
  const expired: Request[] = [];
  for (const id of ring.timeouts) {
    const r = m.request(id);
    if (countsNothing(r)) break;
    const needed = (r.targetSeq - ring.lastTimeoutFlush) >>> 0;
    const got = (now - ring.lastTimeoutFlush) >>> 0;
    if (got < needed) break;
    // [timeout.count-or-timer] whichever came first: the timer may have fired a moment before
    if (r.earliestNs <= m.untilNs && m.scheduler.choose(m, "timeout.satisfied", ["count", "timer"]) === 1) {
      expired.push(r);
      continue;
    }
    ring.cqTimeouts = (ring.cqTimeouts + 1) >>> 0;
    satisfied.push(r);
  }
  ring.lastTimeoutFlush = now;
  for (const r of expired) m.beside(r, r.earliestNs, () => expireTimer(m, r));
  for (const r of satisfied) {
    unlist(m, r);
    r.res = 0;
    addTaskWork(m, r, "complete");
  }
}

/** io_timeout_fn: the timer fires, in an interrupt. [timeout.expiry-etime] */
export function expireTimer(m: Machine, r: Request): void {
  unlist(m, r);
  // [timeout.wakes-waiter] [timeout.timeouts-not-counted]
  m.ring.cqTimeouts = (m.ring.cqTimeouts + 1) >>> 0;
  // [timeout.etime-success]
  const fails = (r.prepared.opFlags & IORING_TIMEOUT_ETIME_SUCCESS) === 0;
  if (fails) setFail(r);
  r.res = -ETIME;
  addTaskWork(m, r, "timeout");
}

/** io_timeout_complete: a multishot timer posts and goes on. [timeout.multishot-repeats] */
export function timeoutTaskWork(m: Machine, r: Request): void {
  if ((r.prepared.opFlags & IORING_TIMEOUT_MULTISHOT) !== 0) {
    const goesOn = r.timeoutOff === 0 || (r.repeats !== 0 && --r.repeats !== 0);
    // [multishot.overflow-ends] [multishot.more-flag] the last one, below, is without
    if (goesOn && postMore(m, r, -ETIME, IORING_CQE_F_MORE)) {
      const list = m.ring.timeouts;
      m.ring.timeouts = [...list, r.id];
      startTimer(m, r, r.prepared.ns ?? 0n, r.prepared.opFlags);
      return;
    }
  }
  completeDeferred(m, r);
}

/** io_timeout_extract: a timer that is firing on another processor can't be taken. [timeout.firing-not-taken] */
function isFiring(m: Machine, r: Request): boolean {
  if (r.earliestNs > m.untilNs || m.scheduler.choose(m, "timeout.taken", ["taken", "firing"], r) === 0) return false;
  m.beside(r, r.earliestNs, () => expireTimer(m, r));
  return true;
}

/** io_timeout_cancel: the first timer that matches is taken off the list and completes with ECANCELED as task work. */
export function cancelTimeout(m: Machine, matches: (r: Request) => boolean): number {
  for (const id of m.ring.timeouts) {
    const r = m.request(id);
    if (!matches(r)) continue;
    if (isFiring(m, r)) return -EALREADY;
    unlist(m, r);
    // [timeout.cancelled-ecanceled]
    r.res = -ECANCELED;
    addTaskWork(m, r, "cancel");
    return 0;
  }
  return -ENOENT;
}

function usesUnused(m: Machine, sqe: Sqe): boolean {
  const unused = sqe.addr3 !== 0n || sqe.pad !== 0n;
  // [timeout.unused-zero]
  return unused && obeys(m.profile, "timeout.unused-zero");
}

/** __io_timeout_prep */
export function prepareTimer(m: Machine, r: Request, sqe: Sqe): number {
  if (usesUnused(m, sqe)) return -EINVAL;
  // [timeout.len-one]
  if (sqe.bufIndex !== 0 || sqe.len !== 1 || sqe.spliceFdIn !== 0) return -EINVAL;
  const flags = sqe.opFlags;
  const known = IORING_TIMEOUT_ABS | CLOCKS | IORING_TIMEOUT_ETIME_SUCCESS | IORING_TIMEOUT_MULTISHOT;
  // [timeout.flags-checked]
  if ((flags & ~(known & flagsOf(m.profile, TIMEOUT_FLAGS))) !== 0) return -EINVAL;
  if ((flags & CLOCKS) === CLOCKS) return -EINVAL;
  if ((~flags & (IORING_TIMEOUT_MULTISHOT | IORING_TIMEOUT_ABS)) === 0) return -EINVAL;
  const off = Number(BigInt.asUintN(32, sqe.off));
  r.timeoutOff = off;
  if (off !== 0) m.ring.offTimeoutUsed = true;
  r.repeats = (flags & IORING_TIMEOUT_MULTISHOT) !== 0 ? off : 0;
  const ns = readTimespec(m, sqe.addr);
  if (typeof ns === "number") return ns;
  if ((flags & CLOCKS) !== 0 && (flags & IORING_TIMEOUT_ABS) !== 0)
    throw new Unmodelled("TIMEOUT with an absolute time of a clock other than CLOCK_MONOTONIC");
  r.prepared = { ...r.prepared, ns };
  return 0;
}

export const timeout: Operation = {
  prepare: prepareTimer,
  issue: issueTimeout,
};

export const timeoutRemove: Operation = {
  prepare(m, r, sqe) {
    if ((r.flags & (REQ.FIXED_FILE | REQ.BUFFER_SELECT)) !== 0) return -EINVAL;
    if (sqe.bufIndex !== 0 || sqe.len !== 0 || sqe.spliceFdIn !== 0 || usesUnused(m, sqe)) return -EINVAL;
    const flags = sqe.opFlags;
    const known = flagsOf(m.profile, TIMEOUT_FLAGS);
    if ((flags & known & (IORING_TIMEOUT_UPDATE | IORING_LINK_TIMEOUT_UPDATE)) === 0) return flags === 0 ? 0 : -EINVAL;
    if ((flags & CLOCKS) === CLOCKS) return -EINVAL;
    if ((flags & ~(known & (IORING_TIMEOUT_UPDATE | IORING_LINK_TIMEOUT_UPDATE | IORING_TIMEOUT_ABS))) !== 0) return -EINVAL;
    const ns = readTimespec(m, sqe.off);
    if (typeof ns === "number") return ns;
    r.prepared = { ...r.prepared, ns };
    return 0;
  },
  issue(m, r) {
    const { addr, opFlags, ns } = r.prepared;
    let result: number;
    const updates = (opFlags & IORING_TIMEOUT_UPDATE) !== 0;
    // The flag of link timeouts alone removes, and not one of those.
    if (updates && (opFlags & IORING_LINK_TIMEOUT_UPDATE) !== 0) result = updateLinkTimeout(m, addr, ns ?? 0n, opFlags);
    else if (updates) result = updateTimeout(m, addr, ns ?? 0n, opFlags);
    // [timeout.remove-only-timeouts]
    else result = cancelTimeout(m, (t) => t.userData === addr);
    // [timeout.remove-results]
    r.res = result;
    if (result < 0) setFail(r);
    return "complete";
  },
};

/** [timeout.update] The timer starts anew and counts completions no more. */
function updateTimeout(m: Machine, userData: bigint, ns: bigint, flags: number): number {
  const id = m.ring.timeouts.find((t) => m.request(t).userData === userData);
  if (id === undefined) return -ENOENT;
  const target = m.request(id);
  if (isFiring(m, target)) return -EALREADY;
  unlist(m, target);
  target.timeoutOff = 0;
  target.prepared = { ...target.prepared, ns };
  m.ring.timeouts = [...m.ring.timeouts, id];
  startTimer(m, target, ns, flags);
  return 0;
}
