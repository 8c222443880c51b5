// In which order task work that came from beside the thread was queued, as far as the completions that were seen tell.
import { cqeOf, cqRoom } from "../model/completion.ts";
import { isFull } from "./backlog.ts";
import type { Machine } from "../model/machine.ts";
import { REQ, type Request } from "../model/request.ts";
import { tied } from "./dependence.ts";
import { type Expectation, same } from "./expectation.ts";
import { completes } from "./relevant.ts";

/**
 * Workers' task work comes in the order that shows, where nothing ties the steps that queued it together. `isThere`: asked
 * of what shows nowhere in a window that fills the CQ, for it may have gone to the backlog.
 */
export function nextTask(m: Machine, expected: Expectation, isThere: () => boolean): number | undefined {
  const list = m.running.map((id) => m.request(id));
  if (list[0] !== undefined && comesLater(m, expected, list[0]) && !(expected.missing >= cqRoom(m) && isThere())) {
    const first = list.findIndex((r, i) => !comesLater(m, expected, r) && !list.slice(0, i).some((other) => tied(r, other)));
    return first < 0 ? undefined : first;
  }
  if (list.length === 1) return 0;
  const shown = expected.upcoming(m.ring.completing.filter((id) => (m.request(id).flags & REQ.CQE_SKIP) === 0).length);
  if (shown === undefined) return 0;
  const at = list.findIndex((r) => completes(r) && same(shown, cqeOf(r)));
  if (at <= 0) return 0;
  const found = list[at];
  if (found?.floating !== true || list.slice(0, at).some((other) => tied(found, other))) return 0;
  return at;
}

/** Queued from beside the thread, and its completion shows in no place of this window. */
function comesLater(m: Machine, expected: Expectation, r: Request): boolean {
  if (!r.floating || !completes(r) || expected.open || isFull(m)) return false;
  return (r.taskWork === "cancel" || (r.flags & REQ.CQE_SKIP) === 0) && !expected.awaits(r);
}
