// Reads the values of options, for commander. A bad value is answered with what was expected, what
// came, and an example.
import { InvalidArgumentError, Option } from "commander";
import { RING_FLAGS } from "../program/program.ts";
import type { RingFlags } from "./programs.ts";
import { PROFILE_DEFAULT, PROFILE_NAMES } from "./trace-file.ts";

/** A whole number within bounds. */
export function wholeNumber(bounds: { readonly min: number; readonly max: number; readonly example: string }): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^[0-9]+$/.test(text) && value >= bounds.min && value <= bounds.max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${bounds.min} to ${bounds.max}, got "${text}"; for example: ${bounds.example}.`);
  };
}

/** One of a few words. */
export function oneOf<T extends string>(words: readonly T[], example: string): (text: string) => T {
  return (text) => {
    const word = words.find((other) => other === text);
    if (word !== undefined) return word;
    throw new InvalidArgumentError(`Expected one of ${words.join(", ")}, got "${text}"; for example: ${example}.`);
  };
}

/** Setup flags by name: "DEFER_TASKRUN,SINGLE_ISSUER"; "DEFAULT" for none. */
export function ringFlags(text: string): RingFlags {
  const known = new Map<string, RingFlags[number]>(RING_FLAGS.map((name) => [name, name]));
  if (text === "DEFAULT") return [];
  return text.split(",").map((name) => {
    const flag = known.get(name.replace(/^IORING_SETUP_/, ""));
    if (flag !== undefined) return flag;
    throw new InvalidArgumentError(`Expected setup flags among ${RING_FLAGS.join(", ")}, or DEFAULT, got "${name}"; for example: --ring DEFER_TASKRUN,SINGLE_ISSUER.`);
  });
}

export const BACKENDS = ["auto", "real", "model"] as const;
export const STRICTNESSES = ["auto", "spec", "profile"] as const;

export const backendOption = (): Option =>
  new Option("--backend <which>", "auto, real or model; auto takes the real kernel where it can be had")
    .default("auto")
    .argParser(oneOf(BACKENDS, "--backend model"));

export const strictnessOption = (
  help = "auto, spec (whatever the rules allow) or profile (a verified kernel's exact orders too); auto takes profile on a verified kernel",
): Option =>
  new Option("--strictness <which>", help)
    .default("auto")
    .argParser(oneOf(STRICTNESSES, "--strictness spec"));

export const profileOption = (help = `the kernel to judge as; the one that the trace names where left out, else ${PROFILE_DEFAULT}`): Option =>
  new Option("--profile <release>", `${help}: one of ${PROFILE_NAMES.join(", ")}`)
    .argParser(oneOf(PROFILE_NAMES, `--profile ${PROFILE_DEFAULT}`));
