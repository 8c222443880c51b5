// Chapter worker.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth, pairs } from "./on-both.ts";

const { IOSQE_ASYNC: ASYNC, IOSQE_IO_LINK: LINK } = abi;
/** On such a ring what does not complete inline is not seen before a call with GETEVENTS. */
const DEFER = { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER };
const PIPE_SIZE = 65536;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const read = (on: Bench, userData: bigint, fd: number, more: Partial<SqeFields> = {}): SqeFields => ({
  opcode: abi.IORING_OP_READ, fd, addr: on.buffer(8).addr, len: 8, userData, ...more,
});
type More = Partial<SqeFields>;
const write = (on: Bench, userData: bigint, fd: number, bytes: readonly number[] | Uint8Array, more: More = {}): SqeFields => ({
  opcode: abi.IORING_OP_WRITE, fd, addr: on.buffer(bytes).addr, len: bytes.length, userData, ...more,
});
const sorted = (seen: readonly Seen[]): [bigint, number][] => pairs(seen).toSorted(([a], [b]) => Number(a - b));
const put = (on: Bench, fd: number, bytes: number): number => on.kernel.system.write(fd, new Uint8Array(bytes));

/** What of it completes inline, and everything. */
function inline(on: Bench, sqe: SqeFields): { readonly inline: [bigint, number][]; readonly all: [bigint, number][] } {
  const ring = on.ring(8, DEFER);
  expect(ring.submit(sqe)).toBe(1);
  const first = ring.reap();
  return { inline: pairs(first), all: pairs([...first, ...ring.wait(1 - first.length)]) };
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
    ring.submit({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLOUT, userData: 100n });
    if (ring.reap().length === 0) {
      ring.submit({ opcode: abi.IORING_OP_POLL_REMOVE, addr: 100n, userData: 101n });
      expect(sorted(ring.wait(2))).toEqual([[100n, -abi.ECANCELED], [101n, 0]]);
      return true;
    }
  }
  return false;
}

/** Everything in a pipe, taken out of it. */
function drain(on: Bench, fd: number): number {
  const into = new Uint8Array(PIPE_SIZE);
  let all = 0;
  for (;;) {
    const res = on.kernel.system.read(fd, into);
    if (res <= 0) return all;
    all += res;
  }
}

onBoth("[rw.plain-write-not-inline] what a worker that may wait does at once, and what it waits for", (on) => {
  const { read: from, write: to } = on.pipe();
  const empty = on.eventfd();
  for (const [sqe, res] of [
    [{ ...read(on, 1n, from), len: 0 }, 0], [{ ...read(on, 1n, empty), len: 0 }, -abi.EINVAL], [{ ...read(on, 1n, empty), len: 7 }, -abi.EINVAL],
    [write(on, 1n, from, [1]), -abi.EBADF], [read(on, 1n, to), -abi.EBADF],
  ] as const) {
    const ring = on.ring();
    ring.submit(nop(0n, LINK | ASYNC), sqe);
    expect(pairs(ring.wait(2))).toEqual([[0n, 0], [1n, res]]);
  }
  // An eventfd takes no more than 2^64 - 2: one more waits, one that fits does not.
  const eventfd = on.eventfd(1);
  const ring = on.ring();
  const count = (value: bigint): number[] => [...new Uint8Array(BigUint64Array.of(value).buffer)];
  onWorker(ring, write(on, 1n, eventfd, count(0xffff_ffff_ffff_fffen)));
  ring.waitFor(1, 20_000_000n);
  expect(ring.reap()).toEqual([]);
  expect(on.kernel.system.read(eventfd, new Uint8Array(8))).toBe(8);
  expect(pairs(ring.wait(1))).toEqual([[1n, 8]]);
  ring.submit(nop(0n, LINK | ASYNC), write(on, 2n, eventfd, count(0xffff_ffff_ffff_ffffn)));
  expect(pairs(ring.wait(2))).toEqual([[0n, 0], [2n, -abi.EINVAL]]);
});

onBoth("[worker.async-flag] what the flag is on completes, and not inline", (on) => {
  const { read: from, write: to } = on.pipe();
  put(on, to, 16);
  const eventfd = on.eventfd(1);
  for (const [sqe, res] of [
    [nop(1n), 0], [read(on, 1n, from), 8], [write(on, 1n, to, [1, 2, 3]), 3], [read(on, 1n, eventfd), 8],
    [{ opcode: abi.IORING_OP_POLL_ADD, fd: from, opFlags: abi.POLLIN, userData: 1n }, abi.POLLIN],
    [{ opcode: abi.IORING_OP_CLOSE, fd: 1_000_000, userData: 1n }, -abi.EBADF],
  ] as const) {
    expect(inline(on, sqe), `opcode ${sqe.opcode}`).toEqual({ inline: [[1n, res]], all: [[1n, res]] });
    if (sqe.fd === eventfd) on.kernel.system.write(eventfd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
    expect(inline(on, { ...sqe, flags: ASYNC }), `opcode ${sqe.opcode}`).toEqual({ inline: [], all: [[1n, res]] });
  }
});

onBoth("[worker.polls-first] a READ with IOSQE_ASYNC and RWF_NOWAIT of a pipe does not wait", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const nowait = read(on, 1n, from, { flags: ASYNC, opFlags: abi.RWF_NOWAIT });
  ring.submit(nowait);
  expect(pairs(ring.wait(1))).toEqual([[1n, -abi.EAGAIN]]);
  put(on, to, 3);
  ring.submit(nowait);
  expect(pairs(ring.wait(1))).toEqual([[1n, 3]]);
});

onBoth("[worker.polls-first] a WRITE to a pipe with IOSQE_ASYNC ends with what there is room for, one that may wait does not", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const bytes = new Uint8Array(PIPE_SIZE + 3);
  ring.submit(write(on, 1n, to, bytes, { flags: ASYNC }));
  expect(pairs(ring.wait(1))).toEqual([[1n, PIPE_SIZE]]);
  expect(drain(on, from)).toBe(PIPE_SIZE);
  onWorker(ring, write(on, 2n, to, bytes));
  expect(full(ring, to)).toBe(true);
  expect(ring.reap()).toEqual([]);
  expect(drain(on, from)).toBeGreaterThanOrEqual(PIPE_SIZE);
  expect(pairs(ring.wait(1))).toEqual([[2n, PIPE_SIZE + 3]]);
});

onBoth("[worker.polls-first] with IOSQE_ASYNC a READ that waits is cancelled as a poll is: it is not interrupted in read(2)", (on) => {
  const ring = on.ring();
  ring.submit(read(on, 1n, on.pipe().read, { flags: ASYNC }));
  // The worker has tried it by then, most likely.
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  const end = performance.now() + 3000;
  const seen: Seen[] = [];
  while (seen.every(({ userData }) => userData !== 1n) && performance.now() < end) {
    ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 1n, userData: 2n });
    ring.waitFor(2, 20_000_000n);
    seen.push(...ring.reap());
  }
  expect(seen.find(({ userData }) => userData === 1n)?.res).toBe(-abi.ECANCELED);
});

onBoth("[worker.hashed-writes] what is appended to one file is there in the order of submission", (on) => {
  const count = 64;
  on.file(0);
  const fd = on.kernel.system.open("file", abi.O_RDWR | abi.O_APPEND);
  const ring = on.ring(count);
  for (let round = 0; round < 4; round++) {
    // Sizes differ, so that an order of their own would show.
    const sqes = Array.from({ length: count }, (_, i) => write(on, BigInt(i), fd, new Uint8Array(1 + (i % 7) * 1000).fill(i)));
    expect(sorted(ring.submit(...sqes) === count ? ring.wait(count) : [])).toEqual(sqes.map(({ len = 0 }, i) => [BigInt(i), len]));
    const text = sqes.flatMap(({ len = 0 }, i) => Array.from({ length: len }, () => i));
    const got = new Uint8Array(text.length + 1);
    expect(on.kernel.system.pread(fd, got, round * text.length)).toBe(text.length);
    expect(Buffer.compare(got.subarray(0, -1), Uint8Array.from(text))).toBe(0);
  }
});

onBoth("[worker.hashed-writes] of writes to one place the last remains, whichever descriptor they name", (on) => {
  const fds = [on.file(0), on.kernel.system.open("file", abi.O_WRONLY)];
  const ring = on.ring(32);
  for (let round = 0; round < 8; round++) {
    const sqes = Array.from({ length: 32 }, (_, i) => write(on, BigInt(i), fds[i % 2] ?? -1, new Uint8Array(3000).fill(round * 32 + i)));
    ring.submit(...sqes);
    expect(sorted(ring.wait(32))).toEqual(sqes.map((_, i) => [BigInt(i), 3000]));
    const got = new Uint8Array(3001);
    expect(on.kernel.system.pread(fds[0] ?? -1, got, 0)).toBe(3000);
    expect(new Set(got.subarray(0, 3000))).toEqual(new Set([(round * 32 + 31) & 0xff]));
  }
});

onBoth("[worker.hashed-writes] two small writes to one place", (on) => {
  const fd = on.file(0);
  const ring = on.ring(4);
  for (let round = 0; round < 3; round++) {
    ring.submit(...[0, 1].map((i) => write(on, BigInt(i), fd, new Uint8Array(8).fill(2 * round + i))));
    expect(sorted(ring.wait(2))).toEqual([[0n, 8], [1n, 8]]);
    const got = new Uint8Array(9);
    expect(on.kernel.system.pread(fd, got, 0)).toBe(8);
    expect(new Set(got.subarray(0, 8))).toEqual(new Set([2 * round + 1]));
  }
});

/**
 * Runs them one after the other with IOSQE_ASYNC: their results, and how often they signalled an eventfd that counts only what
 * workers post themselves; waits for at least so many signals.
 */
function workerSignals(on: Bench, atLeast: number, ...sqes: readonly SqeFields[]): { readonly results: number[]; readonly count: number } {
  const ring = on.ring();
  const fd = on.eventfd();
  const region = on.buffer(4);
  new DataView(region.bytes.buffer, region.bytes.byteOffset, 4).setInt32(0, fd, true);
  expect(ring.ring.register(abi.IORING_REGISTER_EVENTFD_ASYNC, region.addr, 1)).toBe(0);
  const results = sqes.flatMap((sqe) => {
    ring.submit({ ...sqe, flags: ASYNC });
    return ring.wait(1).map(({ res }) => res);
  });
  let count = 0;
  const look = (): void => {
    const into = new Uint8Array(8);
    if (on.kernel.system.read(fd, into) === 8) count += into[0] ?? 0;
  };
  // A signal comes just after the completion.
  const end = performance.now() + 3000;
  do look(); while (!on.isModel && count < atLeast && performance.now() < end);
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  look();
  return { results, count };
}

onBoth("[worker.failure-task-work] the thread posts what failed before it took effect, a worker posts the rest", (on) => {
  const { read: from, write: to } = on.pipe();
  const directory = on.kernel.system.open(".", abi.O_RDONLY | abi.O_DIRECTORY);
  const fsync = (fd: number): SqeFields => ({ opcode: abi.IORING_OP_FSYNC, fd });
  expect(workerSignals(on, 1,
    read(on, 1n, -1), read(on, 2n, directory), read(on, 3n, from, { opFlags: abi.RWF_NOWAIT }), read(on, 4n, to), fsync(-1), nop(6n),
  )).toEqual({ results: [-abi.EBADF, -abi.EISDIR, -abi.EAGAIN, -abi.EBADF, -abi.EBADF, 0], count: 1 });
  put(on, to, 3);
  // An error as a result of what was done is no such failure.
  const inject = { opFlags: abi.IORING_NOP_INJECT_RESULT, len: 0xffff_fffb };
  expect(workerSignals(on, 4, nop(1n), read(on, 2n, from), { ...nop(3n), ...inject }, fsync(from))).toEqual({
    results: [0, 3, -5, -abi.EINVAL], count: 4,
  });
});

onBoth("[worker.nowait-ignored] RWF_NOWAIT on a worker that may wait: a READ and a WRITE of a pipe wait", (on) => {
  const { read: from, write: to } = on.pipe();
  const nowait = { opFlags: abi.RWF_NOWAIT };
  const ring = on.ring();
  expect(ring.results(read(on, 1n, from, nowait))).toEqual([[1n, -abi.EAGAIN]]);
  onWorker(ring, read(on, 2n, from, nowait));
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  put(on, to, 3);
  expect(pairs(ring.wait(1))).toEqual([[2n, 3]]);
  expect(put(on, to, PIPE_SIZE)).toBe(PIPE_SIZE);
  expect(ring.results(write(on, 3n, to, [1, 2, 3], nowait))).toEqual([[3n, -abi.EAGAIN]]);
  onWorker(ring, write(on, 4n, to, [1, 2, 3], nowait));
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  expect(drain(on, from)).toBeGreaterThanOrEqual(PIPE_SIZE);
  expect(pairs(ring.wait(1))).toEqual([[4n, 3]]);
});

onBoth("[worker.file-kept] a WRITE that waits in a pipe goes on there, whatever its descriptor means by now", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  onWorker(ring, write(on, 1n, to, new Uint8Array(2 * PIPE_SIZE)));
  // It has begun, and waits for room.
  expect(full(ring, to)).toBe(true);
  expect(on.kernel.system.close(to)).toBe(0);
  const other = on.eventfd();
  expect(other).toBe(to);
  const end = performance.now() + 3000;
  let taken = 0;
  while (taken < 2 * PIPE_SIZE && performance.now() < end) taken += drain(on, from);
  expect(taken).toBe(2 * PIPE_SIZE);
  expect(pairs(ring.wait(1))).toEqual([[1n, 2 * PIPE_SIZE]]);
  expect(on.kernel.system.read(other, new Uint8Array(8))).toBe(-abi.EAGAIN);
});

onBoth("[worker.waits-exclusive] [poll.exclusive-one] an exclusive poll behind a worker that waits in a pipe", async (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  // Cut off, so a worker runs it and waits inside read(2).
  ring.submit({ opcode: abi.IORING_OP_READ, userData: 1n, flags: abi.IOSQE_IO_LINK, fd: pipe.read, addr: on.buffer(8).addr, len: 8 });
  ring.waitFor(1, 50_000_000n);
  ring.submit({ opcode: abi.IORING_OP_POLL_ADD, userData: 2n, fd: pipe.read, opFlags: abi.EPOLLIN | abi.EPOLLEXCLUSIVE });
  on.kernel.system.write(pipe.write, new Uint8Array(8));
  expect(ring.wait(1).map(({ userData, res }) => [userData, res])).toEqual([[1n, 8]]);
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  on.kernel.system.write(pipe.write, new Uint8Array(1));
  expect(ring.wait(1).map(({ userData }) => userData)).toEqual([2n]);
});
