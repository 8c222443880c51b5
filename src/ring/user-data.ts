// User data at the two edges: a bigint for the application, two u32 halves in the rings. The top 16
// bits 0xfeed and 0xfeee are the driver's own (readiness polls and their removals); everything else
// passes unchanged. Halves are in little-endian order, as io_uring's are on every machine we run on.

const whole = new BigUint64Array(1);
const halves = new Uint32Array(whole.buffer);

const POLL_TAG = 0xfeed;
const REMOVAL_TAG = 0xfeee;

/** The low and high half of the value that was split last: no object is made on the hot path. */
export const split = { low: 0, high: 0 };

/** Splits a u64 into `split`. Throws RangeError where it is no bigint from 0 to 2^64-1. */
export function splitU64(value: bigint, what: string): void {
  if (typeof value !== "bigint" || BigInt.asUintN(64, value) !== value)
    throw new RangeError(`${what} must be a bigint from 0n to 2n**64n - 1n, not ${describe(value)}`);
  whole[0] = value;
  split.low = halves[0] ?? 0;
  split.high = halves[1] ?? 0;
}

export function joinU64(low: number, high: number): bigint {
  halves[0] = low;
  halves[1] = high;
  return whole[0] ?? 0n;
}

/** Is this the high half of user data that belongs to the driver? */
export function isReserved(high: number): boolean {
  const tag = high >>> 16;
  return tag === POLL_TAG || tag === REMOVAL_TAG;
}
export const isPoll = (high: number): boolean => high >>> 16 === POLL_TAG;

/** High half of the user data of a readiness poll; the low half is the descriptor. */
export const pollHigh = (sequence: number): number => ((POLL_TAG << 16) | sequence) >>> 0;
/** The same for the request that removes it. */
export const removalHigh = (sequence: number): number => ((REMOVAL_TAG << 16) | sequence) >>> 0;

/** Splits an application's user data into `split`. Throws where it lies in the driver's own range. */
export function splitUserData(value: bigint, what = "userData"): void {
  splitU64(value, what);
  if (isReserved(split.high))
    throw new RangeError(
      `${what} 0x${value.toString(16)} is in the range that the driver keeps for readiness (top 16 bits 0xfeed or 0xfeee): choose another`,
    );
}

/** A value for an error message. */
export function describe(value: unknown): string {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value === "object" && value !== null) return "an object";
  return String(value);
}
