// `ringspec run` and `ringspec replay`: one program, once with its trace, or as often as it takes.
import { writeFileSync } from "node:fs";
import process from "node:process";
import type { Outcome, Strictness } from "../oracle/verdict.ts";
import type { Program } from "../program/program.ts";
import { memorySafe } from "../program/safety.ts";
import { chooseBackend, sayMissing } from "./backend.ts";
import { loadCounterexample } from "./counterexample.ts";
import { EXIT, UsageError } from "./exit-code.ts";
import { readInput, readProgram } from "./input.ts";
import type { Backend, Job } from "./messages.ts";
import { Pool } from "./pool.ts";
import { programLines, ringLine } from "./program-lines.ts";
import { isDivergence } from "./tally.ts";

export interface RunOptions {
  readonly backend: "auto" | Backend;
  readonly strictness: Strictness | "auto";
  /** The seed of the model's choices. */
  readonly seed?: number;
  readonly trace?: string;
  readonly json?: boolean;
}

/** The exit code. Throws UsageError, RealRequired. */
export async function runProgram(path: string, options: RunOptions): Promise<number> {
  const program = readProgram(path);
  const { backend, missing } = chooseBackend(options.backend);
  refuseUnsafe(path, program, backend);
  const say = (text: string): void => void (options.json === true ? process.stderr : process.stdout).write(text);
  say(sayMissing(missing));
  const [outcome] = await runOften({ program, keepTrace: true, ...(backend === "model" ? { model: modelOf(options.seed) } : {}) }, {
    backend, strictness: options.strictness, times: 1,
  });
  if (outcome === undefined) throw new Error("one run gave no outcome");
  const { trace = "", ...rest } = outcome;
  if (options.trace !== undefined) writeFileSync(options.trace, trace);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ backend, ...rest, ...(options.trace === undefined ? { trace } : {}) })}\n`);
  } else {
    say(`ring: ${ringLine(program)}\n${programLines(program).join("\n")}\n\n`);
    say(options.trace === undefined ? `${trace}\n` : `trace: ${options.trace}\n`);
    say(verdictLines(outcome));
    say(sayMissing(missing));
  }
  return isDivergence(outcome) ? EXIT.diverge : EXIT.agree;
}

function modelOf(seed: number | undefined): { readonly seed: number } {
  return { seed: seed ?? 0 };
}

export interface ReplayOptions {
  readonly times: number;
  readonly json?: boolean;
}

/** The exit code. Throws UsageError, RealRequired. */
export async function replay(path: string, options: ReplayOptions): Promise<number> {
  const saved = readInput(path, () => loadCounterexample(path));
  const { backend } = chooseBackend(saved.backend);
  const { program, strictness } = saved;
  refuseUnsafe(path, program, backend);
  const model = saved.model === undefined ? undefined : { seed: saved.model.seed, ...(saved.model.counters === undefined ? {} : { counters: saved.model.counters }) };
  const outcomes = await runOften({ program, ...(model === undefined ? {} : { model }) }, { backend, strictness, times: options.times });
  const failing = outcomes.filter(isDivergence);
  const [first] = failing;
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ id: saved.id, backend, times: outcomes.length, divergences: failing.length, ...(first === undefined ? {} : { first }) })}\n`);
  } else {
    process.stdout.write(`${saved.id}, found on ${saved.kernel}, strictness ${strictness}\nring: ${ringLine(program)}\n${programLines(program).join("\n")}\n\n`);
    if (first !== undefined) process.stdout.write(verdictLines(first));
    process.stdout.write(`${failing.length} of ${outcomes.length} runs diverge\n`);
  }
  return failing.length > 0 ? EXIT.diverge : EXIT.agree;
}

async function runOften(job: Omit<Job, "id">, how: { readonly backend: Backend; readonly strictness: Strictness | "auto"; readonly times: number }): Promise<Outcome[]> {
  const pool = new Pool({ backend: how.backend, strictness: how.strictness, jobs: 1 });
  try {
    return await Promise.all(Array.from({ length: how.times }, () => pool.run(job)));
  } finally {
    await pool.close();
  }
}

function verdictLines({ verdict, lost, lostAsModelled, exercise }: Outcome): string {
  const lines = [`verdict: ${verdict.verdict}, ${verdict.judgedEvents} of ${verdict.events} events judged, at most ${verdict.candidates} candidates`];
  if (verdict.unspecified !== undefined) lines.push(`unspecified: ${verdict.unspecified}`);
  if (verdict.unmodelled !== undefined) lines.push(`unmodelled: ${verdict.unmodelled}`);
  if (lost !== undefined) lines.push(`the process was lost: ${lost}${lostAsModelled === true ? ", as the model says" : ""}`);
  if (verdict.seen !== undefined) lines.push(`seen: ${verdict.seen} (event ${verdict.at ?? "?"})`);
  for (const allowed of verdict.allowed ?? []) lines.push(`allowed: ${allowed}`);
  if (verdict.rules !== undefined) lines.push(`rules: ${verdict.rules.join(", ")}`);
  const did = Object.entries(exercise.opcodes).map(([name, count]) => `${name} ${count}`);
  lines.push(`exercised: ${did.join(", ") || "no request"}`);
  return `${lines.join("\n")}\n`;
}

/** Not even in a process that we can lose: it could reach descriptors and memory that are not the program's. */
function refuseUnsafe(path: string, program: Program, backend: Backend): void {
  const fault = backend === "real" ? memorySafe(program) : undefined;
  if (fault !== undefined) throw new UsageError(`${path}: not safe to run on the real kernel: ${fault}. Change it, or run it with --backend model`);
}
