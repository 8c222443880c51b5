// Timelines of random programs on the model, legal and hostile: every request and every CQE is in one lane,
// counted independently, and the rules that are named are those that the trace is about.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { columnsOf, timelineLines } from "../../src/explain/terminal.ts";
import { timelineOf } from "../../src/explain/timeline.ts";
import type { Timeline } from "../../src/explain/timeline.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { Checker } from "../../src/oracle/checker.ts";
import { hostileProgram, legalProgram } from "../../src/program/arbitrary.ts";
import { exercised } from "../../src/program/exercise.ts";
import { runProgram } from "../../src/program/interpreter.ts";
import type { Program } from "../../src/program/program.ts";
import type { TraceEvent } from "../../src/program/trace.ts";
import { WouldBlockForever } from "../../src/kernel.ts";
import { IORING_CQE_F_SKIP, IORING_SETUP_SQPOLL } from "../../src/spec/constants.gen.ts";
import { RULES } from "../../src/spec/rules.gen.ts";

interface Drawn {
  readonly program: Program;
  readonly events: readonly TraceEvent[];
  readonly timeline: Timeline;
}
function draw(arbitrary: fc.Arbitrary<Program>, count: number): Drawn[] {
  return fc.sample(arbitrary, { numRuns: count, seed: 5 }).flatMap((program, seed) => {
    const kernel = createModelKernel({ seed });
    const checker = new Checker({ profile: kernel.profile });
    try {
      const { events } = runProgram(kernel, program, { observer: checker });
      return [{ program, events, timeline: timelineOf(events, { title: "drawn", by: "the model", verdict: checker.verdict() }) }];
    } catch (error) {
      if (error instanceof WouldBlockForever) return [];
      throw error;
    } finally {
      kernel.close();
    }
  });
}
const legal = draw(legalProgram(), 60);
const hostile = draw(hostileProgram(), 40);
const both = [...legal, ...hostile];
const ruleIds = new Set(both.flatMap(({ timeline }) => timeline.steps.flatMap(({ rules }) => rules)));

describe("timelines of drawn programs", () => {
  test("there were enough of them", () => {
    expect(legal.length).toBeGreaterThan(50);
    expect(hostile.length).toBeGreaterThan(30);
  });

  test("[submit.one-cqe-each] every CQE is in one lane, and none of a legal program's is unexplained", () => {
    let cqes = 0;
    for (const { events, timeline } of both) {
      const seen = events.flatMap((event) => (event.event === "peek" ? event.cqes.filter(({ flags }) => (flags & IORING_CQE_F_SKIP) === 0) : [])).length;
      expect(timeline.lanes.reduce((sum, lane) => sum + lane.cqes.length, 0)).toBe(seen);
      cqes += seen;
    }
    expect(cqes).toBeGreaterThan(500);
    expect(legal.flatMap(({ timeline }) => timeline.lanes.filter(({ name }) => name.startsWith("?")))).toEqual([]);
  });

  test("[enter.returns-consumed] as many requests are taken as are counted elsewhere", () => {
    let compared = 0;
    for (const { program, events, timeline } of legal) {
      const setup = events.find((event) => event.event === "setup");
      if (((setup?.filled?.flags ?? 0) & IORING_SETUP_SQPOLL) !== 0) continue;
      const counted = Object.values(exercised(program, events).opcodes).reduce((sum, count) => sum + count, 0);
      expect(timeline.lanes.filter(({ takenAt, name }) => takenAt !== undefined && !/^(?:message|\?)/.test(name))).toHaveLength(counted);
      compared += counted;
    }
    expect(compared).toBeGreaterThan(300);
  });

  test("a lane is filled, published, taken and completed in this order", () => {
    for (const { timeline } of legal)
      for (const { name, filledAt, queuedAt, takenAt, endedAt } of timeline.lanes) {
        const order = [filledAt, queuedAt, takenAt, endedAt].filter((step) => step !== undefined);
        expect([name, order]).toEqual([name, order.toSorted((a, b) => a - b)]);
      }
  });

  test("[sq.tail-clamped] [sq.head-app-store-ignored] are named in hostile programs alone", () => {
    const named = (drawn: readonly Drawn[], rule: string): number => drawn.filter(({ timeline }) => timeline.steps.some(({ rules }) => rules.includes(rule))).length;
    for (const rule of ["sq.tail-clamped", "sq.head-app-store-ignored"]) expect([rule, named(legal, rule), named(hostile, rule) > 0]).toEqual([rule, 0, true]);
  });

  test("rules are many, and each has its text", () => {
    expect(ruleIds.size).toBeGreaterThan(55);
    for (const { timeline } of both)
      for (const id of timeline.steps.flatMap(({ rules }) => rules)) expect([id, timeline.rules[id]]).toEqual([id, RULES[id]?.text]);
  });

  test("as text: a line for each step, and lanes that live at once stand side by side", () => {
    for (const { events, timeline } of both) {
      const lines = timelineLines(timeline);
      expect(lines.filter((line) => /^ *\d+ +\d+\.\d{3} /.test(line))).toHaveLength(events.length);
      const columns = columnsOf(timeline.lanes, timeline.steps.length - 1);
      const last = timeline.steps.length - 1;
      const alive = timeline.lanes.map(({ filledAt, takenAt, endedAt, cqes }, id) => ({ column: columns[id] ?? -1, from: filledAt ?? takenAt ?? 0, to: endedAt ?? cqes.at(-1)?.step ?? last }));
      for (const [i, a] of alive.entries()) for (const b of alive.slice(i + 1)) if (a.column === b.column && a.column < 23) expect(a.to < b.from || b.to < a.from).toBe(true);
    }
  });
});

test("[poll.update] a poll that was given another user_data keeps its lane", () => {
  const kernel = createModelKernel({ seed: 1 });
  const checker = new Checker({ profile: kernel.profile });
  const program: Program = {
    version: 1, kind: "legal", ring: { entries: 4, flags: [] }, world: { files: [], pipes: [0], eventfds: [], buffers: [] },
    ops: [
      { op: "sqe", opcode: "POLL_ADD", userData: 0xaaaa, fd: "p0r", opFlags: 1 },
      { op: "submit" },
      { op: "sqe", opcode: "POLL_REMOVE", userData: 0xbbbb, addr: { is: "number", number: 0xaaaa }, off: 0xcccc, len: 4 },
      { op: "submit" },
      { op: "write", fd: "p0w", bytes: 1, fill: 1 },
      { op: "settle" },
    ],
  };
  const { events } = runProgram(kernel, program, { observer: checker });
  kernel.close();
  expect(events.some((event) => event.event === "peek" && event.cqes.some(({ userData }) => userData === 0xccccn))).toBe(true);
  const { lanes } = timelineOf(events, { title: "x", by: "y", verdict: checker.verdict() });
  expect(lanes).toMatchObject([{ name: "POLL_ADD 0xaaaa", cqes: [{ res: 1 }] }, { name: "POLL_REMOVE 0xbbbb", cqes: [{ res: 0 }] }]);
  expect(lanes).toHaveLength(2);
});

test("of a long trace the beginning is shown, and how much is left out is said", () => {
  const [{ events } = { events: [] }] = legal;
  const timeline = timelineOf(events, { title: "x", by: "y", verdict: new Checker({ profile: createModelKernel().profile }).verdict(), stepsMax: 10 });
  expect(timeline.steps).toHaveLength(10);
  expect(timeline.leftOut).toBe(events.length - 10);
  expect(timelineLines(timeline).at(-1)).toBe(`${events.length - 10} more events are not shown`);
});
