// What comes before the first operation of a program that is explored: its world and its ring on a machine of the
// model, and its requests as bytes. The world is made by the code that makes it for every other run.
import { KernelError, Unmodelled, type KernelProfile, type Region } from "../../kernel.ts";
import { BEGUN_NS, createModelKernel } from "../../model/kernel.ts";
import { Machine } from "../../model/machine.ts";
import { Simulation } from "../../model/simulate.ts";
import { lowerSqe } from "../../program/lower.ts";
import { lowerRegistration, type LoweredRegistration } from "../../program/lower-registration.ts";
import type { Operation, Program, SqeSpec } from "../../program/program.ts";
import { ringParams } from "../../program/ring-params.ts";
import type { TraceEvent } from "../../program/trace.ts";
import { WAIT_BYTES } from "../../program/wait-argument.ts";
import { ProgramWorld } from "../../program/world.ts";
import { KERNEL_TIMESPEC, SQE, SYNC_CANCEL_REG } from "../../spec/codec.gen.ts";
import { IORING_ASYNC_CANCEL_ANY, IORING_SETUP_SQE128, IORING_SETUP_SQPOLL } from "../../spec/constants.gen.ts";
import { applyAlloc, applyMemory, applySetup, applySystem } from "../apply.ts";

/** A request as bytes, all but what is known only when it is written to its slot. */
export interface Lowered {
  readonly spec: SqeSpec;
  readonly bytes: Uint8Array;
  /** Timespecs that say when: where they are, and how long after the moment of writing. */
  readonly deadlines: readonly { readonly addr: bigint; readonly microseconds: number }[];
}

export interface Prelude {
  readonly program: Program;
  readonly machine: Machine;
  /** What io_uring_setup returned where it was refused: -errno. */
  readonly refused: number | undefined;
  /** By operation: those that carry a request. */
  readonly lowered: ReadonlyMap<number, Lowered>;
  readonly world: ProgramWorld;
  /** Descriptors by name, in the order in which they were opened. */
  readonly fds: ReadonlyMap<string, number>;
  /** The program's buffers. */
  readonly buffers: readonly Region[];
  /** By operation: calls of io_uring_register, with what they point to. */
  readonly registrations: ReadonlyMap<number, LoweredRegistration>;
  /** For the argument of a wait. */
  readonly wait: Region;
  readonly cancelArg: bigint;
  readonly faultAddress: bigint;
  readonly sqeBytes: number;
  readonly polled: boolean;
  /** The program stores into words of the ring. */
  readonly wild: boolean;
  /** user_data of requests whose result is a descriptor. */
  readonly opens: ReadonlySet<bigint>;
}

export interface PreludeOptions {
  readonly profile: KernelProfile;
  /** The program ends within this: what takes longer does not happen. */
  readonly untilNs: bigint;
}

/** Calls that explorations leave out. */
const beyond = (operation: Operation): string | undefined =>
  operation.op === "register" && /"fd":"o[0-9]/.test(JSON.stringify(operation)) ? "io_uring_register with a descriptor that a completion brings" : undefined;

/** Throws Unmodelled where the ring is of a kind that the model has not, and where explorations leave an operation out. */
export function prelude(program: Program, { profile, untilNs }: PreludeOptions): Prelude {
  for (const [i, operation] of program.ops.entries()) {
    const left = beyond(operation);
    if (left !== undefined) throw new Unmodelled(`operation ${i} is ${left}, and an exploration goes into no such call`);
  }
  const kernel = createModelKernel({ profile });
  const machine = new Machine({ profile, scheduler: new Simulation() });
  let isOpen = false;
  const apply = (event: TraceEvent): void => {
    if (event.event === "system") applySystem(machine, event);
    else if (event.event === "alloc") applyAlloc(machine, event.addr, event.size);
    else if (event.event === "memory") applyMemory(machine, event);
  };
  const world = new ProgramWorld(kernel, program, apply);
  world.open();
  const params = ringParams(program.ring);
  let refused: number | undefined;
  try {
    const ring = kernel.setup(program.ring.entries, params);
    world.ring = ring.fd;
    applySetup(machine, { event: "setup", from: 0n, to: 0n, entries: program.ring.entries, params, result: ring.fd, filled: ring.params });
    isOpen = true;
  } catch (error) {
    if (!(error instanceof KernelError)) throw error;
    refused = -error.errno;
  }
  const lowered = new Map<number, Lowered>();
  const opens = new Set<bigint>();
  for (const [i, operation] of program.ops.entries()) {
    if (operation.op !== "sqe" && operation.op !== "slot") continue;
    const spec = operation.op === "slot" ? operation.sqe : operation;
    if (spec.opcode === "OPENAT") opens.add(BigInt(spec.userData));
    lowered.set(i, lower(spec, world));
  }
  const registrations = new Map<number, LoweredRegistration>();
  for (const [i, operation] of program.ops.entries()) if (operation.op === "register") registrations.set(i, lowerRegistration(operation, world, []));
  const wait = world.alloc(WAIT_BYTES);
  const cancelArg = world.alloc(SYNC_CANCEL_REG.size);
  writeCancelAll(cancelArg.bytes);
  world.stored(cancelArg);
  const flags = isOpen ? machine.ring.flags : 0;
  machine.nowNs = BEGUN_NS;
  machine.untilNs = BEGUN_NS + untilNs;
  return {
    program, machine, refused, wild: program.ops.some(({ op }) => op === "store"), lowered, world, opens,
    fds: world.descriptors, buffers: world.memory, faultAddress: world.faultAddress,
    registrations, wait, cancelArg: cancelArg.addr,
    sqeBytes: (flags & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size,
    polled: (flags & IORING_SETUP_SQPOLL) !== 0,
  };
}

function lower(spec: SqeSpec, world: ProgramWorld): Lowered {
  const { bytes } = lowerSqe(spec, world, [], 0n);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const deadlines = (["addr", "addr2"] as const).flatMap((field) => {
    const address = spec[field];
    if (address?.is !== "deadline") return [];
    return [{ addr: view.getBigUint64(field === "addr" ? SQE.addr : SQE.off, true), microseconds: address.microseconds }];
  });
  return { spec, bytes, deadlines };
}

/** Struct io_uring_sync_cancel_reg: everything, and no bound. */
export function writeCancelAll(bytes: Uint8Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(SYNC_CANCEL_REG.flags, IORING_ASYNC_CANCEL_ANY, true);
  view.setBigInt64(SYNC_CANCEL_REG.timeout + KERNEL_TIMESPEC.tv_sec, -1n, true);
  view.setBigInt64(SYNC_CANCEL_REG.timeout + KERNEL_TIMESPEC.tv_nsec, -1n, true);
}
