// What must come with no more input: the candidate is forked and everything that can happen happens.
import type { Machine } from "../model/machine.ts";
import { hasLocalWork, LOCAL_WORK_MAX, runLocalWork } from "../model/task-work.ts";
import { advance, nextTimer, Simulation } from "../model/simulate.ts";

/** More than this is never asked for: it is bounded by the CQ's size. */
const DUE_MAX = 4096;

/** Completions that come on a fair run, the backlog included, timers within the horizon included. */
export function dueCompletions(m: Machine, horizonNs: bigint): number {
  if (!m.hasRing) return 0;
  const f = m.fork();
  const simulation = new Simulation();
  f.scheduler = simulation;
  const limit = f.untilNs + horizonNs;
  advance(f, f.untilNs);
  const count = (): number => ((f.ring.cachedCqTail - m.ring.cachedCqTail) >>> 0) + f.ring.overflow.length;
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
