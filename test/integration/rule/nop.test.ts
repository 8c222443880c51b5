// Chapter nop.
import type { Bench, SqeFields } from "./on-both.ts";
import { abi, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
const INJECT = abi.IORING_NOP_INJECT_RESULT;
const FILE = abi.IORING_NOP_FILE;
const FIXED = abi.IORING_NOP_FIXED_FILE;

const nop = (userData: bigint, more: Partial<SqeFields> = {}): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, ...more });
const inject = (userData: bigint, result: number, flags = 0): SqeFields => nop(userData, { opFlags: INJECT, len: result >>> 0, flags });

/** The result of a NOP that is accepted: what is behind it is submitted. */
function accepted(on: Bench, more: Partial<SqeFields>): number | undefined {
  const ring = on.ring();
  expect(ring.submit(nop(1n, more), nop(99n))).toBe(2);
  const [seen, ...others] = ring.reap();
  expect([seen?.userData, seen?.flags, pairs(others)]).toEqual([1n, 0, [[99n, 0]]]);
  return seen?.res;
}

/** The result of a NOP that fails at submission. */
function atSubmission(on: Bench, more: Partial<SqeFields>): number | undefined {
  const ring = on.ring();
  expect(ring.submit(nop(1n, more), nop(99n))).toBe(1);
  const [seen, ...others] = ring.reap();
  expect([seen?.userData, seen?.flags, others]).toEqual([1n, 0, []]);
  return seen?.res;
}

onBoth("[nop.zero] a NOP without flags completes with 0", (on) => {
  expect(on.ring().results({ opcode: abi.IORING_OP_NOP, userData: 7n })).toEqual([[7n, 0]]);
});

onBoth("[nop.flags-checked] every bit of nop_flags that has no name", (on) => {
  for (let bit = 6; bit < 32; bit++) expect([bit, atSubmission(on, { opFlags: (1 << bit) >>> 0 })]).toEqual([bit, -abi.EINVAL]);
  expect(atSubmission(on, { opFlags: INJECT | 0x40, len: 5 })).toBe(-abi.EINVAL);
  expect(accepted(on, { opFlags: INJECT, len: 5 })).toBe(5);
  expect(accepted(on, { opFlags: FIXED })).toBe(0);
});

onBoth("[nop.ignores-fields] addr, off, len, fd and buf_index that no flag asks for", (on) => {
  const all = { addr: on.kernel.memory.faultAddress, off: -1n, len: 0xffff_ffff, fd: 1_000_000, bufIndex: 0xffff };
  for (const [name, value] of Object.entries(all)) expect([name, accepted(on, { [name]: value })]).toEqual([name, 0]);
  expect(accepted(on, all)).toBe(0);
  // With the flags that ask for them.
  expect(accepted(on, { ...all, opFlags: INJECT })).toBe(-1);
  expect(accepted(on, { ...all, opFlags: FILE })).toBe(-abi.EBADF);
  expect(accepted(on, { ...all, opFlags: abi.IORING_NOP_FIXED_BUFFER })).toBe(-abi.EFAULT);
  // One alone asks for nothing else.
  expect(accepted(on, { ...all, opFlags: INJECT, len: 3 })).toBe(3);
  expect(accepted(on, { ...all, opFlags: FILE, fd: on.eventfd() })).toBe(0);
});

onBoth("[nop.inject-result] len is the result, as a signed number", (on) => {
  for (const result of [0, 1, 4096, 0x7fff_ffff, -1, -abi.EINVAL, -abi.EAGAIN, -0x8000_0000])
    expect(accepted(on, { opFlags: INJECT, len: result >>> 0 })).toBe(result);
  expect(accepted(on, { len: 5 })).toBe(0);
});

onBoth("[nop.inject-negative-fails] what is behind a NOP in its chain", (on) => {
  const ring = on.ring();
  expect(ring.results(inject(1n, -1, LINK), nop(2n, { flags: LINK }), nop(3n))).toEqual([
    [1n, -1], [2n, -abi.ECANCELED], [3n, -abi.ECANCELED],
  ]);
  expect(ring.results(inject(1n, -0x8000_0000, LINK), nop(2n))).toEqual([[1n, -0x8000_0000], [2n, -abi.ECANCELED]]);
  expect(ring.results(nop(1n, { opFlags: FILE, flags: LINK }), nop(2n))).toEqual([[1n, -abi.EBADF], [2n, -abi.ECANCELED]]);
  expect(ring.results(inject(1n, 0, LINK), nop(2n))).toEqual([[1n, 0], [2n, 0]]);
  expect(ring.results(inject(1n, 0x7fff_ffff, LINK), nop(2n))).toEqual([[1n, 0x7fff_ffff], [2n, 0]]);
});

onBoth("[nop.inject-negative-fails] a failed NOP posts its CQE in spite of CQE_SKIP_SUCCESS", (on) => {
  const flags = abi.IOSQE_CQE_SKIP_SUCCESS;
  const ring = on.ring();
  ring.submit(inject(1n, -5, flags), inject(2n, 5, flags), nop(3n));
  expect(pairs(ring.reap())).toEqual([[1n, -5], [3n, 0]]);
});

onBoth("[nop.file] a descriptor that is open, and ones that are not", (on) => {
  const fd = on.eventfd();
  const ring = on.ring();
  const all = [
    nop(1n, { opFlags: FILE, fd }), nop(2n, { opFlags: FILE | INJECT, fd, len: 5 }), nop(3n, { opFlags: FILE, fd: -1 }), nop(4n, { fd }),
  ];
  expect(ring.results(...all)).toEqual([[1n, 0], [2n, 5], [3n, -abi.EBADF], [4n, 0]]);
  expect(on.kernel.system.close(fd)).toBe(0);
  expect(ring.results(...all)).toEqual([[1n, -abi.EBADF], [2n, -abi.EBADF], [3n, -abi.EBADF], [4n, 0]]);
});

onBoth("[nop.file] the file stays open until the NOP completes, when its descriptor is closed", (on) => {
  // On this ring task work, and with it the NOP's completion, waits for GETEVENTS.
  const flags = abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER;
  const whileRunning = (opFlags: number): [number, number] => {
    const ring = on.ring(8, { flags });
    const { read, write } = on.pipe();
    ring.submit(nop(1n, { opFlags, fd: write }));
    expect(on.kernel.system.close(write)).toBe(0);
    const during = on.kernel.system.read(read, new Uint8Array(1));
    expect(pairs(ring.wait(1))).toEqual([[1n, 0]]);
    return [during, on.kernel.system.read(read, new Uint8Array(1))];
  };
  expect(whileRunning(FILE | abi.IORING_NOP_TW)).toEqual([-abi.EAGAIN, 0]);
  expect(whileRunning(abi.IORING_NOP_TW)).toEqual([0, 0]);
});

onBoth("[nop.task-work] what is behind it in the batch comes first", (on) => {
  const ring = on.ring();
  const late = { opFlags: abi.IORING_NOP_TW };
  expect(ring.submit(nop(1n, late), nop(2n), nop(3n, late), nop(4n))).toBe(4);
  expect(pairs(ring.reap())).toEqual([[2n, 0], [4n, 0], [1n, 0], [3n, 0]]);
  expect(ring.submit(nop(1n), nop(2n), nop(3n), nop(4n))).toBe(4);
  expect(pairs(ring.reap())).toEqual([[1n, 0], [2n, 0], [3n, 0], [4n, 0]]);
});

onBoth("[nop.task-work] with DEFER_TASKRUN only a call with GETEVENTS completes it", (on) => {
  const ring = on.ring(8, { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER });
  ring.submit(nop(1n, { opFlags: abi.IORING_NOP_TW | INJECT, len: 5 }), nop(2n));
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
  expect(ring.enter(0, 0, 0)).toBe(0);
  expect(ring.reap()).toEqual([]);
  expect(ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS)).toBe(0);
  expect(pairs(ring.reap())).toEqual([[1n, 5]]);
});

// Nothing is registered here: a registered file is not found, where the descriptor of the same number is.
onBoth("[nop.fixed-file-either] either flag means a registered file", (on) => {
  const fd = on.eventfd();
  const flags = abi.IOSQE_FIXED_FILE;
  expect(accepted(on, { opFlags: FILE, fd })).toBe(0);
  expect(accepted(on, { opFlags: FILE | FIXED, fd })).toBe(-abi.EBADF);
  expect(accepted(on, { opFlags: FILE, flags, fd })).toBe(-abi.EBADF);
  expect(accepted(on, { opFlags: FILE | FIXED, flags, fd })).toBe(-abi.EBADF);
  // Without IORING_NOP_FILE neither means anything.
  expect(accepted(on, { opFlags: FIXED, flags, fd })).toBe(0);
});
