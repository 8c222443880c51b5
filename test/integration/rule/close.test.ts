// Chapter close.
import type { SqeFields } from "./on-both.ts";
import { abi, accepted, atSubmission, expect, onBoth } from "./on-both.ts";

const close = (fd: number, more: Partial<SqeFields> = {}): SqeFields => ({ opcode: abi.IORING_OP_CLOSE, fd, userData: 1n, ...more });
const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });

onBoth("[close.bad-fd] a descriptor that is not open, or not any more", (on) => {
  expect(accepted(on, close(1_000_000))).toBe(-abi.EBADF);
  expect(accepted(on, close(-1))).toBe(-abi.EBADF);
  const fd = on.eventfd();
  expect(accepted(on, close(fd))).toBe(0);
  expect(accepted(on, close(fd))).toBe(-abi.EBADF);
  on.kernel.system.disown(fd);
});

onBoth("[close.ring-refused] a ring's descriptor, its own or another's, stays open", (on) => {
  const ring = on.ring();
  const other = on.ring();
  expect(ring.results(close(ring.fd))).toEqual([[1n, -abi.EBADF]]);
  expect(ring.results(close(other.fd))).toEqual([[1n, -abi.EBADF]]);
  expect(ring.results(nop(2n))).toEqual([[2n, 0]]);
  expect(other.results(nop(3n))).toEqual([[3n, 0]]);
});

onBoth("[close.fields-zero] fields that CLOSE does not use", (on) => {
  const fd = on.eventfd();
  expect(atSubmission(on, close(fd, { off: 1n }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, close(fd, { off: 0x8000_0000_0000_0000n }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, close(fd, { addr: 1n }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, close(fd, { len: 1 }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, close(fd, { opFlags: 1 }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, close(fd, { bufIndex: 1 }))).toBe(-abi.EINVAL);
  // It is still open.
  expect(on.kernel.system.write(fd, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]))).toBe(8);
  expect(accepted(on, close(fd))).toBe(0);
  on.kernel.system.disown(fd);
});

onBoth("[close.fixed-flag-refused] IOSQE_FIXED_FILE, with a descriptor and with a slot", (on) => {
  const fd = on.eventfd();
  const flags = abi.IOSQE_FIXED_FILE;
  expect(atSubmission(on, close(fd, { flags }))).toBe(-abi.EBADF);
  expect(atSubmission(on, close(0, { flags, spliceFdIn: 1 }))).toBe(-abi.EBADF);
  expect(on.kernel.system.write(fd, new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]))).toBe(8);
});

onBoth("[close.slot-or-fd] [close.no-table] a descriptor and a slot, and a slot alone", (on) => {
  const fd = on.eventfd();
  expect(atSubmission(on, close(fd, { spliceFdIn: 1 }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, close(-1, { spliceFdIn: 1 }))).toBe(-abi.EINVAL);
  // Accepted: that there is no table shows when it is issued.
  expect(accepted(on, close(0, { spliceFdIn: 1 }))).toBe(-abi.ENXIO);
  expect(accepted(on, close(0, { spliceFdIn: 1000 }))).toBe(-abi.ENXIO);
});

onBoth("[close.keeps-pending] requests outlive their descriptor", (on) => {
  const ring = on.ring();
  const { read, write } = on.pipe();
  const into = on.buffer(4);
  ring.submit({ opcode: abi.IORING_OP_READ, fd: read, addr: into.addr, len: 2, userData: 10n });
  expect(ring.results(close(read))).toEqual([[1n, 0]]);
  on.kernel.system.disown(read);
  // The descriptor is gone, the request is not: nothing comes by itself, and the pipe has a reader.
  expect(ring.results({ opcode: abi.IORING_OP_READ, fd: read, addr: into.addr + 2n, len: 2, userData: 11n })).toEqual([[11n, -abi.EBADF]]);
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  expect(on.kernel.system.write(write, new Uint8Array([7, 8]))).toBe(2);
  expect(ring.wait(1)).toEqual([{ userData: 10n, res: 2, flags: 0 }]);
  expect([...into.bytes]).toEqual([7, 8, 0, 0]);
});
