// What programs tell a ring beside its queues: on the model, judged, counted, explained, and refused where it is to be.
import { describe, expect, test } from "vitest";
import { timelineOf } from "../../src/explain/timeline.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { RecordedJudge } from "../../src/oracle/recorded.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import type { Outcome } from "../../src/oracle/verdict.ts";
import { emitFault } from "../../src/program/emit/c.ts";
import type { Operation, Program } from "../../src/program/program.ts";
import { parseTrace, type TraceEvent } from "../../src/program/trace.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";

const nop = (userData: number): Operation => ({ op: "sqe", opcode: "NOP", userData });
const program = (ops: Operation[], flags: Program["ring"]["flags"] = []): Program => ({
  version: 1, kind: "legal", ring: { entries: 4, flags }, world: { files: [], pipes: [0], eventfds: [0, 0], buffers: [8] }, ops,
});
const WAIT = { seconds: 0, nanoseconds: 1000 };
const RESIZE: Operation = { op: "register", does: { call: "RESIZE_RINGS", entries: 16, flags: 0 } };

function run(of: Program): Outcome & { readonly events: readonly TraceEvent[] } {
  const kernel = createModelKernel();
  const outcome = runAndJudge(kernel, of, { keepTrace: true });
  kernel.close();
  return { ...outcome, events: parseTrace(outcome.trace ?? "").events };
}

/** The trace with another event in the place of the first of that kind that `is` takes. */
function verdictWith(events: readonly TraceEvent[], change: (event: TraceEvent) => TraceEvent | undefined): string {
  const judge = new RecordedJudge({ profile: PROFILE_6_18 });
  let changed = false;
  for (const event of events) {
    const other: TraceEvent | undefined = changed ? undefined : change(event);
    changed ||= other !== undefined;
    judge.event(other ?? event);
  }
  expect(changed).toBe(true);
  return judge.end().verdict;
}

describe("a ring by its index", () => {
  const { verdict, exercise, events } = run(program([
    { op: "register", does: { call: "RING_FDS", entries: [{ fd: "ring", slot: 3 }] } },
    nop(1), { op: "submit", index: 3 }, nop(2), { op: "submit", index: 4 },
    { op: "register", does: { call: "QUERY", entries: [{ query: 0, room: 48 }] }, index: 3 },
    { op: "register", does: { call: "QUERY", entries: [] }, index: 0xffff_ffff },
  ]));
  test("is judged and counted", () => {
    expect(verdict.verdict).toBe("legal");
    expect(exercise.registered).toEqual({ RING_FDS: 1, QUERY: 2 });
    expect(exercise.entered).toEqual({ "by index": 1, "register by index": 2 });
  });
  test("that holds no ring refuses the call, and one that holds it does not", () => {
    const results = events.flatMap((event) => (event.event === "enter" && event.index !== undefined ? [event.result] : []));
    expect(results).toEqual([1, -9]);
    expect(verdictWith(events, (event) => (event.event === "enter" && event.index === 3 ? { ...event, index: 4 } : undefined))).toBe("illegal");
  });
  test("answers that are others are illegal", () => {
    const at = events.findIndex((event) => event.event === "register" && event.index === 3);
    const answer = events.slice(at).find((event) => event.event === "look" && event.bytes.length === 48);
    expect(answer).toBeDefined();
    expect(verdictWith(events, (event) => (event === answer && event.event === "look" ? { ...event, bytes: event.bytes.map((byte) => byte ^ 1) } : undefined))).toBe("illegal");
  });
});

describe("waits", () => {
  const { verdict, exercise } = run(program([
    { op: "register", does: { call: "MEM_REGION", memory: "program", pages: 1, waits: true } },
    { op: "register", does: { call: "ENABLE_RINGS" } },
    { op: "enter", toSubmit: 0, minComplete: 1, flags: 1, region: { offset: 64 }, wait: WAIT },
    { op: "enter", toSubmit: 0, minComplete: 1, flags: 1, minWait: 5 },
    { op: "enter", toSubmit: 0, minComplete: 1, flags: 1, until: 5 },
  ], ["R_DISABLED"]));
  test("that run into their end are refused nothing, and counted by kind where they succeed", () => {
    expect(verdict.verdict).toBe("legal");
    expect(exercise.registered).toEqual({ MEM_REGION: 1, ENABLE_RINGS: 1 });
  });
  test("that find a completion are counted", () => {
    const { exercise: found, verdict: of } = run(program([nop(1), { op: "submit" }, { op: "enter", toSubmit: 0, minComplete: 1, flags: 1, minWait: 5 }, { op: "enter", toSubmit: 0, minComplete: 1, flags: 1, until: 5 }]));
    expect([of.verdict, found.entered]).toEqual(["legal", { "min wait": 1, "until a moment": 1 }]);
  });
});

describe("other queues", () => {
  const of = program([nop(1), nop(2), RESIZE, { op: "submit" }, nop(3), { op: "settle" }, { op: "reap" }], ["DEFER_TASKRUN", "SINGLE_ISSUER"]);
  const { verdict, exercise, events, trace } = run(of);
  const resized = events.find((event) => event.event === "register" && event.filled !== undefined);
  test("are judged, and what was pending is counted once", () => {
    expect(verdict.verdict).toBe("legal");
    expect(exercise).toMatchObject({ registered: { RESIZE_RINGS: 1 }, opcodes: { NOP: 2 } });
    expect(resized).toMatchObject({ filled: { sqEntries: 16, cqEntries: 32 } });
  });
  test("of another size than the kernel gives are illegal", () => {
    expect(verdictWith(events, (event) => (event.event === "register" && event.filled !== undefined ? { ...event, filled: { ...event.filled, cqEntries: 64 } } : undefined))).toBe("illegal");
  });
  test("a resized ring without its parameters is no trace", () => {
    const lines = (trace ?? "").split("\n").map((line) => (line.includes('"filled"') && line.includes('"register"') ? line.replace(/,"filled":.*$/, "}") : line));
    expect(() => parseTrace(lines.join("\n"))).toThrow(/expected "filled", the parameters of the ring that was resized/);
  });
  test("are explained with the requests that went along", () => {
    const { steps, lanes } = timelineOf(events, { title: "resized", by: "the model", verdict });
    expect(steps.some(({ text }) => text.includes("IORING_REGISTER_RESIZE_RINGS: an SQ of 16 and a CQ of 32"))).toBe(true);
    expect(lanes.filter(({ cqes }) => cqes.length === 1).length).toBe(2);
  });
});

test("the ring's eventfd counts, and one that is read short is illegal", () => {
  const { verdict, events } = run(program([{ op: "register", does: { call: "EVENTFD", fd: "e1" } }, nop(1), { op: "submit" }, { op: "read", fd: "e1", bytes: 8 }]));
  expect(verdict.verdict).toBe("legal");
  const read = (event: TraceEvent): boolean => event.event === "system" && event.request.call === "read" && event.result === 8;
  expect(events.some(read)).toBe(true);
  expect(verdictWith(events, (event) => (read(event) && event.event === "system" ? { ...event, result: -11, bytes: new Uint8Array(0) } : undefined))).toBe("illegal");
});

test("a C program is refused by the operation's name", () => {
  expect(emitFault(program([RESIZE]))).toMatch(/operation 0 registers something \(RESIZE_RINGS\)/);
  expect(emitFault(program([{ op: "submit", index: 1 }]))).toMatch(/operation 0 \(submit\) has index/);
  expect(emitFault(program([{ op: "enter", toSubmit: 0, minComplete: 0, flags: 1, until: 1 }]))).toMatch(/has until/);
});
