// What every prepared operation shares: it checks the fields that all SQEs have, enters the request in
// the in-flight table, and only then writes. A check that fails leaves the entry as it was.
import type { AddressSpace, Fd, Region, System } from "../kernel.ts";
import type { Buffer, CommonOptions } from "../driver.ts";
import { SQE } from "../spec/codec.gen.ts";
import {
  IORING_OP_CLOSE,
  IORING_OP_OPENAT,
  IOSQE_BUFFER_SELECT,
  IOSQE_CQE_SKIP_SUCCESS,
  IOSQE_FIXED_FILE,
} from "../spec/constants.gen.ts";
import { CLOSE, OPENAT, PLAIN, type InFlight } from "./in-flight.ts";
import type { Block, Scratch } from "./scratch.ts";
import type { SubmissionQueue } from "./sq.ts";
import { describe, split, splitU64, splitUserData } from "./user-data.ts";

// Word offsets within an SQE.
const HEAD = SQE.opcode >>> 2;
const FD = SQE.fd >>> 2;
const USER_DATA = SQE.user_data >>> 2;
const BUFFER_AND_PERSONALITY = SQE.buf_index >>> 2;
const OFF = SQE.off >>> 2;
const ADDR = SQE.addr >>> 2;
const LEN = SQE.len >>> 2;
const OP_FLAGS = SQE.op_flags >>> 2;

const NO_OPTIONS: CommonOptions = {};
const U32_MAX = 0xffff_ffff;

/** An entry that was handed out: where it stands and when it was. */
export interface Slot {
  readonly slot: number;
  readonly serial: number;
  prepared: boolean;
}

/** A memory that can say which regions it handed out. */
interface OwningMemory extends AddressSpace {
  owns?(region: Region): boolean;
}

export interface PreparationParts {
  readonly sq: SubmissionQueue;
  readonly inFlight: InFlight;
  readonly scratch: Scratch;
  readonly memory: AddressSpace;
  readonly system: System;
  readonly ringFd: Fd;
  /** Descriptor of the kernel's private directory. */
  readonly directory: () => Fd;
  readonly isRegistered: (fd: Fd) => boolean;
  /** Throws where the driver is closed: its slots are no longer its own. */
  readonly checkOpen: () => void;
}

export class Preparation {
  readonly parts: PreparationParts;
  /** Descriptors of CLOSE requests that wait for the next publish. */
  readonly closing: Fd[] = [];
  /** Serial and IOSQE_* bits of the entry that was prepared last. */
  lastSerial = -1;
  lastFlags = 0;
  readonly #sqes: Uint32Array;
  readonly #sq: SubmissionQueue;
  readonly #inFlight: InFlight;

  constructor(parts: PreparationParts) {
    this.parts = parts;
    this.#sq = parts.sq;
    this.#sqes = parts.sq.sqes;
    this.#inFlight = parts.inFlight;
  }

  /**
   * Writes opcode, flags, ioprio, fd, user data and personality; returns the SQE's first word, for the
   * fields that follow. With `blockBytes` the request gets scratch memory, through `blockOf`.
   */
  begin(entry: Slot, opcode: number, fd: number, options: CommonOptions = NO_OPTIONS): number {
    this.parts.checkOpen();
    if (entry.prepared) throw new Error("this entry is prepared already: one call fills it in; getSubmission() gives the next one");
    if (entry.serial < this.#sq.publishedSerial)
      throw new Error("this entry was submitted already and belongs to the kernel now: getSubmission() gives a new one");
    const { flags = 0, ioprio = 0, personality = 0 } = options;
    if ((flags & 0xff) !== flags || (flags & (IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT)) !== 0) refuseFlags(flags);
    if ((ioprio & 0xffff) !== ioprio) throw new RangeError(`ioprio must be an integer from 0 to 65535, not ${describe(ioprio)}`);
    if ((personality & 0xffff) !== personality)
      throw new RangeError(`personality must be an integer from 0 to 65535, not ${describe(personality)}`);
    const { userData } = options;
    if (userData === undefined) split.low = split.high = 0;
    else splitUserData(userData);
    const { low, high } = split;
    const skips = (flags & IOSQE_CQE_SKIP_SUCCESS) !== 0;
    const kind = opcode === IORING_OP_OPENAT ? OPENAT : opcode === IORING_OP_CLOSE ? CLOSE : PLAIN;
    if (skips && kind !== PLAIN)
      throw new Error("IOSQE_CQE_SKIP_SUCCESS is refused on OPENAT and CLOSE: only their completion says which descriptor came or went");
    this.#inFlight.add(low, high, kind, !skips);

    const sqes = this.#sqes;
    const at = entry.slot * this.#sq.slotWords;
    sqes[at + HEAD] = opcode | (flags << 8) | (ioprio << 16);
    sqes[at + FD] = fd;
    sqes[at + USER_DATA] = low;
    sqes[at + USER_DATA + 1] = high;
    if (personality !== 0) sqes[at + BUFFER_AND_PERSONALITY] = personality << 16;
    entry.prepared = true;
    this.lastSerial = entry.serial;
    this.lastFlags = flags;
    return at;
  }

  /** Ties a scratch block to the request at `at`, which begin() has entered. */
  attach(at: number, block: Block): void {
    const sqes = this.#sqes;
    const flags = ((sqes[at + HEAD] ?? 0) >>> 8) & 0xff;
    if ((flags & IOSQE_CQE_SKIP_SUCCESS) !== 0) this.parts.scratch.park(block);
    else this.#inFlight.attachBlock(sqes[at + USER_DATA] ?? 0, sqes[at + USER_DATA + 1] ?? 0, block);
  }

  attachClosing(at: number, fd: Fd): void {
    this.#inFlight.attachClosing(this.#sqes[at + USER_DATA] ?? 0, this.#sqes[at + USER_DATA + 1] ?? 0, fd);
    this.closing.push(fd);
  }

  setOffset(at: number, value: bigint): void {
    splitU64(BigInt.asUintN(64, value), "offset");
    this.#sqes[at + OFF] = split.low;
    this.#sqes[at + OFF + 1] = split.high;
  }

  setAddress(at: number, value: bigint): void {
    splitU64(value, "address");
    this.#sqes[at + ADDR] = split.low;
    this.#sqes[at + ADDR + 1] = split.high;
  }

  setLength(at: number, value: number): void {
    this.#sqes[at + LEN] = value;
  }

  setOpFlags(at: number, value: number): void {
    this.#sqes[at + OP_FLAGS] = value;
  }

  /** Throws where `fd` is none of this kernel's open descriptors. */
  checkFd(fd: Fd): void {
    if (this.parts.system.owns(fd)) return;
    throw new Error(
      `descriptor ${describe(fd)} is not open in this driver's kernel (or is being closed): take one from kernel.system or from the completion of an OPENAT`,
    );
  }

  /** Address and length of a buffer that lies within its region, which this kernel handed out. */
  checkBuffer(buffer: Buffer): { readonly addr: bigint; readonly length: number } {
    const { region, offset = 0 } = buffer;
    if (typeof region?.addr !== "bigint" || !(region.bytes instanceof Uint8Array))
      throw new TypeError("buffer.region must be a region of kernel.memory.alloc()");
    const memory: OwningMemory = this.parts.memory;
    if (memory.owns !== undefined && !memory.owns(region))
      throw new Error("buffer.region is not one that this driver's kernel.memory.alloc() handed out, or it was freed");
    const size = region.bytes.byteLength;
    if (!Number.isInteger(offset) || offset < 0 || offset > size)
      throw new RangeError(`buffer.offset must be an integer from 0 to the region's ${size} bytes, not ${describe(offset)}`);
    const { length = size - offset } = buffer;
    if (!Number.isInteger(length) || length < 0 || length > size - offset || length > U32_MAX)
      throw new RangeError(`buffer.length must be an integer from 0 to ${size - offset} (the region has ${size} bytes, offset is ${offset}), not ${describe(length)}`);
    return { addr: offset === 0 ? region.addr : region.addr + BigInt(offset), length };
  }
}

function refuseFlags(flags: number): never {
  if (!Number.isInteger(flags) || flags < 0 || flags > 0xff)
    throw new RangeError(`flags must be IOSQE_* bits, an integer from 0 to 255, not ${describe(flags)}`);
  const name = (flags & IOSQE_FIXED_FILE) !== 0 ? "IOSQE_FIXED_FILE" : "IOSQE_BUFFER_SELECT";
  throw new Error(`${name} is not supported: this driver registers no files and provides no buffers; use kernel.setup() for a raw ring`);
}

/** A u32 of flags or events. */
export function checkU32(value: number, what: string): number {
  if (!Number.isInteger(value) || value < 0 || value > U32_MAX)
    throw new RangeError(`${what} must be an integer from 0 to 2**32 - 1, not ${describe(value)}`);
  return value;
}

/** An offset of a file, or -1n for its current position. */
export function checkOffset(value: bigint): bigint {
  if (typeof value !== "bigint" || value < -1n || value > 0x7fff_ffff_ffff_ffffn)
    throw new RangeError(`offset must be a bigint from 0n to 2n**63n - 1n, or -1n for the file position, not ${describe(value)}`);
  return value;
}
