// Chapter cq.
import type { SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const CQSIZE = abi.IORING_SETUP_CQSIZE;
const OVERFLOW = abi.IORING_SQ_CQ_OVERFLOW;

/** One NOP: where the tail is then, and whether there is a backlog. */
function post(ring: TestRing, userData = 0n): [number, boolean] {
  expect(ring.submit({ opcode: abi.IORING_OP_NOP, userData })).toBe(1);
  return [ring.cq("tail"), (ring.sq("flags") & OVERFLOW) !== 0];
}

/** user_data of what is in a slot. */
function inSlot(ring: TestRing, slot: number): bigint {
  const { cqRing, params } = ring.ring;
  return new DataView(cqRing.buffer, cqRing.byteOffset).getBigUint64(params.cqOff.cqes + 16 * slot, true);
}

const MIXED = abi.IORING_SETUP_CQE_MIXED;
const SKIP = abi.IORING_CQE_F_SKIP;
const LONG = abi.IORING_CQE_F_32;

/** A NOP whose CQE has 32 bytes, with these in its second half. */
const longNop = (userData: bigint, first: bigint, second: bigint): SqeFields =>
  ({ opcode: abi.IORING_OP_NOP, userData, opFlags: abi.IORING_NOP_CQE32, off: first, addr: second });

/** The 64-bit words of the CQ from a slot on; slots have 16 bytes, or 32 with CQE32. */
function words(ring: TestRing, slot: number, count = 2): bigint[] {
  const { cqRing, params } = ring.ring;
  const size = (params.flags & abi.IORING_SETUP_CQE32) === 0 ? 16 : 32;
  const view = new DataView(cqRing.buffer, cqRing.byteOffset);
  return Array.from({ length: count }, (_, i) => view.getBigUint64(params.cqOff.cqes + size * slot + 8 * i, true));
}

/** user_data, res and flags as words has them. */
const cqe = (userData: bigint, res: number, flags: number): bigint[] => [userData, BigInt(res) | (BigInt(flags) << 32n)];

onBoth("[cq.free-running] the counters run on beyond the queue's size", (on) => {
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  for (let i = 0; i < 20; i++) {
    expect(post(ring, BigInt(100 + i))).toEqual([i + 1, false]);
    // The last four are still there, each in its slot.
    for (let j = Math.max(0, i - 3); j <= i; j++) expect(inSlot(ring, j % 4)).toBe(BigInt(100 + j));
    ring.storeCq("head", i + 1);
  }
  expect([ring.cq("head"), ring.cq("tail"), ring.sq("head")]).toEqual([20, 20, 20]);
});

onBoth("[cq.tail-after-entry] an entry is complete once the tail says so", (on) => {
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  const { cqRing, params } = ring.ring;
  const view = new DataView(cqRing.buffer, cqRing.byteOffset);
  for (let i = 0; i < 500; i++) {
    const at = params.cqOff.cqes + 16 * (i % 4);
    cqRing.fill(0xa5, at, at + 16);
    const userData = 0x1111_2222_0000_0000n + BigInt(i);
    const opFlags = abi.IORING_NOP_INJECT_RESULT;
    ring.submit({ opcode: abi.IORING_OP_NOP, flags: abi.IOSQE_ASYNC, userData, opFlags, len: i });
    // A worker posts it beside this thread, which looks for the tail to move, and at once at the entry.
    const until = on.kernel.nowNs() + 3_000_000_000n;
    while (ring.cq("tail") === i && !on.isModel && on.kernel.nowNs() < until);
    const seen = [view.getBigUint64(at, true), view.getInt32(at + 8, true), view.getUint32(at + 12, true)];
    expect(ring.cq("tail")).toBe(i + 1);
    expect(seen).toEqual([userData, i, 0]);
    ring.storeCq("head", i + 1);
  }
});

onBoth("[cq.window-cached] the head is not read while the free slots that were found last", (on) => {
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  expect(post(ring)).toEqual([1, false]);
  // By this head the queue is full. Four free slots were found before, though.
  ring.storeCq("head", 1 - 4);
  expect(post(ring)).toEqual([2, false]);
  expect(post(ring)).toEqual([3, false]);
  expect(post(ring)).toEqual([4, false]);
  // They are used up: now it is read. Four are there by it, for the tail is 4.
  ring.storeCq("head", 0);
  expect(post(ring)).toEqual([4, true]);
});

onBoth("[cq.window-cached] what was found ends where the head was, and is not more when the head moves", (on) => {
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  // Two free slots when it is read first.
  ring.storeCq("head", -2);
  expect(post(ring)).toEqual([1, false]);
  ring.storeCq("head", 1);
  expect(post(ring)).toEqual([2, false]);
  // It is read now, and says full. If the four free slots of just before had been seen, this would fit.
  ring.storeCq("head", 2 - 4);
  expect(post(ring)).toEqual([2, true]);
});

onBoth("[cq.window-cached] what was found ends at the queue's end", (on) => {
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  ring.storeCq("head", -2);
  post(ring);
  post(ring);
  // Four are free, from slot 2: two of them before the end.
  ring.storeCq("head", 2);
  expect(post(ring)).toEqual([3, false]);
  ring.storeCq("head", 3 - 4);
  expect(post(ring)).toEqual([4, false]);
  ring.storeCq("head", 0);
  expect(post(ring)).toEqual([4, true]);
});

onBoth("[cq.head-lies] a head beyond the tail, or far behind it, is a full queue", (on) => {
  for (const head of [1, 2, 0x7fff_ffff, 0x8000_0000, -5]) {
    const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
    ring.storeCq("head", head);
    expect(post(ring, 7n)).toEqual([0, true]);
    // Told the truth, there is room.
    ring.storeCq("head", 0);
    expect(ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS)).toBe(0);
    expect(ring.reap()).toEqual([{ userData: 7n, res: 0, flags: 0 }]);
  }
  // One slot is free by this one.
  const ring = on.ring(4, { flags: CQSIZE, cqEntries: 4 });
  ring.storeCq("head", -3);
  expect(post(ring)).toEqual([1, false]);
  expect(post(ring)).toEqual([1, true]);
});

onBoth("[cq.big-half] with CQE32 a slot has 32 bytes", (on) => {
  const ring = on.ring(1, { flags: CQSIZE | abi.IORING_SETUP_CQE32, cqEntries: 4 });
  ring.ring.cqRing.fill(0xa5, ring.ring.params.cqOff.cqes, ring.ring.params.cqOff.cqes + 4 * 32);
  post(ring, 1n);
  ring.submit(longNop(2n, 0x1234n, 0xffff_ffff_ffff_ffffn));
  post(ring, 3n);
  expect(ring.cq("tail")).toBe(3);
  expect(words(ring, 0, 4)).toEqual([...cqe(1n, 0, 0), 0n, 0n]);
  expect(words(ring, 1, 4)).toEqual([...cqe(2n, 0, 0), 0x1234n, 0xffff_ffff_ffff_ffffn]);
  expect(words(ring, 2, 4)).toEqual([...cqe(3n, 0, 0), 0n, 0n]);
  // Four slots, as with 16 bytes.
  post(ring);
  expect(post(ring)).toEqual([4, true]);
});

onBoth("[cq.mixed-two-slots] with CQE_MIXED a long CQE takes two slots", (on) => {
  const ring = on.ring(1, { flags: CQSIZE | MIXED, cqEntries: 8 });
  expect(post(ring, 1n)).toEqual([1, false]);
  ring.submit(longNop(2n, 7n, 8n));
  expect(ring.cq("tail")).toBe(3);
  expect(post(ring, 3n)).toEqual([4, false]);
  expect(words(ring, 0, 8)).toEqual([...cqe(1n, 0, 0), ...cqe(2n, 0, LONG), 7n, 8n, ...cqe(3n, 0, 0)]);
});

onBoth("[cq.mixed-filler] a long CQE does not wrap: the last slot is filled", (on) => {
  const ring = on.ring(1, { flags: CQSIZE | MIXED, cqEntries: 4 });
  for (const userData of [1n, 2n, 3n]) post(ring, userData);
  ring.storeCq("head", 3);
  ring.submit(longNop(4n, 7n, 8n));
  expect([ring.cq("tail"), ring.sq("flags")]).toEqual([6, 0]);
  expect(words(ring, 3)).toEqual(cqe(0n, 0, SKIP));
  expect(words(ring, 0, 4)).toEqual([...cqe(4n, 0, LONG), 7n, 8n]);
  // Where two slots are left, there is none.
  const other = on.ring(1, { flags: CQSIZE | MIXED, cqEntries: 4 });
  for (const userData of [1n, 2n]) post(other, userData);
  other.submit(longNop(4n, 7n, 8n));
  expect(other.cq("tail")).toBe(4);
  expect(words(other, 2, 4)).toEqual([...cqe(4n, 0, LONG), 7n, 8n]);
});

onBoth("[cq.mixed-filler-overwritten] a filler with no room behind it is written over, and the tail moves on", (on) => {
  const ring = on.ring(1, { flags: CQSIZE | MIXED, cqEntries: 4 });
  for (const userData of [1n, 2n, 3n]) post(ring, userData);
  ring.submit(longNop(4n, 7n, 8n));
  expect([ring.cq("tail"), ring.sq("flags")]).toEqual([4, OVERFLOW]);
  expect(words(ring, 3)).toEqual(cqe(0n, 0, SKIP));
  expect(post(ring, 5n)).toEqual([5, true]);
  expect(words(ring, 3)).toEqual(cqe(5n, 0, 0));
  // Five between head and tail: the first comes again as the last.
  expect(ring.reap().map(({ userData }) => userData)).toEqual([1n, 2n, 3n, 5n, 1n]);
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect([ring.cq("tail"), ring.sq("flags")]).toEqual([7, 0]);
  expect(words(ring, 1, 4)).toEqual([...cqe(4n, 0, LONG), 7n, 8n]);
});

/** A message to the ring itself that says it has 32 bytes, and no CQE of its own. */
const longMessage = (ring: TestRing, userData: bigint): SqeFields => ({
  opcode: abi.IORING_OP_MSG_RING, fd: ring.ring.fd, off: userData, len: 5, opFlags: abi.IORING_MSG_RING_FLAGS_PASS, spliceFdIn: LONG, flags: abi.IOSQE_CQE_SKIP_SUCCESS,
});

onBoth("[cq.long-flag-plain] a message that says it has 32 bytes takes one slot of 16, and asks for two", (on) => {
  const ring = on.ring(1, { flags: CQSIZE, cqEntries: 4 });
  post(ring, 1n);
  ring.submit(longMessage(ring, 2n));
  expect(ring.cq("tail")).toBe(2);
  expect(words(ring, 1, 4)).toEqual([...cqe(2n, 5, LONG), 0n, 0n]);
  post(ring, 3n);
  // One slot is left: the filler takes it, there is no room behind it, and what comes next is written over it.
  ring.submit(longMessage(ring, 4n));
  expect([ring.cq("tail"), ring.sq("flags")]).toEqual([4, OVERFLOW]);
  expect(words(ring, 3)).toEqual(cqe(0n, 0, SKIP));
  expect(post(ring, 5n)).toEqual([5, true]);
  expect(words(ring, 3)).toEqual(cqe(5n, 0, 0));
  // With room behind it the filler stays.
  const other = on.ring(1, { flags: CQSIZE, cqEntries: 4 });
  for (const userData of [1n, 2n, 3n]) post(other, userData);
  other.storeCq("head", 3);
  other.submit(longMessage(other, 4n));
  expect([other.cq("tail"), other.sq("flags")]).toEqual([5, 0]);
  expect([words(other, 3), words(other, 0)]).toEqual([cqe(0n, 0, SKIP), cqe(4n, 5, LONG)]);
});

onBoth("[cq.filler-misplaced] on a CQE32 ring the filler is written into the middle of the queue", (on) => {
  const ring = on.ring(1, { flags: CQSIZE | abi.IORING_SETUP_CQE32, cqEntries: 4 });
  for (const userData of [1n, 2n, 3n, 4n]) post(ring, userData);
  ring.storeCq("head", 3);
  // The kernel looks for room: three slots, of which none is left behind these.
  for (const userData of [5n, 6n, 7n]) post(ring, userData);
  ring.storeCq("head", 7);
  ring.submit(longMessage(ring, 8n));
  expect([ring.cq("tail"), ring.sq("flags")]).toEqual([9, 0]);
  expect(words(ring, 0)).toEqual(cqe(8n, 5, LONG));
  // Slot 1, which was read, in its second half; slot 3 is as it was.
  expect(words(ring, 1, 4).slice(2)).toEqual(cqe(0n, 0, SKIP));
  expect(words(ring, 3)).toEqual(cqe(4n, 0, 0));
});
