// Judges traces of a corpus with the instrumented build, in a process of its own: with no mutant it says what each
// trace runs, with one it says which trace gives that mutant away.
import { openSync, readSync } from "node:fs";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { join } from "node:path";
import type { judgeTrace } from "../../src/oracle/judge.ts";
import type { Checker } from "../../src/oracle/checker.ts";
import type { parseTrace } from "../../src/program/trace-reader.ts";
import type { Verdict } from "../../src/oracle/verdict.ts";
import { readTask, say } from "./child.ts";
import type { Judging } from "./corpus.ts";
import type { HITS } from "./instrument.ts";

export interface ChildTask {
  readonly build: string;
  /** One trace a line: JSON of the number of its judging, and its text. */
  readonly traces: string;
  /** By what traces are judged; most by the first. */
  readonly judgings: readonly Judging[];
  /** Numbers of the traces to judge, in this order. */
  readonly order: readonly number[];
  /** Where each of them is in the file, and how long it is. */
  readonly places: readonly Place[];
  /** Says for each trace which mutants it comes by, and goes on to the end. */
  readonly cover: boolean;
  /** What each trace of `order` is judged without a mutant. */
  readonly expected: readonly ("legal" | "illegal")[];
}

export interface Place {
  readonly at: number;
  readonly size: number;
}

export type FromJudge =
  /** ids: a byte for each mutant in Base64, 1 where the trace comes by it. ms: of the processor. at: the first event that is not legal. */
  | { readonly trace: number; readonly verdict: Verdict["verdict"]; readonly at?: number; readonly ms: number; readonly ids: string }
  | { readonly begun: number }
  | { readonly loaded: string }
  /** The last word: a legal trace that is illegal, or an illegal one that is legal. */
  | { readonly killedBy: number; readonly verdict: "legal" | "illegal" }
  /** A legal trace of which no more is said than unknown: a weaker word, and the run goes on. */
  | { readonly unsureOf: number }
  | { readonly survived: true };

const task = await readTask<ChildTask>();
const answer: (message: FromJudge) => void = say;
const load = (file: string): Promise<unknown> => import(pathToFileURL(join(task.build, "src", file)).href);

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};
const hitsName: typeof HITS = "ringspecHits";

async function main(): Promise<void> {
  const { Checker: Oracle } = (await load("oracle/checker.js")) as { Checker: typeof Checker };
  const { judgeTrace: judge } = (await load("oracle/judge.js")) as { judgeTrace: typeof judgeTrace };
  const { parseTrace: parse } = (await load("program/trace-reader.js")) as { parseTrace: typeof parseTrace };
  const file = openSync(task.traces, "r");
  const verdictOf = (turn: number, retries: boolean): Verdict => {
    const { at = 0, size = 0 } = task.places[turn] ?? {};
    const bytes = Buffer.alloc(size);
    readSync(file, bytes, 0, size, at);
    const [by, text] = JSON.parse(bytes.toString()) as [number, string]; // the parent wrote it
    const judging = task.judgings[by];
    if (judging === undefined) throw new Error(`trace ${task.order[turn]}: no judging ${by}`);
    return judge(parse(text).events, new Oracle({ ...judging, retries }));
  };
  if (task.cover) {
    const hits = (globalThis as { [HITS]?: Uint8Array })[hitsName] ?? new Uint8Array();
    const text = (): string => Buffer.from(hits).toString("base64");
    answer({ loaded: text() });
    for (const [turn, number] of task.order.entries()) {
      hits.fill(0);
      const startedMs = cpuMs();
      const { verdict, at } = verdictOf(turn, true);
      answer({ trace: number, verdict, ...(at === undefined ? {} : { at }), ms: cpuMs() - startedMs, ids: text() });
    }
    return;
  }
  for (const [at, number] of task.order.entries()) {
    answer({ begun: number });
    const expected = task.expected[at];
    // The first search is quick and mostly enough for what is legal; only where it fails do wider ones have a word.
    if (expected === "legal" && verdictOf(at, false).verdict === "legal") continue;
    const { verdict } = verdictOf(at, true);
    // Unknown is no kill of what is illegal: the model was not made to say that it may be.
    if (verdict === "unknown" && expected === "legal") answer({ unsureOf: number });
    if (verdict === "unknown" || verdict === expected) continue;
    answer({ killedBy: number, verdict });
    return;
  }
  answer({ survived: true });
}

try {
  await main();
} catch (error) {
  process.stderr.write(error instanceof Error ? (error.stack ?? error.message) : String(error));
  process.exitCode = 1;
}
