// Task work: what the application's own thread does for its requests when it returns to user mode,
// waits, or is interrupted. Follows io_uring/io_uring.c (io_req_normal_work_add,
// tctx_task_work_run) and kernel/task_work.c, which runs the newest callback first.
import { IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_TASKRUN_FLAG, IORING_SQ_TASKRUN } from "../spec/constants.gen.ts";
import { clearSqFlag, completeDeferred, cqeOf, cqRoom, failDeferred, flushCompletions, postInTaskWork, setSqFlag } from "./completion.ts";
import { signalEventfd } from "./eventfd.ts";
import { footprint } from "./footprint.ts";
import { queueSqe } from "./issue.ts";
import { linkTimeoutTaskWork } from "./link-timeout.ts";
import { runFailLinks } from "./link.ts";
import { type Machine, NOT_THIS_RUN } from "./machine.ts";
import { pollTaskWork } from "./poll.ts";
import { REQ, type Request, type TaskWork } from "./request.ts";
import { hasPollThread } from "./sqpoll.ts";
import { timeoutTaskWork } from "./timeout.ts";
import { wakeQueue } from "./wake.ts";
import { queueWork } from "./worker.ts";

/** `wake`: "lazy" lets a thread that waits for more sleep on (IOU_F_TWQ_LAZY_WAKE); rings that defer task work know it. */
export function addTaskWork(m: Machine, r: Request, work: TaskWork, wake: "forced" | "lazy" = "forced"): void {
  r.taskWork = work;
  r.sinceNs = m.nowNs;
  if (work !== "free") r.state = "task-work";
  if (work === "complete" || work === "cancel") m.scheduler.decided(m, r);
  if (defersTaskWork(m)) addLocalWork(m, r, wake);
  else addNormalWork(m, r);
  r.floating = !m.inCall;
  if (m.inCall) return;
  if (!defersTaskWork(m)) m.lateTaskWork = true;
  r.cause = m.stepOf?.id ?? 0;
  r.causeTouches = m.stepOf === undefined ? undefined : footprint(m, m.stepOf);
  if (m.stepBacklog !== undefined) r.backlogSince = m.stepBacklog;
}

/** A ring with IORING_SETUP_DEFER_TASKRUN keeps its task work until io_uring_enter asks for completions. [taskrun.defer-getevents] */
export const defersTaskWork = (m: Machine): boolean => (m.ring.flags & IORING_SETUP_DEFER_TASKRUN) !== 0;

/** IORING_SQ_TASKRUN says that there is task work. */
export const showsTaskWork = (m: Machine): boolean => (m.ring.flags & IORING_SETUP_TASKRUN_FLAG) !== 0;

/** io_req_normal_work_add */
function addNormalWork(m: Machine, r: Request): void {
  if (m.taskList.length === 0) {
    m.taskWorks.push("io_uring");
    // [taskrun.flag-set]
    if (showsTaskWork(m)) setSqFlag(m, IORING_SQ_TASKRUN);
  }
  m.taskList.push(r.id);
}

/** io_req_local_work_add */
function addLocalWork(m: Machine, r: Request, wake: "forced" | "lazy"): void {
  const last = m.ring.localWork.at(-1);
  const first = last === undefined;
  const before = last === undefined ? 0 : m.request(last).wakesFrom;
  // [taskrun.defer-lazy-wake] what is in a chain may queue more
  const isLazy = wake === "lazy" && (r.flags & (REQ.LINK | REQ.HARDLINK)) === 0;
  r.wakesFrom = isLazy ? before + 1 : Number.POSITIVE_INFINITY;
  m.ring.localWork = [...m.ring.localWork, r.id];
  if (!first) return;
  // [taskrun.flag-set]
  if (showsTaskWork(m)) setSqFlag(m, IORING_SQ_TASKRUN);
  // [eventfd.defer-signals-work]
  signalEventfd(m, false);
}

/** Does what was queued wake a thread that sleeps until `wanted` more completions are there? [taskrun.defer-lazy-wake] */
export const wakesWaiter = (m: Machine, wanted: number): boolean =>
  m.ring.retryWork.length > 0 || m.ring.localWork.some((id) => m.request(id).wakesFrom >= wanted);

export const hasLocalWork = (m: Machine): boolean => m.ring.localWork.length + m.ring.retryWork.length > 0;

/** What a run of local work does at most where fewer are asked for (IO_LOCAL_TW_DEFAULT_MAX). */
export const LOCAL_WORK_MAX = 20;

/** __io_run_local_work: until `wanted` of it were done or nothing is left, `most` in each pass; how much was done. [taskrun.defer-batches] */
export function runLocalWork(m: Machine, wanted: number, most: number): number {
  const wasIn = m.inCall;
  m.inCall = true;
  m.scheduler.beforeTaskWork(m);
  const done = hasLocalWork(m) ? runAllLocalWork(m, wanted, most) : 0;
  m.inCall = wasIn;
  return done;
}

function runAllLocalWork(m: Machine, wanted: number, most: number): number {
  const { ring } = m;
  if (showsTaskWork(m)) clearSqFlag(m, IORING_SQ_TASKRUN);
  let left = wanted;
  let done = 0;
  let all = 0;
  const goesOn = (): boolean => {
    // Where nothing was done, what is there turned out not to have been queued yet.
    m.scheduler.beforeTaskWork(m);
    if (!hasLocalWork(m) || done === 0) return false;
    if (done < left) return true;
    if (showsTaskWork(m)) setSqFlag(m, IORING_SQ_TASKRUN);
    return false;
  };
  do {
    left -= done;
    done = runLocalList(m, ring.retryWork, most);
    all += done;
    if (ring.retryWork.length === 0) {
      const list = ring.localWork;
      ring.localWork = [];
      const more = runLocalList(m, list, most - done);
      done += more;
      all += more;
      if (goesOn()) continue;
    }
    flushCompletions(m);
  } while (goesOn());
  return all;
}

/** The first of the list, one at least; what is left waits for the next run: how many. */
function runLocalList(m: Machine, list: readonly number[], most: number): number {
  const { ring } = m;
  const outer = m.running;
  m.running = list;
  ring.retryWork = [];
  let done = 0;
  while (m.running.length > 0 && (done === 0 || done < most)) {
    const at = m.scheduler.nextTask(m);
    if (at === undefined) {
      // [taskrun.part-queued]
      ring.localWork = [...m.running, ...ring.localWork];
      m.running = [];
      break;
    }
    const id = m.running[at] ?? 0;
    m.running = m.running.filter((other) => other !== id);
    const r = m.request(id);
    m.since(r.sinceNs, () => runOne(m, r));
    done++;
  }
  ring.retryWork = m.running;
  m.running = outer;
  return done;
}

/** fput by the thread: the release of a file that nobody holds any more is task work too. */
export function releaseFile(m: Machine, file: number): void {
  if (m.world.file(file).refs > 1) dropFile(m, file);
  else if (m.inCall) m.taskWorks.push(file);
  else if (m.stepOf === undefined) dropFile(m, file);
  else m.stepOf.dropping = file;
}

/** A worker's task work runs before its next request: what it closed is released behind the completion. [taskrun.file-released-late] */
export function releaseDropped(m: Machine, r: Request): void {
  if (r.dropping !== 0) dropFile(m, r.dropping);
  r.dropping = 0;
}

/** Has a worker closed a file that it releases only behind the completion, by whomever that is posted? [worker.release-late] */
export function keepsDropped(m: Machine, r: Request): boolean {
  return r.dropping !== 0 && m.scheduler.choose(m, "worker.release", ["before", "after"]) === 1;
}

/** The last reference releases the file: the other end of a pipe sees it. */
function dropFile(m: Machine, file: number): void {
  const { refs, inode } = m.world.file(file);
  if (refs === 1 && m.inCall) m.scheduler.before(m, () => ({ reads: [], writes: [`inode:${inode}`] }));
  m.world.put(file, wakeQueue(m));
}

/** Runs all of it, and what it adds. */
export function runTaskWork(m: Machine): void {
  const wasIn = m.inCall;
  m.inCall = true;
  if (m.taskWorks.length > 0) m.scheduler.beforeTaskWork(m);
  m.inThread = hasPollThread(m);
  if (m.inThread) runOneTaskWork(m);
  while (m.taskWorks.length > 0 && !m.inThread) {
    const works = m.taskWorks;
    m.taskWorks = [];
    for (const work of works.reverse()) {
      if (work === "io_uring") runTaskList(m);
      else dropFile(m, work);
    }
  }
  const added = m.inThread ? m.taskList : [];
  m.inThread = false;
  m.lateTaskWork = m.unqueued.length > 0;
  if (m.lateTaskWork) m.taskWorks.push("io_uring");
  m.taskList = [...m.unqueued, ...added];
  m.unqueued = [];
  m.inCall = wasIn;
}

/** io_sq_tw: the ring's own, or what releases a file, of which either may come first; more is for a later step. [sqpoll.task-work] */
function runOneTaskWork(m: Machine): void {
  const files = m.taskWorks.filter((work) => work !== "io_uring");
  const last = files.at(-1);
  const hasList = files.length < m.taskWorks.length;
  if (typeof last === "number" && (!hasList || m.scheduler.choose(m, "sqpoll.release", ["work first", "release first"]) === 1)) {
    m.taskWorks = m.taskWorks.filter((work) => work !== last);
    return dropFile(m, last);
  }
  m.taskWorks = files;
  runTaskList(m);
}

/** What turns out not to have been queued yet runs at the thread's next chance. [taskrun.part-queued] */
function runTaskList(m: Machine): void {
  const outer = m.running;
  m.running = m.taskList;
  m.taskList = [];
  let parts = 0;
  for (let first = true; m.running.length > 0; first = false) {
    const before = toPost(m);
    const at = m.scheduler.nextTask(m);
    // A thread that polls had no reason to look.
    if (at === undefined && first && hasPollThread(m)) throw NOT_THIS_RUN;
    if (at === undefined) break;
    const id = m.running[at] ?? 0;
    m.running = m.running.filter((other) => other !== id);
    const r = m.request(id);
    m.since(r.sinceNs, () => runOne(m, r));
    if (toPost(m) > before) parts++;
    // [taskrun.batch-splits] a reschedule is due: what completed so far is posted
    if (m.running.length > 0 && (m.ring.completing.length > 0 || m.ring.cqFlush) && m.scheduler.choose(m, "taskrun.batch", ["goes on", "splits"]) === 1) {
      flushCompletions(m);
      parts = 0;
      // The application may look before a thread that polls goes on.
      if (hasPollThread(m)) break;
    }
  }
  m.unqueued = [...m.unqueued, ...m.running];
  m.running = outer;
  if (showsTaskWork(m)) clearSqFlag(m, IORING_SQ_TASKRUN);
  if (parts > 1) m.scheduler.parts(m, parts);
  flushCompletions(m, true);
}

/** How many CQEs wait for the end of the batch and have room in the CQ. */
function toPost(m: Machine): number {
  const { completing } = m.ring;
  const cqes = completing.filter((id) => (m.request(id).flags & REQ.CQE_SKIP) === 0).length;
  return Math.min(cqes, cqRoom(m));
}

/** One request of the list, now: it was queued from outside, and may have been in front of the others. */
export function runTaskItem(m: Machine, r: Request): void {
  m.taskList = m.taskList.filter((id) => id !== r.id);
  m.ring.localWork = m.ring.localWork.filter((id) => id !== r.id);
  m.since(r.sinceNs, () => runOne(m, r));
  flushCompletions(m);
}

/** io_req_task_submit */
export function submitFromTaskWork(m: Machine, r: Request): void {
  if ((r.flags & REQ.FORCE_ASYNC) !== 0) queueWork(m, r);
  else queueSqe(m, r);
}

function runOne(m: Machine, r: Request): void {
  switch (r.taskWork) {
    case "submit":
      return submitFromTaskWork(m, r);
    case "cancel":
      // [link.cancelled-member-severs] [cancel.target-ecanceled]
      return failDeferred(m, r, r.res);
    case "complete":
      return completeDeferred(m, r);
    case "free":
      r.flags |= REQ.CQE_SKIP;
      return completeDeferred(m, r);
    case "poll":
      m.scheduler.before(m, () => footprint(m, r));
      return pollTaskWork(m, r);
    case "fail-links":
      return runFailLinks(m, r);
    case "timeout":
      return timeoutTaskWork(m, r);
    case "link-timeout":
      m.scheduler.before(m, () => footprint(m, r));
      return linkTimeoutTaskWork(m, r);
    case "message":
      m.requests.delete(r.id);
      return postInTaskWork(m, cqeOf(r));
  }
}
