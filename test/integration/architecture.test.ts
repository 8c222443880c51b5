// The lines between the parts, kept by a test: who may import whom, what the model must not know, who may
// print and exit, and how long a file may grow.
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../src/real/addon.ts";

const LINES_MAX = 400;

/** Parts in the order of the table: a part may import those in its row, and itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  spec: [],
  port: ["spec"],
  ring: ["spec", "port"],
  model: ["spec", "port"],
  real: ["spec", "port"],
  program: ["spec", "port", "ring", "model"],
  oracle: ["spec", "port", "ring", "model", "program"],
  explain: ["spec", "port", "program", "oracle"],
  vector: ["program", "oracle"],
  open: ["spec", "port", "ring", "model", "real"],
  cli: ["spec", "port", "ring", "model", "real", "program", "oracle", "explain", "vector", "open"],
  index: ["spec", "port", "ring", "model", "real", "program", "oracle", "explain", "open"],
};
/** Codecs fill structures of the port, so the spec may know their types, and only those. */
const MAY_IMPORT_TYPES: Record<string, readonly string[]> = { spec: ["port"] };
/** Files of src/ itself, by the part they are. */
const TOP_LEVEL: Record<string, string> = { "kernel.ts": "port", "driver.ts": "port", "fdinfo.ts": "port", "open.ts": "open", "index.ts": "index" };

/** What the code of a part must not mention, comments and strings left out. */
const FORBIDDEN: readonly { readonly parts: readonly string[]; readonly word: RegExp; readonly why: string }[] = [
  { parts: ["model"], word: /\bDate\b|\bperformance\b|\bsetTimeout\b|\bsetInterval\b/, why: "the model's clock is virtual" },
  { parts: ["model"], word: /\bMath\s*\.\s*random\b|\bcrypto\b/, why: "every freedom of the model is a choice of its scheduler" },
  { parts: ["model"], word: /\bprocess\b|\bglobalThis\b/, why: "the model runs anywhere" },
  { parts: ["spec", "port", "ring", "model", "real", "program", "oracle", "explain", "open", "index"], word: /\bconsole\b|\bprocess\s*\.\s*(exit\b|exitCode|stdout|stderr)/, why: "only cli prints and exits" },
];

interface SourceFile {
  /** From src/, such as "model/kernel.ts". */
  readonly path: string;
  readonly text: string;
}

function partOf(path: string): string | undefined {
  const [first = "", ...rest] = path.split("/");
  return rest.length === 0 ? TOP_LEVEL[first] : first;
}

/** Blanks comments and the insides of strings, so that words in prose don't count. */
function codeOnly(text: string): string {
  return text.replace(/\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, (found) => found.replace(/[^\n]/g, " "));
}

interface Import {
  readonly target: string;
  readonly typeOnly: boolean;
}
function importsOf(text: string): Import[] {
  const statements = text.matchAll(/^\s*(?:import|export)\b([^;"]*?)from\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)/gm);
  return [...statements].map(([, what, from, bare, dynamic]) => ({ target: from ?? bare ?? dynamic ?? "", typeOnly: /^\s+type\b/.test(what ?? "") }));
}

/** Every breach of the table, in a sentence. */
function breaches(file: SourceFile): string[] {
  const part = partOf(file.path);
  const allowed = part === undefined ? undefined : MAY_IMPORT[part];
  if (part === undefined || allowed === undefined) return [`${file.path} belongs to no part; add it to the table or move it`];
  const found: string[] = [];
  for (const { target, typeOnly } of importsOf(file.text)) {
    if (!target.startsWith(".")) {
      if (part === "model" && target.startsWith("node:")) found.push(`${file.path} imports ${target}: the model imports nothing of Node`);
      continue;
    }
    const to = partOf(posix.join(posix.dirname(file.path), target));
    if (to === undefined) found.push(`${file.path} imports ${target}, which is outside src`);
    else if (to !== part && !allowed.includes(to) && !(typeOnly && MAY_IMPORT_TYPES[part]?.includes(to))) {
      found.push(`${file.path} imports ${target}: ${part} may not import ${to}`);
    }
  }
  const code = codeOnly(file.text);
  for (const { parts, word, why } of FORBIDDEN) {
    const hit = parts.includes(part) ? word.exec(code)?.[0] : undefined;
    if (hit !== undefined) found.push(`${file.path} says ${hit}: ${why}`);
  }
  return found;
}

function filesUnder(folder: string): SourceFile[] {
  return readdirSync(join(packageRoot, folder), { recursive: true, encoding: "utf8" })
    .filter((path) => path.endsWith(".ts"))
    .map((path) => ({ path: path.replaceAll("\\", "/"), text: readFileSync(join(packageRoot, folder, path), "utf8") }));
}
const source = filesUnder("src");

test("every part imports only what the table allows, and mentions nothing that it must not know", () => {
  expect(source.length).toBeGreaterThan(50);
  expect(source.flatMap(breaches)).toEqual([]);
});

test.each(["src", "scripts"])("no file under %s is longer than 400 lines, generated ones excepted", (folder) => {
  const long = filesUnder(folder)
    .filter(({ path }) => !path.endsWith(".gen.ts"))
    .map(({ path, text }) => ({ path, lines: text.split("\n").length - 1 }))
    .filter(({ lines }) => lines > LINES_MAX);
  expect(long).toEqual([]);
});

test("every file says what it is", () => {
  const silent = source.filter(({ text }) => !/^(#![^\n]*\n)?\/\/ /.test(text)).map(({ path }) => path);
  expect(silent).toEqual([]);
});

describe("the check itself catches", () => {
  test.each<[string, SourceFile, string]>([
    ["model importing real", { path: "model/x.ts", text: 'import { a } from "../real/probe.ts";' }, "model may not import real"],
    ["oracle importing real, as a type", { path: "oracle/x.ts", text: 'import type { A } from "../real/probe.ts";' }, "oracle may not import real"],
    ["program importing real", { path: "program/x.ts", text: 'import { a } from "../real/probe.ts";' }, "program may not import real"],
    ["a re-export", { path: "ring/x.ts", text: 'export * from "../model/kernel.ts";' }, "ring may not import model"],
    ["an import over several lines", { path: "spec/x.ts", text: 'import {\n  a,\n  b,\n} from "../kernel.ts";' }, "spec may not import port"],
    ["a dynamic import", { path: "model/deep/x.ts", text: 'const m = await import("../../real/probe.ts");' }, "model may not import real"],
    ["node in the model", { path: "model/x.ts", text: 'import { readFileSync } from "node:fs";' }, "imports nothing of Node"],
    ["an import for its effects", { path: "model/x.ts", text: 'import "node:process";' }, "imports nothing of Node"],
    ["a clock in the model", { path: "model/x.ts", text: "const now = Date.now();" }, "says Date"],
    ["chance in the model", { path: "model/x.ts", text: "const r = Math.random();" }, "says Math.random"],
    ["the environment in the model", { path: "model/x.ts", text: "if (process.env.X) a();" }, "says process"],
    ["printing elsewhere", { path: "oracle/x.ts", text: "console.log(1);" }, "only cli prints and exits"],
    ["exiting elsewhere", { path: "real/x.ts", text: "process.exit(1);" }, "only cli prints and exits"],
    ["a file of no part", { path: "misc/x.ts", text: "" }, "belongs to no part"],
  ])("%s", (_what, file, words) => {
    expect(breaches(file)).toEqual([expect.stringContaining(words)]);
  });

  test("and lets prose and the command be", () => {
    expect(breaches({ path: "model/x.ts", text: '// no Date here\nconst a = "process";' })).toEqual([]);
    expect(breaches({ path: "cli/x.ts", text: 'import { a } from "../oracle/judge.ts";\nprocess.exit(1);' })).toEqual([]);
  });
});
