// Runs a program on a kernel and records what it did and saw. Everything goes through the port, so that
// no line here knows which kernel it is. After every call the ring is loaded (a load is not a call: it
// changes nothing), and at the end everything is cancelled, settled and looked at.
import { parseFdinfo } from "../fdinfo.ts";
import { type InfoFile, type Kernel, KernelError, type Region, type Ring } from "../kernel.ts";
import {
  IORING_ASYNC_CANCEL_ANY, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_ENTER_SQ_WAIT, IORING_ENTER_SQ_WAKEUP, IORING_REGISTER_SYNC_CANCEL,
  IORING_CQE_F_32, IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SQE128, IORING_SETUP_SQPOLL, IORING_SQ_NEED_WAKEUP,
} from "../spec/constants.gen.ts";
import { CQE, GETEVENTS_ARG, KERNEL_TIMESPEC, SQE, SYNC_CANCEL_REG } from "../spec/codec.gen.ts";
import { CompletionQueue } from "../ring/cq.ts";
import { SubmissionQueue } from "../ring/sq.ts";
import { Bookkeeping } from "./bookkeeping.ts";
import { lowerSqe } from "./lower.ts";
import type { Operation, Program } from "./program.ts";
import { isEndless, RING_WORDS } from "./program.ts";
import { ringParams } from "./ring-params.ts";
import type { EnterEvent, Observer, SeenCqe, TraceEvent } from "./trace.ts";
import { ProgramWorld } from "./world.ts";

export interface RunOptions {
  readonly observer?: Observer;
  /** How long something inevitable may take. */
  readonly watchdogNs?: bigint;
  /** Called before a wait that nothing bounds: the process may be lost in it. */
  readonly onRisk?: (events: readonly TraceEvent[], next: EnterEvent) => void;
}

export interface RunReport {
  readonly events: readonly TraceEvent[];
  /** Nanoseconds spent waiting for timers. */
  readonly blockedNs: number;
}

const WATCHDOG_NS = 500_000_000n;
/** Timers that end within this are waited for; longer ones are cancelled. */
export const HORIZON_NS = 20_000_000n;
/** How long a submission waits for completions at most. */
export const WAIT_NS = 200_000n;
/** Rounds of a settling, and of the end. */
export const SETTLE_ROUNDS = 16;
const WORDS = 16;
const SIGSET_BYTES = 8;

/** Runs a program; the kernel is as it was afterwards. Throws where the program asks for what the model has not. */
export function runProgram(kernel: Kernel, program: Program, options: RunOptions = {}): RunReport {
  return new Run(kernel, program, options).run();
}

class Run {
  private readonly kernel: Kernel;
  private readonly program: Program;
  private readonly options: RunOptions;
  private readonly events: TraceEvent[] = [];
  private readonly world: ProgramWorld;
  private readonly books = new Bookkeeping();
  private blockedNs = 0;
  private waitArg: Region | undefined;
  private ring: Ring | undefined;
  private info: InfoFile | undefined;
  private words: Uint32Array = new Uint32Array(0);
  private slots: DataView = new DataView(new ArrayBuffer(0));
  private seenTail = 0;

  constructor(kernel: Kernel, program: Program, options: RunOptions) {
    this.kernel = kernel;
    this.program = program;
    this.options = options;
    this.world = new ProgramWorld(kernel, program, (event) => this.record(event));
  }

  private record(event: TraceEvent): void {
    this.events.push(event);
    this.options.observer?.event(event);
  }

  run(): RunReport {
    try {
      this.world.open();
      const ring = this.setup();
      if (ring !== undefined) {
        this.runOn(ring);
        this.world.lookAtEverything();
      }
    } finally {
      this.ring?.close();
      this.world.close();
    }
    return { events: this.events, blockedNs: this.blockedNs };
  }

  private setup(): Ring | undefined {
    const { ring: spec } = this.program;
    const params = ringParams(spec);
    const from = this.kernel.nowNs();
    try {
      const ring = this.kernel.setup(spec.entries, params);
      this.ring = ring;
      // Before the first request: later its descriptor could be one that a request means.
      if (this.program.ops.some(({ op }) => op === "fdinfo")) this.info = ring.openInfo();
      this.world.ring = ring.fd;
      const counters = new Uint32Array(ring.sqRing.buffer, ring.sqRing.byteOffset, WORDS)[ring.params.sqOff.tail >>> 2] ?? 0;
      const filled = { filled: ring.params, ...(counters === 0 ? {} : { counters }) };
      this.record({ event: "setup", from, to: this.kernel.nowNs(), entries: spec.entries, params, result: ring.fd, ...filled });
      return ring;
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      this.record({ event: "setup", from, to: this.kernel.nowNs(), entries: spec.entries, params, result: -error.errno });
      return undefined;
    }
  }

  private runOn(ring: Ring): void {
    const { sqRing } = ring;
    this.words = new Uint32Array(sqRing.buffer, sqRing.byteOffset, WORDS);
    this.slots = new DataView(ring.cqRing.buffer, ring.cqRing.byteOffset, ring.cqRing.byteLength);
    const sq = new SubmissionQueue(ring);
    const cq = new CompletionQueue(ring);
    this.seenTail = this.words[ring.params.cqOff.tail >>> 2] ?? 0;
    if ((ring.params.flags & IORING_SETUP_NO_SQARRAY) === 0) {
      const { array } = ring.params.sqOff;
      this.stored("ring", array, sqRing.slice(array, array + 4 * ring.params.sqEntries));
    }
    this.peek();
    for (const operation of this.program.ops) this.execute(ring, sq, cq, operation);
    this.finish(ring, cq);
  }

  private now(): bigint {
    return this.kernel.nowNs();
  }

  private stored(region: "ring" | "sqes", at: number, bytes: Uint8Array): void {
    const from = this.now();
    this.record({ event: "store", from, to: from, region, at, bytes });
  }

  private word(at: number): Uint8Array {
    return this.ring?.sqRing.slice(at, at + 4) ?? new Uint8Array(4);
  }

  /** Does a thread of the kernel's submit, beside this one? */
  private get polled(): boolean {
    return ((this.ring?.params.flags ?? 0) & IORING_SETUP_SQPOLL) !== 0;
  }

  /** Loads the ring: the tail, what it shows, and the other words. */
  private peek(): void {
    const { ring, words } = this;
    if (ring === undefined) return;
    // On the model it goes on when it is looked at.
    if (this.polled) void ring.sqRing;
    const from = this.now();
    const tailAt = ring.params.cqOff.tail >>> 2;
    const { cqEntries } = ring.params;
    let cqTail: number;
    let all: readonly number[];
    // A thread that polls moves the tail and then the head: they are loaded again until they belong together.
    do {
      cqTail = Atomics.load(words, tailAt);
      all = Array.from({ length: WORDS }, (_, i) => (i === tailAt ? cqTail : Atomics.load(words, i)));
    } while (this.polled && Atomics.load(words, tailAt) !== cqTail);
    const fresh = Math.min((cqTail - this.seenTail) >>> 0, cqEntries);
    const cqes: SeenCqe[] = [];
    for (let i = 0; i < fresh; i++) {
      const cqe = this.loadCqe((cqTail - fresh + i) & (cqEntries - 1));
      cqes.push(cqe);
      // On a ring with IORING_SETUP_CQE_MIXED a long one takes two slots.
      if (cqe.big !== undefined && (ring.params.flags & IORING_SETUP_CQE_MIXED) !== 0) i++;
    }
    this.seenTail = cqTail;
    this.record({ event: "peek", from, to: this.now(), cqTail, cqes, words: all });
    for (const cqe of cqes) this.books.completed(this.kernel, cqe);
  }

  private loadCqe(slot: number): SeenCqe {
    const flags = this.ring?.params.flags ?? 0;
    const all32 = (flags & IORING_SETUP_CQE32) !== 0;
    const at = (this.ring?.params.cqOff.cqes ?? 0) + slot * (all32 ? 2 * CQE.size : CQE.size);
    const seen = {
      slot,
      userData: this.slots.getBigUint64(at + CQE.user_data, true),
      res: this.slots.getInt32(at + CQE.res, true),
      flags: this.slots.getUint32(at + CQE.flags, true),
    };
    const big = all32 || ((flags & IORING_SETUP_CQE_MIXED) !== 0 && (seen.flags & IORING_CQE_F_32) !== 0);
    if (!big) return seen;
    return { ...seen, big: [this.slots.getBigUint64(at + CQE.size, true), this.slots.getBigUint64(at + CQE.size + 8, true)] };
  }

  private execute(ring: Ring, sq: SubmissionQueue, cq: CompletionQueue, operation: Operation): void {
    switch (operation.op) {
      case "sqe": {
        let slot = sq.next();
        if (slot < 0) {
          this.submit(ring, sq, 0, this.polled ? IORING_ENTER_SQ_WAIT | IORING_ENTER_SQ_WAKEUP : 0);
          slot = sq.next();
          if (slot < 0) return;
        }
        // The head that showed it free was moved beside us.
        if (this.polled) this.peek();
        return this.fill(ring, slot, operation);
      }
      case "submit":
        return this.submit(ring, sq, operation.wait ?? 0, operation.getevents === true ? IORING_ENTER_GETEVENTS : 0, operation.signals);
      case "settle":
        return this.settle(ring, cq);
      case "reap":
        return this.reap(ring, cq, operation.max ?? ring.params.cqEntries);
      case "write":
      case "read":
      case "close":
        this.peek();
        this.world.call(operation, this.books.opened);
        return this.peek();
      case "raise":
        this.peek();
        this.world.raise();
        return this.peek();
      case "fdinfo":
        return this.readInfo();
      case "store": {
        const at = this.wordOffset(ring, operation.word);
        const old = this.words[at >>> 2] ?? 0;
        this.words[at >>> 2] = operation.value ?? (old + (operation.add ?? 0)) >>> 0;
        return this.stored("ring", at, this.word(at));
      }
      case "array": {
        if ((ring.params.flags & IORING_SETUP_NO_SQARRAY) !== 0) return;
        const at = ring.params.sqOff.array + 4 * (operation.slot & (ring.params.sqEntries - 1));
        new DataView(ring.sqRing.buffer, ring.sqRing.byteOffset).setUint32(at, operation.index, true);
        return this.stored("ring", at, this.word(at));
      }
      case "slot":
        return this.fill(ring, operation.slot & (ring.params.sqEntries - 1), operation.sqe);
      case "enter":
        return this.rawEnter(ring, operation);
    }
  }

  /** Never done in silence: it runs task work. */
  private readInfo(): void {
    this.peek();
    const from = this.now();
    const text = this.info?.read() ?? "";
    this.record({ event: "fdinfo", from, to: this.now(), info: parseFdinfo(text) });
    this.peek();
  }

  private wordOffset(ring: Ring, word: (typeof RING_WORDS)[number]): number {
    const { sqOff, cqOff } = ring.params;
    const offsets = {
      sqHead: sqOff.head, sqTail: sqOff.tail, sqRingMask: sqOff.ringMask, sqRingEntries: sqOff.ringEntries,
      sqDropped: sqOff.dropped, sqFlags: sqOff.flags, cqHead: cqOff.head, cqTail: cqOff.tail,
      cqRingMask: cqOff.ringMask, cqRingEntries: cqOff.ringEntries, cqFlags: cqOff.flags, cqOverflow: cqOff.overflow,
    };
    return offsets[word];
  }

  private fill(ring: Ring, slot: number, spec: Parameters<typeof lowerSqe>[0]): void {
    const lowered = lowerSqe(spec, this.world, this.books.opened, this.now());
    const at = slot * ((ring.params.flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size);
    ring.sqes.set(lowered.bytes, at);
    this.stored("sqes", at, lowered.bytes);
    this.books.submitted(spec, lowered.fd);
  }

  private submit(ring: Ring, sq: SubmissionQueue, wait: number, flags: number, signals = false): void {
    if (this.polled) this.peek();
    sq.publish();
    this.stored("ring", ring.params.sqOff.tail, this.word(ring.params.sqOff.tail));
    if (this.polled) return this.submitPolled(ring, sq, wait, flags, signals);
    if (wait === 0) return this.enter(ring, { toSubmit: sq.queued, minComplete: 0, flags });
    this.enter(ring, {
      toSubmit: sq.queued,
      minComplete: wait,
      flags: IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
      arg: this.bound(0n, WAIT_NS, undefined, signals),
    });
  }

  /** As liburing does: the thread that polls is woken where it says that it sleeps; no call where there is nothing to ask for. */
  private submitPolled(ring: Ring, sq: SubmissionQueue, wait: number, flags: number, signals: boolean): void {
    this.peek();
    const sleeps = ((this.words[ring.params.sqOff.flags >>> 2] ?? 0) & IORING_SQ_NEED_WAKEUP) !== 0;
    const all = sleeps ? flags | IORING_ENTER_SQ_WAKEUP : flags;
    const call = { toSubmit: sq.queued, minComplete: wait, flags: all };
    if (wait > 0) this.enter(ring, { ...call, flags: all | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, arg: this.bound(0n, WAIT_NS, undefined, signals) });
    else if (all !== 0) this.enter(ring, call);
  }

  /** A struct io_uring_getevents_arg with a timespec behind it, and a signal mask that lets everything in. */
  private bound(seconds: bigint, nanoseconds: bigint, timeAddr?: bigint, signals = false): { addr: bigint; size: number } {
    this.waitArg ??= this.world.alloc(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size + SIGSET_BYTES);
    const { addr, bytes } = this.waitArg;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    view.setBigUint64(GETEVENTS_ARG.ts, timeAddr ?? addr + BigInt(GETEVENTS_ARG.size), true);
    view.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_sec, seconds, true);
    view.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_nsec, nanoseconds, true);
    view.setBigUint64(GETEVENTS_ARG.sigmask, signals ? addr + BigInt(GETEVENTS_ARG.size + KERNEL_TIMESPEC.size) : 0n, true);
    view.setUint32(GETEVENTS_ARG.sigmask_sz, signals ? SIGSET_BYTES : 0, true);
    this.world.stored(this.waitArg);
    return { addr, size: GETEVENTS_ARG.size };
  }

  private rawEnter(ring: Ring, operation: Operation & { op: "enter" }): void {
    const { toSubmit, minComplete, flags } = operation;
    let arg: { addr: bigint; size: number } | undefined;
    if (operation.arg === "fault") arg = { addr: this.kernel.memory.faultAddress, size: GETEVENTS_ARG.size };
    else if (operation.wait !== undefined || operation.arg !== undefined) {
      const { seconds = 0, nanoseconds = 0 } = operation.wait ?? {};
      const timeAddr = operation.arg === "time-fault" ? this.kernel.memory.faultAddress : undefined;
      arg = this.bound(BigInt(seconds), BigInt(nanoseconds), timeAddr, operation.signals);
      if (operation.arg === "size") arg = { addr: arg.addr, size: GETEVENTS_ARG.size - 8 };
    }
    const extended = arg === undefined ? flags & ~IORING_ENTER_EXT_ARG : flags | IORING_ENTER_EXT_ARG;
    const call = { toSubmit, minComplete, flags: extended >>> 0, ...(arg === undefined ? {} : { arg }) };
    if (isEndless(operation)) this.options.onRisk?.(this.events, { event: "enter", from: this.now(), to: this.now(), result: undefined, ...call });
    this.enter(ring, call);
  }

  private enter(ring: Ring, call: Pick<EnterEvent, "toSubmit" | "minComplete" | "flags" | "arg" | "watchdog">): void {
    // What came since the last look came before this call.
    this.peek();
    const from = this.now();
    const result = ring.enter(call.toSubmit, call.minComplete, call.flags, call.arg);
    const to = this.now();
    if (call.minComplete > 0 && this.books.timers) this.blockedNs += Number(to - from);
    else if (call.watchdog !== true && call.arg !== undefined) this.blockedNs += Number(to - from);
    this.record({ event: "enter", from, to, result, ...call });
    this.peek();
  }

  /** Takes CQEs out: each is shown by a peek before the head moves past it. */
  private reap(ring: Ring, cq: CompletionQueue, max: number): void {
    this.peek();
    // Only what this peek showed: a completion that came since is for the next one.
    const most = Math.min(max, this.visible(ring), ring.params.cqEntries);
    let taken = 0;
    while (taken < most && cq.peek() >= 0) {
      cq.advance();
      taken++;
    }
    if (taken > 0) this.stored("ring", ring.params.cqOff.head, this.word(ring.params.cqOff.head));
  }

  /** Waits for what must come, by the observer's word; a watchdog shows what did not. */
  private settle(ring: Ring, cq: CompletionQueue): void {
    const { observer } = this.options;
    for (let round = 0; observer !== undefined && round < SETTLE_ROUNDS; round++) {
      const due = observer.due(HORIZON_NS);
      if (due === 0) return;
      // What is due was reckoned from the last peek on: so is what was visible.
      const visible = this.visible(ring);
      if (visible >= ring.params.cqEntries) {
        this.reap(ring, cq, ring.params.cqEntries);
        continue;
      }
      const watchdog = this.options.watchdogNs ?? WATCHDOG_NS;
      this.enter(ring, {
        toSubmit: 0,
        minComplete: Math.min(visible + due, ring.params.cqEntries),
        flags: IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG,
        arg: this.bound(watchdog / 1_000_000_000n, watchdog % 1_000_000_000n),
        watchdog: true,
      });
    }
  }

  /** CQEs that the last peek saw and that were not taken out. */
  private visible(ring: Ring): number {
    return (this.seenTail - (this.words[ring.params.cqOff.head >>> 2] ?? 0)) >>> 0;
  }

  /** Cancels, settles and reaps until nothing is left. */
  private finish(ring: Ring, cq: CompletionQueue): void {
    const arg = this.world.alloc(SYNC_CANCEL_REG.size);
    const view = new DataView(arg.bytes.buffer, arg.bytes.byteOffset, arg.bytes.byteLength);
    view.setUint32(SYNC_CANCEL_REG.flags, IORING_ASYNC_CANCEL_ANY, true);
    view.setBigInt64(SYNC_CANCEL_REG.timeout + KERNEL_TIMESPEC.tv_sec, -1n, true);
    view.setBigInt64(SYNC_CANCEL_REG.timeout + KERNEL_TIMESPEC.tv_nsec, -1n, true);
    this.world.stored(arg);
    for (let round = 0; round < SETTLE_ROUNDS; round++) {
      this.settle(ring, cq);
      this.reap(ring, cq, ring.params.cqEntries);
      if ((this.options.observer?.due(HORIZON_NS) ?? 0) > 0) continue;
      if ((this.options.observer?.pending() ?? 0) === 0 && round > 0) return;
      this.peek();
      const from = this.now();
      const result = ring.register(IORING_REGISTER_SYNC_CANCEL, arg.addr, 1);
      this.record({
        event: "register", from, to: this.now(), opcode: IORING_REGISTER_SYNC_CANCEL, arg: arg.addr, nrArgs: 1, result,
      });
      this.peek();
    }
  }
}

