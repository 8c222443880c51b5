// The state of the modelled kernel: one ring (struct io_ring_ctx), the requests in it, the task work
// of the application's thread, io-wq's queue, and the world they act on. The functions that move it
// are in the files beside this one; each follows the kernel file of the same name. A fork shares
// memory with its origin until one of them writes.
import type { KernelProfile } from "../kernel.ts";
import { CQE, SQE } from "../spec/codec.gen.ts";
import { IORING_SETUP_CQE32, IORING_SETUP_R_DISABLED, IORING_SETUP_SQE128 } from "../spec/constants.gen.ts";
import type { RegisteredBuffer } from "./buffers.ts";
import type { RegisteredEventfd } from "./eventfd.ts";
import { Memory, shareSegment, type Segment } from "./memory.ts";
import { Request } from "./request.ts";
import type { Restrictions } from "./restriction.ts";
import { pollThreadKey, type PollThread } from "./sqpoll.ts";
import type { MemRegion } from "./wait-region.ts";
import { World } from "./world.ts";

export interface Cqe {
  readonly userData: bigint;
  readonly res: number;
  readonly flags: number;
  /** The second half of a CQE of 32 bytes, where it is not zero. */
  readonly big?: readonly [bigint, bigint];
  /** The result is the number of this open file, which no completion has shown yet. */
  readonly opened?: number;
}

/** A completion in the backlog. */
export interface Backlogged extends Cqe {
  /**
   * A worker or a timer brought it about, so its place shows only when it is flushed: behind the first
   * `from` that ever went to the backlog. Undefined: behind those that are in front of it.
   */
  readonly from?: number;
  readonly group: number;
}

/** What a step reads or writes: object names such as "inode:3". Two steps conflict where one writes what the other touches. */
export interface Footprint {
  readonly reads: readonly string[];
  readonly writes: readonly string[];
}

/**
 * Every freedom the kernel has goes through here. A simulation takes what the profile favours or
 * draws by its seed; the oracle takes what the trace demands, or every alternative in turn.
 */
export interface Scheduler {
  /** Picks one of the alternatives that the kernel has at this point. The first is the favoured one. */
  choose(m: Machine, point: string, alternatives: readonly string[], about?: Request): number;
  /** About to do something with this footprint: workers that conflict with it may come first. */
  before(m: Machine, footprint: () => Footprint): void;
  /** About to reckon the timeouts that count completions: a timer that fires first steps the count back. */
  beforeCount(m: Machine): void;
  /** About to post this CQE inside a call: workers may post theirs first. */
  beforePost(m: Machine, cqe: Cqe): void;
  /** What is posted at once, a reschedule may have cut into as many as `most` postings. */
  parts(m: Machine, most: number): void;
  /** About to run task work: what a worker or a timer does now queues its own behind what is there. */
  beforeTaskWork(m: Machine): void;
  /**
   * Which of `m.running` the thread does next: what was queued from beside it may have come before the
   * others. Undefined: none of them was queued yet, of which that may be so.
   */
  nextTask(m: Machine): number | undefined;
  /** The backlog is being flushed and there is room: which of it comes next; undefined where nothing does. */
  nextOfBacklog(m: Machine): number | undefined;
  /** The result of this request's last completion is settled: its CQE comes, now or later. */
  decided(m: Machine, r: Request): void;
  /** This CQE goes to the backlog. */
  backlogs(m: Machine, cqe: Cqe): void;
  /**
   * A CQE is written to the ring and moves the tail on from `m.ring.cachedCqTail`: as it is written. Throws where this run
   * is not the one looked for. `shows`: it is what the application reads there; left out: true.
   */
  posted(m: Machine, cqe: Cqe, shows?: boolean): Cqe;
  /** Lets the rest of the kernel go on while the caller waits for `done`. */
  wait(m: Machine, done: () => boolean, deadline: WaitDeadline | undefined): "done" | "timeout" | "stuck";
}

export interface WaitDeadline {
  readonly earliestNs: bigint;
  readonly latestNs: bigint;
}

/** Thrown where a run of the model turns out not to be the one that is looked for. */
export const NOT_THIS_RUN: unique symbol = Symbol("not this run");

/** struct io_ring_ctx. Free-running indices are u32: always through `>>> 0`. */
export class RingState {
  readonly flags: number;
  // [mapping.kernel-words-ignored]
  sqEntries: number;
  cqEntries: number;
  /** As it was when the ring was made. */
  firstCqEntries: number;
  arrayOffset: number;
  /** Bytes of a slot of the CQ and of an SQE: twice the usual with IORING_SETUP_CQE32 and SQE128. */
  readonly cqeSize: number;
  readonly sqeSize: number;
  ring: Segment;
  sqes: Segment;
  cachedSqHead = 0;
  cachedCqTail = 0;
  /** CQ slots the kernel believes free without looking at cq.head again (cqe_sentinel - cqe_cached). */
  cqWindow = 0;
  /** The slot that the next CQE goes to while there is a window (cqe_cached). */
  cqSlot = 0;
  overflow: readonly Backlogged[] = [];
  /** How many completions ever went to the backlog, and how many came out of it. */
  backlogged = 0;
  flushed = 0;
  /** When the CQ was last known to be full: something that happened about then may have found no room. */
  lastFullNs = -1n;
  /** A run that follows a trace: the backlog was seen to have begun, with completions nobody has told apart yet. */
  backlogUnknown = false;
  drainActive = false;
  drainNext = false;
  drainDisabled = false;
  deferred: readonly number[] = [];
  /** Requests allocated and not freed (nr_req_allocated less the cache). */
  allocated = 0;
  timeouts: readonly number[] = [];
  linkTimeouts: readonly number[] = [];
  cqTimeouts = 0;
  lastTimeoutFlush = 0;
  offTimeoutUsed = false;
  cancelSeq = 0;
  /** The chain that the running submission is assembling. */
  linkHead = 0;
  linkLast = 0;
  /** Completions of this batch, posted by the next flush. */
  completing: number[] = [];
  /** What is left of the batch that is being posted. */
  posting: readonly number[] = [];
  /** A batch of task work is being posted: late task work may turn out to have been in front of it. */
  splitting = false;
  /** Completions were posted one by one: flush the tail. */
  cqFlush = false;
  /** IORING_SETUP_R_DISABLED, until IORING_REGISTER_ENABLE_RINGS. */
  disabled: boolean;
  /** From IORING_REGISTER_RESTRICTIONS; they hold once the ring is enabled. */
  restrictions: Restrictions | undefined;
  restricted = false;
  eventfd: RegisteredEventfd | undefined;
  /** The table of registered buffers; empty: there is none. */
  buffers: readonly (RegisteredBuffer | undefined)[] = [];
  /** IORING_SETUP_SINGLE_ISSUER: the thread that made or enabled the ring is not the application's. */
  ownedElsewhere = false;
  /** From IORING_REGISTER_MEM_REGION. */
  region: MemRegion | undefined;
  personalities: readonly number[] = [];
  nextPersonality = 1;
  /** The clock of waits: CLOCK_MONOTONIC, or CLOCK_BOOTTIME. */
  clock = 1;
  /** Task work of a ring with IORING_SETUP_DEFER_TASKRUN, oldest first, and what a bounded run left over. */
  localWork: readonly number[] = [];
  retryWork: readonly number[] = [];
  /** Second halves of CQEs that went to the backlog, and are still in the requests that they came from. */
  leaked: readonly (readonly [bigint, bigint])[] = [];
  /** Entries that ever became requests. */
  consumed = 0;
  /** With IORING_SETUP_SQPOLL: the thread that submits. */
  thread: PollThread | undefined;
  /** How many more completions the thread that sleeps, or slept last, waits for (cq_wait_nr). */
  waitsFor = 0;

  constructor(flags: number, sqEntries: number, cqEntries: number, arrayOffset: number, ring: Segment, sqes: Segment) {
    this.flags = flags;
    this.sqEntries = sqEntries;
    this.cqEntries = cqEntries;
    this.firstCqEntries = cqEntries;
    this.arrayOffset = arrayOffset;
    this.cqeSize = (flags & IORING_SETUP_CQE32) === 0 ? CQE.size : 2 * CQE.size;
    // [setup.sqe128]
    this.sqeSize = (flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size;
    this.disabled = (flags & IORING_SETUP_R_DISABLED) !== 0;
    this.ring = ring;
    this.sqes = sqes;
  }

  fork(): RingState {
    const copy = new RingState(
      this.flags, this.sqEntries, this.cqEntries, this.arrayOffset, shareSegment(this.ring), shareSegment(this.sqes),
    );
    copy.firstCqEntries = this.firstCqEntries;
    copy.cachedSqHead = this.cachedSqHead;
    copy.cachedCqTail = this.cachedCqTail;
    copy.cqWindow = this.cqWindow;
    copy.cqSlot = this.cqSlot;
    copy.overflow = this.overflow;
    copy.backlogUnknown = this.backlogUnknown;
    copy.backlogged = this.backlogged;
    copy.flushed = this.flushed;
    copy.lastFullNs = this.lastFullNs;
    copy.drainActive = this.drainActive;
    copy.drainNext = this.drainNext;
    copy.drainDisabled = this.drainDisabled;
    copy.deferred = this.deferred;
    copy.allocated = this.allocated;
    copy.timeouts = this.timeouts;
    copy.linkTimeouts = this.linkTimeouts;
    copy.cqTimeouts = this.cqTimeouts;
    copy.lastTimeoutFlush = this.lastTimeoutFlush;
    copy.offTimeoutUsed = this.offTimeoutUsed;
    copy.cancelSeq = this.cancelSeq;
    copy.linkHead = this.linkHead;
    copy.linkLast = this.linkLast;
    copy.completing = [...this.completing];
    copy.posting = this.posting;
    copy.cqFlush = this.cqFlush;
    copy.disabled = this.disabled;
    copy.restrictions = this.restrictions;
    copy.restricted = this.restricted;
    copy.eventfd = this.eventfd;
    copy.buffers = this.buffers;
    copy.region = this.region;
    copy.ownedElsewhere = this.ownedElsewhere;
    copy.personalities = this.personalities;
    copy.nextPersonality = this.nextPersonality;
    copy.clock = this.clock;
    copy.localWork = this.localWork;
    copy.retryWork = this.retryWork;
    copy.waitsFor = this.waitsFor;
    copy.consumed = this.consumed;
    copy.leaked = this.leaked;
    copy.thread = this.thread;
    return copy;
  }

  key(): string {
    const overflow = this.overflow.map((c) => `${c.userData}:${c.res}:${c.flags}:${c.opened ?? ""}:${c.big ?? ""}:${c.from === undefined ? "" : c.from - this.flushed}`).join(";");
    return `${this.cachedSqHead},${this.cachedCqTail},${this.cqWindow}@${this.cqWindow === 0 ? 0 : this.cqSlot},${overflow},${this.backlogUnknown ? "?" : ""}${this.drainActive ? 1 : 0}${this.drainNext ? 1 : 0}${this.drainDisabled ? 1 : 0},${this.deferred.join("+")},${this.allocated},${this.timeouts.join("+")}/${this.linkTimeouts.join("+")},${this.cqTimeouts},${this.lastTimeoutFlush},${this.cancelSeq},${this.linkHead},${this.linkLast},${this.completing.join("+")},${this.posting.join("+")},${this.disabled ? 1 : 0},${this.eventfd?.lastTail ?? ""}${this.eventfd?.late === true ? "~" : ""},${this.buffers.map((b) => (b === undefined ? "" : `${b.addr}:${b.len}`)).join("+")},${this.localWork.join("+")};${this.retryWork.join("+")}${this.leaked.join("+")}${this.thread === undefined ? "" : pollThreadKey(this.thread)}`;
  }
}

/** Run at the return to user mode: io_uring's own list, or the release of a file whose last reference went. */
export type TaskCallback = "io_uring" | number;

export interface MachineOptions {
  readonly profile: KernelProfile;
  readonly scheduler: Scheduler;
  readonly world?: World;
  readonly memory?: Memory;
  /** Ids for requests, shared by machines that share a world. */
  readonly ids?: { next: number };
  readonly peers?: Machine[];
  /** RLIMIT_MEMLOCK in pages, of a user without CAP_IPC_LOCK. Left out: no limit. */
  readonly lockedPagesMax?: number;
}

export class Machine {
  readonly profile: KernelProfile;
  scheduler: Scheduler;
  world: World;
  memory: Memory;
  readonly ids: { next: number };
  /** Machines in the same world: a wake-up reaches the requests of all of them. */
  readonly peers: readonly Machine[];
  readonly lockedPagesMax: number;
  private state: RingState | undefined;
  /** The inode of the ring's file. */
  ringInode = 0;
  /** The ring's descriptor. */
  ringFd = -1;
  readonly requests = new Map<number, Request>();
  /** tctx->task_list, oldest first. */
  taskList: number[] = [];
  /** What is left of the list that is being run. */
  running: readonly number[] = [];
  /** What was on that list, but was queued from beside the thread after it had run it. */
  unqueued: readonly number[] = [];
  /** task_struct.task_works, oldest first; run newest first. */
  taskWorks: TaskCallback[] = [];
  /** Some of the task work came from outside a call: it need not have run when the call that is running returns. */
  lateTaskWork = false;
  /** The thread is inside a call, or a worker or timer is running beside it. */
  inCall = false;
  /** A worker's step is under way: not that of a timer, nor of the thread that polls. */
  inWorker = false;
  /** With IORING_SETUP_SQPOLL: its thread is in the middle of a step. */
  inThread = false;
  /** What `backlogSince` is for things that the step under way brings about; undefined inside a call. */
  stepBacklog: number | undefined;
  /** The request whose step is under way beside the thread. */
  stepOf: Request | undefined;
  /** A run that follows a trace, on a ring that defers task work: what the last wait's end found, before anything ran. */
  atTimeout: Machine | undefined;
  workSeq = 0;
  hashSeq = 0;
  /** The clock: bounds of the moment that the running step happens in. */
  nowNs = 0n;
  untilNs = 0n;

  constructor(options: MachineOptions) {
    this.profile = options.profile;
    this.scheduler = options.scheduler;
    this.world = options.world ?? new World();
    this.memory = options.memory ?? new Memory();
    this.ids = options.ids ?? { next: 1 };
    this.peers = options.peers ?? [];
    this.lockedPagesMax = options.lockedPagesMax ?? Infinity;
  }

  get ring(): RingState {
    if (this.state === undefined) throw new Error("model: no ring has been set up");
    return this.state;
  }

  set ring(state: RingState) {
    this.state = state;
  }

  get hasRing(): boolean {
    return this.state !== undefined;
  }

  fork(): Machine {
    const copy = new Machine({
      profile: this.profile,
      scheduler: this.scheduler,
      world: this.world.fork(),
      memory: this.memory.fork(),
      ids: { next: this.ids.next },
      lockedPagesMax: this.lockedPagesMax,
    });
    if (this.state !== undefined) copy.state = this.state.fork();
    for (const [id, request] of this.requests) copy.requests.set(id, request.fork());
    copy.ringInode = this.ringInode;
    copy.ringFd = this.ringFd;
    copy.taskList = [...this.taskList];
    copy.running = this.running;
    copy.unqueued = this.unqueued;
    copy.taskWorks = [...this.taskWorks];
    copy.lateTaskWork = this.lateTaskWork;
    copy.workSeq = this.workSeq;
    copy.hashSeq = this.hashSeq;
    copy.nowNs = this.nowNs;
    copy.untilNs = this.untilNs;
    return copy;
  }

  /** Equal keys: no later observation can tell the two states apart, those of ring memory left aside. */
  key(): string {
    let text = this.state?.key() ?? "";
    for (const request of this.requests.values()) text += `#${request.key()}`;
    text += `|${this.order((r) => r.workSeq)}|${this.order((r) => r.hashSeq)}`;
    return `${text}|${this.taskList.join()}|${this.taskWorks.join()}|${this.lateTaskWork ? 1 : 0}|${this.running.join()};${this.unqueued.join()}|${this.world.key()}|${this.memory.key()}`;
  }

  /** Who came before whom, where only that matters. */
  private order(by: (r: Request) => number): string {
    const numbered = [...this.requests.values()].filter((r) => r.state !== "done" && by(r) !== 0);
    return numbered.sort((a, b) => by(a) - by(b)).map((r) => r.id).join();
  }

  /** Does something that may have happened as early as this, and no earlier: neither when it shows nor when the call began dates it. */
  since(ns: bigint, act: () => void): void {
    const now = this.nowNs;
    this.nowNs = ns;
    act();
    this.nowNs = now;
  }

  /** Does something that happens beside the application's thread, though that may be in a call. */
  beside(r: Request, sinceNs: bigint, act: () => void): void {
    const wasIn = this.inCall;
    const wasStep = this.stepBacklog;
    const wasOf = this.stepOf;
    this.inCall = false;
    this.stepBacklog = r.backlogSince;
    this.stepOf = r;
    this.since(sinceNs, act);
    this.stepOf = wasOf;
    this.stepBacklog = wasStep;
    this.inCall = wasIn;
  }

  request(id: number): Request {
    const request = this.requests.get(id);
    if (request === undefined) throw new Error(`model: no request ${id}`);
    return request;
  }

  newRequest(): Request {
    const request = new Request(this.ids.next++);
    request.sinceNs = this.nowNs;
    this.requests.set(request.id, request);
    this.ring.allocated++;
    return request;
  }
}
