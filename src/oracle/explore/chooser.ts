// The scheduler of an exploration: every choice comes from a script, and what lies behind the script takes the first
// alternative. The kernel's own steps may come at every place of a call where the model asks; a run that comes to a
// place and state where one was before ends there. Which scripts to try is moves.ts's business.
import { Unmodelled } from "../../kernel.ts";
import { CQES } from "../../model/layout.ts";
import type { Cqe, Footprint, Machine, Scheduler, WaitDeadline } from "../../model/machine.ts";
import { load32, load64 } from "../../model/memory.ts";
import type { Request } from "../../model/request.ts";
import { advance } from "../../model/simulate.ts";
import { hasPollThread } from "../../model/sqpoll.ts";
import { dueTimers, enabled, stepId, take, type Step } from "../../model/steps.ts";
import { CQE } from "../../spec/codec.gen.ts";
import { hasTimers } from "../quiet.ts";
import { isOverdueNow } from "./liveness.ts";
import { cutShows } from "./reduction.ts";
import { cqeLine } from "./seen-text.ts";
import type { Line, Lines } from "./history.ts";

/** Thrown where a run came to where another was. */
export const SEEN_BEFORE: unique symbol = Symbol("seen before");
/** Thrown where a run does not come to an end. */
export const TOO_LONG: unique symbol = Symbol("too long");

/** Steps that one call may take: more of them is a run that goes round. */
const STEPS_MAX = 4000;

/** Times that each alternative of a choice point was taken. */
export type Reached = Map<string, Map<string, number>>;

/**
 * Choice points that an exploration has no use for: the moments that they make up for are tried themselves, and
 * numbers of descriptors are the lowest.
 */
export const SETTLED: ReadonlySet<string> = new Set(["fd.number", "fd.recycled", "timeout.counted", "timeout.satisfied", "multishot.room"]);

/** Where the code of a call has come to, as a number: two runs from one state that asked the same are at the same place. */
const further = (place: number, what: number): number => (Math.imul(place, 0x01000193) ^ what) >>> 0;

export class Chooser implements Scheduler {
  private script: readonly number[] = [];
  /** What was taken, and of how many. */
  readonly taken: number[] = [];
  readonly counts: number[] = [];
  private place = 0;
  /** Steps of the kernel's that this run took. */
  steps = 0;
  private listIsTaken = false;
  /** Nothing comes in between: what is done shows nowhere. */
  private undisturbed = false;
  /** A wait that nothing can end is over, as one with a watchdog is. */
  watched = false;
  /** One that was: and something should have ended it. */
  overdue = false;
  seen: Line;
  /** Descriptors that completions brought. */
  opened: readonly number[] = [];
  private readonly lines: Lines;
  private readonly opens: ReadonlySet<bigint>;
  private readonly timed: boolean;
  readonly reduces: boolean;
  private readonly reached: Reached;
  private readonly inside: (m: Machine, place: number, chooser: Chooser) => boolean;

  /**
   * `opens`: user_data whose result is a descriptor. `timed`: the program has timers, and what the clock shows matters.
   * `inside`: false where a run was at this place of a call before, in this state.
   */
  constructor(options: {
    readonly lines: Lines; readonly opens: ReadonlySet<bigint>; readonly timed: boolean; readonly reached: Reached; readonly reduces: boolean;
    readonly inside: (m: Machine, place: number, chooser: Chooser) => boolean;
  }) {
    this.lines = options.lines;
    this.opens = options.opens;
    this.timed = options.timed;
    this.reduces = options.reduces;
    this.reached = options.reached;
    this.inside = options.inside;
    this.seen = options.lines.empty;
  }

  begin(script: readonly number[], seen: Line, opened: readonly number[]): void {
    this.script = script;
    this.taken.length = 0;
    this.counts.length = 0;
    this.place = 0;
    this.steps = 0;
    this.watched = false;
    this.overdue = false;
    this.undisturbed = false;
    this.seen = seen;
    this.opened = opened;
  }

  /** The next script in the order of a depth-first search; undefined: all were tried. */
  nextScript(): number[] | undefined {
    for (let at = this.taken.length - 1; at >= 0; at--) {
      const index = (this.taken[at] ?? 0) + 1;
      if (index < (this.counts[at] ?? 0)) return [...this.taken.slice(0, at), index];
    }
    return undefined;
  }

  private pick(count: number): number {
    const index = this.script[this.taken.length] ?? 0;
    this.taken.push(index);
    this.counts.push(count);
    return index;
  }

  note(point: string, alternative: string): void {
    let counts = this.reached.get(point);
    if (counts === undefined) this.reached.set(point, (counts = new Map()));
    counts.set(alternative, (counts.get(alternative) ?? 0) + 1);
  }

  choose(m: Machine, point: string, alternatives: readonly string[], _about?: Request): number {
    if (SETTLED.has(point) || (this.reduces && point === "taskrun.batch" && !cutShows(m))) return 0;
    if (alternatives.length > 1) {
      const index = this.pick(alternatives.length);
      this.place = further(this.place, index + 1);
      this.note(point, alternatives[index] ?? "?");
      return index;
    }
    this.note(point, alternatives[0] ?? "?");
    return 0;
  }

  /** Takes one of the kernel's own steps: a timer's shows that its time has come. */
  take(m: Machine, step: Step): void {
    if (++this.steps > STEPS_MAX) throw TOO_LONG;
    const place = this.place;
    this.place = further(place, stepId(step) + 16);
    // What may come before the list is taken may as well come before this step.
    this.listIsTaken = this.reduces && step.kind === "task-work" && !m.inCall;
    if (step.kind === "expire" && this.timed) advance(m, m.request(step.request).earliestNs);
    take(m, step);
    this.place = place;
  }

  /** Task work that shows nowhere. */
  takeUndisturbed(m: Machine): void {
    this.undisturbed = true;
    take(m, { kind: "task-work", request: 0 });
    this.undisturbed = false;
  }

  /** Any number of these steps, anew reckoned after each. */
  private interleave(m: Machine, of: (m: Machine) => readonly Step[]): void {
    while (!this.undisturbed) {
      const steps = of(m);
      if (steps.length === 0) return;
      this.look(m);
      const picked = this.pick(steps.length + 1);
      const step = steps[picked - 1];
      this.note("order.before", step?.kind ?? "nothing");
      if (step === undefined) return;
      this.take(m, step);
    }
  }

  private look(m: Machine): void {
    if (this.taken.length >= this.script.length && !this.inside(m, this.place, this)) throw SEEN_BEFORE;
  }

  before(m: Machine, _footprint: () => Footprint): void {
    this.place = further(this.place, 3);
    this.interleave(m, beside);
  }

  parts(): void {
    // Each cut is a choice of its own.
  }

  beforeCount(m: Machine): void {
    this.place = further(this.place, 5);
    this.interleave(m, timers);
  }

  beforePost(m: Machine, _cqe: Cqe): void {
    this.place = further(this.place, 7);
    this.interleave(m, beside);
  }

  beforeTaskWork(m: Machine): void {
    this.place = further(this.place, 11);
    const skip = this.listIsTaken;
    this.listIsTaken = false;
    if (!skip) this.interleave(m, beside);
  }

  nextTask(_m: Machine): number {
    return 0;
  }

  nextOfBacklog(m: Machine): number | undefined {
    return m.ring.overflow.length > 0 ? 0 : undefined;
  }

  decided(_m: Machine, _r: Request): void {
    // Whatever it is, it is one of the things that may happen.
  }

  backlogs(_m: Machine, _cqe: Cqe): void {
    // The same.
  }

  posted(m: Machine, cqe: Cqe, shows = true): Cqe {
    if (!shows && m.ring.cqeSize === CQE.size) throw new Unmodelled("what an application reads where a filler is written over");
    const opens = this.opens.has(cqe.userData);
    this.seen = this.lines.add(this.seen, cqeLine(shows ? cqe : atTail(m), opens));
    if (opens && cqe.res > 2) this.opened = [...this.opened, cqe.res];
    return cqe;
  }

  wait(m: Machine, done: () => boolean, deadline: WaitDeadline | undefined): "done" | "timeout" | "stuck" {
    const place = further(this.place, 13);
    for (;;) {
      this.place = place;
      if (done()) return "done";
      this.place = place;
      const steps = beside(m);
      const over = deadline !== undefined && deadline.earliestNs <= m.untilNs;
      if (steps.length === 0 && !over) {
        if (!this.watched) return "stuck";
        this.overdue = isOverdueNow(m);
        return "timeout";
      }
      this.look(m);
      const picked = this.pick(steps.length + (over ? 1 : 0));
      const step = steps[picked];
      this.note("wait.end", step?.kind ?? "timeout");
      if (step !== undefined) {
        this.take(m, step);
        continue;
      }
      if (this.timed && deadline !== undefined) advance(m, deadline.earliestNs);
      return "timeout";
    }
  }
}

const NO_STEPS: readonly Step[] = [];

/** What may come while the application's thread is in a call: its task work does not, but that of a thread that polls. */
function beside(m: Machine): readonly Step[] {
  if (!m.hasRing) return NO_STEPS;
  if (hasPollThread(m)) return enabled(m);
  return hasTimers(m) || isWorking(m) ? enabled(m, false) : NO_STEPS;
}

/** Could a worker do anything? */
function isWorking(m: Machine): boolean {
  for (const r of m.requests.values()) if (r.state === "queued" || r.state === "effected") return true;
  return false;
}

const timers = (m: Machine): readonly Step[] => (hasTimers(m) ? dueTimers(m).map(({ id }) => ({ kind: "expire", request: id })) : NO_STEPS);

/** What is in the slot that the tail moves past. */
function atTail({ ring }: Machine): Cqe {
  const at = CQES + (ring.cachedCqTail & (ring.cqEntries - 1)) * ring.cqeSize;
  const { bytes } = ring.ring;
  return { userData: load64(bytes, at + CQE.user_data), res: load32(bytes, at + CQE.res) | 0, flags: load32(bytes, at + CQE.flags) };
}
