// What no run of any kernel can show, whatever happened before: found without a search, so that it is certain also
// where a search would leave something out. Asked only where a search found no run.
import { IORING_REGISTER_RESIZE_RINGS } from "../spec/constants.gen.ts";
import type { IoUringParams } from "../kernel.ts";
import type { PeekEvent, SetupEvent, StoreEvent, TraceEvent } from "../program/trace.ts";

type Opened = SetupEvent & { readonly filled: IoUringParams };

/** As "expected ..., got ..."; undefined where nothing is certain. `events`: up to this one. */
export function neverShown(events: readonly TraceEvent[]): string | undefined {
  const peek = events.at(-1);
  const setup = events.find((event): event is Opened => event.event === "setup" && event.filled !== undefined);
  if (peek?.event !== "peek" || setup === undefined) return undefined;
  // Other queues have other words.
  if (events.some((event) => event.event === "register" && event.opcode === IORING_REGISTER_RESIZE_RINGS)) return undefined;
  const stores = events.filter((event) => event.event === "store");
  return storedWord(setup, stores, peek) ?? givenUserData(setup, stores, peek);
}

/** Words that only the application stores to show what it stored last. */
function storedWord({ filled, counters = 0 }: Opened, stores: readonly StoreEvent[], { words }: PeekEvent): string | undefined {
  const { sqOff, cqOff, sqEntries, cqEntries } = filled;
  const own: readonly (readonly [name: string, at: number, first: number])[] = [
    ["sq.tail", sqOff.tail, counters], ["cq.head", cqOff.head, counters], ["sq.ring_mask", sqOff.ringMask, sqEntries - 1],
    ["sq.ring_entries", sqOff.ringEntries, sqEntries], ["cq.ring_mask", cqOff.ringMask, cqEntries - 1], ["cq.ring_entries", cqOff.ringEntries, cqEntries],
    ["cq.flags", cqOff.flags, 0],
  ];
  for (const [name, at, first] of own) {
    const word = new Uint8Array(Uint32Array.of(first).buffer);
    for (const { region, at: from, bytes } of stores) {
      if (region === "ring") for (let i = 0; i < 4; i++) word[i] = bytes[at + i - from] ?? word[i] ?? 0;
    }
    const stored = new DataView(word.buffer).getUint32(0, true);
    const seen = words[at >>> 2];
    if (seen !== stored) return `expected ${name} to be ${stored}, which nobody but the application stores, got ${seen}`;
  }
  return undefined;
}

/** A completion has a user_data that some SQE gave, in whichever field. */
function givenUserData({ filled: { cqOff } }: Opened, stores: readonly StoreEvent[], { cqes }: PeekEvent): string | undefined {
  // Where the tail was scribbled on, what is seen need be no completion; where the ring was, it may be the application's.
  const scribbled = stores.some(({ region, at, bytes }) => region === "ring" && at < cqOff.tail + 4 && at + bytes.length > cqOff.tail);
  if (scribbled || stores.some(({ region, at, bytes }) => region === "sqes" && (at % 8 !== 0 || bytes.length % 8 !== 0))) return undefined;
  const given = new Set([0n]);
  for (const { region, bytes } of stores) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    if (region === "sqes") for (let at = 0; at < bytes.length; at += 8) given.add(view.getBigUint64(at, true));
  }
  const stray = cqes.find(({ userData }) => !given.has(userData));
  return stray === undefined ? undefined : `expected the user_data of some SQE, got 0x${stray.userData.toString(16)}`;
}
