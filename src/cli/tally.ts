// Sums up what came of the programs of a campaign, and says whether that is a pass. `unknown`,
// `unspecified` and `unmodelled` are counted and limited: none of them is a pass.
import { CHOICE_POINTS } from "../model/choices.ts";
import type { Outcome, Strictness } from "../oracle/verdict.ts";
import { PROGRAM_OPCODES } from "../program/program.ts";
import type { Program } from "../program/program.ts";
import type { Backend } from "./messages.ts";

/** What `ringspec diff --json` prints. */
export interface Summary {
  backend: Backend;
  /** Release of the kernel that ran the programs. */
  kernel: string;
  strictness: Strictness;
  seed: number;
  programs: number;
  hostilePrograms: number;
  operations: number;
  opcodes: Record<string, number>;
  wraps: number;
  overflows: number;
  chains: number;
  drains: number;
  cancels: number;
  /** What procfs shows of the ring, read. */
  readings: number;
  /** Calls of io_uring_register by name: those that succeeded, and those that were refused. */
  registered: Record<string, number>;
  registerRefused: Record<string, number>;
  /** Calls by an index, and waits of io_uring_enter by their kind. */
  entered: Record<string, number>;
  divergences: number;
  unknown: number;
  unspecified: number;
  unmodelled: number;
  events: number;
  judgedEvents: number;
  /** Programs whose process was lost, as the model said or not. */
  killed: number;
  /** Of those: the model says too that the call never returns. */
  killedAsModelled: number;
  choices: Record<string, Record<string, number>>;
  /** Largest number of candidates of the oracle at once. */
  candidatesMax: number;
  /** Time blocked in the kernel's own timers left out. */
  programsPerSecond: number;
  seconds: number;
  /** Why judging stopped early, and how often. */
  reasons: Record<string, number>;
}

/** Of programs, that may end in each of unknown, unspecified and unmodelled. */
export const UNJUDGED_SHARE_MAX = 0.01;
const REASON_LENGTH_MAX = 120;

/** Does this outcome speak against the model (or the kernel, or the rule)? */
export function isDivergence(outcome: Outcome): boolean {
  return outcome.verdict.verdict === "illegal" || (outcome.lost !== undefined && outcome.lostAsModelled !== true);
}

export class Tally {
  readonly #start = performance.now();
  readonly #children: number;
  readonly #sum: Summary;
  #blockedNs = 0;

  constructor(facts: { readonly backend: Backend; readonly release: string; readonly strictness: Strictness; readonly seed: number; readonly children: number }) {
    const never = (alternatives: readonly string[]): Record<string, number> => Object.fromEntries(alternatives.map((name) => [name, 0]));
    this.#children = facts.children;
    this.#sum = {
      backend: facts.backend, kernel: facts.release, strictness: facts.strictness, seed: facts.seed,
      programs: 0, hostilePrograms: 0, operations: 0, opcodes: never(PROGRAM_OPCODES),
      wraps: 0, overflows: 0, chains: 0, drains: 0, cancels: 0, readings: 0, registered: {}, registerRefused: {}, entered: {},
      divergences: 0, unknown: 0, unspecified: 0, unmodelled: 0, events: 0, judgedEvents: 0, killed: 0, killedAsModelled: 0,
      choices: Object.fromEntries(Object.entries(CHOICE_POINTS).map(([point, alternatives]) => [point, never(alternatives)])),
      candidatesMax: 0, programsPerSecond: 0, seconds: 0, reasons: {},
    };
  }

  get programs(): number {
    return this.#sum.programs;
  }

  get divergences(): number {
    return this.#sum.divergences;
  }

  add(program: Program, outcome: Outcome): void {
    const sum = this.#sum;
    const { exercise, verdict } = outcome;
    sum.programs++;
    if (program.kind === "hostile") sum.hostilePrograms++;
    for (const what of ["operations", "wraps", "overflows", "chains", "drains", "cancels", "readings"] as const) sum[what] += exercise[what];
    for (const what of ["opcodes", "registered", "registerRefused", "entered"] as const) addAll(sum[what], exercise[what]);
    sum.events += verdict.events;
    sum.judgedEvents += verdict.judgedEvents;
    sum.candidatesMax = Math.max(sum.candidatesMax, verdict.candidates);
    for (const [point, taken] of Object.entries(verdict.choices)) addAll((sum.choices[point] ??= {}), taken);
    if (isDivergence(outcome)) sum.divergences++;
    this.#countUnjudged(outcome);
    if (outcome.lost !== undefined) sum.killed++;
    if (outcome.lostAsModelled === true) sum.killedAsModelled++;
    // What is lost was beside the others, in a child of its own.
    if (outcome.lost === undefined) this.#blockedNs += outcome.blockedNs;
  }

  summary(): Summary {
    const seconds = (performance.now() - this.#start) / 1000;
    const busy = Math.max(seconds - this.#blockedNs / 1e9 / this.#children, 0.001);
    return { ...this.#sum, seconds: round(seconds), programsPerSecond: round(this.#sum.programs / busy) };
  }

  #countUnjudged({ verdict }: Outcome): void {
    const reason =
      verdict.unmodelled !== undefined ? (["unmodelled", verdict.unmodelled] as const)
      : verdict.unspecified !== undefined ? (["unspecified", verdict.unspecified] as const)
      : verdict.verdict === "unknown" ? (["unknown", verdict.limit ?? "too many candidates"] as const)
      : undefined;
    if (reason === undefined) return;
    const [what, why] = reason;
    this.#sum[what]++;
    // Numbers (of an event, of candidates) would make one reason into many.
    addAll(this.#sum.reasons, { [`${what}: ${why.replaceAll(/\d+/g, "N").slice(0, REASON_LENGTH_MAX)}`]: 1 });
  }
}

/** Why this is not a pass, in sentences; empty where it is one. */
export function failuresOf(summary: Summary): string[] {
  const failures: string[] = [];
  if (summary.divergences > 0) failures.push(`${summary.divergences} of ${summary.programs} programs diverged`);
  for (const what of ["unknown", "unspecified", "unmodelled"] as const) {
    if (summary[what] <= summary.programs * UNJUDGED_SHARE_MAX) continue;
    const share = ((100 * summary[what]) / summary.programs).toFixed(1);
    failures.push(`${share} % of the programs are ${what}; at most ${100 * UNJUDGED_SHARE_MAX} % may be, for that is not a pass`);
  }
  if (summary.programs === 0) failures.push("no program was run");
  return failures;
}

function addAll(into: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(from)) into[name] = (into[name] ?? 0) + count;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
