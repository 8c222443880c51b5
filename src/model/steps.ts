// The steps that the kernel takes on its own, beside the application's thread: a worker's effect, a
// worker's completion, late task work, a timer that fires. Whoever schedules the model takes them.
import { IORING_OP_LINK_TIMEOUT } from "../spec/constants.gen.ts";
import { expireLinkTimer } from "./link-timeout.ts";
import type { Machine } from "./machine.ts";
import type { Request } from "./request.ts";
import { mayRunTaskWork, POLL_STEPS, pollSteps, takePollStep, taskWorkDone, type PollStep } from "./sqpoll.ts";
import { runTaskWork } from "./task-work.ts";
import { expireTimer } from "./timeout.ts";
import { finishWork, mayStart, startWork, working } from "./worker.ts";

export type StepKind = "effect" | "post" | "task-work" | "expire" | PollStep;

export interface Step {
  readonly kind: StepKind;
  /** The request that it is about; 0 for task work and for the thread that polls. */
  readonly request: number;
}

const KINDS: Record<StepKind, number> = { effect: 0, post: 1, "task-work": 2, expire: 3, "sq-thread": 4, "sq-wake": 5, "sq-sleep": 6 };

/** A number for each step. */
export const stepId = (s: Step): number => s.request * 8 + KINDS[s.kind];

export const isPollStep = (step: Step): step is Step & { readonly kind: PollStep } => POLL_STEPS.includes(step.kind);

/** Everything that could happen now, in canonical order. Timers: those that may have reached their time. `late`: task work too. */
export function enabled(m: Machine, late = true): Step[] {
  const steps: Step[] = [];
  const queue = working(m);
  for (const r of queue) if (mayStart(m, r, queue)) steps.push({ kind: "effect", request: r.id });
  for (const r of queue) if (r.state === "effected") steps.push({ kind: "post", request: r.id });
  if (late && m.taskWorks.length > 0 && mayRunTaskWork(m)) steps.push({ kind: "task-work", request: 0 });
  for (const kind of pollSteps(m)) steps.push({ kind, request: 0 });
  for (const r of dueTimers(m)) steps.push({ kind: "expire", request: r.id });
  return steps;
}

/** Timers that may fire by now, the earliest first. */
export function dueTimers(m: Machine): Request[] {
  if (!m.hasRing) return [];
  const armed = [...m.ring.timeouts, ...m.ring.linkTimeouts].map((id) => m.request(id));
  // [timeout.never-early]
  const due = armed.filter((r) => r.earliestNs <= m.untilNs);
  return due.sort((a, b) => (a.earliestNs < b.earliestNs ? -1 : a.earliestNs > b.earliestNs ? 1 : 0));
}

/** Takes one step. What runs beside a call is not inside it: its task work is late. */
export function take(m: Machine, step: Step): void {
  if (step.kind === "task-work") {
    runTaskWork(m);
    return taskWorkDone(m);
  }
  if (isPollStep(step)) return takePollStep(m, step.kind);
  const r = m.request(step.request);
  if (step.kind === "expire") m.beside(r, r.earliestNs, () => (r.opcode === IORING_OP_LINK_TIMEOUT ? expireLinkTimer(m, r) : expireTimer(m, r)));
  else m.beside(r, r.sinceNs, () => asWorker(m, () => (step.kind === "effect" ? startWork(m, r) : finishWork(m, r))));
}

function asWorker(m: Machine, act: () => void): void {
  m.inWorker = true;
  try {
    act();
  } finally {
    m.inWorker = false;
  }
}
