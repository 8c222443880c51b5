// What the scripts have in common in reading their options.

/** A whole number from `least` on. Throws a TypeError that says what was expected, what came and what would do. */
export function wholeNumber(option: string, text: string, least: number, example = Math.max(least, 20)): number {
  if (/^\d{1,10}$/.test(text) && Number(text) >= least) return Number(text);
  throw new TypeError(`--${option}: expected a whole number from ${least} on, got "${text}"; for example: --${option} ${example}`);
}
