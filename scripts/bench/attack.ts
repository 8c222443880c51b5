// `npm run bench:attack`: attacks the oracle. Programs as `ringspec diff` draws them are run and recorded, on the real
// kernel where there is one; each trace is judged as it is, then with one mutation (test/attack/). Writes
// docs/reports/attack.md.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { chooseBackend, sayMissing } from "../../src/cli/backend.ts";
import { modelSettingsOf } from "../../src/cli/campaign.ts";
import { SAVE_DIRECTORY } from "../../src/cli/diff.ts";
import type { KernelFacts } from "../../src/cli/messages.ts";
import { Pool } from "../../src/cli/pool.ts";
import { drawPrograms } from "../../src/cli/programs.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { packageRoot } from "../../src/real/addon.ts";
import type { Judging } from "../../test/attack/attack.ts";
import { jsonOf, reportOf, summaryLines, TARGET } from "./attack-report.ts";
import type { Answer, Task } from "./attack-worker.ts";
import { wholeNumber } from "../options.ts";

const REPORT = join("docs", "reports", "attack.md");
const HELP = `npm run bench:attack -- [options]

  --traces N    legal traces that are attacked (10000)
  --seed N      of the programs and the mutations (1)
  --jobs N      threads that judge (2)
  --model       record on the model, also where there is a real kernel
  --no-report   ${REPORT} stays as it is
  --json        the last line is the result as JSON

Exit codes: 0 at least ${TARGET * 100} % of the mutations that change what a trace means are illegal, and no trace is that was not mutated;
1 otherwise, 2 usage, 3 no real kernel though RINGSPEC_REQUIRE_REAL=1`;

interface Options {
  readonly traces: number;
  readonly seed: number;
  readonly jobs: number;
  readonly model: boolean;
  readonly report: boolean;
  readonly json: boolean;
}

function readOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      traces: { type: "string", default: "10000" }, seed: { type: "string", default: "1" }, jobs: { type: "string", default: "2" },
      model: { type: "boolean", default: false }, "no-report": { type: "boolean", default: false }, json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    traces: wholeNumber("traces", values.traces, 1), seed: wholeNumber("seed", values.seed, 0), jobs: wholeNumber("jobs", values.jobs, 1),
    model: values.model, report: !values["no-report"], json: values.json,
  };
}

/** Threads that judge, each one trace at a time. */
class Judges {
  readonly answers: Answer[] = [];
  readonly #idle: Worker[];
  readonly #all: readonly Worker[];
  #wake: (() => void) | undefined;
  #failure: Error | undefined;

  constructor(judging: Judging, { jobs, seed }: Options) {
    this.#all = Array.from({ length: jobs }, () => new Worker(new URL("./attack-worker.js", import.meta.url), { workerData: { judging, seed } }));
    this.#idle = [...this.#all];
    for (const worker of this.#all) {
      worker.on("message", (answer: Answer) => {
        this.answers.push(answer);
        this.#idle.push(worker);
        this.#wake?.();
      });
      worker.on("error", (error) => {
        this.#failure = error;
        this.#wake?.();
      });
    }
  }

  async #until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>((resolve) => (this.#wake = resolve));
      if (this.#failure !== undefined) throw this.#failure;
    }
  }

  async judge(task: Task): Promise<void> {
    await this.#until(() => this.#idle.length > 0);
    this.#idle.pop()?.postMessage(task);
  }

  async close(): Promise<void> {
    await this.#until(() => this.#idle.length === this.#all.length);
    await Promise.all(this.#all.map((worker) => worker.terminate()));
  }
}

/** Recorded this many ahead of the judges. */
const AHEAD = 50;

async function record(pool: Pool, { traces, seed }: Options, real: boolean, judges: Judges): Promise<number> {
  const source = drawPrograms({ seed, runs: 2 * traces + 100, kind: "legal" });
  let index = 0;
  let lost = 0;
  const attacked = (): number => judges.answers.filter(({ attack }) => attack !== undefined).length;
  while (attacked() < traces) {
    const drawn = [...Array(Math.min(AHEAD, traces - attacked())).keys()].flatMap(() => {
      const next = source.next();
      return next.done === true ? [] : [next.value];
    });
    if (drawn.length === 0) throw new Error(`only ${attacked()} of ${traces} traces could be attacked, and there are no more programs`);
    const outcomes = await Promise.all(
      drawn.map(({ program, index: number }) => pool.run({ program, keepTrace: true, ...(real ? {} : { model: modelSettingsOf(seed, number) }) })),
    );
    for (const { trace } of outcomes) {
      if (trace === undefined) lost++;
      else await judges.judge({ index: index++, trace });
    }
    process.stderr.write(`${attacked()} of ${traces} traces attacked\n`);
  }
  return lost;
}

/** A trace of a kernel that the oracle rejects is a finding: ringspec check says more. */
function keep(seed: number, index: number, trace: string): void {
  mkdirSync(SAVE_DIRECTORY, { recursive: true });
  const path = join(SAVE_DIRECTORY, `attack-${seed}-${index}.trace.jsonl`);
  writeFileSync(path, trace);
  process.stdout.write(`ILLEGAL though not mutated: ${path}\n`);
}

async function main(): Promise<number> {
  let options: Options | undefined;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`bench:attack: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  if (options === undefined) {
    process.stdout.write(`${HELP}\n`);
    return 0;
  }
  const { backend, missing } = chooseBackend(options.model ? "model" : "auto");
  process.stdout.write(sayMissing(missing));
  const pool = new Pool({ backend, jobs: 1 });
  let facts: KernelFacts;
  try {
    facts = await pool.opened;
    const { readInline, writeInline } = facts.file;
    const judging: Judging = { profile: { ...PROFILE_6_18, file: { readInline, writeInline } }, strictness: facts.strictness };
    const judges = new Judges(judging, options);
    const lost = await record(pool, options, backend === "real", judges);
    await judges.close();
    for (const { index, verdict, trace } of judges.answers) if (verdict === "illegal" && trace !== undefined) keep(options.seed, index, trace);
    const result = jsonOf(judges.answers, { ...options, backend, release: facts.release, lost });
    process.stdout.write(`${summaryLines(result).join("\n")}\n`);
    if (options.report) writeFileSync(join(packageRoot, REPORT), reportOf(result));
    process.stdout.write(sayMissing(missing));
    if (options.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    return result.share >= TARGET && result.unmutated.illegal === 0 ? 0 : 1;
  } finally {
    await pool.close();
  }
}

process.exitCode = await main();
