// Runs a program on a kernel and records what it did and saw. Everything goes through the port, so that
// no line here knows which kernel it is. After every call the ring is loaded (a load is not a call: it
// changes nothing), and at the end everything is cancelled, settled and looked at.
import { parseFdinfo } from "../fdinfo.ts";
import { type InfoFile, type Kernel, KernelError, type Ring } from "../kernel.ts";
import {
  IORING_ASYNC_CANCEL_ANY, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_ENTER_SQ_WAIT, IORING_ENTER_SQ_WAKEUP, IORING_REGISTER_SYNC_CANCEL,
  IORING_ENTER_REGISTERED_RING, IORING_REGISTER_RESIZE_RINGS,
  IORING_REGISTER_USE_REGISTERED_RING, IORING_SETUP_CQE_MIXED, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SQE128, IORING_SETUP_SQPOLL, IORING_SQ_NEED_WAKEUP,
} from "../spec/constants.gen.ts";
import { KERNEL_TIMESPEC, SQE, SYNC_CANCEL_REG } from "../spec/codec.gen.ts";
import { CompletionQueue } from "../ring/cq.ts";
import { SubmissionQueue } from "../ring/sq.ts";
import { Bookkeeping } from "./bookkeeping.ts";
import { lowerSqe } from "./lower.ts";
import { lowerRegistration } from "./lower-registration.ts";
import type { EnterOperation, Operation, Program, RegisterOperation } from "./program.ts";
import { isEndless } from "./program.ts";
import { loadCqe, wordOffset } from "./ring-memory.ts";
import { ringParams } from "./ring-params.ts";
import type { EnterEvent, Observer, RegisterEvent, SeenCqe, TraceEvent } from "./trace.ts";
import { WaitArguments } from "./wait-argument.ts";
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

/** Only what must come is waited for so long: a machine that is busy with other things does not pass for a kernel that lost something. */
const WATCHDOG_NS = 3_000_000_000n;
/** Timers that end within this are waited for; longer ones are cancelled. */
export const HORIZON_NS = 20_000_000n;
/** How long a submission waits for completions at most. */
export const WAIT_NS = 200_000n;
/** Rounds of a settling, and of the end. */
export const SETTLE_ROUNDS = 16;
const WORDS = 16;

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
  private readonly waits: WaitArguments;
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
    this.waits = new WaitArguments(this.world);
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
    let [sq, cq] = this.map(ring);
    // Both tails begin with the same number; whoever posted before the first look is shown by it.
    this.seenTail = this.words[ring.params.sqOff.tail >>> 2] ?? 0;
    this.peek();
    for (const operation of this.program.ops) {
      if (operation.op !== "register") this.execute(ring, sq, cq, operation);
      else if (this.register(ring, sq, operation)) [sq, cq] = this.map(ring);
    }
    this.finish(ring, cq);
  }

  /** Both queues, in the memory that the ring has now. */
  private map(ring: Ring): [SubmissionQueue, CompletionQueue] {
    const { sqRing, params } = this.mapWords(ring);
    const sq = new SubmissionQueue(ring);
    const { array } = params.sqOff;
    if ((params.flags & IORING_SETUP_NO_SQARRAY) === 0) this.stored("ring", array, sqRing.slice(array, array + 4 * params.sqEntries));
    return [sq, new CompletionQueue(ring)];
  }

  private mapWords(ring: Ring): Ring {
    const { sqRing, cqRing } = ring;
    this.words = new Uint32Array(sqRing.buffer, sqRing.byteOffset, WORDS);
    this.slots = new DataView(cqRing.buffer, cqRing.byteOffset, cqRing.byteLength);
    return ring;
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

  private allWords(): readonly number[] {
    return Array.from({ length: WORDS }, (_, i) => Atomics.load(this.words, i));
  }

  /** Loads the ring: its words, and what the tail shows. */
  private peek(): void {
    const { ring } = this;
    if (ring === undefined) return;
    // On the model it goes on when it is looked at.
    if (this.polled) void ring.sqRing;
    const from = this.now();
    const tailAt = ring.params.cqOff.tail >>> 2;
    const { cqEntries } = ring.params;
    // The kernel may post in between, from an interrupt of this thread too: loaded again until all words belong together.
    let all = this.allWords();
    for (let before: readonly number[] = []; !all.every((value, i) => value === before[i]); all = this.allWords()) before = all;
    const cqTail = all[tailAt] ?? 0;
    const fresh = Math.min((cqTail - this.seenTail) >>> 0, cqEntries);
    const cqes: SeenCqe[] = [];
    for (let i = 0; i < fresh; i++) {
      const cqe = loadCqe(ring, this.slots, (cqTail - fresh + i) & (cqEntries - 1));
      cqes.push(cqe);
      // On a ring with IORING_SETUP_CQE_MIXED a long one takes two slots.
      if (cqe.big !== undefined && (ring.params.flags & IORING_SETUP_CQE_MIXED) !== 0) i++;
    }
    this.seenTail = cqTail;
    this.record({ event: "peek", from, to: this.now(), cqTail, cqes, words: all });
    for (const cqe of cqes) this.books.completed(this.kernel, cqe);
  }

  private execute(ring: Ring, sq: SubmissionQueue, cq: CompletionQueue, operation: Exclude<Operation, RegisterOperation>): void {
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
        return this.submit(ring, sq, operation.wait ?? 0, operation.getevents === true ? IORING_ENTER_GETEVENTS : 0, operation);
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
        const at = wordOffset(ring.params, operation.word);
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

  /** Did the ring get other queues? */
  private register(ring: Ring, sq: SubmissionQueue, operation: RegisterOperation): boolean {
    const resizes = operation.does.call === "RESIZE_RINGS";
    if (resizes) this.publish(ring, sq);
    const lowered = lowerRegistration(operation, this.world, this.books.opened);
    const done = this.registerCall(ring, lowered) === 0;
    const resized = done && resizes;
    if (resized) this.mapWords(ring);
    this.peek();
    if (done && lowered.region !== undefined) this.waits.region = lowered.region;
    for (const answer of lowered.answers) this.world.look(answer);
    return resized;
  }

  private registerCall(ring: Ring, { opcode, arg, nrArgs, index }: Pick<RegisterEvent, "opcode" | "arg" | "nrArgs"> & { readonly index?: number | undefined }): number {
    this.peek();
    const from = this.now();
    const result = ring.register(opcode, arg, nrArgs, index);
    const to = this.now();
    const resized = result === 0 && (opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0 === IORING_REGISTER_RESIZE_RINGS;
    const more = { ...(index === undefined ? {} : { index }), ...(resized ? { filled: ring.params } : {}) };
    this.record({ event: "register", from, to, opcode, arg, nrArgs, result, ...more });
    return result;
  }

  /** Never done in silence: it runs task work. */
  private readInfo(): void {
    this.peek();
    const from = this.now();
    const text = this.info?.read() ?? "";
    this.record({ event: "fdinfo", from, to: this.now(), info: parseFdinfo(text) });
    this.peek();
  }

  private fill(ring: Ring, slot: number, spec: Parameters<typeof lowerSqe>[0]): void {
    const lowered = lowerSqe(spec, this.world, this.books.opened, this.now());
    const at = slot * ((ring.params.flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size);
    ring.sqes.set(lowered.bytes, at);
    this.stored("sqes", at, lowered.bytes);
    this.books.submitted(spec, lowered.fd);
  }

  private publish(ring: Ring, sq: SubmissionQueue): void {
    if (this.polled) this.peek();
    sq.publish();
    this.stored("ring", ring.params.sqOff.tail, this.word(ring.params.sqOff.tail));
  }

  private submit(ring: Ring, sq: SubmissionQueue, wait: number, flags: number, { index, signals }: { readonly index?: number | undefined; readonly signals?: boolean | undefined } = {}): void {
    this.publish(ring, sq);
    const by = index === undefined ? {} : { index };
    const all = index === undefined ? flags : flags | IORING_ENTER_REGISTERED_RING;
    if (this.polled) return this.submitPolled(ring, sq, wait, all, by, signals);
    const call = { toSubmit: sq.queued, minComplete: wait, ...by };
    if (wait === 0) return this.enter(ring, { ...call, flags: all });
    const waits = all | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    this.enter(ring, { ...call, flags: waits, arg: this.waits.bound(0n, WAIT_NS, undefined, { signals }) });
  }

  /** As liburing does: the thread that polls is woken where it says that it sleeps; no call where there is nothing to ask for. */
  private submitPolled(ring: Ring, sq: SubmissionQueue, wait: number, flags: number, by: { readonly index?: number }, signals?: boolean): void {
    this.peek();
    const sleeps = ((this.words[ring.params.sqOff.flags >>> 2] ?? 0) & IORING_SQ_NEED_WAKEUP) !== 0;
    const all = sleeps ? flags | IORING_ENTER_SQ_WAKEUP : flags;
    const call = { toSubmit: sq.queued, minComplete: wait, flags: all, ...by };
    if (wait > 0) this.enter(ring, { ...call, flags: all | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, arg: this.waits.bound(0n, WAIT_NS, undefined, { signals }) });
    else if (all !== 0) this.enter(ring, call);
  }

  private rawEnter(ring: Ring, operation: EnterOperation): void {
    const { toSubmit, minComplete, index } = operation;
    const { arg, flags: added } = this.waits.of(operation, this.now());
    const by = index === undefined ? {} : { index };
    const flags = (operation.flags & ~IORING_ENTER_EXT_ARG) | added | (index === undefined ? 0 : IORING_ENTER_REGISTERED_RING);
    const call = { toSubmit, minComplete, flags: flags >>> 0, ...(arg === undefined ? {} : { arg }), ...by };
    if (isEndless(operation)) this.options.onRisk?.(this.events, { event: "enter", from: this.now(), to: this.now(), result: undefined, ...call });
    this.enter(ring, call);
  }

  private enter(ring: Ring, call: Pick<EnterEvent, "toSubmit" | "minComplete" | "flags" | "arg" | "index" | "watchdog">): void {
    // What came since the last look came before this call.
    this.peek();
    const from = this.now();
    const result = ring.enter(call.toSubmit, call.minComplete, call.flags, call.arg, call.index);
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
        arg: this.waits.bound(watchdog / 1_000_000_000n, watchdog % 1_000_000_000n),
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
      this.registerCall(ring, { opcode: IORING_REGISTER_SYNC_CANCEL, arg: arg.addr, nrArgs: 1 });
      this.peek();
    }
  }
}

