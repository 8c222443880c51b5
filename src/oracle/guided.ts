// The scheduler of a check: every choice of the model is taken from a script, and what the trace saw
// next says which of the kernel's own steps are worth taking. A run that posts something else than was
// seen is abandoned. Which scripts to try is run.ts's business.
import { type Cqe, type Footprint, type Machine, NOT_THIS_RUN, type Scheduler, type WaitDeadline } from "../model/machine.ts";
import { cqeOf, isFull } from "../model/completion.ts";
import { bind } from "../model/descriptor.ts";
import { conflicts, footprint } from "../model/footprint.ts";
import { REQ, type Request } from "../model/request.ts";
import { runTaskItem } from "../model/task-work.ts";
import { startable } from "../model/worker.ts";
import { IORING_TIMEOUT_ETIME_SUCCESS } from "../spec/constants.gen.ts";
import { dueTimers, enabled, take, type Step } from "../model/steps.ts";
import { relevant } from "./relevant.ts";

/** Steps that one window between two observations may take. */
const STEPS_MAX = 200;

export interface Taken {
  readonly point: string;
  readonly alternatives: readonly string[];
  readonly index: number;
  /** The other alternatives are tried only where `lateNeeded` says so. */
  readonly lazy?: boolean;
}

/** Which of the kernel's own steps a check tries: 0 those that touch what was seen, 1 those that touch these, 2 all. */
export type Effort = 0 | 1 | 2;

/** What is known of the completions of this window: all of them in order, or nothing. */
export type Expected = readonly Cqe[] | undefined;

export class Guided implements Scheduler {
  readonly trail: Taken[] = [];
  private readonly script: readonly number[];
  private readonly expected: Expected;
  readonly effort: Effort;
  private readonly asleep = new Map<string, Step>();
  /** This run failed for want of task work that must have run before the call. */
  lateNeeded = false;
  /** Something was under way beside the application's thread while this run went on. */
  raced = false;
  private next = 0;
  private steps = 0;

  constructor(script: readonly number[], expected: Expected, effort: Effort) {
    this.script = script;
    this.expected = expected;
    this.effort = effort;
  }

  get exhaustive(): boolean {
    return this.effort === 2;
  }

  /** Completions of the window that this run has not posted. */
  get missing(): number {
    return this.expected === undefined ? 0 : this.expected.length - this.next;
  }

  choose(m: Machine, point: string, alternatives: readonly string[]): number {
    if (point === "fd.number") return 1;
    if (alternatives.length < 2) return 0;
    if (point === "taskrun.late" && !this.exhaustive && onlyFrees(m)) return 0;
    const index = this.script[this.trail.length] ?? 0;
    this.trail.push({ point, alternatives, index });
    return index;
  }

  /** Picks among the kernel's own steps, with "nothing" in front where that is allowed. */
  private chooseStep(m: Machine, point: string, steps: readonly Step[], nothing: boolean): Step | undefined {
    const awake = steps.filter((s) => !this.asleep.has(`${s.kind}:${s.request}`));
    if (awake.length === 0 && !nothing) throw NOT_THIS_RUN;
    const names = awake.map((s) => s.kind as string);
    const picked = this.choose(m, point, nothing ? ["nothing", ...names] : names) - (nothing ? 1 : 0);
    const step = awake[picked];
    if (step !== undefined) this.putToSleep(m, awake.slice(0, picked), step);
    return step;
  }

  /**
   * Steps that were passed over are taken first in other runs: here they sleep until something happens
   * that they depend on (sleep sets, Godefroid). So two steps that commute are tried in one order only.
   */
  private putToSleep(m: Machine, passed: readonly Step[], taken: Step): void {
    for (const s of passed) this.asleep.set(`${s.kind}:${s.request}`, s);
    for (const [name, s] of this.asleep) if (dependent(m, s, taken)) this.asleep.delete(name);
  }

  private run(m: Machine, step: Step): void {
    if (++this.steps > STEPS_MAX) throw NOT_THIS_RUN;
    take(m, step);
  }

  private upcoming(): Cqe | undefined {
    return this.expected?.[this.next];
  }

  /** Between two calls: task work that came late may run before the next one. */
  begin(m: Machine): void {
    if (m.taskWorks.length > 0 && this.choose(m, "taskrun.late", ["ran", "after"]) === 0) take(m, { kind: "task-work", request: 0 });
    if (m.hasRing) this.silentTimers(m);
    if (this.effort > 0 && m.hasRing && isFull(m)) this.unseen(m);
    // What came first in this window may have come before the call.
    while (m.hasRing && this.inHand(m) && this.stepFirst()) this.toward(m);
    // What is left runs at the latest when this call returns.
    m.lateTaskWork = false;
  }

  /** A timer whose end posts nothing may have fired before this call: it would end a wait that came later. */
  private silentTimers(m: Machine): void {
    for (const r of dueTimers(m)) {
      const silent = (r.flags & REQ.CQE_SKIP) !== 0 && (r.prepared.opFlags & IORING_TIMEOUT_ETIME_SUCCESS) !== 0;
      if (!silent || this.choose(m, "order.before", ["nothing", "expire"]) === 0) continue;
      this.run(m, { kind: "expire", request: r.id });
      take(m, { kind: "task-work", request: 0 });
    }
  }

  /** While there is no room nothing shows of what goes on: any of it may have happened before this call. */
  private unseen(m: Machine): void {
    for (;;) {
      const steps = enabled(m);
      const step = steps.length === 0 ? undefined : this.chooseStep(m, "order.before", steps, true);
      if (step === undefined) return;
      this.run(m, step);
    }
  }

  private stepFirst(): boolean {
    const index = this.script[this.trail.length] ?? 0;
    this.trail.push({ point: "order.before", alternatives: ["nothing", "step"], index, lazy: true });
    return index === 1;
  }

  /** Is the completion seen next that of a request which is under way? */
  private inHand(m: Machine): boolean {
    const e = this.upcoming();
    if (e === undefined) return false;
    for (const r of m.requests.values()) if (r.userData === e.userData && r.state !== "done") return relevant(m, e, false).length > 0;
    return false;
  }

  before(m: Machine, of: () => Footprint): void {
    if (!anythingMoves(m)) return;
    this.raced ||= racing(m);
    const mine = of();
    for (;;) {
      const steps = this.preceding(m, mine);
      if (steps.length === 0) return;
      const step = this.chooseStep(m, "order.before", steps, true);
      if (step === undefined) return;
      this.run(m, step);
    }
  }

  /** What may come before something with this footprint; before a count, also what was seen next. */
  private preceding(m: Machine, mine: Footprint): Step[] {
    const e = this.upcoming();
    const towards = e !== undefined && mine.reads.includes("cq") ? relevant(m, e, this.effort > 0) : [];
    return enabled(m).filter(
      (s) => this.mayPrecede(m, s, mine) || (s.kind !== "task-work" && towards.some((t) => t.kind === s.kind && t.request === s.request)),
    );
  }

  private mayPrecede(m: Machine, step: Step, mine: Footprint): boolean {
    // Task work is done by the thread that is in the call: it can't come in between.
    if (step.kind === "task-work") return false;
    const r = m.request(step.request);
    // What is taken back completes as task work, behind the timers that fired before.
    if (step.kind === "expire" && mine.writes.some((name) => name.startsWith("ud:"))) return true;
    const counted = step.kind !== "effect" && mine.reads.includes("cq");
    if (!counted && !conflicts(footprint(m, r), mine)) return false;
    if (step.kind !== "post") return true;
    // A completion that shows nowhere may have come: one that posts nothing, or goes to the backlog.
    return (r.flags & REQ.CQE_SKIP) !== 0 || isFull(m) || this.matches(cqeOf(r));
  }

  private matches(cqe: Cqe): boolean {
    const e = this.upcoming();
    if (this.expected === undefined) return true;
    return e !== undefined && e.userData === cqe.userData && (cqe.opened === undefined ? e.res === cqe.res : e.res >= 0) && e.flags === cqe.flags;
  }

  beforePost(m: Machine, cqe: Cqe): void {
    if (!racing(m)) return;
    this.raced = true;
    // A place in the backlog shows only when it is flushed.
    if (m.ring.cqWindow === 0 && isFull(m)) return;
    while (this.upcoming() !== undefined && !this.matches(cqe)) this.toward(m);
  }

  /** One step towards the completion that was seen next. */
  private toward(m: Machine): void {
    const e = this.upcoming();
    if (e === undefined) throw NOT_THIS_RUN;
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

  nextOfBacklog(m: Machine): number | undefined {
    const { ring } = m;
    for (;;) {
      const e = this.upcoming();
      if (ring.overflow.length === 0 && !ring.backlogUnknown) return undefined;
      const at = this.eligible(m).find((i) => this.matches(ring.overflow[i] ?? differs));
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
      if (ring.cqWindow === 0) return undefined;
    }
  }

  /** Who may be first in the backlog: the first whose place is certain, and those that may be in front of it. */
  private eligible(m: Machine): number[] {
    const { overflow, flushed } = m.ring;
    const first = overflow.findIndex((c) => c.from === undefined);
    const able = overflow.flatMap((c, i) => {
      const inFront = c.from === undefined ? i === first : c.from <= flushed;
      const led = c.group !== 0 && overflow.slice(0, i).some((other) => other.group === c.group);
      return inFront && !led ? [i] : [];
    });
    return able;
  }

  /** A worker that starts to count completions may have begun before this one. */
  private countersFirst(m: Machine): void {
    if (!m.ring.offTimeoutUsed) return;
    for (const r of startable(m))
      if (r.timeoutOff !== 0 && this.choose(m, "order.before", ["nothing", "effect"]) === 1) this.run(m, { kind: "effect", request: r.id });
  }

  posted(m: Machine, cqe: Cqe): Cqe {
    this.countersFirst(m);
    if (this.expected === undefined) {
      if (cqe.opened !== undefined) throw NOT_THIS_RUN;
      return cqe;
    }
    const e = this.expected[this.next];
    if (e === undefined || !this.matches(cqe)) throw NOT_THIS_RUN;
    this.next++;
    if (cqe.opened === undefined) return cqe;
    if (m.world.unbound.includes(cqe.opened)) {
      if (m.world.fds.has(e.res)) throw NOT_THIS_RUN;
      bind(m, cqe.opened, e.res);
    }
    return e;
  }

  /** Takes steps until everything that was seen in this window has been posted. */
  finish(m: Machine): void {
    while (this.missing > 0) this.toward(m);
  }

  wait(m: Machine, done: () => boolean, deadline: WaitDeadline | undefined): "done" | "timeout" | "stuck" {
    for (;;) {
      if (done()) return "done";
      const e = this.upcoming();
      const steps = this.exhaustive ? enabled(m) : e === undefined ? enabled(m).filter((s) => s.kind === "expire") : relevant(m, e, this.effort > 0);
      const over = deadline !== undefined && deadline.earliestNs <= m.untilNs;
      const awake = steps.filter((s) => s.kind !== "task-work" && !this.asleep.has(`${s.kind}:${s.request}`));
      const names = awake.map((s) => s.kind as string);
      if (over) names.push("timeout");
      if (names.length === 0) return "stuck";
      const picked = this.choose(m, "wait.end", names);
      const step = awake[picked];
      if (step === undefined) return "timeout";
      this.putToSleep(m, awake.slice(0, picked), step);
      this.run(m, step);
    }
  }
}

const inTaskWork = (m: Machine, e: Cqe): Request | undefined =>
  m.taskList.map((id) => m.request(id)).find((r) => r.userData === e.userData);

const differs: Cqe = { userData: -1n, res: 0, flags: 0 };

/** Could it matter in which order the two are taken? */
function dependent(m: Machine, a: Step, b: Step): boolean {
  if (a.request === b.request || a.kind === "task-work" || b.kind === "task-work") return true;
  if (a.kind === b.kind && a.kind !== "effect") return true;
  const wakes = (s: Step): boolean => s.kind === "expire" || (s.kind === "effect" && mayWake(m, s));
  if (wakes(a) && wakes(b)) return true;
  if (a.kind !== "effect" || b.kind !== "effect") return false;
  const first = m.requests.get(a.request);
  const second = m.requests.get(b.request);
  return first === undefined || second === undefined || conflicts(footprint(m, first), footprint(m, second));
}

/** Does this effect queue task work, whose order shows? */
function mayWake(m: Machine, s: Step): boolean {
  const r = m.requests.get(s.request);
  if (r === undefined || r.link !== 0) return true;
  const { writes } = footprint(m, r);
  return writes.some((name) => {
    if (name === "*" || name.startsWith("ud:") || name.startsWith("fd:")) return true;
    if (!name.startsWith("inode:")) return false;
    const inode = Number(name.slice(6));
    return (m.world.waiters.get(inode * 2)?.length ?? 0) + (m.world.waiters.get(inode * 2 + 1)?.length ?? 0) > 0;
  });
}

/** Task work that posts nothing: when it ran shows nowhere, unless a drain waits for it. */
function onlyFrees(m: Machine): boolean {
  return !m.ring.drainActive && m.taskWorks.every((w) => w === "io_uring") && m.taskList.every((id) => m.request(id).taskWork === "free");
}

/** Workers or due timers: what another order of things could come from. */
function racing(m: Machine): boolean {
  for (const r of m.requests.values()) if (r.state === "queued" || r.state === "effected") return true;
  return m.ring.backlogUnknown || dueTimers(m).length > 0;
}

/** Is anything under way beside the application's thread? */
export function anythingMoves(m: Machine): boolean {
  if (m.taskWorks.length > 0 || (m.hasRing && (m.ring.timeouts.length > 0 || m.ring.backlogUnknown))) return true;
  for (const r of m.requests.values()) if (r.state === "queued" || r.state === "effected") return true;
  return false;
}
