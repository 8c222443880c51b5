// Chapter hardlink.
import type { Bench, SqeFields } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
const HARD = abi.IOSQE_IO_HARDLINK;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
/** Fails when it is issued, with EBADF. */
const failing = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_READ, fd: -1, userData, flags });
/** Fails at submission, with EINVAL. */
const refused = (userData: bigint, flags = 0): SqeFields => ({ ...nop(userData, flags), ioprio: 1 });

function read(on: Bench, fd: number, len: number, userData: bigint, flags: number): SqeFields {
  return { opcode: abi.IORING_OP_READ, fd, addr: on.buffer(len).addr, len, userData, flags };
}

onBoth("[hardlink.implies-link] the flag links, by itself and together with IOSQE_IO_LINK", (on) => {
  for (const flags of [HARD, HARD | LINK]) {
    const { read: from, write: to } = on.pipe();
    const ring = on.ring();
    expect(ring.submit(read(on, from, 3, 1n, flags), nop(2n), nop(3n))).toBe(3);
    expect(ring.reap().map((c) => c.userData)).toEqual([3n]);
    on.kernel.system.write(to, Uint8Array.of(1, 2, 3));
    expect(ring.wait(2).map((c) => [c.userData, c.res])).toEqual([[1n, 3], [2n, 0]]);
  }
});

onBoth("[hardlink.survives-error] the successor of a hard-linked request that fails is issued", (on) => {
  for (const flags of [HARD, HARD | LINK]) {
    expect(on.ring().results(failing(1n, flags), nop(2n, flags), nop(3n))).toEqual([[1n, -abi.EBADF], [2n, 0], [3n, 0]]);
  }
  expect(on.ring().results(failing(1n, LINK), nop(2n, HARD), nop(3n))).toEqual([
    [1n, -abi.EBADF], [2n, -abi.ECANCELED], [3n, -abi.ECANCELED],
  ]);
});

onBoth("[hardlink.survives-error] a short transfer does not sever a hard link either", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  on.kernel.system.write(to, Uint8Array.of(1, 2, 3));
  expect(ring.results(read(on, from, 8, 1n, HARD), nop(2n))).toEqual([[1n, 3], [2n, 0]]);
  on.kernel.system.write(to, Uint8Array.of(1, 2, 3));
  expect(ring.results(read(on, from, 8, 3n, LINK), nop(4n))).toEqual([[3n, 3], [4n, -abi.ECANCELED]]);
});

onBoth("[hardlink.per-member] the flag of the member that fails decides", (on) => {
  expect(on.ring().results(failing(1n, HARD), failing(2n, LINK), nop(3n, HARD), nop(4n))).toEqual([
    [1n, -abi.EBADF], [2n, -abi.EBADF], [3n, -abi.ECANCELED], [4n, -abi.ECANCELED],
  ]);
  expect(on.ring().results(nop(1n, LINK), failing(2n, HARD), nop(3n, LINK), nop(4n))).toEqual([
    [1n, 0], [2n, -abi.EBADF], [3n, 0], [4n, 0],
  ]);
});

onBoth("[hardlink.prep-error-severs] a failure at submission cancels a hard-linked chain", (on) => {
  expect(on.ring().results(nop(1n, HARD), refused(2n, HARD), nop(3n, HARD), nop(4n))).toEqual([
    [1n, -abi.ECANCELED], [2n, -abi.EINVAL], [3n, -abi.ECANCELED], [4n, -abi.ECANCELED],
  ]);
  expect(on.ring().results(refused(1n, HARD), nop(2n, HARD), nop(3n))).toEqual([
    [1n, -abi.EINVAL], [2n, -abi.ECANCELED], [3n, -abi.ECANCELED],
  ]);
});
