// The Driver interface: what an application writes against, whichever kernel is behind it. The one
// implementation is in ring/. Errors of the kernel are data (`res: -errno`); exceptions mean misuse.
import type { Fd, Region, UserData, Kernel } from "./kernel.ts";

/** A completion, copied out of the CQ ring. */
export interface Completion {
  readonly userData: UserData;
  /** Result, or -errno. */
  readonly res: number;
  /** IORING_CQE_F_* bits. */
  readonly flags: number;
}

/** What readiness is asked for: the seed's Interest, on POLL_ADD. */
export interface Interest {
  readonly readable?: boolean;
  readonly writable?: boolean;
  readonly priority?: boolean;
  /** One event, then gone; without it the poll is multishot. */
  readonly oneshot?: boolean;
  /** Edge-triggered (EPOLLET). */
  readonly edge?: boolean;
}

export interface WaitResult {
  /** Completions ready to be looked at. */
  readonly count: number;
  readonly timedOut: boolean;
}

export interface WaitOptions {
  /** Wait for at least this many completions; default 1. */
  readonly count?: number;
  readonly timeoutNs?: bigint;
  readonly signal?: AbortSignal;
}

/** Fields every preparation takes. IOSQE_* bits go into `flags`. */
export interface CommonOptions {
  readonly userData?: UserData;
  readonly flags?: number;
  readonly ioprio?: number;
  readonly personality?: number;
}

/** A place in memory: `length` bytes of a region of this driver's kernel, from `offset`. */
export interface Buffer {
  readonly region: Region;
  readonly offset?: number;
  readonly length?: number;
}

/**
 * A free submission entry, zeroed. One prepare call fills it in; without one it is a NOP. Addresses
 * and descriptors are checked against what this driver's kernel handed out, before it is published.
 */
export interface Submission {
  nop(options?: CommonOptions & { readonly injectResult?: number }): this;
  read(fd: Fd, buffer: Buffer, options?: CommonOptions & { readonly offset?: bigint; readonly rwFlags?: number }): this;
  write(fd: Fd, buffer: Buffer, options?: CommonOptions & { readonly offset?: bigint; readonly rwFlags?: number }): this;
  readv(fd: Fd, buffers: readonly Buffer[], options?: CommonOptions & { readonly offset?: bigint; readonly rwFlags?: number }): this;
  writev(fd: Fd, buffers: readonly Buffer[], options?: CommonOptions & { readonly offset?: bigint; readonly rwFlags?: number }): this;
  fsync(fd: Fd, options?: CommonOptions & { readonly datasync?: boolean }): this;
  close(fd: Fd, options?: CommonOptions): this;
  /** dirfd: a descriptor of this driver, or undefined for the kernel's private directory. */
  openat(path: string, options?: CommonOptions & { readonly dirfd?: Fd; readonly openFlags?: number; readonly mode?: number }): this;
  pollAdd(fd: Fd, events: number, options?: CommonOptions & { readonly multishot?: boolean }): this;
  pollRemove(target: UserData, options?: CommonOptions): this;
  timeout(ns: bigint, options?: CommonOptions & { readonly count?: number; readonly timeoutFlags?: number }): this;
  timeoutRemove(target: UserData, options?: CommonOptions): this;
  cancel(target: UserData, options?: CommonOptions & { readonly cancelFlags?: number }): this;
  cancelFd(fd: Fd, options?: CommonOptions & { readonly cancelFlags?: number }): this;
}

export interface Driver {
  readonly backend: "model" | "real";
  /** Why this backend was picked: one sentence. */
  readonly reason: string;
  /** The kernel behind it: memory, files, profile. */
  readonly kernel: Kernel;
  readonly fd: Fd;
  /** Entries of the rings as the kernel made them. */
  readonly submissionCapacity: number;
  readonly completionCapacity: number;
  /** Entries of the application that getSubmission() handed out and the kernel has not taken. Matches io_uring_sq_ready(). */
  readonly queued: number;
  /** Is there a backlog of completions the kernel could not post (IORING_SQ_CQ_OVERFLOW)? */
  readonly overflowed: boolean;

  /** A zeroed submission entry, or null where the queue is full (submit, then ask again). Matches io_uring_get_sqe(). */
  getSubmission(): Submission | null;
  /** Publishes what was filled in and hands it to the kernel: how many it took, or -errno. What it did not take stays queued. Matches io_uring_submit(). */
  submit(): number;
  /** Waits until `count` (default 1) completions are ready; how many are, or -errno. Blocks the thread. */
  wait(count?: number): number;
  /** The same, bounded. */
  waitTimeout(timeoutNs: bigint, count?: number): WaitResult;
  /** The same without blocking the event loop. Rejects with the signal's reason on abort, and when the driver closes. */
  waitAsync(options?: WaitOptions): Promise<WaitResult>;
  /** The oldest completion, or null. Looking does not release it. */
  getCompletion(): Completion | null;
  /** Releases the completion last looked at; throws where none was. */
  advanceCompletion(): void;
  /** Every completion that is ready, each released as the loop goes on. Flushes the overflow backlog as room appears. */
  completions(): IterableIterator<Completion>;

  /** Readiness. Events come through `readiness` completions that `takeReadiness` recognises. One interest a descriptor. */
  register(fd: Fd, interest: Interest): void;
  modify(fd: Fd, interest: Interest): void;
  deregister(fd: Fd): void;
  /** Which descriptor and poll events a completion is about, or null where it is not about readiness. */
  readinessOf(completion: Completion): { readonly fd: Fd; readonly events: number } | null;

  /** Asked of this kernel (IORING_REGISTER_PROBE), not assumed. Accepts a number; unknown ones are false. */
  supportsOperation(opcode: number): boolean;
  close(): void;
  [Symbol.dispose](): void;
}

export interface DriverOptions {
  /** auto: the real kernel where it can be had, else the model; `reason` says which and why. */
  readonly backend?: "auto" | "model" | "real";
  /** SQ entries; default 256. */
  readonly entries?: number;
  /** CQ entries (IORING_SETUP_CQSIZE). */
  readonly cqEntries?: number;
  /** Further IORING_SETUP_* bits. */
  readonly flags?: number;
  /** A kernel that is already open; then `backend` must be left out or match it. */
  readonly kernel?: Kernel;
  /** Model only: the seed of its choices. */
  readonly seed?: number;
}
