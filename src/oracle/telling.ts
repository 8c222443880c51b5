// How much a rule's record says that it is about what differs: what it shows, and names of errors and bits in its text.
import type { KernelProfile } from "../kernel.ts";
import { holds } from "../model/profile.ts";
import { SETUP_FLAGS } from "../spec/constants.gen.ts";
import { RULES } from "../spec/rules.gen.ts";
import type { Shows } from "../spec/rules.gen.ts";
import type { Difference } from "./difference.ts";

export const showsIn = (id: string, where: Shows): boolean => RULES[id]?.shows.includes(where) === true;

const MODE = /^With(out)? (IORING_SETUP_[A-Z0-9_]+)|(?:[Oo]n (?:a ring|rings)|[,:] a ring) with(out)? (IORING_SETUP_[A-Z0-9_]+)/;

/** Is it a rule for this kernel, and for a ring with these flags, by what its text begins with? `flags`: undefined before there is a ring. */
export function appliesTo(id: string, { version }: KernelProfile, flags: number | undefined): boolean {
  const rule = RULES[id];
  if (rule === undefined || !holds(version, rule)) return false;
  const [, without, mode, onWithout, onMode] = MODE.exec(rule.text) ?? [];
  const bit = SETUP_FLAGS.find(({ name }) => name === (mode ?? onMode))?.value;
  return bit === undefined || flags === undefined || ((flags & bit) !== 0) === ((without ?? onWithout) === undefined);
}

/** From 0, where it is about nothing that differs, to 1. */
export function aboutIt(id: string, { shows }: Difference): number {
  return Math.max(0, ...(RULES[id]?.shows ?? []).map((each) => shows.get(each) ?? 0));
}

export interface Names {
  readonly allowed: boolean;
  readonly seen: boolean;
  /** Only errors that were neither seen nor to be seen, where a result differs. */
  readonly others: boolean;
}

const RESULTS: readonly Shows[] = ["res", "enter", "register", "setup"];

/** Does its text name an error or a bit that was to be seen there, or one that was seen instead? */
export function namesIt(id: string, { allowed, seen, shows }: Difference): Names {
  const text = RULES[id]?.text ?? "";
  const has = (names: ReadonlySet<string>): boolean => [...names].some((name) => new RegExp(`${name}(?![A-Z_])`).test(text));
  const named = { allowed: has(allowed), seen: has(seen) };
  const others = !named.allowed && !named.seen && RESULTS.some((each) => shows.get(each) === 1) && /-E[A-Z0-9]+/.test(text);
  return { ...named, others };
}
