// `ringspec spec`: looks up the specification from the terminal, and says how much of it is covered.
import process from "node:process";
import { has, holds, PROFILE_6_18, PROFILES } from "../model/profile.ts";
import { probeReal } from "../real/probe.ts";
import { COVERAGE } from "../spec/coverage.gen.ts";
import { compareSince, loadSpec, type Constant, type Spec } from "../spec/load.ts";
import type { OpSourceRecord, RuleRecord } from "../spec/schema.ts";
import { EXIT, UsageError } from "./exit-code.ts";
import { PROFILE_DEFAULT, type ProfileName } from "./trace-file.ts";

export interface SpecOptions {
  readonly stats?: boolean;
  /** Of this release: what it knows, and the rules that it obeys. */
  readonly profile?: ProfileName;
  readonly json?: boolean;
}

export interface SpecStats {
  readonly kernel: string;
  readonly rules: number;
  /** Those of a force that hold for the kernel. */
  readonly must: number;
  readonly may: number;
  readonly unspecified: number;
  readonly mustCitedByModel: number;
  readonly mustTestedOnBoth: number;
  /** Rules by chapter. */
  readonly chapters: Readonly<Record<string, number>>;
  /** Rules that must hold for the kernel, and that no test shows on both. */
  readonly uncovered: readonly { readonly id: string; readonly why: string }[];
}

/** The exit code: 2 where a term finds nothing. */
export function spec(term: string | undefined, options: SpecOptions): number {
  const all = options.profile === undefined ? loadSpec() : asOf(loadSpec(), options.profile);
  if (options.stats === true) {
    if (term !== undefined) throw new UsageError(`spec: expected either a term or --stats, got "${term}" and --stats`);
    const stats = statsOf(all, options.profile ?? runningRelease());
    print(options, stats, statsText(stats));
    return EXIT.agree;
  }
  if (term === undefined) {
    if (options.profile === undefined) print(options, chaptersOf(all), chaptersText(all));
    else print(options, releaseOf(all, options.profile), releaseText(all, options.profile));
    return EXIT.agree;
  }
  const found = lookUp(all, term);
  if (found.rules.length + found.opcodes.length + found.constants.length === 0)
    throw new UsageError(`spec: nothing${options.profile === undefined ? "" : ` that Linux ${options.profile} has`} is called or says "${term}"; expected a rule id, a chapter, an opcode, a flag, an errno, or a word of a rule; the chapters: ringspec spec`);
  print(options, found, foundText(found));
  return EXIT.agree;
}

/** The specification as far as a release has it. */
function asOf(whole: Spec, name: ProfileName): Spec {
  const { version } = PROFILES[name];
  const held = (rule: RuleRecord): boolean => holds(version, rule);
  return {
    ...whole,
    rules: whole.rules.filter(held),
    chapters: whole.chapters.map((chapter) => ({ ...chapter, rules: chapter.rules.filter(held) })).filter(({ rules }) => rules.length > 0),
    ops: whole.ops.filter(({ since }) => has(version, since)),
    groups: whole.groups.map((group) => ({ ...group, constants: group.constants.filter(({ since }) => has(version, since)) })),
  };
}

const SHOWN = ["SETUP_FLAGS", "FEATURES", "ENTER_FLAGS", "SQE_FLAGS", "OPCODES", "REGISTER_OPCODES"] as const;
const namesOf = ({ groups }: Spec, wanted: string): string[] => groups.find(({ name }) => name === wanted)?.constants.map(({ name }) => name) ?? [];

interface ReleaseView {
  readonly profile: ProfileName;
  readonly verified: boolean;
  readonly rules: number;
  /** Rules that this release obeys and the verified one does not. */
  readonly before: readonly { readonly id: string; readonly text: string }[];
  readonly has: Readonly<Record<string, readonly string[]>>;
}

function releaseOf(all: Spec, profile: ProfileName): ReleaseView {
  const before = all.rules.filter((rule) => !holds(PROFILES[PROFILE_DEFAULT].version, rule)).map(({ id, text }) => ({ id, text }));
  return { profile, verified: profile === PROFILE_DEFAULT, rules: all.rules.length, before, has: Object.fromEntries(SHOWN.map((group) => [group, namesOf(all, group)])) };
}

function releaseText(all: Spec, name: ProfileName): string {
  const { rules, before, has: known, verified } = releaseOf(all, name);
  const lines = [
    `Linux ${name}, ${verified ? "verified on a running kernel" : "not verified: written from sources"}; ${rules} rules hold for it.`,
    ...Object.entries(known).map(([group, names]) => `  ${group.toLowerCase().replace("_", " ").padEnd(18)} ${names.map((one) => one.replace(/^IORING_(SETUP|FEAT|ENTER|OP|REGISTER)_|^IOSQE_/, "")).join(" ")}`),
    ...(before.length === 0 ? [] : [`Obeyed by it, and not by ${PROFILE_DEFAULT}:`, ...before.map(({ id, text }) => `  ${id}\n    ${text}`)]),
    `Look one up: ringspec spec overflow --profile ${name}`,
  ];
  return `${lines.join("\n")}\n`;
}

function print(options: SpecOptions, json: unknown, text: string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(json)}\n` : text);
}

/** "6.18" of the kernel that is running; where that has no io_uring, of the model's profile. */
function runningRelease(): string {
  const probe = probeReal();
  const [, release] = /^(\d+\.\d+)/.exec(probe.available ? probe.kernel.replace(/^Linux /, "") : PROFILE_6_18.release) ?? [];
  return release ?? "6.18";
}

export function statsOf({ rules, chapters }: Spec, release: string): SpecStats {
  const holding = rules.filter(({ since, until }) => compareSince(since, release) <= 0 && (until === undefined || compareSince(until, release) >= 0));
  const of = (force: RuleRecord["force"]): RuleRecord[] => holding.filter((rule) => rule.force === force);
  const must = of("must");
  const coverage = ({ id }: RuleRecord): { readonly model: boolean; readonly tests: readonly string[] } | undefined => new Map(Object.entries(COVERAGE)).get(id);
  const untested = must.filter((rule) => (coverage(rule)?.tests.length ?? 0) === 0);
  return {
    kernel: release,
    rules: rules.length,
    must: must.length,
    may: of("may").length,
    unspecified: of("unspecified").length,
    mustCitedByModel: must.filter((rule) => coverage(rule)?.model === true).length,
    mustTestedOnBoth: must.length - untested.length,
    chapters: Object.fromEntries(chapters.map(({ chapter, rules: own }) => [chapter, own.length])),
    uncovered: untested.map(({ id, untried }) => ({ id, why: untried ?? "no test yet" })),
  };
}

function statsText(stats: SpecStats): string {
  const lines = [
    `rules             ${stats.rules}`,
    `for Linux ${stats.kernel.padEnd(8)}${stats.must} must, ${stats.may} may, ${stats.unspecified} unspecified`,
    `must              ${stats.mustCitedByModel} cited by the model, ${stats.mustTestedOnBoth} shown by a test on both kernels`,
    `chapters          ${Object.entries(stats.chapters).map(([name, count]) => `${name} ${count}`).join(", ")}`,
    `not covered       ${stats.uncovered.length}`,
    ...stats.uncovered.map(({ id, why }) => `  ${id.padEnd(34)} ${why}`),
  ];
  return `${lines.join("\n")}\n`;
}

const chaptersOf = ({ chapters }: Spec): unknown => chapters.map(({ chapter, title, rules }) => ({ chapter, title, rules: rules.length }));

function chaptersText({ chapters, rules }: Spec): string {
  const lines = chapters.map(({ chapter, title, rules: own }) => `  ${chapter.padEnd(12)} ${String(own.length).padStart(3)}  ${title}`);
  return `${rules.length} rules in ${chapters.length} chapters:\n${lines.join("\n")}\nLook one up: ringspec spec cq, ringspec spec cq.head-lies, ringspec spec overflow\n`;
}

interface Found {
  readonly rules: readonly RuleRecord[];
  readonly opcodes: readonly OpSourceRecord[];
  readonly constants: readonly { readonly name: string; readonly value: number; readonly group: string; readonly since: string }[];
}

/** The exact name where there is one; else all names that contain the term; rules also by the words of their text. */
export function lookUp({ rules, ops, groups, chapters }: Spec, term: string): Found {
  const wanted = term.toLowerCase();
  const bare = (name: string): string => name.toLowerCase().replace(/^ioring_(op_|setup_|enter_|feat_|register_)?/, "");
  const named = <T>(all: readonly T[], nameOf: (one: T) => string): T[] => {
    const exact = all.filter((one) => nameOf(one).toLowerCase() === wanted || bare(nameOf(one)) === bare(wanted));
    return exact.length > 0 ? exact : all.filter((one) => nameOf(one).toLowerCase().includes(wanted));
  };
  const rule = rules.filter(({ id }) => id === wanted);
  if (rule.length > 0) return { rules: rule, opcodes: [], constants: [] };
  const chapter = chapters.find((each) => each.chapter === wanted);
  if (chapter !== undefined) return { rules: chapter.rules, opcodes: [], constants: [] };
  const constants = groups.flatMap(({ name: group, constants: own }) => own.map(({ name, value, since }: Constant) => ({ name, value: Number(value), group, since })));
  const opcodes = named(ops, ({ opcode }) => opcode);
  const wordOf = bare(wanted);
  return {
    rules: rules.filter(({ id, text }) => [wanted, wordOf].some((word) => id.includes(word) || text.toLowerCase().includes(word))),
    opcodes,
    constants: named(constants, ({ name }) => name),
  };
}

function foundText({ rules, opcodes, constants }: Found): string {
  const parts = [
    ...opcodes.map(opcodeText),
    constants.map(({ name, value, group, since }) => `${name} = ${value < 0 ? value : `${value} (0x${value.toString(16)})`}  ${group}, since ${since}\n`).join(""),
    ...(rules.length > 1 ? [rules.map(({ id, force, text }) => `${id} (${force})\n  ${text}\n`).join("")] : rules.map(ruleText)),
  ];
  return parts.filter((part) => part !== "").join("\n");
}

function opcodeText(op: OpSourceRecord): string {
  return [
    `${op.opcode} (${op.number}), since ${op.since}: ${op.summary}`,
    `  fields    ${[...op.fields.required, ...op.fields.optional.map((name) => `[${name}]`)].join(" ")}`,
    `  result    ${op.results.join("; ")}`,
    ...op.errors.map(({ errno, when }) => `  -${errno.padEnd(10)} ${when}`),
    `  sources   ${op.sources.join("; ")}`,
    `  model     ${op.modelled ? "executes it" : "says unmodelled"}`,
    "",
  ].join("\n");
}

function ruleText(rule: RuleRecord): string {
  const coverage = new Map(Object.entries(COVERAGE)).get(rule.id);
  return [
    `${rule.id} (${rule.force}), ${rule.until === undefined ? `since ${rule.since}` : `${rule.since} to ${rule.until}`}`,
    `  ${rule.text}`,
    ...(rule.contradicts === undefined ? [] : [`  man page  ${rule.contradicts.pages.join("; ")}: ${rule.contradicts.says}`]),
    `  sources   ${rule.sources.join("; ")}`,
    `  model     ${coverage?.model === true ? "cites it" : "does not cite it"}`,
    `  shown by  ${(coverage?.tests ?? []).join(", ") || (rule.untried === undefined ? "no test on both kernels" : `no test: ${rule.untried}`)}`,
    "",
  ].join("\n");
}
