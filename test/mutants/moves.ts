// Changes of when things happen. A completion is seen a look sooner than it was, or a look later; or a call takes no
// time, and all behind it is as much earlier. What is seen in all stays the same. A model that is made to do at once what
// takes a wait, or the other way round, calls these legal.
import type { EnterEvent, PeekEvent, SeenCqe, TraceEvent } from "../../src/program/trace.ts";
import { Draw } from "../attack/draw.ts";

type Looks = readonly [first: number, second: number];

/** The same look with these completions, and its tail moved by `by`. */
function withCqes(peek: PeekEvent, tailWord: number, cqes: readonly SeenCqe[], by: number): PeekEvent {
  const cqTail = (peek.cqTail + by) >>> 0;
  return { ...peek, cqTail, cqes, words: peek.words.map((word, i) => (i === tailWord ? cqTail : word)) };
}

/** Moves one completion from a look to its neighbour; undefined where no look has one that can be moved. */
export function move(events: readonly TraceEvent[], kind: "sooner" | "later", seed: number): TraceEvent[] | undefined {
  const opened = events.find((event) => event.event === "setup" && event.filled !== undefined);
  if (opened?.event !== "setup" || opened.filled === undefined) return undefined;
  const { cqOff } = opened.filled;
  const looks = events.flatMap((event, at) => (event.event === "peek" ? [at] : []));
  const neighbours = looks.slice(1).map((second, i): Looks => [looks[i] ?? 0, second]);
  // What the application took out by then it had seen.
  const takes = ([first, second]: Looks): boolean => events.slice(first, second).some((event) => event.event === "store" && event.region === "ring" && event.at === cqOff.head);
  const can = neighbours.filter((pair) => {
    const from = events[kind === "sooner" ? pair[1] : pair[0]];
    return from?.event === "peek" && from.cqes.length > 0 && from.cqes.every(({ big }) => big === undefined) && !(kind === "later" && takes(pair));
  });
  const pair = new Draw(seed).pick(can);
  const [first, second] = pair === undefined ? [] : [events[pair[0]], events[pair[1]]];
  if (pair === undefined || first?.event !== "peek" || second?.event !== "peek") return undefined;
  const changed = [...events];
  const word = cqOff.tail >>> 2;
  if (kind === "sooner") {
    changed[pair[0]] = withCqes(first, word, [...first.cqes, ...second.cqes.slice(0, 1)], 1);
    changed[pair[1]] = withCqes(second, word, second.cqes.slice(1), 0);
  } else {
    changed[pair[0]] = withCqes(first, word, first.cqes.slice(0, -1), -1);
    changed[pair[1]] = withCqes(second, word, [...first.cqes.slice(-1), ...second.cqes], 0);
  }
  return changed;
}

const SHORT_NS = 1000n;
const LONG_NS = 1_000_000n;

/**
 * One io_uring_enter that took a millisecond or more takes a microsecond: that with number `nth`, those that failed in
 * front, for a time that is over too soon says most. Undefined where there is none.
 */
export function hasten(events: readonly TraceEvent[], nth: number): TraceEvent[] | undefined {
  const slow = events.filter((event): event is EnterEvent => event.event === "enter" && event.to - event.from >= LONG_NS);
  const wait = slow.toSorted((a, b) => Math.min(a.result ?? 0, 0) - Math.min(b.result ?? 0, 0))[nth];
  if (wait === undefined) return undefined;
  const saved = wait.to - wait.from - SHORT_NS;
  const at = events.indexOf(wait);
  return events.map((event, i) => {
    if (i < at) return event;
    return i === at ? { ...wait, to: wait.to - saved } : { ...event, from: event.from - saved, to: event.to - saved };
  });
}
