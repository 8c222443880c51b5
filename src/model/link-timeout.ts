// LINK_TIMEOUT: a timer behind a request of a chain, which cancels it. Follows io_uring/timeout.c
// (io_link_timeout_fn, io_req_task_link_timeout, io_disarm_next) and io_uring/io_uring.c (__io_issue_sqe).
import { EALREADY, ECANCELED, EINVAL, ENOENT, ETIME, IORING_OP_LINK_TIMEOUT } from "../spec/constants.gen.ts";
import type { Sqe } from "../spec/codec.gen.ts";
import { tryCancel } from "./cancel.ts";
import { completeDeferred } from "./completion.ts";
import { queueNext } from "./link.ts";
import type { Machine } from "./machine.ts";
import type { Operation } from "./operation.ts";
import { REQ, type Request } from "./request.ts";
import { addTaskWork } from "./task-work.ts";
import { prepareTimer, startTimer } from "./timeout.ts";

export const linkTimeout: Operation = {
  prepare(m: Machine, r: Request, sqe: Sqe) {
    // [link-timeout.off-refused]
    if (BigInt.asUintN(32, sqe.off) !== 0n) return -EINVAL;
    // [link-timeout.prep-failure]
    const refused = prepareTimer(m, r, sqe);
    if (refused !== 0) return refused;
    // [link-timeout.needs-head]
    if (m.ring.linkHead === 0) return -EINVAL;
    const last = m.request(m.ring.linkLast);
    // [link-timeout.not-two]
    if (last.opcode === IORING_OP_LINK_TIMEOUT) return -EINVAL;
    r.head = last.id;
    last.linkTimer = "arms";
    return 0;
  },
  issue() {
    throw new Error("model: a link timeout is never issued, the request before it arms it");
  },
};

/** __io_prep_linked_timeout: the timer that is armed once the request was issued for the first time. */
export function takeLinkTimer(m: Machine, r: Request): Request | undefined {
  if (r.linkTimer !== "arms") return undefined;
  r.linkTimer = "armed";
  if (r.refs === 0) r.refs = 1;
  const timer = m.request(r.link);
  timer.refs = 1;
  return timer;
}

/** io_queue_linked_timeout. [link-timeout.armed-when-issued] */
export function armLinkTimer(m: Machine, timer: Request): void {
  if (timer.head === 0) return;
  // [link-timeout.not-removed] a list of its own, where no cancel looks
  m.ring.linkTimeouts = [...m.ring.linkTimeouts, timer.id];
  startTimer(m, timer, timer.prepared.ns ?? 0n, timer.prepared.opFlags);
}

function unlist(m: Machine, timer: Request): void {
  m.ring.linkTimeouts = m.ring.linkTimeouts.filter((id) => id !== timer.id);
}

/** io_remove_next_linked: what stands behind the timer is the request's successor. [link-timeout.goes-on] */
function removeNext(m: Machine, r: Request): void {
  const next = m.request(r.link);
  r.link = next.link;
  next.link = 0;
}

/**
 * io_disarm_next, as far as it is about the timer: the request ended first, and its timer completes with
 * -ECANCELED. [link-timeout.disarmed-canceled]
 */
export function disarmLinkTimer(m: Machine, r: Request): void {
  const { linkTimer } = r;
  if (linkTimer === "none") return;
  r.linkTimer = "none";
  const timer = r.link === 0 ? undefined : m.request(r.link);
  if (timer?.opcode !== IORING_OP_LINK_TIMEOUT) return;
  removeNext(m, r);
  timer.head = 0;
  if (linkTimer === "armed" && timer.earliestNs <= m.untilNs && m.scheduler.choose(m, "timeout.taken", ["taken", "firing"], timer) === 1) {
    m.beside(timer, timer.earliestNs, () => expireLinkTimer(m, timer));
    return;
  }
  unlist(m, timer);
  timer.res = -ECANCELED;
  addTaskWork(m, timer, "complete");
}

/** io_link_timeout_fn: the timer fires. It leaves the chain, and keeps its request for the thread. */
export function expireLinkTimer(m: Machine, timer: Request): void {
  unlist(m, timer);
  const head = timer.head === 0 ? undefined : m.request(timer.head);
  timer.head = 0;
  if (head !== undefined) {
    removeNext(m, head);
    head.refs++;
    head.timerRefs++;
    timer.cancels = head.id;
  }
  addTaskWork(m, timer, "link-timeout");
}

/** A worker is about to fail `r`, or it is done: the timer behind it, armed a moment ago, may fire first. [link-timeout.fires-first] */
export function mayFireFirst(m: Machine, r: Request): void {
  const timer = r.linkTimer === "armed" && r.link !== 0 ? m.request(r.link) : undefined;
  if (timer?.head !== r.id || timer.earliestNs > m.untilNs) return;
  if (m.scheduler.choose(m, "timeout.taken", ["taken", "firing"], timer) === 1) m.beside(timer, timer.earliestNs, () => expireLinkTimer(m, timer));
}

/**
 * io_req_task_link_timeout: the request, or another with its user_data, is cancelled, and the timer completes
 * before it. [link-timeout.etime-first] [link-timeout.by-user-data] [link-timeout.not-found]
 */
export function linkTimeoutTaskWork(m: Machine, timer: Request): void {
  const head = timer.cancels === 0 ? undefined : m.request(timer.cancels);
  // [link-timeout.target-ecanceled]
  const result = head === undefined ? 0 : tryCancel(m, head.userData);
  timer.res = result === 0 ? -ETIME : result;
  completeDeferred(m, timer);
  if (head !== undefined) putRequest(m, head);
}

/** io_put_req: where this was the last reference the request ends here. */
function putRequest(m: Machine, r: Request): void {
  r.timerRefs--;
  if (--r.refs > 0) return;
  if ((r.flags & (REQ.LINK | REQ.HARDLINK)) !== 0) queueNext(m, r);
  r.state = "done";
  r.flags |= REQ.CQE_SKIP;
  addTaskWork(m, r, "free");
}

/** io_linked_timeout_update. [link-timeout.update] */
export function updateLinkTimeout(m: Machine, userData: bigint, ns: bigint, flags: number): number {
  const id = m.ring.linkTimeouts.find((timer) => m.request(timer).userData === userData);
  if (id === undefined) return -ENOENT;
  const timer = m.request(id);
  if (timer.earliestNs <= m.untilNs && m.scheduler.choose(m, "timeout.taken", ["taken", "firing"], timer) === 1) {
    m.beside(timer, timer.earliestNs, () => expireLinkTimer(m, timer));
    return -EALREADY;
  }
  startTimer(m, timer, ns, flags);
  return 0;
}
