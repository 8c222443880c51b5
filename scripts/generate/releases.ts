// Emits the page of the releases that the model can be: what each has, and which rules each obeys that others do not.
import { PROFILES, has, holds } from "../../src/model/profile.ts";
import type { Group, Spec } from "../../src/spec/load.ts";
import { compareSince } from "../../src/spec/load.ts";
import type { RuleRecord } from "../../src/spec/schema.ts";
import type { Coverage } from "./coverage.ts";
import { BANNER, cell } from "./text.ts";

const NAMES = Object.keys(PROFILES) as (keyof typeof PROFILES)[]; // they are its own
type Name = (typeof NAMES)[number];

/** The only release whose profile was compared with a running kernel. */
const VERIFIED: Name = "6.18";
const OLDEST: Name = "5.10";

const short = (name: string): string => name.replace(/^IORING_(SETUP_|FEAT_|ENTER_|REGISTER_|OP_)?|^IOSQE_/, "");
const code = (names: readonly string[]): string => (names.length === 0 ? "" : names.map((name) => `\`${short(name)}\``).join(" "));
const within = (name: Name, since: string): boolean => has(PROFILES[name].version, since);

/** What came with a release: not in the profile before it, or for the oldest all that it has. */
function news(spec: Spec, group: string, name: Name): string[] {
  const before = NAMES[NAMES.indexOf(name) - 1];
  const { constants }: Pick<Group, "constants"> = spec.groups.find((one) => one.name === group) ?? { constants: [] };
  return constants.filter(({ since }) => within(name, since) && (before === undefined || !within(before, since))).map((one) => one.name);
}

const GROUPS = [
  ["setup flags", "SETUP_FLAGS"], ["features", "FEATURES"], ["enter flags", "ENTER_FLAGS"], ["SQE flags", "SQE_FLAGS"], ["opcodes", "OPCODES"],
  ["register opcodes", "REGISTER_OPCODES"], ["cancel flags", "CANCEL_FLAGS"], ["timeout flags", "TIMEOUT_FLAGS"], ["poll flags", "POLL_FLAGS"],
  ["NOP flags", "NOP_FLAGS"], ["MSG_RING flags", "MSG_RING_FLAGS"],
] as const;

function section(spec: Spec, coverage: Coverage, name: Name): string[] {
  const { version } = PROFILES[name];
  const ended = spec.rules.filter((rule) => rule.until !== undefined && holds(version, rule) && !holds(PROFILES[VERIFIED].version, rule));
  const row = (rule: RuleRecord): string =>
    `| \`${rule.id}\` | ${cell(rule.text)} | to ${rule.until ?? ""} | ${cell(rule.sources.join("; "))} | ${coverage.cited.has(rule.id) ? "does" : "does not"} |`;
  return [
    `## ${name}`,
    "",
    name === VERIFIED ? "**Verified**: compared with a running kernel, rule by rule and by campaigns." : "**Not verified**: written from sources.",
    "",
    name === OLDEST ? "It has:" : "New in it, since the profile before:",
    "",
    ...GROUPS.map(([title, group]) => [title, code(news(spec, group, name))] as const).filter(([, names]) => names !== "").map(([title, names]) => `- ${title}: ${names}`),
    "",
    ...(ended.length === 0
      ? []
      : [`Rules that it obeys and ${VERIFIED} does not:`, "", "| rule | text | known | sources | the model |", "|---|---|---|---|---|", ...ended.map(row), ""]),
  ];
}

/** Rules that began later than the oldest profile and are not of something that came with them. */
function sinceTable(spec: Spec): string[] {
  const later = spec.rules.filter((rule) => rule.until === undefined && compareSince(rule.since, OLDEST) > 0);
  const row = (rule: RuleRecord): string =>
    `| \`${rule.id}\` | ${rule.since} | ${NAMES.map((name) => (holds(PROFILES[name].version, rule) ? "yes" : "")).join(" | ")} |`;
  return [
    `| rule | since | ${NAMES.join(" | ")} |`, `|---|---|${NAMES.map(() => "---|").join("")}`, ...later.map(row),
  ];
}

export function emitReleasesPage(spec: Spec, coverage: Coverage): string {
  return [
    `<!-- ${BANNER} -->`,
    "",
    "# Releases",
    "",
    `The model runs as one of ${NAMES.join(", ")}: \`createModelKernel({ profile: PROFILES["6.1"] })\`, \`ringspec check --profile 6.1\`,`,
    "`ringspec spec --profile 6.1`. A profile is the release as it came out. Updates of a stable series may carry more: 5.15.y and 6.1.y",
    "took over that a NOP checks its flags, 6.1.y two cancel flags and the check of FSYNC's offset, and 5.10.y later has the io_uring of 5.15.",
    "",
    `**Only ${VERIFIED} is verified.** The others are written from man pages ("Available since") and from the sources of 5.10.13, 5.15.y, 6.1.y`,
    "and 6.12.y (none of 6.6); nobody has compared them with such a kernel. What they have, flags, features and opcodes, the model refuses and accepts",
    `as the release does. Of how they do it the model does what the tables of each release say that it does, and all else as ${VERIFIED}.`,
    "",
    ...NAMES.flatMap((name) => section(spec, coverage, name)),
    "## Rules that are known from a later release on",
    "",
    `Most are of something that came with that release. For the rest the first release is the first that is known to obey it: a profile`,
    `before it runs on as ${VERIFIED} does, unless a table above has its own rule.`,
    "",
    ...sinceTable(spec),
    "",
  ].join("\n");
}
