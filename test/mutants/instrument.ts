// Builds of the oracle with every mutant of the model in it, each behind a switch: a process runs the mutant that
// its environment names. Stryker's instrumenter makes the mutants, TypeScript strips the types.
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Instrumenter } from "@stryker-mutator/instrumenter";
import ts from "typescript";
import { packageRoot } from "../../src/real/addon.ts";
import { FILES_LEFT_OUT, reasonToIgnore, type Place } from "./ignore.ts";

/** Which mutant a process runs. */
export const ACTIVE = "__STRYKER_ACTIVE_MUTANT__";
/** Name of a global: a byte for each mutant, 1 where a run came by it. */
export const HITS = "ringspecHits";
/** Of dist/src, what the oracle is made of. */
const PARTS = ["kernel.js", "fdinfo.js", "model", "oracle", "program", "ring", "spec"];

export interface Mutant {
  readonly id: number;
  /** Under src/model. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** Stryker's name of the kind, such as ConditionalExpression. */
  readonly kind: string;
  readonly original: string;
  /** Of the original in its file, in characters: from, and behind. */
  readonly span: readonly [number, number];
  readonly replacement: string;
  /** The function or method that it is in, or else the statement: those in the same one have the same number. */
  readonly within: number;
}

export interface Instrumented {
  /** A build that counts which mutants a run comes by. */
  readonly build: string;
  /** One that does not, to judge with. */
  readonly quick: string;
  readonly mutants: readonly Mutant[];
  /** Numbers of mutants are below this. */
  readonly ids: number;
  /** How many are not judged, by reason. */
  readonly ignored: ReadonlyMap<string, number>;
}

const silent = (): void => {};
const no = (): boolean => false;
const LOGGER = {
  isTraceEnabled: no, isDebugEnabled: no, isInfoEnabled: no, isWarnEnabled: no, isErrorEnabled: no, isFatalEnabled: no,
  trace: silent, debug: silent, info: silent, warn: silent, error: silent, fatal: silent,
};

/** Needs a build in dist/ that is not stale. What was in the folder before is gone. `files`: of src/model; left out: all. */
export async function instrument(build: string, files?: readonly string[]): Promise<Instrumented> {
  rmSync(build, { recursive: true, force: true });
  for (const part of PARTS)
    cpSync(join(packageRoot, "dist", "src", part), join(build, "src", part), { recursive: true, filter: (file) => !/\.d\.ts$|\.map$/.test(file) });
  const model = join(packageRoot, "src", "model");
  const names = readdirSync(model).filter((name) => name.endsWith(".ts") && (files?.includes(name) ?? true));
  const sources = new Map(names.map((name) => [name, readFileSync(join(model, name), "utf8")]));
  const result = await new Instrumenter(LOGGER).instrument(
    [...sources].map(([name, content]) => ({ name, content, mutate: true })),
    { plugins: [], excludedMutations: [], ignorers: [{ shouldIgnore: (path) => reasonToIgnore(path as unknown as Place) }] }, // a NodePath of Babel
  );
  const quick = `${build}-quick`;
  rmSync(quick, { recursive: true, force: true });
  cpSync(build, quick, { recursive: true });
  for (const { name, content } of result.files) {
    const { outputText } = ts.transpileModule(content, {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext, verbatimModuleSyntax: true, rewriteRelativeImportExtensions: true },
    });
    const to = join("src", "model", name.replace(/\.ts$/, ".js"));
    writeFileSync(join(build, to), withSwitches(outputText, result.mutants.length));
    writeFileSync(join(quick, to), withSwitches(outputText, 0));
  }
  const ignored = new Map<string, number>();
  const parts = new Map([...sources].map(([name, source]) => [name, beginnings(name, source)]));
  const mutants: Mutant[] = [];
  for (const { id, fileName, location, mutatorName, replacement, statusReason } of result.mutants) {
    const left = FILES_LEFT_OUT.get(fileName);
    const reason = left === undefined ? statusReason : `${fileName}: ${left}`;
    if (reason !== undefined) {
      ignored.set(reason, (ignored.get(reason) ?? 0) + 1);
      continue;
    }
    const source = sources.get(fileName) ?? "";
    const span = [offsetOf(source, location.start), offsetOf(source, location.end)] as const;
    const original = source.slice(...span);
    const within = parts.get(fileName)?.findLast((begin) => begin <= span[0]) ?? 0;
    mutants.push({ id: Number(id), file: fileName, line: location.start.line + 1, column: location.start.column + 1, kind: mutatorName, original, span, replacement, within });
  }
  return { build, quick, mutants, ids: result.mutants.length, ignored };
}

/** Where each part of a file begins, in order: statements of the module, and members of classes. */
function beginnings(name: string, source: string): number[] {
  const { statements } = ts.createSourceFile(name, source, ts.ScriptTarget.ES2023);
  return statements.flatMap((statement) => [statement.pos, ...(ts.isClassDeclaration(statement) ? statement.members.map(({ pos }) => pos) : [])]);
}

/** The same switches as plain comparisons, several times as fast; a byte is set for each of `counted` mutants that is come by, or nothing. */
function withSwitches(code: string, counted: number): string {
  const switched = code.replace(/stryMutAct_9fa48\("(\d+)"\)/g, "(activeMutant === $1)").replace(/stryCov_9fa48\(((?:"\d+"(?:, )?)+)\)/g, (_, list: string) =>
    counted === 0 ? "0" : `(${list.split(", ").map((id) => `hits[${id.slice(1, -1)}] = `).join("")}1)`);
  const hits = counted === 0 ? "" : `const hits = (globalThis.${HITS} ??= new Uint8Array(${counted}));\n`;
  return `const activeMutant = Number(process.env.${ACTIVE} ?? -1);\n${hits}${switched}`;
}

interface Position {
  readonly line: number;
  readonly column: number;
}

function offsetOf(source: string, { line, column }: Position): number {
  let at = 0;
  for (let i = 0; i < line; i++) at = source.indexOf("\n", at) + 1;
  return at + column;
}
