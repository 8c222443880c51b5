// How much a rule's record says that it is about what differs: what it shows, and names of errors and bits in its text.
import { RULES } from "../spec/rules.gen.ts";
import type { Shows } from "../spec/rules.gen.ts";
import type { Difference } from "./difference.ts";

export const showsIn = (id: string, where: Shows): boolean => RULES[id]?.shows.includes(where) === true;

/** From 0, where it is about nothing that differs, to 1. */
export function aboutIt(id: string, { shows }: Difference): number {
  return Math.max(0, ...(RULES[id]?.shows ?? []).map((each) => shows.get(each) ?? 0));
}

/** Does its text name an error or a bit that was to be seen there, or one that was seen instead? */
export function namesIt(id: string, { allowed, seen }: Difference): { readonly allowed: boolean; readonly seen: boolean } {
  const text = RULES[id]?.text ?? "";
  const has = (names: ReadonlySet<string>): boolean => [...names].some((name) => new RegExp(`${name}(?![A-Z_])`).test(text));
  return { allowed: has(allowed), seen: has(seen) };
}
