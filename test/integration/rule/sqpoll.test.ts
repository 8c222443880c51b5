// Chapter sqpoll: rings whose SQ a thread of the kernel's polls. On the model it goes on whenever the ring is looked at.
import { SYNC_CANCEL_REG } from "../../../src/spec/codec.gen.ts";
import { abi, type Bench, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const { IORING_SETUP_SQPOLL: SQPOLL, IORING_ENTER_SQ_WAKEUP: WAKEUP, IORING_ENTER_SQ_WAIT: SQ_WAIT, IORING_SQ_NEED_WAKEUP: NEED_WAKEUP } = abi;
const MS = 1_000_000n;
const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const poll = (fd: number, userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLIN, userData });
const results = (ring: TestRing): [bigint, number][] => ring.reap().map(({ userData, res }) => [userData, res]);

/** An hour between its last work and its sleep, or as many milliseconds. */
const polled = (on: Bench, idleMs = 3_600_000, flags = 0): TestRing => on.ring(4, { flags: SQPOLL | flags, sqThreadIdle: idleMs });

const sleeps = (ring: TestRing): boolean => (ring.sq("flags") & NEED_WAKEUP) !== 0;

/** Looks at the ring, and calls nothing, until this is so: three seconds at most. */
function until(on: Bench, holds: () => boolean): void {
  for (const end = performance.now() + 3000; !holds() && !on.isModel && performance.now() < end; );
  expect(holds()).toBe(true);
}

/** Lets time pass, on the model too. */
const pass = (ring: TestRing, ms: bigint): void => void ring.waitFor(ring.ring.params.cqEntries, ms * MS);

/** Publishes, and wakes the thread where it says that it sleeps. */
function publish(ring: TestRing, ...sqes: readonly SqeFields[]): void {
  ring.push(...sqes);
  if (sleeps(ring)) expect(ring.enter(0, 0, WAKEUP)).toBe(0);
}

/** A ring whose thread has worked once, and one completion taken out. */
function awake(on: Bench, idleMs?: number): TestRing {
  const ring = polled(on, idleMs);
  publish(ring, nop(0n));
  until(on, () => ring.cq("tail") === 1);
  ring.reap();
  return ring;
}

onBoth("[sqpoll.submits] what is published is submitted without a call", (on) => {
  const ring = awake(on);
  ring.push(nop(1n), nop(2n));
  until(on, () => ring.cq("tail") === 3 && ring.sq("head") === 3);
  expect(results(ring)).toEqual([[1n, 0], [2n, 0]]);
});

onBoth("[sqpoll.task-work-between] what a batch leaves as task work completes before what the next batch submits", (on) => {
  const ring = awake(on);
  const fd = on.eventfd();
  for (let round = 0; round < 100; round++) {
    const begun = ring.sq("head");
    const posted = ring.cq("tail");
    ring.push(poll(fd, 1n));
    until(on, () => ring.sq("head") === begun + 1);
    ring.push({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 1n, userData: 2n });
    until(on, () => ring.sq("head") === begun + 2);
    ring.push(nop(3n));
    until(on, () => ring.cq("tail") === posted + 3);
    expect(results(ring)).toEqual([[2n, 0], [1n, -abi.ECANCELED], [3n, 0]]);
  }
});

onBoth("[sqpoll.returns-to-submit] io_uring_enter returns its argument, and what the wait came to where that is 0", (on) => {
  const ring = awake(on);
  expect(ring.ring.enter(7, 0, 0)).toBe(7);
  expect(ring.ring.enter(0xffff_ffff, 0, 0)).toBe(-1);
  expect(ring.waitFor(1, MS, 3)).toBe(3);
  expect(ring.waitFor(1, MS)).toBe(-abi.ETIME);
});

onBoth("[sqpoll.need-wakeup] [sqpoll.wakeup] [sqpoll.awake-flag-cleared] asleep it takes nothing until it is woken", (on) => {
  const ring = awake(on, 40);
  for (let tries = 100; !sleeps(ring) && tries > 0; tries--) pass(ring, 20n);
  expect(sleeps(ring)).toBe(true);
  ring.push(nop(1n));
  expect(ring.ring.enter(1, 0, 0)).toBe(1);
  pass(ring, 20n);
  expect(ring.sq("head")).toBe(1);
  expect(ring.enter(0, 0, WAKEUP)).toBe(0);
  until(on, () => ring.cq("tail") === 2);
  expect(sleeps(ring)).toBe(false);
  expect(results(ring)).toEqual([[1n, 0]]);
});

onBoth("[setup.sq-idle-default] with sq_thread_idle 0 it sleeps a second after its last work", (on) => {
  const ring = awake(on, 0);
  const begun = on.kernel.nowNs();
  pass(ring, 500n);
  expect(sleeps(ring)).toBe(false);
  for (let tries = 100; !sleeps(ring) && tries > 0; tries--) pass(ring, 50n);
  expect(sleeps(ring)).toBe(true);
  expect(on.kernel.nowNs() - begun).toBeGreaterThan(900n * MS);
});

onBoth("[sqpoll.sq-wait] a call that waits for room returns once there is some", (on) => {
  const ring = polled(on);
  ring.push(nop(1n), nop(2n), nop(3n), nop(4n));
  expect(ring.enter(0, 0, WAKEUP | SQ_WAIT)).toBe(0);
  until(on, () => ring.sq("head") === 4);
});

onBoth("[sqpoll.goes-on-after-error] a request that fails its preparation holds nothing up", (on) => {
  const ring = awake(on);
  ring.push({ opcode: 255, userData: 1n }, nop(2n), nop(3n));
  until(on, () => ring.cq("tail") === 4);
  expect(results(ring)).toEqual([[1n, -abi.EINVAL], [2n, 0], [3n, 0]]);
});

onBoth("[sqpoll.task-work] a poll that is triggered completes without a call", (on) => {
  const ring = awake(on);
  const pipe = on.pipe();
  ring.push(poll(pipe.read, 1n));
  until(on, () => ring.sq("head") === 2);
  on.kernel.system.write(pipe.write, new Uint8Array(1));
  until(on, () => ring.cq("tail") === 2);
  expect(results(ring)).toEqual([[1n, abi.POLLIN]]);
});

onBoth("[sqpoll.task-work-wakes] also while it sleeps", (on) => {
  const ring = awake(on, 1);
  const pipe = on.pipe();
  publish(ring, poll(pipe.read, 1n));
  until(on, () => ring.sq("head") === 2);
  for (let tries = 100; !sleeps(ring) && tries > 0; tries--) pass(ring, 10n);
  expect(sleeps(ring)).toBe(true);
  on.kernel.system.write(pipe.write, new Uint8Array(1));
  until(on, () => ring.cq("tail") === 2);
  expect(results(ring)).toEqual([[1n, abi.POLLIN]]);
});

onBoth("[sqpoll.disabled-waits] nothing is submitted on a disabled ring, and enabling it wakes the thread", (on) => {
  const ring = polled(on, undefined, abi.IORING_SETUP_R_DISABLED);
  ring.push(nop(1n));
  const end = performance.now() + 20;
  while (!on.isModel && performance.now() < end);
  expect([ring.sq("head"), ring.cq("tail")]).toEqual([0, 0]);
  expect(ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
  until(on, () => ring.cq("tail") === 1);
  expect(results(ring)).toEqual([[1n, 0]]);
});

onBoth("[sqpoll.sync-cancel] [sqpoll.cancel-running] what is with the thread's workers only the thread can cancel", (on) => {
  const ring = awake(on);
  // A chain that the batch cuts off goes to a worker, which waits inside read(2).
  ring.push({ opcode: abi.IORING_OP_READ, fd: on.eventfd(), addr: on.buffer(8).addr, len: 8, userData: 1n, flags: abi.IOSQE_IO_LINK });
  until(on, () => ring.sq("head") === 2);
  pass(ring, 30n);
  const arg = on.buffer(SYNC_CANCEL_REG.size);
  const to = new DataView(arg.bytes.buffer, arg.bytes.byteOffset, arg.bytes.byteLength);
  to.setBigUint64(SYNC_CANCEL_REG.addr, 1n, true);
  to.setBigInt64(SYNC_CANCEL_REG.timeout, -1n, true);
  to.setBigInt64(SYNC_CANCEL_REG.timeout + 8, -1n, true);
  expect(ring.ring.register(abi.IORING_REGISTER_SYNC_CANCEL, arg.addr, 1)).toBe(-abi.ENOENT);
  publish(ring, { opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 1n, userData: 2n });
  until(on, () => ring.cq("tail") === 3);
  const got = results(ring).toSorted(([a], [b]) => Number(a - b));
  expect(got).toEqual([[1n, -abi.EINTR], [2n, -abi.ENOENT]]);
});
