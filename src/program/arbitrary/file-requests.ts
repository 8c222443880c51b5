// Requests on files: reading and writing, FSYNC, OPENAT and CLOSE, and NOP, as a driver would fill
// them in, with the mistakes that a driver makes.
import fc from "fast-check";
import {
  IORING_FSYNC_DATASYNC, IORING_NOP_CQE32, IORING_NOP_FILE, IORING_NOP_FIXED_BUFFER, IORING_NOP_INJECT_RESULT, IORING_NOP_TW,
  O_APPEND, O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, RWF_NOWAIT,
} from "../../spec/constants.gen.ts";
import type { SqeDraft } from "./draft.ts";
import { mix, mostly, pick, record, some } from "./mix.ts";
import { at, fds, place, word } from "./world.ts";

/** A bit that is no RWF_ flag. */
const RWF_UNKNOWN = 0x4000_0000;
const IDLE_CLASS = 0x6000;
const BEST_EFFORT = 0x4003;
const MODE = 0o644;

export const nop: fc.Arbitrary<SqeDraft> = mix<SqeDraft>(
  [20, fc.constant({ opcode: "NOP" })],
  [5, record({
    opcode: fc.constant("NOP" as const),
    opFlags: fc.constant(IORING_NOP_INJECT_RESULT),
    // -ECANCELED, -EIO and -EAGAIN among them
    len: pick([2, 1], [1, 77], [2, 0xffff_fffb], [1, 0xffff_ff83], [1, 0xffff_fff5], [1, 0x7fff_ffff], [1, 0x8000_0000]),
  })],
  // a CQE of 32 bytes, refused on rings that have none
  [1, record({
    opcode: fc.constant("NOP" as const),
    opFlags: fc.constant(IORING_NOP_CQE32),
    off: fc.integer({ min: 0, max: 0xffff }),
    addr: fc.integer({ min: 0, max: 0xffff }).map((number) => ({ is: "number" as const, number })),
  })],
  [1, record({
    opcode: fc.constant("NOP" as const),
    opFlags: pick([3, IORING_NOP_TW], [2, IORING_NOP_FILE], [1, IORING_NOP_FIXED_BUFFER]),
    fd: pick([2, "f0"], [1, "closed"]),
  })],
);

const fileOffset = mix<number>([3, fc.constant(0)], [4, fc.integer({ min: 0, max: 200 })], [3, fc.constant(-1)]);
const streamOffset: fc.Arbitrary<number> = pick([8, 0], [4, -1], [1, 5]);
type OpFlags = fc.Arbitrary<number | undefined>;
const priority: OpFlags = mostly(undefined, 3, pick([1, BEST_EFFORT], [1, IDLE_CLASS]));
/** RWF_NOWAIT only where no regular file can be behind the descriptor. */
const streamFlags: OpFlags = mostly(undefined, 5, pick([4, RWF_NOWAIT], [1, RWF_UNKNOWN]));
const fileFlags: OpFlags = mostly(undefined, 2, fc.constant(RWF_UNKNOWN));

type Direction = "READ" | "WRITE";

const onStream = (direction: Direction): fc.Arbitrary<string> => direction === "READ"
  ? pick([3, "p0r"], [1, "p1r"]) : pick([3, "p0w"], [1, "p1w"]);
const onFile = (direction: Direction): fc.Arbitrary<string> => mix<string>(
  [8, pick([2, "f0"], [1, "f1"])], [2, fds.opened], [1, fds.wrong],
  [1, direction === "READ" ? fc.constant("p0w") : fc.constant("p0r")],
);

const plain = (direction: Direction): fc.Arbitrary<SqeDraft> => {
  const opcode = fc.constant(direction);
  return mix(
    [5, record({ opcode, fd: onFile(direction), place, off: fileOffset, ioprio: priority, opFlags: fileFlags })],
    [5, record({ opcode, fd: onStream(direction), place, off: streamOffset, ioprio: priority, opFlags: streamFlags })],
    [3, record({ opcode, fd: fds.eventfd, place: word, off: streamOffset, ioprio: fc.constant(undefined), opFlags: streamFlags })],
  ).map(({ place: to, ...rest }) => ({ ...rest, addr: at(to), len: to.length }));
};

const vectored = (direction: Direction): fc.Arbitrary<SqeDraft> => {
  const opcode = fc.constant(`${direction}V` as const);
  const places = some(place, 0, 4);
  return mix(
    [5, record({ opcode, fd: onFile(direction), places, off: fileOffset, ioprio: priority, opFlags: fileFlags })],
    [5, record({ opcode, fd: onStream(direction), places, off: streamOffset, ioprio: priority, opFlags: streamFlags })],
    [2, record({ opcode, fd: fds.eventfd, places: some(word, 1, 2), off: streamOffset, ioprio: priority, opFlags: streamFlags })],
  ).map(({ places: all, ...rest }) => ({ ...rest, addr: { is: "iovec", places: all }, len: all.length }));
};

export const read = plain("READ");
export const write = plain("WRITE");
export const readv = vectored("READ");
export const writev = vectored("WRITE");

/** Waits until the program writes: small reads of pipes that start empty, mostly. */
export const waitingRead = (fd: string): fc.Arbitrary<SqeDraft> =>
  place.map((to) => ({ opcode: "READ", fd, addr: at(to), len: to.length, off: 0 }));
export const waitingWord = (fd: string): fc.Arbitrary<SqeDraft> =>
  word.map((to) => ({ opcode: "READ", fd, addr: at(to), len: to.length, off: 0 }));

export const fsync: fc.Arbitrary<SqeDraft> = record({
  opcode: fc.constant("FSYNC" as const),
  fd: mix<string>([6, pick([2, "f0"], [1, "f1"])], [1, fds.opened], [2, fds.wrong], [4, fds.eventfd]),
  opFlags: mostly(undefined, 30, fc.constant(IORING_FSYNC_DATASYNC)),
});

const existing = pick([3, O_RDONLY], [4, O_RDWR], [2, O_WRONLY], [1, O_RDWR | O_APPEND], [1, O_RDWR | O_CLOEXEC],
  [2, O_RDWR | O_TRUNC], [2, O_RDONLY | O_DIRECTORY], [1, O_RDWR | O_CREAT], [1, O_RDWR | O_CREAT | O_EXCL]);
const creating = pick([6, O_RDWR | O_CREAT], [2, O_WRONLY | O_CREAT], [3, O_RDWR | O_CREAT | O_EXCL],
  [1, O_RDWR | O_CREAT | O_TRUNC], [1, O_RDONLY | O_CREAT | O_DIRECTORY], [1, O_RDWR]);
const directory = mix<string>([16, fc.constant("dir")], [1, fc.constant("f0")], [1, fc.constant("closed")], [1, fds.opened]);

const path = (...paths: readonly (readonly [number, string])[]) =>
  pick(...paths).map((text) => ({ is: "path" as const, path: text }));

export const openat: fc.Arbitrary<SqeDraft> = mix(
  [6, record({ addr: path([3, "f0"], [2, "f1"]), opFlags: existing, fd: directory })],
  [5, record({ addr: path([1, "n0"], [1, "n1"], [1, "n2"]), opFlags: creating, fd: directory })],
  [2, record({ addr: path([6, "missing"], [1, ""]), opFlags: existing.map((flags) => flags & ~O_CREAT), fd: directory })],
  [1, record({ addr: path([1, "."]), opFlags: pick([3, O_RDONLY], [1, O_RDWR], [1, O_RDONLY | O_DIRECTORY]), fd: directory })],
).map((fields): SqeDraft => ({ opcode: "OPENAT", ...fields, ...((fields.opFlags & O_CREAT) !== 0 ? { len: MODE } : {}) }));

export const close: fc.Arbitrary<SqeDraft> = record({
  opcode: fc.constant("CLOSE" as const),
  fd: mix<string>(
    [6, fds.opened], [2, fc.constant("closed")], [1, fc.constant("none")],
    [4, pick([2, "p0r"], [2, "p0w"], [1, "p1r"], [1, "p1w"])], [1, pick([2, "e1"], [1, "f1"])],
  ),
});
