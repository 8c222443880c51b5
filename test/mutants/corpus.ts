// The corpus that mutants of the model are judged against: traces of a kernel that are legal, and the same with one
// change that makes them illegal.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { KernelProfile } from "../../src/kernel.ts";
import type { Backend } from "../../src/cli/messages.ts";
import { modelSettingsOf } from "../../src/cli/campaign.ts";
import { Pool } from "../../src/cli/pool.ts";
import { drawPrograms, type Drawing } from "../../src/cli/programs.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { PROFILE_6_18, PROFILES } from "../../src/model/profile.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import type { Strictness } from "../../src/oracle/verdict.ts";
import { formatTrace, parseTrace, type TraceEvent } from "../../src/program/trace.ts";
import { vectorFileSchema } from "../../src/vector/vector.ts";
import { mutate, MUTATION_CLASSES } from "../attack/mutate.ts";
import { Draw } from "../attack/draw.ts";
import type { Program } from "../../src/program/program.ts";
import type { Made } from "./faulty.ts";
import { hasten, move } from "./moves.ts";
import { bytesOfElsewhere } from "./bytes.ts";
import { RECORD_AS, RECORD_TO } from "./recorder.ts";
import { resultsOf, unusual } from "./usual.ts";

export interface Judging {
  readonly profile: KernelProfile;
  readonly strictness: Strictness;
}

/** Where a trace comes from, as the report counts them. */
export interface Entry {
  readonly from: string;
  /** Number of its judging. */
  readonly by: number;
  /** As formatTrace prints it. */
  readonly text: string;
  /** The program that it is of, for faulty kernels to run too. */
  readonly made?: Made;
}

/** A trace of a program. */
export interface Run {
  readonly text: string;
  readonly made: Made;
}

export interface Recorded {
  readonly judging: Judging;
  readonly release: string;
  readonly traces: readonly Run[];
}

/** Rings of one kind in each share of the programs; undefined: as they are drawn. CQSIZE is drawn beside each. */
export const RINGS: readonly Drawing["ringFlags"][] = [
  undefined, undefined, undefined, [], ["DEFER_TASKRUN", "SINGLE_ISSUER"], ["COOP_TASKRUN", "TASKRUN_FLAG"], ["SQPOLL"], ["SQE128", "CQE32"],
];
const OPS_MAX = 24;
const VECTOR_FILE = join("spec", "vector", "vectors.json");
/** Longer traces of scripts are left out, in characters. */
const SCRIPT_MAX = 400_000;
/** Programs that are run at once. */
const BATCH = 50;

/** Runs programs on a kernel and keeps the traces that are legal. `programs`: in all. */
export async function record(backend: Backend, seed: number, programs: number, rings = RINGS): Promise<Recorded> {
  const pool = new Pool({ backend, jobs: 1 });
  try {
    const { file, strictness, release } = await pool.opened;
    const { readInline, writeInline } = file;
    const traces: Run[] = [];
    for (const [kind, ringFlags] of rings.entries()) {
      const drawn = [...drawPrograms({ seed: seed + kind, runs: Math.ceil(programs / rings.length), kind: "any", ringFlags, maxOps: OPS_MAX })];
      for (let from = 0; from < drawn.length; from += BATCH) {
        const runs = await Promise.all(drawn.slice(from, from + BATCH).map(({ program, index }) => runOf(pool, backend, program, modelSettingsOf(seed, index))));
        traces.push(...runs.flat());
      }
    }
    return { judging: { profile: { ...PROFILE_6_18, file: { readInline, writeInline } }, strictness }, release, traces };
  } finally {
    await pool.close();
  }
}

/** The trace of a program where it is legal, or nothing. */
async function runOf(pool: Pool, backend: Backend, program: Program, settings: Made["settings"]): Promise<Run[]> {
  const { verdict, trace } = await pool.run({ program, keepTrace: true, ...(backend === "real" ? {} : { model: settings }) });
  return verdict.verdict === "legal" && verdict.unspecified === undefined && trace !== undefined ? [{ text: trace, made: { program, settings } }] : [];
}

/** Programs of spec/vector, each so many times: what they do is known to differ from run to run. */
export async function recordVectors(backend: Backend, seed: number, times: number): Promise<Run[]> {
  if (times === 0) return [];
  const { vectors } = vectorFileSchema.parse(JSON.parse(readFileSync(join(packageRoot, VECTOR_FILE), "utf8")));
  const pool = new Pool({ backend, jobs: 1 });
  try {
    const jobs = Array.from({ length: times }, () => vectors).flat();
    return (await Promise.all(jobs.map(({ program }, i) => runOf(pool, backend, program, modelSettingsOf(seed, i))))).flat();
  } finally {
    await pool.close();
  }
}

/**
 * Releases that the model runs programs as: older ones because no kernel here is of them, so that what differs there is
 * come by, and 6.18 because with a seed the model takes choices that the kernel at hand rarely takes.
 */
export const MODELLED = ["5.10", "5.15", "6.1", "6.6", "6.12", "6.18"] as const;
export type Release = (typeof MODELLED)[number];
/** Releases that the model runs the scripts as: the oldest, and one from the middle. */
export const SCRIPTED = ["5.10", "6.1"] as const;

/** Runs programs on the model as a release, in this process, and keeps the traces that are legal. */
export function recordModelled(release: Release, seed: number, programs: number, rings: typeof RINGS = [undefined]): Recorded {
  const profile = PROFILES[release];
  const traces: Run[] = [];
  const drawn = rings.flatMap((ringFlags, kind) => [...drawPrograms({ seed: seed + 1000 + kind, runs: Math.ceil(programs / rings.length), kind: "any", ringFlags, maxOps: OPS_MAX })]);
  for (const { program, index } of drawn) {
    const settings = modelSettingsOf(seed, index);
    const kernel = createModelKernel({ ...settings, profile });
    try {
      const { verdict, trace } = runAndJudge(kernel, program, { keepTrace: true, strictness: "spec" });
      if (verdict.verdict === "legal" && trace !== undefined) traces.push({ text: trace, made: { program, settings } });
    } catch {
      // A program that the model cannot run to its end as this release has no trace.
    } finally {
      kernel.close();
    }
  }
  return { judging: { profile, strictness: "spec" }, release, traces };
}

export interface Scripts {
  readonly traces: readonly string[];
  /** How many traces could not be taken, by reason. */
  readonly dropped: ReadonlyMap<string, number>;
}

/**
 * What the scripts of test/integration/rule do on the real kernel, or on the model as a release: a trace for each ring.
 * Not all of them are legal, for the recorder is plain.
 */
export function recordScripts(folder: string, release?: Release): Scripts {
  rmSync(folder, { recursive: true, force: true });
  const vitest = join(packageRoot, "node_modules", "vitest", "vitest.mjs");
  const on = release === undefined ? "on the real kernel" : "on the model";
  const env = { ...process.env, [RECORD_TO]: folder, ...(release === undefined ? {} : { [RECORD_AS]: release }) };
  const args = ["run", "--project", "integration", "--reporter", "dot", "--maxWorkers", "1", "-t", on, join("test", "integration", "rule")];
  spawnSync(process.execPath, [vitest, ...args], { cwd: packageRoot, env, stdio: "ignore" });
  if (!existsSync(folder)) throw new Error("bench:mutants: expected the scripts of test/integration/rule to be recorded, and no trace came; do they pass? npx vitest run test/integration/rule");
  const traces: string[] = [];
  const dropped = new Map<string, number>();
  const drop = (reason: string): unknown => dropped.set(reason, (dropped.get(reason) ?? 0) + 1);
  for (const name of readdirSync(folder).sort()) {
    const text = readFileSync(join(folder, name), "utf8");
    if (text.length > SCRIPT_MAX) {
      drop("longer than is taken");
      continue;
    }
    try {
      if (parseTrace(text).events.length > 0) traces.push(text);
      else drop("nothing was done with the ring");
    } catch {
      drop("something that a trace cannot say");
    }
  }
  return { traces, dropped };
}

/** What a real kernel once did unlike the model as it was then (test/property/corpus.test.ts). */
export function keptTraces(): string[] {
  const folder = join(packageRoot, "test", "property", "corpus");
  return readdirSync(folder).sort().map((name) => readFileSync(join(folder, name), "utf8"));
}

/** The same trace up to this event; undefined where nothing is left of it. */
export function cut({ text, ...entry }: Entry, at: number): Entry | undefined {
  const events = parseTrace(text).events.slice(0, at);
  return events.some(({ event }) => event === "enter" || event === "register") ? { ...entry, text: formatTrace({ version: 1, events }) } : undefined;
}

const CHANGES = [...MUTATION_CLASSES, "sooner", "later"] as const;
/** Few traces have a place for one of these, so each that has is changed so, as many times at most. */
const RARE: Readonly<Record<string, { readonly times: number; readonly change: (events: readonly TraceEvent[], nth: number, seed: number) => readonly TraceEvent[] | undefined }>> = {
  hastened: { times: 4, change: hasten },
  order: { times: 1, change: (events, _, seed) => mutate(events, "order", seed)?.events },
  "bytes of elsewhere": { times: 3, change: (events, nth, seed) => bytesOfElsewhere(events, seed + nth) },
};

function changeOf(events: readonly TraceEvent[], kind: (typeof CHANGES)[number], seed: number): readonly TraceEvent[] | undefined {
  return kind === "sooner" || kind === "later" ? move(events, kind, seed) : mutate(events, kind, seed)?.events;
}

/** Changes of these traces that a trace reader would take: of each trace `each` kinds, in turn, the rare ones, and `each` times a result of elsewhere. */
export function changed(traces: readonly Entry[], seed: number, each: number): Entry[] {
  const results = resultsOf(traces.map(({ text }) => parseTrace(text).events));
  return traces.flatMap(({ text, by }, number) => {
    const { events } = parseTrace(text);
    const made: Entry[] = [];
    const keep = (kind: string, change: readonly TraceEvent[] | undefined): void => {
      if (change === undefined) return;
      const text = formatTrace({ version: 1, events: change });
      try {
        parseTrace(text);
      } catch {
        return; // the reader refuses it before the model has a word
      }
      made.push({ from: `one change: ${kind}`, by, text });
    };
    for (let i = 0; i < CHANGES.length && made.length < each; i++) {
      const kind = CHANGES[(number * each + i) % CHANGES.length] ?? "res";
      keep(kind, changeOf(events, kind, seed + number));
    }
    for (const [kind, { times, change }] of Object.entries(RARE)) for (let nth = 0; nth < times; nth++) keep(kind, change(events, nth, seed + number));
    for (let i = 0; i < each; i++) keep("a result of elsewhere", unusual(events, results, seed + each * number + i));
    return made;
  });
}

/** The same things in an order by seed. */
export function shuffled<T>(things: readonly T[], seed: number): T[] {
  const draw = new Draw(seed);
  const left = [...things];
  for (let i = left.length - 1; i > 0; i--) {
    const j = draw.below(i + 1);
    const [a, b] = [left[i], left[j]];
    if (a === undefined || b === undefined) continue;
    left[i] = b;
    left[j] = a;
  }
  return left;
}
