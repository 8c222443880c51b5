// `ringspec vectors`: runs the conformance vectors on a kernel.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { outcomeOf } from "../oracle/explore/outcome.ts";
import { parseTrace } from "../program/trace-reader.ts";
import { specRoot } from "../spec/load.ts";
import { runVector, type RunProgram, type VectorFailure } from "../vector/run.ts";
import { parseVectors, type Vector } from "../vector/vector.ts";
import { chooseBackend, sayMissing } from "./backend.ts";
import { EXIT, UsageError } from "./exit-code.ts";
import { readInput } from "./input.ts";
import type { Backend } from "./messages.ts";
import { Pool } from "./pool.ts";

export interface VectorsOptions {
  readonly backend: "auto" | Backend;
  /** Runs of each vector. */
  readonly times: number;
  readonly json?: boolean;
}

/** The vectors that the package brings. */
export const vectorsFile = (): string => join(specRoot(), "spec", "vector", "vectors.json");

interface Failed extends VectorFailure {
  readonly id: string;
  readonly rules: readonly string[];
}

/** The exit code. `paths`: files of vectors; none: the package's own. Throws UsageError, RealRequired. */
export async function vectors(paths: readonly string[], { backend: wanted, times, json = false }: VectorsOptions): Promise<number> {
  const files = paths.length === 0 ? [vectorsFile()] : paths;
  const all = files.flatMap((path) => readInput(path, () => parseVectors(readFileSync(path, "utf8"))).vectors);
  if (all.length === 0) throw new UsageError(`vectors: expected at least one vector, got none in ${files.join(", ")}`);
  const { backend, missing } = chooseBackend(wanted);
  process.stderr.write(sayMissing(missing));
  const pool = new Pool({ backend, jobs: 2 });
  try {
    const { release } = await pool.opened;
    const failed = await runAll(all, backend, pool, times);
    if (json) process.stdout.write(`${JSON.stringify({ backend, kernel: release, vectors: all.length, times, failed })}\n`);
    else process.stdout.write(report(all.length, `${backend === "real" ? "Linux" : "the model of"} ${release}`, times, failed));
    return failed.length === 0 ? EXIT.agree : EXIT.diverge;
  } finally {
    await pool.close();
  }
}

/** Each vector `times` times. Those that showed something else. */
export async function runAll(all: readonly Vector[], backend: Backend, pool: Pool, times: number): Promise<readonly Failed[]> {
  const failed: Failed[] = [];
  let seed = 0;
  const run: RunProgram = async (program) => {
    const { trace } = await pool.run({ program, keepTrace: true, ...(backend === "model" ? { model: { seed: seed++ } } : {}) });
    return outcomeOf(program, parseTrace(trace ?? "").events);
  };
  await Promise.all(all.map(async (vector) => {
    const failure = await runVector(vector, "6.18", run, times);
    if (failure !== undefined) failed.push({ id: vector.id, rules: vector.rules, ...failure });
  }));
  return failed;
}

function report(count: number, kernel: string, times: number, failed: readonly Failed[]): string {
  const lines = failed.flatMap(({ id, rules, expected, got }) => [
    `FAILED ${id} (${rules.slice(0, 5).join(", ")})`,
    ...indented(`expected ${expected.length === 1 ? "this" : `one of ${expected.length}, the first of which is`}`, expected[0] ?? ""),
    ...indented("got", got),
  ]);
  return `${[...lines, `${count - failed.length} of ${count} vectors pass on ${kernel}, ${times} ${times === 1 ? "run" : "runs"} each`].join("\n")}\n`;
}

const indented = (title: string, text: string): string[] => [`  ${title}:`, ...text.split("\n").map((line) => `    ${line}`)];
