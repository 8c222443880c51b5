// Changes of the completion queue: what is in it, and in which order. Where a completion goes or comes, what follows
// is as the application would have seen it: later tails and slots are moved, and cq.head never passes the tail.
import { IORING_SETUP_CQE_MIXED } from "../../src/spec/constants.gen.ts";
import type { PeekEvent, SeenCqe, SetupEvent, StoreEvent, TraceEvent } from "../../src/program/trace.ts";
import type { Change, Mutator } from "./mutate.ts";
import { completions, replaced, type CqePlace } from "./place.ts";

type Opened = SetupEvent & { readonly filled: NonNullable<SetupEvent["filled"]> };

function openedRing(events: readonly TraceEvent[]): Opened | undefined {
  return events.find((event): event is Opened => event.event === "setup" && event.filled !== undefined);
}

const bodyOf = ({ userData, res, flags, big }: SeenCqe): Omit<SeenCqe, "slot"> => ({ userData, res, flags, ...(big === undefined ? {} : { big }) });
const alike = (a: SeenCqe, b: SeenCqe): boolean =>
  a.userData === b.userData && a.res === b.res && a.flags === b.flags && a.big?.[0] === b.big?.[0] && a.big?.[1] === b.big?.[1];
const name = ({ userData, res, flags }: SeenCqe): string => `{0x${userData.toString(16)} ${res} 0x${flags.toString(16)}}`;

/** Do two completions take as many slots, so that they can change places? */
const sameSize = (a: SeenCqe, b: SeenCqe): boolean => (a.big === undefined) === (b.big === undefined);

export const order: Mutator = (events, draw) => {
  const places = completions(events);
  const pairs = places.flatMap((first, i): (readonly [CqePlace, CqePlace])[] => {
    // Its neighbour wherever that was seen, and whatever was seen with it.
    const others = places.slice(i + 1).filter((second, ahead) => ahead === 0 || second.at === first.at);
    return others.filter(({ cqe }) => !alike(first.cqe, cqe) && sameSize(first.cqe, cqe)).map((second) => [first, second] as const);
  });
  const pair = draw.pick(pairs);
  if (pair === undefined) return undefined;
  const [first, second] = pair;
  const put = (all: readonly TraceEvent[], { at, index, cqe }: CqePlace, body: SeenCqe): readonly TraceEvent[] => {
    const event = all[at];
    if (event?.event !== "peek") return all;
    return replaced(all, at, { ...event, cqes: event.cqes.map((old, i) => (i === index ? { slot: cqe.slot, ...bodyOf(body) } : old)) });
  };
  const changed = put(put(events, first, second.cqe), second, first.cqe);
  const where = first.at === second.at ? `cqes.${second.index}` : `cqes.${second.index} of event ${second.at}`;
  return { at: first.at, what: `cqes.${first.index} ${name(first.cqe)} and ${where} ${name(second.cqe)} changed places`, events: changed };
};

/** Everything from event `from` on with the tail moved by this much, and `change` done to the completions of that event. */
function shifted(events: readonly TraceEvent[], opened: Opened, from: number, by: number, change: (cqes: readonly SeenCqe[]) => readonly SeenCqe[]): TraceEvent[] {
  const { cqOff, cqEntries } = opened.filled;
  const mixed = (opened.filled.flags & IORING_SETUP_CQE_MIXED) !== 0;
  let tail = 0;
  const peeked = (event: PeekEvent, cqes: readonly SeenCqe[]): PeekEvent => {
    tail = (event.cqTail + by) >>> 0;
    const slots = cqes.reduce((sum, { big }) => sum + (mixed && big !== undefined ? 2 : 1), 0);
    let slot = tail - slots;
    const numbered = cqes.map((cqe): SeenCqe => {
      const here = { slot: (slot & (cqEntries - 1)) >>> 0, ...bodyOf(cqe) };
      slot += mixed && cqe.big !== undefined ? 2 : 1;
      return here;
    });
    return { ...event, cqTail: tail, cqes: numbered, words: event.words.map((word, i) => (i === cqOff.tail >>> 2 ? tail : word)) };
  };
  // An application that looks at what it saw takes out no more than that.
  const taken = (event: StoreEvent): StoreEvent => {
    const head = new DataView(event.bytes.buffer, event.bytes.byteOffset).getUint32(0, true);
    if (((tail - head) | 0) >= 0) return event;
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, tail, true);
    return { ...event, bytes };
  };
  let head = -1;
  return events.map((event, at) => {
    if (at < from) return event;
    if (event.event === "peek") {
      const peek = peeked(event, at === from ? change(event.cqes) : event.cqes);
      return head < 0 ? peek : { ...peek, words: peek.words.map((word, i) => (i === cqOff.head >>> 2 ? head : word)) };
    }
    if (event.event !== "store" || event.region !== "ring" || event.at !== cqOff.head || event.bytes.length !== 4) return event;
    const store = taken(event);
    head = store === event ? -1 : tail;
    return store;
  });
}

function moved(events: readonly TraceEvent[], place: CqePlace | undefined, by: 1 | -1): Change | undefined {
  const opened = openedRing(events);
  if (place === undefined || opened === undefined) return undefined;
  const size = (opened.filled.flags & IORING_SETUP_CQE_MIXED) !== 0 && place.cqe.big !== undefined ? 2 : 1;
  const change = (cqes: readonly SeenCqe[]): readonly SeenCqe[] =>
    cqes.flatMap((cqe, i) => (i !== place.index ? [cqe] : by > 0 ? [cqe, cqe] : []));
  const what = `cqes.${place.index} ${name(place.cqe)} was posted ${by > 0 ? "twice" : "never"}`;
  return { at: place.at, what, events: shifted(events, opened, place.at, by * size, change) };
}

export const missing: Mutator = (events, draw) => moved(events, draw.pick(completions(events)), -1);
export const doubled: Mutator = (events, draw) => moved(events, draw.pick(completions(events)), 1);

/** Only what the look shows is changed: the tail is as it was. */
function looked(events: readonly TraceEvent[], place: CqePlace | undefined, times: 0 | 2): Change | undefined {
  const event = place === undefined ? undefined : events[place.at];
  if (place === undefined || event?.event !== "peek") return undefined;
  const cqes = event.cqes.flatMap((cqe, i) => (i === place.index ? Array.from({ length: times }, () => cqe) : [cqe]));
  const what = `cqes.${place.index} ${name(place.cqe)} was ${times === 0 ? "left out" : "loaded twice"}`;
  return { at: place.at, what, events: replaced(events, place.at, { ...event, cqes }) };
}

export const hidden: Mutator = (events, draw) => looked(events, draw.pick(completions(events)), 0);
export const repeated: Mutator = (events, draw) => looked(events, draw.pick(completions(events)), 2);
