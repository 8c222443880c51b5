// IORING_REGISTER_RESIZE_RINGS: other queues for a ring that is in use. Follows io_uring/register.c
// (io_register_resize_rings).
import {
  EFAULT, EINVAL, ENOMEM, EOVERFLOW, IORING_SETUP_CLAMP, IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED, IORING_SETUP_CQSIZE,
  IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SQE128, IORING_SQ_NEED_WAKEUP, IORING_SQ_TASKRUN,
} from "../spec/constants.gen.ts";
import { CQ_OFF, PARAMS, SQ_OFF } from "../spec/codec.gen.ts";
import { lockedPages, ringPages } from "./buffers.ts";
import { CQES, WORD } from "./layout.ts";
import type { Machine, RingState } from "./machine.ts";
import { load32, store32, writable } from "./memory.ts";
import { filledParams, newRing, ringSizes, type Sizes } from "./setup.ts";

const ASKED = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP;
const INHERITED = IORING_SETUP_NO_SQARRAY | IORING_SETUP_SQE128 | IORING_SETUP_CQE32 | IORING_SETUP_CQE_MIXED;

/** io_register_resize_rings: 0 or -errno. [resize.argument] */
export function resizeRings(m: Machine, addr: bigint, nrArgs: number): number {
  if (addr === 0n || nrArgs !== 1) return -EINVAL;
  // [resize.defer-only]
  if ((m.ring.flags & IORING_SETUP_DEFER_TASKRUN) === 0) return -EINVAL;
  const params = m.memory.read(addr, PARAMS.size);
  if (params === undefined) return -EFAULT;
  const asked = load32(params, PARAMS.flags);
  // [resize.flags]
  if ((asked & ~ASKED) !== 0) return -EINVAL;
  const flags = (asked | (m.ring.flags & INHERITED)) >>> 0;
  // [resize.sizes]
  const sizes = ringSizes(load32(params, PARAMS.sq_entries), flags, load32(params, PARAMS.cq_entries));
  if (typeof sizes === "number") return sizes;
  if ((flags & IORING_SETUP_CQE_MIXED) !== 0 && sizes.cqEntries < 2) return -EOVERFLOW;
  const fresh = newRing(sizes, { flags }, 0);
  // [resize.memlock] both are there for a moment
  if (lockedPages([m, ...m.peers]) + ringPages(fresh) > m.lockedPagesMax) return -ENOMEM;
  writeBack(m, params, sizes, flags);
  if (!m.memory.write(addr, params)) return -EFAULT;
  if (!moveQueues(m.ring, fresh)) return -EOVERFLOW;
  Object.assign(m.ring, { sqEntries: sizes.sqEntries, cqEntries: sizes.cqEntries, arrayOffset: fresh.arrayOffset, ring: fresh.ring, sqes: fresh.sqes });
  // [resize.array-moves] [resize.maps-anew] nobody stores to the old ones any more
  // [resize.backlog] it is left alone; the slot that the next CQE goes to is looked up anew
  m.ring.cqWindow = 0;
  return 0;
}

/** [resize.params] */
function writeBack(m: Machine, params: Uint8Array, sizes: Sizes, flags: number): void {
  const { sqOff, cqOff } = filledParams(m.profile, sizes, { flags });
  store32(params, PARAMS.sq_entries, sizes.sqEntries);
  store32(params, PARAMS.cq_entries, sizes.cqEntries);
  store32(params, PARAMS.flags, flags);
  const sq = PARAMS.sq_off;
  for (const [at, value] of [
    [SQ_OFF.head, sqOff.head], [SQ_OFF.tail, sqOff.tail], [SQ_OFF.ring_mask, sqOff.ringMask], [SQ_OFF.ring_entries, sqOff.ringEntries],
    [SQ_OFF.flags, sqOff.flags], [SQ_OFF.dropped, sqOff.dropped], [SQ_OFF.resv1, 0], [SQ_OFF.user_addr, 0], [SQ_OFF.user_addr + 4, 0],
  ] as const) store32(params, sq + at, value);
  const cq = PARAMS.cq_off;
  for (const [at, value] of [
    [CQ_OFF.head, cqOff.head], [CQ_OFF.tail, cqOff.tail], [CQ_OFF.ring_mask, cqOff.ringMask], [CQ_OFF.ring_entries, cqOff.ringEntries],
    [CQ_OFF.overflow, cqOff.overflow], [CQ_OFF.cqes, cqOff.cqes], [CQ_OFF.flags, cqOff.flags], [CQ_OFF.resv1, 0],
    [CQ_OFF.user_addr, 0], [CQ_OFF.user_addr + 4, 0],
  ] as const) store32(params, cq + at, value);
}

/** What is in the old queues goes into the new ones: false where there is no room. [resize.no-room] */
function moveQueues(from: RingState, to: RingState): boolean {
  const old = from.ring.bytes;
  const [sqHead, sqTail] = [load32(old, WORD.sqHead), load32(old, WORD.sqTail)];
  const [cqHead, cqTail] = [load32(old, WORD.cqHead), load32(old, WORD.cqTail)];
  if ((sqTail - sqHead) >>> 0 > to.sqEntries || (cqTail - cqHead) >>> 0 > to.cqEntries) return false;
  const words = writable(to.ring);
  // [resize.keeps-sqes] [resize.array-empty] slot by slot, whatever the array says
  // [resize.wrap-loses] the counters are compared as they are: past 2^32 there is nothing between them
  copySlots(from.sqes.bytes, writable(to.sqes), { head: sqHead, tail: sqTail, size: from.sqeSize, offset: 0, slots: [from.sqEntries, to.sqEntries] });
  // [resize.keeps-cqes]
  copySlots(old, words, { head: cqHead, tail: cqTail, size: from.cqeSize, offset: CQES, slots: [from.cqEntries, to.cqEntries] });
  // [resize.words]
  for (const word of [WORD.sqHead, WORD.sqTail, WORD.cqHead, WORD.cqTail, WORD.sqDropped, WORD.sqFlags, WORD.cqFlags, WORD.cqOverflow])
    store32(words, word, load32(old, word));
  // [resize.flags-set] whoever may have set one meanwhile set it in the old queue
  store32(words, WORD.sqFlags, load32(old, WORD.sqFlags) | IORING_SQ_NEED_WAKEUP | IORING_SQ_TASKRUN);
  return true;
}

interface Slots {
  readonly head: number;
  readonly tail: number;
  readonly size: number;
  readonly offset: number;
  readonly slots: readonly [from: number, to: number];
}

function copySlots(from: Uint8Array, to: Uint8Array, { head, tail, size, offset, slots }: Slots): void {
  for (let i = head; i < tail; i++) {
    const at = offset + size * (i & (slots[0] - 1));
    to.set(from.subarray(at, at + size), offset + size * (i & (slots[1] - 1)));
  }
}
