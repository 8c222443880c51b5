// The backlog while a trace is followed: workers and timers put completions there in an order that shows
// only when it is flushed.
import { cqRoom } from "../model/completion.ts";
import type { Backlogged, Machine } from "../model/machine.ts";

/** What is posted now goes to the backlog. */
export const isFull = (m: Machine): boolean => cqRoom(m) === 0;

/** Who may be first in the backlog once `flushed` have left it: the first whose place is certain, and those that may be in front of it. */
export function eligible(overflow: readonly Backlogged[], flushed: number): number[] {
  const first = overflow.findIndex((c) => c.from === undefined);
  return overflow.flatMap((c, i) => {
    const inFront = c.from === undefined ? i === first : c.from <= flushed;
    const led = c.group !== 0 && overflow.slice(0, i).some((other) => other.group === c.group);
    return inFront && !led ? [i] : [];
  });
}
