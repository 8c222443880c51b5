// Chapter mapping.
import { abi, expect, onBoth, pairs } from "./on-both.ts";

const CQSIZE = abi.IORING_SETUP_CQSIZE;
const NOP = abi.IORING_OP_NOP;

onBoth("[mapping.single-mmap] what is stored in one queue's mapping is in the other's", (on) => {
  const ring = on.ring(4);
  const { sqRing, cqRing, params } = ring.ring;
  expect(params.features & abi.IORING_FEAT_SINGLE_MMAP).not.toBe(0);
  ring.submit({ opcode: NOP, userData: 0x1122_3344_5566_7788n });
  // The completion, found through the SQ's mapping; the consumed entry, through the CQ's.
  const sq = new DataView(sqRing.buffer, sqRing.byteOffset);
  const cq = new DataView(cqRing.buffer, cqRing.byteOffset);
  expect(sq.getUint32(params.cqOff.tail, true)).toBe(1);
  expect(sq.getBigUint64(params.cqOff.cqes, true)).toBe(0x1122_3344_5566_7788n);
  expect(cq.getUint32(params.sqOff.head, true)).toBe(1);
  // And the kernel sees a head that was stored there: the wait would find a completion.
  sq.setUint32(params.cqOff.head, 1, true);
  expect(cq.getUint32(params.cqOff.head, true)).toBe(1);
  expect(ring.waitFor(1, 1_000_000n)).toBe(-abi.ETIME);
});

onBoth("[mapping.sqes-apart] SQEs are no part of the queues' memory", (on) => {
  for (const [flags, size] of [[0, 64], [abi.IORING_SETUP_SQE128, 128]] as const) {
    const ring = on.ring(4, { flags });
    const { sqes, sqRing } = ring.ring;
    expect(sqes.length).toBe(4 * size);
    expect([...sqes]).toEqual(Array.from({ length: 4 * size }, () => 0));
    const before = [...sqRing];
    sqes.fill(0xa5);
    expect([...sqRing]).toEqual(before);
    ring.slot(3, { opcode: NOP, userData: 3n });
    ring.storeArray(0, 3);
    ring.storeSq("tail", 1);
    expect(ring.enter(1)).toBe(1);
    expect(ring.reap()).toEqual([{ userData: 3n, res: 0, flags: 0 }]);
    expect(sqes.subarray(0, 3 * size).every((byte) => byte === 0xa5)).toBe(true);
  }
});

onBoth("[mapping.kernel-words-ignored] masks and sizes that the application stores", (on) => {
  const ring = on.ring(2, { flags: CQSIZE, cqEntries: 4 });
  const lie = (mask: number, entries: number): void => {
    ring.storeSq("ringMask", mask);
    ring.storeSq("ringEntries", entries);
    ring.storeCq("ringMask", mask);
    ring.storeCq("ringEntries", entries);
  };
  // Three times round both queues, each time with other lies.
  let next = 0n;
  for (const [mask, entries] of [[0, 1], [0xffff_ffff, 0xffff_ffff], [0, 0], [15, 16]] as const) {
    lie(mask, entries);
    for (let i = 0; i < 3; i++) {
      expect(ring.submit({ opcode: NOP, userData: next }, { opcode: NOP, userData: next + 1n })).toBe(2);
      expect(ring.reap().map(({ userData }) => userData)).toEqual([next, next + 1n]);
      next += 2n;
    }
    expect([ring.sq("ringMask"), ring.sq("ringEntries")]).toEqual([mask, entries]);
    expect([ring.cq("ringMask"), ring.cq("ringEntries")]).toEqual([mask, entries]);
  }
  // An SQ of two takes two, a CQ of four holds four, an index of 2 names nothing.
  lie(63, 64);
  ring.storeSq("tail", ring.sq("head") + 64);
  for (const slot of [0, 1]) ring.slot(slot, { opcode: NOP });
  expect([ring.enter(64), ring.enter(64), ring.enter(64)]).toEqual([2, 2, 2]);
  expect(ring.cq("tail") - ring.cq("head")).toBe(4);
  expect(ring.sq("flags")).toBe(abi.IORING_SQ_CQ_OVERFLOW);
  ring.storeArray(ring.sq("head") & 1, 2);
  expect(ring.enter(1)).toBe(0);
  expect(ring.sq("dropped")).toBe(1);
});

onBoth("[mapping.keeps-ring] a pending READ completes after the descriptor is closed", (on) => {
  const ring = on.ring(4);
  const { read, write } = on.pipe();
  const into = on.buffer(4);
  expect(ring.submit({ opcode: abi.IORING_OP_READ, fd: read, addr: into.addr, len: 4, userData: 1n }, { opcode: NOP, userData: 2n })).toBe(2);
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
  expect(ring.ring.closeDescriptor()).toBe(0);
  expect(ring.ring.closeDescriptor()).toBe(-abi.EBADF);
  expect(ring.enter(0)).toBe(-abi.EBADF);
  expect(ring.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0)).toBe(-abi.EBADF);
  // Not cancelled: nothing has come, and what is written now is read. That call's end runs the task work.
  expect(ring.reap()).toEqual([]);
  on.kernel.system.write(write, new Uint8Array([1, 2, 3]));
  expect(pairs(ring.reap())).toEqual([[1n, 3]]);
  expect([...into.bytes]).toEqual([1, 2, 3, 0]);
});
