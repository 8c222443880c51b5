// Judges traces of a corpus with the instrumented build, in a process of its own: with no mutant it says what each
// trace runs, with one it says which trace gives that mutant away.
import { readFileSync, writeSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import type { judgeTrace } from "../../src/oracle/judge.ts";
import type { Checker } from "../../src/oracle/checker.ts";
import type { parseTrace } from "../../src/program/trace-reader.ts";
import type { Verdict } from "../../src/oracle/verdict.ts";
import type { Judging } from "./corpus.ts";

export interface ChildTask {
  readonly build: string;
  /** One trace a line: JSON of the number of its judging, and its text. */
  readonly traces: string;
  /** By what traces are judged; most by the first. */
  readonly judgings: readonly Judging[];
  /** Numbers of the traces to judge, in this order. */
  readonly order: readonly number[];
  /** Says for each trace which mutants it comes by, and goes on to the end. */
  readonly cover: boolean;
  /** false: what the first search says is enough (with `cover`). */
  readonly retries?: boolean;
  /** What each trace of `order` is judged without a mutant. */
  readonly expected: readonly ("legal" | "illegal")[];
}

export type FromJudge =
  | { readonly trace: number; readonly verdict: Verdict["verdict"]; readonly ms: number; readonly ids: readonly number[] }
  | { readonly begun: number }
  | { readonly loaded: readonly number[] }
  /** The last word: a legal trace that is illegal, or an illegal one that is legal. */
  | { readonly killedBy: number; readonly verdict: "legal" | "illegal" }
  /** A legal trace of which no more is said than unknown: a weaker word, and the run goes on. */
  | { readonly unsureOf: number }
  | { readonly survived: true };

interface Switches {
  currentTestId?: string;
  mutantCoverage?: { static: Record<string, number>; perTest: Record<string, Record<string, number>> };
}

const task = JSON.parse(readFileSync(0, "utf8")) as ChildTask; // the parent wrote it
/** The pipe may be full: the parent reads on while this waits. */
function say(message: FromJudge): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
const load = (file: string): Promise<unknown> => import(pathToFileURL(join(task.build, "src", file)).href);

async function main(): Promise<void> {
  const { Checker: Oracle } = (await load("oracle/checker.js")) as { Checker: typeof Checker };
  const { judgeTrace: judge } = (await load("oracle/judge.js")) as { judgeTrace: typeof judgeTrace };
  const { parseTrace: parse } = (await load("program/trace-reader.js")) as { parseTrace: typeof parseTrace };
  const switches = ((globalThis as { __stryker__?: Switches }).__stryker__ ??= {});
  const traces = readFileSync(task.traces, "utf8").split("\n");
  const verdictOf = (number: number, retries: boolean): Verdict["verdict"] => {
    const [by, text] = JSON.parse(traces[number] ?? '[0, ""]') as [number, string]; // the parent wrote it
    const judging = task.judgings[by];
    if (judging === undefined) throw new Error(`trace ${number}: no judging ${by}`);
    return judge(parse(text).events, new Oracle({ ...judging, retries })).verdict;
  };
  if (task.cover) {
    say({ loaded: Object.keys(switches.mutantCoverage?.static ?? {}).map(Number) });
    for (const number of task.order) {
      switches.currentTestId = String(number);
      const startedMs = performance.now();
      const verdict = verdictOf(number, task.retries !== false);
      const ids = Object.keys(switches.mutantCoverage?.perTest[number] ?? {}).map(Number);
      delete switches.mutantCoverage?.perTest[number];
      say({ trace: number, verdict, ms: performance.now() - startedMs, ids });
    }
    return;
  }
  for (const [at, number] of task.order.entries()) {
    say({ begun: number });
    const expected = task.expected[at];
    // The first search is quick and mostly enough for what is legal; only where it fails do wider ones have a word.
    if (expected === "legal" && verdictOf(number, false) === "legal") continue;
    const verdict = verdictOf(number, true);
    // Unknown is no kill of what is illegal: the model was not made to say that it may be.
    if (verdict === "unknown" && expected === "legal") say({ unsureOf: number });
    if (verdict === "unknown" || verdict === expected) continue;
    say({ killedBy: number, verdict });
    return;
  }
  say({ survived: true });
}

try {
  await main();
} catch (error) {
  process.stderr.write(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
}
