// Draws the conformance vectors anew: npm run vectors -- [--programs N] [--seed N]. Small programs of the campaign are
// explored by a copy of the model whose citations run (scripts/cite.mjs); few that together come by as many rules as possible
// are kept, made as small as they can be without losing the rules that they were kept for, and written to
// spec/vector/vectors.json with everything that each release may show.
import { writeFileSync } from "node:fs";
import process from "node:process";
import { parseArgs } from "node:util";
import { drawPrograms, type RingFlags } from "../src/cli/programs.ts";
import { Pool } from "../src/cli/pool.ts";
import { runAll, vectorsFile } from "../src/cli/vectors.ts";
import { Unmodelled, type KernelProfile } from "../src/kernel.ts";
import { PROFILES } from "../src/model/profile.ts";
import { outcomeOf, outcomeText, type ProgramOutcome } from "../src/oracle/explore/outcome.ts";
import type { Program } from "../src/program/program.ts";
import { parseTrace } from "../src/program/trace-reader.ts";
import { probeReal } from "../src/real/probe.ts";
import { COVERAGE } from "../src/spec/coverage.gen.ts";
import { loadSpec } from "../src/spec/load.ts";
import { RULES } from "../src/spec/rules.gen.ts";
import { AS_NEWEST, type Vector, type VectorFile } from "../src/vector/vector.ts";

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

/** Runs of a program that explorations don't go into: where all of them show one outcome, that is taken for all that there is. */
const RUNS = 200;
const RUNS_AT_FIRST = 3;

interface Found {
  readonly outcomes: readonly ProgramOutcome[];
  readonly listed: Vector["listed"];
  readonly rules: ReadonlySet<string>;
}

/** The copy of the model whose citations run. */
async function citing(): Promise<(program: Program, profile: KernelProfile, runs?: number) => Found | undefined> {
  const part = async (name: string): Promise<unknown> => import(new URL(`../cited/${name}`, import.meta.url).href);
  const { explore } = (await part("oracle/explore/explore.js")) as typeof import("../src/oracle/explore/explore.ts");
  const kernel = (await part("kernel.js")) as typeof import("../src/kernel.ts");
  const { cited } = (await part("model/cite.js")) as { readonly cited: Set<string> };
  const { createModelKernel } = (await part("model/kernel.js")) as typeof import("../src/model/kernel.ts");
  const { runAndJudge } = (await part("oracle/judge.js")) as typeof import("../src/oracle/judge.ts");
  const refused = (error: unknown): boolean => error instanceof kernel.Unmodelled || error instanceof Unmodelled;

  const runOnce = (program: Program, profile: KernelProfile, seed: number): ProgramOutcome | undefined => {
    const model = createModelKernel({ profile, seed });
    try {
      const { verdict, trace } = runAndJudge(model, program, { keepTrace: true });
      return verdict.verdict === "legal" && trace !== undefined ? outcomeOf(program, parseTrace(trace).events) : undefined;
    } finally {
      model.close();
    }
  };

  const seen = (program: Program, profile: KernelProfile, runs: number): Found | undefined => {
    cited.clear();
    try {
      const first = runOnce(program, profile, 0);
      if (first === undefined) return undefined;
      for (let seed = 1; seed < runs; seed++) {
        const other = runOnce(program, profile, seed);
        if (other === undefined || outcomeText(other) !== outcomeText(first)) return undefined;
      }
      return { outcomes: [first], rules: new Set(cited), listed: "seen" };
    } catch (error) {
      if (refused(error) || error instanceof kernel.WouldBlockForever) return undefined;
      throw error;
    }
  };

  return (program, profile, runs = RUNS_AT_FIRST) => {
    // Portable: what a file system does is not the ring's.
    const any = { ...profile, file: { readInline: undefined, writeInline: undefined } };
    cited.clear();
    try {
      const found = explore(program, { profile: any, statesMax: STATES_MAX });
      const [breach] = found.breaches;
      if (breach !== undefined) {
        console.error(`vectors: left out, for ${breach.invariant} does not hold (${breach.found}); ringspec explore says more of it: ${JSON.stringify(program)}`);
        return undefined;
      }
      if (!found.complete || found.outcomes.length > OUTCOMES_MAX || found.outcomes.some(({ end }) => end !== undefined)) return undefined;
      return { outcomes: found.outcomes, rules: new Set(cited), listed: "explored" };
    } catch (error) {
      if (!refused(error)) throw error;
      return seen(program, any, runs);
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
  const newest = explore(program, NEWEST, RUNS);
  if (newest === undefined) return undefined;
  for (const [release, profile] of Object.entries(PROFILES)) {
    const found = explore(program, profile, RUNS);
    if (found === undefined) continue;
    const same = release !== "6.18" && text(found.outcomes) === text(newest.outcomes);
    outcomes[release] = same ? AS_NEWEST : found.outcomes.map(({ calls, completions, looks, end }) => ({
      calls: [...calls], completions: [...completions], looks: [...looks], ...(end === undefined ? {} : { end }),
    }));
  }
  return outcomes;
}

/**
 * Those that hold on the kernel that is running too. One that was seen and not explored may have more outcomes than the model's
 * runs showed: it goes. An explored one that fails is a divergence.
 */
async function holding(vectors: readonly Vector[]): Promise<{ readonly held: readonly Vector[]; readonly diverged: readonly string[] }> {
  const held: Vector[] = [];
  const diverged: string[] = [];
  for (const backend of ["model", "real"] as const) {
    if (backend === "real" && !probeReal().available) throw new Error("vectors: expected a kernel with io_uring to try them on, got none; see: ringspec doctor");
    const pool = new Pool({ backend, jobs: 2 });
    try {
      const failed = await runAll(vectors, backend, pool, TRIED);
      diverged.push(...failed.filter(({ id }) => vectors.find((v) => v.id === id)?.listed === "explored").map(({ id }) => `${id} on the ${backend} kernel`));
      const gone = new Set(failed.map(({ id }) => id));
      if (backend === "model") held.push(...vectors.filter(({ id }) => !gone.has(id)));
      else held.splice(0, held.length, ...held.filter(({ id }) => !gone.has(id)));
    } finally {
      await pool.close();
    }
  }
  return { held, diverged };
}

function uncovered(covered: ReadonlySet<string>): VectorFile["uncovered"] {
  const untried = new Map(loadSpec().rules.map(({ id, untried: why }) => [id, why]));
  return Object.fromEntries(musts().filter((id) => !covered.has(id)).sort().map((id) => [
    id,
    untried.get(id) ??
      (COVERAGE[id as keyof typeof COVERAGE]?.model === true
        ? "no program that was drawn comes by it and has few enough outcomes to list; calls that explorations leave out are among the reasons"
        : "not cited by the model"),
  ]));
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
  const vectors: Vector[] = [];
  const lost: string[] = [];
  for (const { program, kept } of [...cover(all, new Set(musts())), ...cover(all.slice(0, all.length / 2), new Set(musts()))]) {
    const least = smaller(explore, program, kept);
    const outcomes = outcomesOf(explore, least);
    const found = explore(least, NEWEST);
    if (outcomes === undefined || found === undefined) {
      lost.push(...kept);
      continue;
    }
    const { rules, listed } = found;
    vectors.push({ id: nameOf(kept[0] ?? "", vectors), listed, rules: [...kept, ...[...rules].filter((id) => !kept.includes(id)).sort()], program: least, outcomes });
  }
  const { held, diverged } = await holding(vectors);
  const covered = new Set(held.flatMap(({ rules }) => rules));
  const file: VectorFile = { version: 1, vectors: [...held], uncovered: uncovered(covered) };
  const text = `{"version":1,"vectors":[\n${held.map((v) => JSON.stringify(v)).join(",\n")}\n],"uncovered":${JSON.stringify(file.uncovered, undefined, 1)}}\n`;
  writeFileSync(vectorsFile(), text);
  for (const id of diverged) console.error(`vectors: ${id} showed an outcome that no exploration listed: a divergence`);
  console.log(`${held.length} vectors (${held.filter(({ listed }) => listed === "explored").length} explored), ${musts().filter((id) => covered.has(id)).length} of ${musts().length} musts covered, ${lost.length} rules lost, ${vectors.length - held.length} vectors to runs that showed more, ${text.length} bytes`);
  return diverged.length === 0 ? 0 : 1;
}

process.exitCode = await main();
