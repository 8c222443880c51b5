// The checker: walks the model along a trace, event by event, while it comes in. It holds states that
// the kernel can be in by what was seen: one run that explains the trace makes it legal. Where none is
// left, the search begins anew from the first event, wider each time; the last one tries every step at
// every place, and where it left nothing out, the trace is illegal.
import { Unmodelled, type KernelProfile } from "../kernel.ts";
import { WORD } from "../model/layout.ts";
import { Machine, NOT_THIS_RUN } from "../model/machine.ts";
import { Simulation } from "../model/simulate.ts";
import { hasPollThread } from "../model/sqpoll.ts";
import { defersTaskWork } from "../model/task-work.ts";
import type { Observer, PeekEvent, TraceEvent } from "../program/trace.ts";
import { applyAlloc, applyLook, applyMemory, applyPeek, applySetup, applyStore, expectedCqes, holds, isTimed, shows } from "./apply.ts";
import { type Call, makeCall, ranIntoWatchdog } from "./call.ts";
import { Checkpoints } from "./checkpoint.ts";
import { Counted } from "./counted.ts";
import { dueIfKnown, isOverdue } from "./due.ts";
import { Foresight } from "./foresight.ts";
import { allowedInstead, callInstead, describe } from "./explain.ts";
import { Guided } from "./guided.ts";
import { Looked } from "./looked.ts";
import { isQuiet } from "./quiet.ts";
import { neverShown } from "./never.ts";
import { runs, survives, type Survivor } from "./run.ts";
import { NEARBY, PATIENT, SEARCHES, type Search } from "./search.ts";
import { distinct, narrow } from "./survivors.ts";
import type { Strictness, Verdict } from "./verdict.ts";

type Stopped = Partial<Verdict> & { readonly verdict: Verdict["verdict"] };

/** Candidates that a search goes on with once it has spent its budget. */
const SPENT_BEAM = 4;
/** Budgets that a search which starts again has for rings that take more: with a thread that polls, and where task work waits for a call. */
const PATIENCE = { sqpoll: 12, defer: 6 };
/** So many budgets are far too much. */
const OVERSPENT = 3;

export interface CheckerOptions {
  readonly profile: KernelProfile;
  readonly strictness?: Strictness;
  /** false: the first search's word is the last (rules.ts). */
  readonly retries?: boolean;
  /** Takes the time to try what a campaign leaves out: fewer verdicts are unknown. */
  readonly patient?: boolean;
  /** Called before each event that is judged again: the kernel has returned, and the search takes its time. */
  readonly onSearch?: (() => void) | undefined;
}

export class Checker implements Observer {
  private readonly options: CheckerOptions;
  private readonly profile: KernelProfile;
  private readonly events: TraceEvent[] = [];
  private candidates: Machine[];
  /** A call whose peek has not come yet. */
  private held: Call | undefined;
  /** Which of the searches this is. */
  private attempt = 0;
  private search: Search = SEARCHES[0];
  /** What this search has spent, where there was more than one way. */
  private spent = 0;
  /** This search left something out: what it does not find may be there. */
  private narrowed = false;
  private judged = 0;
  private largest = 1;
  private stopped: Stopped | undefined;
  private readonly counted = new Counted();
  private readonly checkpoints = new Checkpoints();
  private readonly looked = new Looked();
  /** For what comes before there is a ring. */
  private plain: Guided | undefined;
  /** The event that the move under way began with: a call before its look. */
  private begun = 0;
  /** Judges an event for the first time, and not again what it had judged. */
  private live = true;
  /** So many events had come when there was last more than one way: from there on it can come back to where it was by itself. */
  private branched = 0;
  /** Comes back to where it was. */
  private restoring = false;
  /** What a search that starts again knows of the events that the one before it came to. */
  private foresight: Foresight | undefined;
  /** The event that is judged. */
  private at = 0;

  constructor(options: CheckerOptions) {
    const { profile, strictness = "profile" } = (this.options = options);
    this.profile = strictness === "profile" ? profile : { ...profile, file: { readInline: undefined, writeInline: undefined } };
    this.candidates = [this.fresh()];
  }

  private fresh(): Machine {
    return new Machine({ profile: this.profile, scheduler: new Simulation() });
  }

  /** Every state that the kernel may be in. */
  get states(): readonly Machine[] {
    return this.candidates;
  }

  event(event: TraceEvent): void {
    this.at = this.events.push(event) - 1;
    if (this.stopped === undefined) this.judge(event);
  }

  private judge(event: TraceEvent): void {
    const fault = this.looked.fault(event);
    if (fault !== undefined) return this.reject(event, fault);
    try {
      if (!this.step(event)) {
        const never = neverShown(this.events);
        if (never !== undefined || !(this.options.retries !== false && (this.retryNearby() || this.retry()))) return this.reject(event, never);
      }
      this.judged++;
      if (event.event === "peek") this.checkpoints.pass(this.events.length, this.candidates);
    } catch (error) {
      if (!(error instanceof Unmodelled)) throw error;
      this.stopped = { verdict: "unknown", unmodelled: error.message };
    }
  }

  /** Judges one event; false where no candidate explains it. */
  private step(event: TraceEvent): boolean {
    if (this.live) this.begun = this.events.length - (this.held === undefined ? 1 : 2);
    if (event.event === "peek") {
      const call = this.held;
      this.held = undefined;
      return this.window(call, event);
    }
    if (this.held !== undefined) {
      const call = this.held;
      this.held = undefined;
      if (!this.advance(undefined, (m, guide) => makeCall(m, guide, call, call.to))) return false;
      if (this.live) this.begun++;
    }
    switch (event.event) {
      case "enter":
      case "register":
      case "fdinfo":
        this.held = event;
        return true;
      case "system":
        if (!this.candidates.some((m) => m.hasRing)) return this.beforeRing((m, guide) => makeCall(m, guide, event, event.to));
        this.held = event;
        return true;
      case "setup":
        return this.beforeRing((m) => applySetup(m, event));
      case "look":
        if (this.candidates.every((m) => m.hasRing && isQuiet(m) && holds(m, event))) return true;
        return this.advance(undefined, (m) => applyLook(m, event));
      case "alloc":
        for (const m of this.candidates) applyAlloc(m, event.addr, event.size);
        return true;
      case "memory":
        for (const m of this.candidates) applyMemory(m, event);
        return true;
      case "store":
        if (this.search.effort === 2 && isTimed(event) && this.mayHaveMoved(event.from))
          return this.advance(undefined, (m, guide) => {
            guide.begin(m);
            applyStore(m, event);
          });
        if (event.region === "ring" && event.at === WORD.sqTail && this.candidates.some(hasPollThread))
          return this.advance(undefined, (m, guide) => {
            if (event.from > m.untilNs) m.untilNs = event.from;
            guide.beforeTail(m);
            applyStore(m, event);
          });
        for (const m of this.candidates) applyStore(m, event);
        return true;
    }
  }

  /** What came since the last look came before a store that is told apart; a timer may have fired up to this moment. */
  private mayHaveMoved(untilNs: bigint): boolean {
    const rings = this.candidates.filter((m) => m.hasRing);
    for (const m of rings) if (untilNs > m.untilNs) m.untilNs = untilNs;
    return rings.some((m) => !isQuiet(m));
  }

  /** A call, if there was one, and the loads after it, judged together: what they show guides the run. */
  private window(call: Call | undefined, peek: PeekEvent): boolean {
    if (call === undefined && this.stillStands(peek)) return true;
    const resized = call?.event === "register" ? call.filled?.cqEntries : undefined;
    return this.advance(peek, (m, guide) => {
      if (peek.to > m.untilNs) m.untilNs = peek.to;
      if (call !== undefined) makeCall(m, guide, call, peek.to);
      applyPeek(m, guide, peek);
      m.nowNs = peek.from;
      if (call !== undefined && ranIntoWatchdog(m, call) && isOverdue(m)) throw NOT_THIS_RUN;
      m.atTimeout = undefined;
    }, resized);
  }

  /** Nothing is under way in any candidate, and each shows what this peek saw: most peeks are so, and no run is needed. */
  private stillStands(peek: PeekEvent): boolean {
    for (const m of this.candidates) {
      if (peek.to > m.untilNs) m.untilNs = peek.to;
      if (!m.hasRing || !isQuiet(m) || !shows(m, peek)) return false;
    }
    for (const m of this.candidates) m.nowNs = peek.from;
    return true;
  }

  /** Every candidate moves; false where none survives. */
  private advance(peek: PeekEvent | undefined, move: (m: Machine, guide: Guided) => void, cqEntries?: number): boolean {
    if (this.straight(peek, move, cqEntries)) return true;
    const { search } = this;
    const ahead = this.foresight?.from(this.at);
    const survivors: Survivor[] = [];
    for (const candidate of this.candidates) {
      const expected = peek === undefined || !candidate.hasRing ? undefined : expectedCqes(candidate, peek, cqEntries);
      // A run with many requests is longer, and each of its steps looks at all of them.
      const cost = (1 + (candidate.requests.size / 24) ** 2) / this.patience(candidate);
      const { survivors: found, incomplete, tried } = runs(candidate, expected, search, move, (search.budget - this.spent) / cost, ahead);
      for (const survivor of found) survivors.push(survivor);
      if (tried > 1) this.spent += tried * cost;
      this.narrowed ||= incomplete;
      if (this.live && tried > 1) this.branched = this.events.length;
    }
    const all = distinct(survivors);
    const beam = this.spent < search.budget ? search.beam : SPENT_BEAM;
    if (all.length > beam) this.narrowed = true;
    const kept = narrow(all, beam);
    if (kept.length === 0) return false;
    this.largest = Math.max(this.largest, kept.length);
    if (!this.restoring) this.counted.count(kept);
    this.candidates = kept.map((s) => s.machine);
    return true;
  }

  /** What a ring's own thread did, or a list that waited for the next call, shows late: a search that starts again gets more. */
  private patience(m: Machine): number {
    if (this.foresight === undefined || this.options.patient || !m.hasRing) return 1;
    if (hasPollThread(m)) return PATIENCE.sqpoll;
    return defersTaskWork(m) ? PATIENCE.defer : 1;
  }

  /** Where there is no ring yet there is one way to go, and none back: what does not fit is illegal. */
  private beforeRing(move: (m: Machine, guide: Guided) => void): boolean {
    const guide = (this.plain ??= new Guided([], undefined, this.search.effort));
    return this.candidates.every((m) => {
      m.scheduler = guide;
      return survives(m, guide, move);
    });
  }

  /**
   * One candidate with nothing under way mostly has one way to go: it goes there itself, with no copy of it made. Where that
   * turns out to be wrong, or one of several ways, it is brought back to where it was, and false.
   */
  private straight(peek: PeekEvent | undefined, move: (m: Machine, guide: Guided) => void, cqEntries?: number): boolean {
    const [candidate, another] = this.candidates;
    const from = this.checkpoints.latest;
    if (!this.live || another !== undefined || candidate === undefined || from === undefined) return false;
    if (from.judged < this.branched || !(candidate.requests.size === 0 || isQuiet(candidate))) return false;
    const guide = new Guided([], peek === undefined ? undefined : expectedCqes(candidate, peek, cqEntries), this.search.effort);
    candidate.scheduler = guide;
    if (survives(candidate, guide, move) && guide.trail.length === 0) return true;
    this.restoring = true;
    this.candidates = from.states.map((m) => m.fork());
    const { spent } = this;
    if (!this.repeat(from.judged, this.begun)) throw new Error("oracle: one way to go, and it is not found again");
    this.spent = spent;
    this.restoring = false;
    return false;
  }

  /** A wider search from a checkpoint; the search that failed goes on with what that finds. */
  private retryNearby(): boolean {
    if (this.attempt > 0) return false;
    const { search, spent, narrowed, candidates } = this;
    this.foresight = new Foresight(this.events);
    const found = this.checkpoints.places.some((from) =>
      NEARBY.some((wider) => {
        this.search = wider;
        this.spent = 0;
        this.held = undefined;
        this.candidates = from.states.map((m) => m.fork());
        if (!this.repeat(from.judged)) return false;
        this.checkpoints.forget(from.judged);
        return true;
      }),
    );
    this.foresight = undefined;
    this.search = search;
    this.spent = spent;
    this.branched = this.events.length;
    if (found) return true;
    this.narrowed = narrowed;
    this.candidates = candidates;
    return false;
  }

  /** Before a trace is rejected, it is judged from the beginning by wider searches. */
  private retry(): boolean {
    if (!this.candidates.some((m) => m.hasRing)) return false;
    for (const wider of [...SEARCHES.slice(1), ...(this.options.patient ? PATIENT : [])].slice(this.attempt)) {
      // Where a search spent all it had, one that tries more would not come to an end: the second, or the first by far.
      const { budget } = this.search;
      if (!this.options.patient && this.spent >= (this.attempt > 0 ? budget : OVERSPENT * budget)) return false;
      // The search that failed left nothing out: another one won't find more.
      if (this.search.effort === 2 && !this.narrowed) return false;
      const before = this.candidates;
      this.attempt++;
      this.search = wider;
      this.spent = 0;
      this.narrowed = wider.follow === true;
      this.held = undefined;
      this.plain = undefined;
      this.candidates = [this.fresh()];
      this.foresight = new Foresight(this.events);
      this.branched = this.events.length;
      const found = this.repeat(0);
      this.foresight = undefined;
      if (found) return true;
      if (this.candidates.every((m) => !m.hasRing)) this.candidates = before;
    }
    return false;
  }

  private repeat(first: number, end = this.events.length): boolean {
    const { live } = this;
    this.live = false;
    const explained = this.events.slice(first, end).every((event, i) => {
      this.at = first + i;
      this.options.onSearch?.();
      return this.step(event);
    });
    this.live = live;
    return explained;
  }

  /** No candidate explains the event: illegal, where every run was tried. `fault`: there is nothing to try. */
  private reject(event: TraceEvent, fault?: string): void {
    const at = this.events.length - 1;
    const call = this.events[at - 1];
    const unsure = this.narrowed && fault === undefined;
    const seen = event.event === "peek" && call !== undefined && call.event !== "peek" ? `${describe(call)}, then ${describe(event)}` : describe(event);
    this.stopped = {
      verdict: unsure ? "unknown" : "illegal",
      ...(unsure ? { limit: "no run was found, but not all of them were tried" } : {}),
      at,
      seen: fault === undefined ? seen : `${seen}: ${fault}`,
      allowed: this.candidates.slice(0, 8).map((m) => allowedInstead(m, event, call)),
    };
  }

  due(horizonNs: bigint): number {
    if (this.stopped !== undefined) return 0;
    let least = Number.POSITIVE_INFINITY;
    for (const m of this.candidates.slice(0, 4)) least = Math.min(least, dueIfKnown(m, horizonNs));
    return Number.isFinite(least) ? least : 0;
  }

  pending(): number {
    if (this.stopped !== undefined) return 0;
    const open = (m: Machine): number => [...m.requests.values()].filter((r) => r.state !== "done").length;
    return Math.max(...this.candidates.map(open));
  }

  /** Nothing more comes: a call that nobody looked after is judged by what it returned. */
  end(): Verdict {
    const call = this.held;
    if (call !== undefined && this.stopped === undefined) {
      // An event that does nothing.
      this.event({ event: "alloc", from: call.to, to: call.to, addr: 0n, size: 0 });
      this.events.pop();
      this.judged = Math.min(this.judged, this.events.length);
      if (this.stopped !== undefined) this.stopped = this.blamed(this.stopped, call);
    }
    return this.verdict();
  }

  /** What was found wrong behind a call is the call's. */
  private blamed(stopped: Stopped, call: Call): Stopped {
    const at = this.events.length - 1;
    return { ...stopped, at, seen: describe(call), allowed: this.candidates.slice(0, 8).map((m) => callInstead(m, call)) };
  }

  /** So far. */
  verdict(): Verdict {
    return {
      verdict: "legal",
      events: this.events.length,
      judgedEvents: this.judged,
      choices: this.counted.choices(),
      candidates: this.largest,
      ...this.stopped,
    };
  }

  /** The events so far. */
  get trace(): readonly TraceEvent[] {
    return this.events;
  }
}
