// A verdict's rules: the model's citations run in a copy of it that the build writes (ADR 8).
import { expect, test } from "vitest";
import { createModelKernel } from "../../src/model/kernel.ts";
import { Checker } from "../../src/oracle/checker.ts";
import { judgeTrace } from "../../src/oracle/judge.ts";
import { rulesBehind } from "../../src/oracle/rules.ts";
import { runProgram } from "../../src/program/interpreter.ts";
import type { Program } from "../../src/program/program.ts";
import type { TraceEvent } from "../../src/program/trace.ts";

const NOP_INJECT_RESULT = 1;

const program: Program = {
  version: 1, kind: "legal",
  ring: { entries: 4, flags: [] },
  world: { files: [], pipes: [], eventfds: [], buffers: [] },
  ops: [
    { op: "sqe", opcode: "NOP", flags: ["IO_LINK"], opFlags: NOP_INJECT_RESULT, len: 2 ** 32 - 62, userData: 1 },
    { op: "sqe", opcode: "NOP", userData: 2 },
    { op: "submit" },
  ],
};

test("an error that does not cancel its successor: the rule of severed chains is named, and nothing for the trace as it was", async () => {
  const kernel = createModelKernel();
  const { events } = runProgram(kernel, program, {});
  const { profile } = kernel;
  kernel.close();
  const broken = events.map((event): TraceEvent =>
    event.event === "peek" ? { ...event, cqes: event.cqes.map((cqe) => (cqe.res === -125 ? { ...cqe, res: 0 } : cqe)) } : event);
  expect(broken).not.toEqual(events);
  const verdict = judgeTrace(broken, new Checker({ profile }));
  expect(verdict.verdict).toBe("illegal");
  const rules = await rulesBehind(broken, verdict.at ?? 0, { profile });
  // Without this rule, and it alone, the trace would be legal.
  expect(rules[0], rules.join()).toBe("link.error-severs-chain");
});
