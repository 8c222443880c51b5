// Places of a trace that can be changed, and traces with one event in another's place.
import type { PeekEvent, SeenCqe, TraceEvent } from "../../src/program/trace.ts";
import type { Change } from "./mutate.ts";

/** A completion in a trace: that with this number in the peek with that number. */
export interface CqePlace {
  readonly at: number;
  readonly index: number;
  readonly cqe: SeenCqe;
}

export function completions(events: readonly TraceEvent[]): CqePlace[] {
  return events.flatMap((event, at) => (event.event === "peek" ? event.cqes.map((cqe, index) => ({ at, index, cqe })) : []));
}

/** Numbers of the events of a kind. */
export function numbersOf(events: readonly TraceEvent[], ...kinds: readonly TraceEvent["event"][]): number[] {
  return events.flatMap((event, at) => (kinds.includes(event.event) ? [at] : []));
}

export function replaced(events: readonly TraceEvent[], at: number, event: TraceEvent): TraceEvent[] {
  const changed = [...events];
  changed[at] = event;
  return changed;
}

/** The trace with another completion in this place. */
export function withCqe(events: readonly TraceEvent[], { at, index }: CqePlace, cqe: SeenCqe, what: string): Change | undefined {
  const event = events[at];
  if (event?.event !== "peek") return undefined;
  const peek: PeekEvent = { ...event, cqes: event.cqes.map((old, i) => (i === index ? cqe : old)) };
  return { at, what: `cqes.${index}.${what}`, events: replaced(events, at, peek) };
}
