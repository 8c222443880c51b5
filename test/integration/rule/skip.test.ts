// Chapter skip.
import type { SqeFields } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
const HARD = abi.IOSQE_IO_HARDLINK;
const SKIP = abi.IOSQE_CQE_SKIP_SUCCESS;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
/** Fails when it is issued, with EBADF. */
const failing = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_READ, fd: -1, userData, flags });

onBoth("[skip.none-on-success] a WRITE that succeeds posts nothing, and has written", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const bytes = on.buffer([1, 2, 3]);
  const write = { opcode: abi.IORING_OP_WRITE, fd: to, addr: bytes.addr, len: 3 };
  ring.submit({ ...write, userData: 1n, flags: SKIP }, { ...write, userData: 2n }, nop(3n, SKIP));
  expect(ring.reap()).toEqual([{ userData: 2n, res: 3, flags: 0 }]);
  expect(on.kernel.system.read(from, new Uint8Array(8))).toBe(6);
  expect(ring.cq("tail")).toBe(1);
});

onBoth("[skip.none-on-success] a worker's success is not posted either", (on) => {
  const ring = on.ring();
  ring.submit(nop(1n, SKIP | LINK | abi.IOSQE_ASYNC), nop(2n));
  expect(ring.wait(1)).toEqual([{ userData: 2n, res: 0, flags: 0 }]);
  expect(ring.cq("tail")).toBe(1);
});

onBoth("[skip.posts-on-failure] a failure is posted all the same", (on) => {
  expect(on.ring().results(failing(1n, SKIP))).toEqual([[1n, -abi.EBADF]]);
  // At submission too.
  expect(on.ring().results({ ...nop(2n, SKIP), ioprio: 1 })).toEqual([[2n, -abi.EINVAL]]);
  const { read: from, write: to } = on.pipe();
  on.kernel.system.write(to, Uint8Array.of(1, 2, 3));
  // A short transfer counts as a failure.
  const read = { opcode: abi.IORING_OP_READ, fd: from, addr: on.buffer(8).addr, len: 8, userData: 3n, flags: SKIP };
  expect(on.ring().results(read)).toEqual([[3n, 3]]);
});

onBoth("[skip.failed-skip-silences] behind a failed request with the flag the whole rest of its chain is silent", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const write = { opcode: abi.IORING_OP_WRITE, fd: to, addr: on.buffer([1, 2, 3]).addr, len: 3 };
  ring.submit(failing(1n, LINK | SKIP), nop(2n, LINK), { ...write, userData: 3n, flags: LINK | SKIP }, nop(4n), nop(5n));
  expect(ring.reap().map((c) => [c.userData, c.res])).toEqual([[1n, -abi.EBADF], [5n, 0]]);
  expect(on.kernel.system.read(from, new Uint8Array(8))).toBe(-abi.EAGAIN);
  // Nothing comes later.
  expect(ring.results(nop(6n))).toEqual([[6n, 0]]);
  expect(ring.cq("tail")).toBe(3);
});

onBoth("[skip.failed-other-speaks] behind a failed request without the flag every member posts its -ECANCELED", (on) => {
  const ring = on.ring();
  ring.submit(nop(1n, LINK | SKIP), failing(2n, LINK), nop(3n, LINK | SKIP), nop(4n, LINK), nop(5n, SKIP));
  expect(ring.reap().map((c) => [c.userData, c.res])).toEqual([
    [2n, -abi.EBADF], [3n, -abi.ECANCELED], [4n, -abi.ECANCELED], [5n, -abi.ECANCELED],
  ]);
});

onBoth("[skip.hardlink-goes-on] behind a failed request with both flags the others run and post as they say", (on) => {
  const ring = on.ring();
  ring.submit(failing(1n, HARD | SKIP), nop(2n, LINK), nop(3n, LINK | SKIP), failing(4n, HARD), nop(5n));
  expect(ring.reap().map((c) => [c.userData, c.res])).toEqual([[1n, -abi.EBADF], [2n, 0], [4n, -abi.EBADF], [5n, 0]]);
});
