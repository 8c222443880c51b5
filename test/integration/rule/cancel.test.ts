// Chapter cancel.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import type { Key } from "./cancel-kit.ts";
import { ALL, ANY, FD, OP, USERDATA, FD_FIXED, ECANCELED, LINK, nop, cancel, poll, read, anHour, syncCancel, put, four } from "./cancel-kit.ts";
import { abi, atSubmission, byUserData, expect, onBoth, pairs } from "./on-both.ts";

onBoth("[cancel.keys] user_data, file and opcode, alone and together", (on) => {
  const taken = (key: (one: number, other: number) => Key): [number | undefined, number[]] => {
    const { ring, one, other } = four(on);
    ring.submit(cancel(key(one, other)));
    const seen = ring.reap();
    const gone = seen.filter((c) => c.userData !== 100n);
    expect(gone.every((c) => c.res === -ECANCELED)).toBe(true);
    return [seen.find((c) => c.userData === 100n)?.res, gone.map((c) => Number(c.userData)).toSorted()];
  };
  const { IORING_OP_POLL_ADD: POLL, IORING_OP_READ: READ, IORING_OP_TIMEOUT: TIMEOUT } = abi;
  // What is not named does not count: user_data 9 and READ fit none of those that are taken here.
  expect(taken((one) => ({ userData: 2n, fd: one, opcode: READ }))).toEqual([0, [2]]);
  expect(taken((one) => ({ flags: USERDATA, userData: 4n, fd: one, opcode: READ }))).toEqual([0, [4]]);
  expect(taken((one) => ({ flags: FD | ALL, userData: 9n, fd: one, opcode: TIMEOUT }))).toEqual([2, [1, 3]]);
  expect(taken((one) => ({ flags: OP | ALL, userData: 9n, fd: one, opcode: POLL }))).toEqual([2, [1, 2]]);
  expect(taken((one) => ({ flags: OP | ALL, userData: 9n, fd: one, opcode: TIMEOUT }))).toEqual([1, [4]]);
  expect(taken((one) => ({ flags: FD | OP | ALL, userData: 9n, fd: one, opcode: POLL }))).toEqual([1, [1]]);
  expect(taken((_, other) => ({ flags: FD | OP | ALL, userData: 9n, fd: other, opcode: READ }))).toEqual([0, []]);
  expect(taken((one) => ({ flags: FD | USERDATA, userData: 3n, fd: one, opcode: POLL }))).toEqual([0, [3]]);
  expect(taken((one) => ({ flags: FD | USERDATA, userData: 2n, fd: one, opcode: POLL }))).toEqual([-abi.ENOENT, []]);
  expect(taken((one) => ({ flags: OP | USERDATA, userData: 1n, fd: one, opcode: POLL }))).toEqual([0, [1]]);
  expect(taken((one) => ({ flags: OP | USERDATA, userData: 1n, fd: one, opcode: READ }))).toEqual([-abi.ENOENT, []]);
  expect(taken((one) => ({ flags: FD | OP | USERDATA, userData: 3n, fd: one, opcode: READ }))).toEqual([0, [3]]);
});

onBoth("[cancel.keys] it is the file that counts, not the descriptor's number", (on) => {
  const { ring, other } = four(on);
  const copy = on.kernel.system.dup(other);
  expect(copy).toBeGreaterThan(0);
  ring.submit(cancel({ flags: FD, fd: copy }));
  expect(byUserData(ring.reap())).toEqual({ 2: -ECANCELED, 100: 0 });
});

onBoth("[cancel.flags-checked] flags that ASYNC_CANCEL does not know, or that exclude each other", (on) => {
  const { read: fd } = on.pipe();
  const known = ALL | ANY | FD | OP | USERDATA | FD_FIXED;
  for (let bit = 0; bit < 32; bit++) {
    const flags = (1 << bit) >>> 0;
    if ((flags & known) === 0) expect(atSubmission(on, cancel({ flags, fd })), `flag ${flags}`).toBe(-abi.EINVAL);
  }
  expect(atSubmission(on, cancel({ flags: ANY | FD, fd }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, cancel({ flags: ANY | OP, fd }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, cancel({ flags: ANY | ALL | FD | OP, fd }))).toBe(-abi.EINVAL);
  for (const flags of [ALL, FD, OP, USERDATA, FD | OP | USERDATA]) {
    const ring = on.ring();
    expect(ring.submit(cancel({ flags, fd, opcode: abi.IORING_OP_READ }), nop(99n))).toBe(2);
    expect(pairs(ring.reap())).toEqual([[100n, (flags & ALL) === 0 ? -abi.ENOENT : 0], [99n, 0]]);
  }
});

onBoth("[cancel.bad-fd] a cancel by a descriptor that is not open", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring();
  on.kernel.system.close(fd);
  // It does not fail at submission.
  expect(ring.results(cancel({ flags: FD, fd: -1 }), nop(1n))).toEqual([[100n, -abi.EBADF], [1n, 0]]);
  expect(ring.results(cancel({ flags: FD | ALL, fd }))).toEqual([[100n, -abi.EBADF]]);
  expect(syncCancel(on, ring, { flags: FD, fd })).toBe(-abi.EBADF);
});

onBoth("[cancel.first-only] [cancel.not-found] each cancel takes one of several, until none is left", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(fd, 1n), read(on, fd, 1n), anHour(on, 1n), poll(fd, 2n));
  for (let i = 0; i < 3; i++) {
    ring.submit(cancel({ userData: 1n }));
    expect(byUserData(ring.reap())).toEqual({ 1: -ECANCELED, 100: 0 });
    expect(ring.cq("tail")).toBe(2 * (i + 1));
  }
  expect(ring.results(cancel({ userData: 1n }))).toEqual([[100n, -abi.ENOENT]]);
});

onBoth("[cancel.not-found] nothing matches on a ring where other things wait", (on) => {
  const { ring, one } = four(on);
  expect(ring.results(cancel({ userData: 9n }))).toEqual([[100n, -abi.ENOENT]]);
  expect(ring.results(cancel({ flags: OP, opcode: abi.IORING_OP_WRITE }))).toEqual([[100n, -abi.ENOENT]]);
  expect(ring.results(cancel({ flags: FD | USERDATA, fd: one, userData: 4n }))).toEqual([[100n, -abi.ENOENT]]);
  // It counts as a failure.
  expect(ring.results(cancel({ userData: 9n }, LINK), nop(9n))).toEqual([[100n, -abi.ENOENT], [9n, -ECANCELED]]);
});

onBoth("[cancel.all-counts] [cancel.once-each] ALL gives the number of those that it took", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(fd, 1n), read(on, fd, 1n), anHour(on, 1n), poll(fd, 2n), anHour(on, 1n));
  ring.submit(cancel({ flags: ALL, userData: 1n }));
  const seen = pairs(ring.reap()).toSorted(([a], [b]) => Number(a - b));
  expect(seen).toEqual([[1n, -ECANCELED], [1n, -ECANCELED], [1n, -ECANCELED], [1n, -ECANCELED], [100n, 4]]);
  expect(ring.results(cancel({ flags: ALL, userData: 1n }, LINK), nop(9n))).toEqual([[100n, 0], [9n, 0]]);
});

onBoth("[cancel.once-each] two cancels in one submission: the second may take again what has not ended yet", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(fd, 1n), poll(fd, 1n));
  ring.submit({ ...cancel({ flags: ALL, userData: 1n }), userData: 101n }, { ...cancel({ flags: ALL, userData: 1n }), userData: 102n });
  const seen = pairs(ring.reap());
  // Polls are found until task work has ended them. Each completes once.
  expect(seen.filter(([userData]) => userData === 1n)).toEqual([[1n, -ECANCELED], [1n, -ECANCELED]]);
  expect(seen.filter(([userData]) => userData !== 1n)).toEqual([[101n, 2], [102n, 2]]);
});

onBoth("[cancel.any-is-all] ANY takes everything, without ALL too", (on) => {
  for (const flags of [ANY, ANY | ALL]) {
    const { ring } = four(on);
    ring.submit(cancel({ flags, userData: 9n }));
    expect(byUserData(ring.reap())).toEqual({ 1: -ECANCELED, 2: -ECANCELED, 3: -ECANCELED, 4: -ECANCELED, 100: 4 });
    expect(ring.results(cancel({ flags }))).toEqual([[100n, 0]]);
  }
});

onBoth("[cancel.target-ecanceled] what is cancelled severs its chain", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring(16);
  ring.submit(
    { ...poll(fd, 1n), flags: LINK }, nop(11n), read(on, fd, 2n, LINK), nop(12n), { ...anHour(on, 3n), flags: LINK }, nop(13n),
  );
  for (const [target, behind] of [[1n, 11n], [2n, 12n], [3n, 13n]] as const) {
    ring.submit(cancel({ userData: target }));
    expect(byUserData(ring.wait(3))).toEqual({ [String(target)]: -ECANCELED, [String(behind)]: -ECANCELED, 100: 0 });
  }
});

onBoth("[cancel.unstarted-not-found] what waits behind another one in a chain", (on) => {
  const { read: fd, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(fd, 1n), { ...read(on, fd, 2n, LINK) }, poll(fd, 3n));
  expect(ring.results(cancel({ userData: 3n }))).toEqual([[100n, -abi.ENOENT]]);
  ring.submit(cancel({ flags: OP | ALL, opcode: abi.IORING_OP_POLL_ADD }));
  expect(byUserData(ring.reap())).toEqual({ 1: -ECANCELED, 100: 1 });
  // Once it has begun, it is found.
  put(on, to);
  expect(pairs(ring.reap())).toEqual([[2n, 8]]);
  ring.submit(cancel({ userData: 3n }));
  expect(byUserData(ring.wait(2))).toEqual({ 3: -ECANCELED, 100: 0 });
});

onBoth("[cancel.unstarted-not-found] what waits behind a drain", (on) => {
  const { read: fd, write: to } = on.pipe();
  const other = on.pipe().read;
  const ring = on.ring();
  ring.submit(read(on, fd, 1n), { ...nop(2n), flags: abi.IOSQE_IO_DRAIN }, poll(other, 3n));
  expect(syncCancel(on, ring, { userData: 2n })).toBe(-abi.ENOENT);
  expect(syncCancel(on, ring, { userData: 3n })).toBe(-abi.ENOENT);
  expect(syncCancel(on, ring, { flags: OP | ALL, opcode: abi.IORING_OP_POLL_ADD })).toBe(0);
  put(on, to);
  expect(pairs(ring.wait(2))).toEqual([[1n, 8], [2n, 0]]);
});

onBoth("[cancel.not-itself] a cancel with its own user_data, and one of everything, don't find themselves", (on) => {
  const ring = on.ring();
  expect(ring.results(cancel({ userData: 100n }))).toEqual([[100n, -abi.ENOENT]]);
  expect(ring.results(cancel({ flags: OP | ALL, opcode: abi.IORING_OP_ASYNC_CANCEL }))).toEqual([[100n, 0]]);
  expect(ring.results(cancel({ flags: ANY }))).toEqual([[100n, 0]]);
  // Where a worker runs it, it does.
  expect(ring.results(cancel({ userData: 100n }, abi.IOSQE_ASYNC))).toEqual([[100n, -abi.EALREADY]]);
});

onBoth("[cancel.fd-skips-timeouts] a timeout is not found by a descriptor, not even by the one in its SQE", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring();
  ring.submit({ ...anHour(on, 1n), fd }, poll(fd, 2n));
  expect(ring.results(cancel({ flags: FD | USERDATA, fd, userData: 1n }))).toEqual([[100n, -abi.ENOENT]]);
  ring.submit(cancel({ flags: FD | ALL, fd }));
  expect(byUserData(ring.reap())).toEqual({ 2: -ECANCELED, 100: 1 });
  ring.submit(cancel({ userData: 1n }));
  expect(byUserData(ring.reap())).toEqual({ 1: -ECANCELED, 100: 0 });
});

onBoth("[cancel.search-order] a cancel takes the poll before the timeout, though that is older", (on) => {
  const { read: fd, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(anHour(on, 1n), poll(fd, 1n));
  ring.submit(cancel({ userData: 1n }));
  expect(byUserData(ring.reap())).toEqual({ 1: -ECANCELED, 100: 0 });
  put(on, to);
  expect(ring.reap()).toEqual([]);
  expect(ring.results({ opcode: abi.IORING_OP_TIMEOUT_REMOVE, addr: 1n, userData: 2n }).at(-1)).toEqual([1n, -ECANCELED]);
});

onBoth("[cancel.poll-order] polls are taken by the bucket of their user_data, and the newest first", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring();
  // Of the two buckets 1 and 3 are in the first, 2 is in the second.
  ring.submit(poll(fd, 1n), poll(fd, 2n), poll(fd, 3n));
  const order: (bigint | undefined)[] = [];
  for (let i = 0; i < 3; i++) {
    ring.submit(cancel({ flags: OP, opcode: abi.IORING_OP_POLL_ADD }));
    order.push(ring.reap().find((c) => c.res === -ECANCELED)?.userData);
  }
  expect(order).toEqual([3n, 1n, 2n]);
});

onBoth("[cancel.sync] IORING_REGISTER_SYNC_CANCEL says itself what it did", (on) => {
  const { ring, one } = four(on);
  expect(syncCancel(on, ring, { userData: 9n })).toBe(-abi.ENOENT);
  expect(syncCancel(on, ring, { userData: 9n, flags: ALL })).toBe(0);
  expect(ring.reap()).toEqual([]);
  expect(syncCancel(on, ring, { userData: 2n })).toBe(0);
  expect(ring.wait(1)).toEqual([{ userData: 2n, res: -ECANCELED, flags: 0 }]);
  expect(syncCancel(on, ring, { flags: FD | ALL, fd: one })).toBe(2);
  expect(byUserData(ring.wait(2))).toEqual({ 1: -ECANCELED, 3: -ECANCELED });
  expect(syncCancel(on, ring, { flags: OP, opcode: abi.IORING_OP_TIMEOUT })).toBe(0);
  expect(ring.wait(1)).toEqual([{ userData: 4n, res: -ECANCELED, flags: 0 }]);
  expect(syncCancel(on, ring, { flags: 1 << 6 })).toBe(-abi.EINVAL);
  expect(ring.cq("tail")).toBe(4);
});

/** syncCancel of the READ that a worker waits in: on a busy machine the worker may be about to begin it, and then nobody finds it. */
function syncCancelRunning(on: Bench, ring: TestRing, ...time: [seconds: bigint, nanoseconds: bigint] | []): number {
  for (let tries = 1; ; tries++) {
    ring.waitFor(1, 50_000_000n);
    const result = syncCancel(on, ring, { userData: 1n }, ...time);
    if (result !== -abi.ENOENT || tries === 20) return result;
  }
}

onBoth("[cancel.sync-waits] of what a worker runs it waits until that is gone", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  // Cut off, so a worker runs it and waits inside read(2).
  ring.submit({ opcode: abi.IORING_OP_READ, userData: 1n, flags: abi.IOSQE_IO_LINK, fd: pipe.read, addr: on.buffer(8).addr, len: 8 });
  expect(syncCancelRunning(on, ring)).toBe(0);
  expect(ring.reap()).toEqual([{ userData: 1n, res: -abi.EINTR, flags: 0 }]);
  expect(syncCancel(on, ring, { userData: 1n })).toBe(-abi.ENOENT);
});

onBoth("[cancel.sync-waits] a time that is over, or that has only half of what means no limit", (on) => {
  for (const [seconds, nanoseconds] of [[0n, 0n], [-1n, 0n], [0n, -1n]] as const) {
    const ring = on.ring();
    ring.submit({ opcode: abi.IORING_OP_READ, userData: 1n, flags: abi.IOSQE_IO_LINK, fd: on.pipe().read, addr: on.buffer(8).addr, len: 8 });
    expect(syncCancelRunning(on, ring, seconds, nanoseconds)).toBe(-abi.ETIME);
    // The worker was interrupted all the same.
    expect(ring.wait(1)).toEqual([{ userData: 1n, res: -abi.EINTR, flags: 0 }]);
  }
});

onBoth("[cancel.worker-running] a cancel that a worker runs finds itself running; where it finds more, that is what it says", (on) => {
  const { read: fd } = on.pipe();
  const ring = on.ring();
  ring.submit(cancel({ userData: 100n }, abi.IOSQE_ASYNC));
  expect(pairs(ring.wait(1))).toEqual([[100n, -abi.EALREADY]]);
  ring.submit({ ...poll(fd, 1n), userData: 100n });
  ring.submit({ ...cancel({ userData: 100n }, abi.IOSQE_ASYNC | LINK) }, nop(1n));
  // Both have user_data 100.
  expect(pairs(ring.wait(3)).toSorted(([a, x], [b, y]) => Number(a - b) || x - y)).toEqual([[1n, 0], [100n, -ECANCELED], [100n, 0]]);
});

const LARGE = 1 << 24;
const TEXT = [0x61, 0x62, 0x63];

// Without IOSQE_ASYNC: a request that is forced on a worker has no file yet, and counts as one of unbounded work.

/** A WRITEV to a file that keeps a worker busy. */
function largeWrite(on: Bench, fd: number, userData: bigint): SqeFields {
  const addr = on.iovec({ addr: on.buffer(LARGE).addr, len: LARGE });
  return { opcode: abi.IORING_OP_WRITEV, fd, addr, len: 1, userData };
}

/** A WRITE that a worker runs, behind the large one of its file. */
function smallWrite(on: Bench, fd: number, userData: bigint): SqeFields {
  return { opcode: abi.IORING_OP_WRITE, fd, off: BigInt(LARGE), addr: on.buffer(TEXT).addr, len: 3, userData };
}

/** Has a worker begun to write this file? Looks for at most three seconds. On the model it has when the call returns. */
function begun(on: Bench, fd: number): boolean {
  const end = on.kernel.nowNs() + 3_000_000_000n;
  while (on.kernel.system.size(fd) === 0 && on.kernel.nowNs() < end);
  return on.kernel.system.size(fd) > 0;
}

interface Behind {
  readonly ring: TestRing;
  readonly fd: number;
  readonly seen: readonly Seen[];
}

/**
 * Submits `sqes` while a worker is busy with a large write to `fd`; `waiting` of them don't complete. All completions
 * but the large one's. Tries again where that had ended already, or where `untried` says that the rest was too late.
 */
function behindWriter(
  on: Bench, sqes: (fd: number) => readonly SqeFields[], waiting = 0, untried: (seen: readonly Seen[]) => boolean = () => false,
): Behind {
  for (let attempt = 0; attempt < 20; attempt++) {
    const ring = on.ring();
    const fd = on.file(0, "busy");
    ring.submit(largeWrite(on, fd, 1n));
    expect(begun(on, fd)).toBe(true);
    const early = ring.reap();
    const asked = sqes(fd);
    expect(ring.submit(...asked)).toBe(asked.length);
    early.push(...ring.reap());
    const all = [...early, ...ring.wait(1 + asked.length - waiting - early.length)];
    expect(all.find((c) => c.userData === 1n)?.res).toBe(LARGE);
    const seen = all.filter((c) => c.userData !== 1n);
    // The model's workers are at their end when the call is.
    const held = on.isModel || early.every((c) => c.userData !== 1n);
    if (held && !untried(seen)) return { ring, fd, seen };
    ring.ring.close();
    on.kernel.system.close(fd);
  }
  throw new Error("nothing could be submitted while the large write went on, in twenty attempts");
}

onBoth("[cancel.worker-pending] a WRITE that waits for the one before it is taken back, and writes nothing", (on) => {
  const asked = (file: number): SqeFields[] => [
    smallWrite(on, file, 10n), { ...smallWrite(on, file, 11n), off: 0n }, cancel({ userData: 10n }),
  ];
  const { fd, seen } = behindWriter(on, asked);
  expect(byUserData(seen)).toEqual({ 10: -ECANCELED, 11: 3, 100: 0 });
  expect(on.kernel.system.size(fd)).toBe(LARGE);
});

onBoth("[cancel.bounded-first] a WRITE to a file is taken before a READ of a pipe that is older", (on) => {
  const { read: from, write: to } = on.pipe();
  const older = read(on, from, 20n, abi.IOSQE_ASYNC);
  const { ring, fd, seen } = behindWriter(on, (file) => [older, smallWrite(on, file, 20n), cancel({ userData: 20n })], 1);
  expect(byUserData(seen)).toEqual({ 20: -ECANCELED, 100: 0 });
  expect(on.kernel.system.size(fd)).toBe(LARGE);
  put(on, to);
  expect(pairs(ring.wait(1))).toEqual([[20n, 8]]);
});

onBoth("[cancel.hashed-together] of WRITEs to two files that a cancel takes those of the first file go first", (on) => {
  const together = [[11n, -ECANCELED], [13n, -ECANCELED], [12n, -ECANCELED]];
  // One pair of files in 64 shares its place among the hashes, and counts as one file.
  const asOneFile = [[11n, -ECANCELED], [12n, -ECANCELED], [13n, -ECANCELED]];
  for (let pair = 0; pair < 5; pair++) {
    const other = on.file(0, `other${pair}`);
    const asked = (file: number): SqeFields[] => [
      smallWrite(on, file, 11n), smallWrite(on, other, 12n), smallWrite(on, file, 13n),
      cancel({ flags: OP | ALL, opcode: abi.IORING_OP_WRITE }),
    ];
    // A second worker may begin the other file's where the first one sleeps.
    const { fd, seen } = behindWriter(on, asked, 0, (all) => all.some((c) => c.userData === 12n && c.res === 3));
    expect(on.kernel.system.size(fd)).toBe(LARGE);
    const order = pairs(seen).filter(([userData]) => userData !== 100n);
    if (order.join() === together.join()) return;
    expect(order).toEqual(asOneFile);
  }
  throw new Error("five pairs of files in a row were taken as one");
});

onBoth("[cancel.one-each-kind] a cancel by descriptor that a worker runs interrupts itself and another", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  // Both are cut off, so workers run them: the READ waits inside read(2).
  ring.submit({ opcode: abi.IORING_OP_READ, userData: 1n, flags: abi.IOSQE_IO_LINK, fd: pipe.read, addr: on.buffer(8).addr, len: 8 });
  ring.waitFor(1, 50_000_000n);
  ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, userData: 2n, flags: abi.IOSQE_IO_LINK, fd: pipe.read, opFlags: abi.IORING_ASYNC_CANCEL_FD });
  expect(new Map(ring.wait(2).map(({ userData, res }) => [userData, res]))).toEqual(new Map([[2n, -abi.EALREADY], [1n, -abi.EINTR]]));
});
