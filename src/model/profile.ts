// Kernel releases as data: what a kernel of that release has. The model runs as one of them; the
// differential tests take theirs from a probe of the running kernel instead.
import type { KernelProfile } from "../kernel.ts";
import { FEATURES, REGISTER_OPCODES, SETUP_FLAGS } from "../spec/constants.gen.ts";
import { OPS } from "../spec/ops.gen.ts";

const releases = new Map<string, readonly number[]>();

/** Is something that came with release `since` in a kernel of this version? */
export function has(version: readonly [number, number], since: string): boolean {
  let first = releases.get(since);
  if (first === undefined) releases.set(since, (first = since.split(".").map(Number)));
  const [major = 0, minor = 0] = first;
  return version[0] > major || (version[0] === major && version[1] >= minor);
}

/** Those of these flags that a kernel of this version has. */
export const flagBits = (version: readonly [number, number], table: readonly { readonly value: number; readonly since: string }[]): number =>
  table.reduce((all, { value, since }) => (has(version, since) ? (all | value) >>> 0 : all), 0);

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
 * Releases that the model can be. What they have (flags, features, opcodes) is that of the release; how they do
 * it is 6.18's, the only one that was compared with a running kernel.
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
  return registerOpcodes(profile).includes(opcode);
}
