// The scheduler of a check: every choice of the model is taken from a script, and what the trace saw
// next says which of the kernel's own steps are worth taking. A run that posts something else than was
// seen is abandoned. Which scripts to try is run.ts's business.
import { type Cqe, type Footprint, type Machine, NOT_THIS_RUN, type Scheduler, type WaitDeadline } from "../model/machine.ts";
import { bind, UNBOUND } from "../model/descriptor.ts";
import { conflicts, footprint } from "../model/footprint.ts";
import { enabled, take, type Step } from "../model/steps.ts";
import { relevant } from "./relevant.ts";

/** Steps that one window between two observations may take. */
const STEPS_MAX = 200;

export interface Taken {
  readonly point: string;
  readonly alternatives: readonly string[];
  readonly index: number;
}

/** What is known of the completions of this window: all of them in order, or nothing. */
export type Expected = readonly Cqe[] | undefined;

export class Guided implements Scheduler {
  readonly trail: Taken[] = [];
  private readonly script: readonly number[];
  private readonly expected: Expected;
  private readonly exhaustive: boolean;
  private next = 0;
  private steps = 0;

  constructor(script: readonly number[], expected: Expected, exhaustive: boolean) {
    this.script = script;
    this.expected = expected;
    this.exhaustive = exhaustive;
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
    const names = steps.map((s) => s.kind as string);
    const picked = this.choose(m, point, nothing ? ["nothing", ...names] : names);
    return nothing ? steps[picked - 1] : steps[picked];
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
    // It runs at the latest when this call returns.
    m.lateTaskWork = false;
  }

  before(m: Machine, of: () => Footprint): void {
    if (!anythingMoves(m)) return;
    const mine = of();
    if (mine.reads.length + mine.writes.length === 0) return;
    for (;;) {
      const steps = enabled(m).filter((s) => this.mayPrecede(m, s, mine));
      if (steps.length === 0) return;
      const step = this.chooseStep(m, "order.before", steps, true);
      if (step === undefined) return;
      this.run(m, step);
    }
  }

  private mayPrecede(m: Machine, step: Step, mine: Footprint): boolean {
    const everything = mine.writes.includes("*");
    // Task work is done by the thread that is in the call: it can't come in between.
    if (step.kind === "task-work") return false;
    const r = m.request(step.request);
    if (step.kind === "effect") return conflicts(footprint(m, r), mine);
    if (!everything) return false;
    return step.kind === "expire" || this.matches({ userData: r.userData, res: r.res, flags: r.cflags });
  }

  private matches(cqe: Cqe): boolean {
    const e = this.upcoming();
    if (this.expected === undefined) return true;
    return e !== undefined && e.userData === cqe.userData && (e.res === cqe.res || cqe.res <= UNBOUND) && e.flags === cqe.flags;
  }

  beforePost(m: Machine, cqe: Cqe): void {
    if (!anythingMoves(m)) return;
    if (m.ring.cqWindow === 0 && full(m)) return this.beforeBacklog(m);
    while (this.upcoming() !== undefined && !this.matches(cqe)) this.toward(m);
  }

  /** Into the backlog: who comes first shows only when it is flushed. */
  private beforeBacklog(m: Machine): void {
    for (;;) {
      const steps = enabled(m).filter((s) => s.kind !== "task-work");
      if (steps.length === 0) return;
      const step = this.chooseStep(m, "order.backlog", steps, true);
      if (step === undefined) return;
      this.run(m, step);
    }
  }

  /** One step towards the completion that was seen next. */
  private toward(m: Machine): void {
    const e = this.upcoming();
    if (e === undefined) throw NOT_THIS_RUN;
    const all = this.exhaustive ? enabled(m) : relevant(m, e);
    const steps = m.inCall ? all.filter((s) => s.kind !== "task-work") : all;
    const step = steps.length === 0 ? undefined : this.chooseStep(m, "order.step", steps, false);
    if (step === undefined) throw NOT_THIS_RUN;
    this.run(m, step);
  }

  posted(m: Machine, cqe: Cqe): Cqe {
    if (this.expected === undefined) {
      if (cqe.res <= UNBOUND) throw NOT_THIS_RUN;
      return cqe;
    }
    const e = this.expected[this.next];
    if (e === undefined || !this.matches(cqe)) throw NOT_THIS_RUN;
    this.next++;
    if (cqe.res > UNBOUND) return cqe;
    if (e.res < 0 || m.world.fds.has(e.res)) throw NOT_THIS_RUN;
    bind(m, UNBOUND - cqe.res, e.res);
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
      const steps = e === undefined || this.exhaustive ? enabled(m) : relevant(m, e);
      const over = deadline !== undefined && deadline.earliestNs <= m.untilNs;
      const names = steps.map((s) => s.kind as string);
      if (over) names.push("timeout");
      if (names.length === 0) return "stuck";
      const step = steps[this.choose(m, "wait.end", names)];
      if (step === undefined) return "timeout";
      this.run(m, step);
    }
  }
}

const full = (m: Machine): boolean => m.ring.overflow.length > 0 || cqFull(m);

function cqFull(m: Machine): boolean {
  const { bytes } = m.ring.ring;
  const head = new DataView(bytes.buffer, bytes.byteOffset).getUint32(8, true);
  return (m.ring.cachedCqTail - head) >>> 0 >= m.ring.cqEntries;
}

/** Task work that posts nothing: when it ran shows nowhere, unless a drain waits for it. */
function onlyFrees(m: Machine): boolean {
  return !m.ring.drainActive && m.taskWorks.every((w) => w === "io_uring") && m.taskList.every((id) => m.request(id).taskWork === "free");
}

/** Is anything under way beside the application's thread? */
export function anythingMoves(m: Machine): boolean {
  if (m.taskWorks.length > 0 || (m.hasRing && m.ring.timeouts.length > 0)) return true;
  for (const r of m.requests.values()) if (r.state === "queued" || r.state === "effected") return true;
  return false;
}
