// The fifth and sixth argument of io_uring_enter: how a program's waits are bound, in memory of its own.
import type { Region } from "../kernel.ts";
import { GETEVENTS_ARG, KERNEL_TIMESPEC, REG_WAIT } from "../spec/codec.gen.ts";
import { IORING_ENTER_ABS_TIMER, IORING_ENTER_EXT_ARG, IORING_ENTER_EXT_ARG_REG, IORING_REG_WAIT_TS } from "../spec/constants.gen.ts";
import { writeWait } from "./lower-registration.ts";
import type { EnterOperation } from "./program.ts";

export interface WaitArgument {
  readonly addr: bigint;
  readonly size: number;
}

/** Where the arguments are. */
export interface WaitMemory {
  alloc(size: number): Region;
  /** The application wrote this region. */
  stored(region: Region): void;
  readonly faultAddress: bigint;
}

interface Extras {
  /** Microseconds. */
  readonly minWait?: number | undefined;
  readonly signals?: boolean | undefined;
}

/** Where the signal mask stands, behind the time. */
const MASK_AT = GETEVENTS_ARG.size + KERNEL_TIMESPEC.size;
const SIGSET_BYTES = 8;
export const WAIT_BYTES = MASK_AT + SIGSET_BYTES;

export class WaitArguments {
  /** What IORING_REGISTER_MEM_REGION took. */
  region: Region | undefined;
  private readonly world: WaitMemory;
  private memory: Region | undefined;

  constructor(world: WaitMemory) {
    this.world = world;
  }

  /**
   * A struct io_uring_getevents_arg with a timespec and a signal mask behind it, which lets everything in; `timeAddr`:
   * another place for the time, 0 for none.
   */
  bound(seconds: bigint, nanoseconds: bigint, timeAddr?: bigint, { minWait = 0, signals = false }: Extras = {}): WaitArgument {
    this.memory ??= this.world.alloc(WAIT_BYTES);
    const { addr, bytes } = this.memory;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    view.setUint32(GETEVENTS_ARG.min_wait_usec, minWait, true);
    view.setBigUint64(GETEVENTS_ARG.sigmask, signals ? addr + BigInt(MASK_AT) : 0n, true);
    view.setUint32(GETEVENTS_ARG.sigmask_sz, signals ? SIGSET_BYTES : 0, true);
    view.setBigUint64(GETEVENTS_ARG.ts, timeAddr ?? addr + BigInt(GETEVENTS_ARG.size), true);
    view.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_sec, seconds, true);
    view.setBigInt64(GETEVENTS_ARG.size + KERNEL_TIMESPEC.tv_nsec, nanoseconds, true);
    this.world.stored(this.memory);
    return { addr, size: GETEVENTS_ARG.size };
  }

  /** The argument of a call of the program, and the flags that it adds; none where it has neither time nor region. */
  of(operation: EnterOperation, nowNs: bigint): { readonly arg?: WaitArgument; readonly flags: number } {
    const { region, arg, wait, minWait, until, signals } = operation;
    const flags = IORING_ENTER_EXT_ARG;
    if (region !== undefined) return { arg: this.entry(operation, region), flags: flags | IORING_ENTER_EXT_ARG_REG };
    if (arg === "fault") return { arg: { addr: this.world.faultAddress, size: GETEVENTS_ARG.size }, flags };
    if ([arg, wait, minWait, until, signals].every((given) => given === undefined)) return { flags: 0 };
    const end = nowNs + BigInt(until ?? 0) * 1000n;
    const seconds = until === undefined ? BigInt(wait?.seconds ?? 0) : end / 1_000_000_000n;
    const nanoseconds = until === undefined ? BigInt(wait?.nanoseconds ?? 0) : end % 1_000_000_000n;
    const untimed = arg === undefined && wait === undefined && until === undefined ? 0n : undefined;
    const bound = this.bound(seconds, nanoseconds, arg === "time-fault" ? this.world.faultAddress : untimed, { minWait, signals });
    return {
      arg: arg === "size" ? { ...bound, size: GETEVENTS_ARG.size - 8 } : bound,
      flags: until === undefined ? flags : flags | IORING_ENTER_ABS_TIMER,
    };
  }

  /** An offset into the region, where what the wait says is written if it is that of an entry. */
  private entry({ wait, minWait = 0 }: EnterOperation, { offset, flags, size }: NonNullable<EnterOperation["region"]>): WaitArgument {
    const memory = this.region;
    if (memory !== undefined && offset % REG_WAIT.size === 0 && offset + REG_WAIT.size <= memory.bytes.length) {
      const bytes = memory.bytes.subarray(offset, offset + REG_WAIT.size);
      const timeNs = BigInt(wait?.seconds ?? 0) * 1_000_000_000n + BigInt(wait?.nanoseconds ?? 0);
      const timed = wait === undefined ? 0 : IORING_REG_WAIT_TS;
      writeWait(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), 0, { timeNs, minWaitUs: minWait, flags: flags ?? timed });
      this.world.stored({ addr: memory.addr + BigInt(offset), bytes });
    }
    return { addr: BigInt(offset), size: size ?? REG_WAIT.size };
  }
}
