// A user of the driver: does with RingDriver what a legal program does with a raw ring. The oracle judges what is
// seen at the port under the driver, the laws judge the driver. What the typed driver has no call for is left out.
import type { Completion, Driver, Submission } from "../../../src/driver.ts";
import { KernelError, type Kernel, type Ring } from "../../../src/kernel.ts";
import { Checker } from "../../../src/oracle/checker.ts";
import type { Outcome } from "../../../src/oracle/verdict.ts";
import { exercised } from "../../../src/program/exercise.ts";
import type { Operation, Program, SqeSpec } from "../../../src/program/program.ts";
import { formatTrace, type TraceEvent } from "../../../src/program/trace.ts";
import { ProgramWorld } from "../../../src/program/world.ts";
import type { RingDriver, RingDriverParts } from "../../../src/ring/ring-driver.ts";
import { checkSetupFlags } from "../../../src/ring/setup-flags.ts";
import {
  EINVAL, IORING_ASYNC_CANCEL_ANY, IORING_OP_ASYNC_CANCEL, IORING_POLL_ADD_MULTI, IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_SQPOLL, IORING_SETUP_TASKRUN_FLAG,
  IORING_SQ_CQ_OVERFLOW, IORING_SQ_TASKRUN, POLLIN, POLLOUT, POLLPRI, SETUP_FLAGS,
} from "../../../src/spec/constants.gen.ts";
import { encodeSqe } from "../../../src/spec/codec.gen.ts";
import { Asker } from "./asking.ts";
import { BrokenLaw, isOwn, Laws } from "./laws.ts";
import { Recorder } from "./recorder.ts";

export interface DriverUse {
  readonly makeDriver: (parts: RingDriverParts) => RingDriver;
  /** What the driver is given in the place of its ring. */
  readonly mislead?: (ring: Ring) => Ring;
}

const HORIZON_NS = 20_000_000n;
const WATCHDOG_NS = 500_000_000n;
const WAIT_NS = 200_000n;
const ROUNDS = 16;
const LAST = 0xf111n;
/** Of the polls of a program some are made through register(): those whose user_data divides by this. */
const REGISTERED_EVERY = 3;
const setupBits = new Map(SETUP_FLAGS.map((f) => [f.name.replace("IORING_SETUP_", ""), f.value]));

/** Runs a program through the driver. Throws Unmodelled, and what the driver throws. */
export function useDriver(kernel: Kernel, program: Program, use: DriverUse): Outcome {
  const user = new User(kernel, program, use);
  return user.run();
}

class User {
  readonly #kernel: Kernel;
  readonly #program: Program;
  readonly #use: DriverUse;
  readonly #checker: Checker;
  readonly #events: TraceEvent[] = [];
  readonly #laws: Laws;
  readonly #world: ProgramWorld;
  readonly #opened: number[] = [];
  readonly #opens = new Set<bigint>();
  readonly #asker: Asker;
  #recorder: Recorder | undefined;

  constructor(kernel: Kernel, program: Program, use: DriverUse) {
    this.#kernel = kernel;
    this.#program = program;
    this.#use = use;
    this.#checker = new Checker({ profile: kernel.profile });
    this.#laws = new Laws(program.ring.flags.includes("SQPOLL"), (addr, size) => this.#recorder?.load(addr, size));
    this.#world = new ProgramWorld(kernel, program, (event) => this.#event(event));
    this.#asker = new Asker(kernel, this.#world, this.#opened);
  }

  #event(event: TraceEvent): void {
    this.#events.push(event);
    this.#checker.event(event);
  }

  run(): Outcome {
    let broken: BrokenLaw | undefined;
    this.#world.open();
    try {
      this.#runOnRing();
    } catch (error) {
      if (!(error instanceof BrokenLaw)) throw error;
      broken = error;
    }
    this.#world.close();
    const verdict = this.#checker.end();
    const exercise = exercised(this.#program, this.#events);
    if (broken === undefined) return { verdict, exercise, blockedNs: 0 };
    const { rules, message: seen, allowed } = broken;
    return {
      verdict: { ...verdict, verdict: "illegal", at: this.#events.length, seen, allowed: [allowed], rules },
      exercise, blockedNs: 0, trace: formatTrace({ version: 1, events: this.#events }),
    };
  }

  #runOnRing(): void {
    const { ring: spec, ops } = this.#program;
    let flags = spec.unknownFlags ?? 0;
    for (const name of spec.flags) flags |= setupBits.get(name) ?? 0;
    if (!supported(flags) || spec.resv !== undefined) return;
    const follower = {
      event: (event: TraceEvent) => this.#event(event),
      submission: () => this.#laws.submission(),
      taken: (sqe: Uint8Array) => this.#laws.take(sqe),
      posted: (cqe: Parameters<Laws["post"]>[0]) => this.#laws.post(cqe),
    };
    const params = { flags, ...(spec.cqEntries === undefined ? {} : { cqEntries: spec.cqEntries }), ...(spec.sqThreadIdle === undefined ? {} : { sqThreadIdle: spec.sqThreadIdle }) };
    let recorder: Recorder;
    try {
      recorder = new Recorder(this.#kernel, follower, spec.entries, params);
    } catch (error) {
      if (error instanceof KernelError) return;
      throw error;
    }
    this.#recorder = recorder;
    const ring = this.#use.mislead?.(recorder.ring) ?? recorder.ring;
    try {
      const driver = this.#use.makeDriver({ kernel: recorder.kernel, ring, reason: "a seeded bug", ownsKernel: false });
      recorder.stores();
      recorder.peek();
      const use = new Use(driver, { recorder, laws: this.#laws, checker: this.#checker, asker: this.#asker, polled: (flags & IORING_SETUP_SQPOLL) !== 0,
        defers: (flags & (IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG)) === IORING_SETUP_DEFER_TASKRUN,
        opens: this.#opens, onOpened: (fd) => void this.#opened.push(fd) });
      for (const operation of ops) this.#execute(use, operation);
      use.finish();
      this.#world.lookAtEverything();
    } finally {
      ring.close();
    }
  }

  #execute(use: Use, operation: Operation): void {
    switch (operation.op) {
      case "sqe":
        return use.request(operation);
      case "submit":
        use.submit();
        if (operation.wait !== undefined) use.wait(WAIT_NS, operation.wait);
        else if (operation.getevents === true) use.wait(0n, 0);
        return;
      case "settle":
        return use.settle();
      case "reap":
        return use.reap(operation.max ?? Infinity);
      case "write":
      case "read":
      case "close":
        this.#recorder?.stores();
        this.#recorder?.peek();
        // It is as good as closed once a CLOSE of it was submitted.
        if (!this.#kernel.system.owns(this.#world.fd(operation.fd, this.#opened))) return;
        if (operation.op === "close") use.forget(this.#world.fd(operation.fd, this.#opened));
        this.#world.call(operation, this.#opened);
        return this.#recorder?.peek();
      default:
        return; // what procfs shows is not the driver's; the rest is for hostile programs
    }
  }
}

function supported(flags: number): boolean {
  try {
    checkSetupFlags(flags);
    return true;
  } catch {
    return false;
  }
}

interface UseParts {
  readonly recorder: Recorder;
  readonly laws: Laws;
  readonly checker: Checker;
  readonly asker: Asker;
  /** A thread of the kernel's submits: what was published counts as submitted. */
  readonly polled: boolean;
  /** Task work waits to be asked for, and no flag says that there is some. */
  readonly defers: boolean;
  readonly opens: Set<bigint>;
  readonly onOpened: (fd: number) => void;
}

/** The driver in use, with the laws after every step. */
class Use {
  readonly #driver: Driver;
  readonly #parts: UseParts;
  readonly #cqEntries: number;
  /** The driver has, or had, requests of its own in the queue. */
  #registered = false;

  constructor(driver: Driver, parts: UseParts) {
    this.#driver = driver;
    this.#parts = parts;
    this.#cqEntries = driver.completionCapacity;
  }

  request(spec: SqeSpec): void {
    const { asker, laws, opens } = this.#parts;
    if (this.#readiness(spec)) return;
    if (spec.opcode === "CLOSE") this.forget(asker.fd(spec) ?? -1);
    const asking = asker.ask(spec);
    if (asking === undefined) return;
    const entry = this.#entry();
    if (entry === undefined) return;
    // Where the queue had to be submitted first, a CLOSE in it may have taken the descriptor.
    const still = asker.ask(spec) ?? asker.ask({ opcode: "NOP", userData: spec.userData });
    still?.call(entry);
    if (still !== undefined) laws.ask(still.asked);
    if (spec.opcode === "OPENAT") opens.add(BigInt(spec.userData));
  }

  #entry(): Submission | undefined {
    const { laws, polled } = this.#parts;
    const first = this.#driver.getSubmission();
    if (first !== null) return first;
    const free = this.#driver.submissionCapacity - (laws.asked - laws.taken);
    if (!polled && !this.#registered && free > 0)
      throw new BrokenLaw(["sq.free-running", "enter.returns-consumed"], `the queue is said to be full with ${free} entries free`, "an entry");
    this.submit();
    return this.#driver.getSubmission() ?? undefined;
  }

  /** Every third poll of a plain kind goes through register(), and ends by deregister(). */
  #readiness(spec: SqeSpec): boolean {
    const { asker, laws } = this.#parts;
    const { opcode, opFlags = 0, len = 0, flags = [] } = spec;
    const fd = opcode === "POLL_ADD" ? asker.fd(spec) : undefined;
    if (fd === undefined || flags.length > 0 || spec.userData % REGISTERED_EVERY !== 0 || (opFlags & ~(POLLIN | POLLOUT | POLLPRI)) !== 0 || opFlags === 0) return false;
    if (laws.interests.has(fd)) {
      this.forget(fd);
      return true;
    }
    const oneshot = (len & IORING_POLL_ADD_MULTI) === 0;
    this.#registered = true;
    laws.interests.set(fd, { events: opFlags, oneshot });
    this.#driver.register(fd, { readable: (opFlags & POLLIN) !== 0, writable: (opFlags & POLLOUT) !== 0, priority: (opFlags & POLLPRI) !== 0, oneshot });
    return true;
  }

  /** The interest in a descriptor ends before the descriptor does. */
  forget(fd: number): void {
    if (!this.#parts.laws.interests.delete(fd)) return;
    this.#driver.deregister(fd);
  }

  submit(): void {
    const { laws, recorder, polled } = this.#parts;
    const before = laws.taken;
    const askedBefore = laws.asked - laws.taken;
    const result = this.#driver.submit();
    recorder.stores();
    recorder.peek();
    if (result < 0) throw new BrokenLaw([result === -EINVAL ? "enter.unknown-flag" : "overflow.submit-allowed"], `submit() was refused with ${result}`, "the kernel takes requests");
    const took = polled ? askedBefore : laws.taken - before;
    if (!polled && result !== took) throw new BrokenLaw(["enter.returns-consumed"], `submit() says that ${result} requests were taken`, `${took}`);
    if (polled) return;
    const { queued } = this.#driver;
    if (queued !== laws.asked - laws.taken) throw new BrokenLaw(["enter.returns-consumed"], `${queued} requests are said to be queued`, `${laws.asked - laws.taken} that were asked for, and that the kernel did not take`);
  }

  /** Waits with a bound; how many are ready by the driver. */
  wait(timeoutNs: bigint, count: number): void {
    const { laws, recorder } = this.#parts;
    const { kernel } = this.#driver;
    const from = kernel.nowNs();
    const { count: ready, timedOut } = this.#driver.waitTimeout(timeoutNs, Math.min(count, this.#cqEntries));
    const tookNs = kernel.nowNs() - from;
    recorder.stores();
    recorder.peek();
    if (ready < 0) throw new BrokenLaw(["enter.ext-arg-size", "enter.getevents-waits"], `a wait was refused with ${ready}`, "the number of completions that are ready");
    if (timedOut && tookNs < timeoutNs) throw new BrokenLaw(["enter.timeout-etime"], `a wait for ${timeoutNs} ns ran out after ${tookNs} ns`, "not before its time");
    if (laws.ownTaken > 0) return;
    if (ready !== laws.unread) throw new BrokenLaw(["enter.counts-unconsumed"], `${ready} completions are said to be ready`, `${laws.unread}`);
    if (timedOut && ready >= count && count > 0) throw new BrokenLaw(["enter.timeout-etime"], "a wait is said to have run out though there is enough", "it ends well");
  }

  /** Waits for what must come. */
  settle(): void {
    const { checker, laws, recorder } = this.#parts;
    for (let round = 0; round < ROUNDS; round++) {
      recorder.stores();
      recorder.peek();
      // Completions of the driver's own polls may be nobody's: what can be shown is taken out, and one more is waited for.
      if (laws.ownTaken > 0) this.reap(Infinity);
      const due = checker.due(HORIZON_NS);
      if (due === 0) return;
      if (laws.unread >= this.#cqEntries) {
        this.reap(Infinity);
        continue;
      }
      const before = laws.posted;
      recorder.watchdog = true;
      this.wait(WATCHDOG_NS, laws.ownTaken > 0 ? 1 : Math.min(laws.unread + due, this.#cqEntries));
      recorder.watchdog = false;
      // What was thought to be due may have turned out not to be: then the oracle does not ask for it any more.
      if (laws.posted === before && checker.due(HORIZON_NS) > 0) throw new BrokenLaw(["liveness.due"], `${due} completions are due, and none came`, "they come");
    }
  }

  reap(max: number): void {
    for (let count = 0; count < max; count++) {
      const { recorder } = this.#parts;
      const { asks } = recorder;
      const completion = this.#driver.getCompletion();
      recorder.stores();
      recorder.peek();
      if (completion === null) return this.#saidNothing(recorder.asks > asks);
      this.#deliver(completion);
      this.#driver.advanceCompletion();
    }
  }

  /** There is no completion, says the driver: did it ask the kernel for what that holds back? */
  #saidNothing(asked: boolean): void {
    const { recorder, defers } = this.#parts;
    const seen = "the driver shows no completion";
    if (asked) return;
    if ((recorder.sqFlags & IORING_SQ_CQ_OVERFLOW) !== 0) throw new BrokenLaw(["overflow.flush-getevents", "overflow.flag"], `${seen} while there is a backlog`, "it asks for the backlog");
    if ((recorder.sqFlags & IORING_SQ_TASKRUN) !== 0) throw new BrokenLaw(["taskrun.flag-set", "taskrun.defer-getevents"], `${seen} while there is task work`, "it asks for it");
    if (defers) throw new BrokenLaw(["taskrun.defer-getevents"], `${seen} and has not asked for task work`, "a ring that defers it, without a flag, is asked");
  }

  #deliver(completion: Completion): void {
    const { laws, opens, onOpened } = this.#parts;
    laws.deliver(completion);
    if (!isOwn(completion.userData) && opens.has(completion.userData) && completion.res > 2) onOpened(completion.res);
  }

  /** Takes everything back, and sees it end. */
  finish(): void {
    const { checker, laws, recorder, polled } = this.#parts;
    if (this.#turns()) laws.interestsKept();
    for (let round = 0; round < ROUNDS; round++) {
      this.submit();
      this.settle();
      this.reap(Infinity);
      if (round > 1 && checker.due(HORIZON_NS) === 0 && laws.asked === laws.taken && laws.unread === 0) break;
      if (round === 0) this.#cancelAll();
    }
    recorder.stores();
    recorder.peek();
    laws.atRest(polled ? 0 : this.#driver.queued);
  }

  /** Turns of an event loop until one brings nothing new: false where there is always more, as from a poll of what is always ready. */
  #turns(): boolean {
    const { laws } = this.#parts;
    for (let round = 0; round < ROUNDS; round++) {
      const before = laws.progress;
      this.submit();
      this.settle();
      this.reap(Infinity);
      if (before === laws.progress) return true;
    }
    return false;
  }

  #cancelAll(): void {
    const { laws } = this.#parts;
    for (const fd of laws.interests.keys()) this.forget(fd);
    const entry = this.#entry();
    if (entry === undefined) return;
    entry.cancel(0n, { userData: LAST, cancelFlags: IORING_ASYNC_CANCEL_ANY });
    const bytes = new Uint8Array(64);
    encodeSqe(new DataView(bytes.buffer), 0, {
      opcode: IORING_OP_ASYNC_CANCEL, flags: 0, ioprio: 0, fd: -1, off: 0n, addr: 0n, len: 0, opFlags: IORING_ASYNC_CANCEL_ANY, userData: LAST, bufIndex: 0, personality: 0, spliceFdIn: 0,
    });
    laws.ask({ bytes });
  }
}

