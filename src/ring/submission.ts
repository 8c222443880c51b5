// Typed preparation: one method an operation, which names what the SQE's fields mean for it. Values are
// checked first, then written once; the kernel's own verdicts (unsupported flags and the like) stay the
// kernel's and come back as completions.
import type { Buffer, CommonOptions, Submission } from "../driver.ts";
import type { Fd, UserData } from "../kernel.ts";
import { IOVEC, KERNEL_TIMESPEC } from "../spec/codec.gen.ts";
import {
  IORING_ASYNC_CANCEL_FD,
  IORING_ASYNC_CANCEL_FD_FIXED,
  IORING_FSYNC_DATASYNC,
  IORING_NOP_INJECT_RESULT,
  IORING_OP_ASYNC_CANCEL,
  IORING_OP_CLOSE,
  IORING_OP_FSYNC,
  IORING_OP_NOP,
  IORING_OP_OPENAT,
  IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE,
  IORING_OP_READ,
  IORING_OP_READV,
  IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE,
  IORING_OP_WRITE,
  IORING_OP_WRITEV,
  IORING_POLL_ADD_MULTI,
  IORING_TIMEOUT_IMMEDIATE_ARG,
  O_CLOEXEC,
} from "../spec/constants.gen.ts";
import { checkOffset, checkU32, type Preparation, type Slot } from "./preparation.ts";
import { describe, splitUserData } from "./user-data.ts";

const NS_PER_SECOND = 1_000_000_000n;
const S64_MAX = 0x7fff_ffff_ffff_ffffn;
/** fd of operations that use none. */
const NO_FD = -1;

type TransferOptions = CommonOptions & { readonly offset?: bigint; readonly rwFlags?: number };

const text = new TextEncoder();

export class SubmissionEntry implements Submission, Slot {
  readonly slot: number;
  readonly serial: number;
  prepared = false;
  readonly #to: Preparation;

  constructor(to: Preparation, slot: number, serial: number) {
    this.#to = to;
    this.slot = slot;
    this.serial = serial;
  }

  nop(options?: CommonOptions & { readonly injectResult?: number }): this {
    const result = options?.injectResult;
    if (result !== undefined && (result | 0) !== result)
      throw new RangeError(`injectResult must be a 32-bit integer, not ${describe(result)}`);
    const at = this.#to.begin(this, IORING_OP_NOP, NO_FD, options);
    if (result !== undefined) {
      this.#to.setLength(at, result);
      this.#to.setOpFlags(at, IORING_NOP_INJECT_RESULT);
    }
    return this;
  }

  read(fd: Fd, buffer: Buffer, options?: TransferOptions): this {
    return this.#transfer(IORING_OP_READ, fd, buffer, options);
  }

  write(fd: Fd, buffer: Buffer, options?: TransferOptions): this {
    return this.#transfer(IORING_OP_WRITE, fd, buffer, options);
  }

  #transfer(opcode: number, fd: Fd, buffer: Buffer, options: TransferOptions = {}): this {
    const to = this.#to;
    to.checkFd(fd);
    const { addr, length } = to.checkBuffer(buffer);
    const offset = checkOffset(options.offset ?? 0n);
    const rwFlags = checkU32(options.rwFlags ?? 0, "rwFlags");
    const at = to.begin(this, opcode, fd, options);
    to.setAddress(at, addr);
    to.setLength(at, length);
    if (offset !== 0n) to.setOffset(at, offset);
    to.setOpFlags(at, rwFlags);
    return this;
  }

  readv(fd: Fd, buffers: readonly Buffer[], options?: TransferOptions): this {
    return this.#vector(IORING_OP_READV, fd, buffers, options);
  }

  writev(fd: Fd, buffers: readonly Buffer[], options?: TransferOptions): this {
    return this.#vector(IORING_OP_WRITEV, fd, buffers, options);
  }

  #vector(opcode: number, fd: Fd, buffers: readonly Buffer[], options: TransferOptions = {}): this {
    const to = this.#to;
    to.checkFd(fd);
    const places = buffers.map((buffer) => to.checkBuffer(buffer));
    const offset = checkOffset(options.offset ?? 0n);
    const rwFlags = checkU32(options.rwFlags ?? 0, "rwFlags");
    const at = to.begin(this, opcode, fd, options);
    const block = to.parts.scratch.take(places.length * IOVEC.size, this.serial);
    places.forEach(({ addr, length }, i) => {
      block.view.setBigUint64(i * IOVEC.size + IOVEC.iov_base, addr, true);
      block.view.setBigUint64(i * IOVEC.size + IOVEC.iov_len, BigInt(length), true);
    });
    to.attach(at, block);
    to.setAddress(at, block.region.addr);
    to.setLength(at, places.length);
    if (offset !== 0n) to.setOffset(at, offset);
    to.setOpFlags(at, rwFlags);
    return this;
  }

  fsync(fd: Fd, options?: CommonOptions & { readonly datasync?: boolean }): this {
    this.#to.checkFd(fd);
    const at = this.#to.begin(this, IORING_OP_FSYNC, fd, options);
    if (options?.datasync === true) this.#to.setOpFlags(at, IORING_FSYNC_DATASYNC);
    return this;
  }

  close(fd: Fd, options?: CommonOptions): this {
    const to = this.#to;
    if (fd === to.parts.ringFd) throw new Error(`descriptor ${fd} is the ring itself: driver.close() closes it`);
    to.checkFd(fd);
    if (to.parts.isRegistered(fd))
      throw new Error(`descriptor ${fd} is registered for readiness, and closing it does not end its poll: deregister(${fd}) first`);
    const at = to.begin(this, IORING_OP_CLOSE, fd, options);
    to.attachClosing(at, fd);
    return this;
  }

  openat(path: string, options: CommonOptions & { readonly dirfd?: Fd; readonly openFlags?: number; readonly mode?: number } = {}): this {
    const to = this.#to;
    if (typeof path !== "string" || path.includes("\0"))
      throw new TypeError(`path must be a string without NUL characters, not ${describe(path)}`);
    const openFlags = checkU32(options.openFlags ?? 0, "openFlags");
    const mode = checkU32(options.mode ?? 0o666, "mode");
    if (options.dirfd !== undefined) to.checkFd(options.dirfd);
    const dirfd = options.dirfd ?? to.parts.directory();
    const at = to.begin(this, IORING_OP_OPENAT, dirfd, options);
    const bytes = text.encode(path);
    const block = to.parts.scratch.take(bytes.length + 1, this.serial);
    block.region.bytes.set(bytes);
    block.region.bytes[bytes.length] = 0;
    to.attach(at, block);
    to.setAddress(at, block.region.addr);
    to.setLength(at, mode);
    to.setOpFlags(at, openFlags | O_CLOEXEC);
    return this;
  }

  pollAdd(fd: Fd, events: number, options?: CommonOptions & { readonly multishot?: boolean }): this {
    const to = this.#to;
    to.checkFd(fd);
    checkU32(events, "events");
    const at = to.begin(this, IORING_OP_POLL_ADD, fd, options);
    if (options?.multishot === true) to.setLength(at, IORING_POLL_ADD_MULTI);
    to.setOpFlags(at, events);
    return this;
  }

  pollRemove(target: UserData, options?: CommonOptions): this {
    return this.#targeted(IORING_OP_POLL_REMOVE, target, 0, options);
  }

  timeout(ns: bigint, options: CommonOptions & { readonly count?: number; readonly timeoutFlags?: number } = {}): this {
    const to = this.#to;
    if (typeof ns !== "bigint" || ns < 0n || ns > S64_MAX)
      throw new RangeError(`a timeout takes nanoseconds as a bigint from 0n to 2n**63n - 1n, not ${describe(ns)}`);
    const count = checkU32(options.count ?? 0, "count");
    const timeoutFlags = checkU32(options.timeoutFlags ?? 0, "timeoutFlags");
    if ((timeoutFlags & IORING_TIMEOUT_IMMEDIATE_ARG) !== 0)
      throw new Error("IORING_TIMEOUT_IMMEDIATE_ARG is not supported: this driver passes the time in memory; leave the flag out");
    const at = to.begin(this, IORING_OP_TIMEOUT, NO_FD, options);
    const block = to.parts.scratch.take(KERNEL_TIMESPEC.size, this.serial);
    block.view.setBigInt64(KERNEL_TIMESPEC.tv_sec, ns / NS_PER_SECOND, true);
    block.view.setBigInt64(KERNEL_TIMESPEC.tv_nsec, ns % NS_PER_SECOND, true);
    to.attach(at, block);
    to.setAddress(at, block.region.addr);
    to.setLength(at, 1);
    if (count !== 0) to.setOffset(at, BigInt(count));
    to.setOpFlags(at, timeoutFlags);
    return this;
  }

  timeoutRemove(target: UserData, options?: CommonOptions): this {
    return this.#targeted(IORING_OP_TIMEOUT_REMOVE, target, 0, options);
  }

  cancel(target: UserData, options?: CommonOptions & { readonly cancelFlags?: number }): this {
    const cancelFlags = checkU32(options?.cancelFlags ?? 0, "cancelFlags");
    if ((cancelFlags & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_FD_FIXED)) !== 0)
      throw new Error("cancel() names its target by user data: use cancelFd() to cancel by descriptor");
    return this.#targeted(IORING_OP_ASYNC_CANCEL, target, cancelFlags, options);
  }

  cancelFd(fd: Fd, options?: CommonOptions & { readonly cancelFlags?: number }): this {
    this.#to.checkFd(fd);
    const cancelFlags = checkU32(options?.cancelFlags ?? 0, "cancelFlags");
    if ((cancelFlags & IORING_ASYNC_CANCEL_FD_FIXED) !== 0)
      throw new Error("IORING_ASYNC_CANCEL_FD_FIXED is not supported: this driver registers no files; leave the flag out");
    const at = this.#to.begin(this, IORING_OP_ASYNC_CANCEL, fd, options);
    this.#to.setOpFlags(at, cancelFlags | IORING_ASYNC_CANCEL_FD);
    return this;
  }

  #targeted(opcode: number, target: UserData, opFlags: number, options: CommonOptions | undefined): this {
    splitUserData(target, "target");
    const at = this.#to.begin(this, opcode, NO_FD, options);
    this.#to.setAddress(at, target);
    this.#to.setOpFlags(at, opFlags);
    return this;
  }
}
