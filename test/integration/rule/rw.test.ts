// Chapter rw: what a transfer returns, and what is refused.
import type { SqeFields } from "./on-both.ts";
import { abi, accepted, atSubmission, expect, onBoth } from "./on-both.ts";
import { ASYNC, contents, drain, LINK, nop, PIPE_SIZE, place, put, read, readv, result, RWF_NOWAIT, take, u64, write, writev } from "./rw-kit.ts";

onBoth("[rw.result-count] a file: as much as there is, and nothing behind its end", (on) => {
  const fd = on.file(10);
  const ring = on.ring();
  const to = place(on, 8);
  expect(result(ring, read(fd, to, { off: 4n }))).toBe(6);
  expect([...to.bytes]).toEqual([4, 5, 6, 7, 8, 9, 0, 0]);
  expect(result(ring, read(fd, to, { off: 10n }))).toBe(0);
  expect(result(ring, read(fd, to, { off: 1000n }))).toBe(0);
  expect(result(ring, read(fd, { ...to, len: 0 }, { off: 4n }))).toBe(0);
  const [first, second] = [place(on, 3), place(on, 8)];
  expect(result(ring, readv(on, fd, [first, { ...to, len: 0 }, second], { off: 1n }))).toBe(9);
  expect([[...first.bytes], [...second.bytes]]).toEqual([[1, 2, 3], [4, 5, 6, 7, 8, 9, 0, 0]]);
  expect(result(ring, readv(on, fd, []))).toBe(0);
});

onBoth("[rw.result-count] a file is written where asked for, with a gap of zeros, or at its end", (on) => {
  const fd = on.file(2);
  const ring = on.ring();
  expect(result(ring, write(fd, place(on, [7, 8, 9]), { off: 1n }))).toBe(3);
  expect(contents(on, fd)).toEqual([0, 7, 8, 9]);
  expect(result(ring, writev(on, fd, [place(on, [1]), place(on, [2, 3])], { off: 6n }))).toBe(3);
  expect(contents(on, fd)).toEqual([0, 7, 8, 9, 0, 0, 1, 2, 3]);
  expect(result(ring, write(fd, { ...place(on, 1), len: 0 }, { off: 20n }))).toBe(0);
  expect(on.kernel.system.size(fd)).toBe(9);
  const end = on.kernel.system.open("file", abi.O_WRONLY | abi.O_APPEND);
  expect(result(ring, write(end, place(on, [5]), { off: 0n }))).toBe(1);
  expect(contents(on, fd)).toEqual([0, 7, 8, 9, 0, 0, 1, 2, 3, 5]);
});

onBoth("[rw.result-count] a pipe: what is in it, what there is room for, its end, and a reader that went", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const into = place(on, 8);
  put(on, to, [1, 2, 3]);
  expect(result(ring, read(from, into))).toBe(3);
  expect([...into.bytes]).toEqual([1, 2, 3, 0, 0, 0, 0, 0]);
  expect(result(ring, write(to, place(on, PIPE_SIZE + 1)))).toBe(PIPE_SIZE);
  expect(drain(on, from, PIPE_SIZE).length).toBe(PIPE_SIZE);
  on.kernel.system.close(to);
  expect(result(ring, read(from, into))).toBe(0);
  const other = on.pipe();
  on.kernel.system.close(other.read);
  expect(result(ring, write(other.write, place(on, [1])))).toBe(-abi.EPIPE);
});

onBoth("[rw.result-count] an eventfd takes and gives eight bytes", (on) => {
  const fd = on.eventfd(5);
  const ring = on.ring();
  const into = place(on, 16);
  expect(result(ring, read(fd, { ...into, len: 7 }))).toBe(-abi.EINVAL);
  expect(result(ring, read(fd, into))).toBe(8);
  expect([...into.bytes]).toEqual([...u64(5n), ...u64(0n)]);
  expect(result(ring, write(fd, place(on, [1, 2, 3])))).toBe(-abi.EINVAL);
  expect(result(ring, write(fd, place(on, u64(7n))))).toBe(8);
  expect(take(on, fd, 8)).toEqual(u64(7n));
});

onBoth("[rw.result-count] memory that is not there: what was moved before it, or -EFAULT", (on) => {
  const nowhere = { addr: on.kernel.memory.faultAddress, len: 4 };
  const fd = on.file(8);
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(result(ring, read(fd, nowhere))).toBe(-abi.EFAULT);
  expect(result(ring, write(fd, nowhere))).toBe(-abi.EFAULT);
  expect(result(ring, write(to, nowhere))).toBe(-abi.EFAULT);
  put(on, to, [1, 2, 3, 4, 5, 6, 7, 8]);
  expect(result(ring, read(from, nowhere))).toBe(-abi.EFAULT);
  const into = place(on, 4);
  expect(result(ring, readv(on, fd, [into, nowhere]))).toBe(4);
  expect([...into.bytes]).toEqual([0, 1, 2, 3]);
  expect(result(ring, writev(on, fd, [place(on, [9, 9, 9, 9]), nowhere]))).toBe(4);
  expect(contents(on, fd)).toEqual([9, 9, 9, 9, 4, 5, 6, 7]);
  expect(take(on, from, 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
});

onBoth("[rw.current-position] transfers with an offset of -1 go on where the last one ended", (on) => {
  const fd = on.file(10);
  const ring = on.ring();
  const at = (): number => on.kernel.system.lseek(fd, 0, 1);
  const to = place(on, 4);
  on.kernel.system.lseek(fd, 0, 0);
  expect([result(ring, read(fd, to, { off: -1n })), [...to.bytes], at()]).toEqual([4, [0, 1, 2, 3], 4]);
  expect([result(ring, readv(on, fd, [to], { off: -1n })), [...to.bytes], at()]).toEqual([4, [4, 5, 6, 7], 8]);
  // An offset of its own leaves the position alone.
  expect([result(ring, read(fd, to, { off: 3n })), [...to.bytes], at()]).toEqual([4, [3, 4, 5, 6], 8]);
  expect([result(ring, write(fd, place(on, [9]), { off: 0n })), at()]).toEqual([1, 8]);
  expect([result(ring, read(fd, to, { off: -1n })), at()]).toEqual([2, 10]);
  expect([result(ring, read(fd, to, { off: -1n })), at()]).toEqual([0, 10]);
  expect([result(ring, write(fd, place(on, [1, 2]), { off: -1n })), at()]).toEqual([2, 12]);
  on.kernel.system.lseek(fd, 1, 0);
  expect([result(ring, writev(on, fd, [place(on, [3]), place(on, [4])], { off: -1n })), at()]).toEqual([2, 3]);
  expect(contents(on, fd)).toEqual([9, 3, 4, 3, 4, 5, 6, 7, 8, 9, 1, 2]);
});

onBoth("[rw.stream-offset-ignored] a pipe is read and written whatever the offset, unless it is below zero and not -1", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const into = place(on, 1);
  for (const off of [0n, 1n, 4096n, 1n << 62n, -1n]) {
    expect(result(ring, write(to, place(on, [7]), { off })), `${off}`).toBe(1);
    into.bytes[0] = 0;
    expect(result(ring, read(from, into, { off })), `${off}`).toBe(1);
    expect(into.bytes[0]).toBe(7);
  }
  put(on, to, [1, 2]);
  for (const off of [-2n, -4096n, -(1n << 63n)]) {
    expect(result(ring, read(from, into, { off })), `${off}`).toBe(-abi.EINVAL);
    expect(result(ring, write(to, place(on, [9]), { off })), `${off}`).toBe(-abi.EINVAL);
  }
  expect(take(on, from, 8)).toEqual([1, 2]);
});

onBoth("[rw.wrong-mode] reading what is open for writing, writing what is open for reading", (on) => {
  const both = on.file(4);
  const [reads, writes] = [abi.O_RDONLY, abi.O_WRONLY].map((flags) => on.kernel.system.open("file", flags)) as [number, number];
  const pipe = on.pipe();
  put(on, pipe.write, [1, 2]);
  const ring = on.ring();
  const at = place(on, [9]);
  for (const flags of [0, ASYNC]) {
    for (const fd of [writes, pipe.write]) {
      expect(result(ring, read(fd, at, { flags }))).toBe(-abi.EBADF);
      expect(result(ring, readv(on, fd, [at], { flags }))).toBe(-abi.EBADF);
    }
    for (const fd of [reads, pipe.read]) {
      expect(result(ring, write(fd, at, { flags }))).toBe(-abi.EBADF);
      expect(result(ring, writev(on, fd, [at], { flags }))).toBe(-abi.EBADF);
    }
  }
  expect(result(ring, write(writes, at))).toBe(1);
  expect(result(ring, read(reads, at, { off: 1n }))).toBe(1);
  expect(contents(on, both)).toEqual([9, 1, 2, 3]);
});

onBoth("[rw.unknown-flags] bits that have no name, when the request is issued and not at its submission", (on) => {
  const fd = on.eventfd(1);
  const { read: from, write: to } = on.pipe();
  put(on, to, [1, 2]);
  const at = place(on, 1);
  for (let bit = 9; bit < 32; bit++) {
    const opFlags = (1 << bit) >>> 0;
    expect(accepted(on, read(from, at, { opFlags })), `bit ${bit}`).toBe(-abi.EOPNOTSUPP);
    expect(accepted(on, write(to, at, { opFlags })), `bit ${bit}`).toBe(-abi.EOPNOTSUPP);
  }
  // The descriptor, and the way in which the file is open, come first.
  expect(accepted(on, read(-1, at, { opFlags: 0x200 }))).toBe(-abi.EBADF);
  expect(accepted(on, read(to, at, { opFlags: 0x200 }))).toBe(-abi.EBADF);
  expect(accepted(on, readv(on, from, [at], { opFlags: 0x8000_0000 | RWF_NOWAIT }))).toBe(-abi.EOPNOTSUPP);
  // In a chain what is before it takes effect.
  const ring = on.ring();
  const first = read(fd, place(on, 8), { flags: LINK });
  expect(ring.results(first, read(from, at, { opFlags: 0x200, userData: 2n, flags: LINK }), nop(3n))).toEqual([
    [1n, 8], [2n, -abi.EOPNOTSUPP], [3n, -abi.ECANCELED],
  ]);
  expect(accepted(on, read(from, at))).toBe(1);
  expect(take(on, from, 8)).toEqual([2]);
});

onBoth("[rw.priority-checked] [rw.ioprio-level] classes and levels", (on) => {
  const { read: from, write: to } = on.pipe();
  const at = place(on, [0]);
  const prio = (cls: number, data: number): number => (cls << 13) | data;
  // Level 0 of no class, any level of best effort and of idle, and hints above the level.
  for (const ioprio of [prio(0, 0), prio(0, 8), prio(0, 0x1ff8), prio(2, 0), prio(2, 7), prio(2, 0x1fff), prio(3, 0), prio(3, 7)]) {
    expect(accepted(on, write(to, at, { ioprio })), `ioprio ${ioprio}`).toBe(1);
    expect(accepted(on, read(from, at, { ioprio })), `ioprio ${ioprio}`).toBe(1);
  }
  put(on, to, [1]);
  for (const ioprio of [prio(0, 1), prio(0, 7), prio(0, 9), prio(4, 0), prio(5, 4), prio(7, 0x1fff)]) {
    expect(atSubmission(on, read(from, at, { ioprio })), `ioprio ${ioprio}`).toBe(-abi.EINVAL);
    expect(atSubmission(on, write(to, at, { ioprio })), `ioprio ${ioprio}`).toBe(-abi.EINVAL);
    expect(atSubmission(on, readv(on, from, [at], { ioprio })), `ioprio ${ioprio}`).toBe(-abi.EINVAL);
    expect(atSubmission(on, writev(on, to, [at], { ioprio })), `ioprio ${ioprio}`).toBe(-abi.EINVAL);
  }
  expect(take(on, from, 8)).toEqual([1]);
});

onBoth("[rw.bad-vector] a vector that can't be read, is too long, or has a negative length", (on) => {
  const fd = on.file(8);
  const { read: from, write: to } = on.pipe();
  const at = place(on, 4);
  const vectors = (addr: bigint, len: number): SqeFields[] => [
    { opcode: abi.IORING_OP_READV, fd, addr, len, userData: 1n }, { opcode: abi.IORING_OP_WRITEV, fd, addr, len, userData: 1n },
    { opcode: abi.IORING_OP_READV, fd: from, addr, len, userData: 1n }, { opcode: abi.IORING_OP_WRITEV, fd: to, addr, len, userData: 1n },
  ];
  const refused = (addr: bigint, len: number): Set<number | undefined> => new Set(vectors(addr, len).map((sqe) => atSubmission(on, sqe)));
  expect(refused(on.kernel.memory.faultAddress, 1)).toEqual(new Set([-abi.EFAULT]));
  expect(refused(on.kernel.memory.faultAddress, 2)).toEqual(new Set([-abi.EFAULT]));
  const many = on.iovec(...Array.from({ length: 1025 }, () => ({ ...at, len: 0 })));
  expect(refused(many, 1025)).toEqual(new Set([-abi.EINVAL]));
  expect(refused(many, 0xffff_ffff)).toEqual(new Set([-abi.EINVAL]));
  const negative = { ...at, len: -1 };
  expect(refused(on.iovec(negative), 1)).toEqual(new Set([-abi.EINVAL]));
  expect(refused(on.iovec(at, negative), 2)).toEqual(new Set([-abi.EINVAL]));
  // The descriptor is not looked at before.
  expect(atSubmission(on, readv(on, -1, [negative]))).toBe(-abi.EINVAL);
  // As long as may be, and one that is not looked at behind its count.
  expect(accepted(on, { opcode: abi.IORING_OP_READV, fd, addr: many, len: 1024, userData: 1n })).toBe(0);
  expect(accepted(on, { opcode: abi.IORING_OP_READV, fd, addr: on.iovec(at, negative), len: 1, userData: 1n })).toBe(4);
  expect(contents(on, fd)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});
