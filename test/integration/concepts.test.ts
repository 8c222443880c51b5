// docs/concepts/: its examples print what the pages say, each rule and kernel function that a page cites
// is one of the specification, and no chapter of it is left out.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { packageRoot } from "../../src/real/addon.ts";
import { RULES } from "../../src/spec/rules.gen.ts";

const DIRECTORY = join(packageRoot, "docs/concepts");
const RULE_DIRECTORY = join(packageRoot, "spec/rule");
const INDEX = "README.md";

/** ```js, nothing but blank lines, ```text. */
const EXAMPLE = /^```js\n([\s\S]*?)^```\n\s*^```text\n([\s\S]*?)^```$/gm;
const FENCED = /^```[\s\S]*?^```$/gm;
/** `[chapter.rule]`, and what looks like one without backticks; links are no citations. */
const BRACKETED = /\[([a-z][a-z0-9-]*\.[a-z0-9-]+)\](?!\()/g;
/** `chapter.rule` without brackets. */
const BARE = /`([a-z][a-z0-9-]*\.[a-z0-9-]+)`/g;
const KERNEL_FUNCTION = /`(_*io_[a-z0-9_]+\(\))`/g;

interface Page {
  readonly name: string;
  readonly text: string;
  /** Without its code. */
  readonly prose: string;
  readonly examples: readonly { readonly code: string; readonly output: string }[];
  readonly cited: readonly string[];
}

function pageOf(name: string): Page {
  const text = readFileSync(join(DIRECTORY, name), "utf8");
  const prose = text.replace(FENCED, "");
  return {
    name,
    text,
    prose,
    examples: [...text.matchAll(EXAMPLE)].map(([, code = "", output = ""]) => ({ code, output })),
    cited: [...all(prose, BRACKETED), ...all(prose, BARE)],
  };
}

function all(text: string, pattern: RegExp): string[] {
  return [...text.matchAll(pattern)].map(([, found = ""]) => found);
}

/** No colours, whatever runs the tests. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const { FORCE_COLOR: _, ...rest } = process.env;
  return { ...rest, NO_COLOR: "1" };
}

const chapterOf = (id: string): string => id.slice(0, id.indexOf("."));
const names = readdirSync(DIRECTORY).filter((name) => name.endsWith(".md"));
const index = pageOf(INDEX);
const pages = names.filter((name) => name !== INDEX).map(pageOf);

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "ringspec-concepts-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe.each(pages)("docs/concepts/$name", ({ name, text, prose, examples, cited }) => {
  test("has one example, with its output", () => {
    expect(text.match(/^```js$/gm) ?? []).toHaveLength(1);
    expect(text.match(/^```text$/gm) ?? []).toHaveLength(1);
    expect(examples).toHaveLength(1);
  });

  test("its example prints what the page says", () => {
    const url = pathToFileURL(join(packageRoot, "dist/src/index.js")).href;
    for (const { code, output } of examples) {
      const runnable = code.replace('from "ringspec"', `from ${JSON.stringify(url)}`);
      expect(runnable, "the example imports ringspec").not.toBe(code);
      const file = join(scratch, `${name}.mjs`);
      writeFileSync(file, runnable);
      const options = { encoding: "utf8", timeout: 30_000, env: plainEnvironment() } as const;
      const { status, stdout, stderr } = spawnSync(process.execPath, [file], options);
      expect(status, stderr).toBe(0);
      expect(stdout.trim()).toBe(output.trim());
    }
  });

  test("cites rules that exist", () => {
    expect(cited).not.toHaveLength(0);
    expect(cited.filter((id) => !Object.hasOwn(RULES, id))).toEqual([]);
  });

  test("names kernel functions that the rules' sources name", () => {
    const functions = all(prose, KERNEL_FUNCTION);
    const sources = readdirSync(RULE_DIRECTORY).map((file) => readFileSync(join(RULE_DIRECTORY, file), "utf8")).join("\n");
    expect(functions).not.toHaveLength(0);
    expect(functions.filter((called) => !sources.includes(` ${called}"`))).toEqual([]);
  });

  test("cites a rule of each chapter that it lists", () => {
    const [, list = ""] = /^Chapters? ((?:`[a-z-]+`(?:, )?)+):/m.exec(prose) ?? [];
    const chapters = all(list, /`([a-z-]+)`/g);
    expect(chapters).not.toHaveLength(0);
    expect(chapters.filter((chapter) => !cited.some((id) => chapterOf(id) === chapter))).toEqual([]);
  });
});

test("every chapter of the specification is listed by one page", () => {
  const lists = pages.flatMap(({ prose }) => all(/^Chapters? (.*?):/m.exec(prose)?.[1] ?? "", /`([a-z-]+)`/g));
  expect(lists.toSorted()).toEqual([...new Set(Object.keys(RULES).map(chapterOf))].toSorted());
});

test("the index names every page, each on one line", () => {
  const listed = index.text.split("\n").flatMap((line) => all(line, /^- \[[a-z-]+\.md\]\(([a-z-]+\.md)\): ./g));
  expect(listed.toSorted()).toEqual(pages.map(({ name }) => name).toSorted());
});

test("links between the pages lead somewhere", () => {
  const known = new Set(names);
  for (const { name, prose } of [index, ...pages])
    expect(all(prose, /\]\(([^)/]+)\)/g).filter((target) => !known.has(target)), name).toEqual([]);
});
