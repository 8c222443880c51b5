// The lines of a trace as schemas: one for the heading and one for each kind of event. They refuse what
// they don't know. What no single line can show (order, bounds of memory) is in trace-order.ts; in prose
// all of it is in docs/reference/trace.md.
import { z } from "zod";
import type { RingInfo } from "../fdinfo.ts";
import type { IoUringParams, SetupParams } from "../kernel.ts";
import type { SystemCall, TraceEvent } from "./trace.ts";

/** A piece of memory, a read or a store has at most so many bytes. */
export const BYTES_MAX = 1 << 24;
/** Words at the start of the ring that a peek loads. */
export const WORDS = 16;

const int = (least: number, most: number): z.ZodInt => z.int().min(least).max(most);
const u16 = int(0, 0xffff);
const u32 = int(0, 0xffff_ffff);
const i32 = int(-0x8000_0000, 0x7fff_ffff);
const safe = z.int().min(0);
const size = int(0, BYTES_MAX);

/** {"$n": "123"}, or a plain number up to 2^53 - 1. */
const u64 = z.codec(
  z.union([safe, z.strictObject({ $n: z.string().regex(/^[0-9]{1,20}$/, "1 to 20 decimal digits") })]),
  z.bigint().max(0xffff_ffff_ffff_ffffn, "at most 18446744073709551615"),
  { decode: (written) => BigInt(typeof written === "number" ? written : written.$n), encode: (value) => ({ $n: value.toString() }) },
);

/** {"$b": "00ff"}. */
const bytes = z.codec(
  z.strictObject({ $b: z.string().max(2 * BYTES_MAX).regex(/^(?:[0-9a-f]{2})*$/i, "hexadecimal digits, two a byte") }),
  z.instanceof(Uint8Array),
  { decode: ({ $b }) => new Uint8Array(Buffer.from($b, "hex")), encode: (value) => ({ $b: Buffer.from(value).toString("hex") }) },
);

const timed = { from: u64, to: u64 };

const setupParams: z.ZodType<SetupParams> = z.strictObject({
  flags: u32.exactOptional(),
  cqEntries: u32.exactOptional(),
  sqThreadCpu: u32.exactOptional(),
  sqThreadIdle: u32.exactOptional(),
  wqFd: i32.exactOptional(),
  resv: z.tuple([u32, u32, u32]).exactOptional(),
});

const filledParams: z.ZodType<IoUringParams> = z.strictObject({
  sqEntries: u32,
  cqEntries: u32,
  flags: u32,
  sqThreadCpu: u32,
  sqThreadIdle: u32,
  features: u32,
  wqFd: int(-0x8000_0000, 0xffff_ffff),
  sqOff: z.strictObject({ head: u32, tail: u32, ringMask: u32, ringEntries: u32, flags: u32, dropped: u32, array: u32 }),
  cqOff: z.strictObject({ head: u32, tail: u32, ringMask: u32, ringEntries: u32, overflow: u32, cqes: u32, flags: u32 }),
});

const transfer = { fd: i32, bytes };
const systemCall: z.ZodType<SystemCall> = z.discriminatedUnion("call", [
  z.strictObject({ call: z.literal("open"), path: z.string().max(4096), flags: u32 }),
  z.strictObject({ call: z.literal("pipe") }),
  z.strictObject({ call: z.literal("raise") }),
  z.strictObject({ call: z.literal("take-signal") }),
  z.strictObject({ call: z.literal("eventfd"), count: u32 }),
  z.strictObject({ call: z.literal("dup"), fd: i32 }),
  z.strictObject({ call: z.literal("close"), fd: i32 }),
  z.strictObject({ call: z.literal("write"), ...transfer }),
  z.strictObject({ call: z.literal("read"), fd: i32, size }),
  z.strictObject({ call: z.literal("pwrite"), ...transfer, offset: safe }),
  z.strictObject({ call: z.literal("pread"), fd: i32, size, offset: safe }),
]);

const twoWords = z.tuple([u64, u64]);
const seenCqe = z.strictObject({ slot: u32, userData: u64, res: i32, flags: u32, big: twoWords.exactOptional() });

const ringInfo: z.ZodType<RingInfo> = z.strictObject({
  sqMask: u32, sqHead: u32, sqTail: u32, cachedSqHead: u32, cqMask: u32, cqHead: u32, cqTail: u32, cachedCqTail: u32,
  sqeCount: u32,
  sqes: z.array(z.strictObject({
    slot: u32, opcode: z.string(), fd: i32, flags: u32, off: u64, addr: u64, rwFlags: u32, bufIndex: u16, userData: u64,
    extra: z.array(u64).exactOptional(),
  })),
  cqeCount: u32,
  cqes: z.array(z.strictObject({ slot: u32, userData: u64, res: i32, flags: u32, extra: twoWords.exactOptional() })),
  sqThread: i32, sqThreadCpu: i32, sqTotalTime: safe, sqWorkTime: safe,
  userFileCount: u32,
  userFiles: z.array(z.strictObject({ index: u32, path: z.string() })),
  userBufCount: u32,
  userBufs: z.array(z.strictObject({ index: u32, addr: u64.optional(), length: safe })),
  personalities: z.array(u32),
  polls: z.array(z.strictObject({ opcode: u32, taskWorks: z.boolean() })),
  overflow: z.array(z.strictObject({ userData: u64, res: i32, flags: u32 })),
  napi: z.string().optional(),
});

/** The first line. */
export const traceHead = z.strictObject({
  trace: z.literal("ringspec"),
  version: z.literal(1),
  kernel: z.string().max(256).exactOptional(),
});

/** Every other line, by the name in its field `event`. */
export const EVENT_SCHEMAS = {
  setup: z.strictObject({
    event: z.literal("setup"), ...timed, entries: u32, params: setupParams, result: i32,
    filled: filledParams.exactOptional(), counters: u32.exactOptional(),
  }),
  alloc: z.strictObject({ event: z.literal("alloc"), ...timed, addr: u64, size }),
  memory: z.strictObject({ event: z.literal("memory"), ...timed, addr: u64, bytes }),
  store: z.strictObject({ event: z.literal("store"), ...timed, region: z.enum(["ring", "sqes"]), at: u32, bytes }),
  system: z.strictObject({
    event: z.literal("system"), ...timed, request: systemCall, result: i32, second: i32.exactOptional(), bytes: bytes.exactOptional(),
  }),
  enter: z.strictObject({
    event: z.literal("enter"), ...timed, toSubmit: u32, minComplete: u32, flags: u32,
    arg: z.strictObject({ addr: u64, size: safe }).exactOptional(), index: u32.exactOptional(),
    result: i32.optional(), watchdog: z.boolean().exactOptional(),
  }),
  register: z.strictObject({
    event: z.literal("register"), ...timed, opcode: u32, arg: u64, nrArgs: u32, index: u32.exactOptional(), result: i32,
    filled: filledParams.exactOptional(),
  }),
  fdinfo: z.strictObject({ event: z.literal("fdinfo"), ...timed, info: ringInfo.optional() }),
  peek: z.strictObject({ event: z.literal("peek"), ...timed, cqTail: u32, cqes: z.array(seenCqe), words: z.array(u32).length(WORDS) }),
  look: z.strictObject({ event: z.literal("look"), ...timed, addr: u64, bytes }),
} satisfies { readonly [K in TraceEvent["event"]]: z.ZodType<Extract<TraceEvent, { readonly event: K }>> };

/** JSON Schema of one line of a trace, for other tools. */
export function traceLineJsonSchema(): unknown {
  return {
    title: "One line of a ringspec trace, version 1: the heading first, then one event a line",
    ...z.toJSONSchema(z.union([traceHead, ...Object.values(EVENT_SCHEMAS)]), { io: "input", reused: "ref" }),
  };
}
