// Bytes that were somewhere else: what the application saw of its memory, or read from a file, is what another write, load
// or read of the trace had. A kernel that does things in another order, or in the wrong place, shows such bytes.
import type { LookEvent, SystemEvent, TraceEvent } from "../../src/program/trace.ts";
import { Draw } from "../attack/draw.ts";
import { replaced } from "../attack/place.ts";

type Seen = (LookEvent | SystemEvent) & { readonly bytes: Uint8Array };

/** What an event has bytes of: as stored, loaded, read or written. */
function bytesOf(event: TraceEvent): Uint8Array | undefined {
  if (event.event === "memory" || event.event === "look") return event.bytes;
  if (event.event !== "system") return undefined;
  return event.bytes ?? ("bytes" in event.request ? event.request.bytes : undefined);
}

const isSeen = (event: TraceEvent): event is Seen => (event.event === "look" || event.event === "system") && event.bytes !== undefined && event.bytes.length > 0;

/** The trace with other bytes in the place of some that were seen; undefined where it has none of that length. */
export function bytesOfElsewhere(events: readonly TraceEvent[], seed: number): readonly TraceEvent[] | undefined {
  const all = events.flatMap((event) => bytesOf(event) ?? []);
  const places = events.flatMap((event, at) => (isSeen(event) ? [{ event, at }] : []));
  const draw = new Draw(seed);
  const place = draw.pick(places);
  if (place === undefined) return undefined;
  const { event, at } = place;
  const others = all.filter(({ length }) => length >= event.bytes.length).map((bytes) => bytes.subarray(0, event.bytes.length));
  const other = draw.pick(others.filter((bytes) => Buffer.compare(bytes, event.bytes) !== 0));
  return other === undefined ? undefined : replaced(events, at, { ...event, bytes: other });
}
