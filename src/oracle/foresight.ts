// What the rest of a trace shows of completions that go to the backlog. Nothing shows of them when they go there, but
// the backlog is a queue: each is seen before the ring is seen without one. A search that starts again knows the trace
// as far as the one before it came, and need not follow a run that puts something else there.
import { IORING_SQ_CQ_OVERFLOW } from "../spec/constants.gen.ts";
import { isFull } from "./backlog.ts";
import type { Cqe, Machine } from "../model/machine.ts";
import { same } from "./expectation.ts";
import { WORD } from "../model/layout.ts";
import type { SeenCqe, TraceEvent } from "../program/trace.ts";

/** What is seen from one window on. */
export interface Ahead {
  /** cq.tail as it was seen last. */
  readonly tail: number;
  /** Completions, in the order in which they were seen. */
  readonly cqes: readonly SeenCqe[];
  /** The first `emptied` of them are all that the backlog can have held: it was empty then. */
  readonly emptied: number | undefined;
}

/** The part of a trace that is about one ring. */
interface Part {
  readonly first: number;
  readonly cqes: SeenCqe[];
  /** For each event from the first on: how many completions were seen before it, and the tail. */
  readonly before: { readonly count: number; readonly tail: number }[];
  /** Peeks that saw no backlog, and how many completions had been seen one peek later. */
  readonly emptied: { readonly at: number; readonly count: number }[];
  usable: boolean;
}

export class Foresight {
  private readonly parts: Part[] = [];

  constructor(events: readonly TraceEvent[]) {
    let tail = 0;
    let empty: number | undefined;
    for (const [at, event] of events.entries()) {
      if (event.event === "setup" && event.result >= 0) {
        this.parts.push({ first: at, cqes: [], before: [], emptied: [], usable: true });
        tail = 0;
        empty = undefined;
      }
      const part = this.parts.at(-1);
      if (part === undefined) continue;
      part.before.push({ count: part.cqes.length, tail });
      // What the flag says is the kernel's word only while nobody else writes it.
      if (event.event === "store" && event.region === "ring" && touches(event.at, event.bytes.length, WORD.sqFlags)) part.usable = false;
      if (event.event !== "peek") continue;
      if (event.cqes.length === (event.cqTail - tail) >>> 0) part.cqes.push(...event.cqes);
      else part.usable = false;
      tail = event.cqTail;
      if (empty !== undefined) part.emptied.push({ at: empty, count: part.cqes.length });
      empty = ((event.words[WORD.sqFlags / 4] ?? 0) & IORING_SQ_CQ_OVERFLOW) === 0 ? at : undefined;
    }
  }

  /** What is seen from the window on that ends with event `at`; undefined where that can't be told. */
  from(at: number): Ahead | undefined {
    const part = this.parts.findLast((p) => p.first <= at);
    const seen = part?.before[at - part.first];
    if (part === undefined || seen === undefined || !part.usable) return undefined;
    const emptied = part.emptied.find((e) => e.at >= at);
    return { tail: seen.tail, cqes: part.cqes.slice(seen.count), emptied: emptied === undefined ? undefined : emptied.count - seen.count };
  }
}

const touches = (at: number, length: number, word: number): boolean => at < word + 4 && at + length > word;

const postedSince = (ahead: Ahead, m: Machine): number => (m.ring.cachedCqTail - ahead.tail) >>> 0;

/** What goes to the backlog next, where nothing that is there came later than it seems. */
export const queuedNext = (ahead: Ahead, m: Machine): Cqe | undefined =>
  isFull(m) ? ahead.cqes[postedSince(ahead, m) + m.ring.overflow.length] : undefined;

/** Does the rest of the trace show that `cqe` does not go to the backlog now? */
export function excludes(ahead: Ahead, m: Machine, cqe: Cqe): boolean {
  const { overflow } = m.ring;
  const posted = postedSince(ahead, m);
  // What turns out to have come before it is of requests that are there: while the CQ is full, one each.
  const last = posted + overflow.length + m.requests.size + 1;
  const shown = ahead.emptied ?? (last <= ahead.cqes.length ? last : undefined);
  if (shown === undefined) return false;
  const queued = overflow.filter((c) => same(c, cqe)).length;
  return ahead.cqes.slice(posted, shown).filter((c) => same(c, cqe)).length <= queued;
}
