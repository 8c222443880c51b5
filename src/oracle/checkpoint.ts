// A state that a search passed: where it fails, a wider one is first tried from a little before, for what
// was chosen wrongly was mostly chosen there. What that finds is a run like any other; what it does not
// find says nothing.
import type { Machine } from "../model/machine.ts";

/** Events after which the next one replaces it. */
const SPAN = 6;

export class Checkpoint {
  private judged = 0;
  private passed: readonly Machine[] | undefined;

  /** The search explains the first `judged` events, and goes on with these states. */
  pass(judged: number, states: readonly Machine[]): void {
    if (this.passed !== undefined && judged < this.judged + SPAN) return;
    this.judged = judged;
    this.passed = states.map((m) => m.fork());
  }

  /** Where a search can start again; undefined where none came by. */
  get last(): { readonly judged: number; readonly states: readonly Machine[] } | undefined {
    return this.passed === undefined ? undefined : { judged: this.judged, states: this.passed };
  }
}
