// Chapter taskrun. Rings with IORING_SETUP_DEFER_TASKRUN: more in defer.test.ts.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth, pairs } from "./on-both.ts";

const { IOSQE_ASYNC: ASYNC, IOSQE_IO_LINK: LINK, IORING_ENTER_GETEVENTS: GETEVENTS } = abi;
const DEFER = abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER;
/** The modes in which task work is not deferred. */
const NORMAL = [0, abi.IORING_SETUP_COOP_TASKRUN, abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG];

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
/** A NOP that completes as task work. */
const late = (userData: bigint, flags = 0): SqeFields => ({ ...nop(userData, flags), opFlags: abi.IORING_NOP_TW });
const poll = (userData: bigint, fd: number): SqeFields => ({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLIN, userData });
const read = (on: Bench, userData: bigint, fd: number): SqeFields => ({
  opcode: abi.IORING_OP_READ, fd, addr: on.buffer(8).addr, len: 8, userData,
});
const sorted = (seen: readonly Seen[]): [bigint, number][] => pairs(seen).toSorted(([a], [b]) => Number(a - b));
const put = (on: Bench, fd: number, bytes: number): number => on.kernel.system.write(fd, new Uint8Array(bytes));

/** Looks until `seen` holds, without a system call for the ring, at most three seconds. */
function look(on: Bench, seen: () => boolean): boolean {
  const end = performance.now() + 3000;
  while (!on.isModel && !seen() && performance.now() < end);
  return seen();
}

onBoth("[taskrun.at-return] what a submission brings about", (on) => {
  for (const flags of NORMAL) {
    const ring = on.ring(8, { flags });
    ring.submit(late(1n), nop(2n, LINK), nop(3n));
    expect(pairs(ring.reap()), `flags ${flags}`).toEqual([[2n, 0], [1n, 0], [3n, 0]]);
  }
  const ring = on.ring(8, { flags: DEFER });
  ring.submit(late(1n), nop(2n, LINK), nop(3n));
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
});

onBoth("[taskrun.at-return] what a write(2) and a close(2) of the same thread bring about", (on) => {
  for (const flags of [...NORMAL, DEFER]) {
    const ring = on.ring(8, { flags });
    const { read: from, write: to } = on.pipe();
    ring.submit(read(on, 1n, from));
    put(on, to, 3);
    expect(pairs(ring.reap()), `flags ${flags}`).toEqual(flags === DEFER ? [] : [[1n, 3]]);
    ring.wait(flags === DEFER ? 1 : 0);
    ring.submit(read(on, 2n, from));
    on.kernel.system.close(to);
    expect(pairs(ring.reap()), `flags ${flags}`).toEqual(flags === DEFER ? [] : [[2n, 0]]);
  }
});

onBoth("[taskrun.before-wait] a wait that may not last at all finds what the same call brought about", (on) => {
  for (const flags of [...NORMAL, DEFER]) {
    const ring = on.ring(8, { flags });
    ring.push(late(1n), late(2n));
    expect(ring.waitFor(2, 0n, 2), `flags ${flags}`).toBe(2);
    expect(pairs(ring.reap()), `flags ${flags}`).toEqual([[1n, 0], [2n, 0]]);
  }
});

onBoth("[taskrun.before-wait] [taskrun.defer-getevents] such a wait counts what was deferred before", (on) => {
  const ring = on.ring(8, { flags: DEFER });
  expect(ring.waitFor(1, 0n)).toBe(-abi.ETIME);
  ring.submit(late(1n), late(2n));
  expect(ring.reap()).toEqual([]);
  expect(ring.waitFor(2, 0n)).toBe(0);
  expect(pairs(ring.reap())).toEqual([[1n, 0], [2n, 0]]);
  expect(ring.waitFor(1, 0n)).toBe(-abi.ETIME);
});

onBoth("[taskrun.list-in-order] what was queued first is done first, and behind the batch", (on) => {
  for (const flags of [...NORMAL, DEFER]) {
    const ring = on.ring(8, { flags });
    ring.submit(late(1n), late(2n), nop(3n), late(4n));
    expect(pairs(ring.wait(4)), `flags ${flags}`).toEqual([[3n, 0], [1n, 0], [2n, 0], [4n, 0]]);
  }
});

onBoth("[taskrun.worker-posts] the application sees a worker's completion without a system call", (on) => {
  for (const flags of NORMAL) {
    const ring = on.ring(8, { flags });
    ring.submit(nop(1n, ASYNC), nop(2n, ASYNC));
    expect(look(on, () => ring.cq("tail") === 2), `flags ${flags}`).toBe(true);
    expect(sorted(ring.reap()), `flags ${flags}`).toEqual([[1n, 0], [2n, 0]]);
  }
});

onBoth("[taskrun.defer-worker] with DEFER_TASKRUN it does not, though the worker has done its work", (on) => {
  const ring = on.ring(8, { flags: DEFER | abi.IORING_SETUP_TASKRUN_FLAG });
  const fd = on.file(0);
  const write = { opcode: abi.IORING_OP_WRITE, fd, addr: on.buffer([1, 2, 3]).addr, len: 3, flags: ASYNC };
  ring.submit({ ...write, userData: 1n });
  expect(look(on, () => ring.sq("flags") === abi.IORING_SQ_TASKRUN)).toBe(true);
  expect(on.kernel.system.size(fd)).toBe(3);
  expect(ring.enter(0, 0, 0)).toBe(0);
  expect(ring.cq("tail")).toBe(0);
  expect(pairs(ring.wait(1))).toEqual([[1n, 3]]);
});

onBoth("[taskrun.file-released-late] what waits for the end of a pipe hears of it behind the CLOSE and its batch", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(1n, from));
  ring.submit({ opcode: abi.IORING_OP_CLOSE, fd: to, userData: 2n }, nop(3n));
  on.kernel.system.disown(to);
  expect(ring.wait(3)).toEqual([
    { userData: 2n, res: 0, flags: 0 }, { userData: 3n, res: 0, flags: 0 }, { userData: 1n, res: abi.POLLHUP, flags: 0 },
  ]);
});

onBoth("[taskrun.file-released-late] of two pipes that are closed in one batch the second is released first", (on) => {
  const [first, second] = [on.pipe(), on.pipe()];
  const ring = on.ring();
  ring.submit(poll(1n, first.read), poll(2n, second.read));
  const close = (userData: bigint, fd: number): SqeFields => ({ opcode: abi.IORING_OP_CLOSE, fd, userData });
  ring.submit(close(3n, first.write), close(4n, second.write));
  on.kernel.system.disown(first.write);
  on.kernel.system.disown(second.write);
  expect(pairs(ring.wait(4))).toEqual([[3n, 0], [4n, 0], [2n, abi.POLLHUP], [1n, abi.POLLHUP]]);
});

onBoth("[taskrun.defer-inline] what completes inline is there, what follows it in its chain is not", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring(8, { flags: DEFER });
  put(on, to, 8);
  ring.submit({ ...read(on, 1n, from), flags: LINK }, nop(2n, LINK), nop(3n), nop(4n));
  expect(pairs(ring.reap())).toEqual([[1n, 8], [4n, 0]]);
  expect(ring.enter(0, 0, 0)).toBe(0);
  expect(ring.reap()).toEqual([]);
  expect(pairs(ring.wait(2))).toEqual([[2n, 0], [3n, 0]]);
});

/** A ring whose deferred task work is a NOP with user_data 1. */
function deferred(on: Bench): TestRing {
  const ring = on.ring(8, { flags: DEFER });
  ring.submit(late(1n));
  return ring;
}

onBoth("[taskrun.defer-short-submit] an entry fewer than asked for, and not", (on) => {
  const short = deferred(on);
  short.push(nop(2n));
  expect(short.enter(2, 0, GETEVENTS)).toBe(1);
  expect(pairs(short.reap())).toEqual([[2n, 0]]);
  expect(short.enter(0, 0, GETEVENTS)).toBe(0);
  expect(pairs(short.reap())).toEqual([[1n, 0]]);
  const whole = deferred(on);
  whole.push(nop(2n));
  expect(whole.enter(1, 0, GETEVENTS)).toBe(1);
  expect(pairs(whole.reap())).toEqual([[2n, 0], [1n, 0]]);
});

onBoth("[taskrun.defer-short-submit] an entry that fails at submission ends it there", (on) => {
  const ring = deferred(on);
  ring.push({ ...nop(2n), opFlags: 0x8000_0000 }, nop(3n));
  expect(ring.enter(2, 0, GETEVENTS)).toBe(1);
  expect(pairs(ring.reap())).toEqual([[2n, -abi.EINVAL]]);
  expect(ring.enter(1, 0, GETEVENTS)).toBe(1);
  expect(pairs(ring.reap())).toEqual([[3n, 0], [1n, 0]]);
});

onBoth("[taskrun.flag-set] the flag is there until the work was done, on rings that ask for it", (on) => {
  const flagged = on.ring(8, { flags: DEFER | abi.IORING_SETUP_TASKRUN_FLAG });
  const plain = on.ring(8, { flags: DEFER });
  for (const ring of [flagged, plain]) {
    const set = ring === flagged ? abi.IORING_SQ_TASKRUN : 0;
    ring.submit(nop(1n));
    expect(ring.sq("flags")).toBe(0);
    ring.submit(late(2n));
    expect(ring.sq("flags")).toBe(set);
    ring.submit(nop(3n));
    expect(ring.sq("flags")).toBe(set);
    ring.enter(0, 0, GETEVENTS);
    expect(ring.sq("flags")).toBe(0);
    expect(pairs(ring.reap())).toEqual([[1n, 0], [3n, 0], [2n, 0]]);
  }
});

onBoth("[taskrun.flag-set] where the work runs at the return of the call nothing of it is left", (on) => {
  const ring = on.ring(8, { flags: abi.IORING_SETUP_COOP_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG });
  ring.submit(late(1n));
  expect(ring.sq("flags")).toBe(0);
  expect(pairs(ring.reap())).toEqual([[1n, 0]]);
});

onBoth("[taskrun.defer-batches] a call that waits for more than twenty does as many", (on) => {
  const ring = on.ring(64, { flags: DEFER });
  const all = Array.from({ length: 60 }, (_, i) => late(BigInt(i)));
  ring.submit(...all);
  const counts = [1, 30, 1].map((wanted) => {
    ring.waitFor(wanted, 0n);
    return ring.reap().length;
  });
  expect(counts).toEqual([20, 30, 10]);
});
