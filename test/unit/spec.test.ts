// The specification's data: what the loader refuses, what the generator writes, what the codecs
// keep, and that this machine's own headers agree with every number.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { generate, staleFiles } from "../../scripts/generate.ts";
import { readCoverage } from "../../scripts/generate/coverage.ts";
import type { IoUringParams } from "../../src/kernel.ts";
import {
  CQE,
  CQE32_SIZE,
  CQ_OFF,
  type Cqe,
  GETEVENTS_ARG,
  PARAMS,
  SQE,
  SQE128_SIZE,
  SQ_OFF,
  SYNC_CANCEL_REG,
  type Sqe,
  decodeCqe,
  decodeParams,
  decodeSqe,
  encodeCqe,
  encodeParams,
  encodeParamsOut,
  encodeSqe,
} from "../../src/spec/codec.gen.ts";
import {
  EINVAL,
  ERRNO,
  IORING_OFF_SQES,
  IORING_OP_READ,
  OPCODE_NAMES,
  REGISTER_ARGS,
  SQE_FLAGS,
  errnoName,
  flagNames,
} from "../../src/spec/constants.gen.ts";
import { SpecError, loadSpec, parseSpec, readSpecFiles, specRoot } from "../../src/spec/load.ts";
import { OPS } from "../../src/spec/ops.gen.ts";

interface Edit {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The faults that the loader finds once `from` (which must occur) is replaced in one spec file. */
function faultsAfter({ file, from, to }: Edit): readonly string[] {
  const files = readSpecFiles();
  const text = readFileSync(join(specRoot(), file), "utf8");
  if (!text.includes(from)) throw new Error(`${file} no longer has ${from}: fix this test`);
  files.set(file, JSON.parse(text.replace(from, to)));
  try {
    parseSpec(files);
    return [];
  } catch (error) {
    if (error instanceof SpecError) return error.faults;
    throw error;
  }
}

describe("loader", () => {
  test("accepts the specification as it is", () => {
    const spec = loadSpec();
    expect(spec.ops.length).toBe(65);
    expect(spec.structs.length).toBeGreaterThan(30);
    expect(spec.groups.flatMap((group) => group.constants).length).toBeGreaterThan(300);
  });

  const refusals: readonly (Edit & { readonly title: string; readonly names: readonly string[] })[] = [
    {
      title: "a flag that is not a single bit",
      file: "spec/abi/setup.json",
      from: '"IORING_SETUP_SQPOLL", "value": "1<<1"',
      to: '"IORING_SETUP_SQPOLL", "value": 6',
      names: ["spec/abi/setup.json", "IORING_SETUP_SQPOLL", "single bit"],
    },
    {
      title: "two flags with one value",
      file: "spec/abi/setup.json",
      from: '"IORING_SETUP_SQPOLL", "value": "1<<1"',
      to: '"IORING_SETUP_SQPOLL", "value": "1<<0"',
      names: ["spec/abi/setup.json", "IORING_SETUP_SQPOLL", "already IORING_SETUP_IOPOLL"],
    },
    {
      title: "an opcode out of order",
      file: "spec/abi/opcodes.json",
      from: '"IORING_OP_READ", "value": 22',
      to: '"IORING_OP_READ", "value": 122',
      names: ["spec/abi/opcodes.json", "IORING_OP_READ", "dense"],
    },
    {
      title: "a value that is no number",
      file: "spec/abi/enter.json",
      from: '"IORING_ENTER_GETEVENTS", "value": "1<<0"',
      to: '"IORING_ENTER_GETEVENTS", "value": "one"',
      names: ["spec/abi/enter.json", "IORING_ENTER_GETEVENTS", "value"],
    },
    {
      title: "a doubled constant",
      file: "spec/abi/enter.json",
      from: '"IORING_ENTER_SQ_WAIT"',
      to: '"IORING_SETUP_SQPOLL"',
      names: ["IORING_SETUP_SQPOLL", "named twice", "spec/abi/enter.json"],
    },
    {
      title: "an unknown key",
      file: "spec/abi/features.json",
      from: '{ "name": "IORING_FEAT_NODROP",',
      to: '{ "colour": "red", "name": "IORING_FEAT_NODROP",',
      names: ["spec/abi/features.json", "IORING_FEAT_NODROP", "colour"],
    },
    {
      title: "an offset that overlaps",
      file: "spec/abi/structs.json",
      from: '{ "name": "user_data", "offset": 32',
      to: '{ "name": "user_data", "offset": 28',
      names: ["spec/abi/structs.json", "io_uring_sqe.user_data", "overlaps"],
    },
    {
      title: "an offset that leaves a hole",
      file: "spec/abi/structs.json",
      from: '{ "name": "personality", "offset": 42',
      to: '{ "name": "personality", "offset": 43',
      names: ["spec/abi/structs.json", "io_uring_sqe.personality", "hole"],
    },
    {
      title: "a field beyond the struct",
      file: "spec/abi/structs.json",
      from: '{ "name": "__pad2", "offset": 56',
      to: '{ "name": "__pad2", "offset": 64',
      names: ["spec/abi/structs.json", "io_uring_sqe.__pad2", "beyond"],
    },
    {
      title: "a size that contradicts the type",
      file: "spec/abi/structs.json",
      from: '{ "name": "ioprio", "offset": 2, "size": 2, "type": "u16" }',
      to: '{ "name": "ioprio", "offset": 2, "size": 2, "type": "u32" }',
      names: ["spec/abi/structs.json", "io_uring_sqe.ioprio", "type u32 has 4 bytes"],
    },
    {
      title: "an alias outside its union",
      file: "spec/abi/structs.json",
      from: '"type": "u32", "since": "5.15", "aliasOf": "splice_fd_in"',
      to: '"type": "u32", "since": "5.15", "aliasOf": "addr"',
      names: ["spec/abi/structs.json", "io_uring_sqe.file_index", "share no byte"],
    },
    {
      title: "an operation that names no SQE field",
      file: "spec/op/read.json",
      from: '"fd", "addr", "len"',
      to: '"fd", "address", "len"',
      names: ["spec/op/read.json", "IORING_OP_READ", "no field address"],
    },
    {
      title: "an operation with another number than the ABI's",
      file: "spec/op/read.json",
      from: '"number": 22',
      to: '"number": 23',
      names: ["spec/op/read.json", "IORING_OP_READ", "number 23"],
    },
    {
      title: "a register argument whose kind contradicts its bytes",
      file: "spec/abi/register-args.json",
      from: '"argKind": "struct", "argBytes": 64',
      to: '"argKind": "none", "argBytes": 64',
      names: ["spec/abi/register-args.json", "IORING_REGISTER_SYNC_CANCEL", "contradicts"],
    },
  ];
  test.each(refusals)("refuses $title, by name", ({ names, ...edit }) => {
    const faults = faultsAfter(edit);
    expect(faults.some((fault) => names.every((name) => fault.includes(name))), faults.join("\n") || "no fault").toBe(true);
  });

  test("an operation without a record is named", () => {
    const files = readSpecFiles();
    files.delete("spec/op/nop.json");
    expect(() => parseSpec(files)).toThrow(/IORING_OP_NOP: no record/);
  });
});

describe("generator", () => {
  test("the files on disk are what spec/ generates", () => {
    const stale = staleFiles(specRoot(), generate(loadSpec(), readCoverage(specRoot())));
    expect(stale, "run `npm run generate`").toEqual([]);
  });

  test("a changed value makes its files stale", () => {
    const files = readSpecFiles();
    const text = readFileSync(join(specRoot(), "spec/abi/setup.json"), "utf8");
    files.set("spec/abi/setup.json", JSON.parse(text.replace('"1<<18"', '"1<<21"')));
    const stale = staleFiles(specRoot(), generate(parseSpec(files), readCoverage(specRoot())));
    expect(stale.toSorted()).toEqual(["native/abi-check.gen.h", "src/spec/constants.gen.ts"]);
  });

  test("is deterministic", () => {
    expect(generate(loadSpec(), readCoverage(specRoot()))).toEqual(generate(loadSpec(), readCoverage(specRoot())));
  });
});

describe("sizes and names", () => {
  test("structs have the sizes of the kernel's interface", () => {
    expect({ params: PARAMS.size, sqe: SQE.size, sqe128: SQE128_SIZE, cqe: CQE.size, cqe32: CQE32_SIZE }).toEqual({
      params: 120,
      sqe: 64,
      sqe128: 128,
      cqe: 16,
      cqe32: 32,
    });
    expect([SQ_OFF.size, CQ_OFF.size, GETEVENTS_ARG.size, SYNC_CANCEL_REG.size]).toEqual([40, 40, 24, 64]);
    expect([PARAMS.sq_off, PARAMS.cq_off, SQE.user_data, SQE.addr3]).toEqual([40, 80, 32, 48]);
  });

  test("constants and tables agree", () => {
    expect(IORING_OFF_SQES).toBe(0x10000000);
    expect(OPCODE_NAMES[IORING_OP_READ]).toBe("READ");
    expect(OPS.map(({ number }) => number)).toEqual(OPCODE_NAMES.map((_, index) => index));
    expect(OPS.map(({ name }) => name)).toEqual(OPCODE_NAMES);
    expect(OPS.filter(({ modelled }) => modelled).length).toBeGreaterThanOrEqual(13);
    expect(REGISTER_ARGS.filter(({ allowed }) => allowed).map(({ opcode }) => opcode)).toEqual(expect.arrayContaining([4, 5, 7, 8, 12, 24]));
  });

  test("errno has every number of 1..133 that Linux assigns, and prints either sign", () => {
    const numbers = new Set(Object.values(ERRNO));
    for (let n = 1; n <= 133; n += 1) expect(numbers.has(n), `errno ${n}`).toBe(n !== 41 && n !== 58);
    expect([errnoName(EINVAL), errnoName(-EINVAL), errnoName(11), errnoName(4000), errnoName(0)]).toEqual(["EINVAL", "EINVAL", "EAGAIN", "errno 4000", "0"]);
  });

  test("flag words print by name, unknown bits in hex", () => {
    expect([flagNames(SQE_FLAGS, 0x14), flagNames(SQE_FLAGS, 0x81), flagNames(SQE_FLAGS, 0)]).toEqual([
      "IOSQE_IO_LINK|IOSQE_ASYNC",
      "IOSQE_FIXED_FILE|0x80",
      "0",
    ]);
  });
});

const u8 = fc.integer({ min: 0, max: 0xff });
const u16 = fc.integer({ min: 0, max: 0xffff });
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const s32 = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const sqes: fc.Arbitrary<Sqe> = fc.record({
  opcode: u8,
  flags: u8,
  ioprio: u16,
  fd: s32,
  off: u64,
  addr: u64,
  len: u32,
  opFlags: u32,
  userData: u64,
  bufIndex: u16,
  personality: u16,
  spliceFdIn: s32,
  addr3: u64,
  pad: u64,
});

describe("codecs", () => {
  test("an SQE is read back as written, and nothing beside it is touched", () => {
    fc.assert(
      fc.property(sqes, fc.nat(3), (sqe, index) => {
        const view = new DataView(new ArrayBuffer(4 * SQE.size));
        encodeSqe(view, index * SQE.size, sqe);
        expect(decodeSqe(view, index * SQE.size)).toEqual(sqe);
        const others = [0, 1, 2, 3].filter((other) => other !== index);
        for (const other of others) expect(decodeSqe(view, other * SQE.size)).toEqual(decodeSqe(new DataView(new ArrayBuffer(SQE.size)), 0));
      }),
    );
  });

  test("the bytes of an SQE survive decode and encode: every byte belongs to a field", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: SQE.size, maxLength: SQE.size }), (bytes) => {
        const copy = new Uint8Array(SQE.size);
        encodeSqe(new DataView(copy.buffer), 0, decodeSqe(new DataView(bytes.buffer, bytes.byteOffset), 0));
        expect(copy).toEqual(Uint8Array.from(bytes));
      }),
    );
  });

  test("fields left out of an SQE become zero, whatever was there", () => {
    const view = new DataView(new Uint8Array(SQE.size).fill(0xff).buffer);
    encodeSqe(view, 0, { opcode: 22, fd: -1 });
    const expected = new Uint8Array(SQE.size);
    expected.set([22, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    expect(new Uint8Array(view.buffer)).toEqual(expected);
  });

  test("a CQE is read back as written", () => {
    fc.assert(
      fc.property(fc.record({ userData: u64, res: s32, flags: u32 }), (cqe: Cqe) => {
        const view = new DataView(new ArrayBuffer(2 * CQE.size));
        encodeCqe(view, CQE.size, cqe);
        expect(decodeCqe(view, CQE.size)).toEqual(cqe);
      }),
    );
  });

  const params: fc.Arbitrary<IoUringParams> = fc.record({
    sqEntries: u32,
    cqEntries: u32,
    flags: u32,
    sqThreadCpu: u32,
    sqThreadIdle: u32,
    features: u32,
    wqFd: u32,
    sqOff: fc.record({ head: u32, tail: u32, ringMask: u32, ringEntries: u32, flags: u32, dropped: u32, array: u32 }),
    cqOff: fc.record({ head: u32, tail: u32, ringMask: u32, ringEntries: u32, overflow: u32, cqes: u32, flags: u32 }),
  });
  test("io_uring_params are read back as written", () => {
    fc.assert(
      fc.property(params, (value) => {
        expect(decodeParams(encodeParamsOut(value))).toEqual(value);
      }),
    );
  });

  test("the input of io_uring_setup lands at the offsets of the C struct", () => {
    const view = new DataView(encodeParams({ flags: 8, cqEntries: 64, sqThreadCpu: 1, sqThreadIdle: 2, wqFd: 3, resv: [7, 8, 9] }).buffer);
    expect(Array.from({ length: 10 }, (_, index) => view.getUint32(4 * index, true))).toEqual([0, 64, 8, 1, 2, 0, 3, 7, 8, 9]);
    expect(() => decodeParams(new Uint8Array(119))).toThrow(RangeError);
  });
});

describe("this machine's headers", () => {
  const compiler = ["g++", "c++", "clang++"].find((name) => spawnSync(name, ["--version"]).status === 0);
  const headers = spawnSync("test", ["-e", "/usr/include/linux/io_uring.h"]).status === 0;
  const able = compiler !== undefined && headers;
  const UNABLE = "no C++ compiler with <linux/io_uring.h>: the specification is not checked against this machine's headers";

  function compile(header: string): { readonly ok: boolean; readonly output: string } {
    const folder = mkdtempSync(join(tmpdir(), "ringspec-abi-"));
    try {
      writeFileSync(join(folder, "abi-check.gen.h"), header);
      writeFileSync(join(folder, "check.cc"), '#include "abi-check.gen.h"\n#include "register-table.gen.h"\nint main() { return 0; }\n');
      const flags = ["-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", folder, "-I", join(specRoot(), "native")];
      execFileSync(compiler ?? "c++", [...flags, join(folder, "check.cc")], { stdio: "pipe" });
      return { ok: true, output: "" };
    } catch (error) {
      const stderr: unknown = error instanceof Error && "stderr" in error ? error.stderr : error;
      return { ok: false, output: String(stderr) };
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const header = readFileSync(join(specRoot(), "native/abi-check.gen.h"), "utf8");

  test("agree with every assertion", { timeout: 60_000 }, (context) => {
    if (!able) return context.skip(UNABLE);
    expect(header.match(/^static_assert/gm)?.length ?? 0).toBeGreaterThan(150);
    expect(compile(header)).toEqual({ ok: true, output: "" });
  });

  test("disagree, by name, with an altered constant and an altered offset", { timeout: 60_000 }, (context) => {
    if (!able) return context.skip(UNABLE);
    const altered = header
      .replace(/(\(IORING_OP_READ\) == )0x16u/, "$10x17u")
      .replace(/(offsetof\(struct io_uring_sqe, user_data\) == )32/, "$136");
    expect(altered).not.toBe(header);
    const { ok, output } = compile(altered);
    expect(ok).toBe(false);
    expect(output).toContain("IORING_OP_READ");
    expect(output).toContain("offset of io_uring_sqe.user_data");
  });
});
