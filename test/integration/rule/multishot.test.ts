// Chapter multishot.
import type { Bench, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const { POLLIN } = abi;
const MORE = abi.IORING_CQE_F_MORE;

const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });

function multishotPoll(fd: number, userData: bigint): SqeFields {
  return { opcode: abi.IORING_OP_POLL_ADD, fd, len: abi.IORING_POLL_ADD_MULTI, opFlags: POLLIN, userData };
}

/** Fires every two milliseconds, `off` times. */
function multishotTimeout(on: Bench, off: bigint, userData: bigint): SqeFields {
  return {
    opcode: abi.IORING_OP_TIMEOUT, addr: on.timespec(0n, 2_000_000n), len: 1, off, opFlags: abi.IORING_TIMEOUT_MULTISHOT, userData,
  };
}

const put = (on: Bench, fd: number): number => on.kernel.system.write(fd, Uint8Array.of(1, 2, 3));
const overflown = (ring: TestRing): boolean => (ring.sq("flags") & abi.IORING_SQ_CQ_OVERFLOW) !== 0;

onBoth("[multishot.more-flag] a multishot poll says F_MORE until it is cancelled, and posts nothing after that", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(multishotPoll(from, 1n));
  put(on, to);
  put(on, to);
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLIN, flags: MORE }, { userData: 1n, res: POLLIN, flags: MORE }]);
  ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 1n, userData: 2n });
  const seen = ring.wait(2);
  expect(seen.filter((c) => c.userData === 1n)).toEqual([{ userData: 1n, res: -abi.ECANCELED, flags: 0 }]);
  put(on, to);
  expect(ring.results(nop(3n))).toEqual([[3n, 0]]);
});

onBoth("[multishot.more-flag] a multishot timeout says F_MORE until its count is done, and can't be found after that", (on) => {
  const ring = on.ring();
  ring.submit(multishotTimeout(on, 2n, 1n));
  const seen = ring.wait(1);
  for (let i = 0; i < 4 && seen.length < 2; i++) seen.push(...ring.wait(1));
  expect(seen).toEqual([{ userData: 1n, res: -abi.ETIME, flags: MORE }, { userData: 1n, res: -abi.ETIME, flags: 0 }]);
  expect(ring.results({ opcode: abi.IORING_OP_TIMEOUT_REMOVE, addr: 1n, userData: 2n })).toEqual([[2n, -abi.ENOENT]]);
});

onBoth("[multishot.overflow-ends] a multishot poll ends with the event that finds no room, in the backlog", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring(2);
  expect(ring.ring.params.cqEntries).toBe(4);
  ring.submit(multishotPoll(from, 1n));
  ring.submit(nop(2n), nop(3n));
  ring.submit(nop(4n));
  put(on, to);
  expect(overflown(ring)).toBe(false);
  put(on, to);
  expect(overflown(ring)).toBe(true);
  // It is gone: this one finds nobody.
  put(on, to);
  expect(ring.reap()).toEqual([
    { userData: 2n, res: 0, flags: 0 }, { userData: 3n, res: 0, flags: 0 }, { userData: 4n, res: 0, flags: 0 },
    { userData: 1n, res: POLLIN, flags: MORE },
  ]);
  expect(ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS)).toBe(0);
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLIN, flags: 0 }]);
  expect(overflown(ring)).toBe(false);
  put(on, to);
  expect(ring.results({ opcode: abi.IORING_OP_POLL_REMOVE, addr: 1n, userData: 5n })).toEqual([[5n, -abi.ENOENT]]);
});

onBoth("[multishot.overflow-ends] a multishot timeout ends with the firing that finds no room, though its count goes on", (on) => {
  const ring = on.ring(1);
  expect(ring.ring.params.cqEntries).toBe(2);
  ring.submit(nop(2n));
  ring.submit(multishotTimeout(on, 0n, 1n));
  // The second firing finds the queue full. A full queue can't be waited on: time passes in a wait on another ring.
  const clock = on.ring();
  for (let i = 0; i < 500 && !overflown(ring); i++) {
    clock.waitFor(1, 5_000_000n);
    ring.enter(0);
  }
  expect(overflown(ring)).toBe(true);
  expect(ring.reap()).toEqual([{ userData: 2n, res: 0, flags: 0 }, { userData: 1n, res: -abi.ETIME, flags: MORE }]);
  expect(ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS)).toBe(0);
  expect(ring.reap()).toEqual([{ userData: 1n, res: -abi.ETIME, flags: 0 }]);
  expect(ring.waitFor(1, 10_000_000n)).toBe(-abi.ETIME);
  expect(ring.results({ opcode: abi.IORING_OP_TIMEOUT_REMOVE, addr: 1n, userData: 3n })).toEqual([[3n, -abi.ENOENT]]);
});
