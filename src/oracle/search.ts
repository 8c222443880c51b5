// How hard the checker looks for a run that explains a trace: the searches it tries one after the other.
import type { Effort } from "./trail.ts";

export interface Search {
  /** Which of the kernel's own steps are tried, and where. */
  readonly effort: Effort;
  /** Runs tried for one candidate and one event before the search goes on with those that survived so far. */
  readonly enough: number;
  /** Runs tried for one candidate and one event in any case. */
  readonly most: number;
  /** Runs tried for the whole trace, those aside where there was one way only; one with many requests counts as several. */
  readonly budget: number;
  /** Candidates that it goes on with. */
  readonly beam: number;
  /** Runs with the fewest turns away from the first are tried first; else those that turned away the earliest. */
  readonly wide?: boolean;
  /** What goes to the backlog is what the rest of the trace shows of it, in its order: nothing is left for later. */
  readonly follow?: boolean;
}

export const SEARCHES: readonly [Search, ...Search[]] = [
  { effort: 0, enough: 12, most: 150, budget: 300, beam: 8 },
  { effort: 1, enough: 60, most: 300, budget: 400, beam: 24, follow: true },
  { effort: 2, enough: 400, most: 500, budget: 800, beam: 32 },
];

/** Only for who has the time: some seconds for one trace. */
export const PATIENT: readonly Search[] = [{ effort: 2, enough: 6000, most: 12_000, budget: 24_000, beam: 192 }];

/** Searches from a checkpoint a little before the failure (checkpoint.ts). */
export const NEARBY: readonly Search[] = [
  { effort: 1, enough: 30, most: 100, budget: 80, beam: 8, wide: true, follow: true },
  { effort: 2, enough: 60, most: 150, budget: 150, beam: 12, wide: true, follow: true },
];
