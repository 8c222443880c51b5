// The script of memlock.test.ts, alone, for it runs in a child too.
import type { Kernel } from "../../../src/kernel.ts";
import { KernelError } from "../../../src/kernel.ts";
import { MEM_REGION_REG, PARAMS, REGION_DESC } from "../../../src/spec/codec.gen.ts";
import {
  IORING_REGISTER_BUFFERS, IORING_REGISTER_MEM_REGION, IORING_REGISTER_RESIZE_RINGS, IORING_SETUP_DEFER_TASKRUN,
  IORING_SETUP_SINGLE_ISSUER, IORING_UNREGISTER_BUFFERS,
} from "../../../src/spec/constants.gen.ts";

/** How many KiB the user may lock: room for what other processes of the same user have charged, where it is one of many. */
export const LIMIT_KIB = 2048;

export interface MemlockAnswers {
  /** 0, or the errno of a ring whose memory is beyond the limit. */
  readonly largeRing: number;
  /** Results of registering buffers of this many KiB, one after the other, and of giving a table up between two. */
  readonly beyond: number;
  readonly within: number;
  readonly unregister: number;
  readonly second: number;
  /** Results of registering a region of the kernel's memory that is beyond the limit, and one that is not. */
  readonly regions: readonly [beyond: number, within: number];
  /** The same of queues that take the place of others. */
  readonly resizes: readonly [beyond: number, within: number];
}

export function memlockAnswers(kernel: Kernel): MemlockAnswers {
  const setup = (entries: number): number => {
    try {
      kernel.setup(entries).close();
      return 0;
    } catch (error) {
      if (error instanceof KernelError) return error.errno;
      throw error;
    }
  };
  const largeRing = setup(32768);
  const ring = kernel.setup(8);
  const register = (...kib: readonly number[]): number => {
    const list = kernel.memory.alloc(16 * kib.length);
    const view = new DataView(list.bytes.buffer, list.bytes.byteOffset, list.bytes.byteLength);
    for (const [i, size] of kib.entries()) {
      const { addr, bytes } = kernel.memory.alloc(size * 1024, 4096);
      view.setBigUint64(16 * i, addr, true);
      view.setBigUint64(16 * i + 8, BigInt(bytes.length), true);
    }
    return ring.register(IORING_REGISTER_BUFFERS, list.addr, kib.length);
  };
  const beyond = register(4, LIMIT_KIB);
  const within = register(LIMIT_KIB / 2);
  const unregister = ring.register(IORING_UNREGISTER_BUFFERS, null, 0);
  const second = register(LIMIT_KIB / 4, LIMIT_KIB / 4);
  const region = (kib: number): number => {
    const { addr, bytes } = kernel.memory.alloc(MEM_REGION_REG.size + REGION_DESC.size);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    view.setBigUint64(MEM_REGION_REG.region_uptr, addr + BigInt(MEM_REGION_REG.size), true);
    view.setBigUint64(MEM_REGION_REG.size + REGION_DESC.size_, BigInt(kib * 1024), true);
    return ring.register(IORING_REGISTER_MEM_REGION, addr, 1);
  };
  const regions = [region(LIMIT_KIB / 2), region(LIMIT_KIB / 8)] as const;
  const deferred = kernel.setup(8, { flags: IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN });
  const resize = (entries: number): number => {
    const { addr, bytes } = kernel.memory.alloc(PARAMS.size);
    new DataView(bytes.buffer, bytes.byteOffset).setUint32(PARAMS.sq_entries, entries, true);
    return deferred.register(IORING_REGISTER_RESIZE_RINGS, addr, 1);
  };
  const resizes = [resize(32768), resize(16)] as const;
  kernel.close();
  return { largeRing, beyond, within, unregister, second, regions, resizes };
}
