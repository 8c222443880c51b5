// The real kernel's port: what works, what is refused, what is given back. The table of every native
// call with wrong arguments is in native-misuse.test.ts.
import { closeSync, existsSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { afterEach, expect, test } from "vitest";
import type { TestContext } from "vitest";
import * as abi from "../../src/spec/constants.gen.ts";
import type { LinuxKernel, RealKernelOptions } from "../../src/real/linux-kernel.ts";
import { KernelError } from "../../src/kernel.ts";
import type { Ring } from "../../src/kernel.ts";
import { publish, realOrSay, reap, waitFor } from "./real.ts";

const open: LinuxKernel[] = [];
function real(context: TestContext, options?: RealKernelOptions): LinuxKernel {
  const kernel = realOrSay(context, options);
  open.push(kernel);
  return kernel;
}
afterEach(() => {
  for (const kernel of open.splice(0)) kernel.close();
});

test("a NOP goes through mapped memory and comes back", (context) => {
  const ring = real(context).setup(4);
  publish(ring, { opcode: abi.IORING_OP_NOP, userData: 0xaaaan });
  expect(ring.enter(1, 0, 0)).toBe(1);
  expect(reap(ring)).toEqual([{ userData: 0xaaaan, res: 0 }]);
});

test("the profile is what the kernel says", (context) => {
  const { profile } = real(context);
  expect(profile.release).toBe(readFileSync("/proc/sys/kernel/osrelease", "utf8").trim());
  expect(profile.opcodes).toContain(abi.IORING_OP_NOP);
  expect(profile.setupFlags & abi.IORING_SETUP_CQSIZE).not.toBe(0);
});

test("a READ into the fault page completes with EFAULT", (context) => {
  const kernel = real(context);
  const fd = kernel.system.open("file", abi.O_CREAT | abi.O_RDWR);
  expect(kernel.system.pwrite(fd, new Uint8Array(64).fill(7), 0)).toBe(64);
  const ring = kernel.setup(4);
  publish(ring, { opcode: abi.IORING_OP_READ, fd, addr: kernel.memory.faultAddress, len: 64, userData: 0xfa017n });
  expect(ring.enter(1, 0, 0)).toBe(1);
  waitFor(kernel, ring, 1);
  expect(reap(ring)).toEqual([{ userData: 0xfa017n, res: -abi.EFAULT }]);
});

test("two profiles of one kernel agree", (context) => {
  expect(real(context).profile).toEqual(real(context).profile);
});

test("what the kernel refuses at setup is a KernelError with its errno", (context) => {
  const kernel = real(context);
  for (const [entries, params] of [[0, {}], [65536, {}], [1, { flags: 1 << 31 >>> 0 }], [1, { resv: [1, 0, 0] as const }]] as const) {
    expect(() => kernel.setup(entries, params)).toThrow(expect.objectContaining({ call: "io_uring_setup", errno: abi.EINVAL }));
  }
  expect(() => kernel.setup(1, { flags: abi.IORING_SETUP_ATTACH_WQ, wqFd: 1 })).toThrow(KernelError);
});

test("every ring shape is mapped to its full length", (context) => {
  const kernel = real(context);
  for (const flags of [0, abi.IORING_SETUP_SQE128, abi.IORING_SETUP_CQE32, abi.IORING_SETUP_NO_SQARRAY, abi.IORING_SETUP_CQE_MIXED]) {
    if ((kernel.profile.setupFlags & flags) !== flags) continue;
    const ring = kernel.setup(256, { flags });
    // The last byte of each mapping is there.
    for (const bytes of [ring.sqRing, ring.cqRing, ring.sqes]) bytes[bytes.length - 1] = 1;
    expect(ring.sqes.length).toBe(256 * (flags === abi.IORING_SETUP_SQE128 ? 128 : 64));
    expect(ring.cqRing.length).toBeGreaterThanOrEqual(ring.params.cqOff.cqes + 512 * (flags === abi.IORING_SETUP_CQE32 ? 32 : 16));
    ring.close();
  }
});

test("close detaches every view and is idempotent; a later use throws and says why", async (context) => {
  const kernel = real(context);
  const ring = kernel.setup(4);
  const view = new DataView(ring.cqRing.buffer);
  ring.close();
  ring.close();
  expect(ring.closed).toBe(true);
  expect([ring.sqRing.length, ring.cqRing.length, ring.sqes.length]).toEqual([0, 0, 0]);
  expect(() => view.getUint32(0)).toThrow(TypeError);
  expect(() => ring.enter(0, 0, 0)).toThrow(/ring is closed; set up another/);
  expect(() => ring.register(abi.IORING_REGISTER_PROBE, null, 0)).toThrow(/ring is closed/);
  expect(await ring.ready()).toBe("closed");
});

test("closing the kernel closes its rings, its descriptors and its memory, and removes its directory", (context) => {
  const kernel = real(context);
  const ring = kernel.setup(4);
  const region = kernel.memory.alloc(64);
  const fd = kernel.system.open("file", abi.O_CREAT | abi.O_RDWR);
  expect(existsSync(`${kernel.directory}/file`)).toBe(true);
  expect(readlinkSync(`/proc/self/fd/${fd}`)).toContain(kernel.directory);
  kernel.close();
  kernel.close();
  expect([ring.closed, region.bytes.length, existsSync(kernel.directory), existsSync(`/proc/self/fd/${fd}`)]).toEqual([true, 0, false, false]);
  expect(() => kernel.setup(1)).toThrow(/kernel is closed/);
  expect(() => kernel.memory.alloc(1)).toThrow(/kernel is closed/);
  expect(() => kernel.system.eventfd(0)).toThrow(/kernel is closed/);
});

test("a wait without a bound is refused, unless the kernel was opened for it", (context) => {
  const bounded = real(context).setup(4);
  expect(() => bounded.enter(0, 1, abi.IORING_ENTER_GETEVENTS)).toThrow(/unboundedWaits/);
  const kernel = real(context);
  const ring = kernel.setup(4);
  const arg = kernel.memory.alloc(24); // its ts is null: no timeout
  const flags = abi.IORING_ENTER_GETEVENTS | abi.IORING_ENTER_EXT_ARG;
  expect(() => ring.enter(0, 1, flags, { addr: arg.addr, size: 24 })).toThrow(/unboundedWaits/);
  expect(() => ring.enter(0, 0, abi.IORING_ENTER_SQ_WAIT)).toThrow(/unboundedWaits/);
  expect(ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS)).toBe(0);
  const free = real(context, { unboundedWaits: true }).setup(4);
  publish(free, { opcode: abi.IORING_OP_NOP });
  expect(free.enter(1, 1, abi.IORING_ENTER_GETEVENTS)).toBe(1);
});

test("close has ended what a hard link starts once the request before it is cancelled", (context) => {
  const kernel = real(context);
  const { memory, system } = kernel;
  const { addr } = memory.alloc(64);
  for (let i = 0; i < 50; i++) {
    const ring = kernel.setup(8);
    const pipe = system.pipe();
    if (typeof pipe === "number") throw new Error(`pipe: ${pipe}`);
    const read = { opcode: abi.IORING_OP_READ, fd: pipe.read, addr, len: 64 };
    for (const flags of [abi.IOSQE_IO_HARDLINK, abi.IOSQE_IO_HARDLINK, abi.IOSQE_IO_HARDLINK | abi.IOSQE_ASYNC, 0]) publish(ring, { ...read, flags });
    expect(ring.enter(4, 0, 0)).toBe(4);
    ring.close();
    // A request that was left would still hold the end that reads.
    system.close(pipe.read);
    expect(system.write(pipe.write, new Uint8Array(1)), `ring ${i}`).toBe(-abi.EPIPE);
    system.close(pipe.write);
  }
});

test("reads and writes never block: what would wait for a peer is EAGAIN", (context) => {
  const { system } = real(context);
  const pipe = system.pipe();
  if (typeof pipe === "number") throw new Error(`pipe: ${pipe}`);
  expect(system.read(pipe.read, new Uint8Array(1))).toBe(-abi.EAGAIN);
  const block = new Uint8Array(1 << 20);
  expect(system.write(pipe.write, block)).toBe(65536);
  expect(system.write(pipe.write, block)).toBe(-abi.EAGAIN);
  expect(system.read(pipe.read, new Uint8Array(70000))).toBe(65536);
  system.close(pipe.read);
  expect(system.write(pipe.write, block)).toBe(-abi.EPIPE);
  const event = system.eventfd(0);
  const word = new Uint8Array(8);
  expect(system.read(event, word)).toBe(-abi.EAGAIN);
  expect(system.write(event, word.fill(0xff, 0, 7))).toBe(8);
  expect(system.write(event, new Uint8Array(8).fill(0xff, 0, 7).fill(0xff, 7).fill(0xfe, 0, 1))).toBe(-abi.EAGAIN);
  expect(system.read(event, word)).toBe(8);
});

test("adopt takes what a completion handed out, disown gives it up, and a number that was reused is not ours", (context) => {
  const { system } = real(context);
  const other = real(context);
  const fd = openSync("/tmp", "r");
  expect(system.owns(fd)).toBe(false);
  expect(system.adopt(fd)).toBe(0);
  expect(system.owns(fd)).toBe(true);
  expect(other.system.owns(fd)).toBe(false);
  system.disown(fd);
  expect(system.close(fd)).toBe(-abi.EBADF);
  expect(system.adopt(fd)).toBe(0);
  closeSync(fd); // behind the port's back, as an SQE may
  const next = openSync("/etc/hostname", "r");
  expect(next).toBe(fd);
  expect(system.owns(next)).toBe(false);
  expect(system.close(next)).toBe(-abi.EBADF);
  closeSync(next);
});

test("memory is zeroed, aligned, disjoint, and reused after free", (context) => {
  const { memory } = real(context);
  const regions = Array.from({ length: 64 }, (_, index) => memory.alloc(index * 7, 2 ** (index % 13)));
  for (const [index, region] of regions.entries()) {
    expect(region.addr % BigInt(2 ** (index % 13))).toBe(0n);
    expect(region.bytes.every((byte) => byte === 0)).toBe(true);
    region.bytes.fill(index + 1);
  }
  for (const [index, region] of regions.entries()) expect(region.bytes.every((byte) => byte === index + 1)).toBe(true);
  for (const region of regions) memory.free(region);
  const [first] = regions;
  expect(() => memory.free(first ?? memory.alloc(1))).toThrow(/freed already/);
  const whole = memory.alloc(1 << 20);
  expect(whole.bytes.every((byte) => byte === 0)).toBe(true);
  expect(memory.alloc(5 << 20).bytes.length).toBe(5 << 20);
  for (const [size, align] of [[-1, 8], [1.5, 8], [2 ** 31, 8], [1, 3], [1, 0], [NaN, 8]] as const) {
    expect(() => memory.alloc(size, align)).toThrow(RangeError);
  }
});

/** Arms a timer of `ns` on the ring. */
function armTimer(kernel: LinuxKernel, ring: Ring, ns: bigint): void {
  const time = kernel.memory.alloc(16);
  new DataView(time.bytes.buffer, time.bytes.byteOffset).setBigInt64(8, ns, true);
  publish(ring, { opcode: abi.IORING_OP_TIMEOUT, addr: time.addr, len: 1, userData: 0x71e0n });
  expect(ring.enter(1, 0, 0)).toBe(1);
}

/** ready() until a completion is there, as a driver does it. */
async function awaitOne(kernel: LinuxKernel, ring: Ring): Promise<number> {
  for (let wakes = 0; ; wakes++) {
    if ((ring.params.flags & abi.IORING_SETUP_DEFER_TASKRUN) !== 0) ring.enter(0, 0, abi.IORING_ENTER_GETEVENTS);
    if (reap(ring).length > 0) return wakes;
    expect(await ring.ready({ timeoutNs: 5_000_000_000n })).toBe("ready");
    expect(kernel.nowNs()).toBeGreaterThan(0n);
  }
}

for (const [name, flags] of [
  ["default", 0],
  ["COOP_TASKRUN", abi.IORING_SETUP_COOP_TASKRUN],
  ["DEFER_TASKRUN", abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN],
  ["DEFER_TASKRUN and TASKRUN_FLAG", abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_TASKRUN_FLAG],
] as const) {
  test(`ready() misses nothing on a ${name} ring`, async (context) => {
    const kernel = real(context);
    const ring = kernel.setup(8, { flags });
    let wakes = 0;
    for (let round = 0; round < 300; round++) {
      // From before the wait begins to well into it.
      armTimer(kernel, ring, BigInt(round % 50) * 10_000n);
      wakes += await awaitOne(kernel, ring);
    }
    expect(wakes).toBeGreaterThan(100);
    // Spurious wake-ups are allowed; spinning is not.
    expect(wakes).toBeLessThan(1_000);
  });
}

test("ready() with completions that nobody takes waits for news", async (context) => {
  const kernel = real(context);
  const ring = kernel.setup(4);
  publish(ring, { opcode: abi.IORING_OP_NOP });
  ring.enter(1, 0, 0);
  expect(await ring.ready()).toBe("ready");
  const outcomes = [];
  for (let index = 0; index < 3; index++) outcomes.push(await ring.ready({ timeoutNs: 5_000_000n }));
  expect(outcomes).toEqual(["timeout", "timeout", "timeout"]);
  publish(ring, { opcode: abi.IORING_OP_NOP });
  ring.enter(1, 0, 0);
  expect(await ring.ready({ timeoutNs: 1_000_000_000n })).toBe("ready");
});

test("ready() times out never early, rejects on abort, and resolves closed", async (context) => {
  const kernel = real(context);
  const ring = kernel.setup(4);
  expect(await ring.ready()).toBe("ready"); // the first look
  const start = kernel.nowNs();
  expect(await ring.ready({ timeoutNs: 20_500_000n })).toBe("timeout");
  expect(kernel.nowNs() - start).toBeGreaterThanOrEqual(20_500_000n);
  const abort = new AbortController();
  const aborted = ring.ready({ signal: abort.signal });
  abort.abort(new Error("enough"));
  await expect(aborted).rejects.toThrow("enough");
  await expect(ring.ready({ signal: abort.signal })).rejects.toThrow("enough");
  const pending = ring.ready();
  await expect(ring.ready()).rejects.toThrow(/one at a time/);
  ring.close();
  expect(await pending).toBe("closed");
});

test("a program's own eventfd finds the ring as if ready() had never been", async (context) => {
  const kernel = real(context);
  const ring = kernel.setup(4);
  await ring.ready();
  const event = kernel.system.eventfd(0);
  const arg = kernel.memory.alloc(4);
  new DataView(arg.bytes.buffer, arg.bytes.byteOffset).setInt32(0, event, true);
  expect(ring.register(abi.IORING_UNREGISTER_EVENTFD, null, 0)).toBe(-abi.ENXIO);
  await ring.ready();
  const pending = ring.ready();
  expect(ring.register(abi.IORING_REGISTER_EVENTFD, arg.addr, 1)).toBe(0);
  expect(await pending).toBe("ready"); // spurious, never lost
  await expect(ring.ready()).rejects.toMatchObject({ errno: abi.EBUSY });
  expect(ring.register(abi.IORING_UNREGISTER_EVENTFD, null, 0)).toBe(0);
  expect(await ring.ready()).toBe("ready");
});
