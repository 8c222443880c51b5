// Chapters setup, cq and nop: entries of other sizes than 64 and 16 bytes.
import { abi, type Bench, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });
const long = (userData: bigint): SqeFields => ({
  opcode: abi.IORING_OP_NOP, userData, opFlags: abi.IORING_NOP_CQE32, off: 0x1111n, addr: 0x2222n,
});

/** Every slot of the CQ as it stands: user_data, result and flags, or the two halves of what is not a CQE. */
function slots(ring: TestRing): [bigint, bigint][] {
  const { cqes } = ring.ring.params.cqOff;
  const from = new DataView(ring.ring.cqRing.buffer, ring.ring.cqRing.byteOffset);
  const size = (ring.ring.params.flags & abi.IORING_SETUP_CQE32) === 0 ? 16 : 32;
  return Array.from({ length: (ring.ring.params.cqEntries * size) / 16 }, (_, i): [bigint, bigint] => [
    from.getBigUint64(cqes + 16 * i, true), from.getBigUint64(cqes + 16 * i + 8, true),
  ]);
}

const mixed = (on: Bench): TestRing => on.ring(4, { flags: abi.IORING_SETUP_CQE_MIXED | abi.IORING_SETUP_CQSIZE, cqEntries: 4 });
const F_32 = BigInt(abi.IORING_CQE_F_32) << 32n;
const F_SKIP = BigInt(abi.IORING_CQE_F_SKIP) << 32n;

onBoth("[setup.sqe128] an SQE of 128 bytes", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_SQE128 });
  expect(ring.ring.sqes.length).toBeGreaterThanOrEqual(4 * 128);
  expect(ring.results(nop(1n), nop(2n), nop(3n), nop(4n)).map(([userData]) => userData)).toEqual([1n, 2n, 3n, 4n]);
});

onBoth("[setup.offsets-cqe32] [cq.big-half] a CQE of 32 bytes", (on) => {
  const ring = on.ring(2, { flags: abi.IORING_SETUP_CQE32 });
  expect(ring.ring.params.sqOff.array).toBe(128 + 32 * 4);
  ring.submit(nop(1n), long(2n));
  expect(ring.cq("tail")).toBe(2);
  expect(slots(ring).slice(0, 4)).toEqual([[1n, 0n], [0n, 0n], [2n, 0n], [0x1111n, 0x2222n]]);
});

onBoth("[cq.mixed-filler] no filler is written to a queue that is full up to its last slot", (on) => {
  const ring = mixed(on);
  ring.results(nop(1n), nop(2n), nop(3n));
  ring.submit(nop(4n), nop(5n), nop(6n), nop(7n));
  expect([ring.cq("head"), ring.cq("tail")]).toEqual([3, 7]);
  ring.submit(long(8n));
  expect([ring.cq("tail"), ring.sq("flags")]).toEqual([7, abi.IORING_SQ_CQ_OVERFLOW]);
  expect(ring.reap().map(({ userData }) => userData)).toEqual([4n, 5n, 6n, 7n]);
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(ring.cq("tail")).toBe(10);
  expect(slots(ring)).toEqual([[8n, F_32], [0x1111n, 0x2222n], [7n, 0n], [0n, F_SKIP]]);
});

onBoth("[setup.mixed-needs-two] mixed CQEs need two slots", (on) => {
  const flags = abi.IORING_SETUP_CQE_MIXED | abi.IORING_SETUP_CQSIZE;
  expect(on.setupErrno(1, { flags, cqEntries: 1 })).toBe(abi.EOVERFLOW);
  expect(on.setupErrno(1, { flags, cqEntries: 2 })).toBe(0);
});

onBoth("[nop.cqe32] [cq.mixed-two-slots] a long CQE among short ones", (on) => {
  const ring = mixed(on);
  ring.submit(nop(1n), long(2n), nop(3n));
  expect(ring.cq("tail")).toBe(4);
  expect(slots(ring)).toEqual([[1n, 0n], [2n, F_32], [0x1111n, 0x2222n], [3n, 0n]]);
});

onBoth("[nop.cqe32-needs-room] a long CQE on a ring of short ones", (on) => {
  expect(on.ring().results(long(1n))).toEqual([[1n, -abi.EINVAL]]);
});

onBoth("[cq.mixed-filler] a long CQE does not wrap", (on) => {
  const ring = mixed(on);
  ring.submit(nop(1n), nop(2n), nop(3n));
  ring.storeCq("head", 3);
  ring.submit(long(4n));
  expect(ring.cq("tail")).toBe(6);
  expect(slots(ring)).toEqual([[4n, F_32], [0x1111n, 0x2222n], [3n, 0n], [0n, F_SKIP]]);
});

onBoth("[cq.mixed-filler-overwritten] a filler without room behind it", (on) => {
  const ring = mixed(on);
  ring.submit(nop(1n), nop(2n), nop(3n));
  ring.submit(long(4n), nop(5n), nop(6n));
  expect(ring.cq("tail")).toBe(5);
  expect(ring.sq("flags")).toBe(abi.IORING_SQ_CQ_OVERFLOW);
  // The filler's place holds 5, and the place of the fifth is still that of the first.
  expect(slots(ring)).toEqual([[1n, 0n], [2n, 0n], [3n, 0n], [5n, 0n]]);
});

onBoth("[cq.big-half-stale] a message leaves the second half of its slot as it was", (on) => {
  const ring = on.ring(1, { flags: abi.IORING_SETUP_CQE32 | abi.IORING_SETUP_CQSIZE, cqEntries: 1 });
  ring.results(long(1n));
  ring.submit({ opcode: abi.IORING_OP_MSG_RING, userData: 2n, fd: ring.fd, off: 7n, len: 5, flags: abi.IOSQE_CQE_SKIP_SUCCESS });
  expect(slots(ring)).toEqual([[7n, 5n], [0x1111n, 0x2222n]]);
  ring.reap();
  ring.results(nop(3n));
  expect(slots(ring)).toEqual([[3n, 0n], [0n, 0n]]);
});
