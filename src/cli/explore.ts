// `ringspec explore`: everything that the kernel may do with one small program, or with all programs of an alphabet.
import process from "node:process";
import { PROFILE_6_18 } from "../model/profile.ts";
import { Unmodelled, type KernelProfile } from "../kernel.ts";
import { coverage, DEFAULT_WORDS, exploreAll, WORDS, type Bounded, type Word } from "../oracle/explore/bounded.ts";
import { explore, type Exploration } from "../oracle/explore/explore.ts";
import { INVARIANTS, type Breach } from "../oracle/explore/invariants.ts";
import type { ProgramOutcome } from "../oracle/explore/outcome.ts";
import type { Strictness } from "../oracle/verdict.ts";
import { EXIT, UsageError } from "./exit-code.ts";
import { readProgram } from "./input.ts";
import { programLines, ringLine } from "./program-lines.ts";
import type { RingFlags } from "./programs.ts";

export interface ExploreCommandOptions {
  readonly limit: number;
  readonly strictness: Strictness;
  /** Milliseconds within which the program ends. */
  readonly within: number;
  /** Outcomes that are printed. */
  readonly show: number;
  /** --all: every program of up to so many words. */
  readonly all?: number;
  readonly alphabet?: readonly Word[];
  readonly ring?: RingFlags;
  readonly json?: boolean;
}

/** Words by name, separated by commas. Throws Error with what was expected. */
export function alphabetOf(text: string): readonly Word[] {
  return text.split(",").map((name) => {
    const word = WORDS.find((other) => other === name);
    if (word === undefined) throw new UsageError(`--alphabet: expected words among ${WORDS.join(", ")}, got "${name}"; for example: --alphabet nop,cancel`);
    return word;
  });
}

/** The exit code. Throws UsageError. */
export function exploreCommand(path: string | undefined, options: ExploreCommandOptions): number {
  const profile: KernelProfile = options.strictness === "profile" ? PROFILE_6_18 : { ...PROFILE_6_18, file: { readInline: undefined, writeInline: undefined } };
  const how = { profile, statesMax: options.limit, untilNs: BigInt(options.within) * 1_000_000n };
  if (options.all !== undefined) {
    if (path !== undefined) throw new UsageError(`explore: expected either a program or --all, got "${path}" and --all ${options.all}`);
    return exploreBounded(options.all, options, how);
  }
  if (path === undefined) throw new UsageError("explore: expected a program (a JSON file, or - for stdin) or --all, got neither; for example: ringspec explore --all 2");
  if (options.alphabet !== undefined || options.ring !== undefined) throw new UsageError("explore: --alphabet and --ring are for --all; a program has its own requests and ring");
  const program = readProgram(path);
  let found: Exploration;
  try {
    found = explore(program, how);
  } catch (error) {
    if (error instanceof Unmodelled) throw new UsageError(`${path}: ${error.message}: the model can't run this program, and there is nothing to explore`);
    throw error;
  }
  if (options.json === true) process.stdout.write(`${JSON.stringify(jsonOf(found))}\n`);
  else process.stdout.write(`ring: ${ringLine(program)}\n${programLines(program).join("\n")}\n\n${report(found, options)}`);
  return exitOf(found.breaches.length, found.complete);
}

const exitOf = (breaches: number, complete: boolean): number => (breaches > 0 ? EXIT.diverge : complete ? EXIT.agree : EXIT.unknown);

function jsonOf(found: Exploration): unknown {
  const { program: _program, reached, outcomes, ...rest } = found;
  return { ...rest, outcomeCount: outcomes.length, outcomes, choices: choicesOf(reached) };
}

const choicesOf = (reached: Exploration["reached"]): unknown => Object.fromEntries([...reached].map(([point, counts]) => [point, Object.fromEntries(counts)]));

function report(found: Exploration, options: ExploreCommandOptions): string {
  const shown = found.outcomes.slice(0, options.show);
  const lines = [
    `states        ${found.states}, come to ${found.visits} times, by ${found.transitions} runs of a call or a step`,
    `invariants    ${Object.keys(found.checked).length} of ${INVARIANTS.length} checked${found.breaches.length === 0 ? ", all hold" : ""}`,
    `outcomes      ${found.outcomes.length}${shown.length < found.outcomes.length ? `, of which ${shown.length} are shown (--show)` : ""}`,
    ...limitLines(found, options),
    "",
    ...found.breaches.flatMap(breachLines),
    ...shown.flatMap((outcome, i) => outcomeLines(outcome, i)),
  ];
  return `${lines.join("\n")}\n`;
}

function limitLines(found: Exploration, { limit }: ExploreCommandOptions): string[] {
  if (found.complete) return [];
  const lines = [`INCOMPLETE    there may be more outcomes than these`];
  if (found.states >= limit) lines.push(`              the limit of ${limit} states was reached; a larger one: --limit`);
  if (found.endless > 0) lines.push(`              ${found.endless} runs went round for ever and were given up`);
  for (const what of found.unmodelled) lines.push(`              ${what}`);
  return lines;
}

function breachLines({ invariant, rules, found, calls, completions }: Breach): string[] {
  const says = INVARIANTS.find(({ id }) => id === invariant)?.says ?? "";
  return [`BROKEN        ${invariant} (${rules.join(", ")}): ${says}`, `              ${found}`, ...[...calls, ...completions].map((line) => `                ${line}`), ""];
}

function outcomeLines({ calls, completions, looks, end }: ProgramOutcome, at: number): string[] {
  const lines = [...calls, ...completions, ...looks, ...(end === undefined ? [] : [end])];
  return [`outcome ${at + 1}`, ...lines.map((line) => `  ${line}`)];
}

function exploreBounded(length: number, options: ExploreCommandOptions, how: { profile: KernelProfile; statesMax: number; untilNs: bigint }): number {
  const words = options.alphabet ?? DEFAULT_WORDS;
  const ring = { entries: 8, flags: [...(options.ring ?? [])] };
  const begun = performance.now();
  const all = exploreAll({ ...how, words, length, ring });
  const seconds = (performance.now() - begun) / 1000;
  const { reached, checked, ...rest } = all;
  if (options.json === true) process.stdout.write(`${JSON.stringify({ words, length, ring, seconds, ...rest, checked, coverage: coverage(reached), choices: choicesOf(reached) })}\n`);
  else process.stdout.write(boundedReport(all, { words, length, seconds, limit: options.limit }));
  return exitOf(all.breaches.length, all.incomplete.length === 0);
}

function boundedReport(all: Bounded, how: { readonly words: readonly Word[]; readonly length: number; readonly seconds: number; readonly limit: number }): string {
  const choices = coverage(all.reached);
  const lines = [
    `programs      ${all.programs}: all of up to ${how.length} of ${how.words.join(", ")}`,
    `states        ${all.states}, come to ${all.visits} times, by ${all.transitions} runs of a call or a step; ${Math.round(all.visits / how.seconds)} a second`,
    `outcomes      ${all.outcomes} different; ${all.determined} programs have one only, ${all.most.words.join(", ")} has ${all.most.outcomes}`,
    `invariants    ${Object.keys(all.checked).length} of ${INVARIANTS.length} checked${all.breaches.length === 0 ? ", all hold" : ""}`,
    `choices       ${choices.taken} of ${choices.of} alternatives of the model were taken`,
    ...(all.incomplete.length === 0 ? [] : [`INCOMPLETE    ${all.incomplete.length} programs reached the limit of ${how.limit} states, or what the model has not: ${all.incomplete[0]?.join(", ")} was the first`]),
    ...all.unmodelled.map((what) => `              ${what}`),
    ...choices.never.map((name) => `  never       ${name}`),
    ...all.breaches.slice(0, 5).flatMap(({ words, breach }) => [`program       ${words.join(", ")}`, ...breachLines(breach)]),
  ];
  return `${lines.join("\n")}\n`;
}
