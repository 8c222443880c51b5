// Runs a program on a kernel with the oracle following along, and sums up what came of it.
import type { Kernel } from "../kernel.ts";
import { exercised } from "../program/exercise.ts";
import { runProgram } from "../program/interpreter.ts";
import type { Program } from "../program/program.ts";
import { formatTrace, type EnterEvent, type TraceEvent } from "../program/trace.ts";
import { Checker } from "./checker.ts";
import { wouldBlock } from "./due.ts";
import type { Outcome, Strictness, Verdict } from "./verdict.ts";

export interface JudgeOptions {
  readonly strictness?: Strictness;
  /** Keep the trace of a legal run too. */
  readonly keepTrace?: boolean;
  /** Called before a wait without a bound: JSON of { trace, modelSaysForever }. */
  readonly onRisk?: (note: string) => void;
  /** Called before each event that is judged again, which may be thousands of times. */
  readonly onSearch?: () => void;
}

/** One program on one kernel, judged while it runs. */
export function runAndJudge(kernel: Kernel, program: Program, options: JudgeOptions = {}): Outcome {
  const { onRisk, onSearch } = options;
  const checker = new Checker({ profile: kernel.profile, onSearch, ...(options.strictness === undefined ? {} : { strictness: options.strictness }) });
  const report = runProgram(kernel, program, {
    observer: checker,
    ...(onRisk === undefined
      ? {}
      : { onRisk: (events, next) => onRisk(JSON.stringify({ trace: formatTrace({ version: 1, events }), modelSaysForever: blocksForever(checker, next) })) }),
  });
  const verdict = checker.end();
  const trace = verdict.verdict !== "legal" || options.keepTrace === true ? formatTrace({ version: 1, events: report.events }) : undefined;
  return {
    verdict,
    exercise: exercised(program, report.events),
    blockedNs: report.blockedNs,
    ...(trace === undefined ? {} : { trace }),
  };
}

/** Would this enter, which has not been called yet, never return in some state that the kernel may be in? */
function blocksForever(checker: Checker, next: EnterEvent): boolean {
  return checker.states.some((state) => wouldBlock(state, next));
}

/** Judges a trace that was recorded elsewhere. */
export function judgeTrace(events: readonly TraceEvent[], checker: Checker): Verdict {
  for (const event of events) checker.event(event);
  return checker.end();
}

