// What the completions of a program so far say of its requests, reckoned once for each list of them: how many last
// completions each user_data has, and whether the order of the list breaks a chain or a drain.
import type { Program, SqeSpec } from "../../program/program.ts";
import { IORING_CQE_F_MORE, IORING_CQE_F_SKIP } from "../../spec/constants.gen.ts";
import type { Line } from "./history.ts";

/** One request of a program, in the order of submission. */
export interface Submitted {
  /** The operation that it is of. */
  readonly at: number;
  readonly userData: bigint;
  readonly sqe: SqeSpec;
  /** It, or one of its chain, asked for no completion. */
  readonly maybeSilent: boolean;
  /** Number of the chain that it is in. */
  readonly chain: number;
}

const has = (sqe: SqeSpec, ...flags: readonly string[]): boolean => sqe.flags?.some((f) => flags.includes(f)) === true;

/** All requests, in order; undefined where that is not known before: raw programs submit what they like, as often as they like. */
export function submittedBy(program: Program, sqEntries: number): readonly Submitted[] | undefined {
  const all: { at: number; userData: bigint; sqe: SqeSpec; chain: number }[] = [];
  let chain = 0;
  for (const [at, op] of program.ops.entries()) {
    if (op.op === "store" || op.op === "array" || op.op === "slot" || op.op === "enter") return undefined;
    // [link.not-across-submissions]
    if (op.op === "submit") chain++;
    if (op.op !== "sqe") continue;
    if (op.opcode === "POLL_REMOVE" && (op.len ?? 0) !== 0) return undefined;
    all.push({ at, userData: BigInt(op.userData), sqe: op, chain });
    if (!has(op, "IO_LINK", "IO_HARDLINK")) chain++;
  }
  const silent = new Set(all.filter(({ sqe }) => has(sqe, "CQE_SKIP_SUCCESS")).map((s) => s.chain));
  // Where the queue may fill up, a submission that came short may end inside a chain, and nobody knows which.
  const resizes = program.ops.some((op) => op.op === "register" && op.does.call === "RESIZE_RINGS");
  if (all.length > sqEntries || resizes) return all.map((s, i) => ({ ...s, chain: i, maybeSilent: silent.size > 0 }));
  return all.map((s) => ({ ...s, maybeSilent: silent.has(s.chain) }));
}

const hex = (userData: bigint): string => `0x${userData.toString(16)}`;

/** The requests that were taken, by user_data. */
export interface Tally {
  readonly userData: bigint;
  readonly taken: number;
  /** Of these, those that may complete in silence. */
  readonly silent: number;
}

export function tallies(taken: readonly Submitted[]): readonly Tally[] {
  const all = new Map<bigint, Tally>();
  for (const { userData, maybeSilent } of taken) {
    const before = all.get(userData) ?? { userData, taken: 0, silent: 0 };
    all.set(userData, { userData, taken: before.taken + 1, silent: before.silent + (maybeSilent ? 1 : 0) });
  }
  return [...all.values()];
}

/** user_data of completions that are nobody's result: those of messages. */
export function messagesOf(program: Program): ReadonlySet<bigint> {
  const all = new Set<bigint>();
  for (const op of program.ops) {
    const sqe = op.op === "slot" ? op.sqe : op;
    if ("opcode" in sqe && (sqe.opcode === "MSG_RING" || typeof sqe.opcode === "number")) all.add(BigInt(sqe.off ?? 0));
  }
  return all;
}

export interface Account {
  /** Completions without IORING_CQE_F_MORE by user_data. */
  readonly last: ReadonlyMap<bigint, number>;
  /** A chain, or a drain, whose order the list breaks: which. */
  readonly chainBroken: string | undefined;
  readonly drainBroken: string | undefined;
}

const NOTHING: Account = { last: new Map(), chainBroken: undefined, drainBroken: undefined };

export interface SeenCompletion {
  readonly userData: bigint;
  readonly res: string;
  readonly flags: number;
}

export function parseCqe(text: string): SeenCompletion {
  const [, userData = "0", res = "", flags = "0"] = text.split(" ");
  return { userData: BigInt(userData), res, flags: Number(flags) };
}

export class Accounts {
  private readonly known = new Map<number, Account>();
  private readonly submitted: readonly Submitted[];

  constructor(submitted: readonly Submitted[]) {
    this.submitted = submitted;
  }

  of(line: Line): Account {
    if (line.parent === undefined) return NOTHING;
    let account = this.known.get(line.id);
    if (account === undefined) {
      account = this.further(this.of(line.parent), parseCqe(line.text));
      this.known.set(line.id, account);
    }
    return account;
  }

  private further(before: Account, cqe: SeenCompletion): Account {
    // What fills the end of a queue is no completion. [cq.mixed-filler]
    if ((cqe.flags & (IORING_CQE_F_MORE | IORING_CQE_F_SKIP)) !== 0) return before;
    const last = new Map(before.last);
    last.set(cqe.userData, (last.get(cqe.userData) ?? 0) + 1);
    const at = this.only(cqe.userData);
    const chainBroken = before.chainBroken ?? (at < 0 ? undefined : this.overtaken(at, before.last));
    const drainBroken = before.drainBroken ?? (at < 0 || cqe.res.startsWith("-") ? undefined : this.undrained(at, before.last));
    return { last, chainBroken, drainBroken };
  }

  /** The one request with this user_data; -1: none, or several. */
  private only(userData: bigint): number {
    const at = this.submitted.findIndex((s) => s.userData === userData);
    return this.submitted.findLastIndex((s) => s.userData === userData) === at ? at : -1;
  }

  /** A request in front of this one in its chain that has no completion yet, and owes one. A timer behind a request has its own time. */
  private overtaken(at: number, last: ReadonlyMap<bigint, number>): string | undefined {
    const me = this.submitted[at];
    if (me === undefined || me.sqe.opcode === "LINK_TIMEOUT") return undefined;
    for (const [i, other] of this.submitted.slice(0, at).entries()) {
      if (other.chain !== me.chain || other.maybeSilent || other.sqe.opcode === "LINK_TIMEOUT" || this.only(other.userData) !== i) continue;
      if (!last.has(other.userData)) return `${hex(me.userData)} completed before ${hex(other.userData)}, which is in front of it in its chain`;
    }
    return undefined;
  }

  /** A request in front of a drained one that has not completed, though the drained one has. */
  private undrained(at: number, last: ReadonlyMap<bigint, number>): string | undefined {
    const me = this.submitted[at];
    if (me === undefined || !has(me.sqe, "IO_DRAIN")) return undefined;
    for (const [i, other] of this.submitted.slice(0, at).entries()) {
      if (other.maybeSilent || other.chain === me.chain || this.only(other.userData) !== i) continue;
      if (!last.has(other.userData)) return `${hex(me.userData)} drains, and completed before ${hex(other.userData)}`;
    }
    return undefined;
  }
}
