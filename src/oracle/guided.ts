// The scheduler of a check: every choice of the model is taken from a script, and what the trace saw
// next says which of the kernel's own steps are worth taking. A run that posts something else than was
// seen is abandoned. Which scripts to try is run.ts's business.
import { type Cqe, type Footprint, type Machine, NOT_THIS_RUN, type Scheduler, type WaitDeadline } from "../model/machine.ts";
import { cqeOf, hasSlot } from "../model/completion.ts";
import { mayHaveSignalled } from "../model/eventfd.ts";
import { conflicts, footprint } from "../model/footprint.ts";
import { REQ, type Request } from "../model/request.ts";
import { hasPollThread, mayBeIdle, mayRunTaskWork } from "../model/sqpoll.ts";
import { defersTaskWork, runTaskItem } from "../model/task-work.ts";
import { startable } from "../model/worker.ts";
import { ECANCELED, IORING_TIMEOUT_ETIME_SUCCESS } from "../spec/constants.gen.ts";
import { dueTimers, enabled, isPollStep, take, type Step } from "../model/steps.ts";
import { eligible, isFull } from "./backlog.ts";
import { timedOut } from "./due.ts";
import { Expectation, same, type Expected } from "./expectation.ts";
import { anythingMoves, onlyPolls, racing } from "./quiet.ts";
import { type Ahead, excludes, queuedNext } from "./foresight.ts";
import { numberShown } from "./opened.ts";
import { beside, inTaskWork, mayPost, onlyFrees, relevant } from "./relevant.ts";
import type { Seen } from "./seen.ts";
import { SleepSet } from "./sleep-set.ts";
import { nextTask } from "./task-order.ts";
import type { Effort, Taken } from "./trail.ts";

/** Steps that one window between two observations may take. */
const STEPS_MAX = 4000;

export class Guided implements Scheduler {
  readonly trail: Taken[] = [];
  private readonly script: readonly number[];
  private expected: Expectation;
  readonly effort: Effort;
  private readonly asleep = new SleepSet();
  /** This run failed for want of task work that must have run before the call. */
  lateNeeded = false;
  private readonly seen: Seen | undefined;
  private readonly ahead: Ahead | undefined;
  private readonly follow: boolean;
  private hasSplit = false;
  steps = 0;
  /** How far the code of the call has come, in calls of this scheduler: with the state it says where a run is. */
  private at = 0;

  constructor(script: readonly number[], expected: Expected, effort: Effort, seen?: Seen, ahead?: Ahead, follow = false) {
    this.script = script;
    this.expected = new Expectation(expected);
    this.effort = effort;
    this.seen = seen;
    this.ahead = ahead;
    this.follow = follow;
  }

  /** Is it known what this window posts? */
  get follows(): boolean {
    return !this.expected.open;
  }

  get exhaustive(): boolean {
    return this.effort === 2;
  }

  choose(m: Machine, point: string, alternatives: readonly string[], about?: Request): number {
    if (point === "fd.number") return 1;
    if (point === "overflow.flush") return 0; // it shows when the signals are read
    if (alternatives.length < 2) return 0;
    // Every moment of a worker's is tried: there is nothing to make up for.
    if (point === "timeout.counted" && this.exhaustive) return 0;
    if (point === "timeout.counted" && about?.timeoutOff === alternatives.length - 1 && this.expected.comesNext(about, 0)) return about.timeoutOff;
    // A reschedule is rare: one in a window is looked for, and only by the last search.
    if (point === "taskrun.batch" && (hasPollThread(m) ? this.effort === 0 : !this.exhaustive || this.hasSplit)) return 0;
    if (point === "cancel.pause" && this.effort === 0) return 0;
    if (point === "sqpoll.sq-wait" && !this.exhaustive) return 0;
    if (point === "rw.position-taken" && !this.exhaustive) return 0;
    if (point === "taskrun.late" && !this.exhaustive && !m.ring.drainActive && onlyFrees(m)) return 0;
    const shown = about === undefined || alternatives.length > 2 ? undefined : this.shown(m, point, about);
    if (shown !== undefined) return shown;
    const index = this.script[this.trail.length] ?? 0;
    this.trail.push({ point, alternatives, index });
    if (point === "taskrun.batch" && index === 1) this.hasSplit = true;
    return index;
  }

  /** Where the completion of the request that is cancelled shows in this window, it says what became of it. */
  private shown(m: Machine, point: string, r: Request): number | undefined {
    const only = this.effort === 0 ? this.expected.only(m, r) : undefined;
    if (only === undefined) return undefined;
    const cancelled = only.res === -ECANCELED;
    if (point === "cancel.worker") return cancelled ? 0 : 1;
    if (point === "worker.cancel-before-start") return cancelled ? 1 : 0;
    return undefined;
  }

  /** Picks among the kernel's own steps, with "nothing" in front where that is allowed. */
  private chooseStep(m: Machine, point: string, steps: readonly Step[], nothing: boolean): Step | undefined {
    const awake = this.awake(m, steps);
    if (awake.length === 0 && !nothing) throw NOT_THIS_RUN;
    if (awake.length + (nothing ? 1 : 0) > 1) this.leaveIfKnown(m, point);
    const names = awake.map((s) => s.kind as string);
    const picked = this.choose(m, point, nothing ? ["nothing", ...names] : names) - (nothing ? 1 : 0);
    const step = awake[picked];
    if (step !== undefined) this.asleep.put(m, awake.slice(0, picked), step);
    return step;
  }

  private awake(m: Machine, steps: readonly Step[]): readonly Step[] {
    return this.asleep.awake(m, steps, this.exhaustive, this.expected.upcoming()?.userData);
  }

  /** Another run came to this place in this state, and what can follow is tried from there. */
  private leaveIfKnown(m: Machine, point: string): void {
    if (this.seen === undefined || this.trail.length < this.script.length) return;
    const place = m.inCall || point !== "order.step" ? this.at : -1;
    if (this.seen.visit(`${point}${place}|${this.expected.place}|${m.key()}`, this.asleep.steps)) return;
    this.lateNeeded = this.seen.lateNeeded;
    throw NOT_THIS_RUN;
  }

  run(m: Machine, step: Step): void {
    if (++this.steps > STEPS_MAX) throw NOT_THIS_RUN;
    const before = this.exhaustive && step.kind === "task-work" ? m.key() : undefined;
    take(m, step);
    // All of it turned out not to have been queued yet: the run without this step goes on alike, and for ever with it.
    if (before !== undefined && before === m.key()) throw NOT_THIS_RUN;
    // How often it polled in vain shows nowhere, and nothing that comes in between can tell.
    if (step.kind === "task-work" && onlyPolls(m)) this.run(m, step);
  }

  /** Between two calls: task work that came late may run before the next one. */
  begin(m: Machine): void {
    this.lateWork(m);
    if (m.hasRing) this.silentTimers(m);
    if (m.hasRing && (this.exhaustive || (this.effort > 0 && isFull(m) && !hasPollThread(m)))) this.unseen(m);
    if (m.hasRing && this.follow) this.interleave(m, () => this.towardHidden(m));
    // What came first in this window may have come before the call.
    while (m.hasRing && !this.exhaustive && this.inHand(m) && this.stepFirst()) {
      this.toward(m);
      this.lateWork(m);
    }
    // What is left runs at the latest when this call returns.
    m.lateTaskWork = false;
  }

  /** The thread was in user mode: task work that was added from outside runs at once, or when the next call returns. */
  private lateWork(m: Machine): void {
    if (m.taskWorks.length > 0 && !hasPollThread(m) && this.choose(m, "taskrun.late", ["ran", "after"]) === 0) take(m, { kind: "task-work", request: 0 });
  }

  /** A timer whose end posts nothing may have fired before this call: it would end a wait that came later. */
  private silentTimers(m: Machine): void {
    for (const r of dueTimers(m)) {
      const silent = (r.flags & REQ.CQE_SKIP) !== 0 && (r.prepared.opFlags & IORING_TIMEOUT_ETIME_SUCCESS) !== 0;
      // One that fired before it may have taken this one along.
      if (!silent || !m.requests.has(r.id) || this.choose(m, "order.before", ["nothing", "expire"]) === 0) continue;
      this.run(m, { kind: "expire", request: r.id });
      if (mayRunTaskWork(m)) take(m, { kind: "task-work", request: 0 });
    }
  }

  /** The application is about to move sq.tail: the thread that polls may have done something before. */
  beforeTail(m: Machine): void {
    const first = (s: Step): boolean => s.kind === "sq-sleep" || (s.kind === "task-work" && mayBeIdle(m)) || (this.exhaustive && isPollStep(s));
    this.interleave(m, () => enabled(m).filter(first));
  }

  /** While there is no room nothing shows of what goes on: any of it may have happened before this call. */
  private unseen(m: Machine): void {
    this.interleave(m, () => enabled(m));
  }

  private towardHidden(m: Machine): readonly Step[] {
    const next = this.hidden(m);
    return next === undefined ? [] : relevant(m, next, true);
  }

  private stepFirst(): boolean {
    const index = this.script[this.trail.length] ?? 0;
    this.trail.push({ point: "order.before", alternatives: ["nothing", "step"], index, lazy: true });
    return index === 1;
  }

  /** Is the completion seen next that of a request which is under way? */
  private inHand(m: Machine): boolean {
    const e = this.expected.upcoming();
    if (e === undefined) return false;
    for (const r of m.requests.values()) if (mayPost(r, e.userData) && r.state !== "done") return relevant(m, e, false).length > 0;
    return false;
  }

  before(m: Machine, of: () => Footprint): void {
    this.at++;
    if (!anythingMoves(m)) return;
    const mine = of();
    this.interleave(m, () => this.preceding(m, mine));
  }

  /** What may come before something with this footprint; before a count, also what was seen next. */
  private preceding(m: Machine, mine: Footprint): readonly Step[] {
    const e = this.expected.upcoming() ?? this.hidden(m);
    const towards = e !== undefined && mine.reads.includes("cq") ? relevant(m, e, this.effort > 0) : [];
    if (this.exhaustive) return beside(m, enabled(m));
    return enabled(m).filter(
      (s) => this.mayPrecede(m, s, mine) || (!isPollStep(s) && s.kind !== "task-work" && towards.some((t) => t.kind === s.kind && t.request === s.request)),
    );
  }

  private mayPrecede(m: Machine, step: Step, mine: Footprint): boolean {
    if (hasPollThread(m) && (step.kind === "task-work" || isPollStep(step))) return step.kind !== "sq-sleep";
    // Task work is done by the thread that is in the call: it can't come in between.
    if (step.kind === "task-work") return false;
    const r = m.request(step.request);
    // What is taken back completes as task work, behind the timers that fired before.
    if (step.kind === "expire" && (this.expected.awaits(r) || mine.writes.some((name) => name.startsWith("ud:")))) return true;
    const counted = step.kind !== "effect" && mine.reads.includes("cq");
    if (!counted && !conflicts(footprint(m, r), mine)) return false;
    if (step.kind !== "post") return true;
    // A completion that shows nowhere may have come: one that posts nothing, or goes to the backlog.
    return (r.flags & REQ.CQE_SKIP) !== 0 || isFull(m) || this.expected.matches(cqeOf(r));
  }

  /** An SQE that is still to be read may have the same user_data: the last effort goes on all the same. */
  decided(m: Machine, r: Request): void {
    if (!this.exhaustive && this.expected.contradicts(m, r)) throw NOT_THIS_RUN;
  }

  beforePost(m: Machine, cqe: Cqe): void {
    this.at++;
    if (!racing(m)) return;
    if (this.exhaustive) this.interleave(m, () => beside(m, enabled(m)));
    else if (m.ring.offTimeoutUsed) this.interleave(m, () => this.awaitedTimers(m));
    // A place in the backlog shows only when it is flushed.
    if (m.ring.cqWindow === 0 && isFull(m)) {
      for (let e = this.hidden(m); e !== undefined && !same(e, cqe); e = this.hidden(m)) this.towards(m, e);
      return;
    }
    if (defersTaskWork(m) && this.expected.upcoming() !== undefined && !this.expected.comes(cqe)) throw NOT_THIS_RUN;
    while (this.expected.upcoming() !== undefined && !this.expected.comes(cqe)) this.toward(m);
  }

  /** [timeout.count-steps-back] */
  parts(m: Machine, most: number): void {
    mayHaveSignalled(m, most - 1);
  }

  beforeCount(m: Machine): void {
    this.at++;
    if (anythingMoves(m)) this.interleave(m, () => (this.exhaustive ? enabled(m).filter((s) => s.kind === "expire") : this.awaitedTimers(m)));
  }

  beforeTaskWork(m: Machine): void {
    this.at++;
    // Other task work comes before this, as a step of its own, or behind it: inside it there would be no end to it.
    if (this.exhaustive && racing(m)) this.interleave(m, () => beside(m, enabled(m)).filter((s) => s.kind !== "task-work"));
    else if (defersTaskWork(m)) this.queueShown(m);
  }

  /** On a ring that defers its task work, what this window shows was queued before the thread took the list. */
  private queueShown(m: Machine): void {
    for (const e of this.expected.rest()) {
      for (;;) {
        const steps = racing(m) ? relevant(m, e, this.effort > 0).filter((s) => s.kind !== "task-work") : [];
        if (steps.length === 0) break;
        // A timer may as well end the wait that comes after.
        const step = this.chooseStep(m, "order.before", steps, this.effort > 0 || steps.every((s) => s.kind === "expire"));
        if (step === undefined) break;
        this.run(m, step);
      }
    }
  }

  private awaitedTimers(m: Machine): Step[] {
    return dueTimers(m).filter((r) => this.expected.awaits(r)).map((r) => ({ kind: "expire", request: r.id }));
  }

  /** Takes any number of these steps, anew reckoned after each. */
  private interleave(m: Machine, of: () => readonly Step[]): void {
    for (;;) {
      const steps = of();
      const step = steps.length === 0 ? undefined : this.chooseStep(m, "order.before", steps, true);
      if (step === undefined) return;
      this.run(m, step);
    }
  }

  /** One step towards the completion that was seen next. */
  toward(m: Machine): void {
    const e = this.expected.upcoming();
    if (e === undefined) throw NOT_THIS_RUN;
    this.towards(m, e);
  }

  /** What goes to the backlog next, for a search that follows what the rest of the trace shows of it. */
  private hidden(m: Machine): Cqe | undefined {
    return this.follow && this.ahead !== undefined ? queuedNext(this.ahead, m) : undefined;
  }

  private towards(m: Machine, e: Cqe): void {
    const late = m.inCall ? inTaskWork(m, e) : undefined;
    if (late?.floating === true && m.ring.splitting) {
      m.ring.splitting = false;
      runTaskItem(m, late);
      m.ring.splitting = true;
      return;
    }
    if (late !== undefined) {
      this.lateNeeded = true;
      throw NOT_THIS_RUN;
    }
    const all = this.exhaustive ? enabled(m) : relevant(m, e, this.effort > 0);
    const steps = m.inCall ? all.filter((s) => s.kind !== "task-work") : all;
    const step = steps.length === 0 ? undefined : this.chooseStep(m, "order.step", steps, false);
    if (step === undefined) throw NOT_THIS_RUN;
    this.run(m, step);
  }

  nextTask(m: Machine): number | undefined {
    return nextTask(m, this.expected, () => this.effort > 0 && this.choose(m, "order.before", ["nothing", "task-work"]) === 1);
  }

  nextOfBacklog(m: Machine): number | undefined {
    const { ring } = m;
    for (;;) {
      const e = this.expected.upcoming();
      if (ring.overflow.length === 0 && !ring.backlogUnknown) return undefined;
      const at = eligible(ring.overflow, ring.flushed).find((i) => ring.overflow[i] !== undefined && this.expected.comes(ring.overflow[i], true));
      if (at !== undefined) return at;
      // Nothing more was seen though there is room: what is in the list is not what happened.
      if (e === undefined) {
        if (ring.overflow.length > 0) throw NOT_THIS_RUN;
        ring.backlogUnknown = false;
        return undefined;
      }
      // What is taken now happened before, when the completion went to the backlog: outside this call.
      const was = m.inCall;
      m.inCall = false;
      this.toward(m);
      m.inCall = was;
      if (!hasSlot(m)) return undefined;
    }
  }

  /** A worker that starts to count completions may have begun before this one. */
  private countersFirst(m: Machine): void {
    if (!this.exhaustive || !m.ring.offTimeoutUsed) return;
    for (const r of startable(m))
      if (r.timeoutOff !== 0 && this.choose(m, "order.before", ["nothing", "effect"]) === 1) this.run(m, { kind: "effect", request: r.id });
  }

  backlogs(m: Machine, cqe: Cqe): void {
    if (this.ahead === undefined) return;
    const next = this.hidden(m);
    if (next === undefined ? excludes(this.ahead, m, cqe) : !same(next, cqe)) throw NOT_THIS_RUN;
  }

  posted(m: Machine, cqe: Cqe, shows = true): Cqe {
    this.countersFirst(m);
    if (this.expected.open) {
      if (cqe.opened !== undefined) throw NOT_THIS_RUN;
      return cqe;
    }
    const e = this.expected.upcoming();
    // Where something else shows, all that the peek loaded is compared.
    if (e === undefined || (shows && !this.expected.matches(cqe))) throw NOT_THIS_RUN;
    this.expected.next++;
    if (cqe.opened !== undefined && shows) numberShown(m, cqe.opened, e.res);
    return cqe.opened !== undefined && shows ? e : cqe;
  }

  /** Takes a step towards what the backlog was seen to hold: it happened before this call. */
  towardBacklog(m: Machine, missing: readonly Cqe[]): void {
    const window = this.expected;
    this.expected = new Expectation(missing, `backlog ${missing.length},`);
    this.toward(m);
    this.expected = window;
  }

  /** Takes steps until everything that was seen in this window has been posted. */
  finish(m: Machine): void {
    while (this.expected.missing > 0) this.toward(m);
  }

  wait(m: Machine, done: () => boolean, deadline: WaitDeadline | undefined): "done" | "timeout" | "stuck" {
    for (;;) {
      if (done()) return "done";
      const e = this.expected.upcoming();
      const steps = this.exhaustive ? enabled(m) : e === undefined ? enabled(m).filter((s) => s.kind === "expire" || isPollStep(s)) : relevant(m, e, this.effort > 0);
      const over = deadline !== undefined && deadline.earliestNs <= m.untilNs;
      const awake = this.awake(m, beside(m, steps, this.exhaustive));
      const names = awake.map((s) => s.kind as string);
      if (over) names.push("timeout");
      if (names.length === 0) return "stuck";
      if (names.length > 1) this.leaveIfKnown(m, "wait.end");
      const picked = this.choose(m, "wait.end", names);
      const step = awake[picked];
      if (step === undefined) return timedOut(m);
      this.asleep.put(m, awake.slice(0, picked), step);
      this.run(m, step);
    }
  }
}
