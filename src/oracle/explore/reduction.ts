// What an exploration need not try, for it comes to what is tried anyway: two of the kernel's steps that can't be told
// apart by their order are taken in one order (sleep sets, Godefroid), and a request that is over and that nobody
// waits for is freed at once. Neither leaves out a state that shows.
import { conflicts, footprint } from "../../model/footprint.ts";
import type { Machine } from "../../model/machine.ts";
import { REQ } from "../../model/request.ts";
import { isPollStep, stepId, type Step } from "../../model/steps.ts";
import { hasPollThread } from "../../model/sqpoll.ts";
import { onlyFrees } from "../relevant.ts";
import { mayWake } from "../dependence.ts";

/** Steps that were taken first in another branch, by number. */
export type Asleep = ReadonlyMap<number, Step>;
export const NOBODY: Asleep = new Map();

/** Does the order of the two show, or could it? More careful than the oracle's: a pair that it does not know is ordered. */
function ordered(m: Machine, a: Step, b: Step): boolean {
  // A posting signals it, and whoever reads it, or waits for it, sees how often.
  if (a.request === b.request || m.ring.eventfd !== undefined) return true;
  for (const s of [a, b]) {
    if (isPollStep(s) || s.kind === "task-work" || s.kind === "expire") return true;
    // A successor is queued, a counter moves, a backlog grows.
    if (m.request(s.request).link !== 0) return true;
  }
  if (a.kind === "post" && b.kind === "post") return true;
  if (a.kind === "effect" && b.kind === "effect") {
    return (mayWake(m, a) && mayWake(m, b)) || conflicts(footprint(m, m.request(a.request)), footprint(m, m.request(b.request)));
  }
  return m.ring.offTimeoutUsed || mayWake(m, a.kind === "effect" ? a : b);
}

/** Those that sleep on once `taken` is taken, where `before` were tried before it. */
export function asleepAfter(m: Machine, asleep: Asleep, before: readonly Step[], taken: Step): Asleep {
  if (asleep.size + before.length === 0) return NOBODY;
  let next: Map<number, Step> | undefined;
  for (const s of [...asleep.values(), ...before]) if (!ordered(m, s, taken)) (next ??= new Map()).set(stepId(s), s);
  return next ?? NOBODY;
}

/**
 * Is the task work that is pending nothing but the end of requests that have completed? Not where a drain may come:
 * that waits for the end of requests. [drain.counts-requests]
 */
export function onlyEnds(m: Machine, drains: boolean): boolean {
  return !drains && m.taskWorks.length === 1 && !hasPollThread(m) && !m.ring.offTimeoutUsed && m.ring.eventfd === undefined && m.taskList.length > 0 && onlyFrees(m);
}

/** A cut in a run of task work that posts nothing and starts nothing does not show. */
export function cutShows(m: Machine): boolean {
  const { ring } = m;
  if (ring.cqFlush || ring.drainActive || ring.offTimeoutUsed || ring.eventfd !== undefined) return true;
  return ring.completing.some((id) => {
    const r = m.request(id);
    return (r.flags & REQ.CQE_SKIP) === 0 || r.link !== 0 || (r.file !== 0 && m.world.file(r.file).refs === 1);
  });
}
