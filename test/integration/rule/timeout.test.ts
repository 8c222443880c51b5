// Chapter timeout.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, atSubmission, byUserData, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
const MORE = abi.IORING_CQE_F_MORE;
const MS = 1_000_000n;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });

type More = Partial<SqeFields>;

/** A TIMEOUT of so many nanoseconds. */
function timeout(on: Bench, ns: bigint, userData: bigint, more: More = {}): SqeFields {
  return { opcode: abi.IORING_OP_TIMEOUT, addr: on.timespec(ns / 1_000_000_000n, ns % 1_000_000_000n), len: 1, userData, ...more };
}

const anHour = (on: Bench, userData: bigint, more: More = {}): SqeFields => timeout(on, 3_600_000n * MS, userData, more);

const remove = (target: bigint, userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_TIMEOUT_REMOVE, addr: target, userData });

function update(on: Bench, target: bigint, ns: bigint, userData: bigint): SqeFields {
  const off = on.timespec(ns / 1_000_000_000n, ns % 1_000_000_000n);
  return { ...remove(target, userData), off, opFlags: abi.IORING_TIMEOUT_UPDATE };
}

/** Waits for `count` completions, though timeouts end single waits early. */
function gather(ring: TestRing, count: number): Seen[] {
  const found = ring.reap();
  for (let i = 0; i < 2 * count && found.length < count; i++) found.push(...ring.wait(count - found.length));
  return found;
}


/** An SQE that is accepted, and whose request waits. */
function accepted(on: Bench, sqe: SqeFields): void {
  const ring = on.ring();
  expect(ring.submit(sqe, nop(99n))).toBe(2);
  expect(pairs(ring.reap())).toEqual([[99n, 0]]);
}

onBoth("[timeout.len-one] a TIMEOUT has one timespec", (on) => {
  expect(atSubmission(on, anHour(on, 1n, { len: 0 }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, anHour(on, 1n, { len: 2 }))).toBe(-abi.EINVAL);
  accepted(on, anHour(on, 1n));
});

onBoth("[timeout.unused-zero] what a timeout and its removal have no use for must be zero", (on) => {
  for (const unused of [{ addr3: 1n }, { addr3: 1n << 63n }, { pad: 1n }, { pad: 1n << 63n }]) {
    expect(atSubmission(on, anHour(on, 1n, unused))).toBe(-abi.EINVAL);
    expect(atSubmission(on, { opcode: abi.IORING_OP_TIMEOUT_REMOVE, userData: 1n, addr: 9n, ...unused })).toBe(-abi.EINVAL);
  }
});

onBoth("[timeout.bad-pointer] a time that can't be read", (on) => {
  expect(atSubmission(on, anHour(on, 1n, { addr: on.kernel.memory.faultAddress }))).toBe(-abi.EFAULT);
});

onBoth("[timeout.timespec-negative] a time below zero", (on) => {
  expect(atSubmission(on, anHour(on, 1n, { addr: on.timespec(-1n, 0n) }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, anHour(on, 1n, { addr: on.timespec(0n, -1n) }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, anHour(on, 1n, { addr: on.timespec(1n, -1n) }))).toBe(-abi.EINVAL);
});

onBoth("[timeout.nanoseconds-carry] nanoseconds beyond a second count in full", (on) => {
  const ring = on.ring();
  // The model's clock starts at 0: let more than a second have passed.
  if (on.isModel) ring.waitFor(1, 2_000n * MS);
  const end = on.kernel.nowNs() + 20n * MS;
  const seconds = end / 1_000_000_000n - 1n;
  const addr = on.timespec(seconds, end - seconds * 1_000_000_000n);
  ring.submit(timeout(on, 0n, 1n, { addr, opFlags: abi.IORING_TIMEOUT_ABS }));
  expect(pairs(ring.wait(1))).toEqual([[1n, -abi.ETIME]]);
  expect(on.kernel.nowNs()).toBeGreaterThanOrEqual(end);
});

onBoth("[timeout.flags-checked] flags that a TIMEOUT does not know, or that exclude each other", (on) => {
  const { IORING_TIMEOUT_ABS: ABS, IORING_TIMEOUT_BOOTTIME: BOOTTIME, IORING_TIMEOUT_REALTIME: REALTIME } = abi;
  const { IORING_TIMEOUT_ETIME_SUCCESS: SUCCESS, IORING_TIMEOUT_MULTISHOT: MULTISHOT } = abi;
  const all = ABS | BOOTTIME | REALTIME | SUCCESS | MULTISHOT;
  for (let bit = 0; bit < 32; bit++) {
    const opFlags = (1 << bit) >>> 0;
    if ((opFlags & all) === 0) expect(atSubmission(on, anHour(on, 1n, { opFlags })), `flag ${opFlags}`).toBe(-abi.EINVAL);
  }
  expect(atSubmission(on, anHour(on, 1n, { opFlags: BOOTTIME | REALTIME }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, anHour(on, 1n, { opFlags: MULTISHOT | ABS }))).toBe(-abi.EINVAL);
  for (const opFlags of [BOOTTIME, REALTIME, SUCCESS, MULTISHOT, MULTISHOT | SUCCESS]) accepted(on, anHour(on, 1n, { opFlags }));
  const later = on.kernel.nowNs() + 3_600_000n * MS;
  accepted(on, timeout(on, later, 1n, { opFlags: ABS | SUCCESS }));
});

onBoth("[timeout.expiry-etime] a timeout that fires severs its chain", (on) => {
  const ring = on.ring();
  ring.submit(timeout(on, MS, 1n, { flags: LINK }), nop(2n));
  expect(gather(ring, 2)).toEqual([{ userData: 1n, res: -abi.ETIME, flags: 0 }, { userData: 2n, res: -abi.ECANCELED, flags: 0 }]);
});

onBoth("[timeout.etime-success] a timeout that fires as a success does not, with the same result", (on) => {
  const ring = on.ring();
  ring.submit(timeout(on, MS, 1n, { flags: LINK, opFlags: abi.IORING_TIMEOUT_ETIME_SUCCESS }), nop(2n));
  expect(gather(ring, 2)).toEqual([{ userData: 1n, res: -abi.ETIME, flags: 0 }, { userData: 2n, res: 0, flags: 0 }]);
});

onBoth("[timeout.etime-success] one without CQE posts none where it fires as a success", (on) => {
  const scripted = (opFlags: number): [bigint, number][] => {
    const ring = on.ring();
    ring.submit(timeout(on, MS, 1n, { flags: abi.IOSQE_CQE_SKIP_SUCCESS, opFlags }), timeout(on, 20n * MS, 2n));
    const found: Seen[] = [];
    for (let i = 0; i < 4 && found.every((c) => c.userData !== 2n); i++) found.push(...ring.wait(1));
    return pairs(found);
  };
  expect(scripted(0)).toEqual([[1n, -abi.ETIME], [2n, -abi.ETIME]]);
  expect(scripted(abi.IORING_TIMEOUT_ETIME_SUCCESS)).toEqual([[2n, -abi.ETIME]]);
});

onBoth("[timeout.never-early] neither a relative nor an absolute time passes early", (on) => {
  const ring = on.ring();
  const start = on.kernel.nowNs();
  ring.submit(timeout(on, 5n * MS, 1n));
  expect(pairs(ring.wait(1))).toEqual([[1n, -abi.ETIME]]);
  const middle = on.kernel.nowNs();
  expect(middle).toBeGreaterThanOrEqual(start + 5n * MS);
  ring.submit(timeout(on, middle + 5n * MS, 2n, { opFlags: abi.IORING_TIMEOUT_ABS }));
  expect(pairs(ring.wait(1))).toEqual([[2n, -abi.ETIME]]);
  expect(on.kernel.nowNs()).toBeGreaterThanOrEqual(middle + 5n * MS);
});

onBoth("[timeout.never-early] no time, and a time that has passed, are over at once", (on) => {
  const ring = on.ring();
  ring.waitFor(1, MS);
  ring.submit(timeout(on, 0n, 1n), timeout(on, 1n, 2n, { opFlags: abi.IORING_TIMEOUT_ABS }), anHour(on, 3n));
  expect(byUserData(gather(ring, 2))).toEqual({ 1: -abi.ETIME, 2: -abi.ETIME });
});

onBoth("[timeout.deadline-order] timers fire in the order of their deadlines, and of their arming where those are the same", (on) => {
  const ring = on.ring();
  ring.submit(timeout(on, 60n * MS, 1n), timeout(on, 20n * MS, 2n), timeout(on, 40n * MS, 3n));
  expect(gather(ring, 3).map((c) => c.userData)).toEqual([2n, 3n, 1n]);
  const end = on.kernel.nowNs() + 20n * MS;
  ring.submit(...[4n, 5n, 6n].map((userData) => timeout(on, end, userData, { opFlags: abi.IORING_TIMEOUT_ABS })));
  expect(gather(ring, 3).map((c) => c.userData)).toEqual([4n, 5n, 6n]);
});

onBoth("[timeout.pure-timer] a timeout without a count does not end with other completions", (on) => {
  const ring = on.ring();
  ring.submit(anHour(on, 1n), nop(2n), nop(3n));
  ring.submit(nop(4n));
  expect(pairs(ring.reap())).toEqual([[2n, 0], [3n, 0], [4n, 0]]);
  expect(ring.waitFor(1, 10n * MS)).toBe(-abi.ETIME);
  ring.submit(remove(1n, 5n));
  expect(byUserData(ring.wait(2))).toEqual({ 1: -abi.ECANCELED, 5: 0 });
});

onBoth("[timeout.count-satisfied] a timeout with a count of 2 completes with the second completion", (on) => {
  const ring = on.ring();
  ring.submit(anHour(on, 1n, { off: 2n, flags: LINK }), nop(2n));
  ring.submit(nop(3n));
  expect(pairs(ring.reap())).toEqual([[3n, 0]]);
  ring.submit(nop(4n));
  // It counts as a success.
  expect(pairs(ring.wait(3))).toEqual([[4n, 0], [1n, 0], [2n, 0]]);
});

onBoth("[timeout.count-satisfied] a count that is not reached in time ends with -ETIME", (on) => {
  const ring = on.ring();
  ring.submit(timeout(on, MS, 1n, { off: 2n }));
  ring.submit(nop(2n));
  expect(byUserData(gather(ring, 2))).toEqual({ 1: -abi.ETIME, 2: 0 });
});

onBoth("[timeout.count-or-timer] a timeout whose time and whose count come together completes once", (on) => {
  const ring = on.ring();
  ring.submit(timeout(on, 0n, 1n, { off: 1n }), nop(2n));
  const seen = gather(ring, 2);
  expect(seen.map((c) => c.userData).toSorted()).toEqual([1n, 2n]);
  expect([0, -abi.ETIME]).toContain(seen.find((c) => c.userData === 1n)?.res);
  expect(ring.waitFor(1, 10n * MS)).toBe(-abi.ETIME);
});

onBoth("[timeout.count-base] a request in front of the timeout in its batch counts, one that was posted before does not", (on) => {
  const batch = on.ring();
  batch.submit(nop(1n), anHour(on, 2n, { off: 1n }));
  expect(pairs(batch.wait(2))).toEqual([[1n, 0], [2n, 0]]);

  const calls = on.ring();
  calls.submit(nop(1n));
  calls.submit(anHour(on, 2n, { off: 1n }));
  expect(pairs(calls.reap())).toEqual([[1n, 0]]);
  calls.submit(nop(3n));
  expect(pairs(calls.wait(2))).toEqual([[3n, 0], [2n, 0]]);
});

onBoth("[timeout.timeouts-not-counted] a timeout that fired or was satisfied is none of the completions that others count", (on) => {
  const ring = on.ring();
  ring.submit(anHour(on, 1n, { off: 2n }));
  ring.submit(timeout(on, MS, 2n));
  expect(pairs(ring.wait(1))).toEqual([[2n, -abi.ETIME]]);
  ring.submit(timeout(on, MS, 3n));
  expect(pairs(ring.wait(1))).toEqual([[3n, -abi.ETIME]]);

  ring.submit(anHour(on, 4n, { off: 1n }));
  ring.submit(nop(5n));
  expect(pairs(ring.wait(2))).toEqual([[5n, 0], [4n, 0]]);
  expect(ring.waitFor(1, 10n * MS)).toBe(-abi.ETIME);
  ring.submit(nop(6n));
  expect(pairs(ring.wait(2))).toEqual([[6n, 0], [1n, 0]]);
});

onBoth("[timeout.wakes-waiter] a timeout that fires ends a wait for more", (on) => {
  const ring = on.ring();
  // Were it not so, the wait would last until the second one has fired.
  ring.submit(timeout(on, 5n * MS, 1n), timeout(on, 1_000n * MS, 2n));
  expect(ring.waitFor(2)).toBe(0);
  expect(pairs(ring.reap())).toEqual([[1n, -abi.ETIME]]);
});

onBoth("[timeout.wakes-waiter] a timeout that is satisfied during the wait ends it, one that was satisfied before does not", (on) => {
  const file = on.file(0);
  const bytes = on.buffer(1 << 20);
  // A worker writes meanwhile. Where it is faster than the call comes to wait, this is tried again.
  let during = 0;
  for (let i = 0; i < 50 && during === 0; i++) {
    const ring = on.ring();
    ring.push(anHour(on, 1n, { off: 1n }), timeout(on, 500n * MS, 2n));
    ring.push({ opcode: abi.IORING_OP_WRITE, fd: file, addr: bytes.addr, len: 1 << 20, userData: 3n, flags: abi.IOSQE_ASYNC });
    expect(ring.waitFor(3, 3_000n * MS, 3)).toBe(3);
    const seen = pairs(ring.reap());
    expect(seen.slice(0, 2)).toEqual([[3n, 1 << 20], [1n, 0]]);
    if (seen.length === 2) during++;
    ring.ring.close();
  }
  expect(during).toBe(1);

  const before = on.ring();
  before.submit(anHour(on, 1n, { off: 1n }), nop(2n));
  expect(before.waitFor(3, 10n * MS)).toBe(0);
  expect(pairs(before.reap())).toEqual([[2n, 0], [1n, 0]]);
});

onBoth("[timeout.multishot-repeats] a multishot timer with a count fires so many times, the last without F_MORE", (on) => {
  const ring = on.ring();
  const start = on.kernel.nowNs();
  ring.submit(timeout(on, 2n * MS, 1n, { off: 3n, opFlags: abi.IORING_TIMEOUT_MULTISHOT }));
  expect(gather(ring, 3)).toEqual([MORE, MORE, 0].map((flags) => ({ userData: 1n, res: -abi.ETIME, flags })));
  expect(on.kernel.nowNs()).toBeGreaterThanOrEqual(start + 6n * MS);
  expect(ring.waitFor(1, 10n * MS)).toBe(-abi.ETIME);
});

onBoth("[timeout.multishot-repeats] one without a count fires until it is removed", (on) => {
  const ring = on.ring();
  ring.submit(timeout(on, 5n * MS, 1n, { opFlags: abi.IORING_TIMEOUT_MULTISHOT }));
  const fired = gather(ring, 5);
  expect(fired.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => ({ userData: 1n, res: -abi.ETIME, flags: MORE })));
  // It may be just firing: then it is not found, or not to be had.
  let removed = -abi.ENOENT;
  const last: Seen[] = [];
  for (let i = 0; i < 20 && removed !== 0; i++) {
    ring.submit(remove(1n, 2n));
    last.push(...ring.wait(1));
    removed = last.findLast((c) => c.userData === 2n)?.res ?? removed;
  }
  expect(removed).toBe(0);
  for (let i = 0; i < 5 && last.every((c) => c.res !== -abi.ECANCELED); i++) last.push(...ring.wait(1));
  expect(last.find((c) => c.res === -abi.ECANCELED)).toEqual({ userData: 1n, res: -abi.ECANCELED, flags: 0 });
});

onBoth("[timeout.cancelled-ecanceled] a timeout that is removed or cancelled severs its chain with -ECANCELED", (on) => {
  const ring = on.ring();
  ring.submit(anHour(on, 1n, { flags: LINK }), nop(2n), anHour(on, 3n, { flags: LINK, off: 9n }), nop(4n));
  ring.submit(remove(1n, 5n));
  expect(byUserData(ring.wait(3))).toEqual({ 1: -abi.ECANCELED, 2: -abi.ECANCELED, 5: 0 });
  ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 3n, userData: 6n });
  expect(byUserData(ring.wait(3))).toEqual({ 3: -abi.ECANCELED, 4: -abi.ECANCELED, 6: 0 });
});

onBoth("[timeout.remove-results] a removal finds a timeout once", (on) => {
  const ring = on.ring();
  expect(ring.results(remove(1n, 2n))).toEqual([[2n, -abi.ENOENT]]);
  ring.submit(anHour(on, 1n), anHour(on, 3n));
  ring.submit(remove(1n, 4n));
  expect(byUserData(ring.wait(2))).toEqual({ 1: -abi.ECANCELED, 4: 0 });
  expect(ring.results(remove(1n, 5n))).toEqual([[5n, -abi.ENOENT]]);
  ring.submit(remove(3n, 6n));
  expect(byUserData(ring.wait(2))).toEqual({ 3: -abi.ECANCELED, 6: 0 });
  // One that fired is gone too.
  ring.submit(timeout(on, 0n, 7n));
  expect(pairs(ring.wait(1))).toEqual([[7n, -abi.ETIME]]);
  expect(ring.results(remove(7n, 8n))).toEqual([[8n, -abi.ENOENT]]);
});

onBoth("[timeout.remove-results] [timeout.firing-not-taken] a removal by a worker races the timer: never -EBUSY", (on) => {
  const ring = on.ring();
  const addr = on.timespec(0n, 60_000n);
  const outcomes: Record<number, number> = { 0: -abi.ECANCELED, [-abi.ENOENT]: -abi.ETIME, [-abi.EALREADY]: -abi.ETIME };
  for (let round = 0; round < 2000; round++) {
    ring.submit({ opcode: abi.IORING_OP_TIMEOUT, addr, len: 1, userData: 1n });
    // About one in 150 of the real kernel's is caught firing. The model's clock does not run here.
    const due = on.kernel.nowNs() + BigInt(round % 40) * 1000n;
    while (!on.isModel && on.kernel.nowNs() < due);
    ring.submit({ ...remove(1n, 2n), flags: abi.IOSQE_ASYNC });
    const { 1: fired, 2: removed = 1 } = byUserData(gather(ring, 2));
    expect(fired, `the removal gave ${removed}`).toBe(outcomes[removed]);
  }
});

onBoth("[timeout.remove-only-timeouts] a removal finds neither a poll nor a READ", (on) => {
  const { read: from } = on.pipe();
  const ring = on.ring();
  ring.submit(
    { opcode: abi.IORING_OP_POLL_ADD, fd: from, opFlags: abi.POLLIN, userData: 1n },
    { opcode: abi.IORING_OP_READ, fd: from, addr: on.buffer(8).addr, len: 8, userData: 2n },
    anHour(on, 3n),
  );
  expect(ring.results(remove(1n, 4n))).toEqual([[4n, -abi.ENOENT]]);
  expect(ring.results(remove(2n, 5n))).toEqual([[5n, -abi.ENOENT]]);
  ring.submit(remove(3n, 6n));
  expect(byUserData(ring.wait(2))).toEqual({ 3: -abi.ECANCELED, 6: 0 });
});

onBoth("[timeout.update] a timeout gets another time, from now on", (on) => {
  const ring = on.ring();
  expect(ring.results(update(on, 1n, MS, 2n))).toEqual([[2n, -abi.ENOENT]]);
  ring.submit(anHour(on, 1n));
  const start = on.kernel.nowNs();
  ring.submit(update(on, 1n, 5n * MS, 3n));
  expect(pairs(gather(ring, 2))).toEqual([[3n, 0], [1n, -abi.ETIME]]);
  expect(on.kernel.nowNs()).toBeGreaterThanOrEqual(start + 5n * MS);
  // The other way: what would have fired soon does not.
  ring.submit(timeout(on, 150n * MS, 4n), update(on, 4n, 3_600_000n * MS, 5n));
  expect(pairs(ring.reap())).toEqual([[5n, 0]]);
  expect(ring.waitFor(1, 200n * MS)).toBe(-abi.ETIME);
});

onBoth("[timeout.update] from then on it counts nothing", (on) => {
  const ring = on.ring();
  ring.submit(anHour(on, 1n, { off: 2n }));
  expect(ring.results(update(on, 1n, 3_600_000n * MS, 2n))).toEqual([[2n, 0]]);
  ring.submit(nop(3n), nop(4n), nop(5n));
  expect(pairs(ring.reap())).toEqual([[3n, 0], [4n, 0], [5n, 0]]);
  expect(ring.waitFor(1, 10n * MS)).toBe(-abi.ETIME);
  ring.submit(update(on, 1n, 0n, 6n));
  expect(pairs(gather(ring, 2))).toEqual([[6n, 0], [1n, -abi.ETIME]]);
});
