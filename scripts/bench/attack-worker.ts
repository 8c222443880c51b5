// Judges and mutates traces beside the others: one trace in, what came of it out.
import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { parseTrace } from "../../src/program/trace-reader.ts";
import type { Verdict } from "../../src/oracle/verdict.ts";
import { attack, judged, type Attack, type Judging } from "../../test/attack/attack.ts";

export interface Task {
  /** Number of the trace, which also says what mutation it gets. */
  readonly index: number;
  readonly trace: string;
}

export interface Answer {
  readonly index: number;
  /** Of the trace as it was recorded. */
  readonly verdict: Verdict["verdict"];
  /** Not legal: what was seen there, and the trace. */
  readonly seen?: string | undefined;
  readonly trace?: string;
  /** Left out: it was not legal, or had no place for any mutation. */
  readonly attack?: Attack | undefined;
}

function answer({ index, trace }: Task, judging: Judging, seed: number): Answer {
  const { events } = parseTrace(trace);
  const { verdict, seen, limit, unmodelled } = judged(events, judging);
  if (verdict !== "legal") return { index, verdict, seen: seen ?? limit ?? unmodelled, trace };
  return { index, verdict, attack: attack(events, judging, index, seed + index) };
}

const port = parentPort;
if (port === null) {
  console.error("attack-worker: expected to be started by npm run bench:attack, got no parent");
  process.exit(2);
}
const { judging, seed } = workerData as { readonly judging: Judging; readonly seed: number }; // the parent wrote it
port.on("message", (task: Task) => port.postMessage(answer(task, judging, seed)));
