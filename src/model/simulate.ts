// The scheduler of a simulation: one run, the one that the profile favours or that a seed draws.
// Workers finish before the call that started them returns, or at a later one where the seed says so;
// the clock is virtual and moves only while somebody waits.
import type { Cqe, Footprint, Machine, Scheduler, WaitDeadline } from "./machine.ts";
import type { Request } from "./request.ts";
import { enabled, take, type Step } from "./steps.ts";

/** A small generator of numbers (mulberry32): the same seed, the same run. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

export class Simulation implements Scheduler {
  private readonly draw: (() => number) | undefined;

  constructor(seed?: number) {
    this.draw = seed === undefined ? undefined : random(seed);
  }

  choose(_m: Machine, point: string, alternatives: readonly string[]): number {
    // A worker's count starts when it does: counting from before is a search's way to put that off.
    if (point === "timeout.counted") return 0;
    if (point === "fd.number" || this.draw === undefined || ((point === "taskrun.batch" || point === "overflow.flush") && this.draw() < 0.9)) return 0;
    return Math.floor(this.draw() * alternatives.length);
  }

  before(_m: Machine, _footprint: () => Footprint): void {
    // Workers run at the end of calls only: nothing comes between here.
  }

  parts(): void {
    // It chose whether each was cut.
  }

  beforeCount(_m: Machine): void {
    // As above.
  }

  beforePost(_m: Machine, _cqe: Cqe): void {
    // As above.
  }

  beforeTaskWork(_m: Machine): void {
    // As above.
  }

  nextTask(_m: Machine): number {
    return 0;
  }

  nextOfBacklog(m: Machine): number | undefined {
    return m.ring.overflow.length > 0 ? 0 : undefined;
  }

  decided(_m: Machine, _r: Request): void {
    // Whatever it is, it is what happens.
  }

  backlogs(_m: Machine, _cqe: Cqe): void {
    // The same.
  }

  posted(_m: Machine, cqe: Cqe): Cqe {
    return cqe;
  }

  /** After a call: the workers go on. With a seed, some of them only at the next call. */
  settle(m: Machine): void {
    for (;;) {
      const steps = enabled(m).filter((s) => this.draw === undefined || s.kind === "task-work" || this.draw() < 0.7);
      const [step] = steps;
      if (step === undefined) return;
      take(m, this.pick(steps, step));
    }
  }

  private pick(steps: readonly Step[], favoured: Step): Step {
    if (this.draw === undefined) return favoured;
    return steps[Math.floor(this.draw() * steps.length)] ?? favoured;
  }

  wait(m: Machine, done: () => boolean, deadline: WaitDeadline | undefined): "done" | "timeout" | "stuck" {
    // A time that is over before the thread sleeps mostly ends it before a worker does: hrtimer_start fires at once.
    const over = deadline !== undefined && deadline.latestNs <= m.nowNs && (this.draw === undefined || this.draw() < 0.5);
    for (;;) {
      if (done()) return "done";
      if (over) return "timeout";
      const steps = enabled(m);
      const [step] = steps;
      if (step !== undefined) {
        take(m, this.pick(steps, step));
        continue;
      }
      const timer = nextTimer(m);
      if (deadline !== undefined && (timer === undefined || deadline.earliestNs < timer)) {
        advance(m, deadline.earliestNs);
        return "timeout";
      }
      if (timer === undefined) return "stuck";
      advance(m, timer);
    }
  }
}

/** When the next timer fires, if any is armed. */
export function nextTimer(m: Machine): bigint | undefined {
  let next: bigint | undefined;
  for (const id of [...m.ring.timeouts, ...m.ring.linkTimeouts]) {
    const { earliestNs } = m.request(id);
    if (next === undefined || earliestNs < next) next = earliestNs;
  }
  return next;
}

/** Moves the virtual clock on, never back. */
export function advance(m: Machine, ns: bigint): void {
  if (ns > m.nowNs) m.nowNs = ns;
  if (m.nowNs > m.untilNs) m.untilNs = m.nowNs;
}
