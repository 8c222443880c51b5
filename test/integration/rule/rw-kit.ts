// What the scripts of chapter rw share: requests, places in memory, pipes that are full.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, pairs } from "./on-both.ts";

export const { IOSQE_ASYNC: ASYNC, IOSQE_IO_LINK: LINK, O_NONBLOCK, RWF_NOWAIT } = abi;
/** On such a ring what does not complete inline is not seen before a call with GETEVENTS. */
export const DEFER = { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER };
export const PIPE_SIZE = 65536;

export interface Place {
  readonly addr: bigint;
  readonly len: number;
}
export type More = Partial<SqeFields>;

export const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
export const read = (fd: number, to: Place, more: More = {}): SqeFields => ({ opcode: abi.IORING_OP_READ, fd, ...to, userData: 1n, ...more });
export const write = (fd: number, from: Place, more: More = {}): SqeFields => ({
  opcode: abi.IORING_OP_WRITE, fd, ...from, userData: 1n, ...more,
});
export const readv = (on: Bench, fd: number, to: readonly Place[], more: More = {}): SqeFields => ({
  opcode: abi.IORING_OP_READV, fd, addr: on.iovec(...to), len: to.length, userData: 1n, ...more,
});
export const writev = (on: Bench, fd: number, from: readonly Place[], more: More = {}): SqeFields => ({
  opcode: abi.IORING_OP_WRITEV, fd, addr: on.iovec(...from), len: from.length, userData: 1n, ...more,
});
export const poll = (fd: number, events: number, userData: bigint, len = 0): SqeFields => ({
  opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: events, userData, len,
});
export const cancel = (target: bigint, userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: target, userData });

export const sorted = (seen: readonly Seen[]): [bigint, number][] => pairs(seen).toSorted(([a], [b]) => Number(a - b));
export const put = (on: Bench, fd: number, bytes: readonly number[] | Uint8Array): number => on.kernel.system.write(fd, Uint8Array.from(bytes));
export const take = (on: Bench, fd: number, count: number): number[] => {
  const into = new Uint8Array(count);
  const res = on.kernel.system.read(fd, into);
  return res < 0 ? [res] : [...into.subarray(0, res)];
};
export const contents = (on: Bench, fd: number): number[] => {
  const into = new Uint8Array(on.kernel.system.size(fd));
  expect(on.kernel.system.pread(fd, into, 0)).toBe(into.length);
  return [...into];
};

/** Memory with room for `size` bytes, or that holds some. */
export function place(on: Bench, bytes: number | readonly number[]): Place & { readonly bytes: Uint8Array } {
  const { addr, bytes: at } = on.buffer(bytes);
  return { addr, len: at.length, bytes: at };
}

/** The result of one request that waits for nothing, on whatever it completes. */
export function result(ring: TestRing, sqe: SqeFields): number | undefined {
  ring.submit({ ...sqe, userData: 1n });
  const seen = ring.wait(1);
  expect(seen.map(({ userData, flags }) => [userData, flags])).toEqual([[1n, 0]]);
  return seen[0]?.res;
}

/** Hands a request to a worker that may wait: behind another one that it runs, without IOSQE_ASYNC of its own. */
export function onWorker(ring: TestRing, sqe: SqeFields): void {
  ring.submit(nop(0n, LINK | ASYNC), sqe);
  expect(pairs(ring.wait(1))).toEqual([[0n, 0]]);
}

/** Is there no room in this pipe? Looks for at most three seconds. On the model workers are at their end when a call is. */
export function full(ring: TestRing, fd: number): boolean {
  const end = performance.now() + 3000;
  while (performance.now() < end) {
    ring.submit(poll(fd, abi.POLLOUT, 100n));
    if (ring.reap().length === 0) {
      ring.submit({ opcode: abi.IORING_OP_POLL_REMOVE, addr: 100n, userData: 101n });
      expect(sorted(ring.wait(2))).toEqual([[100n, -abi.ECANCELED], [101n, 0]]);
      return true;
    }
  }
  return false;
}

/** `count` bytes out of a pipe that a worker writes, waiting for them at most three seconds. */
export function drain(on: Bench, fd: number, count: number): Uint8Array {
  const end = performance.now() + 3000;
  const all = new Uint8Array(count);
  let done = 0;
  while (done < count && performance.now() < end) done += Math.max(0, on.kernel.system.read(fd, all.subarray(done)));
  return all.subarray(0, done);
}

export const u64 = (value: bigint): number[] => Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
export const BIG = 0xffff_ffff_ffff_fffen;
