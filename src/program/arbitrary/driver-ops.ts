// What a driver does with a ring, a few operations at a time: one request, a chain, readers and the
// write that wakes them, a burst that overflows. Each yields operations that also make sense alone.
import fc from "fast-check";
import type { Operation, SqeSpec } from "../program.ts";
import type { Draft, SqeDraft, Target } from "./draft.ts";
import { close, fsync, nop, openat, read, readv, waitingRead, waitingWord, write, writev } from "./file-requests.ts";
import { mix, mixToFirst, mostly, pick, record, some } from "./mix.ts";
import { asyncCancel, countedTimeout, linkTimeout, msgRing, pollAdd, pollRemove, timeout, timeoutRemove } from "./wait-requests.ts";
import { fds } from "./world.ts";

export type Drafts = readonly Draft[];
type Flags = NonNullable<SqeSpec["flags"]>;

const plain: fc.Arbitrary<SqeDraft> = mixToFirst(
  [8, nop], [7, read], [7, write], [4, readv], [4, writev], [3, fsync], [6, openat], [5, close], [7, pollAdd],
  [5, pollRemove], [6, timeout], [5, timeoutRemove], [7, asyncCancel], [3, msgRing], [1, linkTimeout],
);

const flags: fc.Arbitrary<Flags> = pick<Flags>(
  [76, []], [6, ["ASYNC"]], [3, ["IO_DRAIN"]], [6, ["CQE_SKIP_SUCCESS"]], [1, ["IO_DRAIN", "ASYNC"]],
  [1, ["CQE_SKIP_SUCCESS", "ASYNC"]], [4, ["IO_LINK"]], [2, ["IO_HARDLINK"]],
);

/** Any request with any flags that a driver may set. */
export const request: fc.Arbitrary<SqeDraft> = record({ sqe: plain, flags }).map(({ sqe, flags: of }) => ({ ...sqe, flags: of }));

const queued = (sqe: SqeDraft): Draft => ({ op: "sqe", ...sqe });
const SUBMIT: Draft = { op: "submit" };

const submit: fc.Arbitrary<Draft> = mix<Draft>(
  [6, fc.constant(SUBMIT)],
  [2, fc.constant({ op: "submit", getevents: true })],
  [2, record({ op: fc.constant("submit" as const), wait: fc.integer({ min: 1, max: 4 }) })],
);
const reap: fc.Arbitrary<Draft> = mix<Draft>(
  [3, fc.constant({ op: "reap" })],
  [2, record({ op: fc.constant("reap" as const), max: fc.integer({ min: 0, max: 3 }) })],
);
const settle: fc.Arbitrary<Draft> = fc.constant({ op: "settle" });

/** Fills few enough bits of an eventfd that its count does not reach the end. */
const signal: fc.Arbitrary<Draft> = record({
  op: fc.constant("write" as const), fd: fds.eventfd, bytes: pick([12, 8], [1, 4], [1, 16]), fill: pick([3, 1], [1, 2], [1, 0]),
});
const feed: fc.Arbitrary<Draft> = record({
  op: fc.constant("write" as const), fd: pick([3, "p0w"], [1, "p1w"]),
  bytes: mix<number>([3, fc.integer({ min: 1, max: 64 })], [1, fc.integer({ min: 0, max: 8 })]), fill: fc.integer({ min: 0, max: 255 }),
});
const readOp: fc.Arbitrary<Operation> = mix<Operation>(
  [2, record({ op: fc.constant("read" as const), fd: pick([3, "p0r"], [1, "p1r"]), bytes: mix<number>([4, fc.integer({ min: 1, max: 64 })], [1, fc.constant(4096)]) })],
  [1, record({ op: fc.constant("read" as const), fd: fds.eventfd, bytes: pick([6, 8], [1, 4]) })],
  [1, record({ op: fc.constant("read" as const), fd: pick([2, "f0"], [1, "f1"]), bytes: fc.integer({ min: 0, max: 64 }) })],
);
const closeOp: fc.Arbitrary<Draft> = record({
  op: fc.constant("close" as const),
  fd: pick([3, "o0"], [1, "o1"], [2, "p0r"], [2, "p0w"], [1, "p1r"], [1, "p1w"], [1, "e1"], [1, "f1"], [1, "closed"]),
});

const one = (of: fc.Arbitrary<Draft>): fc.Arbitrary<Drafts> => of.map((draft) => [draft]);

type Links = "IO_LINK" | "IO_HARDLINK" | "mixed";

/** A chain of requests; the members keep their own flags. */
const chain: fc.Arbitrary<Drafts> = record({
  members: some(request, 2, 5),
  links: pick<Links>([4, "IO_LINK"], [2, "IO_HARDLINK"], [1, "mixed"]),
  terminated: mostly(true, 12, fc.constant(false)),
  fresh: fc.boolean(),
  submits: mostly(true, 30, fc.constant(false)),
}).map(({ members, links, terminated, fresh, submits }) => {
  const linked = members.map((sqe, i): Draft => {
    const link = links === "mixed" ? (i % 2 === 0 ? "IO_LINK" : "IO_HARDLINK") : links;
    const own = (sqe.flags ?? []).filter((flag) => flag !== "IO_LINK" && flag !== "IO_HARDLINK");
    return queued({ ...sqe, flags: i < members.length - 1 || !terminated ? [...own, link] : own });
  });
  return [...(fresh ? [SUBMIT] : []), ...linked, ...(submits || !terminated ? [SUBMIT] : [])];
});

/** Requests that complete at once, more of them than a small CQ holds. */
const burst: fc.Arbitrary<Drafts> = some(nop, 2, 8).map((all) => [...all.map(queued), SUBMIT]);

/** Readers of one empty pipe or eventfd, then the writes that wake them. */
const waiters: fc.Arbitrary<Drafts> = mix(
  [3, record({ sqes: some(waitingRead("p0r"), 1, 3), writes: some(feed, 1, 3) })],
  [1, record({ sqes: some(waitingRead("p1r"), 1, 2), writes: some(feed, 1, 2) })],
  [2, record({ sqes: some(waitingWord("e0"), 1, 3), writes: some(signal, 1, 3) })],
).map(({ sqes, writes }) => [...sqes.map(queued), SUBMIT, ...writes]);

/** A poll, and what makes it ready. */
const polled: fc.Arbitrary<Drafts> = record({ sqes: some(pollAdd, 1, 2), writes: some(mix([2, feed], [1, signal]), 1, 3) })
  .map(({ sqes, writes }) => [...sqes.map(queued), SUBMIT, ...writes]);

/** A request that waits, and one that takes it back. */
const takenBack: fc.Arbitrary<Drafts> = record({
  pair: mix<{ first: SqeDraft; second: SqeDraft }>(
    [3, record({ first: mix([2, waitingRead("p0r")], [1, waitingWord("e0")], [2, pollAdd], [1, timeout]), second: asyncCancel })],
    [2, record({ first: pollAdd, second: pollRemove })],
    [2, record({ first: timeout, second: timeoutRemove })],
  ),
  between: fc.boolean(),
}).map(({ pair: { first, second }, between }) => {
  const near: Target = { back: 0, of: second.target?.of ?? "waiting" };
  return [queued(first), ...(between ? [SUBMIT] : []), queued({ ...second, target: near }), SUBMIT];
});

const counted: fc.Arbitrary<Drafts> = record({ timers: some(countedTimeout, 1, 3), nops: some(nop, 1, 4) })
  .map(({ timers, nops }) => [...timers.map(queued), SUBMIT, ...nops.map(queued), SUBMIT]);

/** A request with a timer behind it, and perhaps more of a chain. */
const timed: fc.Arbitrary<Drafts> = record({
  first: mix<SqeDraft>([3, waitingRead("p0r")], [1, waitingWord("e0")], [2, pollAdd], [1, timeout], [4, plain]),
  timer: linkTimeout,
  links: pick<Links>([3, "IO_LINK"], [1, "IO_HARDLINK"]),
  after: mix<SqeDraft | undefined>([3, fc.constant(undefined)], [2, plain]),
}).map(({ first, timer, links, after }) => {
  const link = links === "IO_HARDLINK" ? "IO_HARDLINK" : "IO_LINK";
  const behind = after === undefined ? [] : [queued(after)];
  return [queued({ ...first, flags: [link] }), queued(after === undefined ? timer : { ...timer, flags: [link] }), ...behind, SUBMIT];
});

/** A drain behind something that takes its time, and requests behind the drain. */
const drained: fc.Arbitrary<Drafts> = record({ before: some(plain, 1, 2), after: some(plain, 1, 2), drain: plain })
  .map(({ before, after, drain }) => [
    ...before.map(queued), queued({ ...drain, flags: ["IO_DRAIN"] }), ...after.map(queued), SUBMIT,
  ]);

/** A signal, and a wait that lets it in. */
const interrupted: fc.Arbitrary<Drafts> = record({
  before: mix<Drafts>([2, fc.constant([])], [1, one(request.map(queued))]),
  wait: mix<number>([1, fc.integer({ min: 1, max: 3 })], [2, fc.integer({ min: 4, max: 12 })]),
}).map(({ before, wait }) => [...before, { op: "raise" }, { op: "submit", wait, signals: true }]);

const fdinfo: fc.Arbitrary<Draft> = fc.constant({ op: "fdinfo" });

/** A turn of an event loop: submit, wait for what must come, take it out. */
const turn: fc.Arbitrary<Drafts> = fc.constant([SUBMIT, { op: "settle" }, { op: "reap" }]);

/** One thing that a driver does. */
export const driverGroup: fc.Arbitrary<Drafts> = mixToFirst<Drafts>(
  [34, one(request.map(queued))],
  [12, one(submit)], [3, one(settle)], [7, one(reap)], [13, turn],
  [6, one(feed)], [3, one(signal)], [4, one(readOp)], [2, one(closeOp)], [4, one(fdinfo)], [1, interrupted],
  [7, chain], [4, burst], [4, waiters], [3, polled], [5, takenBack], [3, timed], [3, counted], [2, drained],
);
