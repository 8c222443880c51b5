// Changes of what else was seen: what calls returned, words of the ring, bytes of memory and files.
import type { IoUringParams } from "../../src/kernel.ts";
import { IORING_SQ_CQ_OVERFLOW, IORING_SQ_NEED_WAKEUP, IORING_SQ_TASKRUN } from "../../src/spec/constants.gen.ts";
import type { SetupEvent, SystemEvent, TraceEvent } from "../../src/program/trace.ts";
import { otherResult } from "./completion.ts";
import type { Draw } from "./draw.ts";
import type { Change, Mutator } from "./mutate.ts";
import { numbersOf, replaced } from "./place.ts";

/** Calls whose result, where it is none of errno, is the number of a new descriptor: any that is free is right. */
const OPENS: ReadonlySet<SystemEvent["request"]["call"]> = new Set(["open", "pipe", "eventfd", "dup"]);

function other(draw: Draw, old: number, opens: boolean): number {
  for (;;) {
    const drawn = otherResult(draw, old);
    if (!opens || drawn < 0) return drawn;
  }
}

/** With the bytes and the second descriptor that such a result has. */
function system(event: SystemEvent, result: number): SystemEvent {
  const { second, bytes, ...rest } = event;
  const brought = Math.max(result, 0);
  const read = bytes === undefined ? {} : { bytes: Uint8Array.from({ length: brought }, (_, i) => bytes[i] ?? 0) };
  return { ...rest, result, ...read, ...(second === undefined || result < 0 ? {} : { second }) };
}

const FILLED = ["sqEntries", "cqEntries", "flags", "features"] as const;

function setup(draw: Draw, event: SetupEvent): [SetupEvent, string] | undefined {
  const { filled } = event;
  if (filled === undefined) {
    const errno = other(draw, event.result, true);
    return [{ ...event, result: errno }, `result: ${event.result} is now ${errno}`];
  }
  const field = draw.pick(FILLED);
  if (field === undefined) return undefined;
  const value = (filled[field] ^ (1 << draw.below(8))) >>> 0;
  const changed: IoUringParams = { ...filled, [field]: value };
  return [{ ...event, filled: changed }, `filled.${field}: ${filled[field]} is now ${value}`];
}

export const result: Mutator = (events, draw): Change | undefined => {
  const at = draw.pick(numbersOf(events, "setup", "enter", "register", "system"));
  const event = at === undefined ? undefined : events[at];
  if (at === undefined || event === undefined) return undefined;
  if (event.event === "setup") {
    const changed = setup(draw, event);
    return changed === undefined ? undefined : { at, what: changed[1], events: replaced(events, at, changed[0]) };
  }
  if (event.event !== "enter" && event.event !== "register" && event.event !== "system") return undefined;
  if (event.result === undefined) return undefined;
  const value = other(draw, event.result, event.event === "system" && OPENS.has(event.request.call));
  const changed = event.event === "system" ? system(event, value) : { ...event, result: value };
  return { at, what: `${event.event === "system" ? event.request.call : event.event}: result ${event.result} is now ${value}`, events: replaced(events, at, changed) };
};

const SQ_FLAGS = [IORING_SQ_NEED_WAKEUP, IORING_SQ_CQ_OVERFLOW, IORING_SQ_TASKRUN];

export const word: Mutator = (events, draw): Change | undefined => {
  const at = draw.pick(numbersOf(events, "peek"));
  const event = at === undefined ? undefined : events[at];
  const filled = events.find((e) => e.event === "setup" && e.filled !== undefined);
  if (at === undefined || event?.event !== "peek" || filled?.event !== "setup" || filled.filled === undefined) return undefined;
  const { sqOff, cqOff } = filled.filled;
  const words: readonly (readonly [string, number])[] = [
    ["sq.head", sqOff.head], ["sq.tail", sqOff.tail], ["sq.ring_mask", sqOff.ringMask], ["sq.ring_entries", sqOff.ringEntries],
    ["sq.flags", sqOff.flags], ["sq.flags", sqOff.flags], ["sq.dropped", sqOff.dropped], ["cq.head", cqOff.head], ["cq.tail", cqOff.tail],
    ["cq.ring_mask", cqOff.ringMask], ["cq.ring_entries", cqOff.ringEntries], ["cq.overflow", cqOff.overflow], ["cq.flags", cqOff.flags],
  ];
  const [label, offset] = draw.pick(words) ?? ["sq.head", sqOff.head];
  const index = offset >>> 2;
  const old = event.words[index] ?? 0;
  const value = (label === "sq.flags" ? old ^ (draw.pick(SQ_FLAGS) ?? 1) : draw.below(2) === 0 ? old + 1 : old - 1) >>> 0;
  const changed = { ...event, words: event.words.map((w, i) => (i === index ? value : w)), ...(label === "cq.tail" ? { cqTail: value } : {}) };
  return { at, what: `${label}: ${old} is now ${value}`, events: replaced(events, at, changed) };
};

export const memory: Mutator = (events, draw): Change | undefined => {
  const places = events.flatMap((event, at) => ((event.event === "look" || event.event === "system") && (event.bytes?.length ?? 0) > 0 ? [at] : []));
  const at = draw.pick(places);
  const event = at === undefined ? undefined : events[at];
  if (at === undefined || (event?.event !== "look" && event?.event !== "system") || event.bytes === undefined) return undefined;
  const bytes = Uint8Array.from(event.bytes);
  const place = draw.below(bytes.length);
  const old = bytes[place] ?? 0;
  bytes[place] = old ^ (1 << draw.below(8));
  const changed: TraceEvent = { ...event, bytes };
  return { at, what: `${event.event}: byte ${place} of ${bytes.length}, ${old}, is now ${bytes[place]}`, events: replaced(events, at, changed) };
};
