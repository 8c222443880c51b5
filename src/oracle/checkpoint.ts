// States that a search passed: where it fails, wider ones are first tried from a little before, then from further back,
// for what was chosen wrongly was mostly chosen there. What they find is a run like any other; what they do not find
// says nothing.
import type { Machine } from "../model/machine.ts";

/** Events from one to the next; more where nothing is under way, for there little can go wrong. */
const SPAN = 6;
const SPAN_QUIET = 32;
/** How many of them a search goes back, one after the other. */
const BACK: readonly number[] = [1, 4, 12];

export interface Passed {
  /** So many events were judged. */
  readonly judged: number;
  readonly states: readonly Machine[];
}

export class Checkpoints {
  private readonly passed: Passed[] = [];

  /** The search explains the first `judged` events, and goes on with these states. */
  pass(judged: number, states: readonly Machine[]): void {
    const last = this.passed.at(-1);
    const span = states.length === 1 && states[0]?.requests.size === 0 ? SPAN_QUIET : SPAN;
    if (last === undefined || judged >= last.judged + span) this.passed.push({ judged, states: states.map((m) => m.fork()) });
  }

  /** The search went back: what it passed after the first `judged` events was not the way. */
  forget(judged: number): void {
    while ((this.passed.at(-1)?.judged ?? 0) > judged) this.passed.pop();
  }

  get latest(): Passed | undefined {
    return this.passed.at(-1);
  }

  /** Where a search can start again, the latest first. */
  get places(): readonly Passed[] {
    return BACK.flatMap((back) => this.passed.at(-back) ?? []);
  }
}
