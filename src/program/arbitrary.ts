// Random programs for fast-check: plain data that shrinks by dropping operations, and that stays a
// valid, memory-safe program (see safety.ts) however much was dropped. How often what is drawn is in
// the files beside this one.
import fc from "fast-check";
import { resolve, type Draft, type Manner } from "./arbitrary/draft.ts";
import { driverGroup, type Drafts } from "./arbitrary/driver-ops.ts";
import { droppable } from "./arbitrary/droppable.ts";
import { hostileGroup, unboundedWait } from "./arbitrary/hostile-ops.ts";
import { mix, mostly, pick, record, some } from "./arbitrary/mix.ts";
import { oddRing, polled, ring } from "./arbitrary/ring.ts";
import { special, specialRing, withSpecial } from "./arbitrary/special.ts";
import { shape, shapedOps, shapedRing } from "./arbitrary/shape.ts";
import { world } from "./arbitrary/world.ts";
import type { Operation, Program } from "./program.ts";

export interface ProgramOptions {
  /** Fields of the ring that are not drawn. */
  readonly ring?: Partial<Program["ring"]>;
  /** The ring's flags, in the place of drawn ones; CQSIZE is drawn all the same. */
  readonly ringFlags?: Program["ring"]["flags"] | undefined;
  /** Operations, at least (1). */
  readonly minOps?: number;
  /** Operations, at most (56). */
  readonly maxOps?: number;
}

const OPS_MAX = 56;
/** Of a program whose ring may be refused. */
const ODD_OPS_MAX = 3;

const skipOrDrain = pick<Manner["skipOrDrain"]>([8, "neither"], [5, "drain"], [5, "skip"], [1, "both"]);

/** Groups that yield between `minOps` and `maxOps` operations: each yields one or more. */
function groups(of: fc.Arbitrary<Drafts>, { minOps = 1, maxOps = OPS_MAX }: ProgramOptions): fc.Arbitrary<Draft[]> {
  const drawn = some(of, minOps, Math.max(minOps, Math.ceil(maxOps * 0.55)));
  return droppable(drawn.map((all) => all.flat().slice(0, maxOps)), minOps);
}

/** What was drawn, with what the options say of it. */
function onRing(drawn: Program["ring"], { ring: fields = {}, ringFlags }: ProgramOptions): Program["ring"] {
  if (ringFlags === undefined) return polled({ ...drawn, ...fields });
  const sized: Program["ring"]["flags"] = drawn.flags.includes("CQSIZE") ? ["CQSIZE"] : [];
  return polled({ ...drawn, ...fields, flags: [...new Set([...sized, ...ringFlags])] });
}

/** The ring's flags are not for a theme to change. */
const fixes = ({ ringFlags, ring: fields }: ProgramOptions): boolean => (ringFlags ?? fields?.flags) !== undefined;

/** A program that uses the ring as a driver does: correctly, if not always wisely. */
export function legalProgram(options: ProgramOptions = {}): fc.Arbitrary<Program> {
  return record({ ring, world, shape, drafts: groups(driverGroup, options), skipOrDrain, special }).map((drawn) => {
    const on = specialRing(shapedRing(onRing(drawn.ring, options), drawn.shape), drawn.special, fixes(options));
    const manner = { skipOrDrain: drawn.skipOrDrain, repeats: false };
    const ops = shapedOps(resolve(withSpecial(drawn.drafts, drawn.special, options.maxOps ?? OPS_MAX), on, manner), on, drawn.shape);
    return { version: 1, kind: "legal", ring: on, world: drawn.world, ops };
  });
}

const STORES: readonly Operation["op"][] = ["store", "array", "slot"];

/**
 * A thread that polls may read an SQE while it is written, and half of it is nobody's rule (sqpoll.sqe-torn): on such
 * rings a hostile application stores into no memory that is the kernel's.
 */
function whole(ops: Operation[], on: Program["ring"]): Operation[] {
  if (!on.flags.includes("SQPOLL")) return ops;
  const kept = ops.filter(({ op }) => !STORES.includes(op));
  return kept.length > 0 ? kept : [{ op: "submit" }];
}

interface Hostility {
  readonly ring: Program["ring"];
  readonly odd: boolean;
}

/** Puts `wait` in the place of an operation. */
interface Endless {
  readonly at: number;
  readonly wait: Draft;
}

/** A program that also does what no driver should. One in eighty may block for ever. */
export function hostileProgram(options: ProgramOptions = {}): fc.Arbitrary<Program> {
  return record({
    on: mix<Hostility>([92, ring.map((of) => ({ ring: of, odd: false }))], [8, oddRing.map((of) => ({ ring: of, odd: true }))]),
    world,
    drafts: groups(hostileGroup, options),
    skipOrDrain,
    shape,
    repeats: mostly(false, 10, fc.constant(true)),
    endless: mix<Endless | undefined>([79, fc.constant(undefined)], [1, record({ at: fc.nat({ max: 63 }), wait: unboundedWait })]),
    special,
  }).map(({ on: { ring: drawn, odd }, world: within, drafts, skipOrDrain: flags, shape: leaning, repeats, endless, special: told }) => {
    const theme = odd ? undefined : told;
    const wanted = shapedRing(onRing(drawn, odd ? { ...options, ringFlags: undefined } : options), odd ? "wild" : leaning);
    const on = specialRing(wanted, theme, fixes(options));
    let all = odd ? drafts.slice(0, Math.max(ODD_OPS_MAX, options.minOps ?? 1)) : withSpecial(drafts, theme, options.maxOps ?? OPS_MAX);
    if (endless !== undefined) all = all.toSpliced(endless.at % all.length, 1, endless.wait);
    const ops = whole(shapedOps(resolve(all, on, { skipOrDrain: flags, repeats }), on, leaning), on);
    return { version: 1, kind: "hostile", ring: on, world: within, ops };
  });
}

/** Three legal programs to one hostile. */
export function anyProgram(options: ProgramOptions = {}): fc.Arbitrary<Program> {
  return mix([3, legalProgram(options)], [1, hostileProgram(options)]);
}
