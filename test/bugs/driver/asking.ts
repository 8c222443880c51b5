// From a request of a program to a call of the typed driver, and to the SQE that such a call stands for, written down
// here once more so that the driver is not its own judge. What the driver has no call for is not asked for.
import type { Buffer as Place, CommonOptions, Submission } from "../../../src/driver.ts";
import type { Kernel } from "../../../src/kernel.ts";
import type { SqeSpec } from "../../../src/program/program.ts";
import type { ProgramWorld } from "../../../src/program/world.ts";
import { encodeSqe, IOVEC, KERNEL_TIMESPEC } from "../../../src/spec/codec.gen.ts";
import {
  IORING_ASYNC_CANCEL_FD, IORING_ASYNC_CANCEL_OP, IORING_ASYNC_CANCEL_USERDATA, IORING_FSYNC_DATASYNC, IORING_NOP_INJECT_RESULT, IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,
  IORING_OP_FSYNC, IORING_OP_NOP, IORING_OP_OPENAT, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_READ, IORING_OP_READV, IORING_OP_TIMEOUT, IORING_OP_TIMEOUT_REMOVE,
  IORING_OP_WRITE, IORING_OP_WRITEV, IORING_POLL_ADD_MULTI, O_CLOEXEC, SQE_FLAGS,
} from "../../../src/spec/constants.gen.ts";
import type { Asked } from "./laws.ts";

const sqeFlags = new Map(SQE_FLAGS.map((f) => [f.name.replace("IOSQE_", ""), f.value]));
const NS = 1_000_000_000n;

export interface Asking {
  readonly call: (entry: Submission) => void;
  readonly asked: Asked;
}

interface Fields {
  readonly opcode: number;
  readonly fd?: number;
  readonly off?: bigint;
  readonly addr?: bigint;
  readonly len?: number;
  readonly opFlags?: number;
  readonly pointee?: Uint8Array;
}

export class Asker {
  readonly #kernel: Kernel;
  readonly #world: ProgramWorld;
  readonly #opened: readonly number[];

  constructor(kernel: Kernel, world: ProgramWorld, opened: readonly number[]) {
    this.#kernel = kernel;
    this.#world = world;
    this.#opened = opened;
  }

  fd(spec: SqeSpec): number | undefined {
    const fd = this.#world.fd(spec.fd, this.#opened);
    return spec.fd !== undefined && this.#kernel.system.owns(fd) ? fd : undefined;
  }

  /** Undefined where the typed driver has no call for it. */
  ask(spec: SqeSpec): Asking | undefined {
    let flags = spec.unknownFlags ?? 0;
    for (const name of spec.flags ?? []) flags |= sqeFlags.get(name) ?? 0;
    const strange = spec.flags?.some((name) => name === "FIXED_FILE" || name === "BUFFER_SELECT") === true;
    if (strange || (spec.bufIndex ?? 0) !== 0 || (spec.spliceFdIn ?? 0) !== 0 || spec.addr2 !== undefined) return undefined;
    const { ioprio = 0, personality = 0 } = spec;
    const options: CommonOptions = { userData: BigInt(spec.userData), flags, ioprio, personality };
    const made = this.#operation(spec, options);
    if (made === undefined) return undefined;
    const { opcode, fd = -1, off = 0n, addr = 0n, len = 0, opFlags = 0, pointee } = made.fields;
    const bytes = new Uint8Array(64);
    encodeSqe(new DataView(bytes.buffer), 0, {
      opcode, flags, ioprio, fd, off: BigInt.asUintN(64, off), addr, len: len >>> 0, opFlags, userData: BigInt(spec.userData), bufIndex: 0, personality, spliceFdIn: 0,
    });
    return { call: made.call, asked: { bytes, ...(pointee === undefined ? {} : { pointee }) } };
  }

  #operation(spec: SqeSpec, options: CommonOptions): { readonly call: (entry: Submission) => void; readonly fields: Fields } | undefined {
    const { opcode, opFlags = 0, len = 0, off = 0, addr } = spec;
    const fd = this.fd(spec);
    switch (opcode) {
      case "NOP": {
        if (addr !== undefined || off !== 0 || (opFlags & ~IORING_NOP_INJECT_RESULT) !== 0) return undefined;
        const injectResult = len | 0;
        return opFlags === 0
          ? { call: (entry) => entry.nop(options), fields: { opcode: IORING_OP_NOP } }
          : { call: (entry) => entry.nop({ ...options, injectResult }), fields: { opcode: IORING_OP_NOP, len, opFlags } };
      }
      case "READ":
      case "WRITE": {
        const to = addr?.is === "buffer" ? this.#place(addr.buffer, addr.at, len) : undefined;
        if (fd === undefined || to === undefined || off < -1) return undefined;
        const more = { ...options, offset: BigInt(off), rwFlags: opFlags };
        const fields = { fd, off: BigInt(off), addr: to.region.addr + BigInt(to.offset ?? 0), len, opFlags };
        return opcode === "READ"
          ? { call: (entry) => entry.read(fd, to, more), fields: { opcode: IORING_OP_READ, ...fields } }
          : { call: (entry) => entry.write(fd, to, more), fields: { opcode: IORING_OP_WRITE, ...fields } };
      }
      case "READV":
      case "WRITEV": {
        if (addr?.is !== "iovec" || fd === undefined || off < -1 || addr.places.length !== len) return undefined;
        const places = addr.places.map((p) => this.#place(p.buffer, p.at, p.length)).filter((p) => p !== undefined);
        if (places.length !== len) return undefined;
        const more = { ...options, offset: BigInt(off), rwFlags: opFlags };
        const fields = { fd, off: BigInt(off), len, opFlags, pointee: iovecs(places) };
        return opcode === "READV"
          ? { call: (entry) => entry.readv(fd, places, more), fields: { opcode: IORING_OP_READV, ...fields } }
          : { call: (entry) => entry.writev(fd, places, more), fields: { opcode: IORING_OP_WRITEV, ...fields } };
      }
      case "FSYNC":
        if (fd === undefined || (opFlags & ~IORING_FSYNC_DATASYNC) !== 0 || off !== 0 || len !== 0 || addr !== undefined) return undefined;
        return { call: (entry) => entry.fsync(fd, { ...options, datasync: opFlags !== 0 }), fields: { opcode: IORING_OP_FSYNC, fd, opFlags } };
      case "OPENAT": {
        if (fd === undefined || addr?.is !== "path" || spec.flags?.includes("CQE_SKIP_SUCCESS") === true) return undefined;
        const { path } = addr;
        return {
          call: (entry) => entry.openat(path, { ...options, dirfd: fd, openFlags: opFlags, mode: len }),
          fields: { opcode: IORING_OP_OPENAT, fd, len, opFlags: opFlags | O_CLOEXEC, pointee: new TextEncoder().encode(`${path}\0`) },
        };
      }
      case "CLOSE":
        if (fd === undefined || off !== 0 || len !== 0 || opFlags !== 0 || spec.flags?.includes("CQE_SKIP_SUCCESS") === true) return undefined;
        return { call: (entry) => entry.close(fd, options), fields: { opcode: IORING_OP_CLOSE, fd } };
      default:
        return this.#waiting(spec, options, fd);
    }
  }

  #waiting(spec: SqeSpec, options: CommonOptions, fd: number | undefined): { readonly call: (entry: Submission) => void; readonly fields: Fields } | undefined {
    const { opcode, opFlags = 0, len = 0, off = 0, addr } = spec;
    const target = addr?.is === "number" ? BigInt(addr.number) : undefined;
    switch (opcode) {
      case "POLL_ADD":
        if (fd === undefined || (len & ~IORING_POLL_ADD_MULTI) !== 0 || off !== 0 || addr !== undefined) return undefined;
        return { call: (entry) => entry.pollAdd(fd, opFlags, { ...options, multishot: len !== 0 }), fields: { opcode: IORING_OP_POLL_ADD, fd, len, opFlags } };
      case "POLL_REMOVE":
        if (target === undefined || len !== 0 || off !== 0 || opFlags !== 0) return undefined;
        return { call: (entry) => entry.pollRemove(target, options), fields: { opcode: IORING_OP_POLL_REMOVE, addr: target } };
      case "TIMEOUT": {
        if (len !== 1 || off < 0 || (addr?.is !== "time" && addr?.is !== "deadline")) return undefined;
        const ns = addr.is === "time" ? BigInt(addr.seconds) * NS + BigInt(addr.nanoseconds) : this.#kernel.nowNs() + BigInt(addr.microseconds) * 1000n;
        if (ns < 0n || (addr.is === "time" && (addr.nanoseconds < 0 || addr.seconds < 0))) return undefined;
        const more = { ...options, count: off, timeoutFlags: opFlags };
        return { call: (entry) => entry.timeout(ns, more), fields: { opcode: IORING_OP_TIMEOUT, len: 1, off: BigInt(off), opFlags, pointee: timespec(ns) } };
      }
      case "TIMEOUT_REMOVE":
        if (target === undefined || opFlags !== 0 || len !== 0) return undefined;
        return { call: (entry) => entry.timeoutRemove(target, options), fields: { opcode: IORING_OP_TIMEOUT_REMOVE, addr: target } };
      case "ASYNC_CANCEL": {
        if (target === undefined || (opFlags & IORING_ASYNC_CANCEL_OP) !== 0) return undefined;
        if ((opFlags & IORING_ASYNC_CANCEL_FD) === 0)
          return { call: (entry) => entry.cancel(target, { ...options, cancelFlags: opFlags }), fields: { opcode: IORING_OP_ASYNC_CANCEL, addr: target, opFlags } };
        if (fd === undefined || (opFlags & IORING_ASYNC_CANCEL_USERDATA) !== 0) return undefined;
        return { call: (entry) => entry.cancelFd(fd, { ...options, cancelFlags: opFlags }), fields: { opcode: IORING_OP_ASYNC_CANCEL, fd, opFlags } };
      }
      default:
        return undefined;
    }
  }

  #place(index: number, offset: number, length: number): Place | undefined {
    const region = this.#world.buffer(index);
    return region === undefined || offset + length > region.bytes.length ? undefined : { region, offset, length };
  }
}

function iovecs(places: readonly Place[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(places.length * IOVEC.size));
  for (const [i, { region, offset = 0, length = 0 }] of places.entries()) {
    view.setBigUint64(i * IOVEC.size + IOVEC.iov_base, region.addr + BigInt(offset), true);
    view.setBigUint64(i * IOVEC.size + IOVEC.iov_len, BigInt(length), true);
  }
  return new Uint8Array(view.buffer);
}

function timespec(ns: bigint): Uint8Array {
  const view = new DataView(new ArrayBuffer(KERNEL_TIMESPEC.size));
  view.setBigInt64(KERNEL_TIMESPEC.tv_sec, ns / NS, true);
  view.setBigInt64(KERNEL_TIMESPEC.tv_nsec, ns % NS, true);
  return new Uint8Array(view.buffer);
}
