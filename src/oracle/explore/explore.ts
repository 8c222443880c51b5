// Explores a program: every state that the model can come to, by every order of the application's calls and the
// kernel's own steps and by every choice of the kernel within them; depth first, each state once.
import { Unmodelled, type KernelProfile } from "../../kernel.ts";
import type { Machine } from "../../model/machine.ts";
import { enabled, stepId, type Step } from "../../model/steps.ts";
import type { Program } from "../../program/program.ts";
import { Action } from "./application.ts";
import { begins, isOver } from "./stages.ts";
import { mayReadEarly, ordinaryCall, readEarly } from "./calls.ts";
import { Chooser, SEEN_BEFORE, TOO_LONG, type Reached } from "./chooser.ts";
import { Lines, listed } from "./history.ts";
import { Invariants, type Breach } from "./invariants.ts";
import { LOOK_BYTES, lookedAt, outcomeText, type ProgramOutcome } from "./outcome.ts";
import { prelude, type Prelude } from "./prelude.ts";
import { asleepAfter, NOBODY, onlyEnds, type Asleep } from "./reduction.ts";
import { lookLine } from "./seen-text.ts";
import { Known } from "./known.ts";
import type { State } from "./state.ts";
import { StateHash } from "./state-hash.ts";

export interface ExploreOptions {
  readonly profile: KernelProfile;
  /** States at most; reached: `complete` is false. */
  readonly statesMax: number;
  /** The program ends within this: timers that take longer don't fire, waits that take longer don't end by their time. */
  readonly untilNs?: bigint;
  /** false: nothing is left out that comes to what is tried anyway. The outcomes are the same, and it takes far longer. */
  readonly reduce?: boolean;
  /** Called with each new state between two actions. */
  readonly onState?: (state: State, prelude: Prelude) => void;
}

export interface Exploration {
  readonly program: Program;
  /** Different states: those between two actions, and those inside calls at which the kernel's own steps may come. */
  readonly states: number;
  /** Times that a state was come to, whether or not it was new. */
  readonly visits: number;
  readonly transitions: number;
  /** Each different one once, in the order in which they were found. */
  readonly outcomes: readonly ProgramOutcome[];
  /** Each invariant that was broken, with the first state that broke it. */
  readonly breaches: readonly Breach[];
  /** False: a limit was reached, and there may be more. */
  readonly complete: boolean;
  /** Runs that went round for ever, and were given up. */
  readonly endless: number;
  /** What the model has not, where a run came to it. */
  readonly unmodelled: readonly string[];
  readonly reached: Reached;
  readonly checked: Readonly<Record<string, number>>;
}

/** Long enough for the timers of programs, and for any call. */
export const UNTIL_NS = 1_000_000_000n;

/** Throws Unmodelled where the ring is of a kind that the model has not. */
export function explore(program: Program, options: ExploreOptions): Exploration {
  return new Explorer(program, options).run();
}

class Explorer {
  private readonly p: Prelude;
  private readonly statesMax: number;
  private readonly drains: boolean;
  private readonly reduces: boolean;
  private readonly onState: ExploreOptions["onState"];
  private readonly lines = new Lines();
  private readonly hash = new StateHash();
  private readonly known = new Known(this.hash);
  /** Places inside the calls of the transition that is being tried, by 53 bits: there are at most some thousands. */
  private readonly inside = new Set<number>();
  private readonly stack: (State & { readonly only?: ReadonlySet<number> })[] = [];
  private readonly outcomes = new Map<string, ProgramOutcome>();
  private readonly breaches = new Map<string, Breach>();
  private readonly reached: Reached = new Map();
  private readonly unmodelled = new Set<string>();
  private readonly invariants: Invariants;
  private readonly chooser: Chooser;
  /** Operations that were left out before the transition that is being tried. */
  private left: readonly number[] = [];
  private states = 0;
  private visits = 0;
  private transitions = 0;
  private endless = 0;
  private complete = true;

  constructor(program: Program, options: ExploreOptions) {
    this.statesMax = options.statesMax;
    this.reduces = options.reduce ?? true;
    this.onState = options.onState;
    this.p = prelude(program, { profile: options.profile, untilNs: options.untilNs ?? UNTIL_NS });
    this.invariants = new Invariants(this.p);
    this.drains = JSON.stringify(program.ops).includes('"IO_DRAIN"');
    const timed = JSON.stringify(program.ops).includes("TIMEOUT");
    this.chooser = new Chooser({
      lines: this.lines, opens: this.p.opens, timed, reached: this.reached, reduces: this.reduces,
      inside: (m, place, chooser) => this.isNewInside(m, place, chooser),
    });
  }

  run(): Exploration {
    const { p } = this;
    if (p.refused === undefined) this.explore();
    else this.outcomes.set("", { calls: [`setup ${p.refused}`], completions: [], looks: [] });
    return {
      program: p.program, states: this.states, visits: this.visits, transitions: this.transitions, outcomes: [...this.outcomes.values()], breaches: [...this.breaches.values()],
      complete: this.complete && this.endless === 0 && this.unmodelled.size === 0, endless: this.endless, unmodelled: [...this.unmodelled],
      reached: this.reached, checked: this.invariants.counts,
    };
  }

  private explore(): void {
    const { p, lines, chooser } = this;
    const machine = p.machine;
    chooser.begin([], lines.empty, []);
    const first = new Action(p, lines, machine, chooser, { app: begins(p), calls: lines.add(lines.empty, "setup 0"), due: undefined });
    first.quiet();
    this.found({ m: machine, app: first.app, calls: first.calls, seen: lines.empty, opened: [], asleep: NOBODY, due: first.known, end: undefined });
    for (let state = this.stack.pop(); state !== undefined; state = this.stack.pop()) {
      if (this.states >= this.statesMax) {
        this.complete = false;
        return;
      }
      this.expand(state);
    }
  }

  private found(state: State): void {
    this.visits++;
    const come = this.known.come(state);
    if (come !== "new") {
      if (come.length > 0) this.stack.push({ ...state, only: new Set(come) });
      return;
    }
    this.states++;
    this.onState?.(state, this.p);
    this.broken(this.invariants.check(state));
    if (state.end !== undefined || isOver(this.p, state.app)) this.outcome(state);
    else this.stack.push(state);
  }

  private broken(breaches: readonly Breach[]): void {
    for (const breach of breaches) if (!this.breaches.has(breach.invariant)) this.breaches.set(breach.invariant, breach);
  }

  private isNewInside(m: Machine, place: number, chooser: Chooser): boolean {
    const { hash } = this;
    this.visits++;
    hash.begin().list([place, chooser.seen.id]);
    hash.machine(m);
    if (this.inside.has(hash.high)) return false;
    this.inside.add(hash.high);
    this.states++;
    this.broken(this.invariants.checkInside(m, chooser.seen, this.left));
    return true;
  }

  /** Everything that can come next: a step of the kernel's, or the application's next action. */
  private expand(state: State & { readonly only?: ReadonlySet<number> }): void {
    const { p, lines, chooser } = this;
    const before: Step[] = [];
    for (const step of enabled(state.m)) {
      if (state.asleep.has(stepId(step))) continue;
      if (state.only === undefined || state.only.has(stepId(step))) this.step(state, step, this.reduces ? asleepAfter(state.m, state.asleep, before, step) : NOBODY);
      before.push(step);
    }
    if (state.only !== undefined) return;
    const first = new Action(p, lines, state.m, chooser, state);
    if (first.waitsFirst) return;
    const from = { ...state, due: first.known };
    this.tries(state, (m) => {
      const action = new Action(p, lines, m, chooser, from);
      action.run();
      return { m, app: action.app, calls: action.calls, seen: chooser.seen, opened: chooser.opened, asleep: NOBODY, due: action.known, end: action.end };
    });
  }

  private step(state: State, step: Step, asleep: Asleep): void {
    const { chooser } = this;
    const { app, calls } = state;
    chooser.note("order.step", step.kind);
    this.tries(state, (m) => {
      chooser.take(m, step);
      // Where others came in between, any of them may tell the sleepers apart.
      const sleepers = chooser.steps > 1 ? NOBODY : asleep;
      if (this.reduces && onlyEnds(m, this.drains)) chooser.takeUndisturbed(m);
      return { m, app, calls, seen: chooser.seen, opened: chooser.opened, asleep: sleepers, due: undefined, end: undefined };
    });
  }

  /** One move with every script of choices. */
  private tries(from: State, move: (m: Machine) => State): void {
    const { chooser } = this;
    let script: number[] | undefined = [];
    this.inside.clear();
    this.left = from.app.left;
    while (script !== undefined) {
      const m = from.m.fork();
      m.scheduler = chooser;
      chooser.begin(script, from.seen, from.opened);
      this.transitions++;
      const next = this.attempt(m, from, move);
      if (next !== undefined) this.found(next);
      script = chooser.nextScript();
      if (this.states >= this.statesMax) {
        this.complete &&= script === undefined;
        return;
      }
    }
  }

  private attempt(m: Machine, from: State, move: (m: Machine) => State): State | undefined {
    try {
      return move(m);
    } catch (error) {
      if (error === SEEN_BEFORE) return undefined;
      if (error === TOO_LONG) {
        this.endless++;
        return undefined;
      }
      if (!(error instanceof Unmodelled)) throw error;
      this.unmodelled.add(error.message);
      return { m, app: from.app, calls: from.calls, seen: this.chooser.seen, opened: [], asleep: NOBODY, due: undefined, end: error.message };
    }
  }

  private outcome({ m, calls, seen, end }: State): void {
    const shows = end === undefined && this.p.buffers.length + this.p.fds.size > 0;
    // The eventfd may be read before its last signal, or behind it.
    const early = shows && [...this.p.fds.values()].some((fd) => mayReadEarly(m, fd));
    for (const before of early ? [false, true] : [false]) {
      const looks = shows ? this.looks(m.fork(), before) : [];
      const outcome = { calls: listed(calls), completions: listed(seen), looks, ...(end === undefined ? {} : { end }) };
      const text = outcomeText(outcome);
      if (!this.outcomes.has(text)) this.outcomes.set(text, outcome);
    }
  }

  /** As the interpreter looks at everything when a program has ended. */
  private looks(m: Machine, early: boolean): string[] {
    const { buffers, fds } = this.p;
    this.chooser.begin([], this.lines.empty, []);
    m.scheduler = this.chooser;
    const looks = buffers.map(({ addr, bytes }, i) => lookLine(`b${i}`, bytes.length, m.memory.read(addr, bytes.length) ?? new Uint8Array(0)));
    for (const [name, fd] of fds) {
      const what = lookedAt(name);
      if (what === undefined || !m.world.fds.has(fd)) continue;
      const into = new Uint8Array(LOOK_BYTES[what]);
      const request = { call: "read", fd, into, ...(what === "file" ? { offset: 0 } : {}) } as const;
      const result = early && mayReadEarly(m, fd) ? readEarly(m, fd, into) : ordinaryCall(m, request);
      looks.push(lookLine(name, result, into));
    }
    return looks;
  }
}
