// A divergence as a file: the program, where it came from, the kernel, the verdict, and beside it the
// trace, which is the real counterexample, for a kernel may not repeat itself.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Outcome, Strictness } from "../oracle/verdict.ts";
import { programSchema } from "../program/program.ts";
import type { Program } from "../program/program.ts";
import type { Backend, ModelSettings } from "./messages.ts";
import type { Drawn } from "./programs.ts";

export interface Counterexample {
  readonly ringspec: "counterexample";
  readonly version: 1;
  readonly id: string;
  readonly seed: number;
  /** Number in the campaign. */
  readonly index: number;
  /** fast-check's path among the programs of its kind. */
  readonly path: string;
  readonly backend: Backend;
  readonly kernel: string;
  readonly strictness: Strictness;
  readonly model?: ModelSettings;
  readonly shrunkFrom?: { readonly operations: number; readonly tries: number };
  readonly program: Program;
  readonly outcome: Outcome;
}

/** What of a saved file is needed to run it again; the rest is for people. */
const savedSchema = z.object({
  ringspec: z.literal("counterexample"),
  version: z.literal(1),
  id: z.string(),
  backend: z.enum(["real", "model"]),
  kernel: z.string(),
  strictness: z.enum(["spec", "profile"]),
  model: z.object({ seed: z.int(), counters: z.int().optional() }).optional(),
  program: programSchema,
});
export type Saved = z.infer<typeof savedSchema>;

export function nameCounterexample(seed: number, drawn: Drawn): string {
  return `${seed}-${drawn.kind}-${drawn.path}`;
}

/** Writes `<id>.json` and `<id>.trace.jsonl` into `directory`: the path of the first. */
export function saveCounterexample(directory: string, found: Counterexample): string {
  mkdirSync(directory, { recursive: true });
  const path = join(directory, `${found.id}.json`);
  const { trace, ...outcome } = found.outcome;
  writeFileSync(path, `${JSON.stringify({ ...found, outcome }, undefined, 2)}\n`);
  if (trace !== undefined) writeFileSync(join(directory, `${found.id}.trace.jsonl`), trace);
  return path;
}

/** Throws an Error that says what is wrong with the file, and where. */
export function loadCounterexample(path: string): Saved {
  const text = readFileSync(path, "utf8");
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`expected JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const read = savedSchema.safeParse(json);
  if (read.success) return read.data;
  const [issue] = read.error.issues;
  throw new Error(`expected a counterexample of version 1: at ${issue?.path.join(".") || "the top"}: ${issue?.message ?? "unknown fault"}`);
}
