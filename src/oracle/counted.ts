// What the kernel was seen to choose, counted along a trace.
import { CHOICE_POINTS } from "../model/choices.ts";
import type { Survivor } from "./run.ts";
import type { Choices } from "./verdict.ts";

/** Shared by all verdicts, so that one costs little: hence frozen. */
const NEVER_TAKEN: Choices = Object.freeze(Object.fromEntries(
  Object.entries(CHOICE_POINTS).map(([point, alternatives]) => [point, Object.freeze(Object.fromEntries(alternatives.map((a) => [a, 0])))]),
));

export class Counted {
  private readonly counts: Choices = {};

  /** Counts the choices of a move: only where the trace leaves no doubt. */
  count(survivors: readonly Survivor[]): void {
    const [only] = survivors;
    if (only === undefined || survivors.length > 1) return;
    for (const { point, alternatives, index } of only.trail) {
      const counts = (this.counts[point] ??= {});
      const name = alternatives[index] ?? "?";
      const alternative = point === "fd.recycled" && name !== "none" ? "file" : name;
      counts[alternative] = (counts[alternative] ?? 0) + 1;
    }
  }

  /** Every alternative is in it, those that were never taken too. */
  choices(): Choices {
    const taken = Object.entries(this.counts);
    if (taken.length === 0) return NEVER_TAKEN;
    const all: Choices = { ...NEVER_TAKEN };
    for (const [point, counts] of taken) all[point] = { ...NEVER_TAKEN[point], ...counts };
    return all;
  }
}
