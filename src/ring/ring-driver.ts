// The one implementation of Driver, over the Ring of either kernel: it wires the queues, preparation,
// readiness, bookkeeping and waits together, and keeps the rules of use (open, one look before one
// release, the thread that opened it).
import type { Completion, Driver, Interest, Submission, WaitOptions, WaitResult } from "../driver.ts";
import type { Fd, Kernel, Ring } from "../kernel.ts";
import { KernelError } from "../kernel.ts";
import {
  IORING_ENTER_SQ_WAKEUP,
  IORING_FEAT_EXT_ARG,
  IORING_FEAT_NODROP,
  IORING_FEAT_SUBMIT_STABLE,
  IORING_SETUP_SQPOLL,
  IORING_SQ_CQ_OVERFLOW,
  IORING_SQ_NEED_WAKEUP,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
  O_DIRECTORY,
  O_RDONLY,
} from "../spec/constants.gen.ts";
import { CompletionQueue } from "./cq.ts";
import { InFlight } from "./in-flight.ts";
import { Inbox } from "./inbox.ts";
import { Preparation } from "./preparation.ts";
import { Readiness } from "./readiness.ts";
import { Scratch } from "./scratch.ts";
import { SubmissionQueue } from "./sq.ts";
import { SubmissionEntry } from "./submission.ts";
import { split, splitU64, isPoll } from "./user-data.ts";
import { checkCount, checkTimeout, closedError, Waiting } from "./waiting.ts";

export interface RingDriverParts {
  readonly kernel: Kernel;
  /** Just set up on `kernel`; the driver owns it from here on. */
  readonly ring: Ring;
  readonly reason: string;
  /** Does close() close the kernel too? */
  readonly ownsKernel: boolean;
}

export class RingDriver implements Driver {
  /**
   * First, so that a structured clone stops here: a driver can't be handed to another thread, and a
   * clone of its plain fields would look alive. (DataCloneError names the symbol.)
   */
  readonly owner = Symbol("a ringspec driver belongs to the thread that opened it; open another one there");
  readonly kernel: Kernel;
  readonly backend: "model" | "real";
  readonly reason: string;
  readonly fd: Fd;
  readonly submissionCapacity: number;
  readonly completionCapacity: number;
  readonly #ring: Ring;
  readonly #ownsKernel: boolean;
  readonly #sq: SubmissionQueue;
  readonly #scratch: Scratch;
  readonly #preparation: Preparation;
  readonly #readiness: Readiness;
  readonly #inbox: Inbox;
  readonly #waiting: Waiting;
  readonly #polled: boolean;
  readonly #opcodes: ReadonlySet<number>;
  #directory: Fd | undefined;
  #open = true;

  /** Throws (and leaves the ring open) where the ring is one that this driver can't drive. */
  constructor({ kernel, ring, reason, ownsKernel }: RingDriverParts) {
    const { params } = ring;
    const missing = [
      (params.features & IORING_FEAT_NODROP) === 0 ? "IORING_FEAT_NODROP (Linux 5.5)" : "",
      (params.features & IORING_FEAT_EXT_ARG) === 0 ? "IORING_FEAT_EXT_ARG (Linux 5.11)" : "",
    ].filter((name) => name !== "");
    if (missing.length > 0) throw new Error(`this kernel (${kernel.profile.release}) lacks ${missing.join(" and ")}, which the driver needs`);
    this.kernel = kernel;
    this.backend = kernel.backend;
    this.reason = reason;
    this.fd = ring.fd;
    this.submissionCapacity = params.sqEntries;
    this.completionCapacity = params.cqEntries;
    this.#ring = ring;
    this.#ownsKernel = ownsKernel;
    this.#polled = (params.flags & IORING_SETUP_SQPOLL) !== 0;
    this.#opcodes = new Set(kernel.profile.opcodes);
    const { memory, system } = kernel;
    const sq = new SubmissionQueue(ring);
    const cq = new CompletionQueue(ring);
    const scratch = new Scratch(memory, !this.#polled && (params.features & IORING_FEAT_SUBMIT_STABLE) !== 0);
    const inFlight = new InFlight(scratch);
    const readiness = new Readiness(sq, () => this.#chainEnded());
    this.#sq = sq;
    this.#scratch = scratch;
    this.#readiness = readiness;
    this.#preparation = new Preparation({
      sq, inFlight, scratch, memory, system,
      ringFd: ring.fd,
      directory: () => this.#directoryFd(),
      isRegistered: (fd) => readiness.has(fd),
      checkOpen: () => this.#checkOpen(),
    });
    this.#inbox = new Inbox({ ring, cq, sq, inFlight, readiness, system });
    this.#waiting = new Waiting(kernel, ring, this.#inbox, () => this.#submitOwn());
  }

  get overflowed(): boolean {
    this.#checkOpen();
    return (this.#sq.flags & IORING_SQ_CQ_OVERFLOW) !== 0;
  }

  get queued(): number {
    this.#checkOpen();
    return this.#sq.queued - this.#readiness.queued;
  }

  getSubmission(): Submission | null {
    this.#checkOpen();
    const serial = this.#sq.handedOut;
    const slot = this.#sq.next();
    return slot < 0 ? null : new SubmissionEntry(this.#preparation, slot, serial);
  }

  submit(): number {
    this.#checkOpen();
    const readiness = this.#readiness;
    if (readiness.waiting > 0) readiness.place();
    const result = this.#enter();
    if (result < 0) return result;
    const own = readiness.consumed(this.#through);
    // Requests of ours that found no room, or an open chain: the queue is free for them now.
    if (readiness.waiting > 0 && this.#sq.queued === 0) this.#submitOwn();
    return result - own;
  }

  /** Publishes and enters: how many entries the kernel took, or -errno. */
  #enter(): number {
    const sq = this.#sq;
    const { closing } = this.#preparation;
    if (closing.length > 0) {
      // From here on the kernel may close them and give their numbers to others: not at the completion,
      // which may be looked at after somebody opened that number again.
      for (const fd of closing) this.kernel.system.disown(fd);
      closing.length = 0;
    }
    if (this.#polled) return this.#publishToThread();
    sq.publish();
    const queued = sq.queued;
    if (queued === 0) return 0;
    const result = this.#ring.enter(queued, 0, 0);
    this.#scratch.sweep(sq.taken);
    return result;
  }

  /** SQPOLL: the kernel's thread takes entries by itself, so what was published counts as taken. */
  #publishToThread(): number {
    const sq = this.#sq;
    const published = sq.handedOut - sq.publishedSerial;
    sq.publish();
    // The flags are loaded after the tail was stored, both sequentially consistent: no wake-up is missed.
    if ((sq.flags & IORING_SQ_NEED_WAKEUP) !== 0) {
      const result = this.#ring.enter(published, 0, IORING_ENTER_SQ_WAKEUP);
      if (result < 0) return result;
    }
    return published;
  }

  /** Submits the driver's own requests where none of the application's stands before them. */
  #submitOwn(): void {
    const readiness = this.#readiness;
    if (readiness.waiting === 0 && readiness.queued === 0) return;
    readiness.consumed(this.#through);
    readiness.place();
    if (readiness.queued === 0 || this.#sq.queued !== readiness.queued) return;
    this.#enter();
    readiness.consumed(this.#through);
  }

  /** Entries below this serial are out of our hands: taken, or with SQPOLL published. */
  get #through(): number {
    return this.#polled ? this.#sq.publishedSerial : this.#sq.taken;
  }

  /** Is the newest entry prepared and the last of its chain? What follows it now is independent. */
  #chainEnded(): boolean {
    const { lastSerial, lastFlags } = this.#preparation;
    const newest = this.#sq.handedOut - 1;
    if (newest < this.#sq.publishedSerial || this.#readiness.isOwn(newest)) return true;
    return lastSerial === newest && (lastFlags & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) === 0;
  }

  wait(count = 1): number {
    this.#checkOpen();
    return this.#waiting.block(checkCount(count, this.completionCapacity), undefined).count;
  }

  waitTimeout(timeoutNs: bigint, count = 1): WaitResult {
    this.#checkOpen();
    return this.#waiting.block(checkCount(count, this.completionCapacity), checkTimeout(timeoutNs));
  }

  async waitAsync(options: WaitOptions = {}): Promise<WaitResult> {
    this.#checkOpen();
    if (options.timeoutNs !== undefined) checkTimeout(options.timeoutNs);
    return this.#waiting.sleep(checkCount(options.count ?? 1, this.completionCapacity), options);
  }

  getCompletion(): Completion | null {
    this.#checkOpen();
    return this.#inbox.look();
  }

  advanceCompletion(): void {
    this.#checkOpen();
    if (!this.#inbox.release())
      throw new Error("advanceCompletion() releases the completion that getCompletion() showed, and none is: look first, then release once");
  }

  *completions(): IterableIterator<Completion> {
    for (;;) {
      const completion = this.getCompletion();
      if (completion === null) return;
      this.#inbox.release();
      yield completion;
    }
  }

  register(fd: Fd, interest: Interest): void {
    this.#checkReadinessFd(fd);
    this.#readiness.register(fd, interest);
  }

  modify(fd: Fd, interest: Interest): void {
    this.#checkReadinessFd(fd);
    this.#readiness.modify(fd, interest);
  }

  deregister(fd: Fd): void {
    this.#checkOpen();
    this.#readiness.deregister(fd);
  }

  #checkReadinessFd(fd: Fd): void {
    this.#checkOpen();
    this.#preparation.checkFd(fd);
  }

  readinessOf({ userData, res }: Completion): { readonly fd: Fd; readonly events: number } | null {
    splitU64(userData, "userData");
    return isPoll(split.high) ? { fd: split.low, events: Math.max(res, 0) } : null;
  }

  supportsOperation(opcode: number): boolean {
    return this.#opcodes.has(opcode);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const kernelOpen = !this.#ring.closed; // a kernel closes its rings, memory and files itself
    this.#waiting.close();
    this.#ring.close();
    if (!kernelOpen) return;
    if (this.#directory !== undefined) this.kernel.system.close(this.#directory);
    this.#waiting.free();
    this.#scratch.close();
    if (this.#ownsKernel) this.kernel.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** The kernel's private directory, which relative paths of OPENAT start from. */
  #directoryFd(): Fd {
    if (this.#directory !== undefined) return this.#directory;
    const fd = this.kernel.system.open(".", O_RDONLY | O_DIRECTORY);
    if (fd < 0) throw new KernelError("open of the kernel's directory", -fd);
    return (this.#directory = fd);
  }

  #checkOpen(): void {
    if (!this.#open || this.#ring.closed) throw closedError();
  }
}
