// io_uring_enter(2) and io_uring_register(2): what they return, and what runs before they do. Follows
// io_uring/io_uring.c (SYSCALL io_uring_enter, io_cqring_wait).
import {
  CLOCK_MONOTONIC, EBADFD, EEXIST, EFAULT, EINTR, EINVAL, ENTER_FLAGS, ETIME, IORING_ENTER_ABS_TIMER, IORING_ENTER_EXT_ARG,
  IORING_ENTER_EXT_ARG_REG, IORING_ENTER_GETEVENTS, IORING_ENTER_REGISTERED_RING, IORING_ENTER_SQ_WAIT, IORING_ENTER_SQ_WAKEUP,
  IORING_FEAT_MIN_TIMEOUT,
} from "../spec/constants.gen.ts";
import { GETEVENTS_ARG } from "../spec/codec.gen.ts";
import { SIGNAL, Unmodelled, WouldBlockForever, type EnterArg } from "../kernel.ts";
import { cqVisible, flushOverflow, hasBacklog } from "./completion.ts";
import { polls, reap } from "./iopoll.ts";
import { WORD } from "./layout.ts";
import type { Machine, WaitDeadline } from "./machine.ts";
import { load32, load64 } from "./memory.ts";
import { flagsOf, obeys } from "./profile.ts";
import { registerOn } from "./register.ts";
import { fileOfIndex } from "./registered-ring.ts";
import { hasPollThread, wakePollThread } from "./sqpoll.ts";
import { submitSqes } from "./submit.ts";
import { defersTaskWork, hasLocalWork, LOCAL_WORK_MAX, runLocalWork, runTaskWork, wakesWaiter } from "./task-work.ts";
import { readTimespec } from "./timeout.ts";
import { registeredWait } from "./wait-region.ts";

export interface EnterCall {
  readonly toSubmit: number;
  readonly minComplete: number;
  readonly flags: number;
  readonly arg: EnterArg | undefined;
  /** With IORING_ENTER_REGISTERED_RING: the number in the descriptor's place; left out: the descriptor's own. */
  readonly index?: number | undefined;
}

/** io_uring_enter: its result or -errno. Throws WouldBlockForever where nothing can end the wait. */
export function enter(m: Machine, call: EnterCall): number {
  // A thread that polls does everything but flush the backlog, beside this one.
  m.inCall = !hasPollThread(m);
  try {
    const result = enterRing(m, call);
    leaveCall(m);
    return result;
  } finally {
    m.inCall = false;
  }
}

/**
 * [taskrun.at-return] On the way back to user mode task work runs. What a worker or a timer queued at
 * the last moment may come just after: the interrupt that announces it is under way.
 */
export function leaveCall(m: Machine): void {
  // [sqpoll.task-work]
  if (hasPollThread(m)) return;
  if (m.lateTaskWork && m.scheduler.choose(m, "taskrun.late", ["ran", "after"]) === 1) return;
  runTaskWork(m);
}

function enterRing(m: Machine, call: EnterCall): number {
  const { toSubmit, flags } = call;
  // [enter.unknown-flag]
  if ((flags & ~flagsOf(m.profile, ENTER_FLAGS)) !== 0) return -EINVAL;
  // [enter.registered-index] the number is an index then
  if ((flags & IORING_ENTER_REGISTERED_RING) !== 0) {
    const file = fileOfIndex(m.world, call.index ?? m.ringFd >>> 0);
    if (file < 0) return file;
  }
  // [enter.sq-flags-ignored] [enter.reg-without-ext] [setup.disabled-enter]
  if (m.ring.disabled) return -EBADFD;
  // [setup.single-issuer-owner]
  const runsWork = (flags & IORING_ENTER_GETEVENTS) !== 0 && defersTaskWork(m);
  if (m.ring.ownedElsewhere && (toSubmit !== 0 || runsWork)) return -EEXIST;
  let submitted = 0;
  if (hasPollThread(m)) {
    submitted = leftToThread(m, call);
  } else if (toSubmit !== 0) {
    submitted = submitSqes(m, toSubmit);
    // [enter.short-submit-returns] [taskrun.defer-short-submit] nothing else happens
    if (submitted !== toSubmit) return submitted;
  }
  // [enter.no-wait-without-getevents] [overflow.flush-getevents]
  if ((flags & IORING_ENTER_GETEVENTS) === 0) return submitted;
  if (polls(m)) {
    const reaped = reap(m, call.minComplete, flags, call.arg);
    return submitted !== 0 ? submitted : reaped;
  }
  if (submitted !== 0 && defersTaskWork(m)) runLocalWork(m, call.minComplete | 0, Math.max(LOCAL_WORK_MAX, call.minComplete | 0));
  const waited = getEvents(m, call);
  // [enter.submit-count-wins]
  if (submitted !== 0) return submitted;
  return waited;
}

/** On a ring with IORING_SETUP_SQPOLL: what io_uring_enter returns for the submission. [sqpoll.returns-to-submit] */
function leftToThread(m: Machine, { toSubmit, flags }: EnterCall): number {
  if ((flags & IORING_ENTER_SQ_WAKEUP) !== 0) wakePollThread(m);
  // [sqpoll.sq-wait]
  if ((flags & IORING_ENTER_SQ_WAIT) !== 0) {
    const isFull = (): boolean => (load32(m.ring.ring.bytes, WORD.sqTail) - m.ring.cachedSqHead) >>> 0 === m.ring.sqEntries;
    // [sqpoll.sq-wait-interrupted]
    const ends = isFull() && m.scheduler.choose(m, "sqpoll.sq-wait", ["room", "signal"]) === 1;
    if (!ends && m.scheduler.wait(m, () => !isFull(), undefined) === "stuck") throw new WouldBlockForever("the SQ is full, and the thread that polls it sleeps");
  }
  return toSubmit | 0;
}

const SIGSET_BYTES = 8;

export interface WaitArg {
  /** How long, or with IORING_ENTER_ABS_TIMER until when. */
  readonly timeNs: bigint | undefined;
  /** How long all of `min_complete` is waited for; after that any completion will do. */
  readonly minWaitNs: bigint;
  /** struct ext_arg: the signal mask that is set for the wait, and its size. */
  readonly sigmask: bigint;
  readonly sigmaskBytes: number;
}

/** io_get_ext_arg */
function readWaitArg(m: Machine, call: EnterCall): WaitArg | number {
  const { addr, size } = call.arg ?? { addr: 0n, size: 0 };
  // [enter.sigmask-argument] without EXT_ARG the argument is the mask
  if ((call.flags & IORING_ENTER_EXT_ARG) === 0) return { timeNs: undefined, minWaitNs: 0n, sigmask: addr, sigmaskBytes: size };
  if ((call.flags & IORING_ENTER_EXT_ARG_REG) !== 0) return registeredWait(m, addr, size);
  // [enter.ext-arg-size]
  if (size !== GETEVENTS_ARG.size) return -EINVAL;
  const bytes = m.memory.read(addr, GETEVENTS_ARG.size);
  if (bytes === undefined) return -EFAULT;
  // [enter.pad-zero] no time to wait yet
  const minWaitUsec = load32(bytes, GETEVENTS_ARG.min_wait_usec);
  if (minWaitUsec !== 0 && obeys(m.profile, "enter.pad-zero")) return -EINVAL;
  const common = {
    minWaitNs: (m.profile.features & IORING_FEAT_MIN_TIMEOUT) === 0 ? 0n : BigInt(minWaitUsec) * 1000n,
    sigmask: load64(bytes, GETEVENTS_ARG.sigmask), sigmaskBytes: load32(bytes, GETEVENTS_ARG.sigmask_sz),
  };
  const ts = load64(bytes, GETEVENTS_ARG.ts);
  if (ts === 0n) return { timeNs: undefined, ...common };
  const ns = readTimespec(m, ts);
  // [enter.bad-timespec-efault]
  if (ns === -EFAULT) return -EFAULT;
  // [enter.timeout-etime] the wait's time is not checked for its sign: one before now has passed
  return { timeNs: typeof ns === "number" ? 0n : ns, ...common };
}

const SIGNAL_BIT = 1n << BigInt(SIGNAL - 1);

/** set_user_sigmask: is there a signal that the mask lets in? Or -errno. [enter.sigmask-checked] */
function setSigmask(m: Machine, { sigmask, sigmaskBytes }: WaitArg): boolean | number {
  // [signal.blocked-waits]
  if (sigmask === 0n) return false;
  if (sigmaskBytes !== SIGSET_BYTES) return -EINVAL;
  const mask = m.memory.read(sigmask, SIGSET_BYTES);
  return mask === undefined ? -EFAULT : m.world.signalled && (load64(mask, 0) & SIGNAL_BIT) === 0n;
}

/** io_cqring_wait */
function getEvents(m: Machine, call: EnterCall): number {
  const arg = readWaitArg(m, call);
  if (typeof arg === "number") return arg;
  const ring = m.ring;
  // [enter.min-complete-unsigned] it was compared so once, and is as a signed number now
  const least = obeys(m.profile, "enter.min-complete-unsigned") ? call.minComplete >>> 0 : call.minComplete | 0;
  let wanted = least;
  // [enter.min-complete-clamped]
  if (wanted > ring.cqEntries) wanted = ring.cqEntries;
  // [taskrun.before-wait]
  if (defersTaskWork(m)) runLocalWork(m, wanted, Math.max(LOCAL_WORK_MAX, wanted));
  if (!hasPollThread(m)) runTaskWork(m);
  // [overflow.flush-getevents] [overflow.getevents-not-busy]
  if (hasBacklog(m)) flushOverflow(m);
  // [enter.counts-unconsumed]
  if (cqVisible(m) >= wanted >>> 0) return 0;
  // [enter.sigmask-when-waiting]
  const signal = setSigmask(m, arg);
  if (typeof signal === "number") return signal;
  const head = load32(ring.ring.bytes, WORD.cqHead);
  const target = (head + wanted) >>> 0;
  const timeoutsSeen = ring.cqTimeouts;
  let done = 0;
  let asleep = false;
  let any = false;
  const missing = (): number => (any ? 1 : (target - load32(m.ring.ring.bytes, WORD.cqTail)) | 0);
  const looksAgain = (): boolean => {
    done = 0;
    if (asleep && sleepsOn(m, missing())) return false;
    if (defersTaskWork(m)) done = runLocalWork(m, missing(), missing());
    if (!hasPollThread(m)) runTaskWork(m);
    // [overflow.flush-getevents]
    if (hasBacklog(m)) flushOverflow(m);
    const reached = ((load32(m.ring.ring.bytes, WORD.cqTail) - target) | 0) >= 0;
    // A timer that fires just now ends the wait, and its task work stays for the next one.
    if (defersTaskWork(m)) m.scheduler.beforeCount(m);
    // [enter.getevents-waits] [timeout.wakes-waiter]
    return reached || m.ring.cqTimeouts !== timeoutsSeen;
  };
  const woken = (): boolean => {
    for (;;) {
      if (looksAgain()) return true;
      if (done === 0 || !hasLocalWork(m)) break;
    }
    asleep = true;
    ring.waitsFor = missing();
    return false;
  };
  // [enter.getevents-waits]
  const end = deadline(m, arg, call.flags);
  const first = arg.minWaitNs === 0n ? end : { earliestNs: m.nowNs + arg.minWaitNs, latestNs: m.untilNs + arg.minWaitNs };
  let ended = signal ? interrupted(m, looksAgain) : m.scheduler.wait(m, woken, first);
  // [enter.min-wait-full] [enter.min-wait-alone] [enter.min-wait-beyond-timeout]
  if (ended === "timeout" && arg.minWaitNs !== 0n && end !== undefined && !hasAny(m)) {
    // [enter.min-wait-then-any]
    any = true;
    ended = m.scheduler.wait(m, () => woken() || hasAny(m), end);
  }
  if (ended === "timeout") runLate(m, missing());
  // [liveness.blocks]
  if (ended === "stuck")
    throw new WouldBlockForever(`it waits for ${wanted} completions, ${cqVisible(m)} are there, and nothing is under way`);
  if (ended === "done") return 0;
  // [enter.timeout-with-cqes] [signal.cqes-win]
  if (cqVisible(m) !== 0) return 0;
  // [enter.timeout-etime] [signal.interrupts-wait]
  return ended === "timeout" ? -ETIME : -EINTR;
}

/**
 * io_cqring_wait_schedule, where a signal is there that the mask lets in: the thread does not sleep, however short
 * its time. Work that is pending is done first, and where that brings enough the signal stays for another time.
 * [signal.before-timeout] [signal.work-first]
 */
function interrupted(m: Machine, looksAgain: () => boolean): "done" | "signal" {
  m.scheduler.before(m, () => ({ reads: ["cq"], writes: [] }));
  const worksOn = (): boolean => hasLocalWork(m) || (!hasPollThread(m) && m.taskWorks.length > 0);
  const { ring } = m;
  const left = (): string => JSON.stringify([ring.overflow.length, progress(m, ring.localWork), progress(m, ring.retryWork), progress(m, m.taskList), m.taskWorks.length]);
  while (hasBacklog(m) || worksOn()) {
    const before = left();
    if (looksAgain()) return "done";
    if (left() !== before) continue;
    // What is left turned out not to have been queued yet.
    if (worksOn()) break;
    throw new WouldBlockForever("its backlog has no room, and the thread looks again and again");
  }
  // Work that came too late to keep the thread from giving up is done all the same.
  m.scheduler.before(m, () => ({ reads: ["cq"], writes: [] }));
  if (worksOn()) looksAgain();
  // [signal.taken]
  m.world.signalled = false;
  return "signal";
}

/** A list of task work, and how far what is tried again and again has come. */
const progress = (m: Machine, list: readonly number[]): readonly string[] => list.map((id) => `${id}:${m.request(id).pollRetries}`);

/** Completions of any kind, or what may bring them: then the first part of a wait in two is all of it. */
const hasAny = (m: Machine): boolean => cqVisible(m) > 0 || hasBacklog(m) || (defersTaskWork(m) && hasLocalWork(m));

/**
 * Does the thread sleep on, though there is task work? It was not woken by it, where that came after it had gone
 * to sleep. [taskrun.defer-lazy-wake]
 */
function sleepsOn(m: Machine, wanted: number): boolean {
  if (!defersTaskWork(m) || !hasLocalWork(m) || wakesWaiter(m, wanted)) return false;
  return m.scheduler.choose(m, "taskrun.lazy-wake", ["sleeps on", "awake"]) === 0;
}

/** The time is over: what was queued meanwhile runs, and what it starts comes after the wait. [taskrun.defer-at-timeout] */
function runLate(m: Machine, wanted: number): void {
  if (defersTaskWork(m)) runLocalWork(m, wanted, wanted);
  if (!hasPollThread(m)) runTaskWork(m);
}

/** [enter.abs-timer] */
function deadline(m: Machine, { timeNs }: WaitArg, flags: number): WaitDeadline | undefined {
  if (timeNs === undefined) return undefined;
  if ((flags & IORING_ENTER_ABS_TIMER) === 0) return { earliestNs: m.nowNs + timeNs, latestNs: m.untilNs + timeNs };
  if (m.ring.clock !== CLOCK_MONOTONIC) throw new Unmodelled("an absolute wait by CLOCK_BOOTTIME");
  return { earliestNs: timeNs > m.nowNs ? timeNs : m.nowNs, latestNs: timeNs };
}

/** io_uring_register: its result or -errno. */
export function register(m: Machine, opcode: number, arg: bigint | number | null, nrArgs: number, index?: number): number {
  m.inCall = !hasPollThread(m);
  try {
    const result = registerOn(m, opcode, BigInt(arg ?? 0), nrArgs, index);
    leaveCall(m);
    return result;
  } finally {
    m.inCall = false;
  }
}
