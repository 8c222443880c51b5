// The hunt for one seeded bug: the programs of a campaign, drawn from a seed as `ringspec diff` draws them, until one
// diverges; then that program made small. What is measured is how many it took, how small it got, and which rules
// the verdict names.
import { modelSettingsOf } from "../../src/cli/campaign.ts";
import { drawPrograms, type Drawn, type Kind } from "../../src/cli/programs.ts";
import { shrink } from "../../src/cli/shrink.ts";
import { isDivergence } from "../../src/cli/tally.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { rulesBehind } from "../../src/oracle/rules.ts";
import type { Outcome } from "../../src/oracle/verdict.ts";
import type { Program } from "../../src/program/program.ts";
import { parseTrace } from "../../src/program/trace.ts";
import type { Bug } from "./bug.ts";
import { switchOn, type Run } from "./subject.ts";

export interface HuntOptions {
  readonly seeds: readonly number[];
  /** Programs drawn from one seed before it is given up. */
  readonly programsMax: number;
  /** Milliseconds that making one program small may take. */
  readonly shrinkMs: number;
}

export interface Finding {
  readonly bug: Bug;
  /** Programs until it was found, for each seed; undefined: not within `programsMax`. Seeds end where most have missed it. */
  readonly programs: readonly (number | undefined)[];
  /** Median of these; undefined where it was not found in most. */
  readonly medianPrograms: number | undefined;
  /** The smallest program that was made of one that found it. */
  readonly shrunk: Program | undefined;
  readonly outcome: Outcome | undefined;
  /** Rules that the verdict names. */
  readonly named: readonly string[];
  readonly ruleRight: boolean;
}

/** Programs that a driver is put to: it has no way to do what a hostile one does. */
const kindFor = ({ half }: Bug): Kind => (half === "driver" ? "legal" : "any");

export async function hunt(bug: Bug, options: HuntOptions): Promise<Finding> {
  const run = await switchOn(bug);
  const programs: (number | undefined)[] = [];
  let first: { readonly seed: number; readonly drawn: Drawn; readonly outcome: Outcome } | undefined;
  for (const seed of options.seeds) {
    // Most have missed it: the rest would not make it found.
    if (programs.filter((count) => count === undefined).length > options.seeds.length / 2) break;
    const found = search(run, kindFor(bug), seed, options.programsMax);
    programs.push(found === undefined ? undefined : found.drawn.index + 1);
    if (found !== undefined && (first === undefined || found.drawn.program.ops.length < first.drawn.program.ops.length)) first = { seed, ...found };
  }
  const small = first === undefined ? undefined : await makeSmall(run, first, options.shrinkMs);
  const named = small === undefined ? [] : await rulesOf(small.outcome);
  return {
    bug, programs, medianPrograms: median(options.seeds.map((_, at) => programs[at])), shrunk: small?.program, outcome: small?.outcome, named,
    ruleRight: bug.rules.some((rule) => named.includes(rule)),
  };
}

/** What the verdict names; the laws of a driver name theirs at once. */
async function rulesOf({ verdict, trace }: Outcome): Promise<readonly string[]> {
  if (verdict.rules !== undefined || trace === undefined || verdict.at === undefined) return verdict.rules ?? [];
  return rulesBehind(parseTrace(trace).events, verdict.at, { profile: PROFILE_6_18 });
}

/** The first program of this seed that diverges. */
function search(run: Run, kind: Kind, seed: number, programsMax: number): { readonly drawn: Drawn; readonly outcome: Outcome } | undefined {
  for (const drawn of drawPrograms({ seed, runs: programsMax, kind })) {
    const outcome = run(drawn.program, modelSettingsOf(seed, drawn.index));
    if (isDivergence(outcome)) return { drawn, outcome };
  }
  return undefined;
}

async function makeSmall(run: Run, first: { readonly seed: number; readonly drawn: Drawn; readonly outcome: Outcome }, timeMs: number): Promise<{ readonly program: Program; readonly outcome: Outcome }> {
  const { seed, drawn, outcome } = first;
  const model = modelSettingsOf(seed, drawn.index);
  const pool = { run: ({ program }: { readonly program: Program }): Promise<Outcome> => Promise.resolve(run(program, model)) };
  return shrink({ program: drawn.program, outcome }, { pool, seed, path: drawn.path, model, timeMs });
}

/** Of counts, where "not found" is more than any. */
export function median(counts: readonly (number | undefined)[]): number | undefined {
  const sorted = counts.map((count) => count ?? Infinity).toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  const value = sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : ((sorted[middle - 1] ?? Infinity) + (sorted[middle] ?? Infinity)) / 2;
  return value === undefined || value === Infinity ? undefined : value;
}
