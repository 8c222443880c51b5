// Chapter resize: other queues for a ring in use.
import { CQ_OFF, PARAMS, SQ_OFF } from "../../../src/spec/codec.gen.ts";
import { abi, type Bench, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const { IORING_REGISTER_RESIZE_RINGS: RESIZE, IORING_SETUP_CQSIZE: CQSIZE, IORING_SETUP_CLAMP: CLAMP, IORING_SETUP_NO_SQARRAY: NO_SQARRAY } = abi;
const DEFER = abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN;
const GETEVENTS = abi.IORING_ENTER_GETEVENTS;
const nop = (userData: number): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData: BigInt(userData) });
const nops = (from: number, count: number): SqeFields[] => Array.from({ length: count }, (_, i) => nop(from + i));

const ring = (on: Bench, entries: number, flags = NO_SQARRAY, cqEntries = 0): TestRing =>
  on.ring(entries, { flags: (DEFER | flags | (cqEntries === 0 ? 0 : CQSIZE)) >>> 0, cqEntries });

/** What the call returned, and the words of struct io_uring_params as they are then. */
function resize(on: Bench, to: TestRing, sqEntries: number, flags = 0, cqEntries = 0, dirt = 0): [result: number, params: DataView] {
  const region = on.buffer(PARAMS.size);
  const params = new DataView(region.bytes.buffer, region.bytes.byteOffset, PARAMS.size);
  region.bytes.fill(dirt);
  params.setUint32(PARAMS.sq_entries, sqEntries, true);
  params.setUint32(PARAMS.cq_entries, cqEntries, true);
  params.setUint32(PARAMS.flags, flags, true);
  return [to.ring.register(RESIZE, region.addr, 1), params];
}

/** Sizes as the words of the ring have them. */
const sizes = (of: TestRing): number[] => [of.sq("ringEntries"), of.cq("ringEntries"), of.sq("ringMask"), of.cq("ringMask")];
const reaped = (of: TestRing): number[] => of.reap().map(({ userData }) => Number(userData));

onBoth("[resize.defer-only] which rings", (on) => {
  for (const flags of [0, abi.IORING_SETUP_SINGLE_ISSUER, abi.IORING_SETUP_COOP_TASKRUN]) {
    const other = on.ring(4, { flags });
    expect(resize(on, other, 8)[0]).toBe(-abi.EINVAL);
    // That is looked at before the argument.
    expect(other.ring.register(RESIZE, on.kernel.memory.faultAddress, 1)).toBe(-abi.EINVAL);
  }
  for (const flags of [0, abi.IORING_SETUP_R_DISABLED, abi.IORING_SETUP_IOPOLL]) expect(resize(on, ring(on, 4, flags), 8)[0]).toBe(0);
});

onBoth("[resize.argument] one struct io_uring_params", (on) => {
  const to = ring(on, 4);
  const { addr } = on.buffer(PARAMS.size);
  expect([0, 2].map((count) => to.ring.register(RESIZE, addr, count))).toEqual([-abi.EINVAL, -abi.EINVAL]);
  expect(to.ring.register(RESIZE, null, 1)).toBe(-abi.EINVAL);
  expect(to.ring.register(RESIZE, on.kernel.memory.faultAddress, 1)).toBe(-abi.EFAULT);
  expect(() => to.ring.registerElsewhere(RESIZE, addr, 1)).toThrow(/by its own thread/);
});

onBoth("[resize.flags] flags that may not be given", (on) => {
  const to = ring(on, 4);
  for (const flags of [NO_SQARRAY, abi.IORING_SETUP_DEFER_TASKRUN, abi.IORING_SETUP_SQE128, abi.IORING_SETUP_SQPOLL, 0x8000_0000])
    expect(resize(on, to, 8, flags)[0]).toBe(-abi.EINVAL);
  expect(sizes(to)).toEqual([4, 8, 3, 7]);
  expect(resize(on, to, 8, CLAMP)[0]).toBe(0);
});

onBoth("[resize.sizes] rounded, doubled, clamped, refused", (on) => {
  const to = ring(on, 4);
  const seen = (...asked: [entries: number, flags?: number, cq?: number]): number | number[] => {
    const [result] = resize(on, to, ...asked);
    return result === 0 ? sizes(to).slice(0, 2) : result;
  };
  expect([seen(5), seen(5, 0, 100), seen(1), seen(3, CQSIZE, 100), seen(8, CQSIZE, 8)]).toEqual([[8, 16], [8, 16], [1, 2], [4, 128], [8, 8]]);
  expect([seen(0), seen(32769), seen(8, CQSIZE, 0), seen(8, CQSIZE, 4), seen(8, CQSIZE, 65537)]).toEqual(Array(5).fill(-abi.EINVAL));
  expect([seen(40000, CLAMP), seen(8, CLAMP | CQSIZE, 70000)]).toEqual([[32768, 65536], [8, 65536]]);
  expect([to.ring.params.sqEntries, to.ring.params.cqEntries]).toEqual([8, 65536]);
  const mixed = ring(on, 1, abi.IORING_SETUP_CQE_MIXED, 2);
  expect([resize(on, mixed, 1, CQSIZE, 1)[0], resize(on, mixed, 1)[0]]).toEqual([-abi.EOVERFLOW, 0]);
});

onBoth("[resize.params] what is written back", (on) => {
  for (const shape of [0, NO_SQARRAY, NO_SQARRAY | abi.IORING_SETUP_SQE128 | abi.IORING_SETUP_CQE32]) {
    const to = ring(on, 4, shape);
    const [result, params] = resize(on, to, 5, CLAMP, 0, 0xa5);
    const word = (at: number): number => params.getUint32(at, true);
    expect([result, word(PARAMS.sq_entries), word(PARAMS.cq_entries), word(PARAMS.flags)]).toEqual([0, 8, 16, CLAMP | shape]);
    const { sqOff, cqOff } = to.ring.params;
    expect([SQ_OFF.head, SQ_OFF.tail, SQ_OFF.flags, SQ_OFF.dropped, SQ_OFF.resv1].map((at) => word(PARAMS.sq_off + at))).toEqual([sqOff.head, sqOff.tail, sqOff.flags, sqOff.dropped, 0]);
    expect([CQ_OFF.head, CQ_OFF.overflow, CQ_OFF.cqes, CQ_OFF.flags, CQ_OFF.user_addr].map((at) => word(PARAMS.cq_off + at))).toEqual([cqOff.head, cqOff.overflow, cqOff.cqes, cqOff.flags, 0]);
    for (const at of [PARAMS.sq_thread_cpu, PARAMS.features, PARAMS.wq_fd, PARAMS.resv, PARAMS.sq_off + SQ_OFF.array]) expect(word(at)).toBe(0xa5a5_a5a5);
  }
  const full = ring(on, 4);
  full.push(...nops(1, 4));
  const [refused, params] = resize(on, full, 1);
  expect([refused, params.getUint32(PARAMS.cq_entries, true)]).toEqual([-abi.EOVERFLOW, 2]);
});

onBoth("[resize.no-room] more than the new queue holds", (on) => {
  const to = ring(on, 8);
  to.push(...nops(1, 5));
  expect(resize(on, to, 4)[0]).toBe(-abi.EOVERFLOW);
  expect(sizes(to)).toEqual([8, 16, 7, 15]);
  expect(to.enter(5, 0, GETEVENTS)).toBe(5);
  expect(resize(on, to, 2, CQSIZE, 4)[0]).toBe(-abi.EOVERFLOW);
  expect(resize(on, to, 2, CQSIZE, 8)[0]).toBe(0);
  // A head beyond its tail, and a tail behind its head, are very many.
  to.storeCq("head", 7);
  expect(resize(on, to, 8)[0]).toBe(-abi.EOVERFLOW);
  to.storeCq("head", 0);
  to.storeSq("tail", 4);
  expect(resize(on, to, 8)[0]).toBe(-abi.EOVERFLOW);
  to.storeSq("tail", 5);
  expect(reaped(to)).toEqual([1, 2, 3, 4, 5]);
});

onBoth("[resize.keeps-sqes] [resize.keeps-cqes] what is pending in either queue", (on) => {
  const shapes = [0, abi.IORING_SETUP_SQE128, abi.IORING_SETUP_CQE32, abi.IORING_SETUP_CQE_MIXED, abi.IORING_SETUP_SQE128 | abi.IORING_SETUP_CQE32];
  for (const shape of shapes) {
    for (const entries of [16, 4]) {
      const to = ring(on, 4, NO_SQARRAY | shape);
      to.submit(...nops(1, 3));
      to.enter(0, 0, GETEVENTS);
      to.storeCq("head", 1);
      to.push(...nops(4, 3));
      expect(resize(on, to, entries)[0]).toBe(0);
      expect([to.sq("head"), to.sq("tail"), to.cq("head"), to.cq("tail")]).toEqual([3, 6, 1, 3]);
      expect(to.enter(3, 0, GETEVENTS)).toBe(3);
      expect(reaped(to), `${shape} ${entries}`).toEqual([2, 3, 4, 5, 6]);
      // And on, round the new queues.
      for (let i = 0; i < 12; i++) expect(to.submit(...nops(10 + i, 2))).toBe(2);
      to.enter(0, 0, GETEVENTS);
      expect(to.cq("tail")).toBe(entries === 16 ? 30 : 14);
    }
  }
});

onBoth("[resize.keeps-cqes] the next completion goes to a slot of the new queue", (on) => {
  for (const [before, after] of [[16, 4], [4, 16], [16, 8]] as const) {
    const to = ring(on, 2, NO_SQARRAY, before);
    for (let i = 0; i < 5; i++) {
      to.submit(...nops(2 * i, 2));
      to.enter(0, 0, GETEVENTS);
      if (i < 4) to.reap();
    }
    expect(resize(on, to, 2, CQSIZE, after)[0]).toBe(0);
    expect(to.submit(...nops(10, 2))).toBe(2);
    to.enter(0, 0, GETEVENTS);
    expect(reaped(to)).toEqual([8, 9, 10, 11]);
  }
});

onBoth("[resize.array-empty] [resize.keeps-sqes] a ring with an SQ array", (on) => {
  const to = ring(on, 4, 0);
  to.submit(nop(1));
  to.enter(0, 0, GETEVENTS);
  to.reap();
  to.push(...nops(2, 2));
  expect(resize(on, to, 8)[0]).toBe(0);
  // Both would be the entry in slot 0. Only where the array is filled in again are they what they were.
  to.slot(0, nop(77));
  expect(to.enter(1, 0, GETEVENTS)).toBe(1);
  expect(reaped(to)).toEqual([77]);
  to.storeArray(2, 2);
  expect(to.enter(1, 0, GETEVENTS)).toBe(1);
  expect(reaped(to)).toEqual([3]);
});

onBoth("[resize.array-moves] where the SQ array is then", (on) => {
  for (const flags of [0, abi.IORING_SETUP_CQE32, abi.IORING_SETUP_SQE128, abi.IORING_SETUP_CQE_MIXED]) {
    for (const [entries, cqEntries] of [[2, 4], [4, 8], [8, 64]] as const) {
      const to = ring(on, 1, flags, 2);
      const other = ring(on, entries, flags, cqEntries);
      expect(resize(on, to, entries, CQSIZE, cqEntries)[0]).toBe(0);
      expect(to.ring.params.sqOff.array).toBe(other.ring.params.sqOff.array);
      // It is what leads to the entry.
      to.slot(1, nop(5));
      to.storeArray(0, 1);
      to.storeSq("tail", 1);
      expect(to.enter(1, 0, GETEVENTS)).toBe(1);
      expect(reaped(to)).toEqual([5]);
    }
  }
});

onBoth("[resize.poll-buckets] polls of a ring whose CQ became larger", (on) => {
  const { read: fd } = on.pipe();
  const order = (first: number, second: number): (bigint | undefined)[] => {
    const to = ring(on, 4, NO_SQARRAY, first);
    const waits = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLIN, userData });
    if (second !== 0) expect(resize(on, to, 4, CQSIZE, second)[0]).toBe(0);
    to.submit(waits(0xaaa6n), waits(0x100_0000_aaafn), waits(0xaab3n), waits(0xaac1n));
    return [1, 2, 3, 4].map(() => {
      to.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, opFlags: abi.IORING_ASYNC_CANCEL_OP, len: abi.IORING_OP_POLL_ADD, userData: 9n });
      to.enter(0, 0, GETEVENTS);
      return to.reap().find(({ res }) => res === -abi.ECANCELED)?.userData;
    });
  };
  const [small, large] = [order(4, 0), order(256, 0)];
  expect(small).not.toEqual(large);
  expect(order(256, 4)).toEqual(large);
  expect(order(4, 256)).toEqual(small);
});

onBoth("[resize.wrap-loses] counters on either side of 2^32", (on) => {
  const to = ring(on, 4);
  for (let slot = 0; slot < 4; slot++) to.slot(slot, nop(100 + slot));
  const cqes = new DataView(to.ring.cqRing.buffer, to.ring.cqRing.byteOffset + to.ring.params.cqOff.cqes);
  for (let slot = 0; slot < 8; slot++) cqes.setBigUint64(16 * slot, 200n, true);
  for (const queue of ["sq", "cq"] as const) {
    const store = (word: "head" | "tail", value: number): void => (queue === "sq" ? to.storeSq(word, value) : to.storeCq(word, value));
    store("head", 0xffff_fffe);
    store("tail", 1);
  }
  expect(resize(on, to, 8)[0]).toBe(0);
  expect([to.sq("head"), to.sq("tail"), to.cq("head"), to.cq("tail")]).toEqual([0xffff_fffe, 1, 0xffff_fffe, 1]);
  expect(to.ring.sqes.every((byte) => byte === 0)).toBe(true);
  const { cqes: from } = to.ring.params.cqOff;
  expect(to.ring.cqRing.subarray(from, from + 16 * 16).every((byte) => byte === 0)).toBe(true);
  // Back on one side they are copied.
  to.slot(0, nop(5));
  to.storeSq("head", 0);
  expect(resize(on, to, 4)[0]).toBe(0);
  expect(to.ring.sqes.some((byte) => byte !== 0)).toBe(true);
});

onBoth("[resize.words] [resize.flags-set] words that go on", (on) => {
  const to = ring(on, 4);
  to.storeSq("dropped", 77);
  to.storeCq("overflow", 55);
  to.storeCq("flags", abi.IORING_CQ_EVENTFD_DISABLED);
  to.storeSq("flags", 0x40);
  to.storeSq("ringMask", 9);
  to.storeCq("ringEntries", 9);
  expect(resize(on, to, 4)[0]).toBe(0);
  expect([to.sq("dropped"), to.cq("overflow"), to.cq("flags")]).toEqual([77, 55, abi.IORING_CQ_EVENTFD_DISABLED]);
  expect(sizes(to)).toEqual([4, 8, 3, 7]);
  expect(to.sq("flags")).toBe(0x40 | abi.IORING_SQ_NEED_WAKEUP | abi.IORING_SQ_TASKRUN);
  to.storeSq("flags", 0);
  to.storeCq("head", 9);
  expect(resize(on, to, 8)[0]).toBe(-abi.EOVERFLOW);
  expect(to.sq("flags")).toBe(0);
});

onBoth("[resize.backlog] completions that found no room", (on) => {
  const to = ring(on, 2);
  for (let i = 0; i < 4; i++) to.submit(...nops(1 + 2 * i, 2));
  to.enter(0, 0, GETEVENTS);
  expect([to.cq("tail"), to.sq("flags")]).toEqual([4, abi.IORING_SQ_CQ_OVERFLOW]);
  expect(resize(on, to, 8)[0]).toBe(0);
  expect(to.cq("tail")).toBe(4);
  expect(to.sq("flags") & abi.IORING_SQ_CQ_OVERFLOW).not.toBe(0);
  expect(to.enter(0, 0, GETEVENTS)).toBe(0);
  expect(to.sq("flags") & abi.IORING_SQ_CQ_OVERFLOW).toBe(0);
  expect(reaped(to)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

onBoth("[resize.maps-anew] [resize.keeps-cqes] a request that is under way completes into the new queue", (on) => {
  const to = ring(on, 4);
  const { read, write } = on.pipe();
  const into = on.buffer(4);
  to.submit({ opcode: abi.IORING_OP_READ, fd: read, addr: into.addr, len: 4, userData: 9n });
  const { sqRing, sqes, params } = to.ring;
  expect(resize(on, to, 32)[0]).toBe(0);
  expect([to.ring.sqRing === sqRing, to.ring.sqes === sqes, to.ring.params === params]).toEqual([false, false, false]);
  expect(to.ring.sqes.length).toBe(64 * 32);
  on.kernel.system.write(write, new Uint8Array([1, 2, 3]));
  expect(to.waitFor(1)).toBe(0);
  expect(reaped(to)).toEqual([9]);
  expect([...into.bytes]).toEqual([1, 2, 3, 0]);
  // By an index as well; but a ring that could not be mapped is left alone.
  expect(to.ring.closeDescriptor()).toBe(0);
  expect(resize(on, to, 8)[0]).toBe(-abi.EBADF);
});
