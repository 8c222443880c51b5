// Submission: SQEs become requests. Follows io_uring/io_uring.c (io_submit_sqes, io_get_sqe,
// io_init_req, io_submit_fail_init, io_submit_state_end).
import {
  EACCES, EBADF, EBUSY, ECANCELED, EINVAL, EOPNOTSUPP, IORING_OP_NOP, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SUBMIT_ALL, IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS, IOSQE_IO_DRAIN, SQE_FLAGS,
} from "../spec/constants.gen.ts";
import { decodeSqe, type Sqe } from "../spec/codec.gen.ts";
import { OPS } from "../spec/ops.gen.ts";
import { polls } from "./iopoll.ts";
import { failDeferred, flushCompletions, flushOverflow, hasBacklog, setFail } from "./completion.ts";
import { deferRequest, startDrain } from "./drain.ts";
import { assignFile, queueSqe } from "./issue.ts";
import { WORD } from "./layout.ts";
import type { Machine } from "./machine.ts";
import { load32, store32, writable } from "./memory.ts";
import { operation } from "./operation.ts";
import { flagsOf, obeys } from "./profile.ts";
import { NOTHING, REQ, type Request } from "./request.ts";
import { mayBeSubmitted } from "./restriction.ts";
import { queueWork } from "./worker.ts";

// [hardlink.implies-link]
const LINKS = REQ.LINK | REQ.HARDLINK;

/** Entries that the application has published and that were not read. */
export function publishedEntries(m: Machine): number {
  const ring = m.ring;
  const tail = load32(ring.ring.bytes, WORD.sqTail);
  // [sq.head-app-store-ignored]
  const published = (tail - ring.cachedSqHead) >>> 0;
  // [sq.tail-clamped] a tail that lies submits at most the whole ring
  if (published > ring.sqEntries) return ring.sqEntries;
  return published;
}

/** io_submit_sqes: how many entries were consumed, or -errno. [enter.returns-consumed] */
export function submitSqes(m: Machine, toSubmit: number): number {
  if (refusedForBacklog(m)) return -EBUSY;
  const entries = Math.min(toSubmit >>> 0, publishedEntries(m));
  if (entries === 0) return 0;
  beginBatch(m);
  const before = m.ring.consumed;
  for (let left = entries; left > 0; left--) if (!submitNext(m)) break;
  endBatch(m);
  flushCompletions(m);
  publishHead(m);
  return m.ring.consumed - before;
}

/** Is there a backlog that leaves no room, on a kernel which minds that? */
function refusedForBacklog(m: Machine): boolean {
  if (!hasBacklog(m)) return false;
  // [overflow.submit-allowed]
  if (!obeys(m.profile, "overflow.submit-busy")) return false;
  // [overflow.submit-busy]
  flushOverflow(m);
  return hasBacklog(m);
}

// [link.not-across-submissions]
export function beginBatch(m: Machine): void {
  m.ring.linkHead = 0;
}

/** Reads the next entry and submits it; false where the batch ends with it. */
export function submitNext(m: Machine): boolean {
  const sqe = getSqe(m);
  // [sq.dropped-stops] the head moved past it, and it is not counted
  if (sqe === undefined) return false;
  // [submit.issue-error-goes-on]
  const failed = submitSqe(m, sqe);
  m.ring.consumed++;
  if (!failed) return true;
  // [submit.prep-error-stops] [submit.submit-all]
  return (m.ring.flags & IORING_SETUP_SUBMIT_ALL) !== 0;
}

/** What is left of a chain that was not terminated. [link.unterminated-worker] */
export function endBatch(m: Machine): void {
  // [link.not-across-submissions] the chain ends here
  if (m.ring.linkHead !== 0) {
    const head = m.request(m.ring.linkHead);
    // [link.unterminated-inline]
    if (obeys(m.profile, "link.unterminated-inline")) queueChain(m, head);
    else queueFallback(m, head);
  }
  // [link.not-across-submissions]
  m.ring.linkHead = 0;
}

// [sq.head-once] published once, after everything was read
export function publishHead(m: Machine): void {
  store32(writable(m.ring.ring), WORD.sqHead, m.ring.cachedSqHead);
}

/** io_get_sqe: the next entry, through the array; undefined where its index is out of range. */
function getSqe(m: Machine): Sqe | undefined {
  const ring = m.ring;
  const slot = ring.cachedSqHead & (ring.sqEntries - 1);
  // [sq.free-running]
  ring.cachedSqHead = (ring.cachedSqHead + 1) >>> 0;
  let index = slot;
  // [sq.no-sqarray]
  if ((ring.flags & IORING_SETUP_NO_SQARRAY) === 0) {
    // [sq.array-index]
    index = load32(ring.ring.bytes, ring.arrayOffset + slot * 4);
    if (index >= ring.sqEntries) {
      // [sq.dropped-counts]
      const bytes = writable(ring.ring);
      store32(bytes, WORD.sqDropped, (load32(bytes, WORD.sqDropped) + 1) >>> 0);
      return undefined;
    }
  }
  const { buffer, byteOffset, length } = ring.sqes.bytes;
  // [sq.entry-reusable]
  return decodeSqe(new DataView(buffer, byteOffset, length), index * ring.sqeSize);
}

/** Did it fail before its operation was asked, or by its operation? */
interface Refusal {
  readonly error: number;
  readonly by: "init" | "prepare";
}

/** io_init_req and what prepares the operation: 0, or -errno, which fails the request at submission. */
function initRequest(m: Machine, r: Request, sqe: Sqe): Refusal {
  const error = checkRequest(m, r, sqe);
  if (error !== 0) return { error, by: "init" };
  return { error: operation(sqe.opcode, OPS[sqe.opcode]?.name ?? "?").prepare(m, r, sqe), by: "prepare" };
}

function checkRequest(m: Machine, r: Request, sqe: Sqe): number {
  const ring = m.ring;
  r.opcode = sqe.opcode;
  r.flags = sqe.flags;
  // [sq.user-data]
  r.userData = sqe.userData;
  r.prepared = { ...NOTHING, fd: sqe.fd, addr: sqe.addr, len: sqe.len, off: sqe.off, opFlags: sqe.opFlags, bufIndex: sqe.bufIndex };
  const op = OPS[sqe.opcode];
  // [submit.invalid-opcode] [submit.invalid-flags]
  if (op === undefined || !m.profile.opcodes.includes(sqe.opcode)) {
    r.opcode = 0;
    return -EINVAL;
  }
  if ((sqe.flags & ~flagsOf(m.profile, SQE_FLAGS)) !== 0) return -EINVAL;
  // [restriction.before-buffer-select]
  if (obeys(m.profile, "restriction.before-buffer-select") && !mayBeSubmitted(m, sqe.opcode, sqe.flags)) return -EACCES;
  // [submit.buffer-select-unsupported]
  if ((sqe.flags & IOSQE_BUFFER_SELECT) !== 0 && !op.bufferSelect) return -EOPNOTSUPP;
  if ((sqe.flags & IOSQE_CQE_SKIP_SUCCESS) !== 0) ring.drainDisabled = true;
  if ((sqe.flags & IOSQE_IO_DRAIN) !== 0) {
    // [drain.disabled-by-skip]
    if (ring.drainDisabled) return -EOPNOTSUPP;
    startDrain(m);
  }
  if (!mayBeSubmitted(m, sqe.opcode, sqe.flags)) return -EACCES;
  // [drain.forces-worker] [drain.defers-later] it goes where what is held back waits
  if (ring.drainActive) r.flags |= REQ.FORCE_ASYNC;
  if (ring.drainNext && ring.linkHead === 0) {
    ring.drainNext = false;
    ring.drainActive = true;
    r.flags |= REQ.IO_DRAIN | REQ.FORCE_ASYNC;
  }
  // [submit.ioprio] [submit.personality] [register.personality-used]
  if (!op.ioprio && sqe.ioprio !== 0 && !unlookedAt(m, sqe)) return -EINVAL;
  // [iopoll.opcodes]
  if (!op.iopoll && polls(m)) return -EINVAL;
  if (sqe.personality !== 0 && !ring.personalities.includes(sqe.personality)) return -EINVAL;
  // [issue.file-early]
  return obeys(m.profile, "issue.file-early") && !assignFile(m, r) ? -EBADF : 0;
}

/** [nop.ioprio-ignored] */
const unlookedAt = (m: Machine, sqe: Sqe): boolean => sqe.opcode === IORING_OP_NOP && obeys(m.profile, "nop.ioprio-ignored");

/** io_submit_sqe: true where the request failed and nothing follows it in its chain. */
function submitSqe(m: Machine, sqe: Sqe): boolean {
  const ring = m.ring;
  // [sq.no-in-flight-limit]
  const r = m.newRequest();
  const refused = initRequest(m, r, sqe);
  if (refused.error !== 0) return obeys(m.profile, "link.prep-error-alone") ? failAlone(m, r, refused) : failInit(m, r, refused.error);
  if (ring.linkHead !== 0) {
    m.request(ring.linkLast).link = r.id;
    ring.linkLast = r.id;
    r.state = "linked";
    if ((r.flags & LINKS) !== 0) return false;
    const head = m.request(ring.linkHead);
    ring.linkHead = 0;
    queueChain(m, head);
  } else if ((r.flags & LINKS) !== 0) {
    // [link.collects] nothing of a chain runs before its last member was read
    ring.linkHead = r.id;
    ring.linkLast = r.id;
    r.state = "linked";
  } else if ((r.flags & REQ.FORCE_ASYNC) !== 0) {
    // [worker.async-flag]
    queueFallback(m, r);
  } else {
    queueSqe(m, r);
  }
  return false;
}

function queueChain(m: Machine, head: Request): void {
  head.state = "running";
  if ((head.flags & (REQ.FORCE_ASYNC | REQ.FAIL)) !== 0) queueFallback(m, head);
  else queueSqe(m, head);
}

/**
 * What came before io_submit_fail_init: the request completes by itself, and is in no chain. True where the batch ends
 * with it. [link.prep-error-alone] [link.head-prep-error] [submit.prep-error-goes-on]
 */
function failAlone(m: Machine, r: Request, { error, by }: Refusal): boolean {
  const ring = m.ring;
  const head = ring.linkHead === 0 ? undefined : m.request(ring.linkHead);
  if (by === "prepare" && head === undefined && (r.flags & LINKS) !== 0) {
    setFail(r);
    r.res = -ECANCELED;
    r.state = "linked";
    ring.linkHead = r.id;
    ring.linkLast = r.id;
    return false;
  }
  if (by === "prepare" && head !== undefined) {
    setFail(head);
    head.res = -ECANCELED;
  }
  r.state = "running";
  failDeferred(m, r, error);
  return by === "init" || head !== undefined;
}

/** io_submit_fail_init: a chain is read to its end before it fails. [link.prep-error-cancels-all] [link.prep-error-in-chain-goes-on] */
function failInit(m: Machine, r: Request, error: number): boolean {
  const ring = m.ring;
  setFail(r);
  r.res = error;
  const head = ring.linkHead === 0 ? undefined : m.request(ring.linkHead);
  if (head !== undefined && (head.flags & REQ.FAIL) === 0) {
    setFail(head);
    head.res = -ECANCELED;
  }
  if (head !== undefined) m.request(ring.linkLast).link = r.id;
  if ((r.flags & LINKS) === 0) {
    ring.linkHead = 0;
    queueFallback(m, head ?? r);
    return true;
  }
  if (head === undefined) ring.linkHead = r.id;
  ring.linkLast = r.id;
  r.state = "linked";
  return false;
}

/** io_queue_sqe_fallback: a failed chain completes, a drained one waits, any other goes to a worker. */
function queueFallback(m: Machine, r: Request): void {
  r.state = "running";
  if ((r.flags & REQ.FAIL) !== 0) {
    // [hardlink.prep-error-severs]
    r.flags = (r.flags & ~REQ.HARDLINK) | REQ.LINK;
    failDeferred(m, r, r.res);
  } else if (m.ring.drainActive) {
    // [drain.undrained-chains] only then does anything wait for others
    deferRequest(m, r);
  } else {
    queueWork(m, r);
  }
}
