// The conformance vectors: they hold on both kernels, they say what they leave out, and a kernel with a fault fails some.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { expect, test } from "vitest";
import { vectorsFile } from "../../src/cli/vectors.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { outcomeOf } from "../../src/oracle/explore/outcome.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import { parseTrace } from "../../src/program/trace-reader.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { RULES } from "../../src/spec/rules.gen.ts";
import { excusesOf } from "../../scripts/vectors/excuses.ts";
import { runVector, type RunProgram } from "../../src/vector/run.ts";
import { parseVectors } from "../../src/vector/vector.ts";
import { realOrSay } from "./real.ts";

const file = parseVectors(readFileSync(vectorsFile(), "utf8"));
const main = join(packageRoot, "dist", "src", "cli", "main.js");
const ringspec = (...args: string[]): { status: number | null; stdout: string; stderr: string } =>
  spawnSync(process.execPath, [main, "vectors", ...args], { encoding: "utf8" });

test("cover every must, or say why not, excuse no rule that is covered, and name none that there is not", () => {
  const covered = new Set(file.vectors.flatMap(({ rules }) => rules));
  const musts = Object.entries(RULES).filter(([, { force, until }]) => force === "must" && until === undefined).map(([id]) => id);
  const excuses = excusesOf();
  expect(musts.filter((id) => !covered.has(id) && excuses[id] === undefined)).toEqual([]);
  expect(Object.keys(excuses).filter((id) => covered.has(id) || !musts.includes(id))).toEqual([]);
  expect(file.uncovered).toEqual(excuses);
  expect([...covered].filter((id) => RULES[id] === undefined)).toEqual([]);
  expect(new Set(file.vectors.map(({ id }) => id)).size).toBe(file.vectors.length);
});

test("hold on the model", () => {
  const { status, stdout } = ringspec("--backend", "model", "--times", "10");
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/vectors pass on the model/) as string });
});

test("hold on the real kernel", (context) => {
  realOrSay(context).close();
  const { status, stdout } = ringspec("--backend", "real", "--times", "10");
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringMatching(/vectors pass on Linux/) as string });
});

/** A kernel whose completions come with another result than the model's. */
const faulty: RunProgram = (program) => {
  const kernel = createModelKernel({ seed: 1 });
  const { trace } = runAndJudge(kernel, program, { keepTrace: true });
  kernel.close();
  const outcome = outcomeOf(program, parseTrace(trace ?? "").events);
  return Promise.resolve({ ...outcome, completions: outcome.completions.map((line) => line.replace(" -125 ", " -62 ")) });
};

test("a kernel that says -ETIME in the place of -ECANCELED fails some", async () => {
  const failures = await Promise.all(file.vectors.map((vector) => runVector(vector, "6.18", faulty, 1)));
  expect(failures.filter((failure) => failure !== undefined).length).toBeGreaterThan(0);
  expect(failures.some((failure) => failure === undefined)).toBe(true);
});

test("what is no file of vectors is refused with what was expected", () => {
  expect(ringspec("/nonexistent.json")).toMatchObject({ status: 2, stderr: expect.stringMatching(/expected a file/) as string });
  expect(ringspec(join(packageRoot, "package.json"))).toMatchObject({ status: 2, stderr: expect.stringMatching(/not a file of vectors of version 1/) as string });
});
