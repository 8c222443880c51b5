// Chapter taskrun: rings with IORING_SETUP_DEFER_TASKRUN, and the flag that says there is task work.
import { abi, type Bench, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const DEFER = abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER;
const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const read = (userData: bigint, fd: number, addr: bigint): SqeFields => ({ opcode: abi.IORING_OP_READ, userData, fd, addr, len: 8 });

/** A ring with a read of a pipe that waits, and the pipe. */
function waiting(on: Bench, flags: number): { readonly ring: TestRing; readonly write: (bytes: number) => void } {
  const ring = on.ring(8, { flags });
  const pipe = on.pipe();
  ring.submit(read(1n, pipe.read, on.buffer(8).addr));
  return { ring, write: (bytes) => void on.kernel.system.write(pipe.write, new Uint8Array(bytes)) };
}

onBoth("[taskrun.defer-getevents] only GETEVENTS runs it", (on) => {
  const { ring, write } = waiting(on, DEFER);
  write(3);
  expect(ring.reap()).toEqual([]);
  expect(ring.enter(0, 0, 0)).toBe(0);
  expect(ring.submit(nop(2n))).toBe(1);
  expect(ring.reap().map(({ userData }) => userData)).toEqual([2n]);
  expect(ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS)).toBe(0);
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[1n, 3]]);
});

onBoth("[taskrun.at-return] without it the call that brought it about does", (on) => {
  const { ring, write } = waiting(on, 0);
  write(3);
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[1n, 3]]);
});

onBoth("[taskrun.defer-inline] the successor of a chain is task work", (on) => {
  const ring = on.ring(8, { flags: DEFER });
  ring.submit(nop(1n, abi.IOSQE_IO_LINK), nop(2n), nop(3n));
  expect(ring.reap().map(({ userData }) => userData)).toEqual([1n, 3n]);
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(ring.reap().map(({ userData }) => userData)).toEqual([2n]);
});

onBoth("[taskrun.defer-worker] what a worker did is posted by the thread", (on) => {
  const ring = on.ring(8, { flags: DEFER | abi.IORING_SETUP_TASKRUN_FLAG });
  ring.submit(nop(1n, abi.IOSQE_ASYNC));
  const until = performance.now() + 2000;
  while (ring.sq("flags") === 0 && performance.now() < until);
  expect(ring.sq("flags")).toBe(abi.IORING_SQ_TASKRUN);
  expect(ring.reap()).toEqual([]);
  expect(ring.wait(1).map(({ userData }) => userData)).toEqual([1n]);
  expect(ring.sq("flags")).toBe(0);
});

onBoth("[taskrun.defer-short-submit] a call that takes fewer than it was asked to runs none", (on) => {
  const { ring, write } = waiting(on, DEFER);
  write(3);
  ring.push(nop(2n));
  expect(ring.waitFor(1, 1_000_000_000n, 2)).toBe(1);
  expect(ring.reap().map(({ userData }) => userData)).toEqual([2n]);
  expect(ring.wait(1).map(({ userData }) => userData)).toEqual([1n]);
});

onBoth("[taskrun.flag-set] the flag says that there is task work", (on) => {
  const { ring, write } = waiting(on, DEFER | abi.IORING_SETUP_TASKRUN_FLAG);
  expect(ring.sq("flags")).toBe(0);
  write(3);
  expect(ring.sq("flags")).toBe(abi.IORING_SQ_TASKRUN);
  ring.enter(0, 0, 0);
  expect(ring.sq("flags")).toBe(abi.IORING_SQ_TASKRUN);
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(ring.sq("flags")).toBe(0);
});

onBoth("[taskrun.defer-batches] sixty ready polls come in passes of twenty, the newest first", (on) => {
  const ring = on.ring(64, { flags: DEFER });
  const pipe = on.pipe();
  const polls = Array.from({ length: 60 }, (_, i) => ({ opcode: abi.IORING_OP_POLL_ADD, userData: BigInt(i), fd: pipe.read, opFlags: abi.EPOLLIN }));
  ring.submit(...polls);
  on.kernel.system.write(pipe.write, new Uint8Array(1));
  const counts: number[] = [];
  const order: number[] = [];
  while (order.length < 60 && counts.length < 9) {
    ring.waitFor(1);
    const seen = ring.reap();
    counts.push(seen.length);
    order.push(...seen.map(({ userData }) => Number(userData)));
  }
  expect(counts).toEqual([20, 20, 20]);
  expect(order).toEqual(Array.from({ length: 60 }, (_, i) => 59 - i));
});

/** A wait for two, of a failing write and of a NOP that is drained behind it, up to 20 ms: how many came. */
function afterFailingWrite(on: Bench, flags: number): number {
  const ring = on.ring(8, { flags });
  const short = { opcode: abi.IORING_OP_WRITE, userData: 1n, fd: on.eventfd(), addr: on.buffer(4).addr, len: 4 };
  ring.submit(short);
  ring.submit(nop(2n, abi.IOSQE_IO_DRAIN));
  ring.waitFor(2, 20_000_000n);
  const came = ring.reap().length;
  if (came < 2) expect(ring.wait(2 - came).map(({ userData }) => userData)).toEqual([1n, 2n].slice(came));
  ring.ring.close();
  return came;
}

onBoth("[taskrun.defer-lazy-wake] [taskrun.defer-at-timeout] one failed write doesn't wake a thread that waits for two", (on) => {
  // The thread must be asleep before the worker is through: on the real kernel about one time in twenty.
  let came = 2;
  for (let tries = on.isModel ? 1 : 3000; came === 2 && tries > 0; tries--) came = afterFailingWrite(on, DEFER);
  expect(came).toBe(1);
  expect(afterFailingWrite(on, 0)).toBe(2);
});
