// The outcome of a program whose process was lost. A wait that the model says would never end, and that
// the watchdog had to end, is agreement; everything else that loses a process is a divergence.
import type { Outcome } from "../oracle/verdict.ts";
import type { Job, RiskNote } from "./messages.ts";
import type { Loss } from "./runner.ts";

function readNote(note: string | undefined): RiskNote | undefined {
  if (note === undefined) return undefined;
  const read = JSON.parse(note) as RiskNote; // the oracle wrote it
  return { trace: typeof read.trace === "string" ? read.trace : JSON.stringify(read.trace), modelSaysForever: read.modelSaysForever === true };
}

export function lostOutcome(job: Job, loss: Loss): Outcome {
  const note = readNote(loss.note);
  const lost = loss.by === "itself" ? "crashed" : note === undefined ? "hung" : "killed";
  const asModelled = lost === "killed" && note?.modelSaysForever === true;
  // A trace has one line of heading.
  const events = note === undefined ? 0 : note.trace.trimEnd().split("\n").length - 1;
  const seen = {
    crashed: `the process that ran the program was lost: ${loss.words}`,
    hung: `no progress for ${Math.round(loss.silentMs)} ms, outside a wait without bound: ${loss.words}`,
    killed: `io_uring_enter did not return within ${Math.round(loss.silentMs)} ms`,
  }[lost];
  const allowed = lost === "killed" ? ["io_uring_enter returns"] : ["the program comes to its end"];
  return {
    verdict: {
      verdict: asModelled ? "legal" : "illegal",
      events,
      judgedEvents: asModelled ? events : Math.max(0, events - 1),
      ...(asModelled ? {} : { at: events, seen, allowed, rules: [] }),
      choices: {},
      candidates: 0,
    },
    exercise: { operations: job.program.ops.length, opcodes: {}, wraps: 0, overflows: 0, chains: 0, drains: 0, cancels: 0, readings: 0, registered: {}, registerRefused: {}, entered: {} },
    blockedNs: loss.by === "watchdog" ? Math.round(loss.silentMs * 1e6) : 0,
    lost,
    lostAsModelled: asModelled,
    ...(note === undefined ? {} : { trace: note.trace }),
  };
}

/** The outcome of a program on which the runner itself threw. */
export function threwOutcome(job: Job, threw: string, unmodelled: boolean): Outcome {
  const first = threw.split("\n")[0] ?? threw;
  return {
    verdict: {
      verdict: unmodelled ? "unknown" : "illegal",
      events: 0,
      judgedEvents: 0,
      ...(unmodelled ? { unmodelled: first } : { at: 0, seen: `the runner threw: ${threw}`, allowed: ["nothing is thrown"], rules: [] }),
      choices: {},
      candidates: 0,
    },
    exercise: { operations: job.program.ops.length, opcodes: {}, wraps: 0, overflows: 0, chains: 0, drains: 0, cancels: 0, readings: 0, registered: {}, registerRefused: {}, entered: {} },
    blockedNs: 0,
  };
}
