// Bounded campaigns: every program of up to so many operations of an alphabet is explored to its end, and what all of
// them together came by is counted: states, outcomes, rules of the model (by a copy whose citations run) and
// alternatives of its choice points. Writes docs/reports/bounded.md and ends with one JSON object; exits with 1 where an
// invariant is broken or a program was not explored to its end.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { DEFAULT_WORDS, WORDS, type Bounded, type Word } from "../../src/oracle/explore/bounded.ts";
import type { Reached } from "../../src/oracle/explore/chooser.ts";
import type { Program } from "../../src/program/program.ts";
import { specRoot } from "../../src/spec/load.ts";
import { RULES } from "../../src/spec/rules.gen.ts";

const LENGTH_MAX = 4;
/** More states than any of these programs has. */
const STATES_MAX = 200_000;

interface Campaign {
  readonly name: string;
  readonly words: readonly Word[];
  readonly length: number;
  readonly ring: Program["ring"];
}

const plain: Program["ring"] = { entries: 8, flags: [] };
const CAMPAIGNS: readonly Campaign[] = [
  { name: "workers, pipes, timers and cancels", words: DEFAULT_WORDS, length: 4, ring: plain },
  { name: "chains and drains", words: ["nop", "nop-link", "nop-drain", "nop-async-link", "nop-async-skip", "submit"], length: 3, ring: plain },
  { name: "timers and what ends them", words: ["nop-async", "timeout", "timeout-count", "timeout-link", "link-timeout", "timeout-remove", "read-pipe-link"], length: 3, ring: plain },
  { name: "the same as the first, with deferred task work", words: DEFAULT_WORDS, length: 3, ring: { entries: 8, flags: ["DEFER_TASKRUN", "SINGLE_ISSUER"] } },
  { name: "the same, and a CQ of two", words: ["nop", "nop-async", "nop-link", "poll-pipe", "write-pipe", "submit", "reap"], length: 4, ring: { entries: 2, flags: ["CQSIZE"], cqEntries: 2 } },
  { name: "a thread that polls", words: ["nop", "nop-link", "nop-async", "submit", "reap"], length: 3, ring: { entries: 2, flags: ["SQPOLL"], sqThreadIdle: 1000 } },
  { name: "every word", words: WORDS, length: 2, ring: plain },
];

interface Done {
  readonly campaign: Campaign;
  readonly found: Bounded;
  readonly rules: number;
  readonly seconds: number;
}

const musts = Object.entries(RULES).filter(([, rule]) => rule.force === "must" && rule.until === undefined).map(([id]) => id);

async function run(longest: number): Promise<{ readonly done: readonly Done[]; readonly rules: ReadonlySet<string>; readonly choices: { readonly taken: number; readonly of: number; readonly never: readonly string[] } }> {
  const part = async (name: string): Promise<unknown> => import(new URL(`../../cited/${name}`, import.meta.url).href);
  const { exploreAll, coverage, merge } = (await part("oracle/explore/bounded.js")) as typeof import("../../src/oracle/explore/bounded.ts");
  const { cited } = (await part("model/cite.js")) as { readonly cited: Map<string, unknown> };
  const profile = { ...PROFILE_6_18, file: { readInline: undefined, writeInline: undefined } };
  const all = new Set<string>();
  const reached: Reached = new Map();
  const done: Done[] = [];
  for (const campaign of CAMPAIGNS) {
    cited.clear();
    const begun = performance.now();
    const found = exploreAll({ profile, statesMax: STATES_MAX, words: campaign.words, length: Math.min(campaign.length, longest), ring: campaign.ring });
    for (const id of cited.keys()) all.add(id);
    merge(reached, found.reached);
    done.push({ campaign: { ...campaign, length: Math.min(campaign.length, longest) }, found, rules: cited.size, seconds: (performance.now() - begun) / 1000 });
    console.error(`${campaign.name}: ${found.programs} programs, ${found.states} states, ${((performance.now() - begun) / 1000).toFixed(1)} s`);
  }
  return { done, rules: all, choices: coverage(reached) };
}

function report({ done, rules, choices }: Awaited<ReturnType<typeof run>>): string {
  const sum = (of: (f: Bounded) => number): number => done.reduce((total, { found }) => total + of(found), 0);
  const row = (cells: readonly (string | number)[]): string => `| ${cells.join(" | ")} |`;
  const broken = done.flatMap(({ campaign, found }) => found.breaches.map(({ words, breach }) => `- ${campaign.name}: ${words.join(", ")}: ${breach.invariant} (${breach.found})`));
  const cut = done.flatMap(({ campaign, found }) => found.incomplete.map((words) => `- ${campaign.name}: ${words.join(", ")}`));
  const reachedMusts = musts.filter((id) => rules.has(id)).length;
  return `${[
    "# Every small program",
    "",
    "Written by `npm run bench:bounded`; do not edit.",
    "",
    "Each campaign explores every program of up to so many words of its alphabet (`src/oracle/explore/bounded.ts` says what the words",
    "are), in every order and with every choice of the kernel, and checks each invariant in each state. Rules are those that the model",
    "came by, choices the alternatives of its choice points that were taken.",
    "",
    `${sum((f) => f.programs)} programs, ${sum((f) => f.states)} states, come to ${sum((f) => f.visits)} times. **${sum((f) => f.breaches.length)} invariants broken, ${sum((f) => f.incomplete.length)} programs not explored to their end.**`,
    `Together they came by ${rules.size} rules, ${reachedMusts} of ${musts.length} musts, and took ${choices.taken} of ${choices.of} alternatives.`,
    "",
    row(["campaign", "words", "up to", "programs", "states", "outcomes", "with one outcome only", "most outcomes", "rules", "seconds"]),
    `|${"---|".repeat(10)}`,
    ...done.map(({ campaign: c, found: f, rules: count, seconds }) =>
      row([c.name, c.words.length, c.length, f.programs, f.states, f.outcomes, f.determined, `${f.most.outcomes}: ${f.most.words.join(", ")}`, count, seconds.toFixed(0)])),
    "",
    "## Alternatives that no program took",
    "",
    ...choices.never.map((name) => `- ${name}`),
    "",
    "## Invariants that were broken",
    "",
    ...(broken.length === 0 ? ["None."] : broken),
    "",
    "## Not explored to the end",
    "",
    ...(cut.length === 0 ? ["None."] : cut),
  ].join("\n")}\n`;
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { length: { type: "string", default: `${LENGTH_MAX}` } } });
  const longest = Number(values.length);
  if (!Number.isInteger(longest) || longest < 1 || longest > LENGTH_MAX) {
    console.error(`bounded: expected --length to be a whole number from 1 to ${LENGTH_MAX}, got ${values.length}; for example: npm run bench:bounded -- --length 3`);
    return 2;
  }
  const all = await run(longest);
  if (longest === LENGTH_MAX) writeFileSync(join(specRoot(), "docs", "reports", "bounded.md"), report(all));
  const breaches = all.done.reduce((total, { found }) => total + found.breaches.length, 0);
  const incomplete = all.done.reduce((total, { found }) => total + found.incomplete.length, 0);
  console.log(JSON.stringify({
    length: longest, programs: all.done.reduce((total, { found }) => total + found.programs, 0), states: all.done.reduce((total, { found }) => total + found.states, 0),
    rules: all.rules.size, musts: musts.filter((id) => all.rules.has(id)).length, mustsOf: musts.length, taken: all.choices.taken, of: all.choices.of, breaches, incomplete,
    perCampaign: all.done.map(({ campaign, found, rules, seconds }) => ({ name: campaign.name, length: campaign.length, programs: found.programs, states: found.states, outcomes: found.outcomes, rules, seconds })),
  }));
  return breaches + incomplete === 0 ? 0 : 1;
}

process.exitCode = await main();
