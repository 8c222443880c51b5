// Chapters register and enter: memory that is registered with a ring, and waits by an entry of it.
import type { Region } from "../../../src/kernel.ts";
import { MEM_REGION_REG, REG_WAIT, REGION_DESC } from "../../../src/spec/codec.gen.ts";
import { abi, type Bench, expect, onBoth, type TestRing } from "./on-both.ts";

const PAGE = 4096;
const MS = 1_000_000n;
const { IORING_REGISTER_MEM_REGION: REGISTER, IORING_SETUP_R_DISABLED: DISABLED } = abi;
const WAITS = abi.IORING_ENTER_GETEVENTS | abi.IORING_ENTER_EXT_ARG | abi.IORING_ENTER_EXT_ARG_REG;
const NOP = { opcode: abi.IORING_OP_NOP, userData: 1n };

interface Wanted {
  readonly addr?: bigint;
  readonly size?: bigint;
  readonly type?: number;
  readonly id?: number;
  readonly offset?: bigint;
  readonly descReserved?: number;
  readonly flags?: bigint;
  readonly reserved?: number;
  readonly desc?: bigint;
}

const view = ({ bytes }: Region): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

/** Registers a region as wanted; what is left out is right for user memory at `addr`. The description comes back too. */
function register(on: Bench, ring: TestRing, wanted: Wanted): [result: number, desc: DataView] {
  const { addr = 0n, size = BigInt(PAGE), type = abi.IORING_MEM_REGION_TYPE_USER, id = 0, offset = 0n, descReserved = 0 } = wanted;
  const desc = on.buffer(REGION_DESC.size);
  const to = view(desc);
  to.setBigUint64(REGION_DESC.user_addr, addr, true);
  to.setBigUint64(REGION_DESC.size_, size, true);
  to.setUint32(REGION_DESC.flags, type, true);
  to.setUint32(REGION_DESC.id, id, true);
  to.setBigUint64(REGION_DESC.mmap_offset, offset, true);
  to.setUint32(REGION_DESC.__resv + 24, descReserved, true);
  const reg = on.buffer(MEM_REGION_REG.size);
  view(reg).setBigUint64(MEM_REGION_REG.region_uptr, wanted.desc ?? desc.addr, true);
  view(reg).setBigUint64(MEM_REGION_REG.flags, wanted.flags ?? BigInt(abi.IORING_MEM_REGION_REG_WAIT_ARG), true);
  view(reg).setUint32(MEM_REGION_REG.__resv + 8, wanted.reserved ?? 0, true);
  return [ring.ring.register(REGISTER, reg.addr, 1), to];
}

interface Entry {
  readonly ns?: bigint;
  readonly seconds?: bigint;
  readonly minWaitUs?: number;
  readonly flags?: number;
  readonly sigmask?: bigint;
  readonly sigmaskBytes?: number;
  readonly pad?: number;
}

/** A ring with a wait region of `pages` pages, enabled. */
class Waiting {
  readonly ring: TestRing;
  readonly region: Region;
  private readonly on: Bench;

  constructor(on: Bench, pages = 1) {
    this.on = on;
    this.ring = on.ring(8, { flags: DISABLED });
    this.region = on.kernel.memory.alloc(pages * PAGE, PAGE);
    expect(register(on, this.ring, { addr: this.region.addr, size: BigInt(pages * PAGE) })[0]).toBe(0);
    expect(this.ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0)).toBe(0);
  }

  write(offset: number, { ns = 0n, seconds = 0n, minWaitUs = 0, flags = abi.IORING_REG_WAIT_TS, sigmask = 0n, sigmaskBytes = 0, pad = 0 }: Entry): this {
    const to = view(this.region);
    to.setBigInt64(offset + REG_WAIT.ts, seconds, true);
    to.setBigInt64(offset + REG_WAIT.ts + 8, ns, true);
    to.setUint32(offset + REG_WAIT.min_wait_usec, minWaitUs, true);
    to.setUint32(offset + REG_WAIT.flags, flags, true);
    to.setBigUint64(offset + REG_WAIT.sigmask, sigmask, true);
    to.setUint32(offset + REG_WAIT.sigmask_sz, sigmaskBytes, true);
    to.setUint32(offset + REG_WAIT.pad, pad, true);
    to.setUint32(offset + REG_WAIT.pad2, pad, true);
    return this;
  }

  enter(offset: number | bigint, wanted = 1, flags = WAITS, size: number = REG_WAIT.size): number {
    return this.ring.ring.enter(0, wanted, flags, { addr: BigInt(offset), size });
  }

  /** What the wait returned, and how many milliseconds it took. */
  timed(offset: number, wanted = 1, flags = WAITS): [result: number, ms: number] {
    const from = this.on.kernel.nowNs();
    const result = this.enter(offset, wanted, flags);
    return [result, Number((this.on.kernel.nowNs() - from) / MS)];
  }
}

onBoth("[register.mem-region] one region a ring", (on) => {
  const ring = on.ring(4, { flags: DISABLED });
  const { addr } = on.kernel.memory.alloc(PAGE, PAGE);
  expect(register(on, ring, { addr })[0]).toBe(0);
  expect(register(on, ring, { addr })[0]).toBe(-abi.EBUSY);
  // That is said before the argument is looked at.
  expect(ring.ring.register(REGISTER, on.kernel.memory.faultAddress, 1)).toBe(-abi.EBUSY);
  expect(register(on, on.ring(4, { flags: DISABLED }), { addr })[0]).toBe(0);
});

onBoth("[register.mem-region-argument] what the call refuses", (on) => {
  const ring = on.ring(4, { flags: DISABLED });
  const { addr } = on.kernel.memory.alloc(PAGE, PAGE);
  const reg = on.buffer(MEM_REGION_REG.size);
  view(reg).setBigUint64(MEM_REGION_REG.region_uptr, on.buffer(REGION_DESC.size).addr, true);
  expect([0, 2].map((count) => ring.ring.register(REGISTER, reg.addr, count))).toEqual([-abi.EINVAL, -abi.EINVAL]);
  expect(ring.ring.register(REGISTER, null, 1)).toBe(-abi.EINVAL);
  expect(ring.ring.register(REGISTER, on.kernel.memory.faultAddress, 1)).toBe(-abi.EFAULT);
  expect(register(on, ring, { addr, desc: on.kernel.memory.faultAddress })[0]).toBe(-abi.EFAULT);
  expect(register(on, ring, { addr, reserved: 1 })[0]).toBe(-abi.EINVAL);
  for (const flags of [2n, 3n, 1n << 63n]) expect(register(on, ring, { addr, flags })[0]).toBe(-abi.EINVAL);
  // The description is read before the flags are looked at.
  expect(register(on, ring, { flags: 2n, desc: on.kernel.memory.faultAddress })[0]).toBe(-abi.EFAULT);
  expect(register(on, ring, { addr })[0]).toBe(0);
});

onBoth("[register.mem-region-disabled] a region for waits, before the ring is enabled", (on) => {
  const { addr } = on.kernel.memory.alloc(PAGE, PAGE);
  expect(register(on, on.ring(), { addr })[0]).toBe(-abi.EINVAL);
  expect(register(on, on.ring(), { addr, flags: 0n })[0]).toBe(0);
  expect(register(on, on.ring(4, { flags: DISABLED }), { addr, flags: 0n })[0]).toBe(0);
  const enabled = on.ring(4, { flags: DISABLED });
  enabled.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0);
  expect(register(on, enabled, { addr })[0]).toBe(-abi.EINVAL);
});

onBoth("[register.mem-region-memory] which memory", (on) => {
  const ring = on.ring(4, { flags: DISABLED });
  const { addr } = on.kernel.memory.alloc(2 * PAGE, PAGE);
  const refused = (wanted: Wanted): number => register(on, ring, { addr, ...wanted })[0];
  expect([refused({ type: 0 }), refused({ addr: 0n })]).toEqual([-abi.EFAULT, -abi.EFAULT]);
  expect([refused({ type: 3 }), refused({ descReserved: 1 }), refused({ id: 1 }), refused({ offset: 4096n })]).toEqual(Array(4).fill(-abi.EINVAL));
  expect([refused({ size: 0n }), refused({ size: 4095n }), refused({ addr: addr + 8n })]).toEqual(Array(3).fill(-abi.EINVAL));
  expect([refused({ size: 1n << 43n }), refused({ size: 1n << 63n })]).toEqual([-abi.E2BIG, -abi.E2BIG]);
  expect(refused({ addr: (1n << 64n) - 4096n, size: 1n << 33n })).toBe(-abi.EOVERFLOW);
  expect(refused({ addr: on.kernel.memory.faultAddress })).toBe(-abi.EFAULT);
  // The address and its flag are compared before the size is looked at.
  expect(refused({ addr: 0n, size: 0n })).toBe(-abi.EFAULT);
  const [result, desc] = register(on, ring, { addr, size: 8192n });
  expect([result, desc.getBigUint64(REGION_DESC.mmap_offset, true)]).toEqual([0, 0n]);
});

onBoth("[register.mem-region-kernel] memory of the kernel's", (on) => {
  const ring = on.ring(4, { flags: DISABLED });
  const [result, desc] = register(on, ring, { type: 0, size: 8192n });
  expect([result, desc.getBigUint64(REGION_DESC.mmap_offset, true)]).toEqual([0, 0x2000_0000n]);
  ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0);
  // All zero: no time, no mask, no flags.
  expect(ring.enter(0, 0, WAITS, { addr: 64n, size: REG_WAIT.size })).toBe(0);
  expect(ring.enter(0, 0, WAITS, { addr: 8192n, size: REG_WAIT.size })).toBe(-abi.EFAULT);
});

onBoth("[enter.reg-wait-region] a ring whose region is not for waits", (on) => {
  const ring = on.ring();
  const { addr } = on.kernel.memory.alloc(PAGE, PAGE);
  expect(register(on, ring, { addr, flags: 0n })[0]).toBe(0);
  expect(ring.enter(0, 0, WAITS, { addr: 0n, size: REG_WAIT.size })).toBe(-abi.EFAULT);
});

onBoth("[enter.reg-wait-offset] [enter.reg-wait-size] where an entry may be", (on) => {
  const to = new Waiting(on).write(0, { ns: MS }).write(72, { ns: 3n * MS });
  expect(to.timed(0)[0]).toBe(-abi.ETIME);
  const [result, ms] = to.timed(72);
  expect([result, ms >= 3]).toEqual([-abi.ETIME, true]);
  for (const offset of [4, 1, PAGE - 56, PAGE, 1n << 40n, (1n << 64n) - 8n, (1n << 64n) - 64n]) expect(to.enter(offset), `${offset}`).toBe(-abi.EFAULT);
  for (const size of [0, 24, 63, 65]) expect(to.enter(0, 1, WAITS, size)).toBe(-abi.EINVAL);
  // The size is looked at first.
  expect(to.enter(4, 1, WAITS, 24)).toBe(-abi.EINVAL);
});

onBoth("[enter.reg-wait-last] the last entry of a region", (on) => {
  for (const pages of [1, 2]) {
    const to = new Waiting(on, pages).write(0, { ns: MS }).write(pages * PAGE - 128, { ns: 60n * MS }).write(pages * PAGE - 64, { ns: 500n * MS });
    expect(to.timed(pages * PAGE - 128)[1]).toBeGreaterThanOrEqual(60);
    const [result, ms] = to.timed(pages * PAGE - 64);
    expect(result).toBe(-abi.ETIME);
    expect(ms).toBeLessThan(400);
    to.write(0, { flags: 2 });
    expect(to.enter(pages * PAGE - 64)).toBe(-abi.EINVAL);
  }
});

onBoth("[enter.reg-wait-entry] a time, and none", (on) => {
  const to = new Waiting(on);
  expect(to.write(64, { ns: 5n * MS, pad: 7 }).timed(64)).toEqual([-abi.ETIME, expect.toSatisfy((ms: number) => ms >= 5)]);
  // What is written now is read by the next call. Neither its sign nor its nanoseconds are checked.
  expect(to.write(64, { seconds: -1n }).timed(64)[0]).toBe(-abi.ETIME);
  expect(to.write(64, { ns: 1_100n * MS }).timed(64)[1]).toBeGreaterThanOrEqual(1100);
  // They are added to the seconds, below zero too.
  expect(to.write(64, { seconds: 5n, ns: -4_990n * MS }).timed(64)).toEqual([-abi.ETIME, expect.toSatisfy((ms: number) => ms >= 10 && ms < 4000)]);
  const until = on.kernel.nowNs() + 8n * MS;
  expect(to.write(64, { ns: until }).enter(64, 1, WAITS | abi.IORING_ENTER_ABS_TIMER)).toBe(-abi.ETIME);
  expect(on.kernel.nowNs()).toBeGreaterThanOrEqual(until);
  // Without the flag there is none: the wait ends where that for all does, neither before nor after.
  expect(to.write(64, { flags: 0, seconds: 5n, minWaitUs: 2000 }).timed(64)).toEqual([-abi.ETIME, expect.toSatisfy((ms: number) => ms >= 2 && ms < 4000)]);
});

onBoth("[enter.reg-wait-entry] [enter.min-wait-alone] [enter.min-wait-then-any] the time in which all is waited for", (on) => {
  const to = new Waiting(on);
  const [alone, aloneMs] = to.write(128, { flags: 0, minWaitUs: 7000 }).timed(128);
  expect([alone, aloneMs >= 7]).toEqual([-abi.ETIME, true]);
  to.ring.submit(NOP);
  const [some, someMs] = to.write(128, { seconds: 5n, minWaitUs: 20_000 }).timed(128, 2);
  expect([some, someMs >= 20, someMs < 2000]).toEqual([0, true, true]);
});

onBoth("[enter.reg-wait-entry] [enter.sigmask-checked] [enter.sigmask-when-waiting] a signal mask", (on) => {
  const to = new Waiting(on);
  const sigmask = on.kernel.memory.faultAddress;
  expect(to.write(0, { ns: MS, sigmask, sigmaskBytes: 8 }).enter(0)).toBe(-abi.EFAULT);
  expect(to.write(0, { ns: MS, sigmask, sigmaskBytes: 4 }).enter(0)).toBe(-abi.EINVAL);
  expect(to.enter(0, 0)).toBe(0);
  expect(to.write(0, { ns: MS, sigmask: on.buffer(8).addr, sigmaskBytes: 8 }).enter(0)).toBe(-abi.ETIME);
});

onBoth("[enter.reg-wait-flags] flags that nobody knows", (on) => {
  const to = new Waiting(on);
  to.ring.submit(NOP);
  for (const flags of [2, 3, 0x8000_0000, 0x8000_0001])
    expect([to.write(0, { ns: MS, flags }).enter(0), to.enter(0, 0)], `${flags}`).toEqual([-abi.EINVAL, -abi.EINVAL]);
  expect(to.write(0, { flags: 0, minWaitUs: 1000 }).enter(0)).toBe(0);
  // An error of the wait is not told where something was submitted.
  to.write(0, { flags: 2 }).ring.push(NOP);
  expect(to.ring.ring.enter(1, 1, WAITS, { addr: 0n, size: REG_WAIT.size })).toBe(1);
});

onBoth("[iopoll.argument] a ring that is polled takes no entry", (on) => {
  const ring = on.ring(4, { flags: DISABLED | abi.IORING_SETUP_IOPOLL });
  const { addr } = on.kernel.memory.alloc(PAGE, PAGE);
  expect(register(on, ring, { addr })[0]).toBe(0);
  ring.ring.register(abi.IORING_REGISTER_ENABLE_RINGS, null, 0);
  expect(ring.enter(0, 0, WAITS, { addr: 0n, size: REG_WAIT.size })).toBe(-abi.EINVAL);
});
