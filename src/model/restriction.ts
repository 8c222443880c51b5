// Restrictions: what may be submitted to a ring, and registered with it. Follows io_uring/register.c
// (io_register_restrictions) and io_uring/io_uring.c (io_check_restriction).
import {
  EBADFD, EBUSY, EFAULT, EINVAL, IORING_RESTRICTION_REGISTER_OP, IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
  IORING_RESTRICTION_SQE_FLAGS_REQUIRED, IORING_RESTRICTION_SQE_OP,
} from "../spec/constants.gen.ts";
import { RESTRICTION } from "../spec/codec.gen.ts";
import type { Machine } from "./machine.ts";
import { load32 } from "./memory.ts";
import { registerOpcodes } from "./profile.ts";

/** What IORING_REGISTER_RESTRICTIONS allows. Opcodes and register opcodes as numbers. */
export interface Restrictions {
  readonly sqeOps: readonly number[];
  readonly registerOps: readonly number[];
  readonly flagsAllowed: number;
  readonly flagsRequired: number;
}

/** io_register_restrictions. [restriction.disabled-ring-only] [restriction.once] */
export function registerRestrictions(m: Machine, addr: bigint, nrArgs: number): number {
  if (!m.ring.disabled) return -EBADFD;
  if (m.ring.restrictions !== undefined) return -EBUSY;
  const parsed = parseRestrictions(m, addr, nrArgs);
  if (typeof parsed === "number") return parsed;
  m.ring.restrictions = parsed;
  return 0;
}

/** [restriction.checked-whole] one that is not known refuses them all */
function parseRestrictions(m: Machine, addr: bigint, nrArgs: number): Restrictions | number {
  const registers = registerOpcodes(m.profile);
  const most = 4 + registers.length + m.profile.opcodes.length;
  if (addr === 0n || nrArgs > most) return -EINVAL;
  const bytes = m.memory.read(addr, nrArgs * RESTRICTION.size);
  if (bytes === undefined) return -EFAULT;
  const sqeOps: number[] = [];
  const registerOps: number[] = [];
  let flagsAllowed = 0;
  let flagsRequired = 0;
  for (let at = 0; at < bytes.length; at += RESTRICTION.size) {
    const value = bytes[at + RESTRICTION.register_op] ?? 0;
    const kind = load32(bytes, at + RESTRICTION.opcode) & 0xffff;
    if (kind === IORING_RESTRICTION_REGISTER_OP && registers.includes(value)) registerOps.push(value);
    else if (kind === IORING_RESTRICTION_SQE_OP && m.profile.opcodes.includes(value)) sqeOps.push(value);
    else if (kind === IORING_RESTRICTION_SQE_FLAGS_ALLOWED) flagsAllowed = value;
    else if (kind === IORING_RESTRICTION_SQE_FLAGS_REQUIRED) flagsRequired = value;
    else return -EINVAL;
  }
  return { sqeOps, registerOps, flagsAllowed, flagsRequired };
}

/** io_check_restriction: may a request with this opcode and these flags be submitted? [restriction.sqe-op] [restriction.sqe-flags] [restriction.nothing-allowed] */
export function mayBeSubmitted(m: Machine, opcode: number, flags: number): boolean {
  const { restrictions } = m.ring;
  if (!m.ring.restricted || restrictions === undefined) return true;
  if (!restrictions.sqeOps.includes(opcode)) return false;
  if ((flags & restrictions.flagsRequired) !== restrictions.flagsRequired) return false;
  return (flags & ~(restrictions.flagsAllowed | restrictions.flagsRequired)) === 0;
}
