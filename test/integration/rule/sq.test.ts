// Chapter sq.
import type { Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth, pairs } from "./on-both.ts";

const NO_SQARRAY = abi.IORING_SETUP_NO_SQARRAY;
const SUBMIT_ALL = abi.IORING_SETUP_SUBMIT_ALL;
const CQSIZE = abi.IORING_SETUP_CQSIZE;
const LINK = abi.IOSQE_IO_LINK;

const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });
const names = (seen: readonly Seen[]): bigint[] => seen.map(({ userData }) => userData);

/** SQE i is a NOP named i, and slot i of the array names it. */
function fill(ring: TestRing): void {
  for (let i = 0; i < ring.ring.params.sqEntries; i++) {
    ring.slot(i, nop(BigInt(i)));
    if ((ring.ring.params.flags & NO_SQARRAY) === 0) ring.storeArray(i, i);
  }
}

onBoth("[sq.free-running] the counters run on beyond the queue's size", (on) => {
  const ring = on.ring(4);
  fill(ring);
  let tail = 0;
  // Three at a time, so that a batch begins at each slot.
  for (let round = 0; round < 12; round++) {
    const slots = [0, 1, 2].map((i) => BigInt((tail + i) % 4));
    tail += 3;
    ring.storeSq("tail", tail);
    expect(ring.enter(3)).toBe(3);
    expect(ring.sq("head")).toBe(tail);
    expect(names(ring.reap())).toEqual(slots);
  }
  expect(ring.sq("tail")).toBe(36);
});

onBoth("[sq.array-index] the array names SQEs in any order, and the same one twice", (on) => {
  const ring = on.ring(4);
  fill(ring);
  for (const [slot, index] of [3, 1, 1, 0].entries()) ring.storeArray(slot, index);
  ring.storeSq("tail", 4);
  expect(ring.enter(4)).toBe(4);
  expect(names(ring.reap())).toEqual([3n, 1n, 1n, 0n]);
});

onBoth("[sq.no-sqarray] the SQE is the one at the masked head", (on) => {
  const ring = on.ring(4, { flags: NO_SQARRAY });
  fill(ring);
  ring.storeSq("tail", 3);
  expect(ring.enter(3)).toBe(3);
  expect(names(ring.reap())).toEqual([0n, 1n, 2n]);
  ring.storeSq("tail", 6);
  expect(ring.enter(3)).toBe(3);
  expect(names(ring.reap())).toEqual([3n, 0n, 1n]);
  // With an array that was never filled in, it is SQE 0 each time.
  const withArray = on.ring(4);
  fill(withArray);
  for (let slot = 0; slot < 4; slot++) withArray.storeArray(slot, 0);
  withArray.storeSq("tail", 3);
  expect(withArray.enter(3)).toBe(3);
  expect(names(withArray.reap())).toEqual([0n, 0n, 0n]);
});

onBoth("[sq.tail-clamped] a tail too far ahead is a full queue", (on) => {
  for (const ahead of [5, 9, 0x7fff_ffff]) {
    const ring = on.ring(4);
    fill(ring);
    ring.storeSq("tail", ahead);
    expect(ring.enter(100)).toBe(4);
    expect(ring.sq("head")).toBe(4);
    expect(names(ring.reap())).toEqual([0n, 1n, 2n, 3n]);
  }
  const ring = on.ring(4);
  fill(ring);
  ring.storeSq("tail", 3);
  expect(ring.enter(100)).toBe(3);
});

onBoth("[sq.tail-clamped] a tail behind the head is a full queue", (on) => {
  const ring = on.ring(4);
  fill(ring);
  ring.storeSq("tail", 3);
  expect(ring.enter(3)).toBe(3);
  ring.reap();
  ring.storeSq("tail", 2);
  expect(ring.enter(100)).toBe(4);
  expect(ring.sq("head")).toBe(7);
  expect(names(ring.reap())).toEqual([3n, 0n, 1n, 2n]);
  // Still behind, still full.
  ring.storeSq("tail", -1);
  expect(ring.enter(100)).toBe(4);
  expect(ring.sq("head")).toBe(11);
});

onBoth("[sq.head-app-store-ignored] a head that the application stores", (on) => {
  const ring = on.ring(4);
  fill(ring);
  ring.storeSq("tail", 1);
  ring.storeSq("head", 77);
  expect(ring.enter(1)).toBe(1);
  expect(names(ring.reap())).toEqual([0n]);
  expect(ring.sq("head")).toBe(1);
  // A call that takes nothing leaves what was stored; by the kernel's own head nothing is published.
  ring.storeSq("head", 0);
  expect(ring.enter(1)).toBe(0);
  expect(ring.sq("head")).toBe(0);
  expect(ring.reap()).toEqual([]);
  ring.storeSq("tail", 3);
  expect(ring.enter(9)).toBe(2);
  expect(names(ring.reap())).toEqual([1n, 2n]);
  expect(ring.sq("head")).toBe(3);
});

onBoth("[sq.dropped-counts] [sq.dropped-stops] an index that names no SQE", (on) => {
  for (const flags of [0, SUBMIT_ALL]) {
    const ring = on.ring(4, { flags });
    fill(ring);
    ring.storeArray(1, 4);
    ring.storeArray(2, 0xffff_ffff);
    ring.storeSq("tail", 4);
    // The NOP before it, then each bad index alone, then the NOP behind them.
    expect(ring.enter(4)).toBe(1);
    expect([ring.sq("head"), ring.sq("dropped")]).toEqual([2, 1]);
    expect(names(ring.reap())).toEqual([0n]);
    expect(ring.enter(2)).toBe(0);
    expect([ring.sq("head"), ring.sq("dropped")]).toEqual([3, 2]);
    expect(ring.reap()).toEqual([]);
    expect(ring.enter(1)).toBe(1);
    expect([ring.sq("head"), ring.sq("dropped")]).toEqual([4, 2]);
    expect(names(ring.reap())).toEqual([3n]);
  }
});

onBoth("[sq.dropped-counts] the last index that names an SQE", (on) => {
  const ring = on.ring(4);
  fill(ring);
  ring.storeArray(0, 3);
  ring.storeSq("tail", 1);
  expect(ring.enter(1)).toBe(1);
  expect(ring.sq("dropped")).toBe(0);
  expect(names(ring.reap())).toEqual([3n]);
});

onBoth("[sq.user-data] all 64 bits, from each kind of completion", (on) => {
  const values = [0n, 1n, 0x8000_0000n, 0x1_0000_0000n, 0x0123_4567_89ab_cdefn, 0x8000_0000_0000_0000n, 0xffff_ffff_ffff_ffffn];
  const ring = on.ring(8);
  expect(ring.results(...values.map(nop))).toEqual(values.map((value) => [value, 0]));
  for (const value of values) {
    // From a worker, from a failure, and from a request that waited.
    expect(ring.results({ ...nop(value), flags: abi.IOSQE_ASYNC })).toEqual([[value, 0]]);
    expect(ring.results({ opcode: 255, userData: value })).toEqual([[value, -abi.EINVAL]]);
    const fd = on.eventfd();
    ring.submit({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLIN, userData: value });
    on.kernel.system.write(fd, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
    expect(pairs(ring.wait(1))).toEqual([[value, abi.POLLIN]]);
  }
});

onBoth("[sq.entry-reusable] SQEs that are overwritten once the call has returned", (on) => {
  const ring = on.ring(2);
  const pipe = on.pipe();
  const into = on.buffer(4);
  // One that waits, and one in its chain that is not even begun.
  ring.submit({ opcode: abi.IORING_OP_READ, fd: pipe.read, addr: into.addr, len: 4, userData: 1n, flags: LINK },
    { opcode: abi.IORING_OP_NOP, userData: 2n, opFlags: abi.IORING_NOP_INJECT_RESULT, len: 42 });
  ring.ring.sqes.fill(0xff);
  on.kernel.system.write(pipe.write, new Uint8Array([9, 8, 7, 6]));
  expect(pairs(ring.wait(2))).toEqual([[1n, 4], [2n, 42]]);
  expect([...into.bytes]).toEqual([9, 8, 7, 6]);
});

onBoth("[sq.stable-arguments] an iovec that is overwritten while its request waits", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  const into = on.buffer(4);
  const other = on.buffer(4);
  const iovec = on.buffer(16);
  const view = new DataView(iovec.bytes.buffer, iovec.bytes.byteOffset, 16);
  view.setBigUint64(0, into.addr, true);
  view.setBigUint64(8, 4n, true);
  ring.submit({ opcode: abi.IORING_OP_READV, fd: pipe.read, addr: iovec.addr, len: 1, userData: 1n });
  view.setBigUint64(0, other.addr, true);
  view.setBigUint64(8, 2n, true);
  on.kernel.system.write(pipe.write, new Uint8Array([9, 8, 7, 6]));
  expect(pairs(ring.wait(1))).toEqual([[1n, 4]]);
  expect([...into.bytes, ...other.bytes]).toEqual([9, 8, 7, 6, 0, 0, 0, 0]);
});

onBoth("[sq.stable-arguments] a timespec and a path that are overwritten before their request begins", (on) => {
  on.file(3, "first");
  const directory = on.kernel.system.open(".", abi.O_RDONLY | abi.O_DIRECTORY);
  const ring = on.ring();
  const pipe = on.pipe();
  const into = on.buffer(1);
  const timespec = on.buffer(16);
  const path = on.buffer(new TextEncoder().encode("first\0"));
  // Both wait in a chain behind the READ.
  ring.submit({ opcode: abi.IORING_OP_READ, fd: pipe.read, addr: into.addr, len: 1, userData: 1n, flags: LINK },
    { opcode: abi.IORING_OP_OPENAT, fd: directory, addr: path.addr, opFlags: abi.O_RDONLY, userData: 2n, flags: LINK },
    { opcode: abi.IORING_OP_TIMEOUT, addr: timespec.addr, len: 1, userData: 3n });
  path.bytes.set(new TextEncoder().encode("never"));
  timespec.bytes.fill(0x7f);
  on.kernel.system.write(pipe.write, new Uint8Array([1]));
  const seen = ring.wait(3);
  if (seen.length < 3) seen.push(...ring.wait(3 - seen.length));
  expect(names(seen)).toEqual([1n, 2n, 3n]);
  const fd = seen[1]?.res ?? -1;
  expect(on.kernel.system.adopt(fd)).toBe(0);
  expect(on.kernel.system.size(fd)).toBe(3);
  expect(seen[2]?.res).toBe(-abi.ETIME);
});

onBoth("[sq.no-in-flight-limit] far more requests under way than either queue has entries", (on) => {
  const ring = on.ring(1, { flags: CQSIZE, cqEntries: 1 });
  const fd = on.eventfd();
  const all = Array.from({ length: 50 }, (_, i) => BigInt(i));
  for (const userData of all) expect(ring.submit({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLIN, userData })).toBe(1);
  expect(ring.reap()).toEqual([]);
  on.kernel.system.write(fd, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]));
  const seen: Seen[] = [];
  for (let i = 0; i < all.length && seen.length < all.length; i++) seen.push(...ring.wait(1));
  expect(pairs(seen).sort(([a], [b]) => Number(a - b))).toEqual(all.map((userData) => [userData, abi.POLLIN]));
});
