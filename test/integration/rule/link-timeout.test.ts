// Chapter link-timeout.
import { abi, type Bench, expect, onBoth, type SqeFields } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
const MS = 1_000_000n;
const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const timer = (on: Bench, userData: bigint, ns: bigint, more: Partial<SqeFields> = {}): SqeFields => ({
  opcode: abi.IORING_OP_LINK_TIMEOUT, userData, addr: on.timespec(ns / 1_000_000_000n, ns % 1_000_000_000n), len: 1, ...more,
});
const read = (on: Bench, userData: bigint, fd: number, flags = LINK): SqeFields => ({
  opcode: abi.IORING_OP_READ, userData, fd, addr: on.buffer(8).addr, len: 8, flags,
});

onBoth("[link-timeout.off-refused] [link-timeout.prep-failure] a timer that fails at submission fails its chain", (on) => {
  const ring = on.ring();
  expect(ring.results(nop(1n, LINK), timer(on, 2n, MS, { off: 1n }))).toEqual([[1n, -abi.ECANCELED], [2n, -abi.EINVAL]]);
  const bad = { ...timer(on, 4n, MS), addr: on.kernel.memory.faultAddress };
  expect(ring.results(nop(3n, LINK), bad)).toEqual([[3n, -abi.ECANCELED], [4n, -abi.EFAULT]]);
});

onBoth("[link-timeout.needs-head] a timer behind nothing", (on) => {
  const ring = on.ring();
  expect(ring.results(timer(on, 1n, MS))).toEqual([[1n, -abi.EINVAL]]);
  expect(ring.results(nop(2n), timer(on, 3n, MS))).toEqual([[2n, 0], [3n, -abi.EINVAL]]);
});

onBoth("[link-timeout.not-two] a timer behind a timer", (on) => {
  const ring = on.ring();
  expect(new Map(ring.results(nop(1n, LINK), timer(on, 2n, MS, { flags: LINK }), timer(on, 3n, MS)))).toEqual(
    new Map([[1n, -abi.ECANCELED], [2n, -abi.ECANCELED], [3n, -abi.EINVAL]]),
  );
});

onBoth("[link-timeout.disarmed-canceled] [link-timeout.goes-on] the request ends first", (on) => {
  const ring = on.ring();
  ring.submit(nop(1n, LINK), timer(on, 2n, 10_000n * MS, { flags: LINK }), nop(3n));
  expect(new Map(ring.wait(3).map(({ userData, res }) => [userData, res]))).toEqual(new Map([[1n, 0], [2n, -abi.ECANCELED], [3n, 0]]));
});

onBoth("[link-timeout.etime-first] [link-timeout.target-ecanceled] the time comes first", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  const from = on.kernel.nowNs();
  expect(ring.results(read(on, 1n, pipe.read), timer(on, 2n, 5n * MS, { flags: LINK }), nop(3n))).toEqual([
    [2n, -abi.ETIME], [1n, -abi.ECANCELED], [3n, -abi.ECANCELED],
  ]);
  expect(on.kernel.nowNs() - from).toBeGreaterThanOrEqual(5n * MS);
});

onBoth("[link-timeout.armed-when-issued] no time passes before the request is issued", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  ring.submit(read(on, 1n, pipe.read), read(on, 2n, pipe.read), timer(on, 3n, MS));
  // Longer than the timer: it has not started.
  expect(ring.waitFor(1, 5n * MS)).toBe(-abi.ETIME);
  on.kernel.system.write(pipe.write, new Uint8Array(8));
  expect(ring.wait(3).map(({ userData, res }) => [userData, res])).toEqual([[1n, 8], [3n, -abi.ETIME], [2n, -abi.ECANCELED]]);
});

onBoth("[link-timeout.by-user-data] another request with the same user_data is cancelled", (on) => {
  const ring = on.ring();
  const [first, second] = [on.pipe(), on.pipe()];
  ring.submit(read(on, 1n, first.read), timer(on, 2n, 5n * MS));
  // The newest comes first where a cancel looks.
  ring.submit(read(on, 1n, second.read, 0));
  expect(ring.wait(2).map(({ userData, res }) => [userData, res])).toEqual([[2n, -abi.ETIME], [1n, -abi.ECANCELED]]);
  on.kernel.system.write(second.write, new Uint8Array(3));
  expect(ring.reap()).toEqual([]);
  on.kernel.system.write(first.write, new Uint8Array(4));
  expect(ring.wait(1).map(({ userData, res }) => [userData, res])).toEqual([[1n, 4]]);
});

onBoth("[link-timeout.update] another time for a timer that is armed", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  const update = (userData: bigint, target: bigint, ns: bigint): SqeFields => ({
    opcode: abi.IORING_OP_TIMEOUT_REMOVE, userData, addr: target, off: on.timespec(0n, ns),
    opFlags: abi.IORING_TIMEOUT_UPDATE | abi.IORING_LINK_TIMEOUT_UPDATE,
  });
  ring.submit(read(on, 1n, pipe.read), timer(on, 2n, 100_000n * MS));
  expect(ring.results(update(3n, 9n, MS))).toEqual([[3n, -abi.ENOENT]]);
  ring.submit(update(4n, 2n, MS));
  expect(ring.wait(3).map(({ userData, res }) => [userData, res])).toEqual([[4n, 0], [2n, -abi.ETIME], [1n, -abi.ECANCELED]]);
});

onBoth("[link-timeout.not-removed] a timer is found by no user_data", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  ring.submit(read(on, 1n, pipe.read), timer(on, 2n, 100_000n * MS));
  expect(ring.results({ opcode: abi.IORING_OP_TIMEOUT_REMOVE, userData: 3n, addr: 2n })).toEqual([[3n, -abi.ENOENT]]);
  expect(ring.results({ opcode: abi.IORING_OP_ASYNC_CANCEL, userData: 4n, addr: 2n })).toEqual([[4n, -abi.ENOENT]]);
  ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, userData: 5n, addr: 1n });
  expect(new Map(ring.wait(3).map(({ userData, res }) => [userData, res]))).toEqual(
    new Map([[5n, 0], [1n, -abi.ECANCELED], [2n, -abi.ECANCELED]]),
  );
});

onBoth("[link-timeout.worker-blocks] a worker that waits inside the request does not arm its timer", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  // The last member links on, so a worker runs the chain, and waits inside read(2).
  ring.submit(read(on, 1n, pipe.read), timer(on, 2n, MS, { flags: LINK }));
  expect(ring.waitFor(1, 100n * MS)).toBe(-abi.ETIME);
  on.kernel.system.write(pipe.write, new Uint8Array(3));
  // A short read severs the chain.
  expect(new Map(ring.wait(2).map(({ userData, res }) => [userData, res]))).toEqual(new Map([[1n, 3], [2n, -abi.ECANCELED]]));
});
