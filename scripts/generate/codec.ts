// Emits src/spec/codec.gen.ts: byte offsets of every struct, and codecs for SQEs, CQEs and
// io_uring_params whose offsets and widths come from the struct records.

import type { Spec } from "../../src/spec/load.ts";
import type { FieldRecord, StructRecord } from "../../src/spec/schema.ts";
import { BANNER } from "./text.ts";

/** TypeScript name and C field, in the order of the bytes. */
type Plan = readonly (readonly [key: string, field: string])[];

const SQE_PLAN: Plan = [
  ["opcode", "opcode"],
  ["flags", "flags"],
  ["ioprio", "ioprio"],
  ["fd", "fd"],
  ["off", "off"],
  ["addr", "addr"],
  ["len", "len"],
  ["opFlags", "op_flags"],
  ["userData", "user_data"],
  ["bufIndex", "buf_index"],
  ["personality", "personality"],
  ["spliceFdIn", "splice_fd_in"],
  ["addr3", "addr3"],
  ["pad", "pad"],
];
const CQE_PLAN: Plan = [
  ["userData", "user_data"],
  ["res", "res"],
  ["flags", "flags"],
];
const PARAMS_OUT: Plan = [
  ["sqEntries", "sq_entries"],
  ["cqEntries", "cq_entries"],
  ["flags", "flags"],
  ["sqThreadCpu", "sq_thread_cpu"],
  ["sqThreadIdle", "sq_thread_idle"],
  ["features", "features"],
  ["wqFd", "wq_fd"],
];
const PARAMS_IN: Plan = PARAMS_OUT.filter(([key]) => key !== "sqEntries" && key !== "features");
const SQ_OFF_PLAN: Plan = [
  ["head", "head"],
  ["tail", "tail"],
  ["ringMask", "ring_mask"],
  ["ringEntries", "ring_entries"],
  ["flags", "flags"],
  ["dropped", "dropped"],
  ["array", "array"],
];
const CQ_OFF_PLAN: Plan = [
  ["head", "head"],
  ["tail", "tail"],
  ["ringMask", "ring_mask"],
  ["ringEntries", "ring_entries"],
  ["overflow", "overflow"],
  ["cqes", "cqes"],
  ["flags", "flags"],
];

const ACCESS: Readonly<Record<string, { readonly name: string; readonly wide: boolean; readonly ordered: boolean }>> = {
  u8: { name: "Uint8", wide: false, ordered: false },
  u16: { name: "Uint16", wide: false, ordered: true },
  u32: { name: "Uint32", wide: false, ordered: true },
  s32: { name: "Int32", wide: false, ordered: true },
  u64: { name: "BigUint64", wide: true, ordered: true },
};

interface Slot {
  readonly key: string;
  readonly path: string;
  readonly access: { readonly name: string; readonly wide: boolean; readonly ordered: boolean };
}

class Structs {
  readonly #structs: readonly StructRecord[];
  constructor(structs: readonly StructRecord[]) {
    this.#structs = structs;
  }
  field(codec: string, name: string): FieldRecord {
    const struct = this.#structs.find((candidate) => candidate.codec === codec);
    const field = struct?.fields.find((candidate) => candidate.name === name);
    if (field === undefined) throw new Error(`spec/abi/structs.json: ${codec}.${name}: the codec needs it and it is not there`);
    return field;
  }
  slots(codec: string, plan: Plan): readonly Slot[] {
    return plan.map(([key, name]) => {
      const { type } = this.field(codec, name);
      const access = ACCESS[type];
      if (access === undefined) throw new Error(`spec/abi/structs.json: ${codec}.${name}: no codec for type ${type}`);
      return { key, path: `${codec}.${name}`, access };
    });
  }
}

function getter({ path, access }: Slot, base: string): string {
  return `view.get${access.name}(${base}${path}${access.ordered ? ", true" : ""})`;
}

function setter({ path, access }: Slot, base: string, value: string): string {
  return `view.set${access.name}(${base}${path}, ${value}${access.ordered ? ", true" : ""});`;
}

function emitOffsets(struct: StructRecord): string[] {
  const note = struct.flexible === undefined ? "" : `, ${struct.flexible}[] follows`;
  return [
    "",
    `/** struct ${struct.name}: size and byte offsets (since ${struct.since}${note}). */`,
    `export const ${struct.codec} = {`,
    `  size: ${struct.size},`,
    ...struct.fields.map((field) => `  ${field.name === "size" ? "size_" : field.name}: ${field.offset},`),
    "} as const;",
  ];
}

function emitEntry(name: string, doc: string, slots: readonly Slot[]): string[] {
  const plural = name.toLowerCase();
  return [
    "",
    `/** ${doc} */`,
    `export interface ${name} {`,
    ...slots.map(({ key, access }) => `  readonly ${key}: ${access.wide ? "bigint" : "number"};`),
    "}",
    "",
    `/** Writes one ${name.toUpperCase()} at byte \`at\`; what is left out becomes zero. */`,
    `export function encode${name}(view: DataView, at: number, ${plural}: Partial<${name}>): void {`,
    ...slots.map((slot) => `  ${setter(slot, "at + ", `${plural}.${slot.key} ?? ${slot.access.wide ? "0n" : "0"}`)}`),
    "}",
    "",
    `/** Reads one ${name.toUpperCase()} at byte \`at\`. */`,
    `export function decode${name}(view: DataView, at: number): ${name} {`,
    "  return {",
    ...slots.map((slot) => `    ${slot.key}: ${getter(slot, "at + ")},`),
    "  };",
    "}",
  ];
}

function emitParams(structs: Structs): string[] {
  const input = structs.slots("PARAMS", PARAMS_IN);
  const output = structs.slots("PARAMS", PARAMS_OUT);
  return [
    "",
    "/** struct io_uring_params as io_uring_setup reads it. */",
    "export function encodeParams(params: SetupParams): Uint8Array {",
    "  const bytes = new Uint8Array(PARAMS.size);",
    "  const view = new DataView(bytes.buffer);",
    ...input.map((slot) => `  ${setter(slot, "", `params.${slot.key} ?? 0`)}`),
    "  params.resv?.forEach((word, index) => {",
    "    view.setUint32(PARAMS.resv + 4 * index, word, true);",
    "  });",
    "  return bytes;",
    "}",
    "",
    "/** struct io_uring_params as io_uring_setup filled it in. */",
    "export function decodeParams(bytes: Uint8Array): IoUringParams {",
    "  if (bytes.byteLength < PARAMS.size) {",
    "    throw new RangeError(`io_uring_params has ${PARAMS.size} bytes, got ${bytes.byteLength}`);",
    "  }",
    "  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);",
    "  return {",
    ...output.map((slot) => `    ${slot.key}: ${getter(slot, "")},`),
    "    sqOff: {",
    ...structs.slots("SQ_OFF", SQ_OFF_PLAN).map((slot) => `      ${slot.key}: ${getter(slot, "PARAMS.sq_off + ")},`),
    "    },",
    "    cqOff: {",
    ...structs.slots("CQ_OFF", CQ_OFF_PLAN).map((slot) => `      ${slot.key}: ${getter(slot, "PARAMS.cq_off + ")},`),
    "    },",
    "  };",
    "}",
    "",
    "/** The other half of the seam: writes what io_uring_setup hands back, every reserved byte zero. */",
    "export function encodeParamsOut(params: IoUringParams): Uint8Array {",
    "  const bytes = new Uint8Array(PARAMS.size);",
    "  const view = new DataView(bytes.buffer);",
    ...output.map((slot) => `  ${setter(slot, "", `params.${slot.key}`)}`),
    ...structs.slots("SQ_OFF", SQ_OFF_PLAN).map((slot) => `  ${setter(slot, "PARAMS.sq_off + ", `params.sqOff.${slot.key}`)}`),
    ...structs.slots("CQ_OFF", CQ_OFF_PLAN).map((slot) => `  ${setter(slot, "PARAMS.cq_off + ", `params.cqOff.${slot.key}`)}`),
    "  return bytes;",
    "}",
  ];
}

export function emitCodecFile(spec: Spec): string {
  const structs = new Structs(spec.structs);
  return [
    `// ${BANNER}`,
    "// Byte offsets of the interface's structs and little-endian codecs for the three that every ring uses.",
    "",
    'import type { IoUringParams, SetupParams } from "../kernel.ts";',
    ...spec.structs.flatMap(emitOffsets),
    "",
    "/** Bytes of an SQE and a CQE on rings with the wide entries. */",
    `export const SQE128_SIZE = 128;`,
    `export const CQE32_SIZE = 32;`,
    ...emitEntry("Sqe", "An SQE's fields without its unions: `opFlags` is the per-operation flag word, `pad` the last 8 bytes.", structs.slots("SQE", SQE_PLAN)),
    ...emitEntry("Cqe", "A CQE of 16 bytes.", structs.slots("CQE", CQE_PLAN)),
    ...emitParams(structs),
    "",
  ].join("\n");
}
