// The world that generated programs live in: always of this shape, so that every descriptor and every
// buffer that an operation names is there whatever else was dropped. Only contents vary.
import fc from "fast-check";
import type { Address, Program } from "../program.ts";
import { mix, pick, record } from "./mix.ts";

export const BUFFERS = [8, 64, 256, 4096] as const;

export const world: fc.Arbitrary<Program["world"]> = record({
  files: fc.tuple(pick([4, 100], [1, 0], [1, 1], [2, 256], [1, 4096]), pick([2, 16], [1, 0], [1, 300])),
  pipes: fc.tuple(pick([30, 0], [4, 5], [2, 4096], [3, 65536]), pick([30, 0], [4, 3], [1, 65536])),
  eventfds: fc.tuple(pick([6, 0], [2, 1], [1, 0xffff_ffff]), pick([3, 0], [1, 7])),
  buffers: fc.constant([...BUFFERS]),
});

/** Part of one buffer. */
export interface Place {
  readonly buffer: number;
  readonly at: number;
  readonly length: number;
}

function within(buffer: number, at: number, length: number): Place {
  const size = BUFFERS[buffer] ?? 0;
  const from = Math.min(at, size);
  return { buffer, at: from, length: Math.min(length, size - from) };
}

const start: fc.Arbitrary<number> = pick([8, 0], [1, 1], [1, 7], [1, 8], [1, 60]);

/** A place for a few bytes up to a page; 0 bytes now and then. */
export const place: fc.Arbitrary<Place> = mix(
  [6, record({ buffer: fc.nat({ max: 3 }), at: start, length: fc.integer({ min: 1, max: 64 }) })],
  [2, record({ buffer: pick([1, 2], [1, 3]), at: start, length: fc.integer({ min: 0, max: 300 }) })],
  [1, record({ buffer: fc.constant(3), at: pick([1, 0]), length: fc.constant(4096) })],
).map(({ buffer, at, length }) => within(buffer, at, length));

/** What an eventfd wants: eight bytes; sometimes other sizes. */
export const word: fc.Arbitrary<Place> = mix<Place>(
  [8, record({ buffer: fc.nat({ max: 3 }), at: fc.constant(0), length: fc.constant(8) })],
  [2, record({ buffer: fc.constant(1), at: start, length: pick([1, 4], [1, 0], [1, 7], [2, 16], [1, 64]) })],
).map(({ buffer, at, length }) => within(buffer, at, length));

export const at = ({ buffer, at: from }: Place): Address => ({ is: "buffer", buffer, at: from });

/** Descriptors by what can be done with them. */
export const fds: Record<"eventfd" | "opened" | "wrong" | "pollable", fc.Arbitrary<string>> = {
  eventfd: pick([2, "e0"], [1, "e1"]),
  opened: pick([4, "o0"], [2, "o1"], [1, "o2"], [1, "o3"]),
  wrong: pick([3, "closed"], [2, "none"], [2, "dir"], [1, "p0r"], [1, "p0w"]),
  pollable: pick([6, "p0r"], [2, "p0w"], [2, "p1r"], [2, "p1w"], [4, "e0"], [1, "e1"], [2, "f0"]),
};
