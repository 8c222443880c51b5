// What programs may ask of io_uring_register, as data: each call by its name, without IORING_REGISTER_ or IORING_, with
// what its argument holds. Addresses are not in it: lower-registration.ts makes the memory that is named.
import { z } from "zod";

const u8 = z.int().min(0).max(0xff);
const u32 = z.int().min(0).max(0xffff_ffff);
const ENTRIES_MAX = 20;

/** Stands for a slot that the kernel picks, and in a descriptor's place for no ring at all. */
export const ANY = 0xffff_ffff;

/** Kinds of restrictions by name, without IORING_RESTRICTION_. */
export const RESTRICTION_KINDS = ["REGISTER_OP", "SQE_OP", "SQE_FLAGS_ALLOWED", "SQE_FLAGS_REQUIRED"] as const;

/** The calls; `descriptor` is how a program names one. */
export const registrationOf = (descriptor: z.ZodString) =>
  z.discriminatedUnion("call", [
    // Rings by index.
    z.strictObject({
      call: z.literal("RING_FDS"),
      entries: z.array(z.strictObject({ fd: descriptor, slot: u32, reserved: u32.optional() })).max(ENTRIES_MAX),
    }),
    z.strictObject({
      call: z.literal("UNREGISTER_RING_FDS"),
      entries: z.array(z.strictObject({ slot: u32, data: u32.optional(), reserved: u32.optional() })).max(ENTRIES_MAX),
    }),
    // What the kernel has.
    z.strictObject({
      call: z.literal("QUERY"),
      /** A list, in its order; `room` is for the answer, `fault`: the answer goes where every access faults. */
      entries: z.array(z.strictObject({
        query: u32, room: z.int().min(0).max(4096), result: u32.optional(), reserved: u32.optional(), fault: z.boolean().optional(),
      })).max(8),
    }),
    /** `dirty`: the memory is not zero. */
    z.strictObject({ call: z.literal("PROBE"), dirty: z.boolean().optional() }),
    // Who completes, cancels, waits, and how.
    z.strictObject({ call: z.literal("PERSONALITY") }),
    z.strictObject({ call: z.literal("UNREGISTER_PERSONALITY"), id: u32 }),
    z.strictObject({ call: z.literal("EVENTFD"), fd: descriptor }),
    z.strictObject({ call: z.literal("EVENTFD_ASYNC"), fd: descriptor }),
    z.strictObject({ call: z.literal("UNREGISTER_EVENTFD") }),
    z.strictObject({ call: z.literal("CLOCK"), clock: u32, reserved: u32.optional() }),
    /** Its time is without end. */
    z.strictObject({
      call: z.literal("SYNC_CANCEL"),
      flags: u32, userData: z.int().min(0).optional(), fd: descriptor.optional(), opcode: u8.optional(), reserved: u8.optional(),
    }),
    // A disabled ring.
    z.strictObject({ call: z.literal("ENABLE_RINGS") }),
    z.strictObject({
      call: z.literal("RESTRICTIONS"),
      allow: z.array(z.strictObject({ kind: z.union([z.enum(RESTRICTION_KINDS), u8]), value: u8 })).max(ENTRIES_MAX),
    }),
    /** Memory of the program, whose entries are short waits at first, or the kernel's own; `waits`: for the arguments of waits. */
    z.strictObject({
      call: z.literal("MEM_REGION"),
      memory: z.enum(["program", "kernel", "fault"]), pages: z.int().min(0).max(4), waits: z.boolean().optional(),
      wrong: z.enum(["size", "id", "offset", "reserved", "flags", "type", "description"]).optional(),
    }),
    /** What is filled in is published before; the queues are mapped anew behind it. */
    z.strictObject({ call: z.literal("RESIZE_RINGS"), entries: u32, cqEntries: u32.optional(), flags: u32 }),
  ]);
export type Registration = z.infer<ReturnType<typeof registrationOf>>;

/** How a call is made. */
export const registerFields = {
  /** In the descriptor's place, with IORING_REGISTER_USE_REGISTERED_RING. */
  index: u32.optional(),
  /** nr_args, in the place of the right one. */
  count: u32.optional(),
  /** What the argument is in place of the right one. */
  arg: z.enum(["fault", "null"]).optional(),
};

/** What a wait says beside `wait`. */
export const enterFields = {
  /** Its signal mask lets every signal in. */
  signals: z.boolean().optional(),
  /** In the descriptor's place, with IORING_ENTER_REGISTERED_RING. */
  index: u32.optional(),
  /** Microseconds in which all is waited for; after that anything will do. */
  minWait: u32.optional(),
  /** The wait's end in microseconds from the call on, as a moment (IORING_ENTER_ABS_TIMER). */
  until: z.int().optional(),
  /**
   * The argument is this offset into the memory region, where `wait` and `minWait` are written before if an entry fits
   * there; `flags` and `size` in place of the right ones.
   */
  region: z.strictObject({ offset: u32, flags: u32.optional(), size: u32.optional() }).optional(),
};
