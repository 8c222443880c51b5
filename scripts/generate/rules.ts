// Emits the rules of spec/rule/: as a table for code, and as the reference page for readers.

import type { Spec } from "../../src/spec/load.ts";
import { SHOWS, type RuleFileRecord, type RuleRecord } from "../../src/spec/schema.ts";
import { type Coverage, shownBy } from "./coverage.ts";
import { BANNER, cell, quoted } from "./text.ts";

function row({ id, force, since, until, text, shows }: RuleRecord): string {
  const parts = [`force: ${quoted(force)}`, `since: ${quoted(since)}`];
  if (until !== undefined) parts.push(`until: ${quoted(until)}`);
  parts.push(`shows: [${shows.map(quoted).join(", ")}]`, `text: ${quoted(text)}`);
  return `  ${quoted(id)}: { ${parts.join(", ")} },`;
}

export function emitRulesFile(spec: Spec): string {
  return [
    `// ${BANNER}`,
    "// The rules of spec/rule/ by id; sources and contradictions are in the data and in docs/reference/rules.md.",
    "",
    "/** Where a kernel that breaks a rule is seen to. */",
    `export type Shows = ${SHOWS.map(quoted).join(" | ")};`,
    "",
    "export interface Rule {",
    "  /** must: every kernel of these releases. may: what a free kernel is known to choose. unspecified: nothing is promised. */",
    '  readonly force: "must" | "may" | "unspecified";',
    "  /** One sentence. */",
    "  readonly text: string;",
    "  /** Where a breach is seen first. */",
    "  readonly shows: readonly Shows[];",
    "  /** The first release that it is known to hold for. */",
    "  readonly since: string;",
    "  /** The last one. Without it the rule still holds. */",
    "  readonly until?: string;",
    "}",
    "",
    "const TABLE = {",
    ...spec.rules.map(row),
    "} as const satisfies Readonly<Record<string, Rule>>;",
    "",
    "export type RuleId = keyof typeof TABLE;",
    "",
    "/** By id: a RuleId gives a rule, any other string perhaps none. */",
    "export const RULES: Readonly<Record<RuleId, Rule>> & Readonly<Record<string, Rule>> = TABLE;",
    "",
  ].join("\n");
}

function tableRow(rule: RuleRecord, coverage: Coverage): string {
  const note = rule.contradicts === undefined ? "" : ` *${rule.contradicts.pages.join("; ")}:* ${rule.contradicts.says}`;
  const releases = rule.until === undefined ? rule.since : `${rule.since} to ${rule.until}`;
  return `| \`${rule.id}\` | ${rule.force} | ${cell(rule.text + note)} | ${cell(rule.sources.join("; "))} | ${releases} | ${cell(shownBy(rule, coverage))} |`;
}

function section({ title, kernel, chapter, rules }: RuleFileRecord, coverage: Coverage): string[] {
  return [
    `## ${chapter}: ${title}`,
    "",
    `Kernel functions are those of ${kernel}.`,
    "",
    "| rule | force | text | sources | since | shown on both kernels |",
    "|---|---|---|---|---|---|",
    ...rules.map((rule) => tableRow(rule, coverage)),
    "",
  ];
}

export function emitRulesPage(spec: Spec, coverage: Coverage): string {
  const contradictions = spec.rules.filter(({ contradicts }) => contradicts !== undefined).length;
  return [
    `<!-- ${BANNER} -->`,
    "",
    "# The rules",
    "",
    `${spec.rules.length} rules in ${spec.chapters.length} chapters. The model cites them by id, and so does every verdict of the oracle.`,
    "",
    "- **must**: every kernel of these releases does this; one that does not is at fault.",
    "- **may**: the kernel is free here. This is what it is known to choose; a profile may hold a verified kernel to it.",
    "- **unspecified**: nothing is promised, and nothing is held against a kernel.",
    "",
    "*Since* is the first release that a rule is known to hold for: for what no man page states it may be later than",
    `the first that has it. ${contradictions} rules note where a man page says otherwise: [contradictions.md](contradictions.md).`,
    "",
    ...spec.chapters.flatMap((chapter) => section(chapter, coverage)),
  ].join("\n");
}
