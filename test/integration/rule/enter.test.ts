// Chapter enter.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const CQSIZE = abi.IORING_SETUP_CQSIZE;
const GETEVENTS = abi.IORING_ENTER_GETEVENTS;
const EXT_ARG = abi.IORING_ENTER_EXT_ARG;
const MS = 1_000_000n;
/** struct io_uring_getevents_arg */
const ARG_SIZE = 24;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const names = (seen: readonly Seen[]): bigint[] => seen.map(({ userData }) => userData);

/** A READ that waits until somebody writes to the pipe. */
function waitingRead(on: Bench, userData = 1n): { readonly sqe: SqeFields; write(): void } {
  const pipe = on.pipe();
  const sqe = { opcode: abi.IORING_OP_READ, fd: pipe.read, addr: on.buffer(1).addr, len: 1, userData };
  return { sqe, write: () => void on.kernel.system.write(pipe.write, new Uint8Array(1)) };
}

/** How long something took on this kernel's clock. */
function elapsed(on: Bench, act: () => void): bigint {
  const start = on.kernel.nowNs();
  act();
  return on.kernel.nowNs() - start;
}

/** The address of an io_uring_getevents_arg that points to this time. */
function argument(on: Bench, ts: bigint): bigint {
  const region = on.buffer(ARG_SIZE);
  new DataView(region.bytes.buffer, region.bytes.byteOffset).setBigUint64(16, ts, true);
  return region.addr;
}

/** A wait for one completion with an extended argument, and what it may do besides. */
const waitWith = (ring: TestRing, addr: bigint, size = ARG_SIZE, toSubmit = 0): number =>
  ring.enter(toSubmit, 1, GETEVENTS | EXT_ARG, { addr, size });

onBoth("[enter.unknown-flag] a flag that the kernel does not know: nothing is done", (on) => {
  const ring = on.ring();
  ring.push(nop(1n));
  for (const bit of [0x8000_0000, 0x4000_0000, 0x1_0000]) {
    expect(ring.enter(1, 0, bit)).toBe(-abi.EINVAL);
    expect(ring.enter(1, 0, (bit | GETEVENTS) >>> 0)).toBe(-abi.EINVAL);
  }
  expect([ring.sq("head"), ring.cq("tail")]).toEqual([0, 0]);
  expect(ring.enter(1, 0, GETEVENTS)).toBe(1);
  expect(names(ring.reap())).toEqual([1n]);
});

onBoth("[enter.returns-consumed] at most to_submit, at most what is there", (on) => {
  const ring = on.ring();
  expect(ring.enter(0)).toBe(0);
  expect(ring.enter(5)).toBe(0);
  ring.push(nop(1n), nop(2n), nop(3n), nop(4n), nop(5n));
  expect(ring.enter(0)).toBe(0);
  expect(ring.enter(2)).toBe(2);
  expect(names(ring.reap())).toEqual([1n, 2n]);
  expect(ring.enter(0xffff_ffff)).toBe(3);
  expect(names(ring.reap())).toEqual([3n, 4n, 5n]);
  expect(ring.enter(1)).toBe(0);
});

onBoth("[enter.short-submit-returns] a call that consumes less does not wait", (on) => {
  const ring = on.ring();
  const { sqe } = waitingRead(on);
  // Nothing will come within the three seconds that the wait is good for.
  const took = elapsed(on, () => {
    expect(ring.waitFor(1, 3_000n * MS, 1)).toBe(0);
    ring.push(sqe);
    expect(ring.waitFor(1, 3_000n * MS, 2)).toBe(1);
    ring.push({ opcode: 255 }, sqe);
    ring.reap();
    expect(ring.waitFor(8, 3_000n * MS, 2)).toBe(1);
  });
  expect(took).toBeLessThan(2_500n * MS);
  // Where all are consumed, it waits.
  expect(elapsed(on, () => expect(ring.waitFor(8, 30n * MS, 1)).toBe(1))).toBeGreaterThanOrEqual(30n * MS);
});

onBoth("[enter.short-submit-returns] a call that consumes less does not flush the backlog", (on) => {
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  ring.submit(nop(0n), nop(1n), nop(2n), nop(3n));
  ring.submit(nop(4n), nop(5n));
  expect(names(ring.reap())).toEqual([0n, 1n, 2n, 3n]);
  expect(ring.enter(1, 0, GETEVENTS)).toBe(0);
  expect(ring.cq("tail")).toBe(4);
  ring.push(nop(6n));
  expect(ring.enter(2, 0, GETEVENTS)).toBe(1);
  expect(ring.cq("tail")).toBe(4);
  ring.push(nop(7n));
  expect(ring.enter(1, 0, GETEVENTS)).toBe(1);
  expect(names(ring.reap())).toEqual([4n, 5n, 6n, 7n]);
});

onBoth("[enter.no-wait-without-getevents] without GETEVENTS nothing is waited for, nor is the argument read", (on) => {
  const ring = on.ring();
  const { sqe } = waitingRead(on);
  ring.submit(sqe);
  expect(ring.enter(0, 1000)).toBe(0);
  expect(ring.enter(0, 1, EXT_ARG, { addr: on.kernel.memory.faultAddress, size: ARG_SIZE })).toBe(0);
  expect(ring.enter(0, 1, EXT_ARG, { addr: argument(on, on.kernel.memory.faultAddress), size: ARG_SIZE })).toBe(0);
  expect(ring.enter(0, 1, EXT_ARG, { addr: argument(on, 0n), size: 7 })).toBe(0);
  ring.push(nop(2n));
  expect(ring.enter(1, 1000, EXT_ARG, { addr: on.kernel.memory.faultAddress, size: 7 })).toBe(1);
  expect(names(ring.reap())).toEqual([2n]);
  // The same with GETEVENTS is refused.
  expect(waitWith(ring, on.kernel.memory.faultAddress)).toBe(-abi.EFAULT);
});

onBoth("[enter.getevents-waits] a wait for what workers, polls and the backlog bring", (on) => {
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  // Workers.
  ring.submit(nop(1n, abi.IOSQE_ASYNC), nop(2n, abi.IOSQE_ASYNC), nop(3n, abi.IOSQE_ASYNC));
  expect(ring.waitFor(3)).toBe(0);
  expect(names(ring.reap()).sort()).toEqual([1n, 2n, 3n]);
  // Task work, which the call runs itself: a poll that is ready by now.
  const { sqe, write } = waitingRead(on, 4n);
  ring.submit(sqe);
  write();
  expect(ring.waitFor(1)).toBe(0);
  expect(names(ring.reap())).toEqual([4n]);
  // The backlog.
  ring.submit(nop(5n), nop(6n), nop(7n), nop(8n));
  ring.submit(nop(9n), nop(10n));
  ring.reap();
  expect(ring.waitFor(2)).toBe(0);
  expect(names(ring.reap())).toEqual([9n, 10n]);
});

onBoth("[enter.getevents-waits] on a ring that defers its task work, the wait runs it", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN });
  const { sqe, write } = waitingRead(on, 1n);
  ring.submit(sqe);
  write();
  expect(ring.enter(0)).toBe(0);
  expect(ring.reap()).toEqual([]);
  expect(ring.enter(0, 0, GETEVENTS)).toBe(0);
  expect(names(ring.reap())).toEqual([1n]);
});

onBoth("[enter.counts-unconsumed] what was there before the call counts", (on) => {
  const ring = on.ring();
  const { sqe, write } = waitingRead(on, 3n);
  ring.submit(nop(1n), nop(2n), sqe);
  expect(ring.enter(0, 0, GETEVENTS)).toBe(0);
  expect(elapsed(on, () => expect(ring.waitFor(2)).toBe(0))).toBeLessThan(2_500n * MS);
  // One more than there is: it waits, to the end of its time.
  expect(elapsed(on, () => expect(ring.waitFor(3, 30n * MS)).toBe(0))).toBeGreaterThanOrEqual(30n * MS);
  // What was consumed does not count.
  ring.storeCq("head", 1);
  expect(elapsed(on, () => expect(ring.waitFor(2, 30n * MS)).toBe(0))).toBeGreaterThanOrEqual(30n * MS);
  write();
  expect(elapsed(on, () => expect(ring.waitFor(2)).toBe(0))).toBeLessThan(2_500n * MS);
  expect(names(ring.reap())).toEqual([2n, 3n]);
});

onBoth("[enter.min-complete-clamped] a wait for more than the CQ holds is one for a full CQ", (on) => {
  const ring = on.ring(2, { flags: CQSIZE, cqEntries: 2 });
  ring.submit(nop(1n));
  expect(elapsed(on, () => expect(ring.waitFor(1000, 30n * MS)).toBe(0))).toBeGreaterThanOrEqual(30n * MS);
  ring.submit(nop(2n));
  for (const count of [2, 3, 1000, 0x7fff_ffff])
    expect(elapsed(on, () => expect(ring.waitFor(count)).toBe(0))).toBeLessThan(2_500n * MS);
});

onBoth("[enter.ext-arg-size] an argument of another size, or that can't be read", (on) => {
  const ring = on.ring();
  // A completion is there: it is not for want of one that the call fails.
  ring.submit(nop(1n));
  const addr = argument(on, on.timespec(0n, 0n));
  for (const size of [0, 8, 16, 23]) expect(waitWith(ring, addr, size)).toBe(-abi.EINVAL);
  const larger = on.buffer(64).addr;
  for (const size of [25, 32, 64]) expect(waitWith(ring, larger, size)).toBe(-abi.EINVAL);
  // The size is looked at first.
  expect(waitWith(ring, on.kernel.memory.faultAddress, 25)).toBe(-abi.EINVAL);
  expect(waitWith(ring, on.kernel.memory.faultAddress)).toBe(-abi.EFAULT);
  expect(waitWith(ring, addr)).toBe(0);
});

onBoth("[enter.bad-timespec-efault] a time that can't be read", (on) => {
  const ring = on.ring();
  ring.submit(nop(1n));
  expect(waitWith(ring, argument(on, on.kernel.memory.faultAddress))).toBe(-abi.EFAULT);
  expect(waitWith(ring, argument(on, on.timespec(1n, 0n)))).toBe(0);
});

onBoth("[enter.timeout-etime] a wait that ends with nothing in the queue", (on) => {
  const ring = on.ring();
  ring.submit(waitingRead(on).sqe);
  expect(elapsed(on, () => expect(ring.waitFor(1, 30n * MS)).toBe(-abi.ETIME))).toBeGreaterThanOrEqual(30n * MS);
  // Times that have passed: 0, a second ago, a nanosecond ago.
  for (const ns of [0n, -1_000n * MS, -1n])
    expect(elapsed(on, () => expect(ring.waitFor(1, ns)).toBe(-abi.ETIME))).toBeLessThan(2_500n * MS);
  // No wait, no end of it.
  expect(ring.waitFor(0, 0n)).toBe(0);
});

onBoth("[enter.timeout-with-cqes] a wait that ends with a completion in the queue", (on) => {
  const ring = on.ring();
  ring.submit(nop(1n));
  expect(elapsed(on, () => expect(ring.waitFor(2, 30n * MS)).toBe(0))).toBeGreaterThanOrEqual(30n * MS);
  expect(ring.waitFor(2, 0n)).toBe(0);
  expect(names(ring.reap())).toEqual([1n]);
  expect(ring.waitFor(2, 0n)).toBe(-abi.ETIME);
});

onBoth("[enter.submit-count-wins] a call that submitted tells of that, and not of its wait", (on) => {
  const ring = on.ring();
  ring.push(waitingRead(on).sqe);
  expect(ring.waitFor(1, 10n * MS, 1)).toBe(1);
  expect(ring.waitFor(1, 10n * MS)).toBe(-abi.ETIME);
  ring.push(waitingRead(on).sqe, waitingRead(on).sqe);
  expect(waitWith(ring, on.kernel.memory.faultAddress, ARG_SIZE, 2)).toBe(2);
  ring.push(waitingRead(on).sqe);
  expect(waitWith(ring, argument(on, 0n), 7, 1)).toBe(1);
  expect(ring.sq("head")).toBe(4);
});
