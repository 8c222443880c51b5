// Chapter rw: transfers that wait, and where they are tried again.
import type { Bench } from "./on-both.ts";
import { abi, expect, onBoth, pairs } from "./on-both.ts";
import type { More, Place } from "./rw-kit.ts";
import { ASYNC, BIG, cancel, DEFER, drain, full, LINK, nop, O_NONBLOCK, onWorker, PIPE_SIZE, place, poll, put, read, readv, result, RWF_NOWAIT, sorted, take, u64, write, writev } from "./rw-kit.ts";

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
