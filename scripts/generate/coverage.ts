// Which rules the model and the oracle cite, and which tests show which rule on both kernels: read from the
// sources, so that no list can lie about them.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Spec } from "../../src/spec/load.ts";
import type { RuleRecord } from "../../src/spec/schema.ts";
import { BANNER, quoted } from "./text.ts";

export interface Coverage {
  /** Rule ids that the model's or the oracle's code cites. */
  readonly cited: ReadonlySet<string>;
  /** Tests that ran on both kernels, by rule: "test/integration/rule/nop.test.ts". */
  readonly tests: ReadonlyMap<string, readonly string[]>;
}

export const RULE_TESTS = "test/integration/rule";
const MODEL = ["src/model", "src/oracle"];

/** Rule ids in a source text: [chapter.name] in comments, and the strings that cite() is given. */
export function citations(source: string): string[] {
  const ids: string[] = [];
  for (const [comment] of source.matchAll(/\/\/.*$|\/\*[\s\S]*?\*\//gm)) {
    for (const [, id = ""] of comment.matchAll(/(?<![\w\])])\[([a-z][a-z-]*\.[a-z0-9-]+)\]/g)) ids.push(id);
  }
  for (const [, args = ""] of source.matchAll(/\bcite\(([^)]*)\)/g)) {
    for (const [, id = ""] of args.matchAll(/["']([^"']*)["']/g)) ids.push(id);
  }
  return ids;
}

/** Rule ids that the titles of tests begin with: onBoth("[a.b] [c.d] what it shows", ...). */
export function titles(source: string): string[] {
  const ids: string[] = [];
  for (const [, brackets = ""] of source.matchAll(/\bonBoth\(\s*"((?:\[[^\]]*\] ?)*)/g)) {
    for (const [, id = ""] of brackets.matchAll(/\[([^\]]*)\]/g)) ids.push(id);
  }
  return ids;
}

function sources(root: string, folder: string): { readonly path: string; readonly text: string }[] {
  const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts")).toSorted();
  return names.map((name) => ({ path: `${folder}/${name.replaceAll("\\", "/")}`, text: readFileSync(join(root, folder, name), "utf8") }));
}

export function readCoverage(root: string): Coverage {
  const cited = new Set(MODEL.flatMap((folder) => sources(root, folder)).flatMap(({ text }) => citations(text)));
  const tests = new Map<string, readonly string[]>();
  for (const { path, text } of sources(root, RULE_TESTS))
    for (const id of new Set(titles(text))) tests.set(id, [...(tests.get(id) ?? []), path]);
  return { cited, tests };
}

/** What is wrong with it, a line each: unknown ids, and rules that bind and are neither covered nor excused. */
export function coverageFaults(spec: Spec, coverage: Coverage): string[] {
  const known = new Set(spec.rules.map(({ id }) => id));
  const faults: string[] = [];
  for (const id of coverage.cited) if (!known.has(id)) faults.push(`${id}: cited by the model or the oracle, and no rule; add it to spec/rule/, or fix the id`);
  for (const [id, files] of coverage.tests) if (!known.has(id)) faults.push(`${id}: named by a test in ${files.join(", ")}, and no rule; add it to spec/rule/, or fix the title`);
  for (const rule of spec.rules) {
    const shown = coverage.tests.has(rule.id);
    if (rule.force !== "must" || rule.until !== undefined) continue;
    if (rule.untried !== undefined && shown) faults.push(`${rule.id}: "untried" says why no test shows it, and ${coverage.tests.get(rule.id)?.join(", ")} does; drop one`);
    if (rule.untried !== undefined) continue;
    if (!coverage.cited.has(rule.id)) faults.push(`${rule.id}: a must that no line of src/model or src/oracle cites; write [${rule.id}] where it is obeyed`);
    if (!shown) faults.push(`${rule.id}: a must that no test shows on both kernels; add onBoth("[${rule.id}] ...") to ${RULE_TESTS}/, or say why not in "untried"`);
  }
  return faults;
}

/** Where a reader of docs/reference/ can see it happen. */
export function shownBy(rule: RuleRecord, coverage: Coverage): string {
  const tests = coverage.tests.get(rule.id) ?? [];
  if (tests.length > 0) return tests.map((path) => `[${path.replace(/^.*\/|\.test\.ts$/g, "")}](../../${path})`).join(", ");
  return rule.untried === undefined ? "" : `not tried: ${rule.untried}`;
}

export function emitCoverageFile(spec: Spec, coverage: Coverage): string {
  const row = (id: string): string => {
    const tests = coverage.tests.get(id) ?? [];
    return `  ${quoted(id)}: { model: ${coverage.cited.has(id)}, tests: [${tests.map(quoted).join(", ")}] },`;
  };
  return [
    `// ${BANNER}`,
    "// Where each rule is obeyed and shown: does the model cite it, and which tests ran it on both kernels?",
    'import type { RuleId } from "./rules.gen.ts";',
    "",
    "export interface RuleCoverage {",
    "  readonly model: boolean;",
    "  readonly tests: readonly string[];",
    "}",
    "",
    "export const COVERAGE: Readonly<Record<RuleId, RuleCoverage>> = {",
    ...spec.rules.map(({ id }) => row(id)),
    "};",
    "",
  ].join("\n");
}
