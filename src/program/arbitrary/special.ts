// What a ring is told beside its queues: one program in eight has a theme, such as rings by index or other queues, and
// several calls of it among everything else that a program does. Nothing of it is drawn before the rest of the program.
import fc from "fast-check";
import {
  IORING_ASYNC_CANCEL_ALL, IORING_ASYNC_CANCEL_ANY, IORING_ASYNC_CANCEL_FD, IORING_ASYNC_CANCEL_OP, IORING_ENTER_GETEVENTS, IORING_NOP_CQE32, IORING_OP_POLL_ADD,
  IORING_OP_READ, IORING_REGISTER_ENABLE_RINGS, IORING_REGISTER_SYNC_CANCEL, IORING_SETUP_CLAMP, IORING_SETUP_CQSIZE, IORING_SETUP_SQPOLL, OPCODES,
} from "../../spec/constants.gen.ts";
import { PROGRAM_OPCODES, type Operation, type Program } from "../program.ts";
import { ANY, type Registration } from "../registration.ts";
import { ROOMY, type Draft, type Target } from "./draft.ts";
import { droppable } from "./droppable.ts";
import { mix, mixToFirst, mostly, pick, record, some } from "./mix.ts";

type Flags = Program["ring"]["flags"];
type Call<Name extends Registration["call"]> = Extract<Registration, { call: Name }>;

/** A theme's calls, and where among the program's they go. */
export interface Special {
  /** Flags that the ring has, and those that it has not. */
  readonly flags: Flags;
  readonly without: Flags;
  /** Entries of the CQ, where the theme is for a certain number. */
  readonly cqEntries: number | undefined;
  /** What comes before everything else. */
  readonly opening: readonly Draft[];
  readonly rest: readonly { readonly at: number; readonly what: Draft }[];
}

const CALLS_MAX = 6;
const register = <T extends Registration>(does: fc.Arbitrary<T>): fc.Arbitrary<Draft> => does.map((of) => ({ op: "register", does: of }));
const call = <const T extends Registration>(does: T): Draft => ({ op: "register", does });

const slot = pick([4, 0], [2, 1], [1, 2], [1, 15]);
const badSlot = pick([2, 16], [1, 3], [1, ANY - 1]);
const wrongFd = pick([2, "closed"], [1, "none"], [2, "p0r"], [1, "e0"]);

/** Calls that take no argument. */
const BARE: readonly Registration["call"][] = ["PERSONALITY", "UNREGISTER_PERSONALITY", "UNREGISTER_EVENTFD", "ENABLE_RINGS"];

/** Nothing of a call is right, or what it is told to do has been done. */
function spoilt(of: fc.Arbitrary<Draft>): fc.Arbitrary<Draft> {
  return record({
    draft: of,
    how: mix<Partial<Operation & { op: "register" }>>(
      [2, fc.constant({ arg: "fault" })], [2, fc.constant({ arg: "null" })], [1, fc.constant({ count: 0 })], [1, fc.constant({ count: 257 })],
      [2, record({ index: mix<number>([2, slot], [1, badSlot], [1, fc.constant(ANY)]) })],
    ),
  }).map(({ draft, how }): Draft => {
    if (draft.op !== "register") return draft;
    // They must allow what ends the run, so they are never cut short.
    if (draft.does.call === "RESTRICTIONS" && how.count === 0) return draft;
    return how.arg === "fault" && BARE.includes(draft.does.call) ? draft : { ...draft, ...how };
  });
}

// Rings by index.
const ringFds = record<Call<"RING_FDS">>({
  call: fc.constant("RING_FDS"),
  entries: some(record({ fd: mix<string>([9, fc.constant("ring")], [2, wrongFd]), slot: mix<number>([4, slot], [4, fc.constant(ANY)], [1, badSlot]), reserved: mostly(undefined, 4, fc.constant(1)) }), 1, 3),
});
const unregisterRingFds = record<Call<"UNREGISTER_RING_FDS">>({
  call: fc.constant("UNREGISTER_RING_FDS"),
  entries: some(record({ slot: mix<number>([6, slot], [1, badSlot]), data: mostly(undefined, 4, fc.constant(1)), reserved: mostly(undefined, 4, fc.constant(1)) }), 1, 2),
});
const submitByIndex = record({
  op: fc.constant("submit" as const), index: mix<number>([9, slot], [1, badSlot]), getevents: mostly(undefined, 20, fc.constant(true)),
  wait: mostly(undefined, 20, fc.integer({ min: 1, max: 3 })),
});

// What the kernel has.
const query = record<Call<"QUERY">>({
  call: fc.constant("QUERY"),
  entries: some(record({
    query: pick([12, 0], [1, 1], [1, 2], [1, ANY]), room: mix<number>([6, pick([3, 48], [1, 40], [1, 0], [1, 64])], [2, fc.integer({ min: 1, max: 128 })]),
    result: mostly(undefined, 5, fc.constant(1)), reserved: mostly(undefined, 5, fc.constant(1)), fault: mostly(undefined, 5, fc.constant(true)),
  }), 0, 4),
});
const blindQuery = query.map((does): Draft => ({ op: "register", does, index: ANY }));
const probe = record({ does: record<Call<"PROBE">>({ call: fc.constant("PROBE"), dirty: mostly(undefined, 10, fc.constant(true)) }), count: pick([3, undefined], [1, 0], [1, 1], [1, 60], [1, 100]) })
  .map(({ does, count }): Draft => (count === undefined ? { op: "register", does } : { op: "register", does, count }));
const personality: fc.Arbitrary<Draft> = mix<Draft>(
  [3, fc.constant(call({ call: "PERSONALITY" }))],
  [2, register(record({ call: fc.constant("UNREGISTER_PERSONALITY" as const), id: pick([4, 1], [2, 2], [1, 0], [1, 7]) }))],
);

// How waits end.
type Enter = Operation & { op: "enter" };
const shortWait = record({ seconds: fc.constant(0), nanoseconds: fc.integer({ min: 0, max: 200 }).map((us) => us * 1000) });
const waits = (more: fc.Arbitrary<Partial<Enter>>, index: number): fc.Arbitrary<Draft> =>
  record({ toSubmit: pick([3, 0], [1, 1], [1, 4]), minComplete: fc.integer({ min: 0, max: 4 }), more, index: mostly(undefined, index, slot) }).map(
    ({ toSubmit, minComplete, more: how, index: by }): Draft => ({ op: "enter", toSubmit, minComplete, flags: IORING_ENTER_GETEVENTS, ...how, ...(by === undefined ? {} : { index: by }) }));
const timed = waits(mix<Partial<Enter>>(
  [3, record({ minWait: fc.integer({ min: 0, max: 150 }), wait: shortWait })], [1, record({ minWait: fc.integer({ min: 1, max: 150 }) })],
  [3, record({ until: fc.integer({ min: -50, max: 200 }) })], [1, record({ until: fc.integer({ min: 0, max: 200 }), minWait: fc.integer({ min: 0, max: 100 }) })],
), 5);
const clock = register(record<Call<"CLOCK">>({ call: fc.constant("CLOCK"), clock: pick([4, 1], [1, 0], [1, 99]), reserved: mostly(undefined, 10, fc.constant(1)) }));

const sleeps = (nanoseconds: number): Draft => ({ op: "sqe", opcode: "TIMEOUT", addr: { is: "time", seconds: 0, nanoseconds }, len: 1, off: 0 });
/** A wait for more than comes, which has no end of its own: a timer that fires ends it, and a later one if the first was too soon. */
const TIMER_ENDS_WAIT: readonly Draft[] = [
  sleeps(2_000_000), sleeps(300_000_000), { op: "submit" }, { op: "enter", toSubmit: 0, minComplete: 3, flags: IORING_ENTER_GETEVENTS },
];

const bootClock = call({ call: "CLOCK", clock: 7 });

// Memory regions. One page has 64 entries.
const offset = mix<number>([6, pick([2, 0], [2, 64], [1, 128], [1, 3968])], [1, fc.constant(4032)], [1, pick([1, 4096], [1, 4], [1, 0xffff_ffc0])]);
const byRegion = waits(record({
  wait: shortWait, minWait: mostly(undefined, 30, fc.integer({ min: 0, max: 100 })),
  region: record({ offset, size: mostly(undefined, 6, pick([1, 24], [1, 0], [1, 128])), flags: mostly(undefined, 6, fc.constant(3)) }),
}), 5);
const wrongRegion = pick([2, undefined], [1, "size"], [1, "id"], [1, "offset"], [1, "reserved"], [1, "flags"], [1, "type"], [1, "description"]);
const region = register(record<Call<"MEM_REGION">>({
  call: fc.constant("MEM_REGION"), memory: pick([4, "program"], [1, "fault"]), pages: pick([3, 1], [1, 2], [1, 0]),
  waits: mostly(undefined, 60, fc.constant(true)), wrong: wrongRegion,
}).map((of) => (of.memory === "fault" ? { ...of, pages: Math.min(of.pages, 1) } : of)));
const kernelRegion = call({ call: "MEM_REGION", memory: "kernel", pages: 1 });
const ENABLE = call({ call: "ENABLE_RINGS" });
const REGION = call({ call: "MEM_REGION", memory: "program", pages: 1, waits: true });

// Other queues.
const resize = register(mix<Call<"RESIZE_RINGS">>(
  [8, record({
    call: fc.constant("RESIZE_RINGS" as const), entries: pick([3, 4], [2, 8], [2, 2], [1, 16], [1, 1], [1, 5], [1, 64]),
    flags: fc.constant(IORING_SETUP_CQSIZE), cqEntries: pick([2, 4], [3, 8], [2, 16], [1, 64], [1, 2], [1, 256], [1, 9]),
  })],
  [3, record({ call: fc.constant("RESIZE_RINGS" as const), entries: pick([2, 4], [2, 8], [1, 32]), flags: pick([3, 0], [1, IORING_SETUP_CLAMP]) })],
  [2, record({
    call: fc.constant("RESIZE_RINGS" as const), entries: pick([1, 0], [1, 40_000], [2, 4]), cqEntries: pick([1, 0], [1, 2], [1, 70_000]),
    flags: pick([2, IORING_SETUP_CQSIZE], [1, 0], [1, IORING_SETUP_SQPOLL]),
  })],
));

const big: fc.Arbitrary<Draft> = record({ off: fc.nat({ max: 0xffff }), number: fc.nat({ max: 0xffff }) })
  .map(({ off, number }) => ({ op: "sqe", opcode: "NOP", opFlags: IORING_NOP_CQE32, off, addr: { is: "number", number } }));

// What completions signal, and cancels that are calls.
const eventfd: fc.Arbitrary<Draft> = record({ async: mostly(false, 25, fc.constant(true)), fd: mix<string>([8, pick([2, "e1"], [1, "e0"])], [1, wrongFd]) })
  .map(({ async, fd }) => call({ call: async ? "EVENTFD_ASYNC" : "EVENTFD", fd }));
const signals: fc.Arbitrary<Draft> = mix<Draft>(
  [3, eventfd], [2, fc.constant(call({ call: "UNREGISTER_EVENTFD" }))], [2, fc.constant({ op: "read", fd: "e1", bytes: 8 })],
  [1, record({ op: fc.constant("store" as const), word: fc.constant("cqFlags" as const), value: pick([2, 1], [1, 0]) })],
);
const target: fc.Arbitrary<Target> = record({ back: pick([5, 0], [2, 1], [1, 2]), of: pick([4, "waiting"], [2, "poll"], [2, "timeout"], [1, "nothing"]) });
const syncCancel: fc.Arbitrary<Draft> = record({
  target, flags: mix<number>([6, pick([4, 0], [3, IORING_ASYNC_CANCEL_ALL], [2, IORING_ASYNC_CANCEL_FD], [2, IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_ALL], [2, IORING_ASYNC_CANCEL_OP], [2, IORING_ASYNC_CANCEL_ANY])], [1, pick([1, 0x40], [1, 0x8000_0000])]),
  fd: mix<string>([8, pick([3, "p0r"], [1, "p1r"], [2, "e0"], [1, "p0w"])], [1, fc.constant("closed")]),
  opcode: pick([2, IORING_OP_READ], [2, IORING_OP_POLL_ADD]), reserved: mostly(undefined, 4, fc.constant(1)),
}).map(({ target: of, flags, fd, opcode, reserved }): Draft => ({
  op: "register", target: of,
  does: {
    call: "SYNC_CANCEL", flags, ...((flags & IORING_ASYNC_CANCEL_FD) !== 0 ? { fd } : {}), ...((flags & IORING_ASYNC_CANCEL_OP) !== 0 ? { opcode } : {}),
    ...(reserved === undefined ? {} : { reserved }),
  },
}));

// What may be submitted and registered.
const CLEANING: Call<"RESTRICTIONS">["allow"][number] = { kind: "REGISTER_OP", value: IORING_REGISTER_SYNC_CANCEL };
const opcodeNumbers = OPCODES.filter(({ name }) => (PROGRAM_OPCODES as readonly string[]).includes(name.replace("IORING_OP_", ""))).map(({ value }) => value);
const restrictions = record({
  ops: mix<number[]>([4, fc.subarray([...opcodeNumbers], { minLength: 9 })], [1, fc.subarray([...opcodeNumbers])]),
  registers: fc.subarray([0, 4, 5, 8, 9, 10, IORING_REGISTER_ENABLE_RINGS, 20, 21, 35], { minLength: 2 }),
  flags: mix<Call<"RESTRICTIONS">["allow"]>([5, fc.constant([{ kind: "SQE_FLAGS_ALLOWED", value: 0xff }])], [3, fc.integer({ min: 0, max: 127 }).map((value) => [{ kind: "SQE_FLAGS_ALLOWED" as const, value }])],
    [1, fc.constant([{ kind: "SQE_FLAGS_REQUIRED", value: 0x10 }, { kind: "SQE_FLAGS_ALLOWED", value: 0x6f }])], [1, fc.constant([])], [1, fc.constant([{ kind: 9, value: 0 }])]),
}).map(({ ops, registers, flags }) => call({
  call: "RESTRICTIONS",
  allow: [CLEANING, ...flags, ...registers.slice(0, 4).map((value) => ({ kind: "REGISTER_OP" as const, value })), ...ops.slice(0, 13).map((value) => ({ kind: "SQE_OP" as const, value }))],
}));

/** Calls of one theme; `opening` and `flags` say what they need. */
function theme(of: fc.Arbitrary<Draft>, more: { readonly opening?: fc.Arbitrary<readonly Draft[]>; readonly flags?: Flags; readonly without?: Flags; readonly cqEntries?: number } = {}): fc.Arbitrary<Special> {
  const { opening = fc.constant([]), flags = [], without = [], cqEntries } = more;
  const one = record({ at: fc.nat({ max: 63 }), what: mix([15, of], [1, spoilt(of)]) });
  return record<Special>({ flags: fc.constant(flags), without: fc.constant(without), cqEntries: fc.constant(cqEntries), opening, rest: droppable(some(one, 1, CALLS_MAX), 0) });
}

const disabled = { flags: ["R_DISABLED"] as Flags };
const themes: Record<string, fc.Arbitrary<Special>> = {
  indices: theme(mix<Draft>([4, register(ringFds)], [2, register(unregisterRingFds)], [5, submitByIndex], [1, register(query).map((of): Draft => ({ ...of, index: 0 }) as Draft)]), {
    opening: mix<readonly Draft[]>([5, fc.constant([call({ call: "RING_FDS", entries: [{ fd: "ring", slot: 0 }] })])], [1, fc.constant([])]),
  }),
  queries: theme(mix<Draft>([3, register(query)], [2, blindQuery], [2, probe], [3, personality])),
  waits: theme(mix<Draft>([8, timed], [1, clock]), { opening: mix<readonly Draft[]>([1, fc.constant([])], [1, fc.constant(TIMER_ENDS_WAIT)]) }),
  regions: theme(mix<Draft>([8, byRegion], [1, region], [1, fc.constant(ENABLE)]), {
    ...disabled, opening: mix<readonly Draft[]>([7, fc.constant([REGION, ENABLE])], [1, region.map((of) => [of, ENABLE])], [1, fc.constant([kernelRegion, bootClock, ENABLE])]),
  }),
  resizing: theme(resize, { flags: ["DEFER_TASKRUN", "SINGLE_ISSUER"], without: ["SQPOLL"] }),
  signals: theme(signals, { opening: mix<readonly Draft[]>([3, fc.constant([call({ call: "EVENTFD", fd: "e1" })])], [1, eventfd.map((of) => [of])]) }),
  cancels: theme(syncCancel),
  // A CQE of 32 bytes among short ones, on a CQ that does not fill. [cq.mixed-livelock]
  mixed: theme(big, { flags: ["CQE_MIXED", "CQSIZE"], without: ["CQE32"], cqEntries: ROOMY }),
  restricted: theme(mix<Draft>([2, personality], [1, register(query)], [1, syncCancel], [1, restrictions], [1, fc.constant(ENABLE)]), {
    ...disabled, opening: mix<readonly Draft[]>([5, restrictions.map((of) => [of, ENABLE])], [1, fc.constant([ENABLE])]),
  }),
};

const WITHOUT = 86;
const WEIGHTS: readonly (readonly [number, keyof typeof themes])[] = [[2, "indices"], [1, "queries"], [2, "waits"], [2, "regions"], [2, "cancels"], [1, "restricted"], [2, "resizing"], [1, "signals"], [1, "mixed"]];

/** A theme for one program in eight. */
export const special: fc.Arbitrary<Special | undefined> = mixToFirst<Special | undefined>(
  [WITHOUT, fc.constant(undefined)],
  ...WEIGHTS.map(([weight, name]): [number, fc.Arbitrary<Special | undefined>] => [weight, themes[name] ?? fc.constant(undefined)]),
);

/** The ring that the theme is for; what was asked for (`fixed`) stays as it is. */
export function specialRing(ring: Program["ring"], of: Special | undefined, fixed: boolean): Program["ring"] {
  if (of === undefined || fixed) return ring;
  const flags = [...new Set([...ring.flags.filter((flag) => !of.without.includes(flag)), ...of.flags])];
  return { ...ring, flags, ...(of.cqEntries === undefined ? {} : { cqEntries: of.cqEntries }) };
}

/** The theme's calls among the others; `most` of all. */
export function withSpecial(drafts: readonly Draft[], of: Special | undefined, most: number): readonly Draft[] {
  if (of === undefined) return drafts;
  const all = drafts.slice(0, Math.max(0, most - of.rest.length - of.opening.length));
  for (const { at, what } of of.rest) all.splice(at % (all.length + 1), 0, what);
  return [...of.opening, ...all];
}
