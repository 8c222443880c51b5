// `ringspec explain`: a trace, or a saved counterexample, as a timeline in the terminal, and as one HTML file.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import process from "node:process";
import { timelinePage } from "../explain/html.ts";
import { timelineLines } from "../explain/terminal.ts";
import { timelineOf } from "../explain/timeline.ts";
import type { Timeline } from "../explain/timeline.ts";
import { RecordedJudge } from "../oracle/recorded.ts";
import type { Strictness } from "../oracle/verdict.ts";
import { TraceReader } from "../program/trace-reader.ts";
import type { TraceEvent } from "../program/trace.ts";
import { judgementOf } from "./check.ts";
import { loadCounterexample } from "./counterexample.ts";
import { EXIT, UsageError } from "./exit-code.ts";
import { eachEvent, nameOf, profileFor } from "./trace-file.ts";
import type { ProfileName } from "./trace-file.ts";

export interface ExplainOptions {
  readonly profile?: ProfileName;
  /** auto: as a counterexample was judged when it was found, else spec. */
  readonly strictness: Strictness | "auto";
  readonly html?: string;
  readonly json?: boolean;
}

/** The exit code. Throws UsageError. */
export async function explain(path: string, options: ExplainOptions): Promise<number> {
  const { trace, strictness } = resolve(path, options.strictness);
  const reader = new TraceReader();
  const events: TraceEvent[] = [];
  await eachEvent(trace, reader, (event) => void events.push(event));
  if (events.length === 0)
    throw new UsageError(`${nameOf(trace)}: expected events behind the heading, got none: there is nothing to explain`);
  const profile = profileFor(options.profile, reader.head);
  const judge = new RecordedJudge({ profile, strictness });
  for (const event of events) judge.event(event);
  const verdict = judge.end();
  const timeline = timelineOf(events, {
    title: path === "-" ? nameOf(path) : basename(path),
    by: `Linux ${profile.release}, strictness ${strictness}`,
    verdict: { ...verdict, verdict: judgementOf(verdict) },
  });
  if (options.html !== undefined) writePage(options.html, timeline);
  if (options.json === true) process.stdout.write(`${JSON.stringify(timeline)}\n`);
  else if (options.html === undefined) process.stdout.write(`${timelineLines(timeline).join("\n")}\n`);
  else
    process.stdout.write(
      `${timeline.steps.length} steps, ${timeline.lanes.length} requests, ${timeline.verdict.verdict}: ${options.html}\n`,
    );
  return EXIT.agree;
}

/** The trace behind a path: itself, or what lies beside a counterexample. Throws UsageError. */
function resolve(path: string, wanted: Strictness | "auto"): { readonly trace: string; readonly strictness: Strictness } {
  const chosen = wanted === "auto" ? "spec" : wanted;
  if (path === "-" || !path.endsWith(".json") || !existsSync(path)) return { trace: path, strictness: chosen };
  // A trace may have any name.
  if (readFileSync(path, "utf8").startsWith('{"trace"')) return { trace: path, strictness: chosen };
  const saved = readCounterexample(path);
  const trace = path.replace(/\.json$/, ".trace.jsonl");
  if (!existsSync(trace))
    throw new UsageError(
      `${path}: expected the counterexample's trace beside it, but there is no file at ${trace}; a run writes one: ringspec run PROGRAM --trace ${basename(trace)}`,
    );
  return { trace, strictness: wanted === "auto" ? saved.strictness : wanted };
}

function readCounterexample(path: string): { readonly strictness: Strictness } {
  try {
    return loadCounterexample(path);
  } catch (error) {
    throw new UsageError(
      `${path}: ${error instanceof Error ? error.message : String(error)}. ringspec explain takes a trace (JSON Lines) or a counterexample that ringspec diff saved`,
    );
  }
}

function writePage(path: string, timeline: Timeline): void {
  try {
    writeFileSync(path, timelinePage(timeline));
  } catch (error) {
    throw new UsageError(
      `expected a place for the page, but ${path} can't be written: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
