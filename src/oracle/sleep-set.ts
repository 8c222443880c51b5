// Steps that a run passed over are taken first in other runs: here they sleep until something happens that they
// depend on (sleep sets, Godefroid). So two steps that commute are tried in one order only.
import type { Machine } from "../model/machine.ts";
import { stepId, type Step } from "../model/steps.ts";
import { dependent, likeness } from "./dependence.ts";

export class SleepSet {
  readonly steps = new Map<number, Step>();

  /**
   * Steps that don't sleep: of requests that are alike in everything, the first. `everyTimer`: all timers; else the
   * one whose time came first, and those of `shown`, which shows next.
   */
  awake(m: Machine, steps: readonly Step[], everyTimer: boolean, shown: bigint | undefined): readonly Step[] {
    const awake = this.steps.size === 0 ? steps : steps.filter((s) => !this.steps.has(stepId(s)));
    if (awake.length < 2) return awake;
    const known = new Set<string>();
    const effects = awake.reduce((count, s) => count + (s.kind === "effect" ? 1 : 0), 0);
    const first = everyTimer ? undefined : awake.find((s) => s.kind === "expire");
    return awake.filter((s) => {
      if (s.kind === "expire") return first === undefined || s === first || m.request(s.request).userData === shown;
      if (s.kind !== "effect" || effects < 2) return true;
      const name = likeness(m, m.request(s.request));
      return !known.has(name) && known.add(name);
    });
  }

  /** `taken` is about to be taken, and `passed` was passed over. */
  put(m: Machine, passed: readonly Step[], taken: Step): void {
    for (const s of passed) this.steps.set(stepId(s), s);
    for (const [name, s] of this.steps) if (dependent(m, s, taken)) this.steps.delete(name);
  }
}
