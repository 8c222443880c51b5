// Chapter buffers: registered buffers, and the reads and writes that use them.
import type { Region } from "../../../src/kernel.ts";
import type { Bench, SqeFields, TestRing } from "./on-both.ts";
import { abi, accepted, atSubmission, byUserData, expect, onBoth, pairs } from "./on-both.ts";

const GIB = 1 << 30;

/** Registers buffers by address and length: what io_uring_register returned. */
function register(on: Bench, ring: TestRing, ...buffers: readonly { readonly addr: bigint; readonly len: number }[]): number {
  return ring.ring.register(abi.IORING_REGISTER_BUFFERS, on.iovec(...buffers), buffers.length);
}
const unregister = (ring: TestRing): number => ring.ring.register(abi.IORING_UNREGISTER_BUFFERS, null, 0);
const whole = ({ addr, bytes }: Region): { addr: bigint; len: number } => ({ addr, len: bytes.length });
const fixed = (write: boolean, fd: number, addr: bigint, len: number, more: Partial<SqeFields> = {}): SqeFields => ({
  opcode: write ? abi.IORING_OP_WRITE_FIXED : abi.IORING_OP_READ_FIXED, fd, addr, len, userData: 1n, ...more,
});
const nop: SqeFields = { opcode: abi.IORING_OP_NOP, userData: 2n };

/** A ring with one registered buffer of `size` bytes. */
function withBuffer(on: Bench, size = 64): { ring: TestRing; buffer: Region } {
  const ring = on.ring();
  const buffer = on.buffer(size);
  expect(register(on, ring, whole(buffer))).toBe(0);
  return { ring, buffer };
}

onBoth("[buffers.table-max] 16384 buffers and no more", (on) => {
  const ring = on.ring();
  const list = on.buffer(16 * 16385);
  const count = (n: number): number => ring.ring.register(abi.IORING_REGISTER_BUFFERS, list.addr, n);
  expect(count(0)).toBe(-abi.EINVAL);
  expect(count(16385)).toBe(-abi.EINVAL);
  // Zeroes are empty slots. 1024 is UIO_MAXIOV.
  for (const n of [1024, 1025, 16384]) {
    expect(count(n)).toBe(0);
    expect(unregister(ring)).toBe(0);
  }
  expect(ring.ring.register(abi.IORING_REGISTER_BUFFERS, null, 1)).toBe(-abi.EFAULT);
});

onBoth("[buffers.once] a second table is refused", (on) => {
  const { ring, buffer } = withBuffer(on);
  expect(register(on, ring, whole(buffer))).toBe(-abi.EBUSY);
  expect(ring.ring.register(abi.IORING_REGISTER_BUFFERS, on.iovec(), 0)).toBe(-abi.EBUSY);
  expect(unregister(ring)).toBe(0);
  expect(register(on, ring, whole(buffer))).toBe(0);
});

onBoth("[buffers.bad-iovec] memory that can't be registered", (on) => {
  const ring = on.ring();
  const { addr } = on.buffer(64);
  const { faultAddress } = on.kernel.memory;
  for (const bad of [{ addr: faultAddress, len: 8 }, { addr, len: 0 }, { addr: 0n, len: 8 }, { addr, len: GIB + 1 }]) {
    expect(register(on, ring, bad)).toBe(-abi.EFAULT);
    expect(register(on, ring, { addr, len: 64 }, bad)).toBe(-abi.EFAULT);
    expect(unregister(ring)).toBe(-abi.ENXIO);
  }
  expect(ring.ring.register(abi.IORING_REGISTER_BUFFERS, faultAddress, 1)).toBe(-abi.EFAULT);
});

onBoth("[buffers.unregister] what is not there can't be given up", (on) => {
  const { ring } = withBuffer(on);
  expect(ring.ring.register(abi.IORING_UNREGISTER_BUFFERS, null, 1)).toBe(-abi.EINVAL);
  expect(unregister(ring)).toBe(0);
  expect(unregister(ring)).toBe(-abi.ENXIO);
});

onBoth("[buffers.fixed-transfer] parts of a buffer, from and to a file and a pipe", (on) => {
  const { ring, buffer } = withBuffer(on);
  const fd = on.file(100);
  const at = buffer.addr + 10n;
  expect(pairs(ring.submit(fixed(false, fd, at, 20, { off: 30n })) === 1 ? ring.wait(1) : [])).toEqual([[1n, 20]]);
  expect([...buffer.bytes.subarray(9, 32)]).toEqual([0, ...Array.from({ length: 20 }, (_, i) => 30 + i), 0, 0]);
  const { read, write } = on.pipe();
  expect(ring.results(fixed(true, write, at, 5))).toEqual([[1n, 5]]);
  expect(ring.results(fixed(false, read, buffer.addr, 64))).toEqual([[1n, 5]]);
  expect([...buffer.bytes.subarray(0, 6)]).toEqual([30, 31, 32, 33, 34, 0]);
  expect(ring.results(fixed(true, fd, buffer.addr, 64, { off: 0n }))).toEqual([[1n, 64]]);
  // Nothing at all, even at the end of the buffer.
  expect(ring.results(fixed(false, fd, buffer.addr + 64n, 0, { off: 0n }))).toEqual([[1n, 0]]);
  const count = on.eventfd(7);
  expect(ring.results(fixed(false, count, at, 8))).toEqual([[1n, 8]]);
  expect(ring.results(fixed(true, count, at, 8))).toEqual([[1n, 8]]);
});

onBoth("[buffers.empty-slot] [buffers.bad-index] a slot that has no buffer, and one that is not there", (on) => {
  const fd = on.file(100);
  const buffer = on.buffer(64);
  expect(accepted(on, fixed(false, fd, buffer.addr, 8))).toBe(-abi.EFAULT);
  const ring = on.ring();
  expect(register(on, ring, { addr: 0n, len: 0 }, whole(buffer))).toBe(0);
  for (const bufIndex of [0, 2, 0xffff]) {
    expect(ring.submit(fixed(false, fd, buffer.addr, 8, { bufIndex }), nop)).toBe(2);
    expect(byUserData(ring.wait(2))).toEqual({ 1: -abi.EFAULT, 2: 0 });
  }
  expect(ring.results(fixed(false, fd, buffer.addr, 8, { bufIndex: 1 }))).toEqual([[1n, 8]]);
  // The descriptor is looked up before the buffer, the file's mode after it.
  const { write } = on.pipe();
  expect(ring.results(fixed(false, 1_000_000, buffer.addr, 8, { bufIndex: 2 }))).toEqual([[1n, -abi.EBADF]]);
  expect(ring.results(fixed(false, write, buffer.addr, 8, { bufIndex: 2 }))).toEqual([[1n, -abi.EFAULT]]);
  expect(ring.results(fixed(false, write, buffer.addr, 8, { bufIndex: 1 }))).toEqual([[1n, -abi.EBADF]]);
});

onBoth("[buffers.out-of-range] transfers that leave the buffer", (on) => {
  const { ring, buffer } = withBuffer(on);
  const fd = on.file(100);
  const { addr } = buffer;
  for (const [from, len] of [[addr, 65], [addr + 60n, 5], [addr - 1n, 1], [addr + 65n, 0], [0n, 0], [addr, 0xffff_ffff]] as const) {
    expect(ring.submit(fixed(false, fd, from, len, { off: 0n }), nop)).toBe(2);
    expect(byUserData(ring.wait(2))).toEqual({ 1: -abi.EFAULT, 2: 0 });
  }
});

onBoth("[buffers.found-late] a table that is given up while a request waits in its chain", (on) => {
  const { ring, buffer } = withBuffer(on);
  const fd = on.file(100);
  const { read, write } = on.pipe();
  const first: SqeFields = {
    opcode: abi.IORING_OP_READ, fd: read, addr: on.buffer(4).addr, len: 4, flags: abi.IOSQE_IO_LINK, userData: 3n,
  };
  expect(ring.submit(first, fixed(false, fd, buffer.addr, 8))).toBe(2);
  expect(unregister(ring)).toBe(0);
  on.kernel.system.write(write, new Uint8Array(4));
  expect(pairs(ring.wait(2))).toEqual([[3n, 4], [1n, -abi.EFAULT]]);
});

onBoth("[buffers.request-keeps] a table that is given up while a request waits for its file", (on) => {
  const { ring, buffer } = withBuffer(on);
  const { read, write } = on.pipe();
  expect(ring.submit(fixed(false, read, buffer.addr, 8))).toBe(1);
  expect(unregister(ring)).toBe(0);
  on.kernel.system.write(write, new Uint8Array([1, 2, 3]));
  expect(pairs(ring.wait(1))).toEqual([[1n, 3]]);
  expect([...buffer.bytes.subarray(0, 4)]).toEqual([1, 2, 3, 0]);
});

onBoth("[buffers.plain-vectors] READV and WRITEV beside registered buffers", (on) => {
  const { ring, buffer } = withBuffer(on);
  const fd = on.file(100);
  const other = on.buffer(8);
  const vector = on.iovec(whole(other), { addr: buffer.addr, len: 4 });
  for (const opcode of [abi.IORING_OP_READV, abi.IORING_OP_WRITEV])
    expect(ring.results({ opcode, fd, addr: vector, len: 2, userData: 1n })).toEqual([[1n, 12]]);
  expect([...other.bytes, ...buffer.bytes.subarray(0, 4)]).toEqual(Array.from({ length: 12 }, (_, i) => i));
});

type Part = { readonly addr: bigint; readonly len: number };

const vectored = (on: Bench, write: boolean, fd: number, ...parts: readonly Part[]): SqeFields => ({
  opcode: write ? abi.IORING_OP_WRITEV_FIXED : abi.IORING_OP_READV_FIXED, fd, addr: on.iovec(...parts), len: parts.length, userData: 1n,
});

onBoth("[buffers.vectored] several parts of one buffer", (on) => {
  const { ring, buffer } = withBuffer(on, 8192);
  const { addr, bytes } = buffer;
  const fd = on.file(100);
  expect(ring.results(vectored(on, false, fd, { addr: addr + 4090n, len: 10 }, { addr, len: 3 }))).toEqual([[1n, 13]]);
  expect([...bytes.subarray(4090, 4100), ...bytes.subarray(0, 4)]).toEqual([...Array.from({ length: 13 }, (_, i) => i), 0]);
  const { read, write } = on.pipe();
  const overlapping = [{ addr: addr + 4090n, len: 2 }, { addr: addr + 4091n, len: 2 }, { addr, len: 1 }];
  expect(ring.results(vectored(on, true, write, ...overlapping))).toEqual([[1n, 5]]);
  const got = new Uint8Array(8);
  expect(on.kernel.system.read(read, got)).toBe(5);
  expect([...got.subarray(0, 5)]).toEqual([0, 1, 1, 2, 10]);
  expect(ring.results(vectored(on, false, fd, { addr, len: 4 }, { addr: addr + 8190n, len: 3 }))).toEqual([[1n, -abi.EFAULT]]);
  expect(ring.results({ ...vectored(on, false, fd, { addr, len: 4 }), bufIndex: 1 })).toEqual([[1n, -abi.EFAULT]]);
});

onBoth("[buffers.empty-part] a part of no length, and no parts", (on) => {
  const { ring, buffer: { addr } } = withBuffer(on);
  const fd = on.file(100);
  expect(ring.submit(vectored(on, false, fd, { addr, len: 4 }, { addr: addr + 8n, len: 0 }), nop)).toBe(2);
  expect(byUserData(ring.wait(2))).toEqual({ 1: -abi.EFAULT, 2: 0 });
  expect(ring.results(vectored(on, false, fd))).toEqual([[1n, 0]]);
});

onBoth("[buffers.bad-vector] refused before the buffer is looked at", (on) => {
  const fd = on.file(100);
  const { addr } = on.buffer(64);
  const sqe = vectored(on, false, fd, { addr, len: 4 });
  expect(atSubmission(on, { ...sqe, addr: on.kernel.memory.faultAddress })).toBe(-abi.EFAULT);
  expect(atSubmission(on, { ...sqe, addr: on.buffer(16 * 1025).addr, len: 1025 })).toBe(-abi.EINVAL);
  const negative = on.buffer(16);
  new DataView(negative.bytes.buffer, negative.bytes.byteOffset, 16).setBigInt64(8, -1n, true);
  expect(atSubmission(on, { ...sqe, addr: negative.addr })).toBe(-abi.EINVAL);
  expect(accepted(on, sqe)).toBe(-abi.EFAULT);
});

onBoth("[buffers.list-written] the parts' addresses as an eventfd's count", (on) => {
  const { ring, buffer: { addr } } = withBuffer(on);
  const fd = on.eventfd();
  const part = { addr, len: 8 };
  expect(ring.results(vectored(on, true, fd, part))).toEqual([[1n, -abi.EINVAL]]);
  expect(ring.results(vectored(on, true, fd))).toEqual([[1n, 0]]);
  // Eight parts of eight bytes: eight bytes are written, and the request counts as one that fell short.
  expect(ring.submit({ ...vectored(on, true, fd, ...Array.from({ length: 8 }, () => part)), flags: abi.IOSQE_IO_LINK }, nop)).toBe(2);
  expect(byUserData(ring.wait(2))).toEqual({ 1: 8, 2: -abi.ECANCELED });
  const count = new Uint8Array(8);
  expect(on.kernel.system.read(fd, count)).toBe(8);
  expect(new DataView(count.buffer).getBigUint64(0, true)).toBe(addr);
});

onBoth("[nop.fixed-buffer] a NOP that asks for a registered buffer", (on) => {
  const { ring } = withBuffer(on);
  const ask: SqeFields = { opcode: abi.IORING_OP_NOP, opFlags: abi.IORING_NOP_FIXED_BUFFER, userData: 1n };
  expect(ring.results(ask)).toEqual([[1n, 0]]);
  expect(ring.results({ ...ask, bufIndex: 1 })).toEqual([[1n, -abi.EFAULT]]);
});
