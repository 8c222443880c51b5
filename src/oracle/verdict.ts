// What the oracle says of a trace, and what came of running and judging one program.
import type { Exercise } from "../program/exercise.ts";
import type { Trace } from "../program/trace.ts";

/** spec: whatever the rules allow. profile: a verified kernel is also held to its exact orders. */
export type Strictness = "spec" | "profile";

/** How often each alternative of a choice point was taken by a kernel. */
export type Choices = Record<string, Record<string, number>>;

export interface Verdict {
  readonly verdict: "legal" | "illegal" | "unknown";
  /** Events of the trace, and how many of them were judged. */
  readonly events: number;
  readonly judgedEvents: number;
  /** unknown: which limit was reached. */
  readonly limit?: string;
  /** Judging stopped where the rules say nothing: why. */
  readonly unspecified?: string;
  /** Judging stopped where the model does not go yet: what. */
  readonly unmodelled?: string;
  /** illegal: the first event that no run of the model explains. */
  readonly at?: number;
  /** illegal: what was seen there, and what each surviving candidate allowed. */
  readonly seen?: string;
  readonly allowed?: readonly string[];
  /** illegal: rules that the model obeyed there, the most telling first (rules.ts). */
  readonly rules?: readonly string[];
  readonly choices: Choices;
  /** Largest number of candidates at once. */
  readonly candidates: number;
}

/** What came of one program on one kernel. Plain data: it crosses process borders as JSON. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly exercise: Exercise;
  /** Nanoseconds that the program was blocked in timers of the kernel. */
  readonly blockedNs: number;
  /** The process that ran it was lost: "crashed" with a signal, or "killed" by the watchdog where a wait had no bound. */
  readonly lost?: "killed" | "crashed" | "hung";
  /** Whether that is what the model says too ("would block for ever"). Only with `lost`. */
  readonly lostAsModelled?: boolean;
  /** Kept where the verdict is not legal, or where it was asked for; as formatTrace prints it. */
  readonly trace?: string;
}

export type { Trace };
