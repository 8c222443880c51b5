// Chapter rw: offsets that overflow, and files that don't wait.
import { abi, expect, onBoth, type SqeFields } from "./on-both.ts";

const read = (userData: bigint, fd: number, addr: bigint, more: Partial<SqeFields> = {}): SqeFields => ({
  opcode: abi.IORING_OP_READ, userData, fd, addr, len: 8, ...more,
});

onBoth("[rw.offset-overflows] an offset near 2^63", (on) => {
  const ring = on.ring();
  const pipe = on.pipe();
  const { addr } = on.buffer(8);
  on.kernel.system.write(pipe.write, new Uint8Array(16));
  const off = 0x7fff_ffff_ffff_ffffn;
  expect(ring.results(read(1n, pipe.read, addr, { off }))).toEqual([[1n, -abi.EINVAL]]);
  expect(ring.results(read(2n, on.file(16), addr, { off }))).toEqual([[2n, -abi.EINVAL]]);
  expect(ring.results(read(3n, pipe.read, addr, { off: off - 8n }))).toEqual([[3n, 8]]);
});

onBoth("[rw.nonblock-fails-on-worker] [rw.nonblock-still-waits] woken too often in vain", (on) => {
  const ring = on.ring(256);
  const pipe = on.kernel.system.pipe(abi.O_NONBLOCK);
  if (typeof pipe === "number") throw new Error(`pipe: ${pipe}`);
  const { addr } = on.buffer(8);
  ring.submit(...Array.from({ length: 140 }, (_, i) => read(BigInt(i + 1), pipe.read, addr, { len: 1 })));
  const results: number[] = [];
  for (let i = 0; i < 132; i++) {
    on.kernel.system.write(pipe.write, new Uint8Array(1));
    ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
    results.push(...ring.reap().map(({ res }) => res));
  }
  results.push(...ring.wait(140 - results.length).map(({ res }) => res));
  expect(results).toHaveLength(140);
  expect(new Set(results)).toEqual(new Set([1, -abi.EAGAIN]));
});

onBoth("[rw.bad-vector] 1024 parts, and one more", (on) => {
  const part = { addr: on.buffer(4).addr, len: 1 };
  for (const [count, result] of [[1024, 16], [1025, -abi.EINVAL]] as const) {
    const addr = on.iovec(...Array.from({ length: count }, () => part));
    expect(on.ring().results({ opcode: abi.IORING_OP_READV, fd: on.file(16, `parts${count}`), addr, len: count, userData: 1n })).toEqual([[1n, result]]);
  }
});

onBoth("[rw.result-count] a pipe keeps the whole pages in front of the part that faults", (on) => {
  const page = on.kernel.memory.alloc(4096, 4096);
  const bad = { addr: on.kernel.memory.faultAddress, len: 10 };
  for (const [parts, result] of [[[{ addr: page.addr, len: 4096 }, bad], 4096], [[bad], -abi.EFAULT]] as const) {
    const pipe = on.pipe();
    expect(on.ring().results({ opcode: abi.IORING_OP_WRITEV, fd: pipe.write, addr: on.iovec(...parts), len: parts.length, userData: 1n })).toEqual([[1n, result]]);
  }
});
