// Chapter openat.
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, atSubmission, expect, onBoth, pairs } from "./on-both.ts";

const LINK = abi.IOSQE_IO_LINK;
/** What a worker does on such a ring is posted in a call with GETEVENTS, what is done inline without one. */
const DEFER = abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER;
const CREATE = abi.O_RDWR | abi.O_CREAT;

const nop = (userData: bigint): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData });
const byUserData = (seen: readonly Seen[]): Map<bigint, number> => new Map(pairs(seen));
const directory = (on: Bench): number => on.kernel.system.open(".", abi.O_RDONLY | abi.O_DIRECTORY);

/** An OPENAT; with O_CREAT of mode 0600. */
function openat(on: Bench, fd: number, path: string, opFlags: number = abi.O_RDONLY, more: Partial<SqeFields> = {}): SqeFields {
  return { opcode: abi.IORING_OP_OPENAT, fd, addr: on.path(path), opFlags, len: 0o600, userData: 1n, ...more };
}

/** The result of an OPENAT that is accepted: what is behind it is submitted. A descriptor is adopted. */
function accepted(on: Bench, sqe: SqeFields): number {
  const ring = on.ring();
  expect(ring.submit(sqe, nop(99n))).toBe(2);
  const seen = ring.wait(2);
  expect(seen.map(({ flags }) => flags)).toEqual([0, 0]);
  const found = byUserData(seen);
  expect(found.get(99n)).toBe(0);
  return adopted(on, found.get(1n));
}

function adopted(on: Bench, fd = -1): number {
  if (fd >= 0) expect(on.kernel.system.adopt(fd)).toBe(0);
  return fd;
}

/** Submits a chain behind a READ that waits, which `go` ends. */
function behindRead(on: Bench, ...sqes: readonly SqeFields[]): { readonly ring: TestRing; readonly go: () => Seen[] } {
  const ring = on.ring();
  const pipe = on.pipe();
  ring.submit({ opcode: abi.IORING_OP_READ, fd: pipe.read, addr: on.buffer(1).addr, len: 1, userData: 90n, flags: LINK }, ...sqes);
  expect(ring.reap()).toEqual([]);
  return {
    ring,
    go: () => {
      expect(on.kernel.system.write(pipe.write, new Uint8Array(1))).toBe(1);
      return ring.wait(1 + sqes.length).filter(({ userData }) => userData !== 90n);
    },
  };
}

onBoth("[openat.result-fd] a new descriptor, of the file and with the flags that were asked for", (on) => {
  const { system } = on.kernel;
  on.file(3);
  const dir = directory(on);
  const first = accepted(on, openat(on, dir, "file"));
  const second = accepted(on, openat(on, dir, "file", abi.O_RDWR));
  expect(first).toBeGreaterThan(2);
  expect(second).toBeGreaterThan(2);
  expect(second).not.toBe(first);
  const into = new Uint8Array(8);
  expect([system.read(first, into), into[0], into[1], into[2]]).toEqual([3, 0, 1, 2]);
  expect(system.write(first, new Uint8Array([9]))).toBe(-abi.EBADF);
  expect(system.write(second, new Uint8Array([9]))).toBe(1);
  expect([system.pread(first, into, 0), into[0]]).toEqual([3, 9]);
  expect(system.close(first)).toBe(0);
  expect(system.read(first, into)).toBe(-abi.EBADF);
});

onBoth("[openat.result-fd] O_CREAT makes a file, O_TRUNC empties one", (on) => {
  const { system } = on.kernel;
  const dir = directory(on);
  expect(accepted(on, openat(on, dir, "made"))).toBe(-abi.ENOENT);
  const made = accepted(on, openat(on, dir, "made", CREATE));
  expect(system.size(made)).toBe(0);
  expect(system.write(made, new Uint8Array(5))).toBe(5);
  expect(system.size(accepted(on, openat(on, dir, "made", CREATE)))).toBe(5);
  expect(system.size(accepted(on, openat(on, dir, "made", abi.O_RDWR | abi.O_TRUNC)))).toBe(0);
  expect(system.size(made)).toBe(0);
});

onBoth("[openat.result-fd] the errors of openat(2)", (on) => {
  const file = on.file(3);
  const dir = directory(on);
  expect(accepted(on, openat(on, dir, "missing"))).toBe(-abi.ENOENT);
  expect(accepted(on, openat(on, -1, "file"))).toBe(-abi.EBADF);
  expect(accepted(on, openat(on, 1_000_000, "file"))).toBe(-abi.EBADF);
  expect(accepted(on, openat(on, file, "file"))).toBe(-abi.ENOTDIR);
  expect(accepted(on, openat(on, on.eventfd(), "file"))).toBe(-abi.ENOTDIR);
  expect(accepted(on, openat(on, dir, "file", abi.O_RDONLY | abi.O_DIRECTORY))).toBe(-abi.ENOTDIR);
  expect(accepted(on, openat(on, dir, "file", CREATE | abi.O_EXCL))).toBe(-abi.EEXIST);
  expect(accepted(on, openat(on, dir, ".", abi.O_RDWR))).toBe(-abi.EISDIR);
  expect(accepted(on, openat(on, dir, ".", CREATE))).toBe(-abi.EISDIR);
  // And none.
  expect(accepted(on, openat(on, dir, ".", abi.O_RDONLY | abi.O_DIRECTORY))).toBeGreaterThan(2);
  expect(accepted(on, openat(on, dir, "other", CREATE | abi.O_EXCL))).toBeGreaterThan(2);
});

onBoth("[openat.lowest-number] the lowest of the free numbers, inline or on a worker", (on) => {
  const { system } = on.kernel;
  const file = on.file(3);
  const dir = directory(on);
  const ring = on.ring();
  // dup fills what is free from 3 on; 0 to 2 are never free.
  const taken = [system.dup(file, 3), system.dup(file, 3), system.dup(file, 3), system.dup(file, 3)];
  expect(taken).toEqual([...taken].sort((a, b) => a - b));
  const [low = -1, , high = -1, last = -1] = taken;
  const open = (opFlags: number, flags = 0): number => {
    const [[, fd] = [0n, -1]] = ring.results(openat(on, dir, "file", opFlags, { flags }));
    return adopted(on, fd);
  };
  expect(system.close(high)).toBe(0);
  expect(system.close(low)).toBe(0);
  expect(open(abi.O_RDONLY)).toBe(low);
  expect(open(abi.O_RDONLY)).toBe(high);
  expect(open(abi.O_RDONLY)).toBeGreaterThan(last);
  expect(system.close(high)).toBe(0);
  expect(system.close(low)).toBe(0);
  expect(open(CREATE)).toBe(low);
  expect(open(abi.O_RDONLY, abi.IOSQE_ASYNC)).toBe(high);
});

onBoth("[openat.lowest-number] what is free when it runs, not when it was submitted", (on) => {
  const { system } = on.kernel;
  const file = on.file(3);
  const dir = directory(on);
  const { go } = behindRead(on, openat(on, dir, "file"));
  const low = system.dup(file, 3);
  const high = system.dup(file, 3);
  expect(high).toBeGreaterThan(low);
  expect(system.close(high)).toBe(0);
  // At submission it was `low`; it is taken since.
  const seen = go();
  expect(pairs(seen)).toEqual([[1n, high]]);
  adopted(on, high);
});

onBoth("[openat.lowest-number] a number that the CLOSE before it in its chain frees", (on) => {
  const { system } = on.kernel;
  const fd = system.dup(on.file(3), 3);
  const dir = directory(on);
  const ring = on.ring();
  ring.submit({ opcode: abi.IORING_OP_CLOSE, fd, userData: 2n, flags: LINK }, openat(on, dir, "file"));
  expect(pairs(ring.wait(2))).toEqual([[2n, 0], [1n, fd]]);
  system.disown(fd);
  adopted(on, fd);
  expect(system.size(fd)).toBe(3);
});

onBoth("[openat.path-copied] an unreadable path and an empty one fail it at submission", (on) => {
  const dir = directory(on);
  for (const opFlags of [abi.O_RDONLY, CREATE]) {
    expect(atSubmission(on, openat(on, dir, "file", opFlags, { addr: on.kernel.memory.faultAddress }))).toBe(-abi.EFAULT);
    expect(atSubmission(on, openat(on, dir, "file", opFlags, { addr: 0n }))).toBe(-abi.EFAULT);
    expect(atSubmission(on, openat(on, dir, "", opFlags))).toBe(-abi.ENOENT);
    // Before its descriptor is looked at.
    expect(atSubmission(on, openat(on, -1, "", opFlags))).toBe(-abi.ENOENT);
  }
  // A path that names nothing is found out later.
  expect(accepted(on, openat(on, dir, "missing"))).toBe(-abi.ENOENT);
});

onBoth("[openat.path-copied] a path that is overwritten after its submission, and before it", (on) => {
  const { system } = on.kernel;
  on.file(3, "three");
  on.file(5, "five5");
  const dir = directory(on);
  const text = (name: string): Uint8Array => new TextEncoder().encode(`${name}\0`);
  for (const opFlags of [abi.O_RDONLY, CREATE]) {
    const path = on.buffer(text("three"));
    const { go } = behindRead(on, openat(on, dir, "", opFlags, { addr: path.addr }));
    path.bytes.set(text("five5"));
    const [seen] = go();
    expect(system.size(adopted(on, seen?.res))).toBe(3);
    const ring = on.ring();
    path.bytes.set(text("three"));
    ring.push(openat(on, dir, "", opFlags, { addr: path.addr }));
    path.bytes.set(text("five5"));
    expect(ring.submit()).toBe(1);
    expect(system.size(adopted(on, ring.wait(1)[0]?.res))).toBe(5);
  }
});

onBoth("[openat.fixed-file-refused] IOSQE_FIXED_FILE", (on) => {
  on.file(3);
  const dir = directory(on);
  const flags = abi.IOSQE_FIXED_FILE;
  expect(atSubmission(on, openat(on, dir, "file", abi.O_RDONLY, { flags }))).toBe(-abi.EBADF);
  expect(atSubmission(on, openat(on, 0, "file", CREATE, { flags }))).toBe(-abi.EBADF);
  // Before its path is looked at.
  expect(atSubmission(on, openat(on, dir, "", abi.O_RDONLY, { flags }))).toBe(-abi.EBADF);
  expect(accepted(on, openat(on, dir, "file"))).toBeGreaterThan(2);
});

onBoth("[openat.create-worker] O_CREAT and O_TRUNC: nothing is done inline, also where it fails", (on) => {
  on.file(3);
  const dir = directory(on);
  const scripted = (sqe: SqeFields): number => {
    const ring = on.ring(8, { flags: DEFER });
    expect(ring.submit(sqe, nop(2n))).toBe(2);
    expect(pairs(ring.reap())).toEqual([[2n, 0]]);
    const seen = ring.wait(1);
    expect(seen.map(({ userData }) => userData)).toEqual([1n]);
    return adopted(on, seen[0]?.res);
  };
  // The path is in the cache.
  expect(accepted(on, openat(on, dir, "file"))).toBeGreaterThan(2);
  expect(scripted(openat(on, dir, "file", CREATE))).toBeGreaterThan(2);
  expect(scripted(openat(on, dir, "file", abi.O_RDWR | abi.O_TRUNC))).toBeGreaterThan(2);
  expect(scripted(openat(on, dir, "file", CREATE | abi.O_TRUNC))).toBeGreaterThan(2);
  expect(scripted(openat(on, dir, "file", CREATE | abi.O_EXCL))).toBe(-abi.EEXIST);
  expect(scripted(openat(on, -1, "file", CREATE))).toBe(-abi.EBADF);
  expect(scripted(openat(on, -1, "file", abi.O_RDWR | abi.O_TRUNC))).toBe(-abi.EBADF);
});

onBoth("[openat.create-directory] O_CREAT with O_DIRECTORY, whatever descriptor and path are", (on) => {
  const file = on.file(3);
  const dir = directory(on);
  const both = abi.O_CREAT | abi.O_DIRECTORY;
  for (const fd of [dir, file, -1])
    for (const path of ["file", "missing", "."])
      expect([fd, path, accepted(on, openat(on, fd, path, both))]).toEqual([fd, path, -abi.EINVAL]);
  // It made nothing.
  expect(accepted(on, openat(on, dir, "missing"))).toBe(-abi.ENOENT);
  expect(accepted(on, openat(on, -1, "file", abi.O_CREAT))).toBe(-abi.EBADF);
  expect(accepted(on, openat(on, -1, "file", abi.O_DIRECTORY))).toBe(-abi.EBADF);
  expect(accepted(on, openat(on, dir, ".", abi.O_DIRECTORY))).toBeGreaterThan(2);
});
