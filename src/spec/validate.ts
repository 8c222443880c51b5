// What no single record of spec/ can show: doubled names and values, overlapping or missing bytes,
// types that contradict sizes, references to nothing. Every fault names file, record and reason.

import {
  type ConstantRecord,
  type FieldRecord,
  type OpSourceRecord,
  type RegisterArgRecord,
  type RuleFileRecord,
  type StructRecord,
} from "./schema.ts";

export interface Located<T> {
  readonly file: string;
  readonly record: T;
}

/** A constant with its value worked out and the group's defaults filled in. */
export interface Constant {
  readonly name: string;
  readonly value: bigint;
  readonly since: string;
  readonly group: string;
  readonly doc: string | undefined;
  readonly aliasOf: string | undefined;
  readonly unchecked: string | undefined;
}

export interface Group {
  readonly name: string;
  readonly kind: "flags" | "enum" | "values";
  readonly doc: string;
  readonly since: string | undefined;
  readonly dense: boolean;
  readonly constants: readonly Constant[];
}

/** 5, -2, "0x8000000" and "1<<19" as an integer. */
export function valueOf(value: number | string): bigint {
  if (typeof value === "number") return BigInt(value);
  const shift = /^1<<(\d+)$/.exec(value);
  return shift?.[1] === undefined ? BigInt(value) : 1n << BigInt(shift[1]);
}

/** Orders "5.9" before "5.10". */
export function compareSince(a: string, b: string): number {
  const [aMajor = 0, aMinor = 0] = a.split(".").map(Number);
  const [bMajor = 0, bMinor = 0] = b.split(".").map(Number);
  return aMajor - bMajor || aMinor - bMinor;
}

const SCALAR_BYTES: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, s32: 4, u64: 8, s64: 8 };
const U32_MAX = 0xffff_ffffn;
const U64_MAX = 0xffff_ffff_ffff_ffffn;

export function checkConstants(constants: readonly Located<Constant>[]): string[] {
  const faults: string[] = [];
  const byName = new Map<string, string>();
  for (const { file, record } of constants) {
    const before = byName.get(record.name);
    if (before !== undefined) faults.push(`${file}: ${record.name}: named twice, first in ${before}`);
    byName.set(record.name, file);
    if (record.value < -(1n << 31n) || record.value > U64_MAX) {
      faults.push(`${file}: ${record.name}: value ${record.value} fits no C type of the interface`);
    }
  }
  return faults;
}

export function checkGroup(file: string, group: Group): string[] {
  const faults: string[] = [];
  const byValue = new Map<bigint, string>();
  for (const { name, value, aliasOf } of group.constants) {
    if (aliasOf !== undefined) {
      const target = group.constants.find((other) => other.name === aliasOf);
      if (target === undefined) faults.push(`${file}: ${name}: aliasOf ${aliasOf}, which ${group.name} does not have`);
      else if (target.value !== value) faults.push(`${file}: ${name}: value ${value}, but ${aliasOf} is ${target.value}`);
      continue;
    }
    if (group.kind === "values") continue;
    const before = byValue.get(value);
    if (before !== undefined) faults.push(`${file}: ${name}: value ${value} is already ${before} in ${group.name}`);
    byValue.set(value, name);
    if (group.kind === "flags" && (value <= 0n || value > U32_MAX || (value & (value - 1n)) !== 0n)) {
      faults.push(`${file}: ${name}: value ${value} is not a single bit of 32`);
    }
  }
  if (group.dense) {
    group.constants.forEach(({ name, value }, index) => {
      if (value !== BigInt(index)) faults.push(`${file}: ${name}: value ${value}, but ${group.name} is dense and ${index} comes here`);
    });
  }
  if (group.constants.length === 0) faults.push(`${file}: ${group.name}: a group without constants`);
  return faults;
}

function aliasesOf(field: FieldRecord): readonly string[] {
  if (field.aliasOf === undefined) return [];
  return typeof field.aliasOf === "string" ? [field.aliasOf] : field.aliasOf;
}

function overlaps(a: FieldRecord, b: FieldRecord): boolean {
  return a.offset < b.offset + Math.max(b.size, 1) && b.offset < a.offset + Math.max(a.size, 1);
}

/** Element size of a type: a scalar, or a struct that was declared before. */
function typeBytes(type: string, sizes: ReadonlyMap<string, number>): number | undefined {
  const [, base = "", count] = /^([a-z_0-9]+)(?:\[(\d+)\])?$/.exec(type) ?? [];
  const element = SCALAR_BYTES[base] ?? sizes.get(base);
  return element === undefined ? undefined : element * (count === undefined ? 1 : Number(count));
}

function checkStruct(file: string, struct: StructRecord, sizes: ReadonlyMap<string, number>): string[] {
  const faults: string[] = [];
  const fault = (field: FieldRecord, text: string) => faults.push(`${file}: ${struct.name}.${field.name}: ${text}`);
  const byName = new Map<string, FieldRecord>();
  for (const field of struct.fields) {
    if (byName.has(field.name)) fault(field, "named twice");
    byName.set(field.name, field);
    const bytes = typeBytes(field.type, sizes);
    if (bytes === undefined) fault(field, `type ${field.type} is not known (structs are declared before their use)`);
    else if (bytes !== field.size) fault(field, `type ${field.type} has ${bytes} bytes, size says ${field.size}`);
    if (field.offset + field.size > struct.size) {
      fault(field, `bytes ${field.offset}..${field.offset + field.size - 1} lie beyond the struct's ${struct.size}`);
    }
    if (field.since !== undefined && compareSince(field.since, struct.since) < 0) {
      fault(field, `since ${field.since}, before the struct's ${struct.since}`);
    }
  }
  const plain = struct.fields.filter((field) => aliasesOf(field).length === 0 && field.name !== struct.flexible);
  for (const field of struct.fields) {
    for (const name of aliasesOf(field)) {
      const target = byName.get(name);
      if (target === undefined) fault(field, `aliasOf ${name}, which ${struct.name} does not have`);
      else if (!overlaps(field, target)) fault(field, `aliasOf ${name}, but they share no byte`);
    }
    for (const other of aliasesOf(field).length === 0 ? [] : plain) {
      if (overlaps(field, other) && !aliasesOf(field).includes(other.name)) {
        fault(field, `overlaps ${other.name}, which its aliasOf does not name`);
      }
    }
  }
  let end = 0;
  for (const field of plain.toSorted((a, b) => a.offset - b.offset)) {
    if (field.offset < end) fault(field, `offset ${field.offset} overlaps the field before it, which ends at ${end}`);
    if (field.offset > end) fault(field, `offset ${field.offset} leaves a hole: the field before it ends at ${end}`);
    end = Math.max(end, field.offset + field.size);
  }
  if (end !== struct.size) faults.push(`${file}: ${struct.name}: fields end at ${end}, size says ${struct.size}`);
  if (struct.flexible !== undefined && byName.get(struct.flexible)?.size !== 0) {
    faults.push(`${file}: ${struct.name}: flexible names ${struct.flexible}, which is no field of size 0`);
  }
  return faults;
}

export function checkStructs(structs: readonly Located<StructRecord>[]): string[] {
  const faults: string[] = [];
  const sizes = new Map<string, number>();
  const codecs = new Set<string>();
  for (const { file, record } of structs) {
    if (sizes.has(record.name)) faults.push(`${file}: ${record.name}: named twice`);
    if (codecs.has(record.codec)) faults.push(`${file}: ${record.name}: codec ${record.codec} is taken`);
    codecs.add(record.codec);
    faults.push(...checkStruct(file, record, sizes));
    sizes.set(record.name, record.size);
  }
  return faults;
}

export function checkRegisterArgs(args: readonly Located<RegisterArgRecord>[], opcodes: readonly Constant[]): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const { file, record } of args) {
    const fault = (text: string) => faults.push(`${file}: ${record.opcode}: ${text}`);
    if (seen.has(record.opcode)) fault("named twice");
    seen.add(record.opcode);
    if (!opcodes.some((opcode) => opcode.name === record.opcode)) fault("no such register opcode");
    const touches = record.argBytes + record.bytesPerArg > 0;
    const memory = record.argKind !== "none" && record.argKind !== "number";
    if (touches !== memory) fault(`argKind ${record.argKind} contradicts ${record.argBytes} + n * ${record.bytesPerArg} bytes`);
    if (record.argKind === "struct" && record.bytesPerArg > 0 && record.argBytes === 0) fault("a struct has fixed bytes");
  }
  return faults;
}

export interface OpContext {
  readonly opcodes: readonly Constant[];
  readonly groups: ReadonlySet<string>;
  readonly sqeFields: ReadonlySet<string>;
  readonly errnos: ReadonlySet<string>;
}

export function checkOps(ops: readonly Located<OpSourceRecord>[], context: OpContext): string[] {
  const faults: string[] = [];
  const seen = new Set<string>();
  for (const { file, record } of ops) {
    const fault = (text: string) => faults.push(`${file}: ${record.opcode}: ${text}`);
    if (seen.has(record.opcode)) fault("named twice");
    seen.add(record.opcode);
    const opcode = context.opcodes.find((constant) => constant.name === record.opcode);
    if (opcode === undefined) fault("no such opcode in spec/abi");
    else if (opcode.value !== BigInt(record.number)) fault(`number ${record.number}, but spec/abi says ${opcode.value}`);
    else if (opcode.since !== record.since) fault(`since ${record.since}, but spec/abi says ${opcode.since}`);
    const { required, optional } = record.fields;
    for (const field of [...required, ...optional, ...Object.keys(record.defaults ?? {})]) {
      if (!context.sqeFields.has(field)) fault(`io_uring_sqe has no field ${field}`);
    }
    for (const field of optional) if (required.includes(field)) fault(`${field} is both required and optional`);
    for (const group of record.flags) if (!context.groups.has(group)) fault(`no constant group ${group}`);
    for (const { errno } of record.errors) if (!context.errnos.has(errno)) fault(`no error ${errno}`);
  }
  if (ops.length > 0) {
    for (const { name } of context.opcodes) if (!seen.has(name)) faults.push(`spec/op: ${name}: no record`);
  }
  return faults;
}

export function checkRules(chapters: readonly Located<RuleFileRecord>[]): string[] {
  const faults: string[] = [];
  const byId = new Map<string, string>();
  for (const { file, record } of chapters) {
    if (file !== `spec/rule/${record.chapter}.json`) faults.push(`${file}: ${record.chapter}: a chapter lies in the file of its name`);
    for (const rule of record.rules) {
      const fault = (text: string) => faults.push(`${file}: ${rule.id}: ${text}`);
      const before = byId.get(rule.id);
      if (before !== undefined) fault(`named twice, first in ${before}`);
      byId.set(rule.id, file);
      if (!rule.id.startsWith(`${record.chapter}.`)) fault(`belongs to another chapter than ${record.chapter}`);
      if (rule.until !== undefined && compareSince(rule.since, rule.until) > 0) fault(`since ${rule.since}, after until ${rule.until}`);
      if (new Set(rule.sources).size !== rule.sources.length) fault("names a source twice");
    }
  }
  return faults;
}

export function resolveConstant(record: ConstantRecord, since: string): Constant {
  const { name, group, doc, aliasOf, unchecked } = record;
  return { name, value: valueOf(record.value), since, group, doc, aliasOf, unchecked };
}
