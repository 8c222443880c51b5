// Task work: what the application's own thread does for its requests when it returns to user mode,
// waits, or is interrupted. Follows io_uring/io_uring.c (io_req_normal_work_add,
// tctx_task_work_run) and kernel/task_work.c, which runs the newest callback first.
import { completeDeferred, failDeferred, flushCompletions } from "./completion.ts";
import { footprint } from "./footprint.ts";
import { queueSqe } from "./issue.ts";
import { runFailLinks } from "./link.ts";
import type { Machine } from "./machine.ts";
import { pollTaskWork } from "./poll.ts";
import { REQ, type Request, type TaskWork } from "./request.ts";
import { timeoutTaskWork } from "./timeout.ts";
import { wakeQueue } from "./wake.ts";
import { queueWork } from "./worker.ts";

export function addTaskWork(m: Machine, r: Request, work: TaskWork): void {
  r.taskWork = work;
  r.sinceNs = m.nowNs;
  if (work !== "free") r.state = "task-work";
  if (work === "complete" || work === "cancel") m.scheduler.decided(m, r);
  if (m.taskList.length === 0) m.taskWorks.push("io_uring");
  m.taskList.push(r.id);
  if (m.inCall) return;
  m.lateTaskWork = true;
  r.floating = true;
  r.cause = m.stepOf?.id ?? 0;
  r.causeTouches = m.stepOf === undefined ? undefined : footprint(m, m.stepOf);
  if (m.stepBacklog !== undefined) r.backlogSince = m.stepBacklog;
}

/** fput by the thread: the release of a file that nobody holds any more is task work too. */
export function releaseFile(m: Machine, file: number): void {
  if (!m.inCall || m.world.file(file).refs > 1) dropFile(m, file);
  else m.taskWorks.push(file);
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
  while (m.taskWorks.length > 0) {
    const works = m.taskWorks;
    m.taskWorks = [];
    for (const work of works.reverse()) {
      if (work === "io_uring") runTaskList(m);
      else dropFile(m, work);
    }
  }
  m.lateTaskWork = m.unqueued.length > 0;
  if (m.lateTaskWork) m.taskWorks.push("io_uring");
  m.taskList = [...m.unqueued];
  m.unqueued = [];
  m.inCall = wasIn;
}

/** What turns out not to have been queued yet runs at the thread's next chance. [taskrun.part-queued] */
function runTaskList(m: Machine): void {
  const outer = m.running;
  m.running = m.taskList;
  m.taskList = [];
  while (m.running.length > 0) {
    const at = m.scheduler.nextTask(m);
    if (at === undefined) break;
    const id = m.running[at] ?? 0;
    m.running = m.running.filter((other) => other !== id);
    const r = m.request(id);
    m.since(r.sinceNs, () => runOne(m, r));
    // [taskrun.batch-splits] a reschedule is due: what completed so far is posted
    if (m.running.length > 0 && (m.ring.completing.length > 0 || m.ring.cqFlush) && m.scheduler.choose(m, "taskrun.batch", ["goes on", "splits"]) === 1)
      flushCompletions(m);
  }
  m.unqueued = [...m.unqueued, ...m.running];
  m.running = outer;
  flushCompletions(m, true);
}

/** One request of the list, now: it was queued from outside, and may have been in front of the others. */
export function runTaskItem(m: Machine, r: Request): void {
  m.taskList = m.taskList.filter((id) => id !== r.id);
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
  }
}
