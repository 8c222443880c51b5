// How fast the checker is: traces a second on one core, decoded and in memory, compiler warm. Traces in which one
// candidate survives throughout are one figure, those in which there were several are the other. A slice in which fixed
// arithmetic took longer than usual belongs to a busy machine and is thrown away; what is left is a median with its
// spread. Ends with one JSON object; exits with 1 where the bar is missed.
import process from "node:process";
import { createModelKernel } from "../../src/model/kernel.ts";
import { drawPrograms } from "../../src/cli/programs.ts";
import { Checker } from "../../src/oracle/checker.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import { parseTrace } from "../../src/program/trace-reader.ts";
import type { TraceEvent } from "../../src/program/trace.ts";

const slices = Number(process.env["RINGSPEC_BENCH_SLICES"] ?? 16);
const seed = Number(process.env["RINGSPEC_SEED"] ?? 1);
/** A calibration above this multiple of the best one belongs to another regime. */
const regimeFactor = 1.3;
/** Traces a second, where one candidate survives throughout. */
const target = 3000;
/** Operations of a program: 30, or as near as they are drawn. */
const operations = { least: 26, most: 34 };
const each = 80;
const drawnMost = 6000;

interface Recorded {
  readonly events: readonly TraceEvent[];
  readonly operations: number;
}

const { profile } = createModelKernel();

function judge(events: readonly TraceEvent[]): Checker {
  const checker = new Checker({ profile });
  for (const event of events) checker.event(event);
  return checker;
}

/** Recorded on the model, so that the same are measured everywhere. */
function recorded(): { readonly easy: readonly Recorded[]; readonly hard: readonly Recorded[] } {
  const easy: Recorded[] = [];
  const hard: Recorded[] = [];
  for (const { program, index } of drawPrograms({ seed, runs: drawnMost, kind: "legal", maxOps: 56 })) {
    if (program.ops.length < operations.least || program.ops.length > operations.most) continue;
    const kernel = createModelKernel({ seed: index });
    const { verdict, trace } = runAndJudge(kernel, program, { keepTrace: true });
    kernel.close();
    if (verdict.verdict !== "legal" || trace === undefined) continue;
    const { events } = parseTrace(trace);
    const into = judge(events).verdict().candidates === 1 ? easy : hard;
    if (into.length < each) into.push({ events, operations: program.ops.length });
    if (easy.length === each && hard.length === each) break;
  }
  return { easy, hard };
}

function calibrate(): number {
  const begun = performance.now();
  let x = 1;
  for (let i = 0; i < 20_000_000; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return performance.now() - begun + (x === 0 ? 1e-9 : 0);
}

interface Slice {
  readonly perSecond: number;
  readonly calibrationMs: number;
}

/** All of them, as often as fills a slice. */
function slice(of: readonly Recorded[], rounds: number): Slice {
  const before = calibrate();
  const begun = performance.now();
  for (let round = 0; round < rounds; round++) {
    for (const { events } of of) if (judge(events).end().verdict !== "legal") throw new Error("a trace that was legal is not any more");
  }
  const seconds = (performance.now() - begun) / 1000;
  return { perSecond: (rounds * of.length) / seconds, calibrationMs: Math.max(before, calibrate()) };
}

const mean = (of: readonly number[]): number => of.reduce((sum, n) => sum + n, 0) / Math.max(of.length, 1);
const median = (sorted: readonly number[]): number => sorted[sorted.length >> 1] ?? 0;

function measured(name: string, of: readonly Recorded[], rounds: number): { readonly perSecond: number; readonly kept: number } {
  for (let i = 0; i < 3; i++) slice(of, rounds); // the compiler's
  const all = Array.from({ length: slices }, () => slice(of, rounds));
  const best = Math.min(...all.map((s) => s.calibrationMs));
  const kept = all.filter((s) => s.calibrationMs <= best * regimeFactor).map((s) => s.perSecond).sort((a, b) => a - b);
  const shape = `${of.length} traces of ${mean(of.map((t) => t.operations)).toFixed(1)} operations, ${mean(of.map((t) => t.events.length)).toFixed(0)} events`;
  console.log(`${name.padEnd(20)}${Math.round(median(kept))} traces a second (${Math.round(kept[0] ?? 0)} to ${Math.round(kept.at(-1) ?? 0)}), ${kept.length} of ${all.length} slices kept; ${shape}`);
  return { perSecond: median(kept), kept: kept.length };
}

const { easy, hard } = recorded();
if (easy.length < each || hard.length < each) throw new Error(`expected ${each} traces of each kind, got ${easy.length} and ${hard.length}`);
const one = measured("one candidate", easy, 4);
const several = measured("several candidates", hard, 1);
console.log(`${(one.perSecond / several.perSecond).toFixed(1)} times as many`);
console.log(JSON.stringify({
  tracesPerSecond: Math.round(one.perSecond), hardTracesPerSecond: Math.round(several.perSecond), ratio: one.perSecond / several.perSecond, target,
  slicesKept: one.kept, hardSlicesKept: several.kept, operations: mean(easy.map((t) => t.operations)), seed,
}));
process.exitCode = one.perSecond >= target ? 0 : 1;
