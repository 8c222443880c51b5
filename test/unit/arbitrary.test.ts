// Random programs: that they are what the schema says, safe to run, varied enough to find something,
// and still all of that after any of their operations were dropped.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { anyProgram, hostileProgram, legalProgram } from "../../src/program/arbitrary.ts";
import { isEndless, PROGRAM_OPCODES, programSchema, type Operation, type Program, type SqeSpec } from "../../src/program/program.ts";
import { memorySafe } from "../../src/program/safety.ts";

const PROGRAMS = 5000;
const SEED = 20_24;
const draw = (of: fc.Arbitrary<Program>): Program[] => fc.sample(of, { numRuns: PROGRAMS, seed: SEED });

const requests = (program: Program): SqeSpec[] =>
  program.ops.flatMap((op) => (op.op === "sqe" ? [op] : op.op === "slot" ? [op.sqe] : []));
const CALLS = [
  "RING_FDS", "UNREGISTER_RING_FDS", "QUERY", "PROBE", "PERSONALITY", "CLOCK", "SYNC_CANCEL", "MEM_REGION", "ENABLE_RINGS", "RESTRICTIONS", "RESIZE_RINGS",
  "EVENTFD", "EVENTFD_ASYNC", "UNREGISTER_EVENTFD", "UNREGISTER_PERSONALITY",
];

const has = (sqe: SqeSpec, flag: "IO_LINK" | "IO_HARDLINK" | "IO_DRAIN"): boolean => sqe.flags?.includes(flag) ?? false;
const links = (sqe: SqeSpec): boolean => has(sqe, "IO_LINK") || has(sqe, "IO_HARDLINK");

/** Runs of two or more neighbouring "sqe" operations that are linked. */
function chains(program: Program): number {
  let count = 0;
  let open = false;
  for (const op of program.ops) {
    if (op.op === "sqe" && open) count++;
    open = op.op === "sqe" && links(op) && !open;
  }
  return count;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

function expectGood(programs: readonly Program[]): void {
  for (const program of programs) {
    expect(memorySafe(program), JSON.stringify(program)).toBeUndefined();
    const parsed = programSchema.safeParse(program);
    expect(parsed.success ? "" : JSON.stringify([parsed.error.issues, program])).toBe("");
  }
}

describe("random programs", () => {
  const from = performance.now();
  const any = draw(anyProgram());
  const tookMs = performance.now() - from;
  const legal = draw(legalProgram());
  const hostile = draw(hostileProgram());

  test("are programs of the schema, and safe", () => {
    expectGood(any);
    expectGood(legal);
    expectGood(hostile);
    expect(new Set(legal.flatMap((p) => p.ops.map((op) => op.op)))).toEqual(
      new Set(["sqe", "submit", "settle", "reap", "write", "read", "close", "fdinfo", "raise", "register", "enter", "store"]),
    );
    expect(new Set(any.map((p) => p.kind))).toEqual(new Set(["legal", "hostile"]));
  });

  test("are of some length", () => {
    for (const programs of [any, legal, hostile]) {
      const lengths = programs.map((p) => p.ops.length);
      expect(sum(lengths) / PROGRAMS).toBeGreaterThanOrEqual(24);
      expect(lengths.every((length) => length > 0 && length <= 84)).toBe(true);
    }
  });

  test("use every operation, chains, drains and rings that overflow", () => {
    for (const programs of [any, legal, hostile]) {
      const all = programs.flatMap(requests);
      for (const opcode of PROGRAM_OPCODES)
        expect(all.filter((sqe) => sqe.opcode === opcode).length, opcode).toBeGreaterThanOrEqual(350);
      expect(sum(programs.map(chains))).toBeGreaterThanOrEqual(700);
      expect(all.filter((sqe) => has(sqe, "IO_DRAIN")).length).toBeGreaterThanOrEqual(200);
      expect(programs.filter((p) => p.ring.cqEntries !== undefined && p.ring.cqEntries <= 8).length).toBeGreaterThan(PROGRAMS / 4);
    }
  });

  test("name requests by numbers of their own, and mostly refer to those", () => {
    let references = 0;
    let hits = 0;
    for (const program of legal) {
      const known = new Set<number>();
      for (const sqe of requests(program)) {
        expect(known.has(sqe.userData)).toBe(false);
        if (sqe.addr?.is === "number") {
          references++;
          if (known.has(sqe.addr.number)) hits++;
        }
        known.add(sqe.userData);
        if (sqe.opcode === "POLL_REMOVE" && sqe.off !== undefined) known.add(sqe.off);
      }
    }
    expect(references).toBeGreaterThan(5000);
    expect(hits / references).toBeGreaterThan(0.75);
    const repeating = hostile.filter((p) => new Set(requests(p).map((sqe) => sqe.userData)).size < requests(p).length);
    expect(repeating.length / PROGRAMS).toBeGreaterThan(0.05);
    expect(repeating.length / PROGRAMS).toBeLessThan(0.15);
  });

  test("tell the ring something beside its queues, one in eight of them", () => {
    for (const programs of [any, legal, hostile]) {
      const told = programs.filter((p) => p.ops.some((op) => op.op === "register" || ((op.op === "submit" || op.op === "enter") && op.index !== undefined) || (op.op === "enter" && (op.until ?? op.minWait ?? op.region) !== undefined)));
      expect(told.length / PROGRAMS).toBeGreaterThan(0.08);
      expect(told.length / PROGRAMS).toBeLessThan(0.16);
    }
    const calls = new Set(any.flatMap((p) => p.ops.flatMap((op) => (op.op === "register" ? [op.does.call] : []))));
    for (const call of CALLS) expect(calls, call).toContain(call);
  });

  test("seldom wait without a bound, and seldom ask for a ring that is refused", () => {
    const endless = hostile.filter((p) => p.ops.some(isEndless));
    expect(endless.length).toBeGreaterThan(0);
    // One in a hundred has one that a timer ends.
    expect(endless.length).toBeLessThanOrEqual(PROGRAMS / 40);
    const odd = hostile.filter(({ ring }) => ring.entries === 0 || ring.entries > 8 || ring.resv !== undefined || ring.unknownFlags !== undefined);
    expect(odd.length).toBeGreaterThan(PROGRAMS / 100);
    expect(odd.every((p) => p.ops.length <= 3)).toBe(true);
  });

  test("stay good whatever is dropped", () => {
    const arbitrary = fc.tuple(anyProgram(), fc.infiniteStream(fc.boolean()));
    fc.assert(
      fc.property(arbitrary, ([program, keep]) => {
        const ops = program.ops.filter(() => keep.next().value === true);
        const cut = program.ops.slice(0, ops.length);
        return [ops, cut].every((left) => {
          const smaller = { ...program, ops: left };
          return programSchema.safeParse(smaller).success && memorySafe(smaller) === undefined;
        });
      }),
      { seed: SEED, numRuns: 1000 },
    );
  });

  /** Shrinks until `fails` holds no more; every step must be a good program. */
  function smallest(of: fc.Arbitrary<Program>, fails: (program: Program) => boolean): Program {
    const result = fc.check(
      fc.property(of, (program) => {
        expectGood([program]);
        return !fails(program);
      }),
      { seed: SEED, numRuns: 500 },
    );
    const [program] = result.counterexample ?? [];
    if (program === undefined) throw new Error("no program fails");
    return program;
  }

  test("shrink to a few operations", () => {
    const cancels = smallest(legalProgram(), (p) => {
      const numbers = new Set<number>();
      return requests(p).some((sqe) => {
        const hit = sqe.opcode === "ASYNC_CANCEL" && sqe.addr?.is === "number" && numbers.has(sqe.addr.number);
        numbers.add(sqe.userData);
        return hit;
      });
    });
    expect(cancels.ops.length).toBe(2);
    const drained = smallest(anyProgram(), (p) => requests(p).some((sqe) => has(sqe, "IO_DRAIN")) && p.ops.some((op) => op.op === "reap"));
    expect(drained.ops.length).toBe(2);
    const scribbled = smallest(hostileProgram(), (p) => p.ops.some((op) => op.op === "store" && op.word === "sqTail"));
    expect(scribbled.ops.length).toBe(1);
  });

  test("obey their options", () => {
    const options = { minOps: 5, maxOps: 9, ring: { entries: 2, flags: ["SUBMIT_ALL" as const] } };
    for (const of of [legalProgram(options), hostileProgram(options), anyProgram(options)]) {
      for (const program of fc.sample(of, { numRuns: 300, seed: SEED })) {
        expect(program.ring.entries).toBe(2);
        expect(program.ring.flags.filter((flag) => flag !== "CQSIZE")).toEqual(["SUBMIT_ALL"]);
        // What leans towards "inline" drops requests, what leans towards "roomy" adds waits.
        expect(program.ops.length).toBeGreaterThanOrEqual(1);
        expect(program.ops.length).toBeLessThanOrEqual(14);
      }
    }
  });

  test("are drawn fast enough", () => {
    console.log(`${PROGRAMS} programs in ${tookMs.toFixed(0)} ms, ${((tookMs * 1000) / PROGRAMS).toFixed(0)} us each`);
    expect(tookMs / PROGRAMS).toBeLessThan(10);
  });
});

describe("memorySafe", () => {
  const base: Program = {
    version: 1, kind: "legal", ring: { entries: 4, flags: [] },
    world: { files: [8], pipes: [0], eventfds: [0], buffers: [8, 64] }, ops: [],
  };
  const judge = (...sqes: readonly Omit<SqeSpec, "userData">[]): string | undefined =>
    memorySafe({ ...base, ops: sqes.map((sqe, i) => ({ op: "sqe", userData: 0xaaa0 + i, ...sqe })) });
  const iovec = (length: number) => ({ is: "iovec" as const, places: [{ buffer: 1, at: 60, length }] });

  const unsafe: readonly (readonly [string, Omit<SqeSpec, "userData">, RegExp])[] = [
    ["a READ past its buffer", { opcode: "READ", fd: "f0", addr: { is: "buffer", buffer: 0, at: 1 }, len: 8 }, /bytes 1 to 9 .* buffer 0/],
    ["a READ into no buffer", { opcode: "READ", fd: "f0", addr: { is: "buffer", buffer: 2, at: 0 }, len: 1 }, /no buffer 2/],
    ["a WRITE from a number", { opcode: "WRITE", fd: "f0", addr: { is: "number", number: 4096 }, len: 1 }, /a number/],
    ["a READ into an iovec", { opcode: "READ", fd: "f0", addr: iovec(4), len: 1 }, /not a place/],
    ["a READ by its number", { opcode: 22, fd: "f0", addr: { is: "number", number: 4096 }, len: 1 }, /a number/],
    ["a READ of a long fault", { opcode: "READ", fd: "f0", addr: { is: "fault" }, len: 4097 }, /at most 4096/],
    ["a READ without a descriptor", { opcode: "READ", addr: { is: "fault" }, len: 1 }, /descriptor 0/],
    ["a CLOSE without a descriptor", { opcode: "CLOSE" }, /descriptor 0/],
    ["an iovec past its buffer", { opcode: "READV", fd: "f0", addr: iovec(5), len: 1 }, /bytes 60 to 65/],
    ["more iovecs than there are", { opcode: "WRITEV", fd: "f0", addr: iovec(4), len: 2 }, /len is 2/],
    ["iovecs in a buffer", { opcode: "WRITEV", fd: "f0", addr: { is: "buffer", buffer: 1, at: 0 }, len: 1 }, /not an array/],
    ["a path out of the directory", { opcode: "OPENAT", fd: "dir", addr: { is: "path", path: "/etc/passwd" } }, /leads out/],
    ["the parent directory", { opcode: "OPENAT", fd: "dir", addr: { is: "path", path: ".." } }, /leads out/],
    ["a path with an end inside", { opcode: "OPENAT", fd: "dir", addr: { is: "path", path: "..\0x" } }, /leads out/],
    ["a path in a buffer", { opcode: "OPENAT", fd: "dir", addr: { is: "buffer", buffer: 0, at: 0 } }, /not a path/],
    ["an OPENAT by its number", { opcode: 18, fd: "dir", addr: { is: "path", path: "f0" } }, /by name/],
    ["a time at a number", { opcode: "TIMEOUT", addr: { is: "number", number: 1 }, len: 1 }, /not a time/],
    ["a time past a buffer", { opcode: "TIMEOUT", addr: { is: "buffer", buffer: 0, at: 0 }, len: 1 }, /bytes 0 to 16/],
    ["an update's time at a number", { opcode: "TIMEOUT_REMOVE", off: 4096, opFlags: 2 }, /the number 4096/],
    ["another operation", { opcode: 9, fd: "f0" }, /not one of/],
    ["an unknown operation with a buffer", { opcode: 200, addr: { is: "buffer", buffer: 0, at: 0 } }, /unknown opcode/],
    ["a cancel by a descriptor that is missing", { opcode: "ASYNC_CANCEL", opFlags: 2 }, /descriptor 0/],
    ["a NOP on a file that is missing", { opcode: "NOP", opFlags: 2 }, /descriptor 0/],
  ];
  test.each(unsafe)("names the fault of %s", (_what, sqe, fault) => {
    expect(judge(sqe)).toMatch(/^operation 0 /);
    expect(judge(sqe)).toMatch(fault);
  });

  test("looks into slots", () => {
    const sqe = { opcode: "CLOSE" as const, userData: 1 };
    expect(memorySafe({ ...base, kind: "hostile", ops: [{ op: "slot", slot: 0, sqe }] })).toMatch(/descriptor 0/);
  });

  const badCalls: [string, Operation, RegExp][] = [
    ["more entries than there are", { op: "register", does: { call: "RING_FDS", entries: [] }, count: 2 }, /count is 2, and there are 0/],
    ["an argument that faults where there is none", { op: "register", does: { call: "ENABLE_RINGS" }, arg: "fault" }, /no argument/],
    ["many entries in a page that faults", { op: "register", does: { call: "PROBE" }, arg: "fault", count: 257 }, /at most 64/],
    ["restrictions that nothing could be cleaned up under", { op: "register", does: { call: "RESTRICTIONS", allow: [{ kind: "SQE_OP", value: 0 }] } }, /SYNC_CANCEL/],
    ["pages behind one that faults", { op: "register", does: { call: "MEM_REGION", memory: "fault", pages: 2 } }, /at most one page/],
    ["waits without an end by the kernel's memory", { op: "register", does: { call: "MEM_REGION", memory: "kernel", pages: 1, waits: true } }, /nothing would bound/],
    ["a wait by an entry without a time", { op: "enter", toSubmit: 0, minComplete: 1, flags: 1, region: { offset: 0 } }, /holds no time/],
    ["a wait by halves of two entries", { op: "enter", toSubmit: 0, minComplete: 1, flags: 1, region: { offset: 8 }, wait: { seconds: 0, nanoseconds: 1 } }, /halves/],
  ];
  test.each(badCalls)("names the fault of %s", (_what, operation, fault) => {
    expect(memorySafe({ ...base, ops: [operation] })).toMatch(/^operation 0 /);
    expect(memorySafe({ ...base, ops: [operation] })).toMatch(fault);
  });

  test("keeps descriptors apart from other results", () => {
    const open = { opcode: "OPENAT" as const, userData: 7, fd: "dir", addr: { is: "path" as const, path: "f0" } };
    const ops = [{ op: "sqe" as const, ...open }, { op: "sqe" as const, opcode: "NOP" as const, userData: 7 }];
    expect(memorySafe({ ...base, ops })).toMatch(/0x7 is that of an OPENAT/);
  });

  test("accepts what stays within", () => {
    expect(
      judge(
        { opcode: "READ", fd: "f0", addr: { is: "buffer", buffer: 0, at: 0 }, len: 8 },
        { opcode: "READ", fd: "f0", addr: { is: "buffer", buffer: 0, at: 8 }, len: 0 },
        { opcode: "READV", fd: "f0", addr: iovec(4), len: 1 },
        { opcode: "WRITE", fd: "f0", addr: { is: "fault" }, len: 8 },
        { opcode: "TIMEOUT", addr: { is: "time", seconds: 1, nanoseconds: 0 }, len: 1 },
        { opcode: "TIMEOUT_REMOVE", addr: { is: "number", number: 1 } },
        { opcode: 255 },
      ),
    ).toBeUndefined();
  });
});
