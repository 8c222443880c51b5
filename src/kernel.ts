// The kernel port: what both kernels offer, at the system call boundary. Names follow the system
// calls. Nothing here knows which kernel it is talking to, and nothing here waits or prints.

declare const brand: unique symbol;
/** A file descriptor of the kernel that handed it out. Never predicted, only handed on. */
export type Fd = number & { readonly [brand]?: "Fd" };
/** What an SQE carries and its CQEs bring back: 64 bits, untouched. */
export type UserData = bigint & { readonly [brand]?: "UserData" };
/** A positive error number of Linux, such as 22 for EINVAL. */
export type Errno = number & { readonly [brand]?: "Errno" };

/** A file system's habits, where a request on a regular file completes (rule chapter `world`). */
export interface FileProfile {
  /** Does a page-cached READ complete inside io_uring_enter? undefined: both are allowed. */
  readonly readInline: boolean | undefined;
  /** Does a buffered WRITE complete inside io_uring_enter? undefined: both are allowed. */
  readonly writeInline: boolean | undefined;
}

/** What one kernel has: probed on the real one, data on the model. */
export interface KernelProfile {
  /** uname -r, such as "6.18.44". */
  readonly release: string;
  /** [major, minor] of the release, for `since` and `until`. */
  readonly version: readonly [number, number];
  /** IORING_FEAT_* bits as io_uring_setup reports them. */
  readonly features: number;
  /** IORING_SETUP_* bits that io_uring_setup knows. */
  readonly setupFlags: number;
  /** Opcode numbers that IORING_REGISTER_PROBE reports as supported. */
  readonly opcodes: readonly number[];
  readonly file: FileProfile;
}

/** A piece of user memory that SQEs may point into: `bytes[i]` lives at `addr + i`. */
export interface Region {
  readonly addr: bigint;
  readonly bytes: Uint8Array;
}

/** User memory as the kernel sees it. */
export interface AddressSpace {
  /** `size` zeroed bytes, aligned to `align` (a power of two, default 8). Freed with the kernel. */
  alloc(size: number, align?: number): Region;
  /** Gives a region back for reuse by a later alloc of this kernel. */
  free(region: Region): void;
  /** An address whose every access is sure to fault (a page mapped PROT_NONE; nothing in the model). */
  readonly faultAddress: bigint;
}

/** The signal that `System.raise` sends: SIGRTMIN + 6, which no C library keeps for itself (signal(7)). */
export const SIGNAL = 40;

/** The few ordinary system calls that build a world. Each returns its result or -errno. */
export interface System {
  /** openat(AT_FDCWD, path). Relative paths are relative to the kernel's `directory`. O_CLOEXEC is always added. */
  open(path: string, flags: number, mode?: number): number;
  close(fd: Fd): number;
  /** pipe2(flags); capacity of one pipe is the kernel's default. */
  pipe(flags?: number): { readonly read: Fd; readonly write: Fd } | number;
  eventfd(count: number, flags?: number): number;
  /** A copy of `fd` at the lowest free number that is at least `atLeast` (F_DUPFD_CLOEXEC). */
  dup(fd: Fd, atLeast?: number): number;
  /** Never blocks: -EAGAIN where read(2) or write(2) would wait. */
  read(fd: Fd, into: Uint8Array): number;
  write(fd: Fd, from: Uint8Array): number;
  pread(fd: Fd, into: Uint8Array, offset: number): number;
  pwrite(fd: Fd, from: Uint8Array, offset: number): number;
  ftruncate(fd: Fd, size: number): number;
  unlink(path: string): number;
  /** lseek; whence 0, 1, 2. */
  lseek(fd: Fd, offset: number, whence: number): number;
  /** Size in bytes of an open file. */
  size(fd: Fd): number;
  /** Tells the kernel port that a completion handed out (OPENAT) or took away (CLOSE) a descriptor. */
  adopt(fd: Fd): number;
  disown(fd: Fd): void;
  /**
   * Makes SIGNAL pending for the calling thread, as if another had sent it (tgkill(2)); where it is pending it stays so,
   * once. The thread blocks it from then on, and the process ignores it: all it does is interrupt a wait whose signal
   * mask lets it in, which takes it. 0, or -EBUSY where the process has a handler for it.
   */
  raise(): number;
  /** sigtimedwait(2) with no time to wait: SIGNAL where it is pending, which takes it, or -EAGAIN. */
  takeSignal(): number;
  /** Is this one of the descriptors that this kernel port opened or adopted and not closed? */
  owns(fd: Fd): boolean;
}

/** Input of io_uring_setup; every field that is left out is zero. */
export interface SetupParams {
  readonly flags?: number;
  /** Read by the kernel only with IORING_SETUP_CQSIZE. */
  readonly cqEntries?: number;
  readonly sqThreadCpu?: number;
  readonly sqThreadIdle?: number;
  readonly wqFd?: number;
  /** Must be zero; hostile programs say otherwise. */
  readonly resv?: readonly [number, number, number];
}

export interface SqRingOffsets {
  readonly head: number;
  readonly tail: number;
  readonly ringMask: number;
  readonly ringEntries: number;
  readonly flags: number;
  readonly dropped: number;
  readonly array: number;
}
export interface CqRingOffsets {
  readonly head: number;
  readonly tail: number;
  readonly ringMask: number;
  readonly ringEntries: number;
  readonly overflow: number;
  readonly cqes: number;
  readonly flags: number;
}

/** struct io_uring_params as the kernel filled it in. */
export interface IoUringParams {
  readonly sqEntries: number;
  readonly cqEntries: number;
  readonly flags: number;
  readonly sqThreadCpu: number;
  readonly sqThreadIdle: number;
  readonly features: number;
  readonly wqFd: number;
  readonly sqOff: SqRingOffsets;
  readonly cqOff: CqRingOffsets;
}

/** The 5th and 6th argument of io_uring_enter: address and size of what it points to, in this kernel's memory. */
export interface EnterArg {
  readonly addr: bigint;
  readonly size: number;
}

/** /proc/self/fdinfo/<ring>, opened; closed with the ring at the latest. */
export interface InfoFile {
  /**
   * One read(2): the text as it is at this moment. It is a system call like any other: what task work is pending runs
   * when it returns. `parseFdinfo` reads the text.
   */
  read(): string;
  /** Idempotent. A later read throws. */
  close(): void;
}

/**
 * One io_uring, raw: memory that both sides write. IORING_REGISTER_RESIZE_RINGS gives it other memory: `params` and the
 * three views are new after it, and older views show nothing any more.
 */
export interface Ring {
  readonly fd: Fd;
  readonly params: IoUringParams;
  /** The SQ ring's mapping at IORING_OFF_SQ_RING, `params.sqOff` points into it. */
  readonly sqRing: Uint8Array;
  /** The CQ ring's mapping at IORING_OFF_CQ_RING; with FEAT_SINGLE_MMAP the same bytes as sqRing. */
  readonly cqRing: Uint8Array;
  readonly sqes: Uint8Array;
  readonly closed: boolean;
  /**
   * io_uring_enter(2): what it returned, or -errno. The model throws WouldBlockForever where the call would never return.
   * `index` stands in the descriptor's place, with IORING_ENTER_REGISTERED_RING only; throws RangeError where it
   * is that of another ring.
   */
  enter(toSubmit: number, minComplete: number, flags: number, arg?: EnterArg, index?: number): number;
  /**
   * io_uring_register(2): what it returned, or -errno. `arg` is an address in this kernel's memory, or a number where the
   * opcode takes one. `index` stands in the descriptor's place, with IORING_REGISTER_USE_REGISTERED_RING only.
   */
  register(opcode: number, arg: bigint | number | null, nrArgs: number, index?: number): number;
  /** io_uring_enter(2) by another thread of the application, which lives for this call and waits for nothing. */
  submitElsewhere(toSubmit: number): number;
  /** io_uring_register(2) by another thread of the application, which lives for this call. */
  registerElsewhere(opcode: number, arg: bigint | number | null, nrArgs: number, index?: number): number;
  /**
   * close(2) of the ring's descriptor, and no more: the mappings and registered indices stay. Later calls return -EBADF
   * but by an index; close() lets go of the rest.
   */
  closeDescriptor(): number;
  /**
   * Opens what procfs shows of this ring. It takes a descriptor: open it before requests that make or guess some.
   * Throws Error where there is no procfs.
   */
  openInfo(): InfoFile;
  /**
   * Resolves "ready" once a completion may have been posted that was not there at the call (spurious
   * wake-ups allowed: look and wait again), "timeout" after timeoutNs, "closed" when the ring closes
   * first. Never blocks the event loop. One wait at a time.
   */
  ready(options?: { readonly timeoutNs?: bigint; readonly signal?: AbortSignal }): Promise<"ready" | "timeout" | "closed">;
  /** Unmaps, closes, and detaches every view; idempotent. A later use of the ring throws. */
  close(): void;
}

export interface Kernel {
  readonly backend: "model" | "real";
  readonly profile: KernelProfile;
  readonly memory: AddressSpace;
  readonly system: System;
  /** A private directory for files of this kernel; relative paths start here. Removed on close. */
  readonly directory: string;
  /** CLOCK_MONOTONIC of this kernel in nanoseconds: the model's is virtual. */
  nowNs(): bigint;
  /** io_uring_setup(2) and the mappings. Throws KernelError where the kernel refuses. */
  setup(entries: number, params?: SetupParams): Ring;
  close(): void;
}

/** A system call was refused: what, with which errno. */
export class KernelError extends Error {
  readonly errno: Errno;
  readonly call: string;
  constructor(call: string, errno: Errno, detail?: string) {
    super(`${call}: errno ${errno}${detail === undefined ? "" : ` (${detail})`}`);
    this.name = "KernelError";
    this.call = call;
    this.errno = errno;
  }
}

/** The model was asked for something that it does not model yet. Never guessed, always said. */
export class Unmodelled extends Error {
  constructor(what: string) {
    super(`unmodelled: ${what}`);
    this.name = "Unmodelled";
  }
}

/** On the model: this io_uring_enter would wait and nothing that is under way can ever end the wait. */
export class WouldBlockForever extends Error {
  constructor(detail: string) {
    super(`would block for ever: ${detail}`);
    this.name = "WouldBlockForever";
  }
}
