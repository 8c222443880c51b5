// Posting completions: the CQ ring, its overflow backlog, and the batch that a submission or a run of
// task work posts at its end. Follows io_uring/io_uring.c: io_get_cqe(), io_cqe_cache_refill(),
// __io_submit_flush_completions(), __io_cqring_overflow_flush().
import { IORING_CQE_F_32, IORING_CQE_F_SKIP, IORING_SETUP_CQE_MIXED, IORING_SQ_CQ_OVERFLOW } from "../spec/constants.gen.ts";
import { CQE } from "../spec/codec.gen.ts";
import { queueDeferred } from "./drain.ts";
import { signalEventfd } from "./eventfd.ts";
import { mayFireFirst } from "./link-timeout.ts";
import { queueNext } from "./link.ts";
import type { Backlogged, Cqe, Machine } from "./machine.ts";
import { load32, store32, store64, writable } from "./memory.ts";
import { REQ, type Request } from "./request.ts";
import { releaseDropped, releaseFile } from "./task-work.ts";
import { flushTimeouts } from "./timeout.ts";
import { CQES, WORD } from "./layout.ts";

/** CQEs that the application has not consumed, by the head it shows and the tail that the kernel keeps. */
export function cqPending(m: Machine): number {
  return (m.ring.cachedCqTail - load32(m.ring.ring.bytes, WORD.cqHead)) >>> 0;
}

/** How many CQEs could be posted now: none where there is a backlog, which comes first. */
export const cqRoom = (m: Machine): number => (hasBacklog(m) ? 0 : Math.max(0, m.ring.cqEntries - cqPending(m)));

/** Is there a slot that the kernel believes free, or would? */
export const hasSlot = (m: Machine): boolean => m.ring.cqWindow > 0 || cqPending(m) < m.ring.cqEntries;

/** cqPending by the tail that the application sees. */
export function cqVisible(m: Machine): number {
  const bytes = m.ring.ring.bytes;
  return (load32(bytes, WORD.cqTail) - load32(bytes, WORD.cqHead)) >>> 0;
}

/** Does it say that it has 32 bytes? A message may say so on any ring. */
export const isLong = (cqe: Cqe): boolean => (cqe.flags & IORING_CQE_F_32) !== 0;

/** A long one takes two slots of 16 bytes where they are mixed. [cq.mixed-two-slots] */
const slotsOf = (m: Machine, cqe: Cqe): 1 | 2 => ((m.ring.flags & IORING_SETUP_CQE_MIXED) !== 0 && isLong(cqe) ? 2 : 1);

/**
 * Looks at the application's head for room: the only place where it is read for posting. While there is a backlog, only
 * its flush gets room. `long`: two slots in a row are asked for, whatever it takes.
 */
function refillWindow(m: Machine, flushing: boolean, long: boolean): boolean {
  const ring = m.ring;
  // [overflow.order-kept]
  if (!flushing && hasBacklog(m)) return false;
  // [cq.mixed-filler] a CQE of two slots does not wrap: the last slot is filled with one to skip
  if (long && (ring.cachedCqTail & (ring.cqEntries - 1)) === ring.cqEntries - 1) {
    if (cqPending(m) >= ring.cqEntries) return false;
    // [cq.filler-misplaced] the place is reckoned in 16 bytes, however long the slots are
    // [cq.mixed-filler-overwritten] the window stays where it was, where there is no room behind it
    const shows = ring.cqeSize === CQE.size && (ring.cqWindow === 0 || ring.cqEntries - cqPending(m) > 2);
    storeCqe(m, CQES + (ring.cqEntries - 1) * CQE.size, m.scheduler.posted(m, { userData: 0n, res: 0, flags: IORING_CQE_F_SKIP }, shows));
  }
  // [cq.free-running]
  const at = ring.cachedCqTail & (ring.cqEntries - 1);
  // [cq.head-lies] less than none is none
  const room = Math.min(ring.cqEntries - cqPending(m), ring.cqEntries - at);
  if (room < (long ? 2 : 1)) return false;
  ring.cqWindow = room;
  ring.cqSlot = at;
  return true;
}

/** Is there room where the next CQE goes? */
function hasRoom(m: Machine, flushing: boolean, long: boolean): boolean {
  const isWide = m.ring.cqeSize > CQE.size;
  // [cq.window-cached]
  if (m.ring.cqWindow >= (long && !isWide ? 2 : 1)) return true;
  return refillWindow(m, flushing, long && !(isWide && flushing));
}

/** Writes a CQE to a place of the ring; the kernel's tail moves by one. */
function storeCqe(m: Machine, at: number, cqe: Cqe): void {
  const ring = m.ring;
  const bytes = writable(ring.ring);
  store64(bytes, at + CQE.user_data, cqe.userData);
  store32(bytes, at + CQE.res, cqe.res);
  store32(bytes, at + CQE.flags, cqe.flags);
  // [cq.free-running]
  ring.cachedCqTail = (ring.cachedCqTail + 1) >>> 0;
}

/** Whose CQE it is: that of a request, an entry of the backlog, or one beside the last of a request (io_fill_cqe_aux). */
type Origin = "request" | "backlog" | "aside";

/** Writes one CQE to the ring; false where there is no room. The tail is published by commitCq. */
function fillCqe(m: Machine, cqe: Cqe, origin: Origin = "request"): boolean {
  const ring = m.ring;
  const slots = slotsOf(m, cqe);
  const long = isLong(cqe);
  if (!hasRoom(m, origin === "backlog", long)) return false;
  // Not by the tail: a filler without room behind it leaves this where it was.
  const at = CQES + ring.cqSlot * ring.cqeSize;
  storeCqe(m, at, m.scheduler.posted(m, cqe, ring.cqSlot === (ring.cachedCqTail & (ring.cqEntries - 1))));
  if (slots === 2) ring.cachedCqTail = (ring.cachedCqTail + 1) >>> 0;
  // [cq.big-half-stale]
  if (long || (ring.cqeSize > CQE.size && origin !== "aside")) {
    // [cq.big-half] [cq.long-flag-plain]
    const [first, second] = cqe.big ?? [0n, 0n];
    const bytes = writable(ring.ring);
    store64(bytes, at + CQE.size, first);
    store64(bytes, at + CQE.size + 8, second);
  }
  ring.cqWindow -= slots;
  ring.cqSlot += slots;
  if (ring.cqSlot === ring.cqEntries && ring.cqWindow > 0) ring.cqSlot = 0; // only behind beginBacklog
  return true;
}

/** `cqe`: that of `r`. [overflow.backlog] */
function addOverflow(m: Machine, r: Request, cqe: Cqe): void {
  leavesBehind(m, cqe.big);
  const queued = { ...cqe, group: r.group };
  overflows(m, r.floating ? { ...queued, from: r.backlogSince } : queued);
}

function overflows(m: Machine, cqe: Backlogged): void {
  const ring = m.ring;
  m.scheduler.backlogs(m, cqe);
  ring.backlogged++;
  // [overflow.flag]
  if (!hasBacklog(m)) setSqFlag(m, IORING_SQ_CQ_OVERFLOW);
  // [overflow.counter-only-drops]
  ring.overflow = [...ring.overflow, cqe];
}

export function setSqFlag(m: Machine, bit: number): void {
  const bytes = writable(m.ring.ring);
  store32(bytes, WORD.sqFlags, load32(bytes, WORD.sqFlags) | bit);
}

export function clearSqFlag(m: Machine, bit: number): void {
  const bytes = writable(m.ring.ring);
  store32(bytes, WORD.sqFlags, load32(bytes, WORD.sqFlags) & ~bit);
}

// [cq.tail-after-entry]
const publishTail = (m: Machine): void => store32(writable(m.ring.ring), WORD.cqTail, m.ring.cachedCqTail);

/** Publishes the tail (a release store), then completes the timeouts that counted this far. */
function commitCq(m: Machine): void {
  publishTail(m);
  if (m.ring.offTimeoutUsed) {
    if (m.inCall) m.scheduler.beforeCount(m);
    flushTimeouts(m);
  }
  signalEventfd(m, true);
}

export function cqeOf(r: Request): Cqe {
  // [submit.result-in-cqe]
  const cqe = { userData: r.userData, res: r.res, flags: r.cflags };
  if (r.opened !== 0) return { ...cqe, opened: r.opened };
  return r.big === undefined ? cqe : { ...cqe, big: r.big };
}

/** Name of the second halves of CQEs that requests hold, among what a step touches. */
export const BIG_HALF = "big half";

/** What is not written to the CQ is not taken out of its request either. [cq.big-half-leaks] */
function leavesBehind(m: Machine, big: Cqe["big"]): void {
  if (big !== undefined && m.ring.cqeSize > CQE.size) m.ring.leaked = [...m.ring.leaked, big];
}

/** Its request may be one that was in use before, and may hold what an earlier completion left in it. [cq.big-half-leaks] */
function withLeaked(m: Machine, cqe: Cqe): Cqe {
  const { leaked } = m.ring;
  if (cqe.big !== undefined) return cqe;
  const big = leaked[m.scheduler.choose(m, "cq.big-half", ["zero", ...leaked.map(() => "leaked")]) - 1];
  if (big === undefined) return cqe;
  m.ring.leaked = leaked.filter((other) => other !== big);
  return { ...cqe, big };
}

/** Completed: the CQE comes with the next flush of this batch. */
export function completeDeferred(m: Machine, r: Request): void {
  r.state = "completing";
  m.scheduler.decided(m, r);
  m.ring.completing.push(r.id);
}

/** req_set_fail: a failed request breaks its chain; CQE_SKIP then speaks for the rest of the chain. */
export function setFail(r: Request): void {
  r.flags |= REQ.FAIL;
  // [skip.posts-on-failure]
  if ((r.flags & REQ.CQE_SKIP) !== 0) r.flags = (r.flags & ~REQ.CQE_SKIP) | REQ.SKIP_LINK_CQES;
}

export function failDeferred(m: Machine, r: Request, res: number): void {
  setFail(r);
  r.res = res;
  r.cflags = 0;
  completeDeferred(m, r);
}

/** Posts a request's CQE from a worker, at once. [taskrun.worker-posts] */
export function postFromWorker(m: Machine, r: Request): boolean {
  let posted = true;
  if ((r.flags & REQ.CQE_SKIP) === 0) posted = fillCqe(m, withLeaked(m, cqeOf(r)));
  else leavesBehind(m, r.posted ? undefined : r.big);
  // [timeout.flushed-late] the thread, which is about to post, may be the first to reckon what this one adds
  const late = m.ring.offTimeoutUsed && m.ring.posting.length > 0 && m.scheduler.choose(m, "timeout.flushed", ["at once", "later"]) === 1;
  if (late) {
    publishTail(m);
    signalEventfd(m, true);
  } else {
    commitCq(m);
  }
  return posted;
}

/** A further CQE of a multishot request; false where it would overflow: then the request ends. */
export function postMore(m: Machine, r: Request, res: number, flags: number): boolean {
  if (m.ring.completing.length > 0) flushNow(m);
  // Brought about beside the thread, at a time that nothing shows: there may have been no room then.
  const wasFull = r.floating && m.ring.lastFullNs >= r.sinceNs;
  if (wasFull && m.scheduler.choose(m, "multishot.room", ["room", "full"]) === 1) return false;
  const cqe = { userData: r.userData, res, flags };
  m.scheduler.beforePost(m, cqe);
  const posted = fillCqe(m, cqe, "aside");
  m.ring.cqFlush = true;
  return posted;
}

/** io_add_aux_cqe: a CQE of no request of this ring, in its task work. */
export function postInTaskWork(m: Machine, cqe: Cqe): void {
  m.scheduler.beforePost(m, cqe);
  if (!fillCqe(m, cqe, "aside")) overflows(m, { ...cqe, group: 0 });
  m.ring.cqFlush = true;
}

/** io_post_aux_cqe: the same, at once, and published. */
export function postAside(m: Machine, cqe: Cqe): void {
  if (m.inCall) m.scheduler.beforePost(m, cqe);
  if (!fillCqe(m, cqe, "aside")) overflows(m, { ...cqe, group: 0 });
  commitCq(m);
}

/** io_submit_flush_completions: nothing to do where nothing completed. */
export function flushCompletions(m: Machine, splits = false): void {
  if (m.ring.completing.length > 0 || m.ring.cqFlush) flushNow(m, splits);
}

/** `splits`: a batch of task work, which a reschedule may cut in two. [taskrun.batch-splits] */
function flushNow(m: Machine, splits = false): void {
  const ring = m.ring;
  const batch = ring.completing;
  ring.completing = [];
  ring.splitting = splits;
  let first = true;
  // [submit.inline-order]
  for (const [at, id] of batch.entries()) {
    const r = m.request(id);
    // [skip.none-on-success]
    if ((r.flags & REQ.CQE_SKIP) !== 0) {
      leavesBehind(m, r.posted ? undefined : r.big);
      continue;
    }
    // [submit.one-cqe-each]
    ring.posting = batch.slice(at);
    if (first || splits) {
      m.scheduler.beforePost(m, cqeOf(r));
      // [cq.big-half-leaks] a worker may have been done in silence with the request that this one was made of
      if (m.inCall && ring.cqeSize > CQE.size) m.scheduler.before(m, () => ({ reads: [BIG_HALF], writes: [] }));
    }
    first = false;
    const cqe = withLeaked(m, cqeOf(r));
    if (!fillCqe(m, cqe)) addOverflow(m, r, cqe);
  }
  ring.splitting = false;
  ring.posting = [];
  commitCq(m);
  let since = m.nowNs;
  for (const id of batch) {
    const r = m.request(id);
    if (r.sinceNs < since) since = r.sinceNs;
    freeRequest(m, r);
  }
  if (ring.drainActive) m.since(since, () => queueDeferred(m));
  ring.cqFlush = false;
}

/** io_free_batch_list, for one request: the last reference starts the successor and drops the file. */
function freeRequest(m: Machine, r: Request): void {
  // [link-timeout.not-found] the timer behind it was armed when it was issued
  mayFireFirst(m, r);
  if (r.held && !heldOn(m, r)) {
    r.refs--;
    releaseDropped(m, r);
  }
  r.held = false;
  // Of most requests nobody counts references: 0.
  if (--r.refs > 0) {
    r.state = r.refs > r.timerRefs ? "effected" : "kept";
    r.posted = true;
    r.flags |= REQ.CQE_SKIP;
    return;
  }
  // [link.chain-order] its own was posted, the successor's comes after
  if ((r.flags & (REQ.LINK | REQ.HARDLINK)) !== 0) m.since(r.sinceNs, () => queueNext(m, r));
  r.state = "done";
  if (r.file !== 0) releaseFile(m, r.file);
  m.requests.delete(r.id);
  m.ring.allocated--;
}

/** Does the worker still have its reference, where that would show? */
function heldOn(m: Machine, r: Request): boolean {
  const shows = r.link !== 0 || r.dropping !== 0 || m.ring.deferred.length > 0 || (r.file !== 0 && m.world.file(r.file).refs === 1);
  if (!shows) return false;
  // [worker.release-late]
  return m.scheduler.choose(m, "worker.release", ["before", "after"]) === 1;
}

/** Is there a backlog? While there is, nothing is posted past it. */
export const hasBacklog = (m: Machine): boolean => m.ring.overflow.length > 0 || m.ring.backlogUnknown;

/**
 * A backlog has begun that nothing tells apart yet, and the tail that was loaded leaves room: a batch that is not
 * published yet took that first, and only then went to the backlog. [overflow.flag-before-tail]
 */
export function beginBacklog(m: Machine): void {
  const { ring } = m;
  ring.backlogUnknown = true;
  setSqFlag(m, IORING_SQ_CQ_OVERFLOW);
  const room = ring.cqEntries - cqPending(m);
  if (room <= 0) return;
  ring.cqWindow = room;
  ring.cqSlot = ring.cachedCqTail & (ring.cqEntries - 1);
}

/** __io_cqring_overflow_flush: as much of the backlog as there is room for. [overflow.flush-fills] */
export function flushOverflow(m: Machine): void {
  const ring = m.ring;
  if (cqPending(m) === ring.cqEntries) return;
  let together = 0;
  // Room is looked for only while there is something to post: a lie of the head comes to light later.
  while (hasBacklog(m) && hasSlot(m)) {
    const at = m.scheduler.nextOfBacklog(m);
    const next = at === undefined ? undefined : ring.overflow[at];
    // [cq.mixed-livelock] a long one that does not fit keeps the wait from ending
    if (next === undefined || !fillCqe(m, next, "backlog")) break;
    ring.overflow = ring.overflow.filter((entry) => entry !== next);
    ring.flushed++;
    together++;
    // [overflow.flush-splits] only who counts signals can tell
    if (ring.eventfd !== undefined && hasBacklog(m) && m.scheduler.choose(m, "overflow.flush", ["goes on", "splits"]) === 1) {
      ring.cqWindow = 0;
      commitCq(m);
      together = 0;
    }
  }
  if (together > 1) m.scheduler.parts(m, together);
  // [overflow.flag-cleared-empty]
  if (!hasBacklog(m)) clearSqFlag(m, IORING_SQ_CQ_OVERFLOW);
  commitCq(m);
}
