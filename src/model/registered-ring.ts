// Rings that the application's thread registered, to be named by an index instead of a descriptor. The table is the
// thread's, not a ring's: it is kept with the descriptors. Follows io_uring/tctx.c.
import {
  EBADF, EBUSY, EFAULT, EINVAL, EOPNOTSUPP, IORING_ENTER_REGISTERED_RING, IORING_REGISTER_USE_REGISTERED_RING,
} from "../spec/constants.gen.ts";
import { RSRC_UPDATE } from "../spec/codec.gen.ts";
import { take } from "./descriptor.ts";
import type { Machine } from "./machine.ts";
import { load32, load64, store32 } from "./memory.ts";
import type { World } from "./world.ts";

const SLOTS = 16;
const ANY = 0xffff_ffff;
/** The number that stands for no ring at all. */
export const NO_RING = ANY;
const NO_WAKE = (): void => undefined;

/** What a registered index of the thread leads to: an open file, or -errno. [enter.registered-index] [register.by-index] */
export function fileOfIndex(world: World, index: number): number {
  if (index >= SLOTS) return -EINVAL;
  return world.registeredRings.get(index) ?? -EBADF;
}

/** Misuse, as the real port has it: an index without the flag that asks for one, or that of another ring. */
export function checkIndex(m: Machine, index: number | undefined, number: number, byIndex: boolean): void {
  if (index !== undefined && (!Number.isInteger(index) || index < 0 || index > ANY))
    throw new RangeError(`index must be an integer from 0 to ${ANY}, got ${index}`);
  if (!byIndex) {
    if (index === undefined) return;
    const flags = `IORING_ENTER_REGISTERED_RING (${IORING_ENTER_REGISTERED_RING}) or IORING_REGISTER_USE_REGISTERED_RING (${IORING_REGISTER_USE_REGISTERED_RING})`;
    throw new RangeError(`an index is given, and ${flags} is not; set it, or leave the index out`);
  }
  const file = fileOfIndex(m.world, number);
  if (file > 0 && m.world.file(file).inode !== m.ringInode)
    throw new RangeError(`index ${number} holds another ring; a ring's calls may name only itself: call the other ring's own method`);
}

/** io_ringfd_register. [register.ring-fds] [register.ring-fds-count] [register.ring-fds-partial] */
export function registerRingFds(m: Machine, addr: bigint, nrArgs: number): number {
  return eachEntry(m, addr, nrArgs, (entry, at) => {
    const { world } = m;
    const wanted = load32(entry, RSRC_UPDATE.offset);
    // [register.ring-fds-entry]
    if (load32(entry, RSRC_UPDATE.resv) !== 0) return -EINVAL;
    if (wanted !== ANY && wanted >= SLOTS) return -EINVAL;
    const file = take(m, load32(entry, RSRC_UPDATE.data) | 0);
    if (file === 0) return -EBADF;
    const isRing = world.inode(world.file(file).inode).kind === "ring";
    const slots = wanted === ANY ? Array.from({ length: SLOTS }, (_, slot) => slot) : [wanted];
    const slot = slots.find((free) => !world.registeredRings.has(free));
    if (!isRing || slot === undefined) {
      world.put(file, NO_WAKE);
      // [register.ring-fds-taken]
      return isRing ? -EBUSY : -EOPNOTSUPP;
    }
    // [register.ring-fds-keep] the reference goes to the slot
    world.registeredRings.set(slot, file);
    store32(entry, RSRC_UPDATE.offset, slot);
    return m.memory.write(at, entry) ? 0 : -EFAULT;
  });
}

/** io_ringfd_unregister. [register.unregister-ring-fds] */
export function unregisterRingFds(m: Machine, addr: bigint, nrArgs: number): number {
  return eachEntry(m, addr, nrArgs, (entry) => {
    const slot = load32(entry, RSRC_UPDATE.offset);
    if (load32(entry, RSRC_UPDATE.resv) !== 0 || load64(entry, RSRC_UPDATE.data) !== 0n || slot >= SLOTS) return -EINVAL;
    emptySlot(m.world, slot);
    return 0;
  });
}

/** Does entry after entry; what failed first is the result only where it is the first of all. */
function eachEntry(m: Machine, addr: bigint, nrArgs: number, act: (entry: Uint8Array, at: bigint) => number): number {
  if (nrArgs === 0 || nrArgs > SLOTS) return -EINVAL;
  for (let i = 0; i < nrArgs; i++) {
    const at = addr + BigInt(i * RSRC_UPDATE.size);
    const entry = m.memory.read(at, RSRC_UPDATE.size);
    const result = entry === undefined ? -EFAULT : act(entry, at);
    if (result < 0) return i === 0 ? result : i;
  }
  return nrArgs;
}

function emptySlot(world: World, slot: number): void {
  const file = world.registeredRings.get(slot);
  if (file === undefined) return;
  world.registeredRings.delete(slot);
  world.put(file, NO_WAKE);
}

/** The port gives back the slots of a ring that it closes. */
export function releaseSlots(m: Machine): void {
  for (const [slot, file] of m.world.registeredRings)
    if (m.world.file(file).inode === m.ringInode) emptySlot(m.world, slot);
}

/** Another thread, which lives for one call, has a table of its own. [register.ring-fds-per-thread] */
export function withEmptyTable<T>(world: World, act: () => T): T {
  const mine = [...world.registeredRings];
  for (const [slot] of mine) world.registeredRings.delete(slot);
  try {
    return act();
  } finally {
    for (const [slot] of world.registeredRings) emptySlot(world, slot);
    for (const [slot, file] of mine) world.registeredRings.set(slot, file);
  }
}
