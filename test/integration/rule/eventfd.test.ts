// Chapter eventfd.
import { abi, type Bench, expect, onBoth, type SqeFields, type TestRing } from "./on-both.ts";

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });

function register(on: Bench, ring: TestRing, fd: number, opcode: number = abi.IORING_REGISTER_EVENTFD, nrArgs = 1): number {
  const region = on.buffer(4);
  new DataView(region.bytes.buffer, region.bytes.byteOffset, 4).setInt32(0, fd, true);
  return ring.ring.register(opcode, region.addr, nrArgs);
}

/** What the eventfd counted since it was last read: 0 where nothing signalled. */
function count(on: Bench, fd: number): bigint {
  const into = new Uint8Array(8);
  return on.kernel.system.read(fd, into) === 8 ? new DataView(into.buffer).getBigUint64(0, true) : 0n;
}

onBoth("[eventfd.one-at-a-time] [eventfd.unregister] one eventfd a ring", (on) => {
  const ring = on.ring();
  const fd = on.eventfd();
  const unregister = (): number => ring.ring.register(abi.IORING_UNREGISTER_EVENTFD, null, 0);
  expect(unregister()).toBe(-abi.ENXIO);
  expect(register(on, ring, fd)).toBe(0);
  expect(register(on, ring, fd)).toBe(-abi.EBUSY);
  expect(register(on, ring, fd, abi.IORING_REGISTER_EVENTFD_ASYNC)).toBe(-abi.EBUSY);
  expect(unregister()).toBe(0);
  expect(register(on, ring, fd, abi.IORING_REGISTER_EVENTFD_ASYNC)).toBe(0);
  expect(unregister()).toBe(0);
});

onBoth("[eventfd.must-be-one] what may be registered", (on) => {
  const ring = on.ring();
  expect(register(on, ring, on.pipe().read)).toBe(-abi.EINVAL);
  expect(register(on, ring, -1)).toBe(-abi.EBADF);
  expect(register(on, ring, on.eventfd(), abi.IORING_REGISTER_EVENTFD, 2)).toBe(-abi.EINVAL);
  expect(ring.ring.register(abi.IORING_REGISTER_EVENTFD, on.kernel.memory.faultAddress, 1)).toBe(-abi.EFAULT);
});

onBoth("[eventfd.signal-per-posting] two completions of one posting signal once", (on) => {
  const ring = on.ring();
  const fd = on.eventfd();
  register(on, ring, fd);
  ring.submit(nop(1n), nop(2n));
  expect(count(on, fd)).toBe(1n);
  ring.submit(nop(3n));
  ring.submit(nop(4n));
  expect(count(on, fd)).toBe(2n);
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(count(on, fd)).toBe(0n);
});

onBoth("[eventfd.signal-per-posting] an eventfd that is full takes no more signals, and no poll finds room in it", (on) => {
  const ring = on.ring();
  const fd = on.eventfd();
  const most = new Uint8Array(8).fill(0xff);
  // write(2) may fill it but for one, which only a signal takes.
  expect(on.kernel.system.write(fd, most.with(0, 0xfe))).toBe(8);
  ring.submit({ opcode: abi.IORING_OP_POLL_ADD, userData: 1n, fd, opFlags: abi.EPOLLOUT | abi.EPOLLIN });
  expect(ring.reap()).toEqual([{ userData: 1n, res: abi.EPOLLIN, flags: 0 }]);
  register(on, ring, fd);
  for (const userData of [2n, 3n, 4n]) ring.submit(nop(userData));
  ring.submit({ opcode: abi.IORING_OP_POLL_ADD, userData: 5n, fd, opFlags: abi.EPOLLOUT | abi.EPOLLIN });
  expect(ring.reap().at(-1)).toEqual({ userData: 5n, res: abi.EPOLLIN | abi.EPOLLERR, flags: 0 });
  expect(count(on, fd)).toBe(0xffff_ffff_ffff_ffffn);
  expect(count(on, fd)).toBe(0n);
});

onBoth("[eventfd.async-workers-only] neither the thread that polls nor a timer is a worker", (on) => {
  const polled = on.ring(8, { flags: abi.IORING_SETUP_SQPOLL });
  const fd = on.eventfd();
  expect(register(on, polled, fd, abi.IORING_REGISTER_EVENTFD_ASYNC)).toBe(0);
  polled.push(nop(1n));
  polled.enter(1, 0, abi.IORING_ENTER_SQ_WAKEUP);
  expect(polled.wait(1).length).toBe(1);
  // Behind a call that the thread's lock is needed for.
  expect(register(on, polled, fd)).toBe(-abi.EBUSY);
  expect(count(on, fd)).toBe(0n);
  const ring = on.ring();
  expect(register(on, ring, fd, abi.IORING_REGISTER_EVENTFD_ASYNC)).toBe(0);
  ring.submit({ opcode: abi.IORING_OP_TIMEOUT, userData: 1n, addr: on.timespec(0n, 1_000_000n), len: 1 });
  expect(ring.wait(1)).toEqual([{ userData: 1n, res: -abi.ETIME, flags: 0 }]);
  expect(count(on, fd)).toBe(0n);
});

onBoth("[poll.own-signal-ends] a multishot poll of the eventfd that its own ring signals", (on) => {
  const ring = on.ring();
  const [fd, other] = [on.eventfd(), on.eventfd()];
  register(on, ring, fd);
  const polls = (of: number, userData: bigint): SqeFields =>
    ({ opcode: abi.IORING_OP_POLL_ADD, fd: of, opFlags: abi.POLLIN, len: abi.IORING_POLL_ADD_MULTI, userData });
  ring.submit(polls(fd, 1n), polls(other, 2n));
  ring.submit(nop(3n));
  expect(ring.wait(2)).toEqual([{ userData: 3n, res: 0, flags: 0 }, { userData: 1n, res: abi.POLLIN, flags: 0 }]);
  // One that somebody else signals goes on.
  on.kernel.system.write(other, new Uint8Array(8).fill(1));
  expect(ring.wait(1)).toEqual([{ userData: 2n, res: abi.POLLIN, flags: abi.IORING_CQE_F_MORE }]);
});

onBoth("[eventfd.not-for-backlog] a completion in the backlog signals when it is flushed", (on) => {
  const ring = on.ring(1, { flags: abi.IORING_SETUP_CQSIZE, cqEntries: 1 });
  const fd = on.eventfd();
  register(on, ring, fd);
  ring.submit(nop(1n));
  ring.submit(nop(2n));
  expect(count(on, fd)).toBe(1n);
  ring.reap();
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(count(on, fd)).toBe(1n);
});

onBoth("[eventfd.disabled-flag] the application can switch the signals off", (on) => {
  const ring = on.ring();
  const fd = on.eventfd();
  register(on, ring, fd);
  ring.storeCq("flags", abi.IORING_CQ_EVENTFD_DISABLED);
  ring.submit(nop(1n));
  expect(count(on, fd)).toBe(0n);
  ring.storeCq("flags", 0);
  ring.submit(nop(2n));
  expect(count(on, fd)).toBe(1n);
});

onBoth("[eventfd.async-workers-only] only workers signal", (on) => {
  const ring = on.ring();
  const fd = on.eventfd();
  register(on, ring, fd, abi.IORING_REGISTER_EVENTFD_ASYNC);
  ring.submit(nop(1n));
  expect(count(on, fd)).toBe(0n);
  ring.submit(nop(2n, abi.IOSQE_ASYNC));
  ring.wait(2);
  const until = performance.now() + 2000;
  let seen = 0n;
  while (seen === 0n && performance.now() < until) seen = count(on, fd);
  expect(seen).toBe(1n);
});

onBoth("[eventfd.defer-signals-work] task work that waits signals, and its completion again", (on) => {
  const ring = on.ring(8, { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER });
  const fd = on.eventfd();
  const pipe = on.pipe();
  register(on, ring, fd);
  ring.submit({ opcode: abi.IORING_OP_READ, userData: 1n, fd: pipe.read, addr: on.buffer(8).addr, len: 8 });
  expect(count(on, fd)).toBe(0n);
  on.kernel.system.write(pipe.write, new Uint8Array(1));
  expect(count(on, fd)).toBe(1n);
  expect(ring.reap()).toEqual([]);
  ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(ring.reap()).toHaveLength(1);
  expect(count(on, fd)).toBe(1n);
});

onBoth("[eventfd.keeps-file] a copy of the descriptor sees the signals after the registered one is closed", (on) => {
  const ring = on.ring();
  const fd = on.eventfd();
  const copy = on.kernel.system.dup(fd);
  register(on, ring, fd);
  expect(on.kernel.system.close(fd)).toBe(0);
  ring.submit(nop(1n));
  expect(count(on, copy)).toBe(1n);
});
