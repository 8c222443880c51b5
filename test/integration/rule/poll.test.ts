// Chapter poll.
import type { Bench, SqeFields } from "./on-both.ts";
import { abi, atSubmission, byUserData, expect, onBoth, pairs } from "./on-both.ts";

const { POLLIN, POLLOUT, POLLERR, POLLHUP, IORING_POLL_ADD_MULTI: MULTI } = abi;
const MORE = abi.IORING_CQE_F_MORE;

const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });

function poll(fd: number, events: number, userData: bigint, flags = 0): SqeFields {
  return { opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: events, userData, len: flags };
}

const remove = (target: bigint, userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_POLL_REMOVE, addr: target, userData });

const put = (on: Bench, fd: number): number => on.kernel.system.write(fd, Uint8Array.of(1, 0, 0, 0, 0, 0, 0, 0));
const take = (on: Bench, fd: number): number => on.kernel.system.read(fd, new Uint8Array(8));

onBoth("[poll.one-shot] a poll completes once, with those of its events that are there", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(from, POLLIN | POLLOUT | abi.POLLPRI, 1n));
  expect(ring.reap()).toEqual([]);
  put(on, to);
  expect(ring.wait(1)).toEqual([{ userData: 1n, res: POLLIN, flags: 0 }]);
  put(on, to);
  expect(ring.results(nop(2n))).toEqual([[2n, 0]]);
});

onBoth("[poll.level-at-submit] events that are there complete a poll at once", (on) => {
  const { read: from, write: to } = on.pipe();
  put(on, to);
  const ring = on.ring();
  ring.submit(poll(from, POLLIN | abi.POLLRDNORM, 1n), poll(to, POLLOUT, 2n), poll(to, POLLIN, 3n));
  expect(ring.reap()).toEqual([
    { userData: 1n, res: POLLIN | abi.POLLRDNORM, flags: 0 }, { userData: 2n, res: POLLOUT, flags: 0 },
  ]);
});

onBoth("[poll.level-at-submit] a multishot poll posts its first CQE at once, and goes on", (on) => {
  const { read: from, write: to } = on.pipe();
  put(on, to);
  const ring = on.ring();
  ring.submit(poll(from, POLLIN, 1n, MULTI));
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLIN, flags: MORE }]);
  put(on, to);
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLIN, flags: MORE }]);
});

onBoth("[poll.errors-always] hang-up of a pipe's reader and error of its writer come unasked", (on) => {
  const first = on.pipe();
  const second = on.pipe();
  const ring = on.ring();
  ring.submit(poll(first.read, POLLIN, 1n), poll(first.read, 0, 2n), poll(second.write, 0, 3n));
  expect(ring.reap()).toEqual([]);
  on.kernel.system.close(first.write);
  expect(byUserData(ring.wait(2))).toEqual({ 1: POLLHUP, 2: POLLHUP });
  on.kernel.system.close(second.read);
  expect(pairs(ring.wait(1))).toEqual([[3n, POLLERR]]);
  // And at once, where they are there already.
  expect(ring.results(poll(first.read, POLLIN, 4n), poll(second.write, POLLOUT, 5n))).toEqual([[4n, POLLHUP], [5n, POLLERR | POLLOUT]]);
});

onBoth("[poll.regular-file-ready] a regular file is ready for what is asked of reading and writing", (on) => {
  const fd = on.file(4);
  const ring = on.ring();
  const all = POLLIN | POLLOUT | abi.POLLRDNORM | abi.POLLWRNORM;
  expect(ring.results(poll(fd, POLLIN, 1n), poll(fd, POLLOUT, 2n), poll(fd, all | abi.POLLPRI, 3n), poll(fd, 0, 4n))).toEqual([
    [1n, POLLIN], [2n, POLLOUT], [3n, all], [4n, -abi.EINVAL],
  ]);
  expect(ring.results(poll(fd, abi.POLLPRI, 5n), nop(6n))).toEqual([[5n, -abi.EINVAL], [6n, 0]]);
});

onBoth("[poll.multishot-more] every wake-up posts a CQE, whether or not the one before was read", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(from, POLLIN, 1n, MULTI));
  expect(ring.reap()).toEqual([]);
  put(on, to);
  put(on, to);
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLIN, flags: MORE }, { userData: 1n, res: POLLIN, flags: MORE }]);
  take(on, from);
  take(on, from);
  put(on, to);
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLIN, flags: MORE }]);
});

onBoth("[poll.multishot-not-skipped] a multishot poll can't go without CQEs", (on) => {
  const { read: from } = on.pipe();
  expect(atSubmission(on, { ...poll(from, POLLIN, 1n, MULTI), flags: abi.IOSQE_CQE_SKIP_SUCCESS })).toBe(-abi.EINVAL);
  const ring = on.ring();
  expect(ring.submit({ ...poll(from, POLLIN, 1n), flags: abi.IOSQE_CQE_SKIP_SUCCESS }, nop(2n))).toBe(2);
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
});

onBoth("[poll.level-refused] POLL_ADD takes no flag but IORING_POLL_ADD_MULTI", (on) => {
  const { read: from } = on.pipe();
  for (let bit = 0; bit < 32; bit++) {
    const flag = (1 << bit) >>> 0;
    if (flag !== MULTI) expect(atSubmission(on, poll(from, POLLIN, 1n, flag)), `flag ${flag}`).toBe(-abi.EINVAL);
  }
  expect(atSubmission(on, poll(from, POLLIN, 1n, MULTI | abi.IORING_POLL_ADD_LEVEL))).toBe(-abi.EINVAL);
  const ring = on.ring();
  expect(ring.submit(poll(from, POLLIN, 1n, MULTI), nop(2n))).toBe(2);
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
});

onBoth("[poll.wake-mask] a write to an eventfd, which is always writable, does not wake who waits for writing; a read does", (on) => {
  const fd = on.eventfd();
  const ring = on.ring();
  ring.submit(poll(fd, POLLOUT, 1n, MULTI));
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLOUT, flags: MORE }]);
  put(on, fd);
  expect(ring.reap()).toEqual([]);
  take(on, fd);
  expect(ring.reap()).toEqual([{ userData: 1n, res: POLLOUT, flags: MORE }]);
});

onBoth("[poll.wake-mask] a pipe's release names no events: who waits for any looks again", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(from, abi.POLLPRI, 1n, MULTI));
  put(on, to);
  expect(ring.reap()).toEqual([]);
  on.kernel.system.close(to);
  expect(ring.wait(1)).toEqual([{ userData: 1n, res: POLLHUP, flags: MORE }]);
});

onBoth("[poll.wakes-merge] two writes of one submission are one wake-up", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(from, POLLIN, 1n, MULTI));
  const write = { opcode: abi.IORING_OP_WRITE, fd: to, addr: on.buffer([1, 2, 3]).addr, len: 3 };
  ring.submit({ ...write, userData: 2n }, { ...write, userData: 3n });
  expect(byUserData(ring.reap())).toEqual({ 1: POLLIN, 2: 3, 3: 3 });
  expect(ring.cq("tail")).toBe(3);
});

onBoth("[poll.newest-first] of polls and a READ that wait for a pipe the newest is woken first", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const read = { opcode: abi.IORING_OP_READ, fd: from, addr: on.buffer(8).addr, len: 8, userData: 2n };
  ring.submit(poll(from, POLLIN, 1n), read, poll(from, POLLIN, 3n));
  put(on, to);
  // The READ takes what is there before the oldest poll looks: its wake-up says enough.
  expect(pairs(ring.wait(3))).toEqual([[3n, POLLIN], [2n, 8], [1n, POLLIN]]);
});

onBoth("[poll.remove-results] [poll.removed-ecanceled] a poll is found once, and completes with -ECANCELED", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(from, POLLIN, 1n), poll(from, POLLIN, 2n, MULTI));
  expect(ring.results(remove(3n, 4n))).toEqual([[4n, -abi.ENOENT]]);
  ring.submit(remove(1n, 5n));
  expect(byUserData(ring.wait(2))).toEqual({ 1: -abi.ECANCELED, 5: 0 });
  expect(ring.results(remove(1n, 6n))).toEqual([[6n, -abi.ENOENT]]);
  put(on, to);
  expect(ring.reap()).toEqual([{ userData: 2n, res: POLLIN, flags: MORE }]);
  ring.submit(remove(2n, 7n));
  const seen = ring.wait(2);
  expect(byUserData(seen)).toEqual({ 2: -abi.ECANCELED, 7: 0 });
  expect(seen.map((c) => c.flags)).toEqual([0, 0]);
});

onBoth("[poll.removed-ecanceled] a poll that is removed severs its chain", (on) => {
  const { read: from } = on.pipe();
  const ring = on.ring();
  ring.submit({ ...poll(from, POLLIN, 1n), flags: abi.IOSQE_IO_LINK }, nop(2n));
  ring.submit(remove(1n, 3n));
  expect(byUserData(ring.wait(3))).toEqual({ 1: -abi.ECANCELED, 2: -abi.ECANCELED, 3: 0 });
});

onBoth("[poll.remove-results] a poll that was woken in the same submission is just completing", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(from, POLLIN, 1n));
  const write = { opcode: abi.IORING_OP_WRITE, fd: to, addr: on.buffer([1, 2, 3]).addr, len: 3, userData: 2n };
  ring.submit(write, remove(1n, 3n));
  expect(byUserData(ring.wait(3))).toEqual({ 1: POLLIN, 2: 3, 3: -abi.EALREADY });
});

onBoth("[poll.remove-results] a READ that waits is not found", (on) => {
  const { read: from } = on.pipe();
  const ring = on.ring();
  ring.submit({ opcode: abi.IORING_OP_READ, fd: from, addr: on.buffer(8).addr, len: 8, userData: 1n });
  expect(ring.results(remove(1n, 2n))).toEqual([[2n, -abi.ENOENT]]);
});

onBoth("[poll.update] new events replace the old ones", (on) => {
  const fd = on.eventfd();
  const ring = on.ring();
  const len = abi.IORING_POLL_UPDATE_EVENTS;
  const events = (opFlags: number, userData: bigint): SqeFields => ({ ...remove(1n, userData), len, opFlags });
  ring.submit(poll(fd, POLLIN, 1n));
  // None of them is there.
  expect(ring.results(events(abi.POLLPRI, 2n))).toEqual([[2n, 0]]);
  put(on, fd);
  expect(ring.reap()).toEqual([]);
  // One of them is there.
  ring.submit(events(POLLOUT, 3n));
  expect(byUserData(ring.wait(2))).toEqual({ 1: POLLOUT, 3: 0 });
  expect(ring.results(events(POLLIN, 4n))).toEqual([[4n, -abi.ENOENT]]);
});

onBoth("[poll.update] a new user_data replaces the old one", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(poll(from, POLLIN, 1n));
  expect(ring.results({ ...remove(1n, 2n), len: abi.IORING_POLL_UPDATE_USER_DATA, off: 9n })).toEqual([[2n, 0]]);
  expect(ring.results(remove(1n, 3n))).toEqual([[3n, -abi.ENOENT]]);
  put(on, to);
  expect(pairs(ring.wait(1))).toEqual([[9n, POLLIN]]);
});

onBoth("[poll.update] both at once, and a poll that completes at once carries the new user_data", (on) => {
  const fd = on.eventfd();
  const ring = on.ring();
  ring.submit(poll(fd, POLLIN, 1n));
  const len = abi.IORING_POLL_UPDATE_USER_DATA | abi.IORING_POLL_UPDATE_EVENTS;
  ring.submit({ ...remove(1n, 2n), len, off: 9n, opFlags: POLLOUT });
  expect(byUserData(ring.wait(2))).toEqual({ 2: 0, 9: POLLOUT });
});

onBoth("[poll.exclusive-one] a write wakes every poll that is not exclusive and one that is, a release wakes all", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring(8);
  const exclusive = (POLLIN | abi.EPOLLEXCLUSIVE) >>> 0;
  ring.submit(poll(from, POLLIN, 1n), ...[2n, 3n, 4n].map((userData) => poll(from, exclusive, userData)), poll(from, POLLIN, 5n));
  put(on, to);
  const woken = ring.wait(3);
  expect(woken.map((c) => c.res)).toEqual([POLLIN, POLLIN, POLLIN]);
  const ids = woken.map((c) => c.userData);
  expect(ids).toEqual(expect.arrayContaining([1n, 5n]));
  on.kernel.system.close(to);
  const released = ring.wait(2);
  expect(released.map((c) => c.res)).toEqual([POLLIN | POLLHUP, POLLIN | POLLHUP]);
  expect([...ids, ...released.map((c) => c.userData)].toSorted()).toEqual([1n, 2n, 3n, 4n, 5n]);
});
