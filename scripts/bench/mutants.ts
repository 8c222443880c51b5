// `npm run bench:mutants`: mutation testing of src/model. Records a corpus of traces, makes illegal ones of them, and
// judges it with each of a sample of mutants of the model. Writes docs/reports/mutants.md.
import { createHash } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { chooseBackend, sayMissing } from "../../src/cli/backend.ts";
import { SAVE_DIRECTORY } from "../../src/cli/diff.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { compilerCheck } from "../../test/mutants/compiles.ts";
import type { Mutant } from "../../test/mutants/instrument.ts";
import { fateOf, prepare } from "../../test/mutants/prepare.ts";
import { wholeNumber } from "../options.ts";
import { corpusRows, jsonOf, lineOf, reportOf, summaryLines, TARGET, type About, type Judged } from "./mutants-report.ts";

const REPORT = join("docs", "reports", "mutants.md");
const HELP = `npm run bench:mutants -- [options]

  --mutants N    mutants that are drawn and judged (400)
  --seed N       of the sample, the programs and the changes (1)
  --programs N   programs that are run to record legal traces (1600)
  --older N      programs that the model runs as each release, eight times as many as 6.18 (400)
  --bases N      legal traces that illegal ones are made of (800)
  --minutes N    of judging; then the report is of the mutants that were judged by then (60)
  --jobs N       processes that judge (2)
  --only FILE    only mutants of this file of src/model; the report stays as it is
  --model        record on the model, also where there is a real kernel
  --no-scripts   record no scripts of test/integration/rule, only programs
  --no-report    ${REPORT} stays as it is
  --json         the last line is the result as JSON

The instrumented build and the corpus are left in ${SAVE_DIRECTORY}/mutants.

Exit codes: 0 at least ${TARGET * 100} % of the mutants are killed, 1 fewer are, 2 usage, 3 no real kernel though RINGSPEC_REQUIRE_REAL=1`;

const VECTOR_TIMES = 4;
/** Illegal traces that are made of each. */
const CHANGES_EACH = 4;

interface Options {
  readonly mutants: number;
  readonly seed: number;
  readonly programs: number;
  readonly older: number;
  readonly bases: number;
  readonly jobs: number;
  readonly minutes: number;
  readonly only: string | undefined;
  readonly model: boolean;
  readonly scripts: boolean;
  readonly report: boolean;
  readonly json: boolean;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      mutants: { type: "string", default: "400" }, seed: { type: "string", default: "1" }, programs: { type: "string", default: "1600" },
      older: { type: "string", default: "400" }, bases: { type: "string", default: "800" }, jobs: { type: "string", default: "2" },
      minutes: { type: "string", default: "60" }, only: { type: "string" }, model: { type: "boolean", default: false }, "no-scripts": { type: "boolean", default: false },
      "no-report": { type: "boolean", default: false }, json: { type: "boolean", default: false }, help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const number = (name: "mutants" | "seed" | "programs" | "older" | "bases" | "jobs" | "minutes", least: number): number =>
    wholeNumber(name, values[name], least);
  return {
    mutants: number("mutants", 1), seed: number("seed", 0), programs: number("programs", 1), older: number("older", 0), bases: number("bases", 0),
    jobs: number("jobs", 1), minutes: number("minutes", 1), only: values.only, model: values.model, scripts: !values["no-scripts"],
    report: !values["no-report"] && values.only === undefined, json: values.json,
  };
}

const say = (line: string): boolean => process.stderr.write(`${(performance.now() / 1000).toFixed(0).padStart(4)} s  ${line}\n`);

/** In an order by seed, in which each stays where it is when the model changes elsewhere. */
function inOrder(mutants: readonly Mutant[], seed: number): Mutant[] {
  const times = new Map<string, number>();
  const placed = mutants.map((mutant) => {
    const name = [mutant.file, mutant.kind, mutant.original, mutant.replacement].join("\n");
    const time = times.get(name) ?? 0;
    times.set(name, time + 1);
    return { mutant, place: createHash("sha256").update(`${seed}\n${time}\n${name}`).digest("hex") };
  });
  return placed.sort((a, b) => (a.place < b.place ? -1 : 1)).map(({ mutant }) => mutant);
}

async function judgeAll(options: Options): Promise<{ judged: Judged[]; about: About }> {
  const { seed, programs, older, bases, jobs } = options;
  const { backend, missing } = chooseBackend(options.model ? "model" : "auto");
  process.stdout.write(sayMissing(missing));
  const prepared = await prepare({
    backend, seed, programs, older, scripts: options.scripts, vectors: VECTOR_TIMES, bases, each: CHANGES_EACH, directory: resolve(SAVE_DIRECTORY, "mutants"), jobs, say,
  });
  const { mutants, kept, loaded, release, ignored } = prepared;
  const from = inOrder(mutants.filter(({ file }) => options.only === undefined || file === options.only), seed);
  if (from.length === 0) throw new TypeError(`--only: expected a file of src/model that has mutants, got "${options.only}"; for example: --only timeout.ts`);
  const met = new Set(kept.flatMap(({ ids }) => [...ids]));
  const unmet = mutants.filter(({ id }) => !met.has(id) && !loaded.has(id));
  say(`the corpus comes by all but ${unmet.length} of ${mutants.length} mutants`);

  const compiles = compilerCheck();
  const drawn: Mutant[] = [];
  let refused = 0;
  const judged: Judged[] = [];
  const waiting = from.values();
  const endMs = performance.now() + 60_000 * options.minutes;
  const lane = async (): Promise<void> => {
    for (const mutant of waiting) {
      if (!compiles(mutant)) {
        refused++;
        continue;
      }
      drawn.push(mutant);
      const startedMs = performance.now();
      const fate = await fateOf(prepared, mutant);
      const one = { mutant, fate, ms: performance.now() - startedMs };
      judged.push(one);
      process.stdout.write(`${lineOf(one, judged.length)}\n`);
      if (drawn.length >= options.mutants || performance.now() > endMs) break;
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
  if (judged.length < Math.min(options.mutants, from.length - refused)) say(`after ${options.minutes} minutes ${judged.length} are judged: the first of the sample`);
  say(`${refused} more were drawn, that the compiler refuses`);
  say(`${prepared.odd.size} traces were judged otherwise when they were judged again without the mutant, and left out`);
  const places = new Map(drawn.map((mutant, i) => [mutant, i]));
  judged.sort((a, b) => (places.get(a.mutant) ?? 0) - (places.get(b.mutant) ?? 0));
  return { judged, about: { seed, backend, release, corpus: corpusRows(kept), of: mutants.length, unmet: unmet.length, refused, ignored, dropped: prepared.dropped, odd: prepared.odd.size } };
}

async function main(): Promise<number> {
  try {
    const options = readOptions();
    if (options === undefined) {
      process.stdout.write(`${HELP}\n`);
      return 0;
    }
    const { judged, about } = await judgeAll(options);
    const result = jsonOf(judged, about);
    process.stdout.write(`${summaryLines(result).join("\n")}\n`);
    if (options.report) writeFileSync(join(packageRoot, REPORT), reportOf(judged, about));
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return result.share >= TARGET ? 0 : 1;
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    process.stderr.write(`bench:mutants: ${error.message}\n`);
    return 2;
  }
}

process.exitCode = await main();
