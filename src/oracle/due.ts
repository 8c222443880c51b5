// What must come with no more input: the candidate is forked and everything that can happen happens.
import { Unmodelled, WouldBlockForever } from "../kernel.ts";
import { cqPending, flushOverflow, isLong } from "../model/completion.ts";
import { enter } from "../model/enter.ts";
import type { Machine } from "../model/machine.ts";
import { defersTaskWork, hasLocalWork, LOCAL_WORK_MAX, runLocalWork, wakesWaiter } from "../model/task-work.ts";
import { advance, nextTimer, Simulation } from "../model/simulate.ts";
import type { EnterEvent } from "../program/trace.ts";

/** A wait that took this long lasts for ever, as far as who waits is concerned. */
export const WATCHDOG_HIT_NS = 400_000_000n;

/** More than this is never asked for: it is bounded by the CQ's size. */
const DUE_MAX = 4096;

/** Completions that come on a fair run, the backlog included, timers within the horizon of `fromNs` included. */
export function dueCompletions(m: Machine, horizonNs: bigint, fromNs = m.untilNs): number {
  if (!m.hasRing) return 0;
  const f = m.fork();
  f.untilNs = fromNs;
  const simulation = new Simulation();
  f.scheduler = simulation;
  const limit = f.untilNs + horizonNs;
  advance(f, f.untilNs);
  const count = (): number => ((f.ring.cachedCqTail - m.ring.cachedCqTail) >>> 0) + fromBacklog(f);
  for (;;) {
    simulation.settle(f);
    // The wait for them asks for completions.
    if (hasLocalWork(f)) {
      runLocalWork(f, LOCAL_WORK_MAX, LOCAL_WORK_MAX);
      continue;
    }
    const timer = nextTimer(f);
    if (timer === undefined || timer > limit || count() > DUE_MAX) return count();
    advance(f, timer);
  }
}

/** The same; 0 where what comes is not known. */
export function dueIfKnown(m: Machine, horizonNs: bigint): number {
  try {
    return dueCompletions(m, horizonNs);
  } catch (error) {
    if (!(error instanceof Unmodelled)) throw error;
    return 0;
  }
}

/**
 * How much of the backlog a wait may be asked for: all of it, since the CQ is emptied first where it is full; but what is
 * behind a long CQE for which there is one slot comes in no wait. [cq.mixed-livelock]
 */
function fromBacklog(m: Machine): number {
  if (!m.ring.overflow.some(isLong)) return m.ring.overflow.length;
  const f = m.fork();
  f.scheduler = new Simulation();
  flushOverflow(f);
  const flushed = (f.ring.cachedCqTail - m.ring.cachedCqTail) >>> 0;
  return cqPending(f) < f.ring.cqEntries ? flushed : flushed + f.ring.overflow.length;
}

/** The time of a wait is over: what is there now is kept, for the end of the wait may set more going. */
export function timedOut(m: Machine): "timeout" {
  m.atTimeout = defersTaskWork(m) ? m.fork() : undefined;
  return "timeout";
}

/**
 * A watchdog ended a wait: was something overdue that should have ended it? On a ring that defers task work only
 * what wakes the thread is, and what the end of the wait set going is not. [liveness.due] [taskrun.defer-at-timeout]
 */
export function isOverdue(m: Machine): boolean {
  if (m.atTimeout === undefined) return dueCompletions(m, 0n) > 0;
  const f = m.atTimeout.fork();
  const simulation = new Simulation();
  f.scheduler = simulation;
  advance(f, f.untilNs);
  simulation.settle(f);
  return hasLocalWork(f) && wakesWaiter(f, f.ring.waitsFor);
}

/** From this state, on a fair run: does this call never return, or only when a timer ends that nobody waits for? */
export function wouldBlock(state: Machine, call: EnterEvent): boolean {
  const f = state.fork();
  f.scheduler = new Simulation();
  try {
    const begun = f.nowNs;
    enter(f, { toSubmit: call.toSubmit, minComplete: call.minComplete, flags: call.flags, arg: call.arg, index: call.index });
    return f.nowNs - begun > WATCHDOG_HIT_NS;
  } catch (error) {
    if (error instanceof WouldBlockForever) return true;
    if (error instanceof Unmodelled) return false;
    throw error;
  }
}
