// io_uring_setup(2): which parameters are refused, and how large and where everything is. Follows
// io_uring/io_uring.c (io_uring_sanitise_params, io_uring_fill_params, rings_size).
import {
  EBADF, EFAULT, EINVAL, ENXIO, EOVERFLOW, IORING_SETUP_ATTACH_WQ, IORING_SETUP_CLAMP, IORING_SETUP_COOP_TASKRUN, IORING_SETUP_CQE32,
  IORING_SETUP_CQE_MIXED, IORING_SETUP_CQSIZE, IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_HYBRID_IOPOLL,
  IORING_SETUP_IOPOLL, IORING_SETUP_NO_MMAP, IORING_SETUP_NO_SQARRAY, IORING_SETUP_R_DISABLED, IORING_SETUP_REGISTERED_FD_ONLY,
  IORING_SETUP_SINGLE_ISSUER, IORING_SETUP_SQPOLL, IORING_SETUP_SQE128, IORING_SETUP_SQ_AFF, IORING_SETUP_SUBMIT_ALL,
  IORING_SETUP_TASKRUN_FLAG,
} from "../spec/constants.gen.ts";
import { CQE, SQE } from "../spec/codec.gen.ts";
import { Unmodelled, type IoUringParams, type KernelProfile, type SetupParams } from "../kernel.ts";
import { CQES, WORD } from "./layout.ts";
import { RingState } from "./machine.ts";
import { segment, store32 } from "./memory.ts";
import { obeys } from "./profile.ts";
import { newPollThread } from "./sqpoll.ts";

const ENTRIES_MAX = 32768;
const CQ_ENTRIES_MAX = 2 * ENTRIES_MAX;
const CACHE_LINE = 64;

/** Flags whose rings the model runs. Others are checked as the kernel checks them, then refused aloud. */
export const MODELLED_SETUP =
  IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_NO_SQARRAY |
  IORING_SETUP_COOP_TASKRUN | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
  IORING_SETUP_R_DISABLED | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_CQE_MIXED | IORING_SETUP_ATTACH_WQ |
  IORING_SETUP_IOPOLL | IORING_SETUP_HYBRID_IOPOLL | IORING_SETUP_SQPOLL | IORING_SETUP_SQ_AFF;

const powerOfTwo = (n: number): number => 2 ** Math.ceil(Math.log2(n));

/** The ring's sizes, or -errno. */
export interface Sizes {
  readonly sqEntries: number;
  readonly cqEntries: number;
}

/** What flags are refused for, or 0. */
function checkFlags(profile: KernelProfile, flags: number): number {
  const has = (bit: number): boolean => (flags & bit) !== 0;
  // [setup.flags-known] [setup.newer-flags]
  if ((flags & ~profile.setupFlags) !== 0) return -EINVAL;
  // [setup.registered-fd-needs-no-mmap]
  if (has(IORING_SETUP_REGISTERED_FD_ONLY) && !has(IORING_SETUP_NO_MMAP)) return -EINVAL;
  const deferred = IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_DEFER_TASKRUN;
  // [setup.sqpoll-excludes-taskrun]
  if (has(IORING_SETUP_SQPOLL) && has(deferred)) return -EINVAL;
  // [setup.taskrun-flag-needs-mode]
  if (has(IORING_SETUP_TASKRUN_FLAG) && !has(IORING_SETUP_COOP_TASKRUN | IORING_SETUP_DEFER_TASKRUN)) return -EINVAL;
  // [setup.hybrid-needs-iopoll]
  if (has(IORING_SETUP_HYBRID_IOPOLL) && !has(IORING_SETUP_IOPOLL)) return -EINVAL;
  // [setup.defer-needs-single-issuer]
  if (has(IORING_SETUP_DEFER_TASKRUN) && !has(IORING_SETUP_SINGLE_ISSUER)) return -EINVAL;
  // [setup.cqe-mixed-excludes-cqe32]
  if (has(IORING_SETUP_CQE32) && has(IORING_SETUP_CQE_MIXED)) return -EINVAL;
  return 0;
}

/** Checks what io_uring_setup checks, in its order; sizes of the rings or -errno. */
export function checkSetup(
  profile: KernelProfile,
  entries: number,
  params: SetupParams,
  isRing: (fd: number) => "ring" | "polled" | "other" | "closed",
): Sizes | number {
  const flags = params.flags ?? 0;
  // [setup.resv-zero]
  if ((params.resv ?? []).some((word) => word !== 0)) return -EINVAL;
  const refused = checkFlags(profile, flags);
  // [setup.flags-before-sizes] [setup.flags-together]
  if (refused !== 0) return refused;
  const sizes = ringSizes(entries >>> 0, flags, (params.cqEntries ?? 0) >>> 0);
  if (typeof sizes === "number") return sizes;
  // [setup.mixed-needs-two]
  if ((flags & IORING_SETUP_CQE_MIXED) !== 0 && sizes.cqEntries < 2) return -EOVERFLOW;
  // [setup.no-mmap-needs-memory] this port never names memory of the application's
  if ((flags & IORING_SETUP_NO_MMAP) !== 0) return -EFAULT;
  if ((flags & IORING_SETUP_ATTACH_WQ) !== 0) {
    // [setup.attach-wq-fd] [setup.attach-wq-ring]
    const what = isRing(params.wqFd ?? 0);
    // [setup.attach-wq-ebadf]
    if (what === "closed") return obeys(profile, "setup.attach-wq-ebadf") ? -EBADF : -ENXIO;
    if (what === "other") return -EINVAL;
    // [setup.attach-sqpoll]
    if ((flags & IORING_SETUP_SQPOLL) !== 0) {
      if (what === "ring") return -EINVAL;
      throw new Unmodelled("two rings with one poll thread");
    }
  }
  // [setup.sq-aff-needs-sqpoll]
  if ((flags & IORING_SETUP_SQ_AFF) !== 0 && (flags & IORING_SETUP_SQPOLL) === 0) return -EINVAL;
  if ((flags & IORING_SETUP_SQPOLL) !== 0) checkPollThread(params);
  const beyond = flags & ~MODELLED_SETUP;
  if (beyond !== 0) throw new Unmodelled(`io_uring_setup flags 0x${beyond.toString(16)}`);
  // [setup.memlock] who makes the ring finds out whether there is memory for it
  return sizes;
}

/** What a ring with IORING_SETUP_SQPOLL may be in this model. */
function checkPollThread({ flags = 0, sqThreadCpu = 0 }: SetupParams): void {
  if ((flags & IORING_SETUP_IOPOLL) !== 0) throw new Unmodelled("IORING_SETUP_SQPOLL together with IORING_SETUP_IOPOLL");
  if ((flags & IORING_SETUP_SQ_AFF) !== 0 && sqThreadCpu !== 0) throw new Unmodelled("IORING_SETUP_SQ_AFF with another CPU than 0");
}

/** The sizes of the queues, or -errno. [setup.entries-rounded] */
export function ringSizes(entries: number, flags: number, cqEntries: number): Sizes | number {
  const clamp = (flags & IORING_SETUP_CLAMP) !== 0;
  // [setup.entries-range]
  if (entries === 0 || (entries > ENTRIES_MAX && !clamp)) return -EINVAL;
  // [setup.clamp]
  const sq = powerOfTwo(Math.min(entries, ENTRIES_MAX));
  // [setup.cq-entries-ignored] [setup.cq-default-twice]
  if ((flags & IORING_SETUP_CQSIZE) === 0) return { sqEntries: sq, cqEntries: 2 * sq };
  // [setup.cqsize]
  if (cqEntries === 0) return -EINVAL;
  if (cqEntries > CQ_ENTRIES_MAX && !clamp) return -EINVAL;
  // [setup.cqsize] [setup.clamp]
  const cq = powerOfTwo(Math.min(cqEntries, CQ_ENTRIES_MAX));
  // [setup.cqsize]
  if (cq < sq) return -EINVAL;
  return { sqEntries: sq, cqEntries: cq };
}

/** struct io_uring_params as the kernel fills it in. [setup.offsets] [setup.features] */
export function filledParams(profile: KernelProfile, sizes: Sizes, params: SetupParams): IoUringParams {
  const flags = params.flags ?? 0;
  const noArray = (flags & IORING_SETUP_NO_SQARRAY) !== 0;
  return {
    sqEntries: sizes.sqEntries, cqEntries: sizes.cqEntries,
    // [setup.flags-echoed]
    flags,
    sqThreadCpu: params.sqThreadCpu ?? 0,
    sqThreadIdle: params.sqThreadIdle ?? 0,
    features: profile.features,
    wqFd: params.wqFd ?? 0,
    sqOff: {
      head: WORD.sqHead, tail: WORD.sqTail, ringMask: WORD.sqRingMask, ringEntries: WORD.sqRingEntries,
      flags: WORD.sqFlags, dropped: WORD.sqDropped, array: noArray ? 0 : arrayOffset(sizes.cqEntries, flags),
    },
    cqOff: {
      head: WORD.cqHead, tail: WORD.cqTail, ringMask: WORD.cqRingMask, ringEntries: WORD.cqRingEntries,
      overflow: WORD.cqOverflow, cqes: CQES, flags: WORD.cqFlags,
    },
  };
}

/** The words and the CQEs, twice over with IORING_SETUP_CQE32, up to a cache line. */
function arrayOffset(cqEntries: number, flags: number): number {
  let bytes = CQES + cqEntries * CQE.size;
  // [setup.offsets-cqe32]
  if ((flags & IORING_SETUP_CQE32) !== 0) bytes *= 2;
  return Math.ceil(bytes / CACHE_LINE) * CACHE_LINE;
}

/** Memory that the mapping at IORING_OFF_SQ_RING holds. */
export function ringBytes(sizes: Sizes, flags: number): number {
  const array = (flags & IORING_SETUP_NO_SQARRAY) !== 0 ? 0 : sizes.sqEntries * 4;
  return arrayOffset(sizes.cqEntries, flags) + array;
}

/** A fresh ring: every counter 0, or near a wrap where a test says so. [setup.starts-zero] */
export function newRing(sizes: Sizes, { flags = 0, sqThreadIdle = 0 }: SetupParams, counters: number): RingState {
  const ring = segment(0n, new Uint8Array(ringBytes(sizes, flags)));
  const sqeSize = (flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size;
  // [mapping.sqes-apart]
  const sqes = segment(0n, new Uint8Array(sizes.sqEntries * sqeSize));
  const { bytes } = ring;
  store32(bytes, WORD.sqRingMask, sizes.sqEntries - 1);
  store32(bytes, WORD.cqRingMask, sizes.cqEntries - 1);
  store32(bytes, WORD.sqRingEntries, sizes.sqEntries);
  store32(bytes, WORD.cqRingEntries, sizes.cqEntries);
  for (const word of [WORD.sqHead, WORD.sqTail, WORD.cqHead, WORD.cqTail]) store32(bytes, word, counters);
  const state = new RingState(flags, sizes.sqEntries, sizes.cqEntries, arrayOffset(sizes.cqEntries, flags), ring, sqes);
  state.cachedSqHead = counters;
  state.cachedCqTail = counters;
  state.thread = newPollThread(flags, sqThreadIdle);
  return state;
}
