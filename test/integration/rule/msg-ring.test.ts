// Chapter msg-ring.
import { abi, expect, onBoth, type SqeFields } from "./on-both.ts";

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const message = (userData: bigint, fd: number, more: Partial<SqeFields> = {}): SqeFields => ({
  opcode: abi.IORING_OP_MSG_RING, userData, fd, off: 0x1234n, len: 42, ...more,
});

onBoth("[msg-ring.data] a message to another ring", (on) => {
  const [from, to] = [on.ring(), on.ring()];
  expect(from.results(message(1n, to.fd))).toEqual([[1n, 0]]);
  expect(to.reap()).toEqual([{ userData: 0x1234n, res: 42, flags: 0 }]);
});

onBoth("[msg-ring.before-own] a message to the own ring", (on) => {
  const ring = on.ring();
  ring.submit(nop(1n), message(2n, ring.fd), nop(3n));
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[0x1234n, 42], [1n, 0], [2n, 0], [3n, 0]]);
});

onBoth("[msg-ring.not-a-ring] a message to what is no ring", (on) => {
  const ring = on.ring();
  expect(ring.results(message(1n, on.pipe().write, { flags: abi.IOSQE_IO_LINK }), nop(2n))).toEqual([[1n, -abi.EBADFD], [2n, -abi.ECANCELED]]);
  expect(ring.results(message(3n, -1))).toEqual([[3n, -abi.EBADF]]);
});

onBoth("[msg-ring.disabled-target] a message to a disabled ring", (on) => {
  const to = on.ring(8, { flags: abi.IORING_SETUP_R_DISABLED });
  const from = on.ring();
  expect(from.results(message(1n, to.fd))).toEqual([[1n, -abi.EBADFD]]);
  to.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0);
  expect(from.results(message(2n, to.fd))).toEqual([[2n, 0]]);
});

onBoth("[msg-ring.flags-checked] [msg-ring.fields-zero] what fails at submission", (on) => {
  const ring = on.ring();
  expect(ring.submit(message(1n, ring.fd, { opFlags: 4 }), nop(2n))).toBe(1);
  ring.submit();
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[1n, -abi.EINVAL], [2n, 0]]);
  expect(ring.results(message(3n, ring.fd, { bufIndex: 1 }))).toEqual([[3n, -abi.EINVAL]]);
  const personality = ring.ring.register(abi.IORING_REGISTER_PERSONALITY, null, 0);
  expect(ring.results(message(4n, ring.fd, { personality }))).toEqual([[4n, -abi.EINVAL]]);
  // Known, and refused for data when it is issued: the batch goes on.
  expect(ring.submit(message(5n, ring.fd, { opFlags: abi.IORING_MSG_RING_CQE_SKIP }), nop(6n))).toBe(2);
  expect(ring.reap().map(({ userData, res }) => [userData, res])).toEqual([[5n, -abi.EINVAL], [6n, 0]]);
});

onBoth("[msg-ring.flags-pass] flags for the message's CQE", (on) => {
  const [from, to] = [on.ring(), on.ring()];
  const opFlags = abi.IORING_MSG_RING_FLAGS_PASS;
  expect(from.results(message(1n, to.fd, { opFlags, spliceFdIn: 0x55 }))).toEqual([[1n, 0]]);
  expect(to.reap()).toEqual([{ userData: 0x1234n, res: 42, flags: 0x55 }]);
});

onBoth("[msg-ring.data-fields] [msg-ring.command] what is refused when it is issued", (on) => {
  const ring = on.ring();
  expect(ring.results(message(1n, ring.fd, { addr3: 1n }))).toEqual([[1n, -abi.EINVAL]]);
  expect(ring.results(message(2n, ring.fd, { spliceFdIn: 1 }))).toEqual([[2n, -abi.EINVAL]]);
  expect(ring.results(message(3n, ring.fd, { addr: 2n }))).toEqual([[3n, -abi.EINVAL]]);
});

onBoth("[msg-ring.full-target] a message to a full CQ", (on) => {
  const from = on.ring();
  const to = on.ring(1, { flags: abi.IORING_SETUP_CQSIZE, cqEntries: 1 });
  expect(from.results(message(1n, to.fd), message(2n, to.fd, { off: 7n }))).toEqual([[1n, 0], [2n, 0]]);
  expect(to.sq("flags")).toBe(abi.IORING_SQ_CQ_OVERFLOW);
  expect(to.reap()).toHaveLength(1);
  to.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(to.reap().map(({ userData }) => userData)).toEqual([7n]);
});

onBoth("[msg-ring.defer-target] a message to a ring that defers its task work", (on) => {
  const from = on.ring();
  const to = on.ring(8, { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER });
  expect(from.results(message(1n, to.fd))).toEqual([[1n, 0]]);
  expect(to.reap()).toEqual([]);
  to.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
  expect(to.reap()).toEqual([{ userData: 0x1234n, res: 42, flags: 0 }]);
});

onBoth("[msg-ring.descriptor-refused] [msg-ring.command] sending a descriptor without registered files", (on) => {
  const [from, to] = [on.ring(), on.ring()];
  const addr = BigInt(abi.IORING_MSG_SEND_FD);
  expect(from.results(message(1n, from.fd, { addr, len: 0 }))).toEqual([[1n, -abi.EINVAL]]);
  expect(from.results(message(2n, to.fd, { addr, len: 1 }))).toEqual([[2n, -abi.EINVAL]]);
  expect(from.results(message(3n, to.fd, { addr, len: 0 }))).toEqual([[3n, -abi.EBADF]]);
  // No command at all, and for the rest like the one before.
  expect(from.results(message(4n, to.fd, { addr: addr + 1n, len: 0 }))).toEqual([[4n, -abi.EINVAL]]);
});
