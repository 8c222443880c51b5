// A program: a sequence of operations on one ring, as data. Files, buffers and descriptors are
// symbolic, so that the same program runs on every kernel, and nothing in it can reach memory or
// descriptors that are not its own. Version 1; JSON in files, checked by this schema.
import { z } from "zod";
import { IORING_ENTER_GETEVENTS } from "../spec/constants.gen.ts";
import { enterFields, registerFields, registrationOf } from "./registration.ts";

/** The operations that programs are made of: those that the model executes. */
export const PROGRAM_OPCODES = [
  "NOP", "READV", "WRITEV", "FSYNC", "POLL_ADD", "POLL_REMOVE", "TIMEOUT", "TIMEOUT_REMOVE", "ASYNC_CANCEL", "OPENAT",
  "CLOSE", "READ", "WRITE", "LINK_TIMEOUT", "MSG_RING",
] as const;
export type ProgramOpcode = (typeof PROGRAM_OPCODES)[number];

/** Setup flags by name, without IORING_SETUP_. */
export const RING_FLAGS = [
  "CQSIZE", "CLAMP", "SUBMIT_ALL", "NO_SQARRAY", "COOP_TASKRUN", "SINGLE_ISSUER",
  "DEFER_TASKRUN", "TASKRUN_FLAG", "SQE128", "CQE32", "CQE_MIXED", "SQPOLL", "R_DISABLED",
] as const;

/** IOSQE_* by name. */
export const SQE_FLAG_NAMES = [
  "FIXED_FILE", "IO_DRAIN", "IO_LINK", "IO_HARDLINK", "ASYNC", "BUFFER_SELECT", "CQE_SKIP_SUCCESS",
] as const;

/** Words of the ring memory that a hostile program stores into. */
export const RING_WORDS = [
  "sqHead", "sqTail", "cqHead", "cqTail", "sqRingMask", "cqRingMask", "sqRingEntries", "cqRingEntries", "sqDropped",
  "sqFlags", "cqFlags", "cqOverflow",
] as const;
export type RingWord = (typeof RING_WORDS)[number];

const u8 = z.int().min(0).max(0xff);
const u16 = z.int().min(0).max(0xffff);
const u32 = z.int().min(0).max(0xffff_ffff);
const count = z.int().min(0).max(63);

/**
 * A descriptor by name: "f0" a file, "p0r" and "p0w" a pipe's ends, "e0" an eventfd, "dir" the
 * program's directory, "closed" a number that was closed, "none" -1, "o0" what the first OPENAT that
 * succeeded was given, "ring" the ring (for MSG_RING).
 */
const descriptor = z.string().regex(/^(f[0-3]|p[0-3][rw]|e[0-3]|dir|closed|none|ring|o[0-9]{1,2})$/);

const place = z.strictObject({ buffer: count, at: z.int().min(0).max(4096), length: z.int().min(0).max(65536) });

/** What an SQE's address points to. */
const address = z.discriminatedUnion("is", [
  /** A place in a buffer of the program. */
  z.strictObject({ is: z.literal("buffer"), buffer: count, at: z.int().min(0).max(4096) }),
  /** An array of struct iovec. */
  z.strictObject({ is: z.literal("iovec"), places: z.array(place).max(8) }),
  /** A path, relative to the descriptor. */
  z.strictObject({ is: z.literal("path"), path: z.string().max(32) }),
  /** A struct __kernel_timespec. */
  z.strictObject({ is: z.literal("time"), seconds: z.int(), nanoseconds: z.int() }),
  /** A time from the moment of submission on, on CLOCK_MONOTONIC (for TIMEOUT_ABS). */
  z.strictObject({ is: z.literal("deadline"), microseconds: z.int() }),
  /** A number, such as a user_data to cancel. */
  z.strictObject({ is: z.literal("number"), number: z.int().min(0) }),
  /** An address whose every access faults. */
  z.strictObject({ is: z.literal("fault") }),
]);
export type Address = z.infer<typeof address>;

const sqeFields = {
  opcode: z.union([z.enum(PROGRAM_OPCODES), u8]),
  flags: z.array(z.enum(SQE_FLAG_NAMES)).optional(),
  /** Bits of sqe.flags that have no name. */
  unknownFlags: u8.optional(),
  userData: z.int().min(0),
  fd: descriptor.optional(),
  addr: address.optional(),
  /** sqe.off where it is a number; -1 is the file's own position. */
  off: z.int().optional(),
  /** sqe.off where it is an address: the timespec of TIMEOUT_REMOVE with UPDATE. */
  addr2: address.optional(),
  len: u32.optional(),
  opFlags: u32.optional(),
  ioprio: u16.optional(),
  bufIndex: u16.optional(),
  personality: u16.optional(),
  spliceFdIn: z.int().optional(),
};
const sqe = z.strictObject(sqeFields);
export type SqeSpec = z.infer<typeof sqe>;

/** The bound of a wait; without one an enter waits for ever. */
const wait = z.strictObject({ seconds: z.int(), nanoseconds: z.int() });

const operation = z.discriminatedUnion("op", [
  // What a driver does.
  /** Takes the next SQE and fills it in; where the queue is full it is submitted first. */
  z.strictObject({ op: z.literal("sqe"), ...sqeFields }),
  /** Publishes the tail and enters with what was filled in; with `wait`, also waits for what is sure to come, at most that many. */
  z.strictObject({
    op: z.literal("submit"), getevents: z.boolean().optional(), wait: count.optional(), index: enterFields.index, signals: enterFields.signals,
  }),
  /** Waits until everything has come that must come without more input. */
  z.strictObject({ op: z.literal("settle") }),
  /** Takes completions out, at most `max`. */
  z.strictObject({ op: z.literal("reap"), max: count.optional() }),
  // Ordinary system calls.
  z.strictObject({ op: z.literal("write"), fd: descriptor, bytes: z.int().min(0).max(65536), fill: u8 }),
  z.strictObject({ op: z.literal("read"), fd: descriptor, bytes: z.int().min(0).max(65536) }),
  z.strictObject({ op: z.literal("close"), fd: descriptor }),
  /** Sends the thread a signal that it blocks. */
  z.strictObject({ op: z.literal("raise") }),
  /** Reads what procfs shows of the ring. Pending task work runs when the call returns. */
  z.strictObject({ op: z.literal("fdinfo") }),
  /** io_uring_register. */
  z.strictObject({ op: z.literal("register"), does: registrationOf(descriptor), ...registerFields }),
  // Raw, for hostile programs.
  /** Stores a word of ring memory: a value, or its present value plus `add`. */
  z.strictObject({ op: z.literal("store"), word: z.enum(RING_WORDS), value: u32.optional(), add: z.int().optional() }),
  /** Stores an index into the SQ array. */
  z.strictObject({ op: z.literal("array"), slot: count, index: u32 }),
  /** Writes an SQE into a slot and moves nothing. */
  z.strictObject({ op: z.literal("slot"), slot: count, sqe }),
  /** io_uring_enter with these arguments, as they are. */
  z.strictObject({
    op: z.literal("enter"),
    toSubmit: u32,
    minComplete: u32,
    flags: u32,
    wait: wait.optional(),
    /** What the argument is in place of a good one. */
    arg: z.enum(["fault", "time-fault", "size"]).optional(),
    ...enterFields,
  }),
]);
export type Operation = z.infer<typeof operation>;
export type EnterOperation = Operation & { op: "enter" };
export type RegisterOperation = Operation & { op: "register" };

/** A wait with no bound of its own: it may never return. */
export const isEndless = (of: Operation): boolean =>
  of.op === "enter" && (of.flags & IORING_ENTER_GETEVENTS) !== 0 && of.minComplete > 0 && of.wait === undefined &&
  of.until === undefined && (of.minWait ?? 0) === 0;

export const programSchema = z.strictObject({
  version: z.literal(1),
  kind: z.enum(["legal", "hostile"]),
  ring: z.strictObject({
    entries: u32,
    flags: z.array(z.enum(RING_FLAGS)),
    cqEntries: u32.optional(),
    /** Milliseconds after which a thread that polls goes to sleep. */
    sqThreadIdle: u32.optional(),
    /** Bits of io_uring_params.flags that have no name here, and reserved words that are not zero. */
    unknownFlags: u32.optional(),
    resv: z.tuple([u32, u32, u32]).optional(),
  }),
  world: z.strictObject({
    /** Sizes of f0, f1 ...; byte i of a file is i & 0xff at the start. */
    files: z.array(z.int().min(0).max(4096)).max(4),
    /** Bytes that p0, p1 ... hold at the start. */
    pipes: z.array(z.int().min(0).max(65536)).max(4),
    /** Counts of e0, e1 ... */
    eventfds: z.array(z.int().min(0).max(0xffff_ffff)).max(4),
    /** Sizes of the buffers. */
    buffers: z.array(z.int().min(0).max(65536)).max(8),
  }),
  ops: z.array(operation),
});
export type Program = z.infer<typeof programSchema>;

/** JSON Schema of programs, for other tools. */
export const programJsonSchema = (): unknown => z.toJSONSchema(programSchema);

/** Reads a program from JSON text. Throws an Error that names what is wrong, and where. */
export function parseProgram(text: string): Program {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`a program is JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const result = programSchema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`not a program of version 1: at ${issue?.path.join(".") || "the top"}: ${issue?.message ?? "unknown fault"}`);
}
