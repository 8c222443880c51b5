// Is it safe to run a program in this process's memory and with its descriptors? The schema cannot say
// so: lengths of buffers, and what an opcode makes of an address, are known only here. Every request is
// judged alone, for a hostile program may submit any of them at any time and more than once.
import {
  IORING_ASYNC_CANCEL_FD, IORING_NOP_FILE, IORING_NOP_FIXED_FILE, IORING_POLL_UPDATE_USER_DATA, IORING_TIMEOUT_UPDATE_MASK,
  OPCODE_NAMES,
} from "../spec/constants.gen.ts";
import { KERNEL_TIMESPEC } from "../spec/codec.gen.ts";
import { PROGRAM_OPCODES, type Address, type Program, type ProgramOpcode, type SqeSpec } from "./program.ts";
import { callFault } from "./call-safety.ts";

/** The faulting page is at least this long; accesses from its start never leave it. */
const FAULT_BYTES = 4096;
/** Opcodes from here on exist on no kernel that programs run on, or do nothing without a ring of another kind. */
const FIRST_UNKNOWN_OPCODE = 63;
const NAMES: ReadonlySet<string> = new Set(PROGRAM_OPCODES);

type Sizes = readonly number[];

/** Why a program must not be run: one sentence that names the fault; undefined where nothing is wrong. */
export function memorySafe(program: Program): string | undefined {
  const openat = new Set<number>();
  const others = new Set<number>();
  for (const [i, operation] of program.ops.entries()) {
    const unsafe = callFault(operation);
    if (unsafe !== undefined) return `operation ${i} (${operation.op}): ${unsafe}`;
    if (operation.op !== "sqe" && operation.op !== "slot") continue;
    const sqe = operation.op === "slot" ? operation.sqe : operation;
    const where = `operation ${i} (${nameOf(sqe)})`;
    const fault = sqeFault(sqe, program.world.buffers);
    if (fault !== undefined) return `${where}: ${fault}`;
    (nameOf(sqe) === "OPENAT" ? openat : others).add(sqe.userData);
    if (nameOf(sqe) === "MSG_RING") others.add(sqe.off ?? 0);
    if (nameOf(sqe) === "POLL_REMOVE" && ((sqe.len ?? 0) & IORING_POLL_UPDATE_USER_DATA) !== 0) others.add(sqe.off ?? 0);
  }
  for (const userData of openat) {
    if (others.has(userData))
      return `userData 0x${userData.toString(16)} is that of an OPENAT and of another request, whose result could pass for a descriptor`;
  }
  return undefined;
}

function nameOf({ opcode }: SqeSpec): string {
  return typeof opcode === "string" ? opcode : (OPCODE_NAMES[opcode] ?? `#${opcode}`);
}

const isProgramOpcode = (name: string): name is ProgramOpcode => NAMES.has(name);

function sqeFault(sqe: SqeSpec, sizes: Sizes): string | undefined {
  const name = nameOf(sqe);
  if (isProgramOpcode(name)) {
    if (typeof sqe.opcode === "number" && name === "OPENAT") return "an OPENAT must be written by name, or its descriptor is lost";
    return descriptorFault(name, sqe) ?? ADDRESSES[name](sqe, sizes);
  }
  if (typeof sqe.opcode === "number" && sqe.opcode >= FIRST_UNKNOWN_OPCODE)
    return harmless(sqe.addr) && harmless(sqe.addr2) && sqe.fd === undefined
      ? undefined
      : "an unknown opcode may have no descriptor and no address but one that faults, for another kernel may know it";
  return "it is not one of the operations that programs are made of";
}

const harmless = (address: Address | undefined): boolean => address === undefined || address.is === "fault";

/** sqe.fd is 0 where it is left out: the standard input of whoever runs the program. */
function descriptorFault(name: ProgramOpcode, sqe: SqeSpec): string | undefined {
  if (sqe.fd === "ring" && name !== "MSG_RING") return "the ring's own descriptor is for MSG_RING";
  if (sqe.fd !== undefined) return undefined;
  const opFlags = sqe.opFlags ?? 0;
  switch (name) {
    case "POLL_REMOVE":
    case "TIMEOUT":
    case "TIMEOUT_REMOVE":
    case "LINK_TIMEOUT":
      return undefined;
    case "NOP":
      if ((opFlags & (IORING_NOP_FILE | IORING_NOP_FIXED_FILE)) === 0) return undefined;
      break;
    case "ASYNC_CANCEL":
      if ((opFlags & IORING_ASYNC_CANCEL_FD) === 0) return undefined;
      break;
    case "READ": case "WRITE": case "READV": case "WRITEV": case "FSYNC": case "POLL_ADD": case "OPENAT": case "CLOSE":
    case "MSG_RING":
      break;
  }
  return "it names no descriptor, and would take descriptor 0 of this process";
}

type Check = (sqe: SqeSpec, sizes: Sizes) => string | undefined;
const unused: Check = () => undefined;

/** What each operation does with its addresses. NOP and the like refuse or ignore them. */
const ADDRESSES: Record<ProgramOpcode, Check> = {
  NOP: unused,
  FSYNC: unused,
  POLL_ADD: unused,
  POLL_REMOVE: unused,
  ASYNC_CANCEL: unused,
  CLOSE: unused,
  READ: transfer,
  WRITE: transfer,
  READV: vector,
  WRITEV: vector,
  OPENAT: path,
  TIMEOUT: (sqe, sizes) => time("addr", sqe.addr, sizes),
  LINK_TIMEOUT: (sqe, sizes) => time("addr", sqe.addr, sizes),
  MSG_RING: unused,
  TIMEOUT_REMOVE: (sqe, sizes) => {
    if (((sqe.opFlags ?? 0) & IORING_TIMEOUT_UPDATE_MASK) === 0) return undefined;
    if (sqe.addr2 === undefined && (sqe.off ?? 0) !== 0) return `off is the address of a time here, and it is the number ${sqe.off}`;
    return time("addr2", sqe.addr2, sizes);
  },
};

/** Is [at, at + length) in the buffer? What the fault is, otherwise. */
function rangeFault(buffer: number, at: number, length: number, sizes: Sizes): string | undefined {
  const size = sizes[buffer];
  if (size === undefined) return `there is no buffer ${buffer}`;
  if (at + length > size) return `bytes ${at} to ${at + length} are not within buffer ${buffer}, which has ${size}`;
  return undefined;
}

function transfer(sqe: SqeSpec, sizes: Sizes): string | undefined {
  const { addr, len = 0 } = sqe;
  if (addr?.is === "buffer") return rangeFault(addr.buffer, addr.at, len, sizes);
  if (harmless(addr)) return faultFault(len);
  return `addr is ${kindOf(addr)}, not a place in a buffer`;
}

function vector(sqe: SqeSpec, sizes: Sizes): string | undefined {
  const { addr, len = 0 } = sqe;
  if (harmless(addr)) return faultFault(len);
  if (addr?.is !== "iovec") return `addr is ${kindOf(addr)}, not an array of iovecs`;
  if (len > addr.places.length) return `len is ${len}, and there are ${addr.places.length} iovecs`;
  for (const { buffer, at, length } of addr.places) {
    const fault = rangeFault(buffer, at, length, sizes);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function path({ addr }: SqeSpec): string | undefined {
  if (harmless(addr)) return undefined;
  if (addr?.is !== "path") return `addr is ${kindOf(addr)}, not a path`;
  // Nothing but plain names: the program's directory is all that it may reach.
  if (/[/\0]/.test(addr.path) || addr.path === "..") return `the path ${JSON.stringify(addr.path)} leads out of the program's directory`;
  return undefined;
}

function time(field: string, address: Address | undefined, sizes: Sizes): string | undefined {
  if (harmless(address) || address?.is === "time" || address?.is === "deadline") return undefined;
  if (address?.is === "buffer") return rangeFault(address.buffer, address.at, KERNEL_TIMESPEC.size, sizes);
  return `${field} is ${kindOf(address)}, not a time`;
}

const faultFault = (length: number): string | undefined =>
  length > FAULT_BYTES ? `len is ${length}, and of an address that faults at most ${FAULT_BYTES} bytes are safe` : undefined;

const KIND_WORDS: Record<Address["is"], string> = {
  buffer: "a place in a buffer", iovec: "an array of iovecs", path: "a path", time: "a time", deadline: "a deadline",
  number: "a number", fault: "an address that faults",
};

const kindOf = (address: Address | undefined): string => (address === undefined ? "nothing" : KIND_WORDS[address.is]);
