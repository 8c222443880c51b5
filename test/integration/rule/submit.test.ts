// Chapter submit.
import type { Seen, SqeFields } from "./on-both.ts";
import { abi, accepted, atSubmission, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
const ASYNC = abi.IOSQE_ASYNC;

const nop = (userData: bigint, more: Partial<SqeFields> = {}): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, ...more });
const byUserData = (seen: readonly Seen[]): [bigint, number][] => pairs(seen).sort(([a], [b]) => Number(a - b));

onBoth("[submit.invalid-opcode] opcodes that the kernel does not have", (on) => {
  const next = Math.max(...on.kernel.profile.opcodes) + 1;
  for (const opcode of [next, 200, 255]) expect(atSubmission(on, { opcode, userData: 1n })).toBe(-abi.EINVAL);
  expect(accepted(on, nop(1n))).toBe(0);
});

onBoth("[submit.invalid-flags] the bit of sqe.flags that means nothing", (on) => {
  expect(atSubmission(on, nop(1n, { flags: 0x80 }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, nop(1n, { flags: 0x80 | ASYNC }))).toBe(-abi.EINVAL);
  expect(accepted(on, nop(1n, { flags: ASYNC }))).toBe(0);
});

onBoth("[submit.buffer-select-unsupported] BUFFER_SELECT where no buffer is used", (on) => {
  const flags = abi.IOSQE_BUFFER_SELECT;
  expect(atSubmission(on, nop(1n, { flags }))).toBe(-abi.EOPNOTSUPP);
  const { read, write } = on.pipe();
  expect(atSubmission(on, { opcode: abi.IORING_OP_WRITE, fd: write, addr: on.buffer(1).addr, len: 1, flags })).toBe(-abi.EOPNOTSUPP);
  expect(atSubmission(on, { opcode: abi.IORING_OP_PROVIDE_BUFFERS, flags })).toBe(-abi.EOPNOTSUPP);
  // A READ selects one; there is none, which shows when it is issued.
  on.kernel.system.write(write, new Uint8Array(4));
  expect(accepted(on, { opcode: abi.IORING_OP_READ, fd: read, len: 4, flags })).toBe(-abi.ENOBUFS);
  // So nobody looks at its own address.
  expect(accepted(on, { opcode: abi.IORING_OP_READ, fd: read, addr: 1n << 63n, len: 4, flags })).toBe(-abi.ENOBUFS);
});

onBoth("[submit.ioprio] a priority where none is taken", (on) => {
  // The best-effort class, level 4.
  const ioprio = (2 << 13) | 4;
  const fd = on.eventfd();
  expect(atSubmission(on, { opcode: abi.IORING_OP_FSYNC, fd, ioprio })).toBe(-abi.EINVAL);
  expect(atSubmission(on, { opcode: abi.IORING_OP_POLL_ADD, fd, opFlags: abi.POLLIN, ioprio: 1 })).toBe(-abi.EINVAL);
  expect(atSubmission(on, { opcode: abi.IORING_OP_CLOSE, fd: 1_000_000, ioprio })).toBe(-abi.EINVAL);
  const { addr } = on.buffer(4);
  expect(accepted(on, { opcode: abi.IORING_OP_READ, fd: on.file(4), addr, len: 4, ioprio })).toBe(4);
});

onBoth("[submit.personality] a personality that nobody registered", (on) => {
  expect(atSubmission(on, nop(1n, { personality: 1 }))).toBe(-abi.EINVAL);
  expect(atSubmission(on, nop(1n, { personality: 0xffff }))).toBe(-abi.EINVAL);
  expect(accepted(on, nop(1n, { personality: 0 }))).toBe(0);
});

onBoth("[submit.prep-error-stops] a failure at submission outside a chain ends the call", (on) => {
  const ring = on.ring();
  expect(ring.submit(nop(1n), { opcode: 255, userData: 2n }, nop(3n), nop(4n))).toBe(2);
  expect(ring.sq("head")).toBe(2);
  expect(pairs(ring.reap())).toEqual([[1n, 0], [2n, -abi.EINVAL]]);
  // The next call goes on behind it.
  expect(ring.enter(2)).toBe(2);
  expect(pairs(ring.reap())).toEqual([[3n, 0], [4n, 0]]);
});

onBoth("[submit.prep-error-stops] in a chain, only one of its last member does", (on) => {
  const ring = on.ring();
  expect(ring.submit(nop(1n, { flags: LINK }), { opcode: 255, userData: 2n }, nop(3n))).toBe(2);
  expect(pairs(ring.wait(2))).toEqual([[1n, -abi.ECANCELED], [2n, -abi.EINVAL]]);
  const other = on.ring();
  expect(other.submit({ opcode: 255, userData: 1n, flags: LINK }, nop(2n), nop(3n))).toBe(3);
  expect(byUserData(other.wait(3))).toEqual([[1n, -abi.EINVAL], [2n, -abi.ECANCELED], [3n, 0]]);
});

onBoth("[submit.submit-all] with SUBMIT_ALL submission goes on behind a failure", (on) => {
  const ring = on.ring(8, { flags: abi.IORING_SETUP_SUBMIT_ALL });
  expect(ring.submit(nop(1n), { opcode: 255, userData: 2n }, nop(3n), nop(4n, { flags: 0x80 }), nop(5n))).toBe(5);
  expect(pairs(ring.reap())).toEqual([[1n, 0], [2n, -abi.EINVAL], [3n, 0], [4n, -abi.EINVAL], [5n, 0]]);
});

onBoth("[submit.issue-error-goes-on] a failure at issue does not end the call", (on) => {
  const ring = on.ring();
  const { addr } = on.buffer(4);
  expect(ring.submit({ opcode: abi.IORING_OP_READ, fd: 1_000_000, addr, len: 4, userData: 1n },
    nop(2n, { opFlags: abi.IORING_NOP_INJECT_RESULT, len: -abi.EIO }), nop(3n))).toBe(3);
  expect(byUserData(ring.wait(3))).toEqual([[1n, -abi.EBADF], [2n, -abi.EIO], [3n, 0]]);
});

onBoth("[submit.one-cqe-each] each request posts once, whichever way it goes", (on) => {
  const ring = on.ring();
  const { read, write } = on.pipe();
  const { addr } = on.buffer(4);
  expect(ring.submit(
    nop(1n), nop(2n, { flags: ASYNC }), nop(3n, { flags: LINK }), nop(4n),
    { opcode: abi.IORING_OP_READ, fd: read, addr, len: 4, userData: 5n },
    { opcode: abi.IORING_OP_POLL_ADD, fd: read, opFlags: abi.POLLIN, userData: 6n },
    { opcode: abi.IORING_OP_READ, fd: 1_000_000, addr, len: 4, userData: 7n },
    { opcode: 255, userData: 8n },
  )).toBe(8);
  const seen = ring.wait(6);
  expect(seen.length).toBe(6);
  on.kernel.system.write(write, new Uint8Array(8));
  seen.push(...ring.wait(2));
  expect(byUserData(seen)).toEqual(
    [[1n, 0], [2n, 0], [3n, 0], [4n, 0], [5n, 4], [6n, abi.POLLIN], [7n, -abi.EBADF], [8n, -abi.EINVAL]]);
  expect(seen.every(({ flags }) => (flags & abi.IORING_CQE_F_MORE) === 0)).toBe(true);
  // And nothing comes after.
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
});

onBoth("[submit.result-in-cqe] errors are in the CQE, and the call counts the request as any other", (on) => {
  const ring = on.ring();
  const { addr } = on.buffer(8);
  const one = (sqe: SqeFields): [number, [bigint, number][]] => [ring.submit(sqe), pairs(ring.wait(1))];
  expect(one({ opcode: abi.IORING_OP_READ, fd: 1_000_000, addr, len: 8, userData: 1n })).toEqual([1, [[1n, -abi.EBADF]]]);
  expect(one({ opcode: 255, userData: 2n })).toEqual([1, [[2n, -abi.EINVAL]]]);
  expect(one({ opcode: abi.IORING_OP_READ, fd: on.file(5), addr, len: 8, userData: 3n })).toEqual([1, [[3n, 5]]]);
});

onBoth("[submit.inline-order] NOPs of one call, in the order of submission", (on) => {
  const ring = on.ring(64);
  const all = Array.from({ length: 64 }, (_, i) => BigInt((i * 37) % 64));
  expect(ring.submit(...all.map((userData) => nop(userData)))).toBe(64);
  expect(ring.reap().map(({ userData }) => userData)).toEqual(all);
});
