// What a rule's record says of where it applies, and of the errors that its text names.
import { expect, test } from "vitest";
import { profileOf } from "../../src/model/profile.ts";
import { difference } from "../../src/oracle/difference.ts";
import { appliesTo, namesIt } from "../../src/oracle/telling.ts";
import type { EnterEvent, PeekEvent } from "../../src/program/trace.ts";
import { IORING_SETUP_CQE_MIXED, IORING_SETUP_DEFER_TASKRUN } from "../../src/spec/constants.gen.ts";

const KERNEL = profileOf(6, 18);

test("a rule of another release is not for this kernel: overflow.submit-busy, overflow.submit-allowed", () => {
  expect(appliesTo("overflow.submit-busy", KERNEL, 0)).toBe(false);
  expect(appliesTo("overflow.submit-busy", profileOf(5, 10), 0)).toBe(true);
  expect(appliesTo("overflow.submit-allowed", KERNEL, 0)).toBe(true);
});

test("a rule that begins by saying which rings it is for: cq.mixed-two-slots, taskrun.defer-getevents, taskrun.worker-posts", () => {
  expect(appliesTo("cq.mixed-two-slots", KERNEL, 0)).toBe(false);
  expect(appliesTo("cq.mixed-two-slots", KERNEL, IORING_SETUP_CQE_MIXED)).toBe(true);
  expect(appliesTo("taskrun.defer-getevents", KERNEL, 0)).toBe(false);
  expect(appliesTo("taskrun.defer-getevents", KERNEL, IORING_SETUP_DEFER_TASKRUN)).toBe(true);
  expect(appliesTo("taskrun.worker-posts", KERNEL, 0)).toBe(true);
  expect(appliesTo("taskrun.worker-posts", KERNEL, IORING_SETUP_DEFER_TASKRUN)).toBe(false);
});

test("one that says what other rings are refused is for those too, and any is before there is a ring: resize.defer-only", () => {
  expect(appliesTo("resize.defer-only", KERNEL, 0)).toBe(true);
  expect(appliesTo("cq.mixed-two-slots", KERNEL, undefined)).toBe(true);
});

test("errors that are neither result speak against a rule: cancel.not-found, cancel.all-counts", () => {
  const call: EnterEvent = { event: "enter", from: 0n, to: 0n, toSubmit: 1, minComplete: 0, flags: 0, result: 1 };
  const cqe = (res: number): PeekEvent["cqes"][number] => ({ slot: 0, userData: 1n, res, flags: 0 });
  const of = (seen: number, allowed: number): ReturnType<typeof difference> =>
    difference({ event: "peek", from: 0n, to: 0n, cqTail: 1, cqes: [cqe(seen)], words: [] }, call, { result: 1, atOnce: [cqe(allowed)], later: [], words: [], backlog: [], stale: [] });
  expect(namesIt("cancel.not-found", of(1, 2))).toEqual({ allowed: false, seen: false, others: true });
  expect(namesIt("cancel.not-found", of(1, -2))).toEqual({ allowed: true, seen: false, others: false });
  expect(namesIt("cancel.all-counts", of(1, 2))).toEqual({ allowed: false, seen: false, others: false });
});
