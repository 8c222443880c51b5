// The oracle under attack: legal traces, each mutated once (test/attack/), the whole of it by `npm run bench:attack`. On
// the model with a fixed seed, where the share is always the same; and with the seed of the run on the real kernel, where
// a few hard traces more or less are chance, so that the bar is lower.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "vitest";
import type { AttackResult } from "../../scripts/bench/attack-report.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { Checker } from "../../src/oracle/checker.ts";
import { judgeTrace } from "../../src/oracle/judge.ts";
import { runProgram } from "../../src/program/interpreter.ts";
import type { Program } from "../../src/program/program.ts";
import type { TraceEvent } from "../../src/program/trace.ts";
import { mutate, MUTATION_CLASSES } from "../attack/mutate.ts";
import { SEED } from "./campaigns.ts";

function bench(...args: string[]): { readonly status: number | null; readonly said: string; readonly result: AttackResult | undefined } {
  const command = join(packageRoot, "dist", "scripts", "bench", "attack.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], { encoding: "utf8", maxBuffer: 2 ** 26 });
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  return { status, said: `${stdout}${stderr}`, result: last.startsWith("{") ? (JSON.parse(last) as AttackResult) : undefined }; // it wrote it
}

const NOPS: Program = {
  version: 1, kind: "legal", ring: { entries: 4, flags: [] }, world: { files: [], pipes: [], eventfds: [], buffers: [] },
  ops: [
    { op: "sqe", opcode: "NOP", userData: 1 }, { op: "sqe", opcode: "NOP", userData: 2 }, { op: "submit" }, { op: "reap" },
    { op: "sqe", opcode: "NOP", userData: 3 }, { op: "submit" }, { op: "fdinfo" }, { op: "reap" },
  ],
};

function ran(): readonly TraceEvent[] {
  const kernel = createModelKernel({ seed: 1 });
  const { events } = runProgram(kernel, NOPS);
  kernel.close();
  return events;
}

describe("the mutator", () => {
  test("changes one thing, the same for the same seed, and leaves the trace that it was given alone", () => {
    const events = ran();
    const before = structuredClone(events);
    for (const kind of MUTATION_CLASSES.filter((k) => k !== "memory")) {
      const change = mutate(events, kind, 7);
      expect(change, kind).toBeDefined();
      expect(change?.events, kind).not.toEqual(events);
      expect(mutate(events, kind, 7), kind).toEqual(change);
    }
    expect(events).toEqual(before);
  });

  test("of two NOPs nothing may be changed", () => {
    const events = ran();
    expect(judgeTrace(events, new Checker({ profile: PROFILE_6_18 })).verdict).toBe("legal");
    for (const kind of MUTATION_CLASSES) {
      for (let seed = 0; seed < 20; seed++) {
        const change = mutate(events, kind, seed);
        if (change === undefined) continue;
        expect(judgeTrace(change.events, new Checker({ profile: PROFILE_6_18 })).verdict, `${kind}: ${change.what}`).toBe("illegal");
      }
    }
  });
});

describe("the attack", () => {
  // Of these 281, 4 end as `unknown`: 98.6 %, a little under what `npm run bench:attack` asks of thousands.
  test("of the mutations that change what a trace means none is legal and 98.5 % are illegal, and no trace of the model is", () => {
    const { status, said, result } = bench("--traces", "300", "--seed", "1", "--model", "--no-report", "--json");
    expect(result?.attacked, said).toBe(300);
    expect(result?.unmutated.illegal, said).toBe(0);
    expect(result?.perClass.filter(({ legal }) => legal > 0), said).toEqual([]);
    expect(result?.share, said).toBeGreaterThanOrEqual(0.985);
    expect([0, 1], said).toContain(status);
  });

  test("as many on this kernel, but for chance", () => {
    const { said, result } = bench("--traces", "120", "--seed", String(SEED), "--no-report", "--json");
    expect(result?.unmutated.illegal, said).toBe(0);
    expect(result?.share, said).toBeGreaterThanOrEqual(0.95);
  });

  test("usage: a number that is none is refused", () => {
    expect(bench("--traces", "many")).toMatchObject({ status: 2, said: expect.stringContaining('--traces: expected a whole number from 1 on, got "many"') as string });
  });
});
