// What a rejected event differs in, in the words of the rules' "shows".
import { expect, test } from "vitest";
import { difference } from "../../src/oracle/difference.ts";
import type { Instead } from "../../src/oracle/explain.ts";
import type { EnterEvent, PeekEvent, SeenCqe, SystemEvent } from "../../src/program/trace.ts";

const words = (changed: Readonly<Record<number, number>> = {}): number[] => Array.from({ length: 16 }, (_, i) => changed[i] ?? 0);
const enter = (result: number): EnterEvent => ({ event: "enter", from: 0n, to: 0n, toSubmit: 2, minComplete: 0, flags: 0, result });
const cqe = (userData: bigint, res: number, flags = 0): SeenCqe => ({ slot: 0, userData, res, flags });
const peek = (cqes: readonly SeenCqe[], seen = words()): PeekEvent => ({ event: "peek", from: 0n, to: 0n, cqTail: 0, cqes, words: seen });
const allowed = (atOnce: readonly SeenCqe[], result = 2, after = words()): Instead => ({ result, atOnce, later: [], words: after, backlog: [], stale: [] });

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
  expect(Object.fromEntries(found.shows)).toEqual({ "sq.flags": 1, posted: 1 });
  expect([...found.allowed]).toEqual(["IORING_SQ_CQ_OVERFLOW"]);
  expect(differs([], allowed([]), words({ 10: 1 }))).toEqual({ ring: 1 });
});

test("a flag that says nothing of a backlog: it may be the flag or the backlog, and then whose completions wait there", () => {
  const found = difference(peek([]), enter(2), { ...allowed([], 2, words({ 9: 2 })), backlog: [cqe(7n, 0)] });
  expect([...found.userData]).toEqual([7n]);
});

test("what stood in the slot before is no completion: the tail is too far", () => {
  const instead = { ...allowed([]), stale: [cqe(1n, 5)] };
  expect(differs([cqe(1n, 5)], instead)).toEqual({ "cq.tail": 1, posted: 0.4 });
  expect(differs([cqe(1n, 6)], instead)).toEqual({ posted: 1 });
});

test("what was to wait in the backlog came out of order", () => {
  expect(differs([cqe(2n, 0)], { ...allowed([cqe(1n, -2)]), backlog: [cqe(2n, 0)] })).toMatchObject({ order: 1, posted: 1 });
});

test("two outcomes in their places under each other's names", () => {
  expect(differs([cqe(1n, 0), cqe(2n, -2)], allowed([cqe(2n, 0), cqe(1n, -2)]))).toMatchObject({ user_data: 1, order: 1, res: 1 });
});

test("user_data that nobody gave", () => {
  const [seen, instead] = [peek([cqe(9n, 0)]), allowed([cqe(1n, -2)])];
  expect(difference(seen, enter(2), instead, new Set([1n])).shows.get("user_data")).toBe(1);
  expect(difference(seen, enter(2), instead, new Set([1n, 9n])).shows.get("user_data")).toBeUndefined();
});

test("a wait that ran out for want of a completion: that counts as much", () => {
  const found = difference(peek([]), enter(-62), allowed([cqe(1n, 0)], 0));
  expect(found.overdue).toBe(true);
  expect(Object.fromEntries(found.shows)).toEqual({ wait: 1, posted: 1 });
  expect(difference(peek([]), enter(-62), allowed([], 0)).overdue).toBe(false);
});

test("a system call with another result", () => {
  const call: SystemEvent = { event: "system", from: 0n, to: 0n, request: { call: "close", fd: 3 }, result: 0 };
  expect(Object.fromEntries(difference(peek([]), call, { ...allowed([]), refused: true }).shows)).toEqual({ system: 1, memory: 1 });
});
