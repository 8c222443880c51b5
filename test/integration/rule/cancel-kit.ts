// What the scripts of chapter cancel share: requests, cancels of both kinds, a ring on which four things wait.
import { SYNC_CANCEL_REG } from "../../../src/spec/codec.gen.ts";
import type { Bench, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect } from "./on-both.ts";

export const { IORING_ASYNC_CANCEL_ALL: ALL, IORING_ASYNC_CANCEL_ANY: ANY, IORING_ASYNC_CANCEL_FD: FD } = abi;
export const { IORING_ASYNC_CANCEL_OP: OP, IORING_ASYNC_CANCEL_USERDATA: USERDATA, IORING_ASYNC_CANCEL_FD_FIXED: FD_FIXED } = abi;
export const { POLLIN, ECANCELED } = abi;
export const LINK = abi.IOSQE_IO_LINK;

export interface Key {
  readonly flags?: number;
  readonly userData?: bigint;
  readonly fd?: number;
  readonly opcode?: number;
}

export const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });

/** An ASYNC_CANCEL; its own user_data is 100. */
export function cancel(key: Key, sqeFlags = 0): SqeFields {
  return {
    opcode: abi.IORING_OP_ASYNC_CANCEL, addr: key.userData ?? 0n, fd: key.fd ?? -1, len: key.opcode ?? 0, opFlags: key.flags ?? 0,
    userData: 100n, flags: sqeFlags,
  };
}

export const poll = (fd: number, userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: POLLIN, userData });

export function read(on: Bench, fd: number, userData: bigint, flags = 0): SqeFields {
  return { opcode: abi.IORING_OP_READ, fd, addr: on.buffer(8).addr, len: 8, userData, flags };
}

export function anHour(on: Bench, userData: bigint): SqeFields {
  return { opcode: abi.IORING_OP_TIMEOUT, addr: on.timespec(3600n, 0n), len: 1, userData };
}

/** IORING_REGISTER_SYNC_CANCEL: what it returned. */
export function syncCancel(on: Bench, ring: TestRing, key: Key, seconds = -1n, nanoseconds = -1n): number {
  const arg = on.buffer(SYNC_CANCEL_REG.size);
  const to = new DataView(arg.bytes.buffer, arg.bytes.byteOffset, arg.bytes.byteLength);
  to.setBigUint64(SYNC_CANCEL_REG.addr, key.userData ?? 0n, true);
  to.setInt32(SYNC_CANCEL_REG.fd, key.fd ?? -1, true);
  to.setUint32(SYNC_CANCEL_REG.flags, key.flags ?? 0, true);
  to.setBigInt64(SYNC_CANCEL_REG.timeout, seconds, true);
  to.setBigInt64(SYNC_CANCEL_REG.timeout + 8, nanoseconds, true);
  to.setUint8(SYNC_CANCEL_REG.opcode, key.opcode ?? 0);
  return ring.ring.register(abi.IORING_REGISTER_SYNC_CANCEL, arg.addr, 1);
}

export const put = (on: Bench, fd: number): number => on.kernel.system.write(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));

/** Two pipes and a ring on which wait: 1 a poll of the one, 2 a poll of the other, 3 a READ of the one, 4 a timeout. */
export function four(on: Bench): { readonly ring: TestRing; readonly one: number; readonly other: number } {
  const one = on.pipe().read;
  const other = on.pipe().read;
  const ring = on.ring();
  ring.submit(poll(one, 1n), poll(other, 2n), read(on, one, 3n), anHour(on, 4n));
  expect(ring.reap()).toEqual([]);
  return { ring, one, other };
}
