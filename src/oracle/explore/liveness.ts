// What must come of its own accord, from a state of an exploration on.
import { hasBacklog } from "../../model/completion.ts";
import type { Machine } from "../../model/machine.ts";
import { hasPollThread } from "../../model/sqpoll.ts";
import { defersTaskWork, hasLocalWork, wakesWaiter } from "../../model/task-work.ts";
import { HORIZON_NS } from "../../program/interpreter.ts";
import { dueCompletions } from "../due.ts";

/** What must come, as the observer of a run reckons it: from now on, and no timer that takes longer than the horizon. */
export function dueNow(m: Machine): number {
  if (!hasPollThread(m) && openRequests(m) === 0 && !hasBacklog(m)) return 0;
  return dueCompletions(m, HORIZON_NS, m.nowNs);
}

export function openRequests(m: Machine): number {
  let open = 0;
  for (const r of m.requests.values()) if (r.state !== "done") open++;
  return open;
}

/** A wait that nothing can end: was there something that should have? On a ring that defers task work, what wakes the thread. */
export const isOverdueNow = (m: Machine): boolean =>
  defersTaskWork(m) ? hasLocalWork(m) && wakesWaiter(m, m.ring.waitsFor) : dueNow(m) > 0;
