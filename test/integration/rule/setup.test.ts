// Chapter setup.
import { readSync, writeSync } from "node:fs";
import type { Bench } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const CQSIZE = abi.IORING_SETUP_CQSIZE;
const CLAMP = abi.IORING_SETUP_CLAMP;
const COOP = abi.IORING_SETUP_COOP_TASKRUN;
const DEFER = abi.IORING_SETUP_DEFER_TASKRUN;
const SINGLE = abi.IORING_SETUP_SINGLE_ISSUER;
const TASKRUN_FLAG = abi.IORING_SETUP_TASKRUN_FLAG;
const SQPOLL = abi.IORING_SETUP_SQPOLL;
const NO_SQARRAY = abi.IORING_SETUP_NO_SQARRAY;
const MIXED = abi.IORING_SETUP_CQE_MIXED;

/** What io_uring_setup says to these flags, with sizes that are right. */
const refusal = (on: Bench, flags: number): number => on.setupErrno(8, { flags: flags >>> 0 });

/** [sq_entries, cq_entries] of the ring that was asked for. */
function sizes(on: Bench, entries: number, flags = 0, cqEntries = 0): [number, number] {
  const ring = on.kernel.setup(entries, { flags, cqEntries });
  const { sqEntries, cqEntries: cq } = ring.params;
  ring.close();
  return [sqEntries, cq];
}

onBoth("[setup.resv-zero] each reserved word must be 0", (on) => {
  expect(on.setupErrno(8, { resv: [0, 0, 0] })).toBe(0);
  expect(on.setupErrno(8, { resv: [1, 0, 0] })).toBe(abi.EINVAL);
  expect(on.setupErrno(8, { resv: [0, 0x8000_0000, 0] })).toBe(abi.EINVAL);
  expect(on.setupErrno(8, { resv: [0, 0, 1] })).toBe(abi.EINVAL);
});

onBoth("[setup.flags-known] every flag that the kernel does not know", (on) => {
  const unknown = Array.from({ length: 32 }, (_, bit) => (1 << bit) >>> 0).filter((bit) => (on.kernel.profile.setupFlags & bit) === 0);
  expect(unknown).toContain(0x8000_0000);
  for (const bit of unknown) expect(refusal(on, bit), `0x${bit.toString(16)}`).toBe(abi.EINVAL);
  expect(refusal(on, CLAMP | 0x8000_0000)).toBe(abi.EINVAL);
  expect(refusal(on, CLAMP)).toBe(0);
});

onBoth("[setup.mixed-needs-two] CQE_MIXED and a CQ of one slot", (on) => {
  expect(on.setupErrno(1, { flags: MIXED | CQSIZE, cqEntries: 1 })).toBe(abi.EOVERFLOW);
  expect(on.setupErrno(1, { flags: MIXED | CQSIZE, cqEntries: 2 })).toBe(0);
  expect(on.setupErrno(1, { flags: MIXED })).toBe(0);
  expect(on.setupErrno(1, { flags: CQSIZE, cqEntries: 1 })).toBe(0);
});

onBoth("[setup.flags-together] [setup.flags-before-sizes] flags that exclude each other, with sizes that are wrong too", (on) => {
  // A CQ of one slot is too small for CQE_MIXED, which is seen when the sizes are.
  const tooSmall = (flags: number): number => on.setupErrno(1, { flags: flags | CQSIZE | MIXED, cqEntries: 1 });
  expect(tooSmall(0)).toBe(abi.EOVERFLOW);
  for (const flags of [abi.IORING_SETUP_CQE32, DEFER, TASKRUN_FLAG, SQPOLL | COOP, abi.IORING_SETUP_HYBRID_IOPOLL]) {
    expect(tooSmall(flags), `0x${flags.toString(16)}`).toBe(abi.EINVAL);
    expect(refusal(on, flags === abi.IORING_SETUP_CQE32 ? flags | MIXED : flags)).toBe(abi.EINVAL);
  }
});

onBoth("[setup.registered-fd-needs-no-mmap] REGISTERED_FD_ONLY alone, and with the flag that the manual names", (on) => {
  expect(refusal(on, abi.IORING_SETUP_REGISTERED_FD_ONLY)).toBe(abi.EINVAL);
  expect(refusal(on, abi.IORING_SETUP_REGISTERED_FD_ONLY | NO_SQARRAY)).toBe(abi.EINVAL);
  expect(refusal(on, NO_SQARRAY)).toBe(0);
});

onBoth("[setup.sqpoll-excludes-taskrun] a polling thread runs no task work for others", (on) => {
  expect(refusal(on, SQPOLL | COOP)).toBe(abi.EINVAL);
  expect(refusal(on, SQPOLL | COOP | TASKRUN_FLAG)).toBe(abi.EINVAL);
  expect(refusal(on, SQPOLL | TASKRUN_FLAG)).toBe(abi.EINVAL);
  expect(refusal(on, SQPOLL | SINGLE | DEFER)).toBe(abi.EINVAL);
  for (const flags of [COOP, COOP | TASKRUN_FLAG, SINGLE | DEFER]) expect(refusal(on, flags)).toBe(0);
});

onBoth("[setup.taskrun-flag-needs-mode] TASKRUN_FLAG alone says nothing", (on) => {
  expect(refusal(on, TASKRUN_FLAG)).toBe(abi.EINVAL);
  expect(refusal(on, TASKRUN_FLAG | SINGLE)).toBe(abi.EINVAL);
  expect(refusal(on, TASKRUN_FLAG | COOP)).toBe(0);
  expect(refusal(on, TASKRUN_FLAG | SINGLE | DEFER)).toBe(0);
});

onBoth("[setup.hybrid-needs-iopoll] HYBRID_IOPOLL without IOPOLL", (on) => {
  expect(refusal(on, abi.IORING_SETUP_HYBRID_IOPOLL)).toBe(abi.EINVAL);
  expect(refusal(on, abi.IORING_SETUP_HYBRID_IOPOLL | CLAMP)).toBe(abi.EINVAL);
});

onBoth("[setup.defer-needs-single-issuer] DEFER_TASKRUN without SINGLE_ISSUER", (on) => {
  expect(refusal(on, DEFER)).toBe(abi.EINVAL);
  expect(refusal(on, DEFER | COOP)).toBe(abi.EINVAL);
  expect(refusal(on, DEFER | SINGLE)).toBe(0);
});

onBoth("[setup.cqe-mixed-excludes-cqe32] CQEs are mixed, or all of one size", (on) => {
  expect(refusal(on, MIXED | abi.IORING_SETUP_CQE32)).toBe(abi.EINVAL);
  expect(refusal(on, MIXED)).toBe(0);
  expect(refusal(on, abi.IORING_SETUP_CQE32)).toBe(0);
});

onBoth("[setup.sq-aff-needs-sqpoll] SQ_AFF without a thread to bind", (on) => {
  expect(refusal(on, abi.IORING_SETUP_SQ_AFF)).toBe(abi.EINVAL);
  expect(on.setupErrno(8, { flags: abi.IORING_SETUP_SQ_AFF, sqThreadCpu: 0 })).toBe(abi.EINVAL);
});

// The port lets through no descriptor that is closed: -ENXIO can't be had here.
onBoth("[setup.attach-wq-fd] ATTACH_WQ of what is no ring", (on) => {
  const notRings = [on.eventfd(), on.pipe().read, on.file(1)];
  for (const wqFd of notRings) expect(on.setupErrno(8, { flags: abi.IORING_SETUP_ATTACH_WQ, wqFd })).toBe(abi.EINVAL);
  // Without the flag nobody looks.
  for (const wqFd of notRings) expect(on.setupErrno(8, { wqFd })).toBe(0);
});

onBoth("[setup.entries-range] from 1 to 32768 entries", (on) => {
  expect(on.setupErrno(0)).toBe(abi.EINVAL);
  expect(on.setupErrno(1)).toBe(0);
  expect(on.setupErrno(32768)).toBe(0);
  expect(on.setupErrno(32769)).toBe(abi.EINVAL);
  expect(on.setupErrno(0xffff_ffff)).toBe(abi.EINVAL);
});

onBoth("[setup.entries-rounded] [setup.cq-default-twice] the SQ is rounded up to a power of two, the CQ is twice that", (on) => {
  expect(sizes(on, 1)).toEqual([1, 2]);
  expect(sizes(on, 2)).toEqual([2, 4]);
  expect(sizes(on, 3)).toEqual([4, 8]);
  expect(sizes(on, 5)).toEqual([8, 16]);
  expect(sizes(on, 8)).toEqual([8, 16]);
  expect(sizes(on, 1000)).toEqual([1024, 2048]);
  expect(sizes(on, 16385)).toEqual([32768, 65536]);
});

onBoth("[setup.cq-entries-ignored] cq_entries without CQSIZE", (on) => {
  for (const cqEntries of [1, 64, 0xffff_ffff]) expect(sizes(on, 8, 0, cqEntries)).toEqual([8, 16]);
  expect(sizes(on, 8, CQSIZE, 64)).toEqual([8, 64]);
});

onBoth("[setup.cqsize] the CQ gets the size that was asked for, rounded, never less than the SQ", (on) => {
  const errno = (entries: number, cqEntries: number): number => on.setupErrno(entries, { flags: CQSIZE, cqEntries });
  expect(sizes(on, 8, CQSIZE, 33)).toEqual([8, 64]);
  expect(sizes(on, 8, CQSIZE, 8)).toEqual([8, 8]);
  // Compared after rounding: 5 is less than 6, and both are 8.
  expect(sizes(on, 6, CQSIZE, 5)).toEqual([8, 8]);
  expect(errno(8, 4)).toBe(abi.EINVAL);
  expect(errno(5, 4)).toBe(abi.EINVAL);
  expect(errno(1, 0)).toBe(abi.EINVAL);
  expect(sizes(on, 1, CQSIZE, 65536)).toEqual([1, 65536]);
  expect(errno(1, 65537)).toBe(abi.EINVAL);
});

onBoth("[setup.clamp] too much is cut, nothing stays nothing", (on) => {
  expect(sizes(on, 32769, CLAMP)).toEqual([32768, 65536]);
  expect(sizes(on, 0xffff_ffff, CLAMP)).toEqual([32768, 65536]);
  expect(sizes(on, 8, CLAMP | CQSIZE, 65537)).toEqual([8, 65536]);
  expect(sizes(on, 8, CLAMP)).toEqual([8, 16]);
  expect(on.setupErrno(0, { flags: CLAMP })).toBe(abi.EINVAL);
  expect(on.setupErrno(8, { flags: CLAMP | CQSIZE, cqEntries: 0 })).toBe(abi.EINVAL);
});

onBoth("[setup.flags-echoed] what goes in comes back", (on) => {
  for (const flags of [0, CLAMP | NO_SQARRAY, SINGLE | DEFER | TASKRUN_FLAG]) {
    const { params } = on.kernel.setup(5, { flags, cqEntries: 77, sqThreadCpu: 7, sqThreadIdle: 0xffff_fff9, wqFd: 12345 });
    expect(params).toMatchObject({ flags, sqThreadCpu: 7, sqThreadIdle: 0xffff_fff9, wqFd: 12345, sqEntries: 8, cqEntries: 16 });
  }
});

onBoth("[setup.features] the same features whatever the flags", (on) => {
  const { features } = on.ring().ring.params;
  expect(features & abi.IORING_FEAT_SINGLE_MMAP).not.toBe(0);
  expect(features).toBe(on.kernel.profile.features);
  for (const flags of [NO_SQARRAY, SINGLE | DEFER, COOP, CLAMP, abi.IORING_SETUP_SUBMIT_ALL, abi.IORING_SETUP_R_DISABLED]) {
    expect(on.ring(8, { flags }).ring.params.features).toBe(features);
  }
});

onBoth("[setup.offsets] each word is somewhere else, the array at the next cache line behind the CQEs", (on) => {
  for (const [entries, cqEntries] of [[1, 1], [1, 2], [1, 4], [8, 16], [64, 64]] as const) {
    const { params, sqRing } = on.ring(entries, { flags: CQSIZE, cqEntries }).ring;
    const { array, ...sqWords } = params.sqOff;
    const { cqes, ...cqWords } = params.cqOff;
    expect(array).toBe(Math.ceil((cqes + 16 * cqEntries) / 64) * 64);
    expect(sqRing.length).toBeGreaterThanOrEqual(array + 4 * entries);
    const words = [...Object.values(sqWords), ...Object.values(cqWords)];
    expect(new Set(words).size).toBe(12);
    for (const at of words) {
      expect(at % 4).toBe(0);
      expect(at).toBeLessThan(cqes);
    }
  }
  const without = on.ring(8, { flags: NO_SQARRAY }).ring.params;
  expect(without.sqOff.array).toBe(0);
  expect(without.cqOff).toEqual(on.ring(8).ring.params.cqOff);
});

onBoth("[setup.offsets] each word is where its offset says", (on) => {
  const ring = on.ring(2, { flags: CQSIZE, cqEntries: 4 });
  for (let i = 0; i < 3; i++) ring.submit({ opcode: abi.IORING_OP_NOP }, { opcode: abi.IORING_OP_NOP });
  ring.storeCq("head", 1);
  ring.push({ opcode: abi.IORING_OP_NOP });
  ring.storeArray(1, 9);
  ring.storeSq("tail", 8);
  ring.enter(2);
  const word = (at: number): number => new DataView(ring.ring.sqRing.buffer).getUint32(at, true);
  const { sqOff, cqOff } = ring.ring.params;
  expect([sqOff.head, sqOff.tail, sqOff.ringMask, sqOff.ringEntries, sqOff.flags, sqOff.dropped].map(word))
    .toEqual([8, 8, 1, 2, abi.IORING_SQ_CQ_OVERFLOW, 1]);
  expect([cqOff.head, cqOff.tail, cqOff.ringMask, cqOff.ringEntries, cqOff.overflow, cqOff.flags].map(word)).toEqual([1, 4, 3, 4, 0, 0]);
});

onBoth("[setup.offsets-cqe32] with CQE32 everything before the array has twice its room", (on) => {
  for (const cqEntries of [1, 2, 4, 5, 16, 64]) {
    const flags = CQSIZE | abi.IORING_SETUP_CQE32;
    const { params } = on.ring(1, { flags, cqEntries }).ring;
    expect(params.sqOff.array).toBe(Math.ceil((128 + 32 * params.cqEntries) / 64) * 64);
    expect(params.cqOff).toEqual(on.ring(1).ring.params.cqOff);
  }
  // The array is there: it names an SQE.
  const ring = on.ring(4, { flags: abi.IORING_SETUP_CQE32 });
  ring.slot(2, { opcode: abi.IORING_OP_NOP, userData: 2n });
  ring.storeArray(0, 2);
  ring.storeSq("tail", 1);
  expect(ring.enter(1)).toBe(1);
  expect(ring.reap()).toEqual([{ userData: 2n, res: 0, flags: 0 }]);
});

onBoth("[setup.disabled-enter] io_uring_enter on a disabled ring", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_R_DISABLED });
  ring.push({ opcode: abi.IORING_OP_NOP });
  for (const flags of [0, abi.IORING_ENTER_GETEVENTS]) {
    expect(ring.enter(0, 0, flags)).toBe(-abi.EBADFD);
    expect(ring.enter(1, 0, flags)).toBe(-abi.EBADFD);
  }
  expect(ring.waitFor(1)).toBe(-abi.EBADFD);
  expect([ring.sq("head"), ring.cq("tail")]).toEqual([0, 0]);
  expect(ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
  expect(ring.enter(1)).toBe(1);
  expect(ring.cq("tail")).toBe(1);
});

onBoth("[setup.sqe128] with SQE128 entry i stands at 128 i", (on) => {
  const ring = on.ring(4, { flags: abi.IORING_SETUP_SQE128 });
  const { sqes } = ring.ring;
  expect(sqes.length).toBe(4 * 128);
  // NOPs by hand, each named by its number; what lies between is not looked at.
  const view = new DataView(sqes.buffer, sqes.byteOffset);
  for (let i = 0; i < 4; i++) {
    sqes.fill(0xff, 128 * i + 64, 128 * i + 128);
    view.setBigUint64(128 * i + 32, BigInt(10 + i), true);
    ring.storeArray(i, 3 - i);
  }
  ring.storeSq("tail", 4);
  expect(ring.enter(4)).toBe(4);
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[13n, 0], [12n, 0], [11n, 0], [10n, 0]]);
});

onBoth("[setup.starts-zero] a new ring's words", (on) => {
  for (const flags of [0, SINGLE | DEFER | TASKRUN_FLAG]) {
    const ring = on.ring(5, { flags: flags | CQSIZE, cqEntries: 30 });
    const sq = (["head", "tail", "flags", "dropped", "ringMask", "ringEntries"] as const).map((word) => ring.sq(word));
    const cq = (["head", "tail", "flags", "overflow", "ringMask", "ringEntries"] as const).map((word) => ring.cq(word));
    expect([sq, cq]).toEqual([[0, 0, 0, 0, 7, 8], [0, 0, 0, 0, 31, 32]]);
  }
});

onBoth("[setup.ring-fd-unreadable] a READ and a WRITE of a ring's descriptor", (on) => {
  const ring = on.ring();
  const other = on.ring();
  // A completion, so that the ring is ready for reading, and the READ does not wait for that.
  other.submit({ opcode: abi.IORING_OP_NOP });
  const { addr } = on.buffer(8);
  expect(ring.results({ opcode: abi.IORING_OP_READ, fd: other.fd, addr, len: 8, userData: 1n })).toEqual([[1n, -abi.EINVAL]]);
  expect(ring.results({ opcode: abi.IORING_OP_WRITE, fd: other.fd, addr, len: 8, userData: 2n })).toEqual([[2n, -abi.EINVAL]]);
  // read(2) and write(2) themselves: the ports refuse a ring's descriptor on both kernels.
  if (on.isModel) return;
  expect(() => readSync(other.fd, new Uint8Array(8))).toThrow("EINVAL");
  expect(() => writeSync(other.fd, new Uint8Array(8))).toThrow("EINVAL");
});
