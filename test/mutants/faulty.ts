// Illegal traces of faulty kernels: the model with another mutant in the same function runs programs that come by there, and
// what it does that no kernel may is kept. Changing a trace seldom makes what a model made too wide allows; a kernel
// that is wrong nearby does.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Entry, Judging } from "./corpus.ts";
import type { FaultyTask, FromFaulty, Run } from "./faulty-child.ts";
import type { Instrumented, Mutant } from "./instrument.ts";
import { childFile, runLimited, type Ids, type TraceFile } from "./judge.ts";

const CHILD = childFile("faulty-child");

/** Faulty kernels for one mutant, the nearest first; programs that each of them runs, and traces that are kept of it. */
const KERNELS = 14;
const PROGRAMS = 80;
const TRACES = 3;
/** A program that takes a faulty kernel longer hangs it, in milliseconds of the processor. */
const HANG_MS = 2500;
/** A faulty kernel that hangs in so many programs gets no more. */
const HANGS = 2;

export interface FaultyFrom extends Instrumented {
  readonly directory: string;
  readonly judgings: readonly Judging[];
  /** Programs, and which mutants they come by. */
  readonly programs: readonly { readonly by: number; readonly ids: Ids; readonly made: Made }[];
}

/** What a program's trace was made of. */
export type Made = Pick<Run, "program" | "settings">;

/** Illegal traces of kernels that are wrong in the function of this mutant, but not this way; undefined where there are none. */
export async function faultyTraces(from: FaultyFrom, mutant: Mutant): Promise<{ readonly corpus: TraceFile; readonly count: number } | undefined> {
  const entries: Pick<Entry, "by" | "text">[] = [];
  const away = ({ line }: Mutant): number => Math.abs(line - mutant.line);
  const others = from.mutants.filter(({ id, file, within }) => id !== mutant.id && file === mutant.file && within === mutant.within);
  for (const other of others.toSorted((a, b) => away(a) - away(b)).slice(0, KERNELS)) {
    const near = from.programs.filter(({ ids }) => ids.has(other.id)).slice(0, PROGRAMS);
    for (const { run, trace } of await illegalOf(from, other, near)) entries.push({ by: near[run]?.by ?? 0, text: trace });
  }
  if (entries.length === 0) return undefined;
  const path = join(from.directory, `faulty-${mutant.id}.jsonl`);
  const lines = entries.map(({ by, text }) => Buffer.from(`${JSON.stringify([by, text])}\n`));
  writeFileSync(path, Buffer.concat(lines));
  let at = 0;
  return { corpus: { path, places: lines.map(({ length }) => ({ at: (at += length) - length, size: length })) }, count: entries.length };
}

async function illegalOf({ quick, judgings }: FaultyFrom, other: Mutant, near: FaultyFrom["programs"]): Promise<{ run: number; trace: string }[]> {
  const found: { run: number; trace: string }[] = [];
  // A program that hangs it is left out, and those behind it have their turn.
  for (let first = 0, hung = 0; first < near.length && found.length < TRACES && hung < HANGS; hung++) {
    const runs = near.slice(first).flatMap(({ by, made }): Run[] => {
      const judging = judgings[by];
      return judging === undefined ? [] : [{ ...judging, ...made }];
    });
    let begun = 0;
    const task: FaultyTask = { build: quick, runs, most: TRACES - found.length };
    const { late } = await runLimited(CHILD, task, other.id, HANG_MS, (message: FromFaulty) => {
      if ("begun" in message) begun = message.begun;
      else found.push({ run: first + message.run, trace: message.trace });
    });
    if (!late) break;
    first += begun + 1;
  }
  return found;
}
