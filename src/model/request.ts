// One request inside the kernel (struct io_kiocb): from the SQE that was consumed to the CQE and the
// last reference. The life of a request is in `state`; everything else is what its operation needs.

import type { RegisteredBuffer } from "./buffers.ts";
import type { Footprint } from "./machine.ts";

/** Kernel-private request flags; the low byte is the SQE's own flags (IOSQE_*), as in the kernel. */
export const REQ = {
  FIXED_FILE: 1 << 0,
  IO_DRAIN: 1 << 1,
  LINK: 1 << 2,
  HARDLINK: 1 << 3,
  FORCE_ASYNC: 1 << 4,
  BUFFER_SELECT: 1 << 5,
  CQE_SKIP: 1 << 6,
  FAIL: 1 << 8,
  NOWAIT: 1 << 10,
  SKIP_LINK_CQES: 1 << 11,
} as const;

/** Where a request is. */
export type RequestState =
  /** In a chain, behind another request. */
  | "linked"
  /** In the defer list, behind a drain. */
  | "deferred"
  /** In the hands of code that runs right now. */
  | "running"
  /** Waiting in a wait queue: POLL_ADD, or an I/O request that polls internally. */
  | "polling"
  /** On the timeout list. */
  | "timing"
  /** In the task-work list. */
  | "task-work"
  /** Handed to a worker (io-wq), which has not done its effect. */
  | "queued"
  /** Its effect was done by a worker, its CQE is not posted. */
  | "effected"
  /** In the list of completions that the next flush posts. */
  | "completing"
  | "done"
  /** It ended, and a timer that fired still holds it. */
  | "kept";

/** What task work does with a request when it runs (io_task_work.func). */
export type TaskWork = "submit" | "cancel" | "complete" | "free" | "poll" | "fail-links" | "timeout" | "link-timeout" | "message";

/**
 * What preparation read from the SQE; read once, so that a later change of the SQE is not seen. Every member is always
 * there: V8 is slow where a copy has one that the original had not.
 */
export interface Prepared {
  readonly fd: number;
  readonly addr: bigint;
  readonly len: number;
  readonly off: bigint;
  readonly opFlags: number;
  readonly bufIndex: number;
  // [sq.stable-arguments] what the SQE points to, copied
  /** READV, WRITEV and their fixed forms: the imported iovec. READ, WRITE and their fixed forms: the one buffer. */
  readonly iov: readonly { readonly addr: bigint; readonly len: number }[] | undefined;
  readonly path: string | undefined;
  /** MSG_RING: command, source and target slot, or the flags to pass. */
  readonly message: { readonly command: number; readonly source: number; readonly target: number } | undefined;
  /** Reads and writes: attr_ptr points to attributes. */
  readonly hasAttributes: boolean;
  /** TIMEOUT and update: the time in nanoseconds, relative or absolute. */
  readonly ns: bigint | undefined;
}

/** How far a cancel has come that a worker runs. */
export interface Cancelling {
  readonly seq: number;
  readonly count: number;
}

export const NOTHING: Prepared = {
  fd: -1, addr: 0n, len: 0, off: 0n, opFlags: 0, bufIndex: 0, iov: undefined, path: undefined, message: undefined, hasAttributes: false, ns: undefined,
};

const sums = new WeakMap<Prepared, number>();

/**
 * A sum of what preparation read. A thread that polls may have read the SQE before the application wrote it anew, or
 * behind that: two requests that are otherwise alike.
 */
export function preparedSum(of: Prepared): number {
  if (of === NOTHING) return 0;
  let sum = sums.get(of);
  if (sum === undefined) {
    const { fd, addr, len, off, opFlags, bufIndex, iov = [], path = "", message, hasAttributes, ns = 0n } = of;
    sum = 0x811c9dc5;
    const mix = (value: number): void => void (sum = Math.imul((sum ?? 0) ^ value, 0x01000193));
    const big = (value: bigint): void => {
      mix(Number(value & 0xffff_ffffn));
      mix(Number((value >> 32n) & 0xffff_ffffn));
    };
    for (const value of [fd, len, opFlags, bufIndex, iov.length, message?.command ?? -1, message?.source ?? -1, message?.target ?? -1, hasAttributes ? 1 : 0]) mix(value);
    for (const value of [addr, off, ns]) big(value);
    for (const v of iov) {
      big(v.addr);
      mix(v.len);
    }
    for (let i = 0; i < path.length; i++) mix(path.charCodeAt(i));
    sums.set(of, sum);
  }
  return sum | 0;
}

export class Request {
  readonly id: number;
  opcode = 0;
  flags = 0;
  userData = 0n;
  res = 0;
  cflags = 0;
  state: RequestState = "running";
  prepared: Prepared = NOTHING;
  /** The registered buffer that it uses, from when it is first issued. */
  buffer: RegisteredBuffer | undefined;
  /** Open file description (world.ts), 0: none. */
  file = 0;
  /** Next request of the chain, 0: none. */
  link = 0;
  /** The open file whose number the completion will show, 0: none. */
  opened = 0;
  taskWork: TaskWork = "complete";
  /** It came to where it is at this moment or later: what it does next can't be earlier. */
  sinceNs = 0n;
  /** References: a worker holds one of its own beside the completion's. 0: not counted. */
  refs = 0;

  /** The CQE is posted; the request lives on until the worker lets go of it. */
  posted = false;
  /** A worker that failed may still have its reference when the thread completes the request. */
  held = false;

  // Polling.
  pollEvents = 0;
  pollRefs = 0;
  pollCancelled = false;
  /** The wait queues it stands in. */
  pollQueues: readonly number[] = [];
  /** In the cancel hash table: position is insertion order (`hashSeq`), 0: not in it. */
  hashSeq = 0;
  pollRetries = 0;
  polled = false;
  /** POLL_ADD's mask at wake-up, io_kiocb.cqe.res before it becomes the result. */
  pollMask = 0;

  // Timing.
  timeoutOff = 0;
  targetSeq = 0;
  /** The completions that count, when it was handed to a worker. */
  sinceSeq = 0;
  repeats = 0;
  /** Earliest moment at which the timer may fire. */
  earliestNs = 0n;

  // Link timeouts: of the request that is timed, and of the timer.
  /** "arms": the timer behind it starts when it is issued; "armed": it has. */
  linkTimer: "none" | "arms" | "armed" = "none";
  /** References that timers have which fired and did not run yet. */
  timerRefs = 0;
  /** The request that the timer is for, 0: it ended, or the timer fired. */
  head = 0;
  /** The request that a timer that fired is about to cancel. */
  cancels = 0;

  // Worker.
  /** Order of arrival at io-wq. */
  workSeq = 0;
  /** Writes of one regular file are serialised (io_wq_hash_work): the inode, 0: not hashed. */
  workHash = 0;
  /** Unbounded work of io-wq: may take for ever. */
  unbound = false;
  /** As local work it wakes a thread that waits for as many completions or fewer (nr_tw). */
  wakesFrom = 0;
  workCancelled = false;
  /** An ASYNC_CANCEL said -EALREADY: a worker that blocks is interrupted, one that had not begun may refuse. */
  workInterrupted = false;
  /** The worker waits inside read(2) or write(2), or did. */
  waited = false;

  /** A file that the worker closed: it lets go of it after the completion. */
  dropping = 0;
  /** The second half of its CQE, with IORING_NOP_CQE32. */
  big: readonly [bigint, bigint] | undefined;

  cancelSeq = -1;
  cancelling: Cancelling | undefined;

  /** Where every buffer is a write of its own: which is next, and how much was written. */
  segment = 0;
  moved = 0;
  /** The file's position that a worker's transfer has yet to store. */
  latePosition: number | undefined;
  /** Positions that the file had since a worker got the request: it may have read one of them. */
  earlierPositions: readonly number[] = [];

  /** How many completions had gone to the backlog when it was handed to a worker or armed a timer. */
  backlogSince = 0;
  /** It was completed beside the application's thread: nothing tells when, before the backlog is flushed. */
  floating = false;
  /** Whose step that was, and what that touched. */
  cause = 0;
  causeTouches: Footprint | undefined;
  /** The first request of its chain: members of one chain complete in order. */
  group = 0;

  /** What it touches, as last reckoned, and for which state of the descriptors, its file and its chain. */
  touches: Footprint | undefined;
  touchesKey = -1;

  constructor(id: number) {
    this.id = id;
  }

  fork(): Request {
    const copy = new Request(this.id);
    copy.opcode = this.opcode;
    copy.flags = this.flags;
    copy.userData = this.userData;
    copy.res = this.res;
    copy.cflags = this.cflags;
    copy.state = this.state;
    copy.prepared = this.prepared;
    copy.file = this.file;
    copy.buffer = this.buffer;
    copy.link = this.link;
    copy.opened = this.opened;
    copy.taskWork = this.taskWork;
    copy.sinceNs = this.sinceNs;
    copy.refs = this.refs;
    copy.posted = this.posted;
    copy.held = this.held;
    copy.pollEvents = this.pollEvents;
    copy.pollRefs = this.pollRefs;
    copy.pollCancelled = this.pollCancelled;
    copy.pollQueues = this.pollQueues;
    copy.hashSeq = this.hashSeq;
    copy.pollRetries = this.pollRetries;
    copy.polled = this.polled;
    copy.pollMask = this.pollMask;
    copy.timeoutOff = this.timeoutOff;
    copy.targetSeq = this.targetSeq;
    copy.sinceSeq = this.sinceSeq;
    copy.repeats = this.repeats;
    copy.earliestNs = this.earliestNs;
    copy.workSeq = this.workSeq;
    copy.big = this.big;
    copy.dropping = this.dropping;
    copy.linkTimer = this.linkTimer;
    copy.timerRefs = this.timerRefs;
    copy.head = this.head;
    copy.cancels = this.cancels;
    copy.workHash = this.workHash;
    copy.unbound = this.unbound;
    copy.wakesFrom = this.wakesFrom;
    copy.workCancelled = this.workCancelled;
    copy.workInterrupted = this.workInterrupted;
    copy.waited = this.waited;
    copy.cancelSeq = this.cancelSeq;
    copy.cancelling = this.cancelling;
    copy.segment = this.segment;
    copy.moved = this.moved;
    copy.latePosition = this.latePosition;
    copy.earlierPositions = this.earlierPositions;
    copy.backlogSince = this.backlogSince;
    copy.floating = this.floating;
    copy.cause = this.cause;
    copy.causeTouches = this.causeTouches;
    copy.group = this.group;
    copy.touches = this.touches;
    copy.touchesKey = this.touchesKey;
    return copy;
  }

  /** Everything that a later step can tell apart, for the state key. */
  key(): string {
    return `${this.id},${this.opcode},${this.flags},${this.userData},${this.res},${this.state},${this.file}${this.buffer === undefined ? "" : "b"},${this.link},${this.opened},${this.taskWork},${this.refs},${this.posted ? 1 : 0}${this.held ? 1 : 0},${this.pollEvents},${this.pollRefs},${this.pollCancelled ? 1 : 0},${this.pollQueues.join("+")},${this.hashSeq === 0 ? 0 : 1},${this.pollRetries},${this.pollMask},${this.timeoutOff},${this.targetSeq},${this.timeoutOff === 0 ? 0 : this.sinceSeq},${this.repeats},${this.earliestNs},${preparedSum(this.prepared)},${this.workHash}${this.unbound ? "u" : ""},${this.cancelling?.count ?? ""},${this.segment},${this.moved},${this.latePosition ?? ""},${this.earlierPositions.join("+")},${this.dropping},${this.linkTimer === "none" ? "" : this.linkTimer}${this.timerRefs}/${this.head}/${this.cancels},${this.workCancelled ? 1 : 0}${this.workInterrupted ? 1 : 0}${this.waited ? 1 : 0}${this.state === "task-work" && Number.isFinite(this.wakesFrom) ? this.wakesFrom : ""}`;
  }
}
