// A faulty kernel: the model with the mutant that the environment names runs programs, judged by the oracle as it is.
// Prints each trace that is illegal.
import process from "node:process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ModelSettings } from "../../src/cli/messages.ts";
import type { createModelKernel } from "../../src/model/kernel.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import type { Program } from "../../src/program/program.ts";
import { readTask, say } from "./child.ts";
import type { Judging } from "./corpus.ts";

export interface FaultyTask {
  /** The build with every mutant in it. */
  readonly build: string;
  readonly runs: readonly Run[];
  /** So many traces are enough. */
  readonly most: number;
}

export interface Run extends Judging {
  readonly program: Program;
  readonly settings: ModelSettings;
}

/** `run`: number of the run that a trace is of. */
export type FromFaulty = { readonly begun: number } | { readonly run: number; readonly trace: string };

/** A trace that takes longer to judge is given up, in milliseconds of the processor: the corpus has none that is so slow. */
const SLOW_MS = 300;
const SLOW = new Error("takes too long to judge");

const { build, runs, most } = await readTask<FaultyTask>();
const { createModelKernel: create } = (await import(pathToFileURL(join(build, "src", "model", "kernel.js")).href)) as { createModelKernel: typeof createModelKernel };

const answer: (message: FromFaulty) => void = say;
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/** The trace, where it is illegal. */
function illegalTrace({ program, settings, profile, strictness }: Run): string | undefined {
  const startedMs = cpuMs();
  try {
    const kernel = create({ ...settings, profile });
    try {
      const onSearch = (): void => {
        if (cpuMs() - startedMs > SLOW_MS) throw SLOW;
      };
      const { verdict, trace } = runAndJudge(kernel, program, { strictness, onSearch });
      return verdict.verdict === "illegal" ? trace : undefined;
    } finally {
      kernel.close();
    }
  } catch {
    return undefined; // a kernel that gives up is no use here
  }
}

let found = 0;
for (const [number, run] of runs.entries()) {
  if (found >= most) break;
  answer({ begun: number });
  const trace = illegalTrace(run);
  if (trace === undefined) continue;
  found++;
  answer({ run: number, trace });
}
