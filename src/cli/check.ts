// `ringspec check`: judges a trace that was recorded before, by whatever tool. Reads it line by line.
import process from "node:process";
import { RecordedJudge } from "../oracle/recorded.ts";
import type { Strictness, Verdict } from "../oracle/verdict.ts";
import { TraceReader } from "../program/trace-reader.ts";
import { EXIT, UsageError } from "./exit-code.ts";
import { eachEvent, nameOf, profileFor } from "./trace-file.ts";
import type { ProfileName } from "./trace-file.ts";

export interface CheckOptions {
  /** Left out: what the heading says, else 6.18. */
  readonly profile?: ProfileName;
  /** auto is spec: a file does not say on what file system it was recorded. */
  readonly strictness: Strictness | "auto";
  readonly json?: boolean;
}

/** The first event is on the second line. */
const lineOf = (index: number): number => index + 2;

/** legal: to the end. unknown: everything that could not be judged to the end, for whatever reason. */
export type Judgement = "legal" | "illegal" | "unknown";

export function judgementOf(verdict: Verdict): Judgement {
  if (verdict.verdict === "legal" && (verdict.unspecified !== undefined || verdict.judgedEvents < verdict.events)) return "unknown";
  return verdict.verdict;
}

const EXITS: Readonly<Record<Judgement, number>> = { legal: EXIT.agree, illegal: EXIT.diverge, unknown: EXIT.unknown };

/** The exit code. Throws UsageError. */
export async function check(path: string, options: CheckOptions): Promise<number> {
  const strictness = options.strictness === "auto" ? "spec" : options.strictness;
  const reader = new TraceReader();
  let judge: RecordedJudge | undefined;
  const begin = (): RecordedJudge => new RecordedJudge({ profile: profileFor(options.profile, reader.head), strictness });
  const head = await eachEvent(path, reader, (event) => (judge ??= begin()).event(event));
  if (judge === undefined) throw new UsageError(`${nameOf(path)}: expected events behind the heading, got none: there is nothing to judge`);
  const verdict = judge.end();
  const judgement = judgementOf(verdict);
  const release = profileFor(options.profile, head).release;
  const line = verdict.at === undefined ? {} : { line: lineOf(verdict.at) };
  if (options.json === true)
    process.stdout.write(`${JSON.stringify({ trace: path, profile: release, strictness, ...verdict, verdict: judgement, ...line })}\n`);
  else process.stdout.write(`${report(verdict, `Linux ${release}, strictness ${strictness}`).join("\n")}\n`);
  return EXITS[judgement];
}

function report(verdict: Verdict, by: string): string[] {
  const { events, judgedEvents, candidates, at = judgedEvents } = verdict;
  const many = `${judgedEvents} of ${events} events judged by ${by}, at most ${candidates} candidates`;
  switch (judgementOf(verdict)) {
    case "legal":
      return [`legal: ${many}`];
    case "unknown":
      return [
        `UNKNOWN, neither legal nor illegal: ${many}; judging ended at line ${lineOf(at)}`,
        ...[verdict.limit, verdict.unspecified, verdict.unmodelled].filter((why) => why !== undefined).map((why) => `why: ${why}`),
        ...sides(verdict),
      ];
    case "illegal":
      return [
        `illegal: ${many}; no run of the model explains line ${lineOf(at)}`,
        at === 0 ? "legal so far: nothing" : `legal so far: lines 2 to ${lineOf(at) - 1}`,
        ...sides(verdict),
      ];
  }
}

/** What was seen, and what was allowed instead. */
export function sides({ seen, allowed = [], rules = [] }: Verdict): string[] {
  return [
    ...(seen === undefined ? [] : [`seen: ${seen}`]),
    ...allowed.map((one) => `allowed: ${one}`),
    ...(rules.length === 0 ? [] : [`rules: ${rules.join(", ")}`]),
  ];
}
