// Chapter rw.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, accepted, atSubmission, expect, onBoth, pairs } from "./on-both.ts";

const { IOSQE_ASYNC: ASYNC, IOSQE_IO_LINK: LINK, O_NONBLOCK, RWF_NOWAIT } = abi;
/** On such a ring what does not complete inline is not seen before a call with GETEVENTS. */
const DEFER = { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER };
const PIPE_SIZE = 65536;

interface Place {
  readonly addr: bigint;
  readonly len: number;
}
type More = Partial<SqeFields>;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const read = (fd: number, to: Place, more: More = {}): SqeFields => ({ opcode: abi.IORING_OP_READ, fd, ...to, userData: 1n, ...more });
const write = (fd: number, from: Place, more: More = {}): SqeFields => ({
  opcode: abi.IORING_OP_WRITE, fd, ...from, userData: 1n, ...more,
});
const readv = (on: Bench, fd: number, to: readonly Place[], more: More = {}): SqeFields => ({
  opcode: abi.IORING_OP_READV, fd, addr: on.iovec(...to), len: to.length, userData: 1n, ...more,
});
const writev = (on: Bench, fd: number, from: readonly Place[], more: More = {}): SqeFields => ({
  opcode: abi.IORING_OP_WRITEV, fd, addr: on.iovec(...from), len: from.length, userData: 1n, ...more,
});
const poll = (fd: number, events: number, userData: bigint, len = 0): SqeFields => ({
  opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: events, userData, len,
});
const cancel = (target: bigint, userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: target, userData });

const sorted = (seen: readonly Seen[]): [bigint, number][] => pairs(seen).toSorted(([a], [b]) => Number(a - b));
const put = (on: Bench, fd: number, bytes: readonly number[] | Uint8Array): number => on.kernel.system.write(fd, Uint8Array.from(bytes));
const take = (on: Bench, fd: number, count: number): number[] => {
  const into = new Uint8Array(count);
  const res = on.kernel.system.read(fd, into);
  return res < 0 ? [res] : [...into.subarray(0, res)];
};
const contents = (on: Bench, fd: number): number[] => {
  const into = new Uint8Array(on.kernel.system.size(fd));
  expect(on.kernel.system.pread(fd, into, 0)).toBe(into.length);
  return [...into];
};

/** Memory with room for `size` bytes, or that holds some. */
function place(on: Bench, bytes: number | readonly number[]): Place & { readonly bytes: Uint8Array } {
  const { addr, bytes: at } = on.buffer(bytes);
  return { addr, len: at.length, bytes: at };
}

/** The result of one request that waits for nothing, on whatever it completes. */
function result(ring: TestRing, sqe: SqeFields): number | undefined {
  ring.submit({ ...sqe, userData: 1n });
  const seen = ring.wait(1);
  expect(seen.map(({ userData, flags }) => [userData, flags])).toEqual([[1n, 0]]);
  return seen[0]?.res;
}

/** Hands a request to a worker that may wait: behind another one that it runs, without IOSQE_ASYNC of its own. */
function onWorker(ring: TestRing, sqe: SqeFields): void {
  ring.submit(nop(0n, LINK | ASYNC), sqe);
  expect(pairs(ring.wait(1))).toEqual([[0n, 0]]);
}

/** Is there no room in this pipe? Looks for at most three seconds. On the model workers are at their end when a call is. */
function full(ring: TestRing, fd: number): boolean {
  const end = performance.now() + 3000;
  while (performance.now() < end) {
    ring.submit(poll(fd, abi.POLLOUT, 100n));
    if (ring.reap().length === 0) {
      ring.submit({ opcode: abi.IORING_OP_POLL_REMOVE, addr: 100n, userData: 101n });
      expect(sorted(ring.wait(2))).toEqual([[100n, -abi.ECANCELED], [101n, 0]]);
      return true;
    }
  }
  return false;
}

/** `count` bytes out of a pipe that a worker writes, waiting for them at most three seconds. */
function drain(on: Bench, fd: number, count: number): Uint8Array {
  const end = performance.now() + 3000;
  const all = new Uint8Array(count);
  let done = 0;
  while (done < count && performance.now() < end) done += Math.max(0, on.kernel.system.read(fd, all.subarray(done)));
  return all.subarray(0, done);
}

const u64 = (value: bigint): number[] => Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn));
const BIG = 0xffff_ffff_ffff_fffen;

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

onBoth("[rw.poll-retry] a READ and a WRITE of a pipe wait, and go on when there is data and room", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const into = place(on, 4);
  expect(ring.submit(read(from, into, { flags: LINK }), nop(2n), nop(3n))).toBe(3);
  expect(pairs(ring.reap())).toEqual([[3n, 0]]);
  // The thread itself tries it again: it is done when write(2) returns.
  put(on, to, [5, 6]);
  expect(pairs(ring.reap())).toEqual([[1n, 2], [2n, -abi.ECANCELED]]);
  expect([...into.bytes]).toEqual([5, 6, 0, 0]);
  expect(put(on, to, new Uint8Array(PIPE_SIZE))).toBe(PIPE_SIZE);
  ring.submit(write(to, place(on, [1, 2, 3])));
  expect(ring.reap()).toEqual([]);
  expect(drain(on, from, PIPE_SIZE).length).toBe(PIPE_SIZE);
  expect(pairs(ring.reap())).toEqual([[1n, 3]]);
  expect(take(on, from, 8)).toEqual([1, 2, 3]);
  const eventfd = on.eventfd();
  const count = place(on, 8);
  ring.submit(read(eventfd, count));
  expect(ring.reap()).toEqual([]);
  put(on, eventfd, u64(3n));
  expect(pairs(ring.reap())).toEqual([[1n, 8]]);
  expect([...count.bytes]).toEqual(u64(3n));
});

onBoth("[rw.poll-retry] what finds nothing when it is tried again waits on, and no worker has it: a cancel takes it at once", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(read(from, place(on, 4)), read(from, place(on, 4), { userData: 2n }));
  // The newer is woken first, and takes all there is.
  put(on, to, [5, 6]);
  expect(pairs(ring.reap())).toEqual([[2n, 2]]);
  ring.submit(cancel(1n, 3n));
  expect(sorted(ring.wait(2))).toEqual([[1n, -abi.ECANCELED], [3n, 0]]);
  put(on, to, [7]);
  expect(take(on, from, 8)).toEqual([7]);
});

onBoth("[rw.nonblock-still-waits] O_NONBLOCK on a pipe and on an eventfd", (on) => {
  const pipe = on.kernel.system.pipe(O_NONBLOCK);
  if (typeof pipe === "number") throw new Error(`pipe: ${pipe}`);
  const eventfd = on.kernel.system.eventfd(0, O_NONBLOCK);
  const ring = on.ring();
  const into = place(on, 8);
  for (const flags of [0, ASYNC]) {
    ring.submit(read(pipe.read, into, { flags }));
    expect(ring.waitFor(1, 10_000_000n)).toBe(-abi.ETIME);
    put(on, pipe.write, [1, 2]);
    expect(pairs(ring.wait(1))).toEqual([[1n, 2]]);
    ring.submit(read(eventfd, into, { flags }));
    expect(ring.waitFor(1, 10_000_000n)).toBe(-abi.ETIME);
    put(on, eventfd, u64(5n));
    expect(pairs(ring.wait(1))).toEqual([[1n, 8]]);
    expect(put(on, pipe.write, new Uint8Array(PIPE_SIZE))).toBe(PIPE_SIZE);
    ring.submit(write(pipe.write, place(on, [3]), { flags }));
    expect(ring.waitFor(1, 10_000_000n)).toBe(-abi.ETIME);
    expect(drain(on, pipe.read, PIPE_SIZE).length).toBe(PIPE_SIZE);
    expect(pairs(ring.wait(1))).toEqual([[1n, 1]]);
    expect(drain(on, pipe.read, 1).length).toBe(1);
  }
});

onBoth("[rw.nowait-eagain] RWF_NOWAIT where there is nothing to read and no room to write, and where there is", (on) => {
  const pipe = on.pipe();
  const eventfd = on.eventfd();
  const ring = on.ring();
  const opFlags = RWF_NOWAIT;
  const at = place(on, 8);
  expect(result(ring, read(pipe.read, at, { opFlags }))).toBe(-abi.EAGAIN);
  expect(result(ring, readv(on, pipe.read, [at], { opFlags }))).toBe(-abi.EAGAIN);
  expect(result(ring, read(eventfd, at, { opFlags }))).toBe(-abi.EAGAIN);
  put(on, eventfd, u64(1n));
  expect(result(ring, read(eventfd, at, { opFlags }))).toBe(8);
  expect(result(ring, write(pipe.write, place(on, PIPE_SIZE), { opFlags }))).toBe(PIPE_SIZE);
  expect(result(ring, write(pipe.write, at, { opFlags }))).toBe(-abi.EAGAIN);
  expect(result(ring, writev(on, pipe.write, [at], { opFlags }))).toBe(-abi.EAGAIN);
  expect(result(ring, read(pipe.read, at, { opFlags }))).toBe(8);
  // It severs its chain.
  const empty = on.pipe().read;
  expect(ring.results(read(empty, at, { opFlags, flags: LINK }), nop(2n))).toEqual([[1n, -abi.EAGAIN], [2n, -abi.ECANCELED]]);
});

onBoth("[rw.write-error-task-work] a WRITE that fails comes behind the batch, a READ in its place", (on) => {
  const nowhere = { addr: on.kernel.memory.faultAddress, len: 4 };
  const { read: from, write: to } = on.pipe();
  put(on, to, [1, 2]);
  const ring = on.ring();
  expect(ring.results(write(to, nowhere), read(from, nowhere, { userData: 2n }), nop(3n))).toEqual([
    [2n, -abi.EFAULT], [3n, 0], [1n, -abi.EFAULT],
  ]);
  const deferred = on.ring(8, DEFER);
  deferred.submit(write(to, nowhere), read(from, nowhere, { userData: 2n }));
  expect(pairs(deferred.reap())).toEqual([[2n, -abi.EFAULT]]);
  expect(pairs(deferred.wait(1))).toEqual([[1n, -abi.EFAULT]]);
});

onBoth("[rw.plain-write-not-inline] a WRITE to an eventfd that has room, blocking and not", (on) => {
  const one = place(on, u64(1n));
  const [blocking, nonblocking] = [on.eventfd(), on.kernel.system.eventfd(0, O_NONBLOCK)];
  const scripted = (fd: number, more: More = {}): [[bigint, number][], [bigint, number][]] => {
    const ring = on.ring(8, DEFER);
    ring.submit(write(fd, one, more), nop(2n));
    const inline = ring.reap();
    return [pairs(inline), pairs(ring.wait(2 - inline.length))];
  };
  expect(scripted(blocking)).toEqual([[[2n, 0]], [[1n, 8]]]);
  expect(scripted(nonblocking)).toEqual([[[1n, 8], [2n, 0]], []]);
  // As if it would block.
  expect(scripted(blocking, { opFlags: RWF_NOWAIT })).toEqual([[[2n, 0]], [[1n, -abi.EAGAIN]]]);
  expect(scripted(nonblocking, { opFlags: RWF_NOWAIT })).toEqual([[[1n, 8], [2n, 0]], []]);
  expect([take(on, blocking, 8), take(on, nonblocking, 8)]).toEqual([u64(1n), u64(2n)]);
});

onBoth("[rw.loop-each-buffer] a WRITEV to an eventfd adds each of its buffers, until one fails", (on) => {
  const buffer = (value: bigint): Place => place(on, u64(value));
  const bad = place(on, [1, 2, 3]);
  for (const fd of [on.eventfd(), on.kernel.system.eventfd(0, O_NONBLOCK)]) {
    const ring = on.ring();
    expect(result(ring, writev(on, fd, [buffer(1n), buffer(2n), buffer(4n)]))).toBe(24);
    expect(take(on, fd, 8)).toEqual(u64(7n));
    expect(result(ring, writev(on, fd, [buffer(1n), bad, buffer(4n)]))).toBe(8);
    expect(take(on, fd, 8)).toEqual(u64(1n));
    expect(result(ring, writev(on, fd, [bad, buffer(1n)]))).toBe(-abi.EINVAL);
    expect(take(on, fd, 8)).toEqual([-abi.EAGAIN]);
  }
  // One that may not wait ends where it would have to.
  const fd = on.kernel.system.eventfd(0, O_NONBLOCK);
  expect(result(on.ring(), writev(on, fd, [buffer(BIG), buffer(5n)]))).toBe(8);
  expect(take(on, fd, 8)).toEqual(u64(BIG));
});

onBoth("[rw.loop-each-buffer] on a worker each of them may wait", (on) => {
  const fd = on.eventfd();
  const ring = on.ring();
  ring.submit(poll(fd, abi.POLLIN, 2n));
  ring.submit(writev(on, fd, [place(on, u64(BIG)), place(on, u64(5n)), place(on, u64(BIG))]));
  // The first was written: the second has to wait until somebody reads, the third as well.
  expect(pairs(ring.wait(1))).toEqual([[2n, abi.POLLIN]]);
  expect(ring.waitFor(1, 10_000_000n)).toBe(-abi.ETIME);
  expect(take(on, fd, 8)).toEqual(u64(BIG));
  ring.submit(poll(fd, abi.POLLIN, 3n));
  expect(pairs(ring.wait(1))).toEqual([[3n, abi.POLLIN]]);
  expect(ring.waitFor(1, 10_000_000n)).toBe(-abi.ETIME);
  expect(take(on, fd, 8)).toEqual(u64(5n));
  expect(pairs(ring.wait(1))).toEqual([[1n, 24]]);
  expect(take(on, fd, 8)).toEqual(u64(BIG));
});

onBoth("[rw.directory-worker] a READ of a directory", (on) => {
  const fd = on.kernel.system.open(".", abi.O_RDONLY | abi.O_DIRECTORY);
  const at = place(on, 8);
  for (const [len, res] of [[8, -abi.EISDIR], [0, 0]] as const) {
    for (const sqe of [read(fd, { ...at, len }), readv(on, fd, [{ ...at, len }])]) {
      const ring = on.ring(8, DEFER);
      ring.submit(sqe, nop(2n));
      expect(pairs(ring.reap())).toEqual([[2n, 0]]);
      expect(pairs(ring.wait(1))).toEqual([[1n, res]]);
    }
  }
});

onBoth("[rw.pipe-wakes-next] of two READs that wait inside a pipe the first leaves something to the second", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  onWorker(ring, read(from, place(on, 8)));
  onWorker(ring, read(from, place(on, 8), { userData: 2n }));
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  // One write wakes one of them.
  put(on, to, new Uint8Array(16));
  expect(sorted(ring.wait(2))).toEqual([[1n, 8], [2n, 8]]);
});

onBoth("[rw.pipe-wakes-next] of two WRITEs that wait inside a pipe the first leaves room to the second", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(put(on, to, new Uint8Array(PIPE_SIZE))).toBe(PIPE_SIZE);
  onWorker(ring, write(to, place(on, 4096)));
  onWorker(ring, write(to, place(on, 4096), { userData: 2n }));
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  expect(take(on, from, 8192).length).toBe(8192);
  expect(sorted(ring.wait(2))).toEqual([[1n, 4096], [2n, 4096]]);
});

/**
 * What completes of a READ that a worker waits in and an exclusive poll that was armed after it: a write wakes the first of them only.
 * Tries again where the worker was not there before the poll: then the write wakes the poll, and nobody the worker.
 */
function readThenPoll(on: Bench, bytes: number): [bigint, number][] {
  for (let round = 0; ; round++) {
    const { read: from, write: to } = on.pipe();
    const ring = on.ring();
    onWorker(ring, read(from, place(on, 8)));
    expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
    ring.submit(poll(from, (abi.POLLIN | abi.EPOLLEXCLUSIVE) >>> 0, 2n));
    expect(ring.reap()).toEqual([]);
    put(on, to, new Uint8Array(bytes));
    ring.waitFor(2, 200_000_000n);
    const seen = ring.reap();
    if (seen.some(({ userData }) => userData === 1n) || round === 20) return sorted(seen);
    ring.ring.close();
  }
}

onBoth("[rw.pipe-wakes-next] a READ that waits in a pipe and leaves data wakes who polls", (on) => {
  expect(readThenPoll(on, 16)).toEqual([[1n, 8], [2n, abi.POLLIN]]);
});

onBoth("[rw.pipe-write-whole] a WRITE of three times what a pipe holds", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const size = 3 * PIPE_SIZE + 5;
  const bytes = Array.from({ length: size }, (_, i) => (i * 7 + (i >> 12)) & 0xff);
  onWorker(ring, write(to, place(on, bytes)));
  expect(full(ring, to)).toBe(true);
  expect(ring.reap()).toEqual([]);
  expect(Buffer.compare(drain(on, from, size), Uint8Array.from(bytes))).toBe(0);
  expect(pairs(ring.wait(1))).toEqual([[1n, size]]);
  // Inline it is short.
  expect(result(ring, write(to, place(on, bytes)))).toBe(PIPE_SIZE);
});

onBoth("[rw.pipe-write-whole] one that is interrupted has written what there was room for", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  onWorker(ring, write(to, place(on, 2 * PIPE_SIZE)));
  expect(full(ring, to)).toBe(true);
  ring.submit(cancel(1n, 2n));
  expect(sorted(ring.wait(2))).toEqual([[1n, PIPE_SIZE], [2n, -abi.EALREADY]]);
  expect(drain(on, from, PIPE_SIZE).length).toBe(PIPE_SIZE);
  expect(take(on, from, 1)).toEqual([-abi.EAGAIN]);
});

onBoth("[rw.pipe-write-whole] one whose reader goes has written what was read, and what is lost", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  onWorker(ring, write(to, place(on, 2 * PIPE_SIZE)));
  expect(full(ring, to)).toBe(true);
  expect(on.kernel.system.close(from)).toBe(0);
  expect(pairs(ring.wait(1))).toEqual([[1n, PIPE_SIZE]]);
});
