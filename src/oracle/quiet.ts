// Is anything under way beside the application's thread? Where nothing is, there is no order to search.
import { retriesAtOnce } from "../model/poll.ts";
import type { Machine } from "../model/machine.ts";
import { hasPollThread, mayRunTaskWork, pollThreadMoves } from "../model/sqpoll.ts";
import { dueTimers } from "../model/steps.ts";

/** Is any armed? */
export const hasTimers = (m: Machine): boolean => m.hasRing && m.ring.timeouts.length + m.ring.linkTimeouts.length > 0;

const anyDue = (m: Machine): boolean => hasTimers(m) && dueTimers(m).length > 0;

/** Workers or due timers: what another order of things could come from. */
export function racing(m: Machine): boolean {
  for (const r of m.requests.values()) if (r.state === "queued" || r.state === "effected") return true;
  return m.ring.backlogUnknown || anyDue(m) || pollThreadMoves(m);
}

/** Nothing could have happened since the last look. */
export function isQuiet(m: Machine): boolean {
  if (m.taskWorks.length > 0 || m.ring.backlogUnknown || anyDue(m) || pollThreadMoves(m)) return false;
  for (const r of m.requests.values()) if (r.state === "queued" || r.state === "effected") return false;
  return true;
}

/** Is anything under way beside the application's thread? */
export function anythingMoves(m: Machine): boolean {
  if (m.taskWorks.length > 0 || pollThreadMoves(m) || hasTimers(m) || (m.hasRing && m.ring.backlogUnknown)) return true;
  for (const r of m.requests.values()) if (r.state === "queued" || r.state === "effected") return true;
  return false;
}

/** Is the only task work of a thread that polls a request's next try out of many, to no avail so far? [sqpoll.task-work] */
export function onlyPolls(m: Machine): boolean {
  const [id = 0] = m.taskList;
  if (m.taskList.length !== 1 || m.taskWorks.length !== 1 || !hasPollThread(m) || !mayRunTaskWork(m)) return false;
  const r = m.request(id);
  return r.taskWork === "submit" && retriesAtOnce(r);
}
