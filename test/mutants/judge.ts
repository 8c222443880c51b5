// Runs judge-child: once without a mutant for what the traces run, then once for each mutant, within limits of time.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { packageRoot } from "../../src/real/addon.ts";
import type { Verdict } from "../../src/oracle/verdict.ts";
import { ACTIVE } from "./instrument.ts";
import type { ChildTask, FromJudge, Place } from "./judge-child.ts";

/** A compiled child of this folder, also where this file runs as TypeScript (under vitest). */
export const childFile = (name: string): string => join(packageRoot, "dist", "test", "mutants", `${name}.js`);
const CHILD = childFile("judge-child");

/** One trace that takes a mutant longer is given up, in milliseconds of the processor; without a mutant it takes less than a tenth of this. */
const TRACE_MS = 4000;
/** A trace that takes longer without a mutant is left out. */
const COVER_MS = 1500;
/** The last try of a trace that took too long. */
const AGAIN_MS = 8000;
/** For all that is loaded. */
const START_MS = 20_000;
const LOOK_MS = 100;
/** Of the numbers in /proc/PID/stat behind the name in brackets: time in user mode and in the kernel, in hundredths of a second. */
const STAT_UTIME = 11;
const STAT_STIME = 12;

export type Fate =
  /** how: what a trace is judged that is not, or the error that the model threw. */
  | { readonly fate: "killed"; readonly by: number; readonly how: "legal" | "illegal" | "unknown" | "threw"; readonly error?: string }
  | { readonly fate: "timeout"; readonly by: number }
  | { readonly fate: "survived" };

export interface Ended {
  readonly code: number | null;
  readonly late: boolean;
  readonly stderr: string;
}

/** What a process took of the processor, in milliseconds: what others do on the machine does not count. */
function cpuMs(pid: number | undefined): number {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
    return 10 * (Number(fields[STAT_UTIME]) + Number(fields[STAT_STIME]));
  } catch {
    return 0; // it has ended
  }
}

/** Runs a child that is told its task and says a line of JSON now and then: killed where it says nothing for `limitMs` of the processor. */
export function runLimited<M>(file: string, task: unknown, mutant: number | undefined, limitMs: number, hear: (message: M) => void): Promise<Ended> {
  const env = { ...process.env };
  delete env[ACTIVE];
  if (mutant !== undefined) env[ACTIVE] = String(mutant);
  const child = spawn(process.execPath, [file], { env, stdio: ["pipe", "pipe", "pipe"] });
  let late = false;
  let stderr = "";
  let heard: "nothing" | "now" | "before" = "nothing";
  let sinceMs = 0;
  const timer = setInterval(() => {
    const ms = cpuMs(child.pid);
    if (heard === "now") {
      heard = "before";
      sinceMs = ms;
    }
    if (ms - sinceMs <= (heard === "nothing" ? START_MS : limitMs)) return;
    late = true;
    child.kill("SIGKILL");
  }, LOOK_MS);
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr = (stderr + text).slice(0, 4000)));
  child.stdin.on("error", () => {}); // "close" tells
  child.stdin.end(JSON.stringify(task));
  createInterface({ input: child.stdout }).on("line", (line) => {
    if (late) return; // cut off in the middle, it may be
    heard = "now";
    hear(JSON.parse(line) as M); // our own child wrote it
  });
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      clearInterval(timer);
      resolve({ code, late, stderr });
    });
  });
}

const judgeChild = (task: ChildTask, mutant: number | undefined, limitMs: number, hear: (message: FromJudge) => void): Promise<Ended> =>
  runLimited(CHILD, task, mutant, limitMs, hear);

/** Which mutants a trace comes by: a bit for each. */
export class Ids {
  private readonly bits: Uint8Array;

  /** `hits`: a byte for each, in Base64. */
  constructor(hits: string) {
    const bytes = Buffer.from(hits, "base64");
    this.bits = new Uint8Array((bytes.length >> 3) + 1);
    for (const [id, hit] of bytes.entries()) if (hit !== 0) this.bits[id >> 3] = (this.bits[id >> 3] ?? 0) | (1 << (id & 7));
  }

  has(id: number): boolean {
    return ((this.bits[id >> 3] ?? 0) & (1 << (id & 7))) !== 0;
  }

  *[Symbol.iterator](): Generator<number, void> {
    for (const [i, byte] of this.bits.entries())
      for (let bit = 0; byte >> bit > 0; bit++) if (((byte >> bit) & 1) !== 0) yield 8 * i + bit;
  }
}

export interface Covered {
  readonly verdict: Verdict["verdict"];
  /** The first event that is not legal. */
  readonly at?: number | undefined;
  readonly ms: number;
  readonly ids: Ids;
}

export interface Coverage {
  readonly traces: Map<number, Covered>;
  /** What is come by before there is a trace. */
  readonly loaded: Ids;
}

/** Traces in a file, one a line. */
export interface TraceFile {
  readonly path: string;
  readonly places: readonly Place[];
}

type CoverTask = Pick<ChildTask, "build" | "judgings">;

/** What each of these traces is judged without a mutant, how long that takes and which mutants it comes by; one that takes too long is left out. */
async function coverSome(task: CoverTask, file: TraceFile, numbers: readonly number[]): Promise<Coverage> {
  const traces = new Map<number, Covered>();
  let loaded = "";
  for (let from = 0; from < numbers.length; ) {
    let next = from;
    const left = tracesOf(file, numbers.slice(from));
    const { code, late, stderr } = await judgeChild({ ...task, ...left, expected: [], cover: true }, undefined, COVER_MS, (message) => {
      if ("loaded" in message) loaded = message.loaded;
      if (!("trace" in message)) return;
      traces.set(message.trace, { verdict: message.verdict, at: message.at, ms: message.ms, ids: new Ids(message.ids) });
      next++;
    });
    if (!late && code !== 0) throw new Error(`bench:mutants: judging without a mutant failed at trace ${numbers[next]}: ${stderr}`);
    from = late ? next + 1 : numbers.length;
  }
  return { traces, loaded: new Ids(loaded) };
}

export function tracesOf({ path, places }: TraceFile, order: readonly number[]): Pick<ChildTask, "traces" | "order" | "places"> {
  return { traces: path, order, places: order.map((number) => places[number] ?? { at: 0, size: 0 }) };
}

/** The same of all traces of a file, by several processes. */
export async function cover(task: CoverTask, file: TraceFile, jobs: number): Promise<Coverage> {
  const numbers = file.places.map((_, i) => i);
  const parts = await Promise.all(Array.from({ length: jobs }, (_, job) => coverSome(task, file, numbers.filter((i) => i % jobs === job))));
  const [first] = parts;
  if (first === undefined) throw new RangeError("cover: expected at least one job");
  return { traces: new Map(parts.flatMap(({ traces }) => [...traces]).sort(([a], [b]) => a - b)), loaded: first.loaded };
}

/** What becomes of one mutant; of none, where `mutant` is left out: that must survive. */
export async function judgeMutant(task: Omit<ChildTask, "cover">, mutant?: number): Promise<Fate> {
  const { fate, late } = await judgeOnce(task, mutant, TRACE_MS);
  if (late === undefined) return fate;
  const at = task.order.indexOf(late);
  const part = (from: number, behind?: number): typeof task =>
    ({ ...task, order: task.order.slice(from, behind), places: task.places.slice(from, behind), expected: task.expected.slice(from, behind) });
  const alone = await judgeOnce(part(at, at + 1), mutant, AGAIN_MS);
  if (alone.late !== undefined) return { fate: "timeout", by: late };
  if (alone.fate.fate === "killed" && alone.fate.how !== "unknown") return alone.fate;
  const rest = await judgeMutant(part(at + 1), mutant);
  const weak = [fate, alone.fate].find((one) => one.fate === "killed");
  return rest.fate === "survived" && weak !== undefined ? weak : rest;
}

/** late: the trace that took too long, what came before it being in `fate`. */
async function judgeOnce(task: Omit<ChildTask, "cover">, mutant: number | undefined, limitMs: number): Promise<{ fate: Fate; late?: number }> {
  let begun = -1;
  let fate: Fate = { fate: "survived" };
  let ended = false;
  const { late, code, stderr } = await judgeChild({ ...task, cover: false }, mutant, limitMs, (message) => {
    if ("begun" in message) begun = message.begun;
    if ("unsureOf" in message && fate.fate === "survived") fate = { fate: "killed", by: message.unsureOf, how: "unknown" };
    if ("killedBy" in message) fate = { fate: "killed", by: message.killedBy, how: message.verdict };
    if ("killedBy" in message || "survived" in message) ended = true;
  });
  if (ended) return { fate };
  if (late) return { fate, late: begun };
  const error = stderr.split("\n").find((line) => /Error/.test(line)) ?? `exit code ${code}`;
  return { fate: { fate: "killed", by: begun, how: "threw", error } };
}
