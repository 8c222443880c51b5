// Arguments at their edges, one after the other: each field of each request, each argument of each call, with one bit
// or one boundary in it. What the real kernel says has to be what the model says, which is asked first: a case of which
// it knows nothing, or that would wait for ever, is passed over, and the others are counted. The chapters' own tests
// say what is expected; this one finds what they do not try.
import process from "node:process";
import { describe, test } from "vitest";
import { KernelError, Unmodelled, WouldBlockForever, type Kernel, type SetupParams } from "../../../src/kernel.ts";
import { CLOCK_REGISTER, GETEVENTS_ARG, KERNEL_TIMESPEC, MEM_REGION_REG, PARAMS, PROBE, QUERY_HDR, REGION_DESC, RESTRICTION, SYNC_CANCEL_REG } from "../../../src/spec/codec.gen.ts";
import { RECORD_AS, recordedKernel, scriptedModel } from "../../mutants/recorder.ts";
import { realOrSay } from "../real.ts";
import { abi, Bench, expect, type SqeFields, type TestRing } from "./on-both.ts";

interface Case {
  readonly name: string;
  /** What was seen, as text. */
  readonly run: (on: Bench) => string;
}

const BITS = Array.from({ length: 32 }, (_, i) => (1 << i) >>> 0);
const NOP: SqeFields = { opcode: abi.IORING_OP_NOP, userData: 2n };
const SHORT_NS = 5_000_000n;
/** Where the model completed more, that is waited for longer. */
const LONG_NS = 3_000_000_000n;

function ask(make: () => Kernel, { run }: Case): string | undefined {
  const kernel = make();
  try {
    return run(new Bench(kernel));
  } catch (error) {
    if (kernel.backend === "model" && (error instanceof Unmodelled || error instanceof WouldBlockForever)) return undefined;
    // The port itself refuses memory that is not the test's, and waits without an end.
    if (kernel.backend === "real" && error instanceof RangeError) return undefined;
    if (kernel.backend === "real" && error instanceof Error && error.message.startsWith("enterArg: this wait has no bound")) return undefined;
    throw error;
  } finally {
    kernel.close();
  }
}

/** `least`: so many cases at least are compared. */
function sweep(title: string, least: number, cases: readonly Case[]): void {
  describe(title, () => {
    test("on the real kernel as on the model", (context) => {
      const differ: string[] = [];
      let compared = 0;
      for (const one of cases) {
        const expected = ask(scriptedModel, one);
        const seen = expected === undefined || RECORD_AS in process.env ? undefined : ask(() => recordedKernel(realOrSay(context)), one);
        if (seen === undefined) continue;
        compared++;
        if (seen !== expected) differ.push(`${one.name}: the model ${expected}, the kernel ${seen}`);
      }
      expect(differ).toEqual([]);
      expect(compared).toBeGreaterThanOrEqual(least);
    }, 60_000);
  });
}

/** Which requests, with arguments that are right. */
const REQUESTS: Readonly<Record<string, (on: Bench, ring: TestRing) => SqeFields>> = {
  NOP: () => ({ opcode: abi.IORING_OP_NOP }),
  FSYNC: (on) => ({ opcode: abi.IORING_OP_FSYNC, fd: on.file(16) }),
  READ: (on) => ({ opcode: abi.IORING_OP_READ, fd: on.file(16), addr: on.buffer(4096).addr, len: 8 }),
  WRITE: (on) => ({ opcode: abi.IORING_OP_WRITE, fd: on.file(16), addr: on.buffer(4096).addr, len: 8 }),
  READV: (on) => ({ opcode: abi.IORING_OP_READV, fd: on.file(16), addr: on.iovec({ addr: on.buffer(64).addr, len: 3 }, { addr: on.buffer(64).addr, len: 4 }), len: 2 }),
  WRITEV: (on) => ({ opcode: abi.IORING_OP_WRITEV, fd: on.file(16), addr: on.iovec({ addr: on.buffer(64).addr, len: 3 }, { addr: on.buffer(64).addr, len: 4 }), len: 2 }),
  READ_FIXED: (on) => ({ opcode: abi.IORING_OP_READ_FIXED, fd: on.file(16), addr: on.buffer(4096).addr, len: 8 }),
  POLL_ADD: (on) => ({ opcode: abi.IORING_OP_POLL_ADD, fd: on.eventfd(1), opFlags: 1 }),
  POLL_REMOVE: () => ({ opcode: abi.IORING_OP_POLL_REMOVE, addr: 7n }),
  TIMEOUT: (on) => ({ opcode: abi.IORING_OP_TIMEOUT, addr: on.timespec(0n, 1000n), len: 1 }),
  TIMEOUT_REMOVE: () => ({ opcode: abi.IORING_OP_TIMEOUT_REMOVE, addr: 7n }),
  LINK_TIMEOUT: (on) => ({ opcode: abi.IORING_OP_LINK_TIMEOUT, addr: on.timespec(0n, 1000n), len: 1 }),
  ASYNC_CANCEL: () => ({ opcode: abi.IORING_OP_ASYNC_CANCEL, addr: 7n }),
  OPENAT: (on) => ({ opcode: abi.IORING_OP_OPENAT, fd: on.kernel.system.open(".", abi.O_RDONLY), addr: on.path("nothing") }),
  CLOSE: (on) => ({ opcode: abi.IORING_OP_CLOSE, fd: on.eventfd() }),
  MSG_RING: (on) => ({ opcode: abi.IORING_OP_MSG_RING, fd: on.ring().fd, len: 5, off: 6n }),
  "MSG_RING to itself": (_, { fd }) => ({ opcode: abi.IORING_OP_MSG_RING, fd, len: 5, off: 6n }),
  WAITID: () => ({ opcode: abi.IORING_OP_WAITID, addr: 1n }),
};

/** Without what makes either kernel look at memory that is not the test's. */
function changesOf(name: string, fault: bigint): readonly (readonly [keyof SqeFields, number | bigint])[] {
  const writes = name.startsWith("WRITE");
  return [
    ...BITS.slice(0, 8).map((bit) => ["flags", bit] as const),
    ...[1, 7, 8, 0x2000, 0x2007, 0x2008, 0x4000, 0x4008, 0x6000, 0x6008, 0x8000].map((value) => ["ioprio", value] as const),
    ...[-1, 1000].map((value) => ["fd", value] as const),
    ...[1n, 1n << 63n, ...(writes ? [] : [1n << 31n, 1n << 32n, (1n << 64n) - 1n])].map((value) => ["off", value] as const),
    ...[0n, fault].map((value) => ["addr", value] as const),
    ...[0, 1, ...(name.endsWith("V") ? [1025] : [3, 16, 17]), ...(writes ? [] : [0x7fff_ffff, 0x8000_0000, 0xffff_ffff])].map((value) => ["len", value] as const),
    ...BITS.map((bit) => ["opFlags", bit] as const),
    ["bufIndex", 1], ["bufIndex", 0x8000], ["personality", 1], ["spliceFdIn", 1], ["spliceFdIn", -1], ["addr3", 1n], ["pad", 1n], ["pad", 2n],
  ];
}

const RINGS: readonly SetupParams[] = [{}, { flags: abi.IORING_SETUP_DEFER_TASKRUN | abi.IORING_SETUP_SINGLE_ISSUER }];

function request(name: string, field: keyof SqeFields, value: number | bigint, params: SetupParams): Case {
  let count = 0;
  return {
    name: `${name}.${field} 0x${BigInt.asUintN(64, BigInt(value)).toString(16)} flags 0x${(params.flags ?? 0).toString(16)}`,
    run: (on) => {
      const ring = on.ring(8, params);
      const right = REQUESTS[name]?.(on, ring) ?? NOP;
      if (name === "READ_FIXED") ring.ring.register(abi.IORING_REGISTER_BUFFERS, on.iovec({ addr: right.addr ?? 0n, len: 16 }), 1);
      const submitted = ring.submit({ ...right, userData: 1n, [field]: field === "addr" && value === FAULT ? on.kernel.memory.faultAddress : value }, NOP);
      ring.waitFor(on.isModel ? 3 : count, on.isModel || count === 0 ? SHORT_NS : LONG_NS);
      const found = ring.reap();
      if (on.isModel) count = found.length;
      // A timer that fires ends a wait.
      else if (found.length < count) found.push(...ring.wait(count - found.length));
      const seen = found.map(({ userData, res, flags }) => `${userData}:${name === "OPENAT" && res > 0 ? "fd" : res}:${flags}`);
      return `${submitted} ${seen.sort().join(" ")}`;
    },
  };
}

/** Stands for the address that faults. */
const FAULT = -1n;
/**
 * Cases of which more than one outcome is right, or whose argument differs from kernel to kernel.
 */
function passedOver(name: string, field: keyof SqeFields, value: number | bigint): boolean {
  if (name === "TIMEOUT" && ((field === "off" && value === 1n) || (field === "opFlags" && value === abi.IORING_TIMEOUT_MULTISHOT))) return true;
  return name.startsWith("MSG_RING") && field === "addr" && value === FAULT;
}

for (const name of Object.keys(REQUESTS)) {
  sweep(`[submit.invalid-flags] [submit.ioprio] [submit.personality] each field of ${name}`, 20, RINGS.flatMap((params) =>
    changesOf(name, FAULT).filter(([field, value]) => !passedOver(name, field, value)).map(([field, value]) => request(name, field, value, params))));
}

const REGISTERS = Array.from({ length: 38 }, (_, i) => i);
const COUNTS = [0, 1, 2, 17, 257, 0xffff_ffff];
const DISABLED: SetupParams = { flags: abi.IORING_SETUP_R_DISABLED };
sweep("[register.no-argument] [register.unknown-opcode] each opcode with each kind of argument", 300, [DISABLED, ...RINGS].flatMap((params) =>
  REGISTERS.flatMap((opcode) => ["none", "fault", "zeros", "ones"].flatMap((kind) => COUNTS.map((count): Case => ({
    name: `register ${opcode} ${kind} ${count} flags 0x${(params.flags ?? 0).toString(16)}`,
    run: (on) => {
      const { ring } = on.ring(8, params);
      const { addr, bytes } = on.buffer(8192);
      if (kind === "ones") bytes.fill(1);
      // What is read as a descriptor is one that neither kernel has.
      else if (opcode === abi.IORING_REGISTER_EVENTFD || opcode === abi.IORING_REGISTER_EVENTFD_ASYNC) bytes.fill(255, 0, 4);
      const arg = kind === "none" ? null : kind === "fault" ? on.kernel.memory.faultAddress : addr;
      return `${ring.register(opcode, arg, count)} ${ring.register(opcode, arg, count)} ${bytes.join("").replace(/0+$/, "")}`;
    },
  }))))));

/** Arguments in memory that are right, and how large they are. */
const ARGUMENTS: readonly { readonly name: string; readonly opcode: number; readonly count: number; readonly size: number; readonly params?: SetupParams; readonly fill?: (on: Bench, to: DataView) => void }[] = [
  { name: "SYNC_CANCEL", opcode: abi.IORING_REGISTER_SYNC_CANCEL, count: 1, size: SYNC_CANCEL_REG.size, fill: (_, to) => to.setInt32(SYNC_CANCEL_REG.fd, -1, true) },
  { name: "PROBE", opcode: abi.IORING_REGISTER_PROBE, count: 2, size: PROBE.size + 16 },
  { name: "CLOCK", opcode: abi.IORING_REGISTER_CLOCK, count: 0, size: CLOCK_REGISTER.size, fill: (_, to) => to.setUint32(0, 1, true) },
  { name: "RESTRICTIONS", opcode: abi.IORING_REGISTER_RESTRICTIONS, count: 2, size: 2 * RESTRICTION.size, params: DISABLED, fill: (_, to) => to.setUint16(0, 1, true) },
  {
    name: "RESIZE_RINGS", opcode: abi.IORING_REGISTER_RESIZE_RINGS, count: 1, size: PARAMS.size, params: RINGS[1] ?? {},
    fill: (_, to) => to.setUint32(PARAMS.sq_entries, 16, true),
  },
  { name: "QUERY", opcode: abi.IORING_REGISTER_QUERY, count: 0, size: QUERY_HDR.size, fill: (on, to) => {
    to.setBigUint64(QUERY_HDR.query_data, on.buffer(4096).addr, true);
    to.setUint32(QUERY_HDR.size_, 64, true);
  } },
  { name: "RING_FDS", opcode: abi.IORING_REGISTER_RING_FDS, count: 1, size: 16, fill: (on, to) => {
    to.setUint32(0, 3, true);
    to.setBigUint64(8, BigInt(on.ring().fd), true);
  } },
  { name: "UNREGISTER_RING_FDS", opcode: abi.IORING_UNREGISTER_RING_FDS, count: 1, size: 16 },
  { name: "BUFFERS", opcode: abi.IORING_REGISTER_BUFFERS, count: 2, size: 32, fill: (on, to) => {
    to.setBigUint64(0, on.buffer(4096).addr, true);
    to.setBigUint64(8, 4096n, true);
  } },
  { name: "EVENTFD", opcode: abi.IORING_REGISTER_EVENTFD, count: 1, size: 4, fill: (on, to) => to.setInt32(0, on.eventfd(), true) },
  { name: "MEM_REGION", opcode: abi.IORING_REGISTER_MEM_REGION, count: 1, size: MEM_REGION_REG.size, params: DISABLED, fill: (on, to) => {
    to.setBigUint64(MEM_REGION_REG.region_uptr, regionAt(on, () => {}), true);
    to.setBigUint64(MEM_REGION_REG.flags, 1n, true);
  } },
];

function regionAt(on: Bench, change: (to: DataView) => void): bigint {
  const desc = on.buffer(REGION_DESC.size);
  const to = new DataView(desc.bytes.buffer, desc.bytes.byteOffset, desc.bytes.length);
  to.setBigUint64(REGION_DESC.user_addr, on.kernel.memory.alloc(8192, 4096).addr, true);
  to.setBigUint64(REGION_DESC.size_, 4096n, true);
  to.setUint32(REGION_DESC.flags, abi.IORING_MEM_REGION_TYPE_USER, true);
  change(to);
  return desc.addr;
}

/** Words that are read as a descriptor, or as a size of memory behind which other memory may lie: only what is far off. */
const FAR: ReadonlySet<string> = new Set([`SYNC_CANCEL ${SYNC_CANCEL_REG.fd}`, "BUFFERS 8", `QUERY ${QUERY_HDR.size_}`, `region ${REGION_DESC.size_}`]);
const wordsFor = (place: string): readonly number[] => (place === "EVENTFD 0" ? [0xffff_ffff] : FAR.has(place) ? WORDS.filter((word) => word === 0 || word >= 0x8000_0000) : WORDS);
const WORDS = [0, 1, 2, 3, 4, 7, 8, 16, 17, 0x1000, 0x8000, 0x10000, 0x8000_0000, 0xffff_ffff];
sweep("[register.sync-cancel-arg] [register.probe-zeroed] [register.clock] [resize.argument] [restriction.checked-whole] each word of what a call reads", 400,
  ARGUMENTS.flatMap(({ name, opcode, count, size, params = {}, fill }) => Array.from({ length: size / 4 }, (_, i) => 4 * i).flatMap((at) => wordsFor(`${name} ${at}`).map((word): Case => ({
    name: `${name} word ${at} 0x${word.toString(16)}`,
    run: (on) => {
      const { ring } = on.ring(8, params);
      const { addr, bytes } = on.buffer(size);
      const to = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      fill?.(on, to);
      to.setUint32(at, word, true);
      const first = ring.register(opcode, addr, count);
      return `${first} ${name === "RESIZE_RINGS" || name === "PROBE" ? bytes.join() : ""}`;
    },
  })))));

sweep("[register.mem-region-memory] [register.mem-region-argument] each word of a region's description", 100,
  Array.from({ length: REGION_DESC.size / 4 }, (_, i) => 4 * i).flatMap((at) => wordsFor(`region ${at}`).map((word): Case => ({
    name: `region word ${at} 0x${word.toString(16)}`,
    run: (on) => {
      const { ring } = on.ring(8, DISABLED);
      const reg = on.buffer(MEM_REGION_REG.size);
      const desc = regionAt(on, (to) => to.setUint32(at, word, true));
      new DataView(reg.bytes.buffer, reg.bytes.byteOffset, reg.bytes.length).setBigUint64(MEM_REGION_REG.region_uptr, desc, true);
      return `${ring.register(abi.IORING_REGISTER_MEM_REGION, reg.addr, 1)}`;
    },
  }))));

function madeBy(entries: number, params: SetupParams): Case {
  return {
    name: `setup ${entries} ${JSON.stringify(params)}`,
    run: (on) => {
      try {
        const { ring } = on.ring(entries, params);
        return JSON.stringify({ ...ring.params, wqFd: 0 });
      } catch (error) {
        if (error instanceof KernelError) return String(-error.errno);
        throw error;
      }
    },
  };
}

const SETUP_BITS = BITS.filter((bit) => bit !== abi.IORING_SETUP_ATTACH_WQ);
const { IORING_SETUP_CQSIZE: CQSIZE, IORING_SETUP_CLAMP: CLAMP, IORING_SETUP_CQE_MIXED: MIXED } = abi;
const SIZES = [0, 1, 2, 3, 4, 5, 4095, 4096, 4097];
sweep("[setup.flags-known] [setup.flags-together] each flag, and each two", 200,
  SETUP_BITS.slice(0, 21).flatMap((a, i) => SETUP_BITS.slice(i).map((b) => madeBy(2, { flags: (a | b) >>> 0, cqEntries: 2 }))));
sweep("[setup.entries-range] [setup.cqsize] [setup.clamp] sizes at their edges", 100, [
  ...[0, CLAMP].flatMap((clamp) => [
    ...SIZES.flatMap((entries) => SIZES.map((cqEntries) => madeBy(entries, { flags: clamp | CQSIZE, cqEntries }))),
    ...[...SIZES, 32_767, 32_768, 32_769, 0xffff_ffff].map((entries) => madeBy(entries, { flags: clamp })),
    ...[65_535, 65_536, 65_537, 0xffff_ffff].map((cqEntries) => madeBy(1, { flags: clamp | CQSIZE, cqEntries })),
  ]),
  ...[1, 2].flatMap((entries) => [1, 2, 3].map((cqEntries) => madeBy(entries, { flags: MIXED | CQSIZE, cqEntries }))),
  ...Array.from({ length: 3 }, (_, i) => madeBy(1, { resv: [0, 1, 2].map((at) => (at === i ? 1 : 0)) as [number, number, number] })),
]);

const { IORING_ENTER_GETEVENTS: GETEVENTS, IORING_ENTER_EXT_ARG: EXT_ARG } = abi;
/** A descriptor taken for an index is another number on each kernel: enter-args.test.ts. */
const ENTER_BITS = BITS.filter((bit) => bit !== abi.IORING_ENTER_REGISTERED_RING);
const ENTERS = [0, GETEVENTS, GETEVENTS | EXT_ARG].flatMap((others) => ENTER_BITS.map((bit) => (bit | others) >>> 0));
sweep("[enter.unknown-flag] [enter.ext-arg-size] each flag, with each size of argument", 150,
  [{}, { flags: abi.IORING_SETUP_IOPOLL }].flatMap((params) => ENTERS.flatMap((flags) => [0, 8, GETEVENTS_ARG.size - 1, GETEVENTS_ARG.size, GETEVENTS_ARG.size + 1, 64].map((size): Case => ({
    name: `enter flags 0x${flags.toString(16)} argument ${size} setup 0x${(params.flags ?? 0).toString(16)}`,
    run: (on) => {
      const ring = on.ring(8, params);
      ring.push(NOP);
      const region = on.buffer(64 + KERNEL_TIMESPEC.size);
      const to = new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.length);
      to.setBigUint64(GETEVENTS_ARG.ts, region.addr + 64n, true);
      to.setBigInt64(64, 1n, true);
      return `${ring.enter(1, flags === (GETEVENTS | EXT_ARG) ? 1 : 0, flags, { addr: region.addr, size })} ${ring.reap().map(({ res }) => res).join()}`;
    },
  })))));
