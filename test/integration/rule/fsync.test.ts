// Chapter fsync.
import type { Bench, Seen, SqeFields } from "./on-both.ts";
import { abi, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
/** What a worker does on such a ring is posted in a call with GETEVENTS, what is done inline without one. */
const DEFER = abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER;

const fsync = (userData: bigint, fd: number, more: Partial<SqeFields> = {}): SqeFields => ({
  opcode: abi.IORING_OP_FSYNC, userData, fd, ...more,
});
const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });
const byUserData = (seen: readonly Seen[]): Map<bigint, number> => new Map(pairs(seen));

/** The result of an FSYNC that is accepted: what is behind it is submitted. */
function accepted(on: Bench, fd: number, more: Partial<SqeFields> = {}): number | undefined {
  const ring = on.ring();
  expect(ring.submit(fsync(1n, fd, more), nop(99n))).toBe(2);
  const seen = ring.wait(2);
  expect(seen.map(({ flags }) => flags)).toEqual([0, 0]);
  const found = byUserData(seen);
  expect(found.get(99n)).toBe(0);
  return found.get(1n);
}

/** The result of an FSYNC that fails at submission. */
function atSubmission(on: Bench, fd: number, more: Partial<SqeFields>): number | undefined {
  const ring = on.ring();
  expect(ring.submit(fsync(1n, fd, more), nop(99n))).toBe(1);
  const [seen, ...others] = ring.reap();
  expect([seen?.userData, seen?.flags, others]).toEqual([1n, 0, []]);
  return seen?.res;
}

onBoth("[fsync.always-worker] nothing of it is done inline, also where it fails", (on) => {
  const cases: [number, number][] = [[on.file(10), 0], [on.pipe().read, -abi.EINVAL], [on.eventfd(), -abi.EINVAL], [-1, -abi.EBADF]];
  for (const [fd, result] of cases) {
    const ring = on.ring(8, { flags: DEFER });
    expect(ring.submit(fsync(1n, fd), nop(2n))).toBe(2);
    expect(pairs(ring.reap())).toEqual([[2n, 0]]);
    expect(pairs(ring.wait(1))).toEqual([[1n, result]]);
  }
});

onBoth("[fsync.failure-keeps-chain] what is behind an FSYNC that gives EINVAL", (on) => {
  const { read } = on.pipe();
  for (const flags of [0, DEFER]) {
    const ring = on.ring(8, { flags });
    ring.submit(fsync(1n, read, { flags: LINK }), nop(2n));
    expect(pairs(ring.wait(2))).toEqual([[1n, -abi.EINVAL], [2n, 0]]);
    // A WRITE to the end that can't be written fails, and severs.
    ring.submit({ opcode: abi.IORING_OP_WRITE, fd: read, addr: on.buffer(1).addr, len: 1, userData: 1n, flags: LINK }, nop(2n));
    expect(pairs(ring.wait(2))).toEqual([[1n, -abi.EBADF], [2n, -abi.ECANCELED]]);
  }
});

onBoth("[fsync.failure-keeps-chain] an FSYNC that gives EINVAL is no failure to CQE_SKIP_SUCCESS either", (on) => {
  const ring = on.ring();
  ring.submit(fsync(1n, on.eventfd(), { flags: LINK | abi.IOSQE_CQE_SKIP_SUCCESS }), nop(2n));
  expect(pairs(ring.wait(1))).toEqual([[2n, 0]]);
});

onBoth("[fsync.flags-checked] flags, addr and buf_index", (on) => {
  const fd = on.file(10);
  expect(abi.IORING_FSYNC_DATASYNC).toBe(1);
  for (let bit = 1; bit < 32; bit++) expect([bit, atSubmission(on, fd, { opFlags: (1 << bit) >>> 0 })]).toEqual([bit, -abi.EINVAL]);
  expect(atSubmission(on, fd, { opFlags: 3 })).toBe(-abi.EINVAL);
  expect(atSubmission(on, fd, { addr: on.buffer(8).addr })).toBe(-abi.EINVAL);
  expect(atSubmission(on, fd, { bufIndex: 1 })).toBe(-abi.EINVAL);
  expect(accepted(on, fd)).toBe(0);
  expect(accepted(on, fd, { opFlags: abi.IORING_FSYNC_DATASYNC })).toBe(0);
  expect(accepted(on, fd, { off: 4n, len: 4 })).toBe(0);
});

onBoth("[fsync.unsupported-file] pipes and eventfds, and what can be synchronised", (on) => {
  const { read, write } = on.pipe();
  const directory = on.kernel.system.open(".", abi.O_RDONLY | abi.O_DIRECTORY);
  for (const opFlags of [0, abi.IORING_FSYNC_DATASYNC]) {
    expect(accepted(on, read, { opFlags })).toBe(-abi.EINVAL);
    expect(accepted(on, write, { opFlags })).toBe(-abi.EINVAL);
    expect(accepted(on, on.eventfd(), { opFlags })).toBe(-abi.EINVAL);
    expect(accepted(on, on.file(10), { opFlags })).toBe(0);
    expect(accepted(on, directory, { opFlags })).toBe(0);
  }
});

onBoth("[fsync.offset-negative] offsets below zero", (on) => {
  const fd = on.file(10);
  expect(atSubmission(on, fd, { off: -1n })).toBe(-abi.EINVAL);
  expect(atSubmission(on, fd, { off: -1n, len: 10 })).toBe(-abi.EINVAL);
  expect(atSubmission(on, fd, { off: -0x8000_0000_0000_0000n })).toBe(-abi.EINVAL);
  // It is refused before its descriptor is looked at.
  expect(atSubmission(on, -1, { off: -1n })).toBe(-abi.EINVAL);
  expect(accepted(on, fd, { off: 0n })).toBe(0);
  expect(accepted(on, fd, { off: 0x7fff_ffff_ffff_ffffn })).toBe(0);
});
