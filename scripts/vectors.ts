// Draws the conformance vectors anew: npm run vectors -- [--programs N] [--seed N]. Small programs of the campaign are
// explored by a copy of the model whose citations run (scripts/cite.mjs); few that together come by as many rules as possible
// are kept, made as small as they can be without losing the rules that they were kept for, and written to
// spec/vector/vectors.json with everything that each release may show, beside those written by hand (vectors/written.ts).
// A rule that none comes by must be excused in spec/vector/uncovered.json, and no other may.
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { drawPrograms, type RingFlags } from "../src/cli/programs.ts";
import { Pool } from "../src/cli/pool.ts";
import { runAll, vectorsFile } from "../src/cli/vectors.ts";
import { Unmodelled, type KernelProfile } from "../src/kernel.ts";
import { PROFILES } from "../src/model/profile.ts";
import { outcomeText, type ProgramOutcome } from "../src/oracle/explore/outcome.ts";
import type { Program } from "../src/program/program.ts";
import { probeReal } from "../src/real/probe.ts";
import { END } from "../src/oracle/explore/stages.ts";
import type { State } from "../src/oracle/explore/state.ts";
import { RULES } from "../src/spec/rules.gen.ts";
import { AS_NEWEST, type Vector } from "../src/vector/vector.ts";
import { excusesOf } from "./vectors/excuses.ts";
import { WRITTEN } from "./vectors/written.ts";

/** States of an exploration, at most: what has more is too much for a vector. */
const STATES_MAX = 3000;
/** Outcomes of a vector, at most. */
const OUTCOMES_MAX = 60;
const OPERATIONS_MAX = 12;
/** Runs of each vector on both kernels before it is written. */
const TRIED = 60;
const RINGS: readonly (RingFlags | undefined)[] = [
  undefined, undefined, [], ["CQSIZE"], ["SUBMIT_ALL"], ["NO_SQARRAY"], ["COOP_TASKRUN", "TASKRUN_FLAG"], ["DEFER_TASKRUN", "SINGLE_ISSUER"],
  ["SQE128"], ["CQE32"], ["CQE_MIXED"], ["R_DISABLED"],
];

interface Found {
  readonly outcomes: readonly ProgramOutcome[];
  readonly rules: ReadonlySet<string>;
}

/** The copy of the model whose citations run. */
async function citing(): Promise<(program: Program, profile: KernelProfile) => Found | undefined> {
  const part = async (name: string): Promise<unknown> => import(new URL(`../cited/${name}`, import.meta.url).href);
  const { explore } = (await part("oracle/explore/explore.js")) as typeof import("../src/oracle/explore/explore.ts");
  const kernel = (await part("kernel.js")) as typeof import("../src/kernel.ts");
  // What no outcome shows is not covered, though programs come by it.
  const excused = excusesOf();
  const { cited } = (await part("model/cite.js")) as { readonly cited: Map<string, unknown> };

  return (program, profile) => {
    // Portable: what a file system does is not the ring's.
    const any = { ...profile, file: { readInline: undefined, writeInline: undefined } };
    cited.clear();
    try {
      let held = false;
      const onState = ({ app, m }: State): void => void (held ||= app.at >= program.ops.length && app.stage === END.cancel && m.ring.deferred.length > 0);
      const found = explore(program, { profile: any, statesMax: STATES_MAX, onState });
      // What the cancels of the end let go of, one cancel or the next may take along: on a busy machine that is chance.
      if (held) return undefined;
      const [breach] = found.breaches;
      if (breach !== undefined) {
        console.error(`vectors: left out, for ${breach.invariant} does not hold (${breach.found}); ringspec explore says more of it: ${JSON.stringify(program)}`);
        return undefined;
      }
      if (!found.complete || found.outcomes.length > OUTCOMES_MAX || found.outcomes.some(({ end }) => end !== undefined)) return undefined;
      return { outcomes: found.outcomes, rules: new Set([...cited.keys()].filter((id) => excused[id] === undefined)) };
    } catch (error) {
      if (error instanceof kernel.Unmodelled || error instanceof Unmodelled) return undefined;
      throw error;
    }
  };
}

type Explore = Awaited<ReturnType<typeof citing>>;
const NEWEST = PROFILES["6.18"];

const musts = (): readonly string[] =>
  Object.entries(RULES).filter(([, rule]) => rule.force === "must" && rule.until === undefined).map(([id]) => id);

interface Candidate {
  readonly program: Program;
  readonly rules: ReadonlySet<string>;
}

function* candidates(explore: Explore, programs: number, seed: number): Generator<Candidate> {
  for (const [i, ringFlags] of RINGS.entries()) {
    const drawn = drawPrograms({ seed: seed + i, runs: Math.ceil(programs / RINGS.length), kind: "any", maxOps: OPERATIONS_MAX, ringFlags });
    for (const { program } of drawn) {
      const found = explore(program, NEWEST);
      if (found !== undefined) yield { program, rules: found.rules };
    }
  }
}

/** Few that together come by all rules that any of them comes by: greedily, the smallest of those that bring most. */
function cover(all: readonly Candidate[], wanted: ReadonlySet<string>): { readonly program: Program; readonly kept: readonly string[] }[] {
  const left = new Set(wanted);
  const chosen: { program: Program; kept: string[] }[] = [];
  const fresh = (c: Candidate): string[] => [...c.rules].filter((id) => left.has(id));
  for (;;) {
    let best: { candidate: Candidate; brings: string[] } | undefined;
    for (const candidate of all) {
      const brings = fresh(candidate);
      const more = brings.length - (best?.brings.length ?? 0);
      if (more > 0 || (more === 0 && best !== undefined && candidate.program.ops.length < best.candidate.program.ops.length)) best = { candidate, brings };
    }
    if (best === undefined || best.brings.length === 0) return chosen;
    for (const id of best.brings) left.delete(id);
    chosen.push({ program: best.candidate.program, kept: best.brings });
  }
}

/** Without the operations that the rules don't need. */
function smaller(explore: Explore, program: Program, kept: readonly string[]): Program {
  let least = program;
  for (let i = least.ops.length - 1; i >= 0; i--) {
    const without = { ...least, ops: least.ops.filter((_, at) => at !== i) };
    const found = explore(without, NEWEST);
    if (found !== undefined && kept.every((id) => found.rules.has(id))) least = without;
  }
  return least;
}

/** Everything that each release may show, where it can be listed; undefined where that of 6.18 can't. */
function outcomesOf(explore: Explore, program: Program): Vector["outcomes"] | undefined {
  const outcomes: Vector["outcomes"] = {};
  const text = (of: readonly ProgramOutcome[]): string => of.map((o) => outcomeText(o)).sort().join("\n\n");
  const newest = explore(program, NEWEST);
  if (newest === undefined) return undefined;
  for (const [release, profile] of Object.entries(PROFILES)) {
    const found = explore(program, profile);
    if (found === undefined) continue;
    const same = release !== "6.18" && text(found.outcomes) === text(newest.outcomes);
    outcomes[release] = same ? AS_NEWEST : found.outcomes.map(({ calls, completions, looks, end }) => ({
      calls: [...calls], completions: [...completions], looks: [...looks], ...(end === undefined ? {} : { end }),
    }));
  }
  return outcomes;
}

/** Those that showed an outcome that is not listed, on the model or on the kernel that is running: divergences. */
async function diverging(vectors: readonly Vector[]): Promise<readonly string[]> {
  const diverged: string[] = [];
  for (const backend of ["model", "real"] as const) {
    if (backend === "real" && !probeReal().available) throw new Error("vectors: expected a kernel with io_uring to try them on, got none; see: ringspec doctor");
    const pool = new Pool({ backend, jobs: 2 });
    try {
      for (const { id, got } of await runAll(vectors, backend, pool, TRIED)) diverged.push(`${id} on the ${backend} kernel showed an outcome that no exploration listed:\n${got}`);
    } finally {
      await pool.close();
    }
  }
  return diverged;
}

/** The vectors that were written by hand; what is wrong with them. */
function writtenVectors(explore: Explore): { readonly vectors: readonly Vector[]; readonly faults: readonly string[] } {
  const vectors: Vector[] = [];
  const faults: string[] = [];
  for (const { for: wanted, shows = {}, program } of WRITTEN) {
    const found = explore(program, NEWEST);
    const outcomes = outcomesOf(explore, program);
    if (found === undefined || outcomes === undefined) faults.push(`${wanted.join(", ")}: it can't be explored to its end`);
    else if (wanted.some((id) => !found.rules.has(id) && shows[id] === undefined)) faults.push(`${wanted.join(", ")}: the model does not come by ${wanted.filter((id) => !found.rules.has(id)).join(", ")}`);
    else vectors.push({ id: nameOf(wanted[0] ?? "", vectors), rules: [...wanted, ...[...found.rules].filter((id) => !wanted.includes(id)).sort()], program, outcomes });
  }
  return { vectors, faults };
}

/** What is wrong with the excuses: a rule that has a vector and an excuse, or neither. */
function excuseFaults(covered: ReadonlySet<string>, excuses: Readonly<Record<string, string>>): readonly string[] {
  const missing = musts().filter((id) => !covered.has(id) && excuses[id] === undefined).map((id) => `${id} has no vector, and no excuse in spec/vector/uncovered.json`);
  const idle = Object.keys(excuses).filter((id) => covered.has(id) || !musts().includes(id)).map((id) => `${id} is excused in spec/vector/uncovered.json, and ${covered.has(id) ? "has a vector" : "is no must"}`);
  return [...missing, ...idle];
}

function nameOf(rule: string, others: readonly Vector[]): string {
  const count = others.filter(({ id }) => id === rule || id.startsWith(`${rule}-`)).length;
  return count === 0 ? rule : `${rule}-${count + 1}`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { programs: { type: "string", default: "6000" }, seed: { type: "string", default: "1" } } });
  const [programs, seed] = [Number(values.programs), Number(values.seed)];
  if (!Number.isInteger(programs) || programs < 1 || !Number.isInteger(seed) || seed < 0) {
    console.error(`vectors: expected --programs and --seed to be whole numbers, got ${values.programs} and ${values.seed}; for example: npm run vectors -- --programs 6000 --seed 1`);
    return 2;
  }
  const explore = await citing();
  const all = [...candidates(explore, programs, seed)];
  console.error(`${all.length} of ${programs} programs can be explored to their end`);
  const written = writtenVectors(explore);
  const vectors: Vector[] = [...written.vectors];
  const faults: string[] = [...written.faults];
  const left = new Set(musts().filter((id) => !vectors.some(({ rules }) => rules.includes(id))));
  for (const { program, kept } of [...cover(all, left), ...cover(all.slice(0, all.length / 2), new Set(musts()))]) {
    const least = smaller(explore, program, kept);
    const outcomes = outcomesOf(explore, least);
    const found = explore(least, NEWEST);
    if (outcomes === undefined || found === undefined) throw new Error(`vectors: a program that was explored before is not now: ${JSON.stringify(least)}`);
    vectors.push({ id: nameOf(kept[0] ?? "", vectors), rules: [...kept, ...[...found.rules].filter((id) => !kept.includes(id)).sort()], program: least, outcomes });
  }
  const covered = new Set(vectors.flatMap(({ rules }) => rules));
  const excuses = excusesOf();
  faults.push(...(await diverging(vectors)), ...excuseFaults(covered, excuses));
  const text = `{"version":1,"vectors":[\n${vectors.map((v) => JSON.stringify(v)).join(",\n")}\n],"uncovered":${JSON.stringify(excuses, undefined, 1)}}\n`;
  writeFileSync(vectorsFile(), text);
  for (const fault of faults) console.error(`vectors: ${fault}`);
  console.log(`${vectors.length} vectors (${written.vectors.length} written by hand), ${musts().filter((id) => covered.has(id)).length} of ${musts().length} musts covered, ${Object.keys(excuses).length} excused, ${text.length} bytes`);
  return faults.length === 0 ? 0 : 1;
}

process.exitCode = await main();
