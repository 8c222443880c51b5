// Chapter link.
import type { Bench, SqeFields } from "./on-both.ts";
import { abi, byUserData, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
/** Fails at submission, with EINVAL. */
const refused = (userData: bigint, flags = 0): SqeFields => ({ ...nop(userData, flags), ioprio: 1 });
/** Fails when it is issued, with EBADF. */
const failing = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_READ, fd: -1, userData, flags });

/** A READ of `len` bytes. */
function read(on: Bench, fd: number, len: number, userData: bigint, flags = 0): SqeFields {
  return { opcode: abi.IORING_OP_READ, fd, addr: on.buffer(len).addr, len, userData, flags };
}

function write(on: Bench, fd: number, text: string, userData: bigint, flags = 0): SqeFields {
  const bytes = new TextEncoder().encode(text);
  return { opcode: abi.IORING_OP_WRITE, fd, addr: on.buffer(bytes).addr, len: bytes.length, userData, flags };
}

const put = (on: Bench, fd: number, text: string): number => on.kernel.system.write(fd, new TextEncoder().encode(text));
const take = (on: Bench, fd: number): number => on.kernel.system.read(fd, new Uint8Array(64));

onBoth("[link.collects] a TIMEOUT behind a READ in its chain takes its time from memory before the READ fills that in", (on) => {
  // What the READ brings is a negative time, which a TIMEOUT refuses.
  const bad = new Uint8Array(16).fill(0xff);
  const scripted = (flags: number): [bigint, number][] => {
    const { read: from, write: to } = on.pipe();
    on.kernel.system.write(to, bad);
    const time = on.timespec(0n, 0n);
    const ring = on.ring();
    ring.submit(
      { opcode: abi.IORING_OP_READ, fd: from, addr: time, len: 16, userData: 1n, flags },
      { opcode: abi.IORING_OP_TIMEOUT, addr: time, len: 1, userData: 2n },
    );
    return pairs(ring.wait(2));
  };
  expect(scripted(LINK)).toEqual([[1n, 16], [2n, -abi.ETIME]]);
  expect(scripted(0)).toEqual([[1n, 16], [2n, -abi.EINVAL]]);
});

onBoth("[link.in-sequence] a member waits for the one before it, and what is behind the chain does not", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(ring.submit(read(on, from, 3, 1n, LINK), nop(2n), nop(3n))).toBe(3);
  expect(pairs(ring.reap())).toEqual([[3n, 0]]);
  put(on, to, "abc");
  expect(pairs(ring.wait(2))).toEqual([[1n, 3], [2n, 0]]);
});

onBoth("[link.in-sequence] a WRITE and the READ behind it find each other, in this order alone", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(ring.results(write(on, to, "abc", 1n, LINK), read(on, from, 3, 2n))).toEqual([[1n, 3], [2n, 3]]);
  ring.submit(read(on, from, 3, 3n, LINK), write(on, to, "abc", 4n));
  expect(ring.reap()).toEqual([]);
  put(on, to, "def");
  expect(pairs(ring.wait(2))).toEqual([[3n, 3], [4n, 3]]);
});

onBoth("[link.not-across-submissions] the next call's request does not wait for a chain that was left open", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(ring.submit(read(on, from, 3, 1n, LINK))).toBe(1);
  expect(ring.submit(nop(2n))).toBe(1);
  expect(pairs(ring.reap())).toEqual([[2n, 0]]);
  put(on, to, "abc");
  expect(pairs(ring.wait(1))).toEqual([[1n, 3]]);
});

onBoth("[link.not-across-submissions] a chain that was left open severs nothing of the next call", (on) => {
  const ring = on.ring();
  ring.submit(failing(1n, LINK));
  ring.submit(nop(2n));
  expect(byUserData(ring.wait(2))).toEqual({ 1: -abi.EBADF, 2: 0 });
});

onBoth("[link.unterminated-worker] a READ with RWF_NOWAIT waits where its chain was cut off: it is a worker that runs it", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const nowait = (userData: bigint, flags: number): SqeFields => ({
    ...read(on, from, 3, userData, flags), opFlags: abi.RWF_NOWAIT,
  });
  expect(ring.results(nowait(1n, LINK), nop(2n))).toEqual([[1n, -abi.EAGAIN], [2n, -abi.ECANCELED]]);
  ring.submit(nowait(3n, LINK));
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  put(on, to, "abc");
  expect(pairs(ring.wait(1))).toEqual([[3n, 3]]);
});

onBoth("[link.unterminated-worker] the members of a chain that was cut off run one after the other all the same", (on) => {
  const ring = on.ring();
  ring.submit(nop(1n, LINK), nop(2n, LINK), failing(3n, LINK), nop(4n, LINK));
  expect(pairs(ring.wait(4))).toEqual([[1n, 0], [2n, 0], [3n, -abi.EBADF], [4n, -abi.ECANCELED]]);
});

onBoth("[link.error-severs-chain] what is behind a member that fails is cancelled and does nothing", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(ring.results(nop(1n, LINK), failing(2n, LINK), write(on, to, "abc", 3n, LINK), nop(4n))).toEqual([
    [1n, 0], [2n, -abi.EBADF], [3n, -abi.ECANCELED], [4n, -abi.ECANCELED],
  ]);
  expect(take(on, from)).toBe(-abi.EAGAIN);
  expect(ring.results(nop(1n, LINK), nop(2n, LINK), write(on, to, "abc", 3n, LINK), nop(4n))).toEqual([
    [1n, 0], [2n, 0], [3n, 3], [4n, 0],
  ]);
  expect(take(on, from)).toBe(3);
});

onBoth("[link.short-transfer-severs] a READ of fewer bytes than asked for severs its chain", (on) => {
  const { read: from, write: to } = on.pipe();
  const file = on.file(4);
  const ring = on.ring();
  put(on, to, "abc");
  expect(ring.results(read(on, from, 8, 1n, LINK), nop(2n))).toEqual([[1n, 3], [2n, -abi.ECANCELED]]);
  put(on, to, "abc");
  expect(ring.results(read(on, from, 3, 3n, LINK), nop(4n))).toEqual([[3n, 3], [4n, 0]]);
  expect(ring.results(read(on, file, 5, 5n, LINK), nop(6n))).toEqual([[5n, 4], [6n, -abi.ECANCELED]]);
  expect(ring.results(read(on, file, 4, 7n, LINK), nop(8n))).toEqual([[7n, 4], [8n, 0]]);
});

onBoth("[link.short-transfer-severs] a WRITE of fewer bytes than asked for severs its chain", (on) => {
  const { write: to } = on.pipe();
  // One page is left of sixteen.
  expect(on.kernel.system.write(to, new Uint8Array(15 * 4096))).toBe(15 * 4096);
  const bytes = on.buffer(8192);
  const writes = (len: number): SqeFields => ({ opcode: abi.IORING_OP_WRITE, fd: to, addr: bytes.addr, len, userData: 1n, flags: LINK });
  expect(on.ring().results(writes(8192), nop(2n))).toEqual([[1n, 4096], [2n, -abi.ECANCELED]]);

  const other = on.pipe();
  expect(on.ring().results({ ...writes(8192), fd: other.write }, nop(2n))).toEqual([[1n, 8192], [2n, 0]]);
});

onBoth("[link.zero-length-ok] a READ of nothing leaves its chain intact, one that finds the end of the file does not", (on) => {
  const file = on.file(0);
  const ring = on.ring();
  expect(ring.results(read(on, file, 0, 1n, LINK), nop(2n))).toEqual([[1n, 0], [2n, 0]]);
  expect(ring.results(read(on, file, 1, 3n, LINK), nop(4n))).toEqual([[3n, 0], [4n, -abi.ECANCELED]]);
  const { write: to } = on.pipe();
  expect(ring.results(write(on, to, "", 5n, LINK), nop(6n))).toEqual([[5n, 0], [6n, 0]]);
});

onBoth("[link.cancelled-member-severs] cancelling a member takes all behind it along", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  ring.submit(nop(1n, LINK), read(on, from, 3, 2n, LINK), write(on, to, "abc", 3n, LINK), nop(4n));
  expect(pairs(ring.reap())).toEqual([[1n, 0]]);
  ring.submit({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 2n, userData: 5n });
  expect(byUserData(ring.wait(4))).toEqual({ 2: -abi.ECANCELED, 3: -abi.ECANCELED, 4: -abi.ECANCELED, 5: 0 });
  expect(take(on, from)).toBe(-abi.EAGAIN);
});

onBoth("[link.prep-error-cancels-all] where a member fails at submission those before it are not issued either", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  expect(ring.results(write(on, to, "abc", 1n, LINK), nop(2n, LINK), refused(3n, LINK), nop(4n))).toEqual([
    [1n, -abi.ECANCELED], [2n, -abi.ECANCELED], [3n, -abi.EINVAL], [4n, -abi.ECANCELED],
  ]);
  expect(take(on, from)).toBe(-abi.EAGAIN);
  // Without the link the WRITE is a request of its own.
  expect(ring.results(write(on, to, "abc", 5n), refused(6n))).toEqual([[5n, 3], [6n, -abi.EINVAL]]);
  expect(take(on, from)).toBe(3);
});

onBoth("[link.prep-error-cancels-all] the head and the last member are no exception", (on) => {
  expect(on.ring().results(refused(1n, LINK), nop(2n, LINK), nop(3n))).toEqual([
    [1n, -abi.EINVAL], [2n, -abi.ECANCELED], [3n, -abi.ECANCELED],
  ]);
  expect(on.ring().results(nop(1n, LINK), nop(2n, LINK), refused(3n))).toEqual([
    [1n, -abi.ECANCELED], [2n, -abi.ECANCELED], [3n, -abi.EINVAL],
  ]);
});

onBoth("[link.prep-error-in-chain-goes-on] submission goes on behind a member that links on, and ends behind the last one", (on) => {
  const inside = on.ring();
  expect(inside.submit(nop(1n, LINK), refused(2n, LINK), nop(3n), nop(4n))).toBe(4);
  expect(byUserData(inside.reap())).toEqual({ 1: -abi.ECANCELED, 2: -abi.EINVAL, 3: -abi.ECANCELED, 4: 0 });
  expect(inside.sq("head")).toBe(4);

  const last = on.ring();
  expect(last.submit(nop(1n, LINK), nop(2n, LINK), refused(3n), nop(4n))).toBe(3);
  expect(byUserData(last.reap())).toEqual({ 1: -abi.ECANCELED, 2: -abi.ECANCELED, 3: -abi.EINVAL });
  expect(last.sq("head")).toBe(3);
});

onBoth("[link.successor-after-batch] chains advance side by side, one member each in a batch", (on) => {
  const ring = on.ring();
  expect(ring.results(nop(11n, LINK), nop(12n, LINK), nop(13n), nop(21n, LINK), nop(22n), nop(3n))).toEqual([
    [11n, 0], [21n, 0], [3n, 0], [12n, 0], [22n, 0], [13n, 0],
  ]);
});

onBoth("[link.severed-tail-order] the rest of a severed chain comes in its order, behind the batch", (on) => {
  const ring = on.ring();
  expect(ring.results(failing(1n, LINK), nop(2n, LINK), nop(3n, LINK), nop(4n), nop(5n))).toEqual([
    [1n, -abi.EBADF], [5n, 0], [2n, -abi.ECANCELED], [3n, -abi.ECANCELED], [4n, -abi.ECANCELED],
  ]);
});

onBoth("[link.chain-order] a chain of inline requests, polls and workers' work completes in its order", (on) => {
  const { read: from, write: to } = on.pipe();
  const file = on.file(4);
  const ring = on.ring(16);
  ring.submit(
    nop(1n, LINK),
    read(on, from, 3, 2n, LINK),
    { opcode: abi.IORING_OP_FSYNC, fd: file, userData: 3n, flags: LINK },
    write(on, file, "abcd", 4n, LINK),
    nop(5n, LINK | abi.IOSQE_ASYNC),
    read(on, file, 4, 6n, LINK),
    nop(7n),
  );
  put(on, to, "abc");
  expect(pairs(ring.wait(7))).toEqual([[1n, 0], [2n, 3], [3n, 0], [4n, 4], [5n, 0], [6n, 4], [7n, 0]]);
});

onBoth("[link.successor-on-worker] behind a request that a worker ran a READ with RWF_NOWAIT waits: the worker runs it too", (on) => {
  const { read: from, write: to } = on.pipe();
  const ring = on.ring();
  const nowait = (userData: bigint): SqeFields => ({ ...read(on, from, 3, userData), opFlags: abi.RWF_NOWAIT });
  expect(ring.results(nop(1n, LINK), nowait(2n))).toEqual([[1n, 0], [2n, -abi.EAGAIN]]);
  ring.submit(nop(3n, LINK | abi.IOSQE_ASYNC), nowait(4n));
  expect(pairs(ring.wait(1))).toEqual([[3n, 0]]);
  expect(ring.waitFor(1, 20_000_000n)).toBe(-abi.ETIME);
  put(on, to, "abc");
  expect(pairs(ring.wait(1))).toEqual([[4n, 3]]);
});
