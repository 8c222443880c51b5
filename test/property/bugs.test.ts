// The properties against seeded bugs (test/bugs/): three seeds each, the whole of it by `npm run bench:bugs`. A sixth of
// the bugs is drawn by the seed of the run, for all of them take minutes. It runs compiled, in a process of its own:
// the patched copies are copies of dist/.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "vitest";
import type { BugsResult } from "../../scripts/bench/bugs-report.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { RULES } from "../../src/spec/rules.gen.ts";
import { BUGS } from "../bugs/all.ts";
import { median } from "../bugs/hunt.ts";
import { applyPatch } from "../bugs/patched.ts";
import { ROWS } from "../bugs/rows.ts";
import { SEED } from "./campaigns.ts";

const SHARES = 6;
const SEEDS = "3";
const PROGRAMS = "300";
const SHRINK_MS = "1000";
/** Bugs of a driver that show as another fault than theirs: a CQE read amiss is a user_data that nobody gave, a wait cut short a completion that is due. */
const MISNAMED: readonly string[] = ["cq-half-its-size", "cqe-32-bytes", "cqe-flags-lost", "tail-published-short", "wait-in-microseconds"];

function bench(...args: string[]): { readonly status: number | null; readonly lines: readonly string[]; readonly said: string } {
  const command = join(packageRoot, "dist", "scripts", "bench", "bugs.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [command, ...args], { encoding: "utf8", maxBuffer: 2 ** 26 });
  return { status, lines: stdout.trimEnd().split("\n"), said: `${stdout}${stderr}` };
}

describe("the collection", () => {
  test("has at least 60 bugs, each of its own name, of rules and rows that there are", () => {
    expect(BUGS.length).toBeGreaterThanOrEqual(60);
    expect(new Set(BUGS.map(({ id }) => id)).size).toBe(BUGS.length);
    expect(BUGS.flatMap(({ rules }) => rules).filter((rule) => !Object.hasOwn(RULES, rule))).toEqual([]);
    const rows = ROWS.map(({ row }) => row);
    expect(BUGS.flatMap(({ origin }) => origin).filter((of) => /^(#|S)[0-9]+$/.test(of) && !rows.includes(of))).toEqual([]);
    expect(BUGS.filter(({ origin }) => origin.length === 0)).toEqual([]);
  });

  test("has a bug for every row, or says why not", () => {
    const bare = ROWS.filter(({ row, not }) => not === undefined && !BUGS.some(({ origin }) => origin.includes(row)));
    expect(bare).toEqual([]);
  });

  test("a patch that fits nowhere, or in two places, is refused", () => {
    const patch = { file: "x", from: "a  b", to: "c" };
    expect(applyPatch("1 a\n b 2", patch)).toBe("1 c 2");
    expect(() => applyPatch("a c", patch)).toThrow("0 times");
    expect(() => applyPatch("a b a b", patch)).toThrow("2 times");
  });

  test("every patch fits the compiled text, one after the other", () => {
    const misfits = BUGS.flatMap((bug) => {
      if (!("patches" in bug) || bug.patches === undefined) return [];
      const texts = new Map<string, string>();
      return bug.patches.flatMap((patch) => {
        const file = join(packageRoot, "dist", "src", bug.half === "kernel" ? "model" : "ring", `${patch.file}.js`);
        try {
          texts.set(file, applyPatch(texts.get(file) ?? readFileSync(file, "utf8"), patch));
          return [];
        } catch (error) {
          return [`${bug.id}: ${error instanceof Error ? error.message : String(error)}`];
        }
      });
    });
    expect(misfits).toEqual([]);
  });

  test("the median counts what was not found as more than any number", () => {
    expect(median([3, undefined, 1])).toBe(3);
    expect(median([3, undefined, undefined])).toBeUndefined();
    expect(median([1, 2, 3, undefined])).toBe(2.5);
  });
});

describe("the hunt", () => {
  test("finds nothing where there is no bug", () => {
    const { status, said } = bench("--none", "--seeds", "2", "--programs", "200", "--shrink-ms", "0");
    expect(said).toContain("no-bug-in-driver");
    expect(status, said).toBe(0);
  });

  test("finds, shrinks and names the bugs of a share", () => {
    const share = SEED % SHARES;
    console.log(`seeded bugs: share ${share} of ${SHARES}, NOT all of them; npm run bench:bugs runs the others too`);
    const { lines, said } = bench("--seeds", SEEDS, "--programs", PROGRAMS, "--shrink-ms", SHRINK_MS, "--share", `${share}/${SHARES}`, "--json");
    const result = JSON.parse(lines.at(-1) ?? "") as BugsResult; // the command printed it
    expect(result.bugs, said).toBe(BUGS.filter((_, at) => at % SHARES === share).length);
    const rare = new Set(BUGS.filter((bug) => bug.rare !== undefined).map(({ id }) => id));
    expect(result.perBug.filter(({ id, found }) => !found && !rare.has(id)).map(({ id }) => id), said).toEqual([]);
    const found = result.perBug.filter((bug) => bug.found);
    expect(found.filter(({ operations }) => (operations ?? Infinity) <= 8).length / found.length, said).toBeGreaterThan(0.8);
    const misnamed = found.filter(({ half, id, ruleRight }) => half === "driver" && !ruleRight && !MISNAMED.includes(id));
    expect(misnamed.map(({ id }) => id), said).toEqual([]);
  });

  test("refuses what it can't read, and says what it expects", () => {
    expect(bench("--only", "no-such-bug")).toMatchObject({ status: 2, said: expect.stringContaining("there is no bug") });
    expect(bench("--share", "4/4")).toMatchObject({ status: 2, said: expect.stringContaining("expected N/M") });
    expect(bench("--seeds", "0")).toMatchObject({ status: 2, said: expect.stringContaining("from 1 on") });
  });
});
