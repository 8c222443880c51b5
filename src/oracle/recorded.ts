// Judges a trace that somebody recorded, event by event. Other tools' traces need not look at the ring after
// every call, as our driver does, may end behind a call or inside one, and may be very long.
import { Unmodelled, WouldBlockForever } from "../kernel.ts";
import { enter } from "../model/enter.ts";
import type { Machine } from "../model/machine.ts";
import { Simulation } from "../model/simulate.ts";
import type { EnterEvent, TraceEvent } from "../program/trace.ts";
import { Checker, type CheckerOptions } from "./checker.ts";
import { callInstead, describe } from "./explain.ts";
import type { Verdict } from "./verdict.ts";

/** Events that are kept; a trace with more is judged so far. */
export const EVENTS_MAX = 1_000_000;

/** A wait that takes longer is taken for one without end. */
const ENDLESS_NS = 400_000_000n;

const CALLS: ReadonlySet<TraceEvent["event"]> = new Set(["enter", "register", "fdinfo", "system"]);

/** What this enter, which never returned, does in a state that the kernel may be in. */
function outcomeIn(state: Machine, call: EnterEvent): "blocks" | "returns" | "unmodelled" {
  const f = state.fork();
  f.scheduler = new Simulation();
  const begun = f.nowNs;
  try {
    enter(f, { toSubmit: call.toSubmit, minComplete: call.minComplete, flags: call.flags, arg: call.arg, index: call.index });
    return f.nowNs - begun > ENDLESS_NS ? "blocks" : "returns";
  } catch (error) {
    // [liveness.blocks]
    if (error instanceof WouldBlockForever) return "blocks";
    if (error instanceof Unmodelled) return "unmodelled";
    throw error;
  }
}

/** Follows one trace. What `verdict` says of events and `at` counts events of the trace. */
export class RecordedJudge {
  readonly #checker: Checker;
  readonly #eventsMax: number;
  #events = 0;
  /** A call that the checker has not judged yet: it does with the next event. */
  #held: { readonly call: TraceEvent; readonly at: number } | undefined;
  #unreturned: EnterEvent | undefined;
  #stopped: Verdict | undefined;

  constructor(options: CheckerOptions & { readonly eventsMax?: number }) {
    const { eventsMax = EVENTS_MAX, ...rest } = options;
    this.#checker = new Checker(rest);
    this.#eventsMax = eventsMax;
  }

  /** Every state that the kernel may be in. */
  get states(): readonly Machine[] {
    return this.#checker.states;
  }

  /** Judging goes on. What comes after it ended is counted only. */
  get going(): boolean {
    return this.#stopped === undefined;
  }

  event(event: TraceEvent): void {
    const index = this.#events++;
    if (this.#stopped !== undefined) return;
    if (index >= this.#eventsMax) {
      this.#flush();
      this.#stop({ verdict: "unknown", judgedEvents: index, limit: `the trace has more than ${this.#eventsMax} events` });
      return;
    }
    if (event.event !== "peek" && !this.#flush()) return;
    if (event.event === "enter" && event.result === undefined) {
      this.#unreturned = event;
      return;
    }
    this.#checker.event(event);
    this.#held = CALLS.has(event.event) ? { call: event, at: index } : undefined;
    this.#seeStop(index);
  }

  /** The trace ends here. */
  end(): Verdict {
    this.#flush();
    if (this.#stopped === undefined && this.#unreturned !== undefined) this.#judgeUnreturned(this.#unreturned);
    return { ...(this.#stopped ?? { ...this.#checker.verdict(), judgedEvents: this.#events }), events: this.#events };
  }

  /** A call with no look behind it is judged by itself; false where judging ended. */
  #flush(): boolean {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined || this.#stopped !== undefined) return this.#stopped === undefined;
    const { call, at } = held;
    // An event that does nothing.
    this.#checker.event({ event: "alloc", from: call.to, to: call.to, addr: 0n, size: 0 });
    const verdict = this.#checker.verdict();
    if (verdict.verdict === "legal") return true;
    if (verdict.at === undefined) this.#stop({ ...verdict, judgedEvents: at });
    else
      this.#stop({ ...verdict, at, judgedEvents: at, seen: describe(call), allowed: this.states.slice(0, 8).map((m) => callInstead(m, call)) });
    return false;
  }

  #seeStop(index: number): void {
    const verdict = this.#checker.verdict();
    if (verdict.verdict === "legal" && verdict.unspecified === undefined) return;
    this.#stop({ ...verdict, judgedEvents: index, ...(verdict.at === undefined ? {} : { at: index }) });
  }

  #stop(verdict: Omit<Verdict, "events" | "choices" | "candidates">): void {
    const { choices, candidates } = this.#checker.verdict();
    this.#stopped ??= { choices, candidates, ...verdict, events: this.#events };
  }

  #judgeUnreturned(call: EnterEvent): void {
    const at = this.#events - 1;
    const outcomes = this.states.map((state) => outcomeIn(state, call));
    if (outcomes.includes("blocks")) return;
    if (outcomes.includes("unmodelled")) this.#stop({ verdict: "unknown", judgedEvents: at, unmodelled: "an enter that never returned" });
    else
      this.#stop({
        verdict: "illegal",
        at,
        judgedEvents: at,
        seen: describe(call),
        allowed: this.states.slice(0, 8).map((m) => callInstead(m, call)),
      });
  }
}
