// Where an event that was rejected differs from what the model would have done: the call's result, completions,
// words of the ring. In the words of the rules' own "shows" (spec/rule/), by which they are ranked (rules.ts).
import type { IoUringParams } from "../kernel.ts";
import type { Cqe } from "../model/machine.ts";
import { WORD } from "../model/layout.ts";
import type { PeekEvent, SetupEvent, TraceEvent } from "../program/trace.ts";
import {
  EINTR, ETIME, IORING_CQE_F_MORE, IORING_SQ_CQ_OVERFLOW, IORING_SQ_NEED_WAKEUP, IORING_SQ_TASKRUN, errnoName,
} from "../spec/constants.gen.ts";
import type { Shows } from "../spec/rules.gen.ts";
import type { Instead } from "./explain.ts";

export interface Difference {
  /** What differs; less than 1 where it follows from something else that does. */
  readonly shows: ReadonlyMap<Shows, number>;
  /** Of the requests whose completions differ. */
  readonly userData: ReadonlySet<bigint>;
  /** Names of errors and of bits that should have been seen, and of those that were, where something differs. */
  readonly allowed: ReadonlySet<string>;
  readonly seen: ReadonlySet<string>;
  /** A wait ran out of its time, and what should have ended it did not come. */
  readonly overdue: boolean;
}

/** What follows from another difference counts for so much. */
const FOLLOWS = 0.4;

class Differing implements Difference {
  readonly shows = new Map<Shows, number>();
  readonly userData = new Set<bigint>();
  readonly allowed = new Set<string>();
  readonly seen = new Set<string>();
  overdue = false;
  /** Something differs that the rest may follow from. */
  private share = 1;

  show(...what: readonly Shows[]): void {
    for (const each of what) this.shows.set(each, Math.max(this.shows.get(each) ?? 0, this.share));
  }

  /** What comes from here on may follow from what was found so far. */
  follows(): void {
    if (this.shows.size > 0) this.share = FOLLOWS;
  }

  results(seen: number | undefined, allowed: number | undefined): void {
    if (seen !== undefined && isError(seen)) this.seen.add(`-${errnoName(-seen)}`);
    if (allowed !== undefined && isError(allowed)) this.allowed.add(`-${errnoName(-allowed)}`);
  }

  enter(seen: number | undefined, allowed: number | undefined): void {
    if (seen === allowed) return;
    this.results(seen, allowed);
    const waits = (n: number | undefined): boolean => n === undefined || n === -ETIME || n === -EINTR;
    const refused = (n: number | undefined): boolean => n !== undefined && n < 0 && !waits(n);
    if (waits(seen) || waits(allowed)) this.show("wait");
    if (refused(seen) || refused(allowed)) this.show("enter");
    if ((seen ?? -1) > 0 || (allowed ?? -1) > 0) this.show("count");
  }

  completions(seen: readonly Cqe[], instead: Instead, known: ReadonlySet<bigint>): void {
    const { atOnce, later } = instead;
    const missing = [...atOnce];
    const toCome = [...later];
    const extra = seen.filter((cqe) => take(missing, (c) => equal(c, cqe)) === undefined && take(toCome, (c) => equal(c, cqe)) === undefined);
    if (extra.length > 1 && renamed(seen, [...atOnce, ...later])) this.show("user_data", "order");
    for (const cqe of extra) {
      if (this.slot(cqe, seen, instead)) this.share = FOLLOWS;
      this.extra(cqe, missing, toCome);
      if (missing.length > 0 && !known.has(cqe.userData)) this.show("user_data", "res");
    }
    for (const cqe of missing) {
      this.show("posted");
      this.userData.add(cqe.userData);
      this.results(undefined, cqe.res);
    }
    if (extra.length > 0 || missing.length > 0) return;
    const inOrder = [...atOnce, ...later].filter((cqe) => seen.some((c) => equal(c, cqe)));
    const out = inOrder.find((cqe, i) => seen[i] !== undefined && !equal(cqe, seen[i]));
    if (out === undefined) return;
    this.show("order");
    this.userData.add(out.userData);
  }

  /** What an entry that should not be there may be beside another request's outcome; true where it is none at all. */
  private slot(cqe: Cqe, seen: readonly Cqe[], { backlog, stale }: Instead): boolean {
    // The backlog was to wait, or what is in front of it to come first.
    if (backlog.some((c) => equal(c, cqe))) this.show("order");
    if (seen.some((c) => c !== cqe && equal(c, cqe))) this.show("posted");
    // Nothing was written to the slot, and the tail is past it.
    const stood = stale.some((c, i) => seen[i] === cqe && equal(c, cqe));
    if (stood) this.show("cq.tail");
    return stood;
  }

  private extra(cqe: Cqe, missing: Cqe[], toCome: Cqe[]): void {
    this.userData.add(cqe.userData);
    const sameRequest = (c: Cqe): boolean => c.userData === cqe.userData;
    const other = take(missing, sameRequest) ?? take(toCome, sameRequest);
    if (other !== undefined) {
      if (other.res !== cqe.res) this.show("res");
      if (other.res !== cqe.res) this.results(cqe.res, other.res);
      if (other.flags !== cqe.flags) this.show("flags");
      if (((other.flags ^ cqe.flags) & IORING_CQE_F_MORE) !== 0) this.allowed.add("F_MORE");
      return;
    }
    const namesake = take(missing, (c) => c.res === cqe.res && c.flags === cqe.flags);
    if (namesake === undefined) {
      this.show("posted");
      this.results(cqe.res, undefined);
      return;
    }
    this.show("user_data");
    this.userData.add(namesake.userData);
  }

  /** `moved`: CQEs are to come that were not seen, and the words they bring about are not held against it. */
  words(seen: readonly number[], allowed: readonly number[], moved: boolean): void {
    const differs = (at: number, mask = 0xffff_ffff): boolean => (((seen[at / 4] ?? 0) ^ (allowed[at / 4] ?? 0)) & mask) !== 0;
    if (FIXED.some((at) => differs(at))) this.show("ring");
    if (differs(WORD.sqHead)) this.show("sq.head");
    if (differs(WORD.sqDropped)) this.show("sq.dropped");
    if (differs(WORD.cqOverflow)) this.show("cq.overflow");
    if (!moved && differs(WORD.cqTail)) this.show("cq.tail");
    for (const [bit, name] of FLAGS) {
      if (moved || !differs(WORD.sqFlags, bit)) continue;
      this.show("sq.flags");
      this.allowed.add(name);
    }
  }

  /** The flag says that there is a backlog where the model has none, or the other way round: it may be the flag, or the backlog. */
  backlog(seen: readonly number[], { words, backlog }: Instead): void {
    if (((((seen[WORD.sqFlags / 4] ?? 0) ^ (words[WORD.sqFlags / 4] ?? 0))) & IORING_SQ_CQ_OVERFLOW) === 0) return;
    this.show("posted");
    for (const cqe of backlog) this.userData.add(cqe.userData);
  }

  params(seen: IoUringParams | undefined, allowed: IoUringParams | undefined): void {
    if (seen === undefined || allowed === undefined) return;
    this.show("params");
    if (seen.sqEntries !== allowed.sqEntries || seen.cqEntries !== allowed.cqEntries) this.allowed.add("entries");
    if (JSON.stringify([seen.sqOff, seen.cqOff]) !== JSON.stringify([allowed.sqOff, allowed.cqOff])) this.allowed.add("offset");
    if (seen.flags !== allowed.flags) this.allowed.add("flags");
    if (seen.features !== allowed.features) this.allowed.add("features");
  }
}

/** Words that the kernel sets up and never moves. */
const FIXED = [WORD.sqRingMask, WORD.cqRingMask, WORD.sqRingEntries, WORD.cqRingEntries, WORD.cqFlags];
const FLAGS = [[IORING_SQ_CQ_OVERFLOW, "IORING_SQ_CQ_OVERFLOW"], [IORING_SQ_TASKRUN, "IORING_SQ_TASKRUN"], [IORING_SQ_NEED_WAKEUP, "IORING_SQ_NEED_WAKEUP"]] as const;

const isError = (n: number): boolean => n < 0 && n > -4096;
const equal = (a: Cqe, b: Cqe): boolean => a.userData === b.userData && a.res === b.res && a.flags === b.flags;

function take<T>(list: T[], fits: (item: T) => boolean): T | undefined {
  const at = list.findIndex(fits);
  return at < 0 ? undefined : list.splice(at, 1)[0];
}

/** The same outcomes in the same places, and the same requests in others. */
function renamed(seen: readonly Cqe[], allowed: readonly Cqe[]): boolean {
  const names = (cqes: readonly Cqe[]): string => cqes.map((c) => c.userData).toSorted((a, b) => Number(a - b)).join();
  const inTheirPlaces = seen.every((cqe, i) => cqe.res === allowed[i]?.res && cqe.flags === allowed[i]?.flags);
  return inTheirPlaces && names(seen) === names(allowed.slice(0, seen.length));
}

/**
 * `call`: what came before a peek. `allowed`: undefined where the model would never have come back from the call. `known`:
 * user_data of requests that there were.
 */
export function difference(event: TraceEvent, call: TraceEvent | undefined, allowed: Instead | undefined, known: ReadonlySet<bigint> = new Set()): Difference {
  const of = new Differing();
  const called = event.event === "peek" ? call : event;
  switch (called?.event) {
    case "setup":
      if (event.event === "setup") setupDiffers(of, event, allowed);
      else of.show("ring");
      break;
    case "look":
    case "memory":
      of.show("memory");
      break;
    case "system":
      if (event.event === "system") {
        of.show("system", "memory");
        of.results(event.result, undefined);
      } else if (allowed?.refused === true) of.show("system", "memory");
      break;
    case "fdinfo":
      if (allowed?.fdinfo !== "the same") of.show("fdinfo");
      break;
    case "register":
      if (called.result !== allowed?.result) {
        of.show("register");
        of.results(called.result, allowed?.result);
      }
      break;
    case "enter":
      of.enter(called.result, allowed?.result);
      of.overdue = event.event === "peek" && called.result === -ETIME && allowed !== undefined && event.cqes.length < allowed.atOnce.length;
      break;
    default:
  }
  if (event.event === "peek" && allowed !== undefined) peekDiffers(of, event, allowed, known);
  return of;
}

function peekDiffers(of: Differing, peek: PeekEvent, allowed: Instead, known: ReadonlySet<bigint>): void {
  // Where a wait ran out for want of completions these come first.
  if (!of.overdue) of.follows();
  of.completions(peek.cqes, allowed, known);
  const posted = of.shows.has("posted");
  of.follows();
  if (allowed.words.length > 0) of.words(peek.words, allowed.words, peek.cqes.length < allowed.atOnce.length + allowed.later.length && allowed.later.length > 0);
  if (allowed.words.length > 0 && !posted && !of.shows.has("order")) of.backlog(peek.words, allowed);
  if (of.shows.size === 0 && peek.cqes.some((cqe) => cqe.big !== undefined)) of.show("big");
  // What comes later came at once, or the other way round.
  if (of.shows.size === 0) of.show("posted");
}

function setupDiffers(of: Differing, event: SetupEvent, allowed: Instead | undefined): void {
  if (event.result < 0 === (allowed?.result ?? 0) < 0) return of.params(event.filled, allowed?.params);
  of.show("setup");
  of.results(event.result, allowed?.result);
}
