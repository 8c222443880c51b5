// The thread of a ring with IORING_SETUP_SQPOLL: it submits what the application publishes, runs the ring's task
// work, and sleeps where there is nothing to do. Follows io_uring/sqpoll.c. Whoever schedules the model takes its
// steps, one SQE at a time, so that everything else can come in between.
import { IORING_SETUP_SQPOLL, IORING_SQ_NEED_WAKEUP } from "../spec/constants.gen.ts";
import { clearSqFlag, flushCompletions, setSqFlag } from "./completion.ts";
import type { Machine } from "./machine.ts";
import { beginBatch, endBatch, publishedEntries, publishHead, submitNext } from "./submit.ts";

/** Where it stands (struct io_sq_data). Replaced, never written. */
export interface PollThread {
  readonly asleep: boolean;
  /** Asleep, and woken by IORING_ENTER_SQ_WAKEUP: it is on its way. */
  readonly woken: boolean;
  /** SQEs of the batch under way that it has not read; undefined between two batches. */
  readonly left: number | undefined;
  /** The batch is posted, and sq.head not yet moved. */
  readonly posted: boolean;
  /** A batch is over, and the task work that was queued by then not yet run. */
  readonly owes: boolean;
  /** The earliest moment at which its next step may happen. */
  readonly sinceNs: bigint;
  /** The earliest moment at which it may have begun to be idle. */
  readonly busyNs: bigint;
  /** It sleeps once it was idle for this long. */
  readonly idleNs: bigint;
}

/** What it may do next: submit, wake up, or go to sleep. */
export type PollStep = "sq-thread" | "sq-wake" | "sq-sleep";
export const POLL_STEPS: readonly string[] = ["sq-thread", "sq-wake", "sq-sleep"] satisfies readonly PollStep[];

const IDLE_DEFAULT_MS = 1000;
/** [sqpoll.idle-in-ticks] the kernel counts in ticks, and may have been late with the last ones. */
const IDLE_EARLY_NS = 10_000_000n;
const NEVER_BUSY = -(1n << 62n);

/** [setup.sq-idle-default] [sqpoll.may-start-asleep] */
export function newPollThread(flags: number, idleMs: number): PollThread | undefined {
  if ((flags & IORING_SETUP_SQPOLL) === 0) return undefined;
  const idleNs = BigInt(idleMs === 0 ? IDLE_DEFAULT_MS : idleMs) * 1_000_000n;
  return { asleep: false, woken: false, left: undefined, posted: false, owes: false, sinceNs: NEVER_BUSY, busyNs: NEVER_BUSY, idleNs };
}

export const hasPollThread = (m: Machine): boolean => m.hasRing && m.ring.thread !== undefined;

/** May the ring's task work run now? A thread that polls must be awake, and not in the middle of a batch. */
export const mayRunTaskWork = (m: Machine): boolean => {
  const thread = m.hasRing ? m.ring.thread : undefined;
  return thread === undefined || (!thread.asleep && thread.left === undefined && !m.inThread);
};

/** Is its thread in the middle of a batch? */
export const isInBatch = (m: Machine): boolean => m.hasRing && m.ring.thread?.left !== undefined;

function change(m: Machine, to: Partial<PollThread>): void {
  if (m.ring.thread !== undefined) m.ring.thread = { ...m.ring.thread, ...to };
}

const NO_STEPS: readonly PollStep[] = [];

/** The steps that it may take now. */
export function pollSteps(m: Machine): readonly PollStep[] {
  const thread = m.hasRing ? m.ring.thread : undefined;
  if (thread === undefined || m.inThread) return NO_STEPS;
  // [sqpoll.task-work-wakes]
  if (thread.asleep) return thread.woken || m.taskWorks.length > 0 ? ["sq-wake"] : [];
  const pending = publishedEntries(m) > 0;
  // [sqpoll.task-work-between]
  if (thread.owes && m.taskWorks.length > 0) return [];
  // [sqpoll.disabled-waits]
  if (thread.left !== undefined || (pending && !m.ring.disabled)) return ["sq-thread"];
  return pending || m.taskWorks.length > 0 || !mayBeIdle(m) ? [] : ["sq-sleep"];
}

/** Has it had nothing to do for as long as it takes to sleep? */
export function mayBeIdle(m: Machine): boolean {
  const thread = m.hasRing ? m.ring.thread : undefined;
  return thread !== undefined && (thread.busyNs === NEVER_BUSY || m.untilNs >= thread.busyNs + thread.idleNs - IDLE_EARLY_NS);
}

/** Is it about to do something that the application brought about? */
export const pollThreadMoves = (m: Machine): boolean => pollSteps(m).some((step) => step !== "sq-sleep");

export function takePollStep(m: Machine, step: PollStep): void {
  if (step === "sq-wake") {
    // [sqpoll.awake-flag-cleared]
    clearSqFlag(m, IORING_SQ_NEED_WAKEUP);
    return change(m, { asleep: false, woken: false, busyNs: m.ring.thread?.sinceNs ?? NEVER_BUSY });
  }
  if (step === "sq-sleep") {
    // [sqpoll.need-wakeup]
    setSqFlag(m, IORING_SQ_NEED_WAKEUP);
    return change(m, { asleep: true });
  }
  const wasIn = m.inCall;
  m.inCall = true;
  m.inThread = true;
  m.since(m.ring.thread?.sinceNs ?? m.nowNs, () => goOn(m));
  m.inThread = false;
  m.inCall = wasIn;
}

/** io_submit_sqes, piece by piece. [sqpoll.submits] */
function goOn(m: Machine): void {
  const { left, posted, sinceNs = NEVER_BUSY } = m.ring.thread ?? {};
  change(m, { busyNs: sinceNs });
  if (posted === true) {
    publishHead(m);
    change(m, { left: undefined, posted: false, owes: m.taskList.some((id) => !m.request(id).floating) });
  } else if (left === undefined) {
    beginBatch(m);
    change(m, { left: publishedEntries(m) });
    takeNext(m);
  } else if (left === 0) {
    endBatch(m);
    flushCompletions(m);
    change(m, { posted: true });
  } else {
    takeNext(m);
  }
}

/** Its task work has run. What a reschedule cut off may have been queued later: that it does not owe. */
export function taskWorkDone(m: Machine): void {
  if (hasPollThread(m)) change(m, { owes: false });
}

/** [sqpoll.goes-on-after-error] what a failure or an index out of range leaves is the next batch */
function takeNext(m: Machine): void {
  const left = m.ring.thread?.left ?? 0;
  change(m, { left: submitNext(m) ? left - 1 : 0 });
}

/** IORING_ENTER_SQ_WAKEUP. [sqpoll.wakeup] */
export function wakePollThread(m: Machine): void {
  if (m.ring.thread?.asleep === true) change(m, { woken: true });
}

/** The application moved sq.tail, or called: nothing that comes of it is earlier. */
export function pollThreadSince(m: Machine, ns: bigint): void {
  const thread = m.hasRing ? m.ring.thread : undefined;
  if (thread !== undefined && !pollThreadMoves(m)) change(m, { sinceNs: ns });
}

/** What tells states of it apart. */
export const pollThreadKey = ({ asleep, woken, left, posted, owes, sinceNs, busyNs }: PollThread): string =>
  `${asleep ? 1 : 0}${woken ? 1 : 0}${posted ? 1 : 0}${owes ? 1 : 0}${left ?? ""}@${sinceNs}@${busyNs}`;
