// How fast explorations are: states a second on one core, over all programs of a length and over a few that have many
// states. A slice in which fixed arithmetic took longer than usual belongs to a busy machine and is thrown away; what is
// left is a median with its spread. Ends with one JSON object; exits with 1 where the bar is missed.
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { coverage, exploreAll, WORDS, type Word } from "../../src/oracle/explore/bounded.ts";
import { explore } from "../../src/oracle/explore/explore.ts";
import type { Program } from "../../src/program/program.ts";

const slices = Number(process.env["RINGSPEC_BENCH_SLICES"] ?? 16);
/** A calibration above this multiple of the best one belongs to another regime. */
const regimeFactor = 1.3;
/** States that are come to in a second, those that were known included. */
const target = 50_000;
const profile = { ...PROFILE_6_18, file: { readInline: undefined, writeInline: undefined } };

function workers(count: number, flags: Program["ring"]["flags"] = [], cqEntries?: number): Program {
  const ops: Program["ops"] = Array.from({ length: count }, (_, i) => ({ op: "sqe", opcode: "NOP", userData: i + 1, flags: ["ASYNC"] }));
  const ring = { entries: 8, flags: [...flags], ...(cqEntries === undefined ? {} : { cqEntries }) };
  return { version: 1, kind: "legal", ring, world: { files: [], pipes: [], eventfds: [], buffers: [] }, ops: [...ops, { op: "submit" }, { op: "settle" }, { op: "reap" }] };
}

const programs = [workers(6), workers(5, ["CQSIZE", "SUBMIT_ALL"], 8), workers(4, ["DEFER_TASKRUN", "SINGLE_ISSUER"])];

interface Slice {
  readonly states: number;
  readonly visits: number;
  readonly seconds: number;
  readonly calibrationMs: number;
}

function calibrate(): number {
  const begun = performance.now();
  let x = 1;
  for (let i = 0; i < 20_000_000; i++) x = (Math.imul(x, 1664525) + 1013904223) | 0;
  return performance.now() - begun + (x === 0 ? 1e-9 : 0);
}

function slice(): Slice {
  const before = calibrate();
  const begun = performance.now();
  let states = 0;
  let visits = 0;
  for (const program of programs) {
    const found = explore(program, { profile, statesMax: 1_000_000 });
    states += found.states;
    visits += found.visits;
  }
  const seconds = (performance.now() - begun) / 1000;
  return { states, visits, seconds, calibrationMs: Math.max(before, calibrate()) };
}

const median = (sorted: readonly number[]): number => sorted[sorted.length >> 1] ?? 0;
const rates = (of: readonly Slice[], what: "states" | "visits"): number[] => of.map((s) => s[what] / s.seconds).sort((a, b) => a - b);

slice(); // the compiler's
const all = Array.from({ length: slices }, slice);
const best = Math.min(...all.map((s) => s.calibrationMs));
const kept = all.filter((s) => s.calibrationMs <= best * regimeFactor);
const visits = rates(kept, "visits");
const states = rates(kept, "states");
const line = (name: string, sorted: readonly number[]): string => `${name.padEnd(24)}${Math.round(median(sorted))} (${Math.round(sorted[0] ?? 0)} to ${Math.round(sorted.at(-1) ?? 0)})`;
console.log(`${kept.length} of ${all.length} slices kept`);
console.log(line("states come to a second", visits));
console.log(line("new states a second", states));

const length = Number(process.env["RINGSPEC_BENCH_LENGTH"] ?? 2);
const words: readonly Word[] = WORDS;
const begun = performance.now();
const bounded = exploreAll({ profile, statesMax: 200_000, words, length, ring: { entries: 8, flags: [] } });
const seconds = (performance.now() - begun) / 1000;
const choices = coverage(bounded.reached);
console.log(`all ${bounded.programs} programs of up to ${length} of ${words.length} words: ${bounded.states} states, ${bounded.outcomes} outcomes, ${choices.taken} of ${choices.of} alternatives, ${seconds.toFixed(1)} s, ${bounded.breaches.length} invariants broken`);
console.log(JSON.stringify({
  visitsPerSecond: Math.round(median(visits)), statesPerSecond: Math.round(median(states)), slicesKept: kept.length, target,
  bounded: { length, programs: bounded.programs, states: bounded.states, outcomes: bounded.outcomes, taken: choices.taken, of: choices.of, never: choices.never, breaches: bounded.breaches.length, incomplete: bounded.incomplete.length, seconds },
}));
process.exitCode = median(visits) >= target && bounded.breaches.length === 0 ? 0 : 1;
