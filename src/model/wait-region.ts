// Memory that is registered with a ring, and the waits whose argument is an offset into it. Follows io_uring/register.c
// (io_register_mem_region), io_uring/memmap.c (io_create_region) and io_uring/io_uring.c (io_get_ext_arg_reg).
import {
  E2BIG, EBUSY, EFAULT, EINVAL, ENOMEM, EOVERFLOW, IORING_MEM_REGION_REG_WAIT_ARG, IORING_MEM_REGION_TYPE_USER, IORING_REG_WAIT_TS,
} from "../spec/constants.gen.ts";
import { MEM_REGION_REG, REG_WAIT, REGION_DESC } from "../spec/codec.gen.ts";
import { lockedPages } from "./buffers.ts";
import type { WaitArg } from "./enter.ts";
import type { Machine } from "./machine.ts";
import { load32, load64, store64 } from "./memory.ts";

export interface MemRegion {
  /** 0n: memory of the kernel's, which this port never maps: all zero. */
  readonly addr: bigint;
  readonly size: number;
  /** Waits may name it. */
  readonly isWaitArg: boolean;
}

const PAGE = 4096n;
const PAGES_MAX = 0x7fff_ffffn;
const U64_END = 1n << 64n;
/** What the application would give to mmap(2). */
const PARAM_REGION_OFFSET = 0x2000_0000n;

/** io_register_mem_region. [register.mem-region] [register.mem-region-argument] */
export function registerMemRegion(m: Machine, addr: bigint, nrArgs: number): number {
  if (addr === 0n || nrArgs !== 1) return -EINVAL;
  if (m.ring.region !== undefined) return -EBUSY;
  const reg = m.memory.read(addr, MEM_REGION_REG.size);
  if (reg === undefined) return -EFAULT;
  const descAt = load64(reg, MEM_REGION_REG.region_uptr);
  const desc = m.memory.read(descAt, REGION_DESC.size);
  if (desc === undefined) return -EFAULT;
  const flags = load64(reg, MEM_REGION_REG.flags);
  if (reg.subarray(MEM_REGION_REG.__resv).some((byte) => byte !== 0)) return -EINVAL;
  if ((flags & ~BigInt(IORING_MEM_REGION_REG_WAIT_ARG)) !== 0n) return -EINVAL;
  const isWaitArg = flags !== 0n;
  // [register.mem-region-disabled]
  if (isWaitArg && !m.ring.disabled) return -EINVAL;
  const region = createRegion(m, desc, isWaitArg);
  if (typeof region === "number") return region;
  // [register.mem-region-kernel]
  if (region.addr === 0n) store64(desc, REGION_DESC.mmap_offset, PARAM_REGION_OFFSET);
  if (!m.memory.write(descAt, desc)) return -EFAULT;
  m.ring.region = region;
  return 0;
}

/** io_create_region. [register.mem-region-memory] */
function createRegion(m: Machine, desc: Uint8Array, isWaitArg: boolean): MemRegion | number {
  const flags = load32(desc, REGION_DESC.flags);
  const addr = load64(desc, REGION_DESC.user_addr);
  const size = load64(desc, REGION_DESC.size_);
  if (desc.subarray(REGION_DESC.__resv).some((byte) => byte !== 0)) return -EINVAL;
  if ((flags & ~IORING_MEM_REGION_TYPE_USER) !== 0) return -EINVAL;
  if ((flags !== 0) !== (addr !== 0n)) return -EFAULT;
  if (size === 0n || load64(desc, REGION_DESC.mmap_offset) !== 0n || load32(desc, REGION_DESC.id) !== 0) return -EINVAL;
  if (size / PAGE > PAGES_MAX) return -E2BIG;
  if (((addr | size) & (PAGE - 1n)) !== 0n) return -EINVAL;
  if (addr + size >= U64_END) return -EOVERFLOW;
  // [register.mem-region-memlock]
  if (lockedPages([m, ...m.peers]) + Number(size / PAGE) > m.lockedPagesMax) return -ENOMEM;
  if (addr !== 0n && m.memory.read(addr, Number(size)) === undefined) return -EFAULT;
  return { addr, size: Number(size), isWaitArg };
}

/** io_get_ext_arg_reg: the wait that an entry of the region says, or -errno. [enter.reg-wait-size] [enter.reg-wait-entry] */
export function registeredWait(m: Machine, offset: bigint, size: number): WaitArg | number {
  if (size !== REG_WAIT.size) return -EINVAL;
  const region = m.ring.region;
  // [enter.reg-wait-region] [enter.reg-wait-offset]
  if (region === undefined || !region.isWaitArg) return -EFAULT;
  if (offset % 8n !== 0n || offset + BigInt(REG_WAIT.size) > BigInt(region.size)) return -EFAULT;
  // [enter.reg-wait-last] the bound of the speculation guard is one entry too low
  const at = offset === BigInt(region.size - REG_WAIT.size) ? 0n : offset;
  const entry = region.addr === 0n ? new Uint8Array(REG_WAIT.size) : m.memory.read(region.addr + at, REG_WAIT.size);
  if (entry === undefined) return -EFAULT;
  const flags = load32(entry, REG_WAIT.flags);
  // [enter.reg-wait-flags]
  if ((flags & ~IORING_REG_WAIT_TS) !== 0) return -EINVAL;
  const seconds = BigInt.asIntN(64, load64(entry, REG_WAIT.ts));
  const ns = seconds * 1_000_000_000n + BigInt.asIntN(64, load64(entry, REG_WAIT.ts + 8));
  return {
    timeNs: flags === 0 ? undefined : ns < 0n ? 0n : ns,
    minWaitNs: BigInt(load32(entry, REG_WAIT.min_wait_usec)) * 1000n,
    sigmask: load64(entry, REG_WAIT.sigmask), sigmaskBytes: load32(entry, REG_WAIT.sigmask_sz),
  };
}
