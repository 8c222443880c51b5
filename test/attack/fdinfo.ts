// Changes of one number that procfs showed of a ring.
import type { RingInfo } from "../../src/fdinfo.ts";
import type { Draw } from "./draw.ts";
import type { Mutator } from "./mutate.ts";
import { replaced } from "./place.ts";

/** Where a number or a bigint is, by the names and indices that lead to it. */
type Path = readonly (string | number)[];

function pathsIn(value: unknown, path: Path = []): Path[] {
  if (typeof value === "number" || typeof value === "bigint") return [path];
  if (Array.isArray(value)) return value.flatMap((item, i) => pathsIn(item, [...path, i]));
  return typeof value === "object" && value !== null ? Object.entries(value).flatMap(([name, item]) => pathsIn(item, [...path, name])) : [];
}

function changedAt(value: unknown, [step, ...rest]: Path, change: (old: number | bigint) => number | bigint): unknown {
  if (step === undefined) return typeof value === "number" || typeof value === "bigint" ? change(value) : value;
  if (Array.isArray(value)) return value.map((item, i) => (i === step ? changedAt(item, rest, change) : item));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, name === step ? changedAt(item, rest, change) : item]));
}

function near(draw: Draw, old: number | bigint): number | bigint {
  const up = draw.below(2) === 0;
  if (typeof old === "bigint") return up || old === 0n ? old + 1n : old - 1n;
  return up || old === 0 ? old + 1 : old - 1;
}

export const fdinfo: Mutator = (events, draw) => {
  const shown = events.flatMap((event, at) => (event.event === "fdinfo" && event.info !== undefined ? [{ event, info: event.info, at }] : []));
  const place = draw.pick(shown);
  if (place === undefined) return undefined;
  const { event, info, at } = place;
  const path = draw.pick(pathsIn(info)) ?? ["sqHead"];
  let what = "";
  const changed = changedAt(info, path, (old) => {
    const value = near(draw, old);
    what = `${path.join(".")}: ${old} is now ${value}`;
    return value;
  }) as RingInfo; // of the same shape
  return { at, what, events: replaced(events, at, { ...event, info: changed }) };
};
