// Explorations against kernels: what a kernel did with a small program is one of the outcomes that the exploration
// lists. And the command: what it prints, its limits and its refusals.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, describe, expect, test, type TestContext } from "vitest";
import { Pool } from "../../src/cli/pool.ts";
import { drawPrograms } from "../../src/cli/programs.ts";
import { Unmodelled } from "../../src/kernel.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { explore } from "../../src/oracle/explore/explore.ts";
import { outcomeOf, outcomeText } from "../../src/oracle/explore/outcome.ts";
import type { Program } from "../../src/program/program.ts";
import { parseTrace } from "../../src/program/trace.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { SMALL } from "../small-programs.ts";
import { realOrSay } from "./real.ts";

const profile = { ...PROFILE_6_18, file: { readInline: undefined, writeInline: undefined } };
const pools: Partial<Record<"real" | "model", Pool>> = {};
const poolOf = (backend: "real" | "model"): Pool => (pools[backend] ??= new Pool({ backend, jobs: 1 }));
afterAll(async () => {
  for (const pool of Object.values(pools)) await pool.close();
});

/** What a kernel let the program see, so many times. */
async function seenBy(backend: "real" | "model", program: Program, times: number): Promise<string[]> {
  const outcomes = await Promise.all(Array.from({ length: times }, (_, seed) => poolOf(backend).run({ program, keepTrace: true, ...(backend === "model" ? { model: { seed } } : {}) })));
  return outcomes.map(({ trace, verdict }) => {
    expect(verdict.verdict).toBe("legal");
    return outcomeText(outcomeOf(program, parseTrace(trace ?? "").events));
  });
}

const kernels = ["model", "real"] as const;
const needs = (backend: "model" | "real", context: TestContext): void => void (backend === "real" && realOrSay(context).close());

describe.each(kernels)("on the %s kernel", (backend) => {
  test.for(Object.entries(SMALL))("submit.order-unspecified: %s ends in one of the outcomes that are listed", async ([, small], context) => {
    needs(backend, context);
    const { outcomes, complete } = explore(small, { profile, statesMax: 100_000 });
    const all = outcomes.map(outcomeText);
    expect(complete).toBe(true);
    for (const seen of await seenBy(backend, small, 40)) expect(all).toContain(seen);
  });

  test("submit.order-unspecified: random programs end in one of the outcomes that are listed", async (context) => {
    needs(backend, context);
    let contained = 0;
    for (const { program } of drawPrograms({ seed: 41, runs: 60, kind: "legal", maxOps: 14 })) {
      try {
        const { outcomes, complete } = explore(program, { profile, statesMax: 4000 });
        if (!complete) continue;
        const all = outcomes.map(outcomeText);
        for (const seen of await seenBy(backend, program, 3)) expect(all, JSON.stringify(program)).toContain(seen);
        contained++;
      } catch (error) {
        if (!(error instanceof Unmodelled)) throw error;
      }
    }
    expect(contained).toBeGreaterThan(40);
  });
});

describe("ringspec explore", () => {
  const main = join(packageRoot, "dist", "src", "cli", "main.js");
  const ringspec = (args: readonly string[], input = ""): { status: number | null; stdout: string; stderr: string } =>
    spawnSync(process.execPath, [main, ...args], { encoding: "utf8", input });
  const backlog = JSON.stringify(SMALL["a backlog"]);

  test("prints states, invariants and outcomes of a program on stdin, and ends with 0", () => {
    const { status, stdout } = ringspec(["explore", "-"], backlog);
    expect(status).toBe(0);
    for (const words of [/states +\d+, come to \d+ times/, /12 of 12 checked, all hold/, /outcomes +5\n/, /outcome 5\n {2}setup 0\n/]) expect(stdout).toMatch(words);
  });

  test("--json says the same for machines", () => {
    const { stdout } = ringspec(["explore", "-", "--json"], backlog);
    const found = JSON.parse(stdout) as { states: number; outcomeCount: number; complete: boolean; breaches: unknown[]; checked: Record<string, number> };
    expect(found).toMatchObject({ outcomeCount: 5, complete: true, breaches: [] });
    expect(found.checked["overflow-flag"]).toBeGreaterThan(50);
  });

  test("a limit that is reached is said aloud, and ends with 4", () => {
    const { status, stdout } = ringspec(["explore", "-", "--limit", "20"], backlog);
    expect(status).toBe(4);
    expect(stdout).toContain("INCOMPLETE");
    expect(stdout).toContain("the limit of 20 states was reached");
  });

  test("a choice that is never taken, and all programs of an alphabet", () => {
    const { status, stdout } = ringspec(["explore", "--all", "2", "--alphabet", "nop-async,cancel,timeout"]);
    expect(status).toBe(0);
    expect(stdout).toMatch(/programs +12: all of up to 2 of nop-async, cancel, timeout/);
    expect(stdout).toMatch(/never +multishot|never +rw.read-inline: inline/);
  });

  test.each<[string[], string, string[]]>([
    [["explore"], "", ["expected a program", "got neither", "ringspec explore --all 2"]],
    [["explore", "-"], "{", ["stdin", "a program is JSON", "ringspec schema"]],
    [["explore", "/nonexistent.json"], "", ["expected a file", "check the path"]],
    [["explore", "-", "--all", "2"], "", ["either a program or --all"]],
    [["explore", "-", "--alphabet", "nop"], "{}", ["are for --all"]],
    [["explore", "--all", "2", "--alphabet", "nap"], "", ["expected words among nop", 'got "nap"']],
    [["explore", "--all", "9"], "", ["Expected a whole number from 1 to 6"]],
    [["explore", "-", "--limit", "0"], "", ['got "0"', "--limit 50000"]],
  ])("ringspec %j is refused with what was expected", (args, input, words) => {
    const { status, stdout, stderr } = ringspec(args, input);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    for (const word of words) expect(stderr).toContain(word);
  });
});
