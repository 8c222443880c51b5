// Emits the page of the numbered contradictions, and says which number has no rule, or no rule that was tried.
import type { Spec } from "../../src/spec/load.ts";
import { CONTRADICTIONS_MAX, type RuleRecord } from "../../src/spec/schema.ts";
import { type Coverage, shownBy } from "./coverage.ts";
import { BANNER, cell } from "./text.ts";

const NUMBERS: readonly string[] = Array.from({ length: CONTRADICTIONS_MAX }, (_, i) => `X${i + 1}`);

const rulesOf = (spec: Spec, number: string): readonly RuleRecord[] => spec.rules.filter(({ contradicts }) => contradicts?.number === number);

/** What is missing, a line each: a number without a rule, and one of whose rules each says nothing of where it was seen. */
export function contradictionFaults(spec: Spec, coverage: Coverage): string[] {
  const faults: string[] = [];
  for (const number of NUMBERS) {
    const rules = rulesOf(spec, number);
    if (rules.length === 0) faults.push(`${number}: no rule has the kernel's side; add "contradicts": { "number": "${number}", ... } to one in spec/rule/`);
    for (const { id, untried } of rules) {
      if (!coverage.tests.has(id) && untried === undefined) faults.push(`${number}: no test shows ${id} on both kernels, and no "untried" says why`);
    }
  }
  return faults;
}

function row(rule: RuleRecord, label: string, coverage: Coverage): string {
  const { pages, says } = rule.contradicts ?? { pages: [], says: "" };
  return `| ${label} | ${cell(pages.join("; "))} | ${cell(says)} | ${cell(rule.text)} | \`${rule.id}\` | ${cell(shownBy(rule, coverage))} |`;
}

export function emitContradictionsPage(spec: Spec, coverage: Coverage): string {
  const numbered = NUMBERS.flatMap((number) => rulesOf(spec, number).map((rule) => row(rule, number, coverage)));
  const others = spec.rules.filter(({ contradicts }) => contradicts !== undefined && contradicts.number === undefined);
  const head = (first: string): string[] => [
    `| ${first} | man page | says | the kernel | rule | shown on both kernels |`,
    "|---|---|---|---|---|---|",
  ];
  return [
    `<!-- ${BANNER} -->`,
    "",
    "# Where the man pages contradict the kernel",
    "",
    "Of each the page and section, what it says, and the rule that has the kernel's side, with the test that showed it. Man pages are",
    "those of liburing; kernels are those that the rule holds for, and the tests ran on 6.18. Where one number has several rules, each",
    "has a part of it. Sources of a rule: [rules.md](rules.md).",
    "",
    ...head("no."),
    ...numbered,
    "",
    "Found on the way, and not numbered:",
    "",
    ...head(""),
    ...others.map((rule) => row(rule, "", coverage)),
    "",
  ].join("\n");
}
