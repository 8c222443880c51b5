// The backlog while a trace is followed: workers and timers put completions there in an order that shows
// only when it is flushed.
import { cqRoom } from "../model/completion.ts";
import type { Backlogged, Machine } from "../model/machine.ts";

/** What is posted now goes to the backlog. */
export const isFull = (m: Machine): boolean => cqRoom(m) === 0;

/** Who may be first in the backlog once `flushed` have left it: the first whose place is certain, and those that may be in front of it. */
export function eligible(overflow: readonly Backlogged[], flushed: number): number[] {
  const may: number[] = [];
  const groups = new Set<number>();
  let certain = false;
  for (const [i, { from, group }] of overflow.entries()) {
    const inFront = from === undefined ? !certain : from <= flushed;
    certain ||= from === undefined;
    if (inFront && !(group !== 0 && groups.has(group))) may.push(i);
    groups.add(group);
  }
  return may;
}
