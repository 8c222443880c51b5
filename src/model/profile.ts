// Kernel releases as data: what a kernel of that release has, and which rules it obeys, both as spec/ tells by
// `since` and `until`. The model runs as one of them; the differential tests take theirs from a probe of the
// running kernel instead.
import type { KernelProfile } from "../kernel.ts";
import { FEATURES, REGISTER_OPCODES, SETUP_FLAGS, type NamedValue } from "../spec/constants.gen.ts";
import { OPS } from "../spec/ops.gen.ts";
import { RULES, type RuleId } from "../spec/rules.gen.ts";

export type Version = readonly [number, number];

const releases = new Map<string, readonly number[]>();

/** Is something that came with release `since` in a kernel of this version? */
export function has(version: Version, since: string): boolean {
  let first = releases.get(since);
  if (first === undefined) releases.set(since, (first = since.split(".").map(Number)));
  const [major = 0, minor = 0] = first;
  return version[0] > major || (version[0] === major && version[1] >= minor);
}

/** Those of these flags that a kernel of this version has. */
export const flagBits = (version: Version, table: readonly NamedValue[]): number =>
  table.reduce((all, { value, since }) => (has(version, since) ? (all | value) >>> 0 : all), 0);

/** What was asked of a version before: every enter and every SQE asks again. By identity: copies of a profile share it. */
const knownFlags = new WeakMap<Version, Map<readonly NamedValue[], number>>();
const obeyed = new WeakMap<Version, Map<RuleId, boolean>>();

function remembered<K, V>(all: WeakMap<Version, Map<K, V>>, version: Version, key: K, of: () => V): V {
  let own = all.get(version);
  if (own === undefined) all.set(version, (own = new Map()));
  let value = own.get(key);
  if (value === undefined) own.set(key, (value = of()));
  return value;
}

/** The bits of a group of flags, such as ENTER_FLAGS, that a kernel of this profile knows. */
export const flagsOf = ({ version }: KernelProfile, table: readonly NamedValue[]): number =>
  remembered(knownFlags, version, table, () => flagBits(version, table));

/** Does this rule hold for a kernel of this version? */
export function holds(version: Version, { since, until }: { readonly since: string; readonly until?: string | undefined }): boolean {
  const [major = 0, minor = 0] = (until ?? "").split(".").map(Number);
  return has(version, since) && (until === undefined || version[0] < major || (version[0] === major && version[1] <= minor));
}

/** The one question by which the model takes one of two ways: does a kernel of this profile obey the rule? */
export const obeys = ({ version }: KernelProfile, rule: RuleId): boolean => remembered(obeyed, version, rule, () => holds(version, RULES[rule]));

/** The profile of a release, by what the spec says came when. */
export function profileOf(major: number, minor: number): KernelProfile {
  const version = [major, minor] as const;
  return {
    release: `${major}.${minor}`,
    version,
    features: flagBits(version, FEATURES),
    setupFlags: flagBits(version, SETUP_FLAGS),
    opcodes: OPS.filter((op) => has(version, op.since)).map((op) => op.number),
    file: { readInline: true, writeInline: false },
  };
}

export const PROFILE_6_18: KernelProfile = profileOf(6, 18);

/**
 * Releases that the model can be. What they have (flags, features, opcodes), and the rules that `obeys` asks for, are
 * those of the release, written from sources; all else is as on 6.18, the only one compared with a running kernel.
 */
export const PROFILES: Readonly<Record<"5.10" | "5.15" | "6.1" | "6.6" | "6.12" | "6.18", KernelProfile>> = {
  "5.10": profileOf(5, 10),
  "5.15": profileOf(5, 15),
  "6.1": profileOf(6, 1),
  "6.6": profileOf(6, 6),
  "6.12": profileOf(6, 12),
  "6.18": PROFILE_6_18,
};

/** Opcodes that io_uring_register knows. */
export const registerOpcodes = (profile: KernelProfile): number[] =>
  REGISTER_OPCODES.filter((r) => has(profile.version, r.since)).map((r) => r.value);

/** Does io_uring_register know this opcode? */
export function knowsRegister(profile: KernelProfile, opcode: number): boolean {
  return REGISTER_OPCODES.some((r) => r.value === opcode && has(profile.version, r.since));
}
