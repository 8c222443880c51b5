// README.md: what it says that the specification holds is what `ringspec spec --stats` prints; its commands, scripts,
// exports, rules and files are there, and its example prints what it says.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import * as ringspec from "../../src/index.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { RULES } from "../../src/spec/rules.gen.ts";

const text = readFileSync(join(packageRoot, "README.md"), "utf8");
const main = join(packageRoot, "dist", "src", "cli", "main.js");
const run = (...args: readonly string[]): string => spawnSync(process.execPath, args, { encoding: "utf8" }).stdout;
const all = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, found = ""]) => found);

test("the block of counts is what `ringspec spec --stats` prints", () => {
  expect(/^```\n(rules {3}[\s\S]*?)^```$/m.exec(text)?.[1]).toBe(run(main, "spec", "--stats"));
});

test("each command of the table is one, and each command is in the table", () => {
  const listed = all(/^\| `ringspec ([a-z]+)/gm);
  const there = [...run(main, "--help").matchAll(/^ {2}([a-z]+)(?: [<[].*?[>\]])+ {2}/gm)].map(([, name = ""]) => name);
  expect(listed.toSorted()).toEqual(there.toSorted());
});

test("each npm script and each linked file is there", () => {
  const { scripts } = JSON.parse(readFileSync(join(packageRoot, "package.json"), "utf8")) as { scripts: Record<string, string> };
  const named = all(/npm run ([a-z:]+)/g);
  expect(named.length).toBeGreaterThan(10);
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named));
  const links = all(/\]\(([^)#:]+)\)/g);
  expect(links.length).toBeGreaterThan(10);
  expect(links.filter((path) => !existsSync(join(packageRoot, path)))).toEqual([]);
});

test("each rule is one of the specification, and each export is one", () => {
  const rules = all(/`([a-z][a-z-]*\.[a-z0-9-]+)`/g).filter((name) => !/\.(ts|json|md)$|^(sq|cq)\.(head|tail)$/.test(name));
  expect(rules.length).toBeGreaterThan(15);
  expect(Object.keys(RULES)).toEqual(expect.arrayContaining(rules));
  const rows = all(/^\| (`[A-Za-z]+(?:\([a-z, ]*\))?`.*?) \|/gm).flatMap((cell) => [...cell.matchAll(/`([A-Za-z]+)/g)].map(([, name = ""]) => name));
  expect(rows.length).toBeGreaterThan(10);
  expect(Object.keys(ringspec)).toEqual(expect.arrayContaining(rows.filter((name) => name !== "ringspec")));
});

test("the example prints the completion that its comment shows", () => {
  const example = /```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? "";
  const said = /\/\/ (\{ userData.*\})/.exec(example)?.[1] ?? "";
  const scratch = mkdtempSync(join(tmpdir(), "ringspec-readme-"));
  try {
    const index = pathToFileURL(join(packageRoot, "dist/src/index.js")).href;
    writeFileSync(join(scratch, "example.mjs"), example.replace('from "ringspec"', `from ${JSON.stringify(index)}`));
    // The comment writes the number as the example does.
    expect(run(join(scratch, "example.mjs"))).toBe(`${said.replace("0xaaaan", `${0xaaaan}n`)}\n`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
});
