// What a state is, field by field: every field that Machine.key() tells states apart by, StateHash does too, and the
// other way round. Each leaf of a machine is changed alone, in states that explorations came to, with everything in them
// that a state can have. What neither looks at is listed here, so that a new field needs a decision.
import { describe, expect, test } from "vitest";
import type { Machine } from "../../src/model/machine.ts";
import { load32 } from "../../src/model/memory.ts";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { Request, type Prepared } from "../../src/model/request.ts";
import { SharedMap } from "../../src/model/shared-map.ts";
import { explore } from "../../src/oracle/explore/explore.ts";
import { StateHash } from "../../src/oracle/explore/state-hash.ts";
import { program, SMALL } from "../small-programs.ts";

const profile = { ...PROFILE_6_18, file: { readInline: undefined, writeInline: undefined } };

/** Whoever runs the machine, caches, and who shares what: no part of a state. */
const BESIDES = new Set(["profile", "scheduler", "ids", "peers", "sum", "shared", "text", "mine", "addr", "touches", "touchesKey", "causeTouches", "lowest", "kind"]);

/**
 * Told apart by neither. Either nothing can tell (moments and counts that only the search of a trace has), or what tells
 * comes with it: the same calls of the program, which both are keyed with, decide what a ring was made and registered as,
 * and a field that is set within a call is as it was when the call is over.
 */
const NEITHER = new Set([
  "lockedPagesMax", "state.flags", "state.sqEntries", "state.cqEntries", "state.firstCqEntries", "state.arrayOffset", "state.cqeSize", "state.sqeSize",
  "state.restrictions", "state.restricted", "state.eventfd.file", "state.eventfd.async", "state.ownedElsewhere", "state.region",
  "state.personalities", "state.nextPersonality", "state.clock", "state.thread.idleNs",
  "state.backlogged", "state.lastFullNs", "state.offTimeoutUsed", "state.splitting", "state.cqFlush", "state.consumed", "state.waitsFor", "state.overflow.group",
  "ringInode", "ringFd", "inCall", "inWorker", "inThread", "stepBacklog", "stepOf", "atTimeout", "workSeq", "hashSeq", "nowNs", "untilNs",
  "requests.cflags", "requests.sinceNs", "requests.polled", "requests.big", "requests.cancelSeq", "requests.cancelling.seq",
  "requests.backlogSince", "requests.floating", "requests.cause", "requests.group", "requests.buffer.addr", "requests.buffer.len",
  "world.inEventfd", "world.inodes.semaphore", "world.files.flags", "world.files.read", "world.files.write", "world.waiters.exclusive",
]);

const WORDS: readonly (readonly string[])[] = [
  ["linked", "deferred", "running", "polling", "timing", "task-work", "queued", "effected", "completing", "done", "kept"],
  ["submit", "cancel", "complete", "free", "poll", "fail-links", "timeout", "link-timeout", "message"],
  ["none", "arms", "armed"],
];

/** Another value of the same kind; undefined: none. */
function other(value: unknown): unknown {
  if (typeof value === "number") return Number.isFinite(value) ? value + 1 : 7;
  if (typeof value === "bigint") return value + 1n;
  if (typeof value === "boolean") return !value;
  if (typeof value === "string") return WORDS.find((words) => words.includes(value))?.find((word) => word !== value) ?? `${value}x`;
  if (value instanceof Uint8Array) return value.length === 0 ? new Uint8Array(1) : value.map((byte, i) => (i === 0 ? byte + 1 : byte));
  return undefined;
}

/** Lists of what is no number; they may be empty. */
const OTHER_LISTS = /(buffers|overflow|leaked|segments|waiters|iov)$/;

interface Leaf {
  /** The fields on the way, without places in lists. */
  readonly path: string;
  readonly change: () => void;
  readonly restore: () => void;
}

function* leavesOf(owner: object, path: string, seen: Set<object>): Generator<Leaf> {
  if (seen.has(owner)) return;
  seen.add(owner);
  if (owner instanceof Map) {
    const key: unknown = [...owner.keys()][0];
    if (key !== undefined) yield { path, change: () => owner.set(99, owner.get(key)), restore: () => owner.delete(99) };
    for (const [name, value] of owner) yield* leaf(value, path, seen, (to) => owner.set(name, to));
    return;
  }
  if (owner instanceof Set) return yield { path, change: () => owner.add(99), restore: () => owner.delete(99) };
  const isNumbers = Array.isArray(owner) && owner.every((each) => typeof each === "number") && !OTHER_LISTS.test(path);
  const numbers = isNumbers ? (owner as number[]) : undefined;
  if (numbers !== undefined) yield { path, change: () => numbers.push(77), restore: () => void numbers.pop() };
  for (const name of Object.keys(owner)) {
    if (BESIDES.has(name)) continue;
    const value = (owner as Record<string, unknown>)[name];
    const inside = Array.isArray(owner) || owner instanceof SharedMap ? path : path === "" ? name : `${path}.${name}`;
    yield* leaf(value, inside, seen, (to) => void ((owner as Record<string, unknown>)[name] = to));
  }
}

function* leaf(value: unknown, path: string, seen: Set<object>, put: (to: unknown) => void): Generator<Leaf> {
  // What preparation read is replaced as a whole, and never written.
  if (path === "requests.prepared")
    return yield* Object.entries(value as Prepared).map(([name, was]) => ({ path: `${path}.${name}`, change: () => put({ ...(value as Prepared), [name]: other(was) }), restore: () => put(value) }));
  const changed = other(value);
  if (changed !== undefined) yield { path, change: () => put(changed), restore: () => put(value) };
  else if (typeof value === "object" && value !== null) yield* leavesOf(value, path, seen);
}

/** Everything that a state can have and that few programs bring about. */
function planted(from: Machine): Machine {
  const m = from.fork();
  const { world, ring } = m;
  const eventfd = world.addFile(world.addInode((id) => ({ kind: "eventfd", id, count: 1n, unsure: 1, semaphore: false })).id, 2);
  const pipe = world.addInode((id) => ({ kind: "pipe", id, buffers: [{ at: 0, data: new Uint8Array(3) }], readers: 1, writers: 1, pollUsage: false }));
  world.addInode((id) => ({ kind: "file", id, data: new Uint8Array(4) }));
  world.addInode((id) => ({ kind: "directory", id, entries: new Map([["name", 1]]) }));
  world.fds.set(50, eventfd.id);
  world.registeredRings.set(0, eventfd.id);
  world.unbound.push(eventfd.id);
  world.addWaiter(pipe.id * 2, { request: 1, exclusive: false });
  ring.eventfd = { file: eventfd.id, async: false, lastTail: 0, late: false };
  ring.buffers = [{ addr: 1n, len: 2 } as never];
  ring.overflow = [{ userData: 1n, res: 2, flags: 3, opened: 4, big: [5n, 6n], from: 7, group: 8 }];
  ring.leaked = [[1n, 2n]];
  ring.thread ??= { asleep: false, woken: false, left: 1, posted: false, owes: false, sinceNs: 1n, busyNs: 2n, idleNs: 3n };
  const r = new Request(40);
  m.requests.set(r.id, r);
  Object.assign(r, {
    state: "task-work", wakesFrom: 1, timeoutOff: 1, hashSeq: 1, workSeq: 1, latePosition: 1, cancelling: { seq: 1, count: 2 }, buffer: ring.buffers[0],
    prepared: { fd: 1, addr: 2n, len: 3, off: 4n, opFlags: 5, bufIndex: 6, iov: [{ addr: 7n, len: 8 }], path: "p", message: { command: 1, source: 2, target: 3 }, ns: 9n },
  });
  return m;
}

const hash = new StateHash();
const number = (m: Machine): string => {
  hash.begin().machine(m);
  return `${hash.high}:${hash.low}`;
};
/** The ring's words and the requests in the queue are part of a state too: of a trace they are seen, and not of a key. */
const key = (m: Machine): string =>
  `${m.key()}|${Array.from({ length: 12 }, (_, i) => load32(m.ring.ring.bytes, i * 4)).join()}|${m.ring.sqes.bytes.join()}`;

/** As if nothing had ever been reckoned of it. */
function forget(m: Machine): void {
  const { inodes, files, fds, waiters, registeredRings } = m.world;
  for (const map of [inodes, files, fds, waiters, registeredRings]) map.touch();
  for (const segment of [...m.memory.segments, m.ring.ring, m.ring.sqes]) segment.sum = undefined;
}

/** By field: does the key see it, and does the number? */
function fieldsOf(m: Machine): Map<string, { readonly key: boolean; readonly number: boolean }> {
  const fields = new Map<string, { key: boolean; number: boolean }>();
  const told = (): [string, string] => {
    forget(m);
    return [key(m), number(m)];
  };
  const [wasKey, wasNumber] = told();
  for (const { path, change, restore } of leavesOf(m, "", new Set())) {
    change();
    const [isKey, isNumber] = told();
    restore();
    const before = fields.get(path);
    fields.set(path, { key: before?.key === true || isKey !== wasKey, number: before?.number === true || isNumber !== wasNumber });
  }
  expect(told()).toEqual([wasKey, wasNumber]);
  return fields;
}

describe("what a state is", () => {
  const states: Machine[] = [];
  for (const small of [...Object.values(SMALL), program([])]) {
    explore(small, { profile, statesMax: 60, onState: ({ m }) => void (states.length % 7 === 0 ? states.push(planted(m)) : states.push(m.fork())) });
  }
  const all = new Map<string, { key: boolean; number: boolean }>();
  for (const m of states.filter((_, i) => i % 7 === 0)) {
    for (const [path, { key: inKey, number: inNumber }] of fieldsOf(m)) {
      const before = all.get(path) ?? { key: false, number: false };
      all.set(path, { key: before.key || inKey, number: before.number || inNumber });
    }
  }

  test("the number of a state has every field that its key has, and no other", () => {
    expect(all.size).toBeGreaterThan(120);
    expect([...all].filter(([, told]) => told.key !== told.number)).toEqual([]);
  });

  test("a field that neither has is one that needs none", () => {
    const neither = [...all].filter(([, told]) => !told.key && !told.number).map(([path]) => path);
    expect(neither.filter((path) => ![...NEITHER].some((known) => path === known || path.startsWith(`${known}.`))).sort()).toEqual([]);
    expect([...NEITHER].filter((known) => [...all].some(([path, told]) => path === known && (told.key || told.number)))).toEqual([]);
  });
});
