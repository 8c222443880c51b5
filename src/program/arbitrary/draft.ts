// A program before its requests have names. A draft refers to another request by how far back it is,
// and `resolve` gives every request its user_data and every reference a number: after generation, so
// that dropping operations leaves a program whose references still mean something.
import { IORING_CQE_F_32, IORING_NOP_CQE32, IORING_OP_MSG_RING, IORING_OP_NOP, IORING_POLL_UPDATE_USER_DATA, IORING_TIMEOUT_MULTISHOT } from "../../spec/constants.gen.ts";
import type { Address, Operation, Program, RegisterOperation, SqeSpec } from "../program.ts";

/** What a request that cancels or changes another one looks for. */
export interface Target {
  /** 0: the nearest earlier request of that kind. */
  readonly back: number;
  readonly of: "poll" | "timeout" | "waiting" | "nothing";
}

/** An SQE without its user_data. A field that is undefined is left out. */
export type SqeDraft = { readonly [K in keyof Omit<SqeSpec, "userData">]: SqeSpec[K] | undefined } & {
  readonly opcode: SqeSpec["opcode"];
  /** Becomes sqe.addr. */
  readonly target?: Target | undefined;
};

export type Draft =
  | Exclude<Operation, { op: "sqe" } | { op: "slot" }>
  /** SYNC_CANCEL: `target` becomes the user_data. */
  | (RegisterOperation & { readonly target?: Target | undefined })
  | ({ readonly op: "sqe" } & SqeDraft)
  | { readonly op: "slot"; readonly slot: number; readonly sqe: SqeDraft };

export interface Manner {
  /** What the program has of two flags of which the kernel allows one: CQE_SKIP_SUCCESS forbids later drains. */
  readonly skipOrDrain: "drain" | "skip" | "both" | "neither";
  /** Several requests share a user_data. */
  readonly repeats: boolean;
}

const FIRST = 0xaaa0;
/** Some user_data has bits above the lower 32. */
const HIGH = 2 ** 40;
const HIGH_EVERY = 8;
const RENAMED = 0xbbb0;
const SHARED = 0xccc0;
const NOBODY = 0xdead;
const SHARED_NUMBERS = 3;
const LONG_SECONDS = 100;

interface Known {
  readonly kind: Target["of"] | "other";
  readonly userData: number;
}

const KINDS: Record<string, Known["kind"]> = {
  POLL_ADD: "poll", TIMEOUT: "timeout", LINK_TIMEOUT: "timeout", READ: "waiting", READV: "waiting", WRITE: "waiting", WRITEV: "waiting",
};

function find(known: readonly Known[], { back, of }: Target): number {
  if (of === "nothing") return NOBODY;
  const fits = known.filter(({ kind }) => (of === "waiting" ? kind !== "other" : kind === of));
  return fits[Math.max(0, fits.length - 1 - back)]?.userData ?? known[known.length - 1]?.userData ?? NOBODY;
}

/** An update of a multishot timer lets it repeat for ever: a short one would flood the ring. */
function slow(address: Address): Address {
  return address.is === "time" || address.is === "deadline" ? { is: "time", seconds: LONG_SECONDS, nanoseconds: 0 } : address;
}

class Resolver {
  readonly known: Known[] = [];
  private readonly manner: Manner;
  private readonly repeatsTimers: boolean;

  readonly drafts: readonly Draft[];

  constructor(manner: Manner, drafts: readonly Draft[]) {
    this.manner = manner;
    this.drafts = drafts;
    this.repeatsTimers = drafts.some((draft) => {
      const sqe = draft.op === "slot" ? draft.sqe : draft.op === "sqe" ? draft : undefined;
      return sqe?.opcode === "TIMEOUT" && ((sqe.opFlags ?? 0) & IORING_TIMEOUT_MULTISHOT) !== 0;
    });
  }

  sqe(draft: SqeDraft, index: number): SqeSpec {
    const { target, opcode, flags, ...fields } = draft;
    // A result of another request must never pass for the descriptor that an OPENAT was given.
    const own = !this.manner.repeats || opcode === "OPENAT" || opcode === "CLOSE";
    const userData = own ? FIRST + index + (index % HIGH_EVERY === HIGH_EVERY - 1 ? HIGH : 0) : SHARED + (index % SHARED_NUMBERS);
    const sqe: SqeSpec = { opcode, userData };
    for (const [name, value] of Object.entries(fields)) if (value !== undefined) Object.assign(sqe, { [name]: value });
    const { skipOrDrain } = this.manner;
    const kept = (flags ?? []).filter(
      (flag) =>
        !(flag === "CQE_SKIP_SUCCESS" && (skipOrDrain === "drain" || skipOrDrain === "neither")) &&
        !(flag === "IO_DRAIN" && (skipOrDrain === "skip" || skipOrDrain === "neither")),
    );
    if (kept.length > 0) sqe.flags = kept;
    if (target !== undefined) sqe.addr = { is: "number", number: find(this.known, target) };
    if (opcode === "TIMEOUT_REMOVE" && sqe.addr2 !== undefined && this.repeatsTimers) sqe.addr2 = slow(sqe.addr2);
    if (opcode === "POLL_REMOVE" && ((sqe.len ?? 0) & IORING_POLL_UPDATE_USER_DATA) !== 0) {
      sqe.off = RENAMED + index;
      this.known.push({ kind: "poll", userData: sqe.off });
    }
    this.known.push({ kind: typeof opcode === "string" ? (KINDS[opcode] ?? "other") : "other", userData });
    return sqe;
  }
}

/**
 * [cq.mixed-livelock] Where slots have 16 bytes a long CQE in the backlog can hang the kernel for good: a NOP's on a ring
 * with CQEs of two sizes, and a message that says it is long on any. There are none where the CQ may fill, and none in
 * hostile programs, which lie about its head.
 */
function shortOnly(draft: Draft, ring: Program["ring"]): Draft {
  const short = <T extends SqeDraft>(sqe: T): T => {
    const { opcode, opFlags, spliceFdIn } = sqe;
    if ((opcode === "NOP" || opcode === IORING_OP_NOP) && opFlags !== undefined && ring.flags.includes("CQE_MIXED")) return { ...sqe, opFlags: (opFlags & ~IORING_NOP_CQE32) >>> 0 };
    return (opcode === "MSG_RING" || opcode === IORING_OP_MSG_RING) && spliceFdIn !== undefined ? { ...sqe, spliceFdIn: spliceFdIn & ~IORING_CQE_F_32 } : sqe;
  };
  if (draft.op === "sqe") return short(draft);
  return draft.op === "slot" ? { ...draft, sqe: short(draft.sqe) } : draft;
}

/** More than a legal program's completions. */
export const ROOMY = 256;

const mayHang = (ring: Program["ring"], drafts: readonly Draft[]): boolean =>
  !ring.flags.includes("CQE32") && ((ring.cqEntries ?? 0) < ROOMY || drafts.some(({ op }) => op === "slot" || op === "store" || op === "enter" || op === "register"));

/** The operations of a program whose ring is `ring`. */
export function resolve(drafts: readonly Draft[], ring: Program["ring"], manner: Manner): Operation[] {
  const resolver = new Resolver(manner, mayHang(ring, drafts) ? drafts.map((draft) => shortOnly(draft, ring)) : drafts);
  const slots = slotsOf(ring.entries);
  return resolver.drafts.map((draft, index): Operation => {
    if (draft.op === "slot") return { op: "slot", slot: draft.slot % slots, sqe: resolver.sqe(draft.sqe, index) };
    if (draft.op === "sqe") {
      const { op, ...sqe } = draft;
      return { op, ...resolver.sqe(sqe, index) };
    }
    if (draft.op === "register" && "target" in draft) {
      const { target, does, ...how } = draft;
      return { ...how, does: does.call === "SYNC_CANCEL" && target !== undefined ? { ...does, userData: find(resolver.known, target) } : does };
    }
    return draft.op === "array" ? { ...draft, slot: draft.slot % slots } : { ...draft };
  });
}

/** SQEs that a ring of `entries` has, as far as a slot's number can say. */
function slotsOf(entries: number): number {
  let slots = 1;
  while (slots < entries && slots < 64) slots *= 2;
  return slots;
}
