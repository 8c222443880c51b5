// Chapter fdinfo.
import { parseFdinfo, type RingInfo } from "../../../src/fdinfo.ts";
import { OPCODE_NAMES } from "../../../src/spec/constants.gen.ts";
import { abi, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });

function read(ring: TestRing): RingInfo {
  const file = ring.ring.openInfo();
  const info = parseFdinfo(file.read());
  file.close();
  if (info === undefined) throw new Error("nobody else has this ring, yet it was locked");
  return info;
}

/** Of the requests with user_data 4 and 2, then 5, 3 and 1: by the top bit of its hash. */
const POLLS: readonly number[] = [
  abi.IORING_OP_READ, abi.IORING_OP_POLL_ADD, abi.IORING_OP_READV, abi.IORING_OP_READ, abi.IORING_OP_POLL_ADD,
];

const slots = (list: readonly { readonly slot: number; readonly userData: bigint }[]): [number, bigint][] => list.map((e) => [e.slot, e.userData]);

onBoth("[fdinfo.words] the words as they stand, the kernel's own beside them", (on) => {
  const ring = on.ring(4);
  ring.push(nop(1n), nop(2n), nop(3n));
  expect(ring.enter(2)).toBe(2);
  expect(read(ring)).toMatchObject({
    sqMask: 3, sqHead: 2, sqTail: 3, cachedSqHead: 2, cqMask: 7, cqHead: 0, cqTail: 2, cachedCqTail: 2, sqeCount: 1, cqeCount: 2,
  });
  ring.storeSq("head", 7);
  ring.storeCq("head", 0xffff_ffff);
  ring.storeCq("tail", 9);
  expect(read(ring)).toMatchObject({ sqHead: 7, sqTail: 3, cachedSqHead: 2, sqeCount: 0xffff_fffc, cqHead: 0xffff_ffff, cqTail: 9, cachedCqTail: 2, cqeCount: 10 });
});

onBoth("[fdinfo.sqes] entries that no call has taken, by the SQ array", (on) => {
  const ring = on.ring(4);
  const full = {
    opcode: abi.IORING_OP_READ, fd: -7, flags: 0x90, off: 0xffff_ffff_ffff_fff0n, addr: 0xabcdef0123456789n, len: 5, opFlags: 0xdeadbeef, bufIndex: 0xfffe,
    userData: 0xffff_ffff_ffff_ffffn,
  };
  ring.push(nop(1n), full, nop(3n));
  ring.storeArray(0, 2);
  ring.storeArray(2, 4);
  const [first, second, ...others] = read(ring).sqes;
  expect(first).toEqual({ slot: 2, opcode: "NOP", fd: -1, flags: 0, off: 0n, addr: 0n, rwFlags: 0, bufIndex: 0, userData: 3n });
  const { fd, flags, off, addr, bufIndex, userData } = full;
  expect(second).toEqual({ slot: 1, opcode: "READ", fd, flags, off, addr, rwFlags: full.opFlags, bufIndex, userData });
  expect(others).toEqual([]);
  ring.storeSq("tail", 100);
  expect(read(ring).sqes.map((e) => e.slot)).toEqual([2, 1, 0]);
});

onBoth("[fdinfo.sqes] the second half of an SQE of 128 bytes", (on) => {
  const ring = on.ring(2, { flags: abi.IORING_SETUP_SQE128 });
  ring.push(nop(1n), nop(2n));
  ring.ring.sqes.set([1, 2, 3], 128 + 64);
  expect(read(ring).sqes.map((e) => e.extra)).toEqual([Array.from({ length: 8 }, () => 0n), [0x030201n, ...Array.from({ length: 7 }, () => 0n)]]);
});

onBoth("[fdinfo.sqes-no-array] a ring without an SQ array shows none", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_NO_SQARRAY });
  ring.push(nop(1n), nop(2n));
  expect(read(ring)).toMatchObject({ sqeCount: 2, sqes: [] });
});

onBoth("[fdinfo.opcode-names] the kernel's names of opcodes", (on) => {
  const ring = on.ring(256);
  ring.push(...Array.from({ length: 256 }, (_, opcode) => ({ opcode, userData: 0n })));
  const names = read(ring).sqes.map((e) => e.opcode);
  const last = Math.max(...on.kernel.profile.opcodes);
  expect(names).toEqual(Array.from({ length: 256 }, (_, i) => (i > last ? "INVALID" : i === abi.IORING_OP_EPOLL_CTL ? "EPOLL" : OPCODE_NAMES[i])));
});

onBoth("[fdinfo.cqes] from the head on, no more than there are", (on) => {
  const ring = on.ring(4);
  ring.submit(nop(1n), nop(2n), { ...nop(3n), opcode: 255 });
  expect(read(ring).cqes).toEqual([
    { slot: 0, userData: 1n, res: 0, flags: 0 }, { slot: 1, userData: 2n, res: 0, flags: 0 }, { slot: 2, userData: 3n, res: -abi.EINVAL, flags: 0 },
  ]);
  ring.storeCq("head", 0xffff_fffe);
  expect(slots(read(ring).cqes)).toEqual([[6, 0n], [7, 0n], [0, 1n], [1, 2n], [2, 3n]]);
  ring.storeCq("tail", 100);
  expect(read(ring)).toMatchObject({ cqeCount: 102, cqTail: 100 });
  expect(slots(read(ring).cqes).map(([slot]) => slot)).toEqual([6, 7, 0, 1, 2, 3, 4, 5]);
});

onBoth("[fdinfo.cqe32-half] a ring of long CQEs shows half of them", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_CQE32 });
  ring.submit(nop(1n), { ...nop(2n), opFlags: abi.IORING_NOP_CQE32, off: 11n, addr: 12n }, nop(3n));
  expect(read(ring)).toMatchObject({ cqeCount: 3 });
  expect(read(ring).cqes).toEqual([
    { slot: 0, userData: 1n, res: 0, flags: 0, extra: [0n, 0n] }, { slot: 2, userData: 2n, res: 0, flags: 0, extra: [11n, 12n] },
  ]);
  ring.storeCq("head", 1);
  expect(read(ring).cqes).toEqual([{ slot: 1, userData: 0n, res: 0, flags: 0, extra: [2n, 0n] }]);
});

onBoth("[fdinfo.no-sq-thread] [fdinfo.nothing-registered] a ring that has neither thread nor tables", (on) => {
  expect(read(on.ring())).toMatchObject({
    sqThread: -1, sqThreadCpu: -1, sqTotalTime: 0, sqWorkTime: 0, userFileCount: 0, userFiles: [], userBufCount: 0, userBufs: [],
  });
});

onBoth("[fdinfo.no-personalities] registered credentials are not shown", (on) => {
  const ring = on.ring();
  expect(ring.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0)).toBeGreaterThan(0);
  expect(read(ring).personalities).toEqual([]);
});

onBoth("[fdinfo.poll-list] [fdinfo.task-works] requests that wait, by bucket, newest first", (on) => {
  const ring = on.ring(8, { flags: abi.IORING_SETUP_CQSIZE, cqEntries: 16 });
  const { read: end, write } = on.pipe();
  const { addr } = on.buffer(8);
  const poll = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_POLL_ADD, fd: end, opFlags: abi.POLLIN, userData });
  const own = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_READ, fd: end, addr, len: 1, userData });
  ring.submit(poll(1n), own(3n), poll(2n), own(4n), { opcode: abi.IORING_OP_READV, fd: end, addr: on.iovec({ addr, len: 1 }), len: 1, userData: 5n });
  const opcodes = (): number[] => read(ring).polls.map((p) => p.opcode);
  expect(opcodes()).toEqual(POLLS);
  expect(read(ring).polls.map((p) => p.taskWorks)).toEqual(POLLS.map(() => false));
  on.kernel.system.write(write, new Uint8Array(3));
  expect(opcodes()).toEqual([]);
  expect(ring.wait(5).length).toBe(5);
});

onBoth("[fdinfo.overflow-list] [fdinfo.changes-nothing] the backlog, in its order", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_CQSIZE, cqEntries: 4 });
  ring.submit(nop(1n), nop(2n), nop(3n), nop(4n));
  ring.submit(nop(5n), { ...nop(6n), opcode: 255 });
  ring.storeCq("head", 1);
  const backlog = [{ userData: 5n, res: 0, flags: 0 }, { userData: 6n, res: -abi.EINVAL, flags: 0 }];
  expect(read(ring)).toMatchObject({ cqTail: 4, cachedCqTail: 4, overflow: backlog });
  expect(read(ring).overflow).toEqual(backlog);
  expect([ring.cq("tail"), ring.cq("head"), ring.sq("head"), ring.sq("flags")]).toEqual([4, 1, 6, abi.IORING_SQ_CQ_OVERFLOW]);
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(read(ring)).toMatchObject({ cqTail: 5, overflow: backlog.slice(1) });
});

onBoth("[fdinfo.not-deferred-work] a ring that defers its task work goes on deferring it", (on) => {
  const ring = on.ring(8, { flags: abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN });
  const { read: end, write } = on.pipe();
  ring.submit({ opcode: abi.IORING_OP_POLL_ADD, fd: end, opFlags: abi.POLLIN, userData: 1n });
  on.kernel.system.write(write, new Uint8Array(1));
  for (let i = 0; i < 2; i++) expect(read(ring)).toMatchObject({ cqTail: 0, polls: [{ opcode: abi.IORING_OP_POLL_ADD }] });
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(read(ring)).toMatchObject({ cqTail: 1, polls: [] });
});
