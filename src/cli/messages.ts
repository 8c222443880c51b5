// What the parent and a runner child say to each other: one JSON value a line. The settings go on the
// command line, jobs by stdin in batches, answers by descriptor 3, one for each program.
import type { FileProfile } from "../kernel.ts";
import type { Outcome, Strictness } from "../oracle/verdict.ts";
import type { Program } from "../program/program.ts";

export type Backend = "real" | "model";

export interface ChildSettings {
  readonly backend: Backend;
  /** Where the child makes its scratch directory; removed with everything in it when the parent is gone. */
  readonly directory: string;
  /** "auto": profile where the running kernel is verified, else spec. */
  readonly strictness: Strictness | "auto";
}

/** The model kernel that a program runs on, a new one each time. */
export interface ModelSettings {
  readonly seed: number;
  /** Where the ring's heads and tails start; left out: 0. */
  readonly counters?: number;
}

export interface Job {
  readonly id: number;
  readonly program: Program;
  /** Only with backend "model". */
  readonly model?: ModelSettings;
  readonly keepTrace?: boolean;
}

/** The kernel that a child runs on. */
export interface KernelFacts {
  readonly backend: Backend;
  readonly release: string;
  readonly file: Partial<FileProfile>;
  readonly strictness: Strictness;
}

export type FromChild =
  | { readonly ready: KernelFacts }
  | { readonly unavailable: readonly string[] }
  | { readonly done: number; readonly outcome: Outcome }
  /** The runner itself threw: a fault of ours, or something that is not modelled. */
  | { readonly done: number; readonly threw: string; readonly unmodelled: boolean }
  /** The program is about to enter the kernel with no bound; `note` is JSON of RiskNote. */
  | { readonly risk: number; readonly note: string }
  /** The kernel has returned, and the oracle searches: said once a second at most. */
  | { readonly searching: number };

/** Said by the oracle before a call that may never return. */
export interface RiskNote {
  /** The trace so far, as formatTrace prints it. */
  readonly trace: string;
  readonly modelSaysForever: boolean;
}

/** Descriptor of the child by which it answers. */
export const ANSWER_FD = 3;
/** Descriptor of the child that reads end-of-file once the parent is gone. */
export const LIFELINE_FD = 4;
