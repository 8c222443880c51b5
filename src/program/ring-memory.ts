// Where the words of ring memory are, and its CQEs as a program loads them.
import type { IoUringParams, Ring } from "../kernel.ts";
import { IORING_CQE_F_32, IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED } from "../spec/constants.gen.ts";
import { CQE } from "../spec/codec.gen.ts";
import type { RingWord } from "./program.ts";
import type { SeenCqe } from "./trace.ts";

/** The word's offset in the ring. */
export function wordOffset({ sqOff, cqOff }: IoUringParams, word: RingWord): number {
  const offsets = {
    sqHead: sqOff.head, sqTail: sqOff.tail, sqRingMask: sqOff.ringMask, sqRingEntries: sqOff.ringEntries,
    sqDropped: sqOff.dropped, sqFlags: sqOff.flags, cqHead: cqOff.head, cqTail: cqOff.tail,
    cqRingMask: cqOff.ringMask, cqRingEntries: cqOff.ringEntries, cqFlags: cqOff.flags, cqOverflow: cqOff.overflow,
  };
  return offsets[word];
}

/** The CQE in a slot. `slots`: the CQ ring's memory. */
export function loadCqe({ params }: Ring, slots: DataView, slot: number): SeenCqe {
  const all32 = (params.flags & IORING_SETUP_CQE32) !== 0;
  const at = params.cqOff.cqes + slot * (all32 ? 2 * CQE.size : CQE.size);
  const seen = {
    slot,
    userData: slots.getBigUint64(at + CQE.user_data, true),
    res: slots.getInt32(at + CQE.res, true),
    flags: slots.getUint32(at + CQE.flags, true),
  };
  const big = all32 || ((params.flags & IORING_SETUP_CQE_MIXED) !== 0 && (seen.flags & IORING_CQE_F_32) !== 0);
  if (!big) return seen;
  return { ...seen, big: [slots.getBigUint64(at + CQE.size, true), slots.getBigUint64(at + CQE.size + 8, true)] };
}
