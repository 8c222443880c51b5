// Chapter iopoll, as far as it goes without a device that can be polled.
import { abi, expect, onBoth, type SqeFields } from "./on-both.ts";

const IOPOLL = { flags: abi.IORING_SETUP_IOPOLL };
const { IORING_ENTER_GETEVENTS: GETEVENTS, IORING_ENTER_EXT_ARG: EXT_ARG } = abi;
const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });

onBoth("[iopoll.nop] [iopoll.opcodes] what a polled ring takes", (on) => {
  const ring = on.ring(8, IOPOLL);
  ring.submit(nop(1n));
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[1n, 0]]);
  const { read } = on.pipe();
  const refused: SqeFields[] = [
    { opcode: abi.IORING_OP_POLL_ADD, userData: 2n, fd: read, opFlags: abi.EPOLLIN },
    { opcode: abi.IORING_OP_TIMEOUT, userData: 3n, addr: on.timespec(1n, 0n), len: 1 },
    { opcode: abi.IORING_OP_FSYNC, userData: 4n, fd: on.file(8) },
  ];
  for (const sqe of refused) {
    ring.submit(sqe);
    expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[sqe.userData, -abi.EINVAL]]);
  }
});

onBoth("[iopoll.files] files that can't be polled", (on) => {
  const ring = on.ring(8, IOPOLL);
  const { addr } = on.buffer(8);
  const read = (userData: bigint, fd: number, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_READ, userData, fd, addr, len: 8, flags });
  ring.submit(read(1n, on.file(8)));
  ring.submit(read(2n, on.pipe().read, abi.IOSQE_IO_LINK), nop(3n));
  ring.enter(0, 0, GETEVENTS);
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[1n, -abi.EOPNOTSUPP], [2n, -abi.EOPNOTSUPP], [3n, -abi.ECANCELED]]);
});

onBoth("[iopoll.never-waits] a wait for what can't come returns", (on) => {
  const ring = on.ring(8, IOPOLL);
  // An hour.
  expect(ring.waitFor(3, 3_600_000_000_000n)).toBe(0);
  ring.push(nop(1n));
  expect(ring.waitFor(5, 3_600_000_000_000n, 1)).toBe(1);
  // What is there already is enough.
  expect(ring.waitFor(5, 3_600_000_000_000n)).toBe(0);
  expect(ring.reap()).toHaveLength(1);
});

onBoth("[iopoll.argument] the argument is checked", (on) => {
  const ring = on.ring(8, IOPOLL);
  const { addr } = on.buffer(64);
  expect(ring.enter(0, 0, GETEVENTS | EXT_ARG, { addr, size: 16 })).toBe(-abi.EINVAL);
  expect(ring.enter(0, 0, GETEVENTS | EXT_ARG, { addr: on.kernel.memory.faultAddress, size: 24 })).toBe(-abi.EFAULT);
  expect(ring.enter(0, 0, GETEVENTS | EXT_ARG | abi.IORING_ENTER_EXT_ARG_REG, { addr: 0n, size: 64 })).toBe(-abi.EINVAL);
});

onBoth("[iopoll.worker] [msg-ring.own-polled-ring] what workers do is completed by the thread", async (on) => {
  const ring = on.ring(8, IOPOLL);
  const seen: bigint[] = [];
  ring.submit({ opcode: abi.IORING_OP_MSG_RING, userData: 1n, fd: ring.fd, off: 0x77n, len: 5 }, nop(2n, abi.IOSQE_ASYNC), nop(3n));
  const until = performance.now() + 2000;
  while (seen.length < 4 && performance.now() < until) {
    ring.enter(0, 0, GETEVENTS);
    seen.push(...ring.reap().map(({ userData }) => userData));
  }
  // The batch posts its own first.
  expect(seen[0]).toBe(3n);
  expect(new Set(seen)).toEqual(new Set([3n, 0x77n, 1n, 2n]));
  expect(seen.indexOf(0x77n)).toBeLessThan(seen.indexOf(1n));
});
