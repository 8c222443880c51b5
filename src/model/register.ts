// io_uring_register(2): what a ring is told beside its queues. Follows io_uring/register.c.
import {
  EACCES, EBADFD, EEXIST, EFAULT, EINVAL, IORING_REGISTER_BUFFERS, IORING_REGISTER_CLOCK, IORING_REGISTER_ENABLE_RINGS, IORING_REGISTER_EVENTFD,
  IORING_REGISTER_EVENTFD_ASYNC, IORING_REGISTER_MEM_REGION, IORING_REGISTER_PERSONALITY,
  IORING_REGISTER_PROBE, IORING_REGISTER_QUERY,
  IORING_REGISTER_RESTRICTIONS,
  IORING_REGISTER_RESIZE_RINGS, IORING_REGISTER_RING_FDS, IORING_REGISTER_SYNC_CANCEL, IORING_REGISTER_USE_REGISTERED_RING, IORING_UNREGISTER_BUFFERS, IORING_UNREGISTER_EVENTFD, IORING_UNREGISTER_PERSONALITY,
  IORING_UNREGISTER_RING_FDS, IO_URING_OP_SUPPORTED, REGISTER_MODIFIERS,
} from "../spec/constants.gen.ts";
import { CLOCK_REGISTER, PROBE, PROBE_OP } from "../spec/codec.gen.ts";
import { Unmodelled } from "../kernel.ts";
import { registerBuffers, unregisterBuffers } from "./buffers.ts";
import { EVERYTHING, syncCancel } from "./cancel.ts";
import { registerEventfd, unregisterEventfd } from "./eventfd.ts";
import type { Machine } from "./machine.ts";
import { load32 } from "./memory.ts";
import { flagsOf, knowsRegister, obeys } from "./profile.ts";
import { query } from "./query.ts";
import { fileOfIndex, NO_RING, registerRingFds, unregisterRingFds } from "./registered-ring.ts";
import { resizeRings } from "./resize.ts";
import { registerRestrictions } from "./restriction.ts";
import { wakePollThread } from "./sqpoll.ts";
import { registerMemRegion } from "./wait-region.ts";

const PROBE_MAX = 256;
const CLOCK_MONOTONIC = 1;
const CLOCK_BOOTTIME = 7;

interface Arg {
  readonly addr: bigint;
  readonly nrArgs: number;
}

/** __io_uring_register: its result or -errno. */
export function registerOn(m: Machine, opcode: number, addr: bigint, nrArgs: number, index?: number): number {
  const plain = (opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0;
  // [register.unknown-opcode]
  if (!knowsRegister(m.profile, plain)) return -EINVAL;
  if (plain !== opcode) {
    if ((flagsOf(m.profile, REGISTER_MODIFIERS) & IORING_REGISTER_USE_REGISTERED_RING) === 0) return -EINVAL;
    // [register.by-index]
    const number = index ?? m.ringFd >>> 0;
    // [register.query-blind]
    if (number === NO_RING) return plain === IORING_REGISTER_QUERY ? query(m, addr, nrArgs) : -EINVAL;
    const file = fileOfIndex(m.world, number);
    if (file < 0) return file;
  }
  return registerPlain(m, plain, addr, nrArgs);
}

function registerPlain(m: Machine, opcode: number, addr: bigint, nrArgs: number): number {
  // [setup.single-issuer-owner]
  if (m.ring.ownedElsewhere) return -EEXIST;
  // [restriction.register-op]
  if (m.ring.restricted && !(m.ring.restrictions?.registerOps ?? []).includes(opcode)) return -EACCES;
  const arg = { addr, nrArgs };
  switch (opcode) {
    case IORING_REGISTER_SYNC_CANCEL:
      return cancelNow(m, arg);
    case IORING_REGISTER_ENABLE_RINGS:
      // [register.no-argument]
      return addr !== 0n || nrArgs !== 0 ? -EINVAL : enableRings(m);
    case IORING_REGISTER_BUFFERS:
      m.scheduler.before(m, () => EVERYTHING);
      return registerBuffers(m, addr, nrArgs);
    case IORING_UNREGISTER_BUFFERS:
      if (addr !== 0n || nrArgs !== 0) return -EINVAL;
      m.scheduler.before(m, () => EVERYTHING);
      return unregisterBuffers(m);
    case IORING_REGISTER_RESTRICTIONS:
      return registerRestrictions(m, addr, nrArgs);
    case IORING_REGISTER_EVENTFD:
    case IORING_REGISTER_EVENTFD_ASYNC:
      return registerEventfd(m, addr, nrArgs, opcode === IORING_REGISTER_EVENTFD_ASYNC);
    case IORING_UNREGISTER_EVENTFD:
      return addr !== 0n || nrArgs !== 0 ? -EINVAL : unregisterEventfd(m);
    case IORING_REGISTER_PROBE:
      return probe(m, arg);
    case IORING_REGISTER_PERSONALITY:
      return addr !== 0n || nrArgs !== 0 ? -EINVAL : addPersonality(m);
    case IORING_UNREGISTER_PERSONALITY:
      return addr !== 0n ? -EINVAL : dropPersonality(m, nrArgs);
    case IORING_REGISTER_CLOCK:
      return addr === 0n || nrArgs !== 0 ? -EINVAL : chooseClock(m, addr);
    case IORING_REGISTER_MEM_REGION:
      return registerMemRegion(m, addr, nrArgs);
    case IORING_REGISTER_QUERY:
      return query(m, addr, nrArgs);
    case IORING_REGISTER_RESIZE_RINGS:
      m.scheduler.before(m, () => EVERYTHING);
      return resizeRings(m, addr, nrArgs);
    case IORING_REGISTER_RING_FDS:
      return registerRingFds(m, addr, nrArgs);
    case IORING_UNREGISTER_RING_FDS:
      return unregisterRingFds(m, addr, nrArgs);
    default:
      throw new Unmodelled(`io_uring_register opcode ${opcode}`);
  }
}

/** [register.sync-cancel-arg] */
function cancelNow(m: Machine, { addr, nrArgs }: Arg): number {
  if (addr === 0n || nrArgs !== 1) return -EINVAL;
  m.scheduler.before(m, () => EVERYTHING);
  return syncCancel(m, addr);
}

/** io_register_enable_rings. [register.enable-once] [restriction.from-enabling] */
function enableRings(m: Machine): number {
  if (!m.ring.disabled) return -EBADFD;
  m.ring.disabled = false;
  m.ring.restricted = m.ring.restrictions !== undefined;
  wakePollThread(m);
  return 0;
}

/** io_probe. [register.probe] [register.probe-zeroed] [register.probe-clamped] */
function probe(m: Machine, { addr, nrArgs }: Arg): number {
  if (addr === 0n || nrArgs > PROBE_MAX) return -EINVAL;
  const last = Math.max(...m.profile.opcodes);
  const shown = Math.min(nrArgs, last + 1);
  // [register.probe-whole]
  const size = PROBE.size + (obeys(m.profile, "register.probe-whole") ? nrArgs : shown) * PROBE_OP.size;
  const bytes = m.memory.read(addr, size);
  if (bytes === undefined) return -EFAULT;
  if (bytes.some((byte) => byte !== 0)) return -EINVAL;
  const answer = new Uint8Array(size);
  answer[PROBE.last_op] = last;
  answer[PROBE.ops_len] = shown;
  for (let op = 0; op < shown; op++) {
    const at = PROBE.size + op * PROBE_OP.size;
    answer[at + PROBE_OP.op] = op;
    if (m.profile.opcodes.includes(op)) answer[at + PROBE_OP.flags] = IO_URING_OP_SUPPORTED;
  }
  return m.memory.write(addr, answer) ? 0 : -EFAULT;
}

/** io_register_personality: the next number, not the lowest free one. [register.personality-ids] */
function addPersonality(m: Machine): number {
  const id = m.ring.nextPersonality++;
  m.ring.personalities = [...m.ring.personalities, id];
  return id;
}

/** [register.personality-unknown] */
function dropPersonality(m: Machine, id: number): number {
  if (!m.ring.personalities.includes(id)) return -EINVAL;
  m.ring.personalities = m.ring.personalities.filter((other) => other !== id);
  return 0;
}

/** io_register_clock. [register.clock] */
function chooseClock(m: Machine, addr: bigint): number {
  const bytes = m.memory.read(addr, CLOCK_REGISTER.size);
  if (bytes === undefined) return -EFAULT;
  if (bytes.subarray(CLOCK_REGISTER.__resv).some((byte) => byte !== 0)) return -EINVAL;
  const clock = load32(bytes, CLOCK_REGISTER.clockid);
  if (clock !== CLOCK_MONOTONIC && clock !== CLOCK_BOOTTIME) return -EINVAL;
  m.ring.clock = clock;
  return 0;
}
