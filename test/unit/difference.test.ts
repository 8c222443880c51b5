// What a rejected event differs in, in the words of the rules' "shows".
import { expect, test } from "vitest";
import { difference } from "../../src/oracle/difference.ts";
import type { Instead } from "../../src/oracle/explain.ts";
import type { EnterEvent, PeekEvent, SeenCqe } from "../../src/program/trace.ts";

const words = (changed: Readonly<Record<number, number>> = {}): number[] => Array.from({ length: 16 }, (_, i) => changed[i] ?? 0);
const enter = (result: number): EnterEvent => ({ event: "enter", from: 0n, to: 0n, toSubmit: 2, minComplete: 0, flags: 0, result });
const cqe = (userData: bigint, res: number, flags = 0): SeenCqe => ({ slot: 0, userData, res, flags });
const peek = (cqes: readonly SeenCqe[], seen = words()): PeekEvent => ({ event: "peek", from: 0n, to: 0n, cqTail: 0, cqes, words: seen });
const allowed = (atOnce: readonly SeenCqe[], result = 2, after = words()): Instead => ({ result, atOnce, later: [], words: after, backlog: 0 });

const differs = (cqes: readonly SeenCqe[], instead: Instead, seen = words(), result = 2): Record<string, number> =>
  Object.fromEntries(difference(peek(cqes, seen), enter(result), instead).shows);

test("another result of a request, and its name", () => {
  const found = difference(peek([cqe(1n, 0)]), enter(2), allowed([cqe(1n, -125)]));
  expect(Object.fromEntries(found.shows)).toEqual({ res: 1 });
  expect([...found.userData]).toEqual([1n]);
  expect([...found.allowed]).toEqual(["-ECANCELED"]);
});

test("a completion that is missing, one under another name, two in the wrong order", () => {
  expect(differs([], allowed([cqe(1n, 0)]))).toEqual({ posted: 1 });
  expect(differs([cqe(2n, 0)], allowed([cqe(1n, 0)]))).toEqual({ user_data: 1 });
  expect(differs([cqe(2n, 0), cqe(1n, 0)], allowed([cqe(1n, 0), cqe(2n, 0)]))).toEqual({ order: 1 });
});

test("a call that took fewer counts first, and what follows from it less", () => {
  expect(differs([], allowed([cqe(1n, 0)], 2), words(), 1)).toEqual({ count: 1, posted: 0.4 });
});

test("a bit of sq.flags, by its name; a word that nothing moves is the new ring's", () => {
  const found = difference(peek([]), enter(2), allowed([], 2, words({ 9: 2 })));
  expect(Object.fromEntries(found.shows)).toEqual({ "sq.flags": 1 });
  expect([...found.allowed]).toEqual(["IORING_SQ_CQ_OVERFLOW"]);
  expect(differs([], allowed([]), words({ 10: 1 }))).toEqual({ ring: 1 });
});
