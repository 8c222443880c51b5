// Emits src/spec/constants.gen.ts: every constant by its kernel name, and one table per group.

import type { Group, Spec } from "../../src/spec/load.ts";
import { BANNER, quoted, tsNumber, tsValue } from "./text.ts";

function emitConstants(group: Group): string[] {
  const lines = ["", `// ${group.name}: ${group.doc}.`];
  for (const constant of group.constants) {
    const since = constant.since === group.since ? "" : ` Since ${constant.since}.`;
    const doc = constant.doc === undefined ? since.trim() : `${constant.doc}.${since}`;
    if (doc !== "") lines.push(`/** ${doc} */`);
    lines.push(`export const ${constant.name} = ${tsValue(constant, group.kind)};`);
  }
  return lines;
}

function emitTable(group: Group): string[] {
  const wide = group.constants.some(({ value }) => value > BigInt(Number.MAX_SAFE_INTEGER));
  if (wide) return [];
  const rows = group.constants.map(({ name, since }) => `  { name: ${quoted(name)}, value: ${name}, since: ${quoted(since)} },`);
  return ["", `/** ${group.doc}. */`, `export const ${group.name}: readonly NamedValue[] = [`, ...rows, "];"];
}

function emitOpcodeNames(opcodes: Group): string[] {
  const names = opcodes.constants.map(({ name }) => `  ${quoted(name.replace(/^IORING_OP_/, ""))},`);
  return ["", "/** Operation names by number: OPCODE_NAMES[0] is NOP. */", "export const OPCODE_NAMES: readonly string[] = [", ...names, "];"];
}

function emitErrno(errno: Group): string[] {
  const rows = errno.constants.map(({ name }) => `  ${name},`);
  const names = errno.constants.filter(({ aliasOf }) => aliasOf === undefined).map(({ name, value }) => `  [${value}, ${quoted(name)}],`);
  return [
    "",
    "/** Error numbers by name. */",
    "export const ERRNO: Readonly<Record<string, number>> = {",
    ...rows,
    "};",
    "",
    "const ERRNO_NAMES: ReadonlyMap<number, string> = new Map([",
    ...names,
    "]);",
    "",
    '/** "EINVAL" for 22 and for -22; "errno 4000" for a number without a name; "0" for 0. */',
    "export function errnoName(errno: number): string {",
    '  if (errno === 0) return "0";',
    "  const positive = Math.abs(errno);",
    "  return ERRNO_NAMES.get(positive) ?? `errno ${positive}`;",
    "}",
  ];
}

function emitRegisterArgs(spec: Spec): string[] {
  const rows = spec.registerArgs.map(
    (arg) =>
      `  { name: ${quoted(arg.opcode)}, opcode: ${arg.opcode}, argKind: ${quoted(arg.argKind)}, argBytes: ${arg.argBytes}, bytesPerArg: ${arg.bytesPerArg}, allowed: ${arg.allowed} },`,
  );
  return [
    "",
    "/** What `arg` of one register opcode is, and how many bytes the kernel may touch there: argBytes + nrArgs * bytesPerArg. */",
    "export interface RegisterArgRule {",
    "  readonly name: string;",
    "  readonly opcode: number;",
    '  readonly argKind: "none" | "struct" | "array" | "fd-array" | "number";',
    "  readonly argBytes: number;",
    "  readonly bytesPerArg: number;",
    "  readonly allowed: boolean;",
    "}",
    "",
    "export const REGISTER_ARGS: readonly RegisterArgRule[] = [",
    ...rows,
    "];",
  ];
}

const FLAG_NAMES = [
  "",
  '/** "IOSQE_IO_LINK|IOSQE_ASYNC"; bits without a name are appended in hex; "0" for none. */',
  "export function flagNames(table: readonly NamedValue[], word: number): string {",
  "  let rest = word >>> 0;",
  "  const names: string[] = [];",
  "  for (const { name, value } of table) {",
  "    if ((rest & value) === 0) continue;",
  "    names.push(name);",
  "    rest = (rest & ~value) >>> 0;",
  "  }",
  "  if (rest !== 0) names.push(`0x${rest.toString(16)}`);",
  '  return names.length === 0 ? "0" : names.join("|");',
  "}",
];

export function emitConstantsFile(spec: Spec): string {
  const group = (name: string): Group => {
    const found = spec.groups.find((candidate) => candidate.name === name);
    if (found === undefined) throw new Error(`spec/abi has no group ${name}, which the generator needs`);
    return found;
  };
  const plain = spec.groups.filter(({ name }) => name !== "ERRNO");
  const opcodes = group("OPCODES");
  return [
    `// ${BANNER}`,
    "// Linux numbers that io_uring programs use: the interface's own, and the error numbers, open flags,",
    "// poll events and clocks that its operations borrow (x86-64).",
    "",
    "/** One named number of a group, and the kernel that first had it. */",
    "export interface NamedValue {",
    "  readonly name: string;",
    "  readonly value: number;",
    "  readonly since: string;",
    "}",
    ...spec.groups.flatMap(emitConstants),
    ...plain.flatMap(emitTable),
    ...emitOpcodeNames(opcodes),
    ...emitErrno(group("ERRNO")),
    ...FLAG_NAMES,
    ...emitRegisterArgs(spec),
    "",
    "/** Number of opcodes this specification knows; the kernels' IORING_OP_LAST grows with them. */",
    `export const OPCODES_KNOWN = ${tsNumber(BigInt(opcodes.constants.length))};`,
    "",
  ].join("\n");
}
