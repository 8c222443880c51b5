// A state that a search passed: where it fails, a wider one is first tried from a little before, for what
// was chosen wrongly was mostly chosen there. What that finds is a run like any other; what it does not
// find says nothing.
import type { Machine } from "../model/machine.ts";

/** Events after which the next one replaces it; more where nothing is under way, for there little can go wrong. */
const SPAN = 6;
const SPAN_QUIET = 24;

export class Checkpoint {
  private judged = 0;
  private passed: readonly Machine[] | undefined;

  /** The search explains the first `judged` events, and goes on with these states. */
  pass(judged: number, states: readonly Machine[]): void {
    if (this.passed !== undefined && judged < this.judged + SPAN) return;
    if (this.passed !== undefined && judged < this.judged + SPAN_QUIET && states.length === 1 && states[0]?.requests.size === 0) return;
    this.judged = judged;
    this.passed = states.map((m) => m.fork());
  }

  /** Where a search can start again; undefined where none came by. */
  get last(): { readonly judged: number; readonly states: readonly Machine[] } | undefined {
    return this.passed === undefined ? undefined : { judged: this.judged, states: this.passed };
  }
}
