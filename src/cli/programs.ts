// The programs of a campaign: a fixed function of the seed. Program i of a kind is what fast-check
// generates at path i, so that it can be generated, and shrunk, again without the others.
import fc from "fast-check";
import { hostileProgram, legalProgram } from "../program/arbitrary.ts";
import type { Program } from "../program/program.ts";

export const KINDS = ["legal", "hostile", "any"] as const;
export type Kind = (typeof KINDS)[number];

export interface Drawn {
  /** Number in the campaign. */
  readonly index: number;
  readonly kind: Program["kind"];
  /** fast-check's path: number among the programs of its kind. */
  readonly path: number;
  readonly program: Program;
}

/** Of "any", every fourth program is hostile. */
const HOSTILE_EVERY = 4;
/** Programs generated at once, at first and at most; going to a path costs a step for each program before it. */
const CHUNK_MIN = 25;
const CHUNK_MAX = 400;

/** A program has half as many operations on average, and a little more. */
export const MAX_OPS = 42;

export type RingFlags = Program["ring"]["flags"];

/** What the programs of a campaign have in common: to draw one again takes the same. */
export interface Drawing {
  readonly seed: number;
  /** All rings have these flags, in the place of drawn ones. */
  readonly ringFlags?: RingFlags | undefined;
  /** Operations of a program, at most (MAX_OPS). */
  readonly maxOps?: number | undefined;
}

export function arbitraryOf(kind: Program["kind"], { ringFlags, maxOps = MAX_OPS }: Omit<Drawing, "seed"> = {}): fc.Arbitrary<Program> {
  const options = { ringFlags, maxOps };
  return kind === "legal" ? legalProgram(options) : hostileProgram(options);
}

export interface DrawOptions extends Drawing {
  readonly runs: number;
  readonly kind?: Kind;
}

/** Programs 0 to runs - 1, generated as they are asked for. */
export function* drawPrograms({ runs, kind = "any", ...drawing }: DrawOptions): Generator<Drawn, void> {
  const sources = { legal: programsOf("legal", drawing), hostile: programsOf("hostile", drawing) };
  const counts = { legal: 0, hostile: 0 };
  for (let index = 0; index < runs; index++) {
    const its = kind !== "any" ? kind : index % HOSTILE_EVERY === HOSTILE_EVERY - 1 ? "hostile" : "legal";
    const next = sources[its].next();
    if (next.done === true) return;
    yield { index, kind: its, path: counts[its]++, program: next.value };
  }
}

function* programsOf(kind: Program["kind"], { seed, ...drawing }: Drawing): Generator<Program, void> {
  const arbitrary = arbitraryOf(kind, drawing);
  for (let path = 0, chunk = CHUNK_MIN; ; path += chunk, chunk = Math.min(chunk * 2, CHUNK_MAX)) {
    yield* fc.sample(arbitrary, { seed, path: String(path), numRuns: chunk });
  }
}

/** A seed of 31 bits out of a seed and a number: other programs, other choices of the model. */
export function mixSeed(seed: number, index: number): number {
  let mixed = Math.imul(seed ^ 0x9e37_79b9, 0x85eb_ca6b) ^ Math.imul(index + 1, 0xc2b2_ae35);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b_3c6d);
  return (mixed ^ (mixed >>> 13)) & 0x7fff_ffff;
}
