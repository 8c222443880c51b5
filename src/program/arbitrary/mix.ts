// Small words for saying how often something is drawn. Every value here is plain data, and what comes
// first is mostly what a failing program shrinks to.
import fc from "fast-check";

/** A record with an ordinary prototype. */
export const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;

/** `usual`, and `percent` of the time something of `other`. */
export const mostly = <A, B>(usual: A, percent: number, other: fc.Arbitrary<B>): fc.Arbitrary<A | B> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 100 - percent, arbitrary: fc.constant(usual) },
    { weight: percent, arbitrary: other },
  );

type Choice<T> = readonly [weight: number, arbitrary: fc.Arbitrary<T>];
const weighted = <T>(choices: readonly Choice<T>[]) => choices.map(([weight, arbitrary]) => ({ weight, arbitrary }));

/** One of the arbitraries, by weight; shrinks within the one that was drawn. */
export const mix = <T>(...choices: readonly Choice<T>[]): fc.Arbitrary<T> => fc.oneof(...weighted(choices));

/** The same, and shrinks towards the first. It costs three times as much to draw. */
export const mixToFirst = <T>(...choices: readonly Choice<T>[]): fc.Arbitrary<T> =>
  fc.oneof({ withCrossShrink: true }, ...weighted(choices));

/** One of the values, by weight; shrinks towards the first. */
export function pick<const T>(...choices: readonly (readonly [weight: number, value: T])[]): fc.Arbitrary<T> {
  return fc.constantFrom(...choices.flatMap(([weight, value]) => Array.from({ length: weight }, () => value)));
}

/** Between `min` and `max` of them, every length about as likely as any other. */
export const some = <T>(of: fc.Arbitrary<T>, min: number, max: number): fc.Arbitrary<T[]> =>
  fc.array(of, { minLength: min, maxLength: max, size: "max" });
