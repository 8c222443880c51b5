// Chapter issue.
import type { Bench, SqeFields } from "./on-both.ts";
import { abi, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
/** On such a ring what does not complete inline is not seen before a call with GETEVENTS. */
const DEFER = { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER };

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const read = (userData: bigint, fd: number, addr: bigint, flags = 0): SqeFields => ({
  opcode: abi.IORING_OP_READ, fd, addr, len: 4, userData, flags,
});
const put = (on: Bench, fd: number, text: string): number => on.kernel.system.write(fd, new TextEncoder().encode(text));
/** A number that no descriptor has, and that the next one gets. */
function nextNumber(on: Bench): number {
  const fd = on.eventfd();
  expect(on.kernel.system.close(fd)).toBe(0);
  return fd;
}

onBoth("[issue.inline-first] what need not wait is done when the submission returns, by the thread itself", (on) => {
  const { read: from, write: to } = on.pipe();
  const into = on.buffer(4);
  const ring = on.ring(8, DEFER);
  const write = { opcode: abi.IORING_OP_WRITE, fd: to, addr: on.buffer([1, 2, 3]).addr, len: 3, userData: 1n };
  const close = { opcode: abi.IORING_OP_CLOSE, fd: on.eventfd(), userData: 4n };
  ring.submit(write, read(2n, from, into.addr), nop(3n), close);
  expect(pairs(ring.reap())).toEqual([[1n, 3], [2n, 3], [3n, 0], [4n, 0]]);
  expect([...into.bytes]).toEqual([1, 2, 3, 0]);
  on.kernel.system.disown(close.fd);
});

onBoth("[issue.inline-first] what a flag holds back is not", (on) => {
  const { read: from, write: to } = on.pipe();
  put(on, to, "abc");
  const ring = on.ring(8, DEFER);
  ring.submit(read(1n, from, on.buffer(4).addr, abi.IOSQE_ASYNC), nop(2n, LINK), nop(3n));
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
  expect(pairs(ring.wait(2)).toSorted(([a], [b]) => Number(a - b))).toEqual([[1n, 3], [3n, 0]]);
});

onBoth("[issue.inline-first] the thread does not wait: what would block is left, and what is behind it goes on", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(ring.submit(read(1n, from, on.buffer(4).addr), nop(2n))).toBe(2);
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
  put(on, to, "abc");
  expect(pairs(ring.wait(1))).toEqual([[1n, 3]]);
});

onBoth("[issue.file-late] a chain reads by a number that its first member opens", (on) => {
  on.file(8);
  const dir = on.kernel.system.open(".", abi.O_RDONLY | abi.O_DIRECTORY);
  const open = { opcode: abi.IORING_OP_OPENAT, fd: dir, addr: on.path("file"), opFlags: abi.O_RDWR, userData: 1n };
  const into = on.buffer(4);
  const ring = on.ring();
  const number = nextNumber(on);
  ring.submit({ ...open, flags: LINK }, read(2n, number, into.addr));
  expect(pairs(ring.wait(2))).toEqual([[1n, number], [2n, 4]]);
  expect([...into.bytes]).toEqual([0, 1, 2, 3]);
  on.kernel.system.adopt(number);
});

onBoth("[issue.file-late] a number that was free at submission, and one that another file had", (on) => {
  const gate = on.pipe();
  const old = on.pipe();
  put(on, old.write, "old");
  const ring = on.ring();
  const number = nextNumber(on);
  const [first, second] = [on.buffer(4), on.buffer(4)];
  ring.submit(read(1n, gate.read, on.buffer(4).addr, LINK), read(2n, number, first.addr, LINK), read(3n, old.read, second.addr));
  const file = on.file(8);
  expect(file).toBe(number);
  expect(on.kernel.system.close(old.read)).toBe(0);
  expect(on.eventfd(7)).toBe(old.read);
  put(on, gate.write, "full");
  // Four bytes are too few for an eventfd: it is not the pipe that was read.
  expect(pairs(ring.wait(3))).toEqual([[1n, 4], [2n, 4], [3n, -abi.EINVAL]]);
  expect([...first.bytes]).toEqual([0, 1, 2, 3]);
  expect([...second.bytes]).toEqual([0, 0, 0, 0]);
});

onBoth("[issue.file-late] [issue.bad-fd] a descriptor that is closed before the request's turn comes", (on) => {
  const gate = on.pipe();
  const fd = on.file(8);
  const ring = on.ring();
  ring.submit(read(1n, gate.read, on.buffer(4).addr, LINK), read(2n, fd, on.buffer(4).addr));
  expect(on.kernel.system.close(fd)).toBe(0);
  put(on, gate.write, "full");
  expect(pairs(ring.wait(2))).toEqual([[1n, 4], [2n, -abi.EBADF]]);
});

onBoth("[issue.bad-fd] every operation on a file; it is no failure at submission", (on) => {
  const { addr } = on.buffer(4);
  const iovec = on.iovec({ addr, len: 4 });
  const of = (fd: number): SqeFields[] => [
    { opcode: abi.IORING_OP_READ, fd, addr, len: 4 },
    { opcode: abi.IORING_OP_WRITE, fd, addr, len: 4 },
    { opcode: abi.IORING_OP_READV, fd, addr: iovec, len: 1 },
    { opcode: abi.IORING_OP_WRITEV, fd, addr: iovec, len: 1 },
    { opcode: abi.IORING_OP_FSYNC, fd },
    { opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLIN },
    { opcode: abi.IORING_OP_READ, fd, addr, len: 4, flags: abi.IOSQE_ASYNC },
  ];
  const ring = on.ring();
  for (const fd of [-1, 1_000_000, 0x7fff_ffff, nextNumber(on)]) {
    for (const [i, sqe] of of(fd).entries()) {
      expect(ring.submit({ ...sqe, userData: 1n }, nop(2n)), `${i} on ${fd}`).toBe(2);
      expect(pairs(ring.wait(2)).toSorted(([a], [b]) => Number(a - b)), `${i} on ${fd}`).toEqual([[1n, -abi.EBADF], [2n, 0]]);
    }
  }
});

onBoth("[issue.bad-fd] inline it takes its place in the batch, and it severs its chain", (on) => {
  const ring = on.ring();
  const bad = (userData: bigint, flags = 0): SqeFields => read(userData, -1, on.buffer(4).addr, flags);
  expect(ring.results(nop(1n), bad(2n), nop(3n))).toEqual([[1n, 0], [2n, -abi.EBADF], [3n, 0]]);
  expect(ring.results(bad(1n, LINK), nop(2n))).toEqual([[1n, -abi.EBADF], [2n, -abi.ECANCELED]]);
});
