// Campaigns: the same seed draws the same programs, a path leads back to each of them, and a divergence
// is shrunk, named and counted.
import fc from "fast-check";
import { fileURLToPath } from "node:url";
import { afterEach, expect, test } from "vitest";
import { runCampaign } from "../../src/cli/campaign.ts";
import { arbitraryOf, drawPrograms, mixSeed } from "../../src/cli/programs.ts";
import { failuresOf } from "../../src/cli/tally.ts";
import type { Program } from "../../src/program/program.ts";

const childPath = fileURLToPath(new URL("./children/fake-runner.mjs", import.meta.url));
afterEach(() => {
  delete process.env["FAKE_RUNNER"];
});

test("program i of a kind is what fast-check generates at path i, also past the first chunk", async () => {
  const drawn = [...drawPrograms({ seed: 11, runs: 900 })];
  for (const index of [0, 3, 4, 17, 599, 899]) {
    const wanted = drawn[index];
    if (wanted === undefined) throw new Error(`no program ${index}`);
    let found: Program | undefined;
    const property = fc.asyncProperty(arbitraryOf(wanted.kind), async (program) => {
      found = program;
    });
    await fc.check(property, { seed: 11, path: String(wanted.path), numRuns: 1 });
    expect(found).toEqual(wanted.program);
  }
});

test("every fourth program is hostile, and another seed draws others", () => {
  const kinds = [...drawPrograms({ seed: 1, runs: 8 })].map(({ kind }) => kind);
  expect(kinds).toEqual(["legal", "legal", "legal", "hostile", "legal", "legal", "legal", "hostile"]);
  const first = (seed: number): string => JSON.stringify([...drawPrograms({ seed, runs: 20 })]);
  expect(first(1)).toBe(first(1));
  expect(first(1)).not.toBe(first(2));
  expect(new Set(Array.from({ length: 1000 }, (_, index) => mixSeed(1, index))).size).toBe(1000);
});

test("a campaign stops at the first divergence and shrinks it to what matters", async () => {
  process.env["FAKE_RUNNER"] = "needle";
  const { summary, counterexamples, stopped } = await runCampaign({ backend: "real", runs: 2000, seed: 5, kind: "legal", childPath });
  expect(stopped).toBe("diverged");
  expect(summary.programs).toBeLessThan(2000);
  expect(failuresOf(summary)).toContainEqual(expect.stringContaining("diverged"));
  const [found] = counterexamples;
  expect(found?.program.ops).toHaveLength(1);
  expect(found?.program.ops).toMatchObject([{ op: "sqe", opcode: "NOP" }]);
  expect(found).toMatchObject({ seed: 5, kernel: "fake", outcome: { verdict: { seen: "a NOP" } } });
});

test("what can't be judged is counted, and is no pass above one in a hundred", async () => {
  process.env["FAKE_RUNNER"] = "unmodelled";
  const { summary } = await runCampaign({ backend: "real", runs: 100, seed: 5, childPath });
  expect(summary).toMatchObject({ programs: 100, hostilePrograms: 25, unmodelled: 100, divergences: 0, reasons: { "unmodelled: unmodelled: SQPOLL": 100 } });
  expect(failuresOf(summary)).toEqual([expect.stringContaining("100.0 % of the programs are unmodelled")]);
});

test("an interrupted campaign gives what it has", async () => {
  const controller = new AbortController();
  const { summary, stopped } = await runCampaign({
    backend: "real", runs: 1_000_000, seed: 5, childPath, signal: controller.signal,
    onProgress: (done) => done === 200 && controller.abort(),
  });
  expect(stopped).toBe("interrupted");
  expect(summary.programs).toBeGreaterThanOrEqual(200);
});
