// From a symbolic call of io_uring_register to its arguments, for one kernel and one run: memory is made and written.
import type { Region } from "../kernel.ts";
import {
  CLOCK_REGISTER, KERNEL_TIMESPEC, MEM_REGION_REG, PARAMS, PROBE, PROBE_OP, QUERY_HDR, REG_WAIT, REGION_DESC, RESTRICTION, RSRC_UPDATE, SYNC_CANCEL_REG,
} from "../spec/codec.gen.ts";
import {
  IORING_MEM_REGION_REG_WAIT_ARG, IORING_MEM_REGION_TYPE_USER, IORING_REG_WAIT_TS, IORING_REGISTER_USE_REGISTERED_RING, IORING_RESTRICTION_REGISTER_OP,
  IORING_RESTRICTION_SQE_FLAGS_ALLOWED, IORING_RESTRICTION_SQE_FLAGS_REQUIRED, IORING_RESTRICTION_SQE_OP, REGISTER_OPCODES,
} from "../spec/constants.gen.ts";
import type { RegisterOperation } from "./program.ts";
import type { ProgramWorld } from "./world.ts";

export const PAGE = 4096;
/** Entries that a probe shows at most, and asks for where no count is given. */
const PROBES = 256;
/** No entry of any call is longer. */
const ENTRY_BYTES_MAX = 64;
/** How long the entries of a new region wait. */
export const REGION_WAIT_NS = 200_000n;

const opcodes = new Map(REGISTER_OPCODES.map((o) => [o.name.replace("IORING_REGISTER_", "").replace("IORING_", ""), o.value]));
const RESTRICTIONS = {
  REGISTER_OP: IORING_RESTRICTION_REGISTER_OP, SQE_OP: IORING_RESTRICTION_SQE_OP,
  SQE_FLAGS_ALLOWED: IORING_RESTRICTION_SQE_FLAGS_ALLOWED, SQE_FLAGS_REQUIRED: IORING_RESTRICTION_SQE_FLAGS_REQUIRED,
} as const;

export interface LoweredRegistration {
  readonly opcode: number;
  readonly arg: bigint;
  readonly nrArgs: number;
  readonly index: number | undefined;
  /** What the kernel may write: looked at behind the call. */
  readonly answers: readonly Region[];
  /** Waits may name entries of this. */
  readonly region: Region | undefined;
}

interface Argument {
  readonly addr: bigint;
  readonly nrArgs: number;
  readonly answers?: readonly Region[];
  readonly region?: Region;
}

const NOTHING: Argument = { addr: 0n, nrArgs: 0 };

/** The arguments of the call; what they point to is written into the world's memory. */
export function lowerRegistration(operation: RegisterOperation, world: ProgramWorld, opened: readonly number[]): LoweredRegistration {
  const { does, index, count, arg } = operation;
  const right = argumentOf(does, world, opened, ENTRY_BYTES_MAX * (count ?? 0));
  const opcode = opcodes.get(does.call) ?? 0;
  return {
    opcode: (index === undefined ? opcode : opcode | IORING_REGISTER_USE_REGISTERED_RING) >>> 0,
    arg: arg === "fault" ? world.faultAddress : arg === "null" ? 0n : right.addr,
    nrArgs: count ?? right.nrArgs,
    index,
    answers: right.answers ?? [],
    region: right.region,
  };
}

/** `least`: so many bytes there are, for the call says that it has more entries. */
function argumentOf(does: RegisterOperation["does"], world: ProgramWorld, opened: readonly number[], least: number): Argument {
  switch (does.call) {
    case "RING_FDS":
      return entriesOf(world, does.entries, least, (view, at, { fd, slot, reserved = 0 }) => {
        view.setUint32(at + RSRC_UPDATE.offset, slot, true);
        view.setUint32(at + RSRC_UPDATE.resv, reserved, true);
        view.setBigUint64(at + RSRC_UPDATE.data, BigInt(world.fd(fd, opened) >>> 0), true);
      });
    case "UNREGISTER_RING_FDS":
      return entriesOf(world, does.entries, least, (view, at, { slot, data = 0, reserved = 0 }) => {
        view.setUint32(at + RSRC_UPDATE.offset, slot, true);
        view.setUint32(at + RSRC_UPDATE.resv, reserved, true);
        view.setBigUint64(at + RSRC_UPDATE.data, BigInt(data), true);
      });
    case "QUERY":
      return queryList(does.entries, world);
    case "PROBE": {
      const region = written(world, Math.max(least, PROBE.size + PROBES * PROBE_OP.size), (view) => view.setUint8(PROBE.last_op, does.dirty === true ? 1 : 0));
      return { addr: region.addr, nrArgs: PROBES, answers: [region] };
    }
    case "EVENTFD": case "EVENTFD_ASYNC":
      return { addr: written(world, Math.max(least, 4), (view) => view.setInt32(0, world.fd(does.fd, opened), true)).addr, nrArgs: 1 };
    case "CLOCK": {
      const region = written(world, CLOCK_REGISTER.size, (view) => {
        view.setUint32(CLOCK_REGISTER.clockid, does.clock, true);
        view.setUint32(CLOCK_REGISTER.__resv, does.reserved ?? 0, true);
      });
      return { addr: region.addr, nrArgs: 0 };
    }
    case "SYNC_CANCEL":
      return { addr: syncCancel(does, world, opened, least).addr, nrArgs: 1 };
    case "RESTRICTIONS": {
      const region = written(world, Math.max(least, Math.max(does.allow.length, 1) * RESTRICTION.size), (view) => {
        for (const [i, { kind, value }] of does.allow.entries()) {
          view.setUint16(i * RESTRICTION.size + RESTRICTION.opcode, typeof kind === "number" ? kind : RESTRICTIONS[kind], true);
          view.setUint8(i * RESTRICTION.size + RESTRICTION.register_op, value);
        }
      });
      return { addr: region.addr, nrArgs: does.allow.length };
    }
    case "MEM_REGION":
      return memRegion(does, world);
    case "RESIZE_RINGS": {
      const region = written(world, PARAMS.size, (view) => {
        view.setUint32(PARAMS.sq_entries, does.entries, true);
        view.setUint32(PARAMS.cq_entries, does.cqEntries ?? 0, true);
        view.setUint32(PARAMS.flags, does.flags, true);
      });
      return { addr: region.addr, nrArgs: 1, answers: [region] };
    }
    case "UNREGISTER_PERSONALITY":
      return { addr: 0n, nrArgs: does.id };
    case "PERSONALITY": case "UNREGISTER_EVENTFD": case "ENABLE_RINGS":
      return NOTHING;
  }
}

function written(world: ProgramWorld, size: number, write: (view: DataView) => void, align = 16): Region {
  const region = world.alloc(size, align);
  write(new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength));
  world.stored(region);
  return region;
}

function entriesOf<T>(world: ProgramWorld, entries: readonly T[], least: number, write: (view: DataView, at: number, entry: T) => void): Argument {
  const region = written(world, Math.max(least, Math.max(entries.length, 1) * RSRC_UPDATE.size), (view) => {
    for (const [i, entry] of entries.entries()) write(view, i * RSRC_UPDATE.size, entry);
  });
  return { addr: region.addr, nrArgs: entries.length, answers: [region] };
}

/** Of a call's answers, in their order: the bytes (from, how many) that hold addresses or descriptors, which are a run's own. */
export function hiddenIn(does: RegisterOperation["does"]): readonly (readonly (readonly [number, number])[])[] {
  switch (does.call) {
    case "QUERY":
      return does.entries.flatMap(({ fault }) => [[[QUERY_HDR.next_entry, 8], [QUERY_HDR.query_data, 8]] as const, ...(fault === true ? [] : [[]])]);
    case "MEM_REGION":
      return [[[REGION_DESC.user_addr, 8]]];
    case "RING_FDS":
      return [does.entries.map((_, i) => [i * RSRC_UPDATE.size + RSRC_UPDATE.data, 8] as const)];
    default:
      return [];
  }
}

/** An answer with zeros where it has what is a run's own. */
export function portable(bytes: Uint8Array, hidden: readonly (readonly [number, number])[] = []): Uint8Array {
  const copy = bytes.slice();
  for (const [from, length] of hidden) copy.fill(0, from, from + length);
  return copy;
}

type Of<Call extends RegisterOperation["does"]["call"]> = Extract<RegisterOperation["does"], { call: Call }>;

/** Each entry points to the next one; what faults is where the answer goes. */
function queryList(entries: Of<"QUERY">["entries"], world: ProgramWorld): Argument {
  const answers: Region[] = [];
  let next = 0n;
  for (const { query, room, result = 0, reserved = 0, fault } of entries.toReversed()) {
    const data = fault === true ? undefined : world.alloc(Math.max(room, 1));
    const behind = next;
    const entry = written(world, QUERY_HDR.size, (view) => {
      view.setBigUint64(QUERY_HDR.next_entry, behind, true);
      view.setBigUint64(QUERY_HDR.query_data, data?.addr ?? world.faultAddress, true);
      view.setUint32(QUERY_HDR.query_op, query, true);
      view.setUint32(QUERY_HDR.size_, room, true);
      view.setUint32(QUERY_HDR.result, result, true);
      view.setUint32(QUERY_HDR.__resv, reserved, true);
    });
    answers.unshift(entry, ...(data === undefined ? [] : [data]));
    next = entry.addr;
  }
  return { addr: next, nrArgs: 0, answers };
}

function syncCancel(does: Of<"SYNC_CANCEL">, world: ProgramWorld, opened: readonly number[], least: number): Region {
  return written(world, Math.max(least, SYNC_CANCEL_REG.size), (view) => {
    view.setBigUint64(SYNC_CANCEL_REG.addr, BigInt(does.userData ?? 0), true);
    view.setInt32(SYNC_CANCEL_REG.fd, world.fd(does.fd, opened), true);
    view.setUint32(SYNC_CANCEL_REG.flags, does.flags, true);
    view.setBigInt64(SYNC_CANCEL_REG.timeout + KERNEL_TIMESPEC.tv_sec, -1n, true);
    view.setBigInt64(SYNC_CANCEL_REG.timeout + KERNEL_TIMESPEC.tv_nsec, -1n, true);
    view.setUint8(SYNC_CANCEL_REG.opcode, does.opcode ?? 0);
    view.setUint8(SYNC_CANCEL_REG.pad, does.reserved ?? 0);
  });
}

function memRegion({ memory, pages, waits, wrong }: Of<"MEM_REGION">, world: ProgramWorld): Argument {
  const size = pages * PAGE;
  const user = memory === "program" ? written(world, Math.max(size, PAGE), shortWaits, PAGE) : undefined;
  const desc = written(world, REGION_DESC.size, (view) => {
    const isUser = (memory !== "kernel") !== (wrong === "type");
    view.setBigUint64(REGION_DESC.user_addr, user?.addr ?? (memory === "fault" ? world.faultAddress : 0n), true);
    view.setBigUint64(REGION_DESC.size_, BigInt(wrong === "size" ? size + 64 : size), true);
    view.setUint32(REGION_DESC.flags, isUser ? IORING_MEM_REGION_TYPE_USER : 0, true);
    view.setUint32(REGION_DESC.id, wrong === "id" ? 1 : 0, true);
    view.setBigUint64(REGION_DESC.mmap_offset, wrong === "offset" ? 4096n : 0n, true);
  });
  const reg = written(world, MEM_REGION_REG.size, (view) => {
    view.setBigUint64(MEM_REGION_REG.region_uptr, wrong === "description" ? world.faultAddress : desc.addr, true);
    view.setBigUint64(MEM_REGION_REG.flags, BigInt((waits === true ? IORING_MEM_REGION_REG_WAIT_ARG : 0) | (wrong === "flags" ? 2 : 0)), true);
    view.setBigUint64(MEM_REGION_REG.__resv, wrong === "reserved" ? 1n : 0n, true);
  });
  return { addr: reg.addr, nrArgs: 1, answers: [desc], ...(user === undefined || size === 0 ? {} : { region: user }) };
}

/** No entry waits without an end, whichever is read. */
function shortWaits(view: DataView): void {
  for (let at = 0; at < view.byteLength; at += REG_WAIT.size) writeWait(view, at, { timeNs: REGION_WAIT_NS, minWaitUs: 0, flags: IORING_REG_WAIT_TS });
}

export interface WaitEntry {
  readonly timeNs: bigint;
  readonly minWaitUs: number;
  readonly flags: number;
}

/** Struct io_uring_reg_wait at an offset. */
export function writeWait(view: DataView, at: number, { timeNs, minWaitUs, flags }: WaitEntry): void {
  view.setBigInt64(at + REG_WAIT.ts + KERNEL_TIMESPEC.tv_sec, timeNs / 1_000_000_000n, true);
  view.setBigInt64(at + REG_WAIT.ts + KERNEL_TIMESPEC.tv_nsec, timeNs % 1_000_000_000n, true);
  view.setUint32(at + REG_WAIT.min_wait_usec, minWaitUs, true);
  view.setUint32(at + REG_WAIT.flags, flags, true);
}
