// Chapter drain.
import type { Bench, SqeFields, TestRing } from "./on-both.ts";
import { SYNC_CANCEL_REG } from "../../../src/spec/codec.gen.ts";
import { abi, byUserData, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
const DRAIN = abi.IOSQE_IO_DRAIN;
/** Long enough for a worker to do what it should not. */
const A_WHILE = 20_000_000n;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });

function read(on: Bench, fd: number, userData: bigint, flags = 0): SqeFields {
  return { opcode: abi.IORING_OP_READ, fd, addr: on.buffer(3).addr, len: 3, userData, flags };
}

/** A cancel by user_data that looks for itself: -EALREADY from a worker, which it finds running, else -ENOENT. */
const whoRuns = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: userData, userData, flags });

const put = (on: Bench, fd: number): number => on.kernel.system.write(fd, Uint8Array.of(1, 2, 3));

/** IORING_REGISTER_SYNC_CANCEL by user_data, which no drain holds back. */
function syncCancel(on: Bench, ring: TestRing, userData: bigint): number {
  const arg = on.buffer(SYNC_CANCEL_REG.size);
  const to = new DataView(arg.bytes.buffer, arg.bytes.byteOffset, arg.bytes.byteLength);
  to.setBigUint64(SYNC_CANCEL_REG.addr, userData, true);
  to.setInt32(SYNC_CANCEL_REG.fd, -1, true);
  to.setBigInt64(SYNC_CANCEL_REG.timeout, -1n, true);
  to.setBigInt64(SYNC_CANCEL_REG.timeout + 8, -1n, true);
  return ring.ring.register(abi.IORING_REGISTER_SYNC_CANCEL, arg.addr, 1);
}

onBoth("[drain.waits-all-before] a drain waits for a READ of this call and for one of the call before", (on) => {
  const first = on.pipe();
  const second = on.pipe();
  const ring = on.ring();
  ring.submit(read(on, first.read, 1n));
  expect(ring.submit(read(on, second.read, 2n), nop(3n), nop(4n, DRAIN))).toBe(3);
  expect(pairs(ring.reap())).toEqual([[3n, 0]]);
  expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
  put(on, first.write);
  expect(pairs(ring.wait(1))).toEqual([[1n, 3]]);
  expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
  put(on, second.write);
  expect(pairs(ring.wait(2))).toEqual([[2n, 3], [4n, 0]]);
});

onBoth("[drain.defers-later] what is behind a drain waits for it, of this call and of the next, a cancel too", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(read(on, from, 1n), nop(2n, DRAIN), nop(3n));
  ring.submit(nop(4n), { opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 1n, userData: 5n });
  expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
  put(on, to);
  const seen = ring.wait(5);
  expect(pairs(seen).slice(0, 2)).toEqual([[1n, 3], [2n, 0]]);
  expect(byUserData(seen.slice(2))).toEqual({ 3: 0, 4: 0, 5: -abi.ENOENT });
});

onBoth("[drain.defers-later] without the drain the same cancel takes the READ at once", (on) => {
  const { read: from } = on.pipe();
  const ring = on.ring();
  ring.submit(read(on, from, 1n), nop(2n));
  ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 1n, userData: 5n });
  expect(byUserData(ring.reap())).toEqual({ 1: -abi.ECANCELED, 2: 0, 5: 0 });
});

onBoth("[drain.counts-requests] a drain waits for the last completion of a multishot poll", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit({ opcode: abi.IORING_OP_POLL_ADD, fd: from, len: abi.IORING_POLL_ADD_MULTI, opFlags: abi.POLLIN, userData: 1n });
  ring.submit(nop(2n, DRAIN));
  put(on, to);
  expect(ring.wait(1)).toEqual([{ userData: 1n, res: abi.POLLIN, flags: abi.IORING_CQE_F_MORE }]);
  expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
  expect(syncCancel(on, ring, 1n)).toBe(0);
  expect(ring.wait(2)).toEqual([{ userData: 1n, res: -abi.ECANCELED, flags: 0 }, { userData: 2n, res: 0, flags: 0 }]);
});

onBoth("[drain.counts-requests] a drain waits for a timeout, and not for what is held back with it", (on) => {
  const ring = on.ring();
  ring.submit({ opcode: abi.IORING_OP_TIMEOUT, addr: on.timespec(3600n, 0n), len: 1, userData: 1n });
  ring.submit(nop(2n, DRAIN), nop(3n), nop(4n, DRAIN), nop(5n));
  expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
  expect(syncCancel(on, ring, 1n)).toBe(0);
  expect(pairs(ring.wait(5))).toEqual([[1n, -abi.ECANCELED], [2n, 0], [3n, 0], [4n, 0], [5n, 0]]);
});

onBoth("[drain.in-chain] a drain inside a chain holds back the head of the chain", (on) => {
  const scripted = (flags: number): [bigint, number][] => {
    const { read: from, write: to } = on.pipe();
    const ring = on.ring();
    ring.submit(read(on, from, 1n), nop(2n, LINK), nop(3n, LINK | flags), nop(4n));
    const early = ring.reap();
    if (flags !== 0) expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
    put(on, to);
    return pairs([...early, ...ring.wait(4 - early.length)]);
  };
  expect(scripted(DRAIN)).toEqual([[1n, 3], [2n, 0], [3n, 0], [4n, 0]]);
  expect(scripted(0)).toEqual([[2n, 0], [3n, 0], [4n, 0], [1n, 3]]);
});

onBoth("[drain.in-chain] the request behind such a chain drains as well: it waits for the chain, and the next one for it", (on) => {
  const member = on.pipe();
  const behind = on.pipe();
  const ring = on.ring();
  ring.submit(nop(1n, LINK), read(on, member.read, 2n, DRAIN), read(on, behind.read, 3n), nop(4n));
  put(on, behind.write);
  expect(pairs(ring.wait(1))).toEqual([[1n, 0]]);
  expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
  put(on, member.write);
  expect(pairs(ring.wait(3))).toEqual([[2n, 3], [3n, 3], [4n, 0]]);
});

onBoth("[drain.in-chain] what is behind the request behind the chain waits for that one", (on) => {
  const behind = on.pipe();
  const ring = on.ring();
  ring.submit(nop(1n, LINK), nop(2n, DRAIN), read(on, behind.read, 3n), nop(4n));
  expect(pairs(ring.wait(2))).toEqual([[1n, 0], [2n, 0]]);
  expect(ring.waitFor(1, A_WHILE)).toBe(-abi.ETIME);
  put(on, behind.write);
  expect(pairs(ring.wait(2))).toEqual([[3n, 3], [4n, 0]]);
});

onBoth("[drain.in-chain] behind a chain that as a whole drains, the request after the next does not wait", (on) => {
  const behind = on.pipe();
  const ring = on.ring();
  ring.submit(nop(1n, LINK | DRAIN), nop(2n), read(on, behind.read, 3n), nop(4n));
  expect(byUserData(ring.wait(3))).toEqual({ 1: 0, 2: 0, 4: 0 });
  put(on, behind.write);
  expect(pairs(ring.wait(1))).toEqual([[3n, 3]]);
});

onBoth("[drain.forces-worker] a drain that need not wait, and what is submitted while the ring drains, are run by workers", (on) => {
  const ring = on.ring();
  expect(ring.results(whoRuns(1n))).toEqual([[1n, -abi.ENOENT]]);
  expect(ring.results(whoRuns(2n, DRAIN))).toEqual([[2n, -abi.EALREADY]]);
  // Everything before has ended, and still the ring drains: until one more comes that nothing holds back.
  expect(ring.results(whoRuns(3n))).toEqual([[3n, -abi.EALREADY]]);
  // The worker may not have let go of the one before yet, which then holds back the next.
  let later = -abi.EALREADY;
  for (let i = 0; i < 100 && later === -abi.EALREADY; i++) later = ring.results(whoRuns(4n))[0]?.[1] ?? 0;
  expect(later).toBe(-abi.ENOENT);
});

onBoth("[drain.disabled-by-skip] after one IOSQE_CQE_SKIP_SUCCESS no drain is accepted any more on this ring", (on) => {
  const ring = on.ring();
  expect(ring.results(nop(1n, DRAIN))).toEqual([[1n, 0]]);
  expect(ring.submit(nop(2n, abi.IOSQE_CQE_SKIP_SUCCESS))).toBe(1);
  expect(ring.submit(nop(3n, DRAIN), nop(4n))).toBe(1);
  expect(pairs(ring.wait(1))).toEqual([[3n, -abi.EOPNOTSUPP]]);
  expect(ring.submit()).toBe(1);
  expect(pairs(ring.wait(1))).toEqual([[4n, 0]]);
  expect(ring.results(nop(5n, DRAIN))).toEqual([[5n, -abi.EOPNOTSUPP]]);
  expect(on.ring().results(nop(6n, DRAIN))).toEqual([[6n, 0]]);
});

onBoth("[drain.undrained-chains] a chain that waits holds back neither another chain nor a single request", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(read(on, from, 1n, LINK), nop(2n), nop(3n, LINK), nop(4n), nop(5n));
  ring.submit(nop(6n));
  expect(pairs(ring.reap())).toEqual([[3n, 0], [5n, 0], [4n, 0], [6n, 0]]);
  put(on, to);
  expect(pairs(ring.wait(2))).toEqual([[1n, 3], [2n, 0]]);
});
