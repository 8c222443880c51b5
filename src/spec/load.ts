// Reads spec/ from disk and validates it as a whole. Node only: everything else in src/spec/ is
// free of node:*, and running code uses the generated files, never this loader.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { CHAPTERS, ConstantFile, OpSource, RegisterArgFile, RuleFile, StructFile } from "./schema.ts";
import type { OpSourceRecord, RegisterArgRecord, RuleFileRecord, RuleRecord, StructRecord } from "./schema.ts";
import {
  type Constant,
  type Group,
  type Located,
  checkConstants,
  checkGroup,
  checkOps,
  checkRegisterArgs,
  checkRules,
  checkStructs,
  resolveConstant,
} from "./validate.ts";

export type { Constant, Group } from "./validate.ts";
export { compareSince } from "./validate.ts";

/** The whole of spec/abi, spec/op and spec/rule, checked. */
export interface Spec {
  readonly groups: readonly Group[];
  readonly structs: readonly StructRecord[];
  readonly registerArgs: readonly RegisterArgRecord[];
  /** By number. */
  readonly ops: readonly OpSourceRecord[];
  /** In the order of CHAPTERS. */
  readonly chapters: readonly RuleFileRecord[];
  /** The rules of all chapters. */
  readonly rules: readonly RuleRecord[];
}

/** The specification contradicts itself; `faults` has one line for each: file, record, reason. */
export class SpecError extends Error {
  readonly faults: readonly string[];
  constructor(faults: readonly string[]) {
    super(`${faults.length} fault(s) in spec/:\n${faults.map((fault) => `  ${fault}`).join("\n")}`);
    this.name = "SpecError";
    this.faults = faults;
  }
}

/** Contents by path, such as "spec/abi/setup.json" -> the parsed JSON. */
export type SpecFiles = ReadonlyMap<string, unknown>;

/** The checkout or package that holds spec/abi: above this file, else the working directory. */
export function specRoot(): string {
  for (let at = dirname(fileURLToPath(import.meta.url)); ; at = dirname(at)) {
    if (existsSync(join(at, "spec", "abi", "structs.json"))) return at;
    if (dirname(at) === at) return process.cwd();
  }
}

/** Every JSON file of spec/abi, spec/op and spec/rule under `root`, parsed but not yet checked. */
export function readSpecFiles(root: string = specRoot()): Map<string, unknown> {
  const files = new Map<string, unknown>();
  for (const folder of ["spec/abi", "spec/op", "spec/rule"]) {
    if (!existsSync(join(root, folder))) continue;
    for (const name of readdirSync(join(root, folder)).sort()) {
      if (!name.endsWith(".json")) continue;
      const path = `${folder}/${name}`;
      try {
        files.set(path, JSON.parse(readFileSync(join(root, path), "utf8")));
      } catch (error) {
        throw new SpecError([`${path}: not JSON: ${error instanceof Error ? error.message : String(error)}`]);
      }
    }
  }
  return files;
}

function nameOfRecord(content: unknown, path: readonly PropertyKey[]): string {
  let at: unknown = content;
  let name = "";
  for (const step of path) {
    if (typeof at !== "object" || at === null) break;
    at = Reflect.get(at, step);
    if (typeof at !== "object" || at === null) break;
    const found: unknown = Reflect.get(at, "name") ?? Reflect.get(at, "opcode") ?? Reflect.get(at, "id");
    if (typeof found === "string") name = name === "" ? found : `${name}.${found}`;
  }
  return name;
}

function parse<T>(schema: z.ZodType<T>, path: string, content: unknown, faults: string[]): T | undefined {
  const result = schema.safeParse(content);
  if (result.success) return result.data;
  for (const issue of result.error.issues) {
    const record = nameOfRecord(content, issue.path) || "(file)";
    faults.push(`${path}: ${record}: ${issue.path.join(".")}: ${issue.message}`);
  }
  return undefined;
}

function groupsOf(path: string, file: z.infer<typeof ConstantFile>, faults: string[]): Group[] {
  const byGroup = new Map<string, Constant[]>(Object.keys(file.groups).map((name) => [name, []]));
  for (const record of file.constants) {
    const since = record.since ?? file.groups[record.group]?.since;
    const list = byGroup.get(record.group);
    if (list === undefined) faults.push(`${path}: ${record.name}: group ${record.group} is not declared in this file`);
    else if (since === undefined) faults.push(`${path}: ${record.name}: since is missing, and ${record.group} has no default`);
    else list.push(resolveConstant(record, since));
  }
  return Object.entries(file.groups).map(([name, group]) => ({
    name,
    kind: group.kind,
    doc: group.doc,
    since: group.since,
    dense: group.dense ?? false,
    constants: byGroup.get(name) ?? [],
  }));
}

/** Checks parsed files and puts them together. Throws SpecError with every fault found. */
export function parseSpec(files: SpecFiles): Spec {
  const faults: string[] = [];
  const groups: Located<Group>[] = [];
  const structs: Located<StructRecord>[] = [];
  const registerArgs: Located<RegisterArgRecord>[] = [];
  const ops: Located<OpSourceRecord>[] = [];
  const chapters: Located<RuleFileRecord>[] = [];
  for (const [file, content] of files) {
    if (file.startsWith("spec/op/")) {
      const record = parse(OpSource, file, content, faults);
      if (record !== undefined) ops.push({ file, record });
    } else if (file.startsWith("spec/rule/")) {
      const record = parse(RuleFile, file, content, faults);
      if (record !== undefined) chapters.push({ file, record });
    } else if (file === "spec/abi/structs.json") {
      const parsed = parse(StructFile, file, content, faults);
      structs.push(...(parsed?.structs ?? []).map((record) => ({ file, record })));
    } else if (file === "spec/abi/register-args.json") {
      const parsed = parse(RegisterArgFile, file, content, faults);
      registerArgs.push(...(parsed?.args ?? []).map((record) => ({ file, record })));
    } else {
      const parsed = parse(ConstantFile, file, content, faults);
      if (parsed !== undefined) groups.push(...groupsOf(file, parsed, faults).map((record) => ({ file, record })));
    }
  }
  if (faults.length > 0) throw new SpecError(faults);

  const named = new Map<string, string>();
  for (const { file, record } of groups) {
    if (named.has(record.name)) faults.push(`${file}: ${record.name}: a group of that name is in ${named.get(record.name)}`);
    named.set(record.name, file);
    faults.push(...checkGroup(file, record));
  }
  faults.push(...checkConstants(groups.flatMap(({ file, record }) => record.constants.map((constant) => ({ file, record: constant })))));
  faults.push(...checkStructs(structs));
  const constantsOf = (name: string) => groups.find(({ record }) => record.name === name)?.record.constants ?? [];
  faults.push(...checkRegisterArgs(registerArgs, constantsOf("REGISTER_OPCODES")));
  const sqe = structs.find(({ record }) => record.codec === "SQE")?.record;
  faults.push(
    ...checkOps(ops, {
      opcodes: constantsOf("OPCODES"),
      groups: new Set(named.keys()),
      sqeFields: new Set(sqe?.fields.map((field) => field.name)),
      errnos: new Set(constantsOf("ERRNO").map((constant) => constant.name)),
    }),
  );
  faults.push(...checkRules(chapters));
  if (faults.length > 0) throw new SpecError(faults);
  const read = chapters.map(({ record }) => record).toSorted((a, b) => CHAPTERS.indexOf(a.chapter) - CHAPTERS.indexOf(b.chapter));
  return {
    groups: groups.map(({ record }) => record),
    structs: structs.map(({ record }) => record),
    registerArgs: registerArgs.map(({ record }) => record),
    ops: ops.map(({ record }) => record).toSorted((a, b) => a.number - b.number),
    chapters: read,
    rules: read.flatMap(({ rules }) => rules),
  };
}

/** Reads and checks the specification that this package carries. */
export function loadSpec(root?: string): Spec {
  return parseSpec(readSpecFiles(root));
}
