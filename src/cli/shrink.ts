// Makes a failing program small: first by fast-check, along the path that generated it, then by leaving
// out operations and flags one by one. A kernel may not repeat itself, so a smaller program counts only
// if one of a few reruns fails, and then the trace of that run is kept. Bounded in tries and time.
import fc from "fast-check";
import type { Outcome } from "../oracle/verdict.ts";
import type { Operation, Program } from "../program/program.ts";
import { memorySafe } from "../program/safety.ts";
import type { ModelSettings } from "./messages.ts";
import type { Pool } from "./pool.ts";
import { arbitraryOf } from "./programs.ts";
import type { Drawing } from "./programs.ts";
import { isDivergence } from "./tally.ts";

export interface ShrinkOptions extends Drawing {
  /** What runs programs: a pool of children, or whatever does as one. */
  readonly pool: Pick<Pool, "run">;
  readonly path: number;
  readonly model?: ModelSettings;
  /** Defaults: 400 tries, 60 s, 5 runs a try (1 on the model, which repeats itself). */
  readonly triesMax?: number;
  readonly timeMs?: number;
  readonly runsPerTry?: number;
}

export interface Shrunk {
  readonly program: Program;
  readonly outcome: Outcome;
  readonly tries: number;
  /** fast-check's path of the program before operations were left out. */
  readonly path: string;
}

/** Pairs are tried in programs of up to this many operations. */
const PAIRS_UP_TO = 12;
/** Of tries and time; the rest is for leaving out, which finds what fast-check can't see. */
const FAST_CHECK_SHARE = 0.3;

/** Always gives a program that failed: the one it was given, if no smaller one does. */
export async function shrink(failing: { readonly program: Program; readonly outcome: Outcome }, options: ShrinkOptions): Promise<Shrunk> {
  const trial = new Trial(failing, options);
  trial.allow(FAST_CHECK_SHARE);
  const details = await fc.check(
    fc.asyncProperty(arbitraryOf(failing.program.kind, options), async (program) => {
      if (await trial.fails(program)) throw new Error("diverges");
    }),
    { seed: options.seed, path: String(options.path), numRuns: 1 },
  );
  trial.allow(0.7);
  await leaveOut(trial);
  trial.allow(1);
  await oneByOne(trial);
  return { ...trial.best, tries: trial.tries, path: details.counterexamplePath ?? String(options.path) };
}

class Trial {
  best: { readonly program: Program; readonly outcome: Outcome };
  tries = 0;
  readonly #options: ShrinkOptions;
  readonly #startMs = performance.now();
  #triesMax = 0;
  #timeMs = 0;

  constructor(failing: { readonly program: Program; readonly outcome: Outcome }, options: ShrinkOptions) {
    this.best = failing;
    this.#options = options;
  }

  /** The budget from now on: this share of the whole. */
  allow(share: number): void {
    this.#triesMax = share * (this.#options.triesMax ?? 400);
    this.#timeMs = share * (this.#options.timeMs ?? 60_000);
  }

  get exhausted(): boolean {
    return this.tries >= this.#triesMax || performance.now() - this.#startMs > this.#timeMs;
  }

  /** Does it fail in one of the reruns? Then it is the best so far. */
  async fails(program: Program): Promise<boolean> {
    if (this.exhausted || memorySafe(program) !== undefined) return false;
    this.tries++;
    const { pool, model } = this.#options;
    const runs = this.#options.runsPerTry ?? (model === undefined ? 5 : 1);
    for (let run = 0; run < runs; run++) {
      const outcome = await pool.run(model === undefined ? { program } : { program, model });
      if (!isDivergence(outcome)) continue;
      this.best = { program, outcome };
      return true;
    }
    return false;
  }
}

/** A smaller ring, and ones for numbers of entries. */
async function simplify(trial: Trial): Promise<void> {
  for (const entries of [1, 2]) {
    const { program } = trial.best;
    const cq = program.ring.cqEntries === undefined ? {} : { cqEntries: entries };
    if (entries < program.ring.entries) await trial.fails({ ...program, ring: { ...program.ring, entries, ...cq } });
  }
  for (let at = 0; at < trial.best.program.ops.length; at++) {
    const { program } = trial.best;
    const op = program.ops[at];
    if (op?.op === "store" && op.add !== undefined && op.add !== 1) await trial.fails({ ...program, ops: program.ops.with(at, { ...op, add: 1 }) });
    if (op?.op === "enter" && op.toSubmit > 1) await trial.fails({ ...program, ops: program.ops.with(at, { ...op, toSubmit: 1 }) });
  }
}

/** A ring of one entry, and a submission for every SQE: longer at first, and shorter where a small CQ is all it needs. */
async function oneByOne(trial: Trial): Promise<void> {
  const { best } = trial;
  const { program } = best;
  const ops = program.ops.flatMap((op): Operation[] => (op.op === "sqe" ? [op, { op: "submit" }] : [op]));
  const cq = program.ring.cqEntries === undefined ? {} : { cqEntries: 1 };
  if (!(await trial.fails({ ...program, ring: { ...program.ring, entries: 1, ...cq }, ops }))) return;
  await leaveOut(trial);
  if (trial.best.program.ops.length >= program.ops.length) trial.best = best;
}

/** Leaves out `length` operations in a row, at every `step`th place. */
async function leaveOutRuns(trial: Trial, length: number, step = length): Promise<void> {
  for (let at = trial.best.program.ops.length - length; at >= 0 && !trial.exhausted; at -= step) {
    const { program } = trial.best;
    await trial.fails({ ...program, ops: program.ops.toSpliced(at, length) });
  }
}

/** Two submissions in a row by hand are one of both. */
async function mergeSubmissions(trial: Trial): Promise<void> {
  for (let at = 0; at + 3 < trial.best.program.ops.length; at++) {
    const { program } = trial.best;
    const [store, enter, nextStore, nextEnter] = program.ops.slice(at, at + 4);
    if (store?.op !== "store" || enter?.op !== "enter" || nextStore?.op !== "store" || nextEnter?.op !== "enter") continue;
    if (store.word !== "sqTail" || nextStore.word !== "sqTail" || store.add === undefined || nextStore.add === undefined) continue;
    const merged: Operation[] = [{ ...store, add: store.add + nextStore.add }, { ...nextEnter, toSubmit: enter.toSubmit + nextEnter.toSubmit }];
    await trial.fails({ ...program, ops: program.ops.toSpliced(at, 4, ...merged) });
  }
}

/** In a short program: two operations that need each other, wherever they are. */
async function leaveOutPairs(trial: Trial): Promise<void> {
  if (trial.best.program.ops.length > PAIRS_UP_TO) return;
  for (let second = trial.best.program.ops.length - 1; second > 0; second--) {
    for (let first = second - 1; first >= 0 && !trial.exhausted; first--) {
      const { program } = trial.best;
      if (second >= program.ops.length) break;
      await trial.fails({ ...program, ops: program.ops.filter((_, at) => at !== first && at !== second) });
    }
  }
}

/** Halves, quarters ... single operations, then flags: whatever is not needed goes. */
async function leaveOut(trial: Trial): Promise<void> {
  for (let length = Math.ceil(trial.best.program.ops.length / 2); length >= 1; length = length === 1 ? 0 : Math.ceil(length / 2))
    await leaveOutRuns(trial, length);
  await simplify(trial);
  // What was needed only by something that is gone by now can go too.
  for (let before = Infinity; trial.best.program.ops.length < before && !trial.exhausted; ) {
    before = trial.best.program.ops.length;
    for (const length of [3, 2, 1]) await leaveOutRuns(trial, length, 1);
  }
  await mergeSubmissions(trial);
  await leaveOutPairs(trial);
  for (const flag of trial.best.program.ring.flags) {
    const { program } = trial.best;
    await trial.fails({ ...program, ring: { ...program.ring, flags: program.ring.flags.filter((other) => other !== flag) } });
  }
  for (let at = 0; at < trial.best.program.ops.length; at++) {
    const { program } = trial.best;
    const op = program.ops[at];
    if (op?.op !== "sqe" || op.flags === undefined) continue;
    const { flags: _flags, ...plain } = op;
    await trial.fails({ ...program, ops: program.ops.with(at, plain) });
  }
}
