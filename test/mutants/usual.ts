// Another result of the same operation: what an opcode, or a call, returned somewhere else in the corpus. A model that
// allows too much is likelier to allow that than a number that nothing returns.
import type { TraceEvent } from "../../src/program/trace.ts";
import { SQE } from "../../src/spec/codec.gen.ts";
import { Draw } from "../attack/draw.ts";
import { completions, replaced, withCqe } from "../attack/place.ts";

/** Results by opcode or call, such as "cqe 11" or "register 4". */
export type Results = ReadonlyMap<string, ReadonlySet<number>>;

interface Place {
  readonly operation: string;
  readonly result: number;
  readonly with: (result: number) => readonly TraceEvent[] | undefined;
}

/** Every result of a trace. */
function placesOf(events: readonly TraceEvent[]): Place[] {
  const opcodes = new Map<bigint, number>();
  for (const event of events) {
    if (event.event !== "store" || event.region !== "sqes" || event.bytes.length < SQE.size) continue;
    const view = new DataView(event.bytes.buffer, event.bytes.byteOffset, SQE.size);
    opcodes.set(view.getBigUint64(SQE.user_data, true), view.getUint8(SQE.opcode));
  }
  const cqes = completions(events).map((place): Place => ({
    operation: `cqe ${opcodes.get(place.cqe.userData) ?? "?"}`, result: place.cqe.res, with: (res) => withCqe(events, place, { ...place.cqe, res }, "")?.events,
  }));
  const calls = events.flatMap((event, at): Place[] => {
    if ((event.event !== "enter" && event.event !== "register") || event.result === undefined) return [];
    const operation = event.event === "enter" ? "enter" : `register ${event.opcode}`;
    return [{ operation, result: event.result, with: (result) => replaced(events, at, { ...event, result }) }];
  });
  return [...cqes, ...calls];
}

export function resultsOf(traces: readonly (readonly TraceEvent[])[]): Results {
  const all = new Map<string, Set<number>>();
  for (const { operation, result } of traces.flatMap(placesOf)) {
    const known = all.get(operation) ?? new Set();
    all.set(operation, known.add(result));
  }
  return all;
}

/** The trace with one result that is usual elsewhere; undefined where it has none that could be another. */
export function unusual(events: readonly TraceEvent[], results: Results, seed: number): readonly TraceEvent[] | undefined {
  const draw = new Draw(seed);
  const place = draw.pick(placesOf(events));
  const other = draw.pick([...(results.get(place?.operation ?? "") ?? [])].filter((result) => result !== place?.result));
  return other === undefined ? undefined : place?.with(other);
}
