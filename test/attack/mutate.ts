// The mutator: takes a decoded trace and changes one thing that the kernel did, or that was seen of it. What the
// application did (stores, arguments of calls) stays, but for cq.head where completions go or come: an application
// takes out what it saw. Whether the change means anything is meaning.ts's business, and not the oracle's.
import type { TraceEvent } from "../../src/program/trace.ts";
import { flags, res, userData } from "./completion.ts";
import { Draw } from "./draw.ts";
import { fdinfo } from "./fdinfo.ts";
import { doubled, hidden, missing, order, repeated } from "./queue.ts";
import { memory, result, word } from "./seen.ts";

/** One trace with one change in it. */
export interface Change {
  /** The event that was changed first, by its number in the trace that was given. */
  readonly at: number;
  /** What was changed there, such as "cqes.0.res: 0 is now -22". */
  readonly what: string;
  readonly events: readonly TraceEvent[];
}

/** undefined: the trace has no place for this kind of change. */
export type Mutator = (events: readonly TraceEvent[], draw: Draw) => Change | undefined;

const MUTATORS = {
  /** Another result in a completion. */
  res,
  /** One bit of a completion's flags. */
  flags,
  /** Another user_data in a completion: that of another one, or one that nobody gave. */
  "user-data": userData,
  /** Two completions in each other's place. */
  order,
  /** A completion that was never posted: the tail is behind by one from there on. */
  missing,
  /** A completion that was posted twice: the tail is ahead by one from there on. */
  doubled,
  /** A completion that a look left out though the tail counts it. The trace reader refuses it. */
  hidden,
  /** A completion that a look shows twice though the tail counts it once. The trace reader refuses it. */
  repeated,
  /** What a call returned: io_uring_setup, io_uring_enter, io_uring_register or an ordinary one. */
  result,
  /** A loaded word of the ring: head, tail, mask, flags, dropped, overflow. */
  word,
  /** A byte that was loaded from memory or read from a file, pipe or eventfd. */
  memory,
  /** A number that procfs showed of the ring. */
  fdinfo,
} satisfies Record<string, Mutator>;

export type MutationClass = keyof typeof MUTATORS;

export const MUTATION_CLASSES = Object.keys(MUTATORS) as readonly MutationClass[]; // the keys are written above

/** A trace with one change of this kind in it, the same for the same seed; undefined where it has no place for one. */
export function mutate(events: readonly TraceEvent[], kind: MutationClass, seed: number): Change | undefined {
  return MUTATORS[kind](events, new Draw(seed));
}
