// From a symbolic SQE to the 64 bytes of a real one, for one kernel and one run.
import { OPCODES, SQE_FLAGS } from "../spec/constants.gen.ts";
import { encodeSqe, IOVEC, KERNEL_TIMESPEC, SQE } from "../spec/codec.gen.ts";
import type { Address, SqeSpec } from "./program.ts";
import type { ProgramWorld } from "./world.ts";

const opcodes = new Map(OPCODES.map((o) => [o.name.replace("IORING_OP_", ""), o.value]));
const sqeFlags = new Map(SQE_FLAGS.map((f) => [f.name.replace("IOSQE_", ""), f.value]));

export interface LoweredSqe {
  readonly bytes: Uint8Array;
  readonly fd: number;
}

/** The SQE's bytes; what its address points to is written into the world's memory. */
export function lowerSqe(spec: SqeSpec, world: ProgramWorld, opened: readonly number[], nowNs: bigint): LoweredSqe {
  let flags = spec.unknownFlags ?? 0;
  for (const name of spec.flags ?? []) flags |= sqeFlags.get(name) ?? 0;
  const fd = world.fd(spec.fd, opened);
  const bytes = new Uint8Array(SQE.size);
  const off = spec.addr2 !== undefined ? lowerAddress(spec.addr2, world, nowNs) : BigInt(spec.off ?? 0);
  encodeSqe(new DataView(bytes.buffer), 0, {
    opcode: typeof spec.opcode === "number" ? spec.opcode : (opcodes.get(spec.opcode) ?? 0),
    flags,
    ioprio: spec.ioprio ?? 0,
    fd: spec.fd === undefined ? 0 : fd,
    off: BigInt.asUintN(64, off),
    addr: spec.addr === undefined ? 0n : lowerAddress(spec.addr, world, nowNs),
    len: spec.len ?? 0,
    opFlags: spec.opFlags ?? 0,
    userData: BigInt(spec.userData),
    bufIndex: spec.bufIndex ?? 0,
    personality: spec.personality ?? 0,
    spliceFdIn: spec.spliceFdIn ?? 0,
  });
  return { bytes, fd: spec.fd === undefined ? 0 : fd };
}

function lowerAddress(address: Address, world: ProgramWorld, nowNs: bigint): bigint {
  switch (address.is) {
    case "fault":
      return world.faultAddress;
    case "number":
      return BigInt(address.number);
    case "buffer": {
      const region = world.buffer(address.buffer);
      return region === undefined ? world.faultAddress : region.addr + BigInt(address.at);
    }
    case "path": {
      const region = world.alloc(address.path.length + 1);
      for (let i = 0; i < address.path.length; i++) region.bytes[i] = address.path.charCodeAt(i);
      world.stored(region);
      return region.addr;
    }
    case "time":
      return timespec(world, BigInt(address.seconds), BigInt(address.nanoseconds));
    case "deadline": {
      const ns = nowNs + BigInt(address.microseconds) * 1000n;
      return timespec(world, ns / 1_000_000_000n, ns % 1_000_000_000n);
    }
    case "iovec": {
      const region = world.alloc(Math.max(address.places.length, 1) * IOVEC.size);
      const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength);
      for (const [i, place] of address.places.entries()) {
        const buffer = world.buffer(place.buffer);
        const base = buffer === undefined ? world.faultAddress : buffer.addr + BigInt(place.at);
        view.setBigUint64(i * IOVEC.size + IOVEC.iov_base, base, true);
        view.setBigUint64(i * IOVEC.size + IOVEC.iov_len, BigInt(place.length), true);
      }
      world.stored(region);
      return region.addr;
    }
  }
}

function timespec(world: ProgramWorld, seconds: bigint, nanoseconds: bigint): bigint {
  const region = world.alloc(KERNEL_TIMESPEC.size);
  const view = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength);
  view.setBigInt64(KERNEL_TIMESPEC.tv_sec, seconds, true);
  view.setBigInt64(KERNEL_TIMESPEC.tv_nsec, nanoseconds, true);
  world.stored(region);
  return region.addr;
}
