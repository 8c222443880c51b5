// What the hunt for seeded bugs prints: a line for each, the sums, the page docs/reports/bugs.md, the JSON.
import { median, type Finding } from "../../test/bugs/hunt.ts";
import { ROWS } from "../../test/bugs/rows.ts";
import { cell } from "../generate/text.ts";

export const SMALL = 8;

const foundIn = ({ programs }: Finding): number => programs.filter((count) => count !== undefined).length;
const isFound = ({ medianPrograms }: Finding): boolean => medianPrograms !== undefined;
const operations = ({ shrunk }: Finding): number | undefined => shrunk?.ops.length;

export interface BugsResult {
  readonly bugs: number;
  readonly found: number;
  /** Median over bugs of the median over seeds. */
  readonly medianPrograms: number | undefined;
  readonly shrunkTo8OrFewer: number;
  readonly ruleRight: number;
  readonly perBug: readonly {
    readonly id: string; readonly half: string; readonly found: boolean; readonly seeds: number; readonly foundIn: number;
    readonly medianPrograms: number | undefined; readonly operations: number | undefined; readonly rules: readonly string[]; readonly named: readonly string[];
    readonly ruleRight: boolean;
  }[];
}

/** A bug counts as found where most seeds found it. */
export function jsonOf(findings: readonly Finding[]): BugsResult {
  return {
    bugs: findings.length,
    found: findings.filter(isFound).length,
    medianPrograms: median(findings.map(({ medianPrograms }) => medianPrograms)),
    shrunkTo8OrFewer: findings.filter((f) => (operations(f) ?? Infinity) <= SMALL).length,
    ruleRight: findings.filter(({ ruleRight }) => ruleRight).length,
    perBug: findings.map((f) => ({
      id: f.bug.id, half: f.bug.half, found: isFound(f), seeds: f.programs.length, foundIn: foundIn(f), medianPrograms: f.medianPrograms,
      operations: operations(f), rules: f.bug.rules, named: f.named, ruleRight: f.ruleRight,
    })),
  };
}

const ID_WIDTH = 36;
const shown = (value: number | undefined): string => (value === undefined ? "-" : String(value));

export function lineOf(found: Finding): string {
  const { bug, medianPrograms, named, programs, ruleRight } = found;
  const rule = found.shrunk === undefined ? "NOT FOUND" : named.length === 0 ? "no rule named" : `${ruleRight ? "right" : "other"}: ${named.slice(0, 3).join(" ")}`;
  return `${bug.id.padEnd(ID_WIDTH)} ${bug.half.padEnd(7)} ${`${foundIn(found)}/${programs.length}`.padStart(6)} ${shown(medianPrograms).padStart(7)} programs ${shown(operations(found)).padStart(4)} ops  ${rule}`;
}

export function summaryLines(findings: readonly Finding[]): string[] {
  const { bugs, found, medianPrograms, shrunkTo8OrFewer, ruleRight } = jsonOf(findings);
  return [
    "",
    `bugs             ${bugs}`,
    `found            ${found}`,
    `median programs  ${shown(medianPrograms)}`,
    `at most ${SMALL} ops    ${shrunkTo8OrFewer}`,
    `rule right       ${ruleRight}`,
  ];
}

/** What most seeds did not find, and what they found only after many programs: why. */
function seldom(findings: readonly Finding[]): string[] {
  const few = findings.filter((f) => !isFound(f) || foundIn(f) < f.programs.length || f.bug.rare !== undefined);
  if (few.length === 0) return ["None."];
  return few.map((f) => `- ${f.bug.id}: found by ${foundIn(f)} of ${f.programs.length} seeds${f.bug.rare === undefined ? "" : `; ${f.bug.rare}`}.`);
}

/** What the table does not say of itself. */
const CAVEATS: readonly string[] = [
  "## How to read this",
  "",
  "- The programs were changed twice, after hunts had missed bugs: user_data above 32 bits, a cq_entries that is not looked at, FSYNC on",
  "  eventfds and refused rings more often; then a wait that only a timer ends, and CQEs of 32 bytes among short ones more often. The numbers",
  "  above are from after that.",
  "- Two bugs of the driver were tried, not found, and taken out: a wait that asks for more than it needs (it only ends late, which is never",
  "  illegal), and -EBUSY of a wait handed on (the driver returns before it looks at it wherever the CQ is full). A third, a path without",
  "  its NUL, was made worse, for the memory behind a path was mostly zero already.",
  "- The laws of a driver name rules of their own choice, and the rules of several bugs of the driver were written down, or added to, after it",
  "  was seen which law they break: that the right rule is named says little there. A faulty kernel's rules come from the oracle.",
  "- Reasons for what is seldom found are read off the generator's weights; they were not measured.",
  "- Every bug was hunted on the model. The shims were not put around a real kernel.",
  "",
];

/** docs/reports/bugs.md */
export function reportOf(findings: readonly Finding[], drawn: { readonly seed: number; readonly seeds: number; readonly programs: number }): string {
  const { bugs, found, medianPrograms, shrunkTo8OrFewer, ruleRight } = jsonOf(findings);
  const row = (f: Finding): string =>
    `| ${f.bug.id} | ${cell(f.bug.title)} | ${f.bug.half} | ${f.bug.origin.join(", ")} | ${foundIn(f)}/${f.programs.length} | ${shown(f.medianPrograms)} | ${shown(operations(f))} | ` +
    `${f.named.length === 0 ? "none" : f.ruleRight ? f.bug.rules.find((rule) => f.named.includes(rule)) : `${f.named[0]} (not ${f.bug.rules[0]})`} |`;
  return `${[
    "# Seeded bugs",
    "",
    "Written by `npm run bench:bugs`; do not edit.",
    "",
    "Each bug is switched on by itself, and the programs of a campaign run against it, the same that `ringspec diff` draws from that seed:",
    "a faulty kernel (a patched copy of the model) and a shim (a decorated port around the model) are judged by the oracle as a kernel",
    "is; a faulty driver is used as the programs use a ring, its port is recorded and judged by the oracle, and the driver by laws",
    "(`test/bugs/driver/laws.ts`) that hold for any driver. Hostile programs are left out for drivers, which can't do what they do.",
    "A bug counts as found where most seeds found it; the rule is right where the verdict names one that the bug was made of.",
    "",
    `Seeds ${drawn.seed} to ${drawn.seed + drawn.seeds - 1}, at most ${drawn.programs} programs for each; ${bugs} bugs, ${found} found (by most seeds), median ${shown(medianPrograms)} programs,`,
    `${shrunkTo8OrFewer} shrunk to at most ${SMALL} operations, ${ruleRight} with the right rule named.`,
    "",
    "| bug | what is wrong | half | seen in | found by seeds | programs, median | operations, shrunk | rule named |",
    "|---|---|---|---|---|---|---|---|",
    ...findings.map(row),
    "",
    "## Not found, or by few seeds",
    "",
    ...seldom(findings),
    "",
    ...CAVEATS,
    "## Rows",
    "",
    "Each class of bug that was to be seeded, and the bugs that stand for it.",
    "",
    "| row | about | seeded as | left out |",
    "|---|---|---|---|",
    ...ROWS.map(({ row: name, about, not = "" }) => `| ${name} | ${about} | ${findings.filter(({ bug }) => bug.origin.includes(name)).map(({ bug }) => bug.id).join(", ") || "none"} | ${not} |`),
  ].join("\n")}\n`;
}
