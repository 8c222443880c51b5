// Rings that programs run on: small, so that queues fill, wrap and overflow within a few operations;
// and parameters that io_uring_setup refuses.
import fc from "fast-check";
import {
  IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED, IORING_SETUP_DEFER_TASKRUN, IORING_SETUP_HYBRID_IOPOLL,
  IORING_SETUP_REGISTERED_FD_ONLY, IORING_SETUP_SQ_AFF, IORING_SETUP_SQPOLL, IORING_SETUP_TASKRUN_FLAG,
} from "../../spec/constants.gen.ts";
import type { Program } from "../program.ts";
import { mix, pick, record } from "./mix.ts";

type Ring = Program["ring"];
type RingFlag = Ring["flags"][number];

const rounded = (entries: number): number => 2 ** Math.ceil(Math.log2(entries));
const other: readonly RingFlag[] = ["CLAMP", "SUBMIT_ALL", "NO_SQARRAY", "COOP_TASKRUN", "SINGLE_ISSUER"];

/** Task work that waits to be asked for, or says that it is there; entries of other sizes. */
const modes: fc.Arbitrary<readonly RingFlag[]> = pick<readonly RingFlag[]>(
  [49, []], [4, ["DEFER_TASKRUN", "SINGLE_ISSUER"]], [2, ["DEFER_TASKRUN", "SINGLE_ISSUER", "TASKRUN_FLAG"]],
  [2, ["COOP_TASKRUN", "TASKRUN_FLAG"]], [2, ["SQE128"]], [2, ["CQE32"]], [2, ["CQE_MIXED"]], [1, ["SQPOLL"]],
);

/** Milliseconds until a thread that polls sleeps: at once, between two operations, or hardly ever. */
const IDLE = [1, 6, 60] as const;

/** A ring with IORING_SETUP_SQPOLL has no task work of the application's thread. */
export function polled(of: Ring): Ring {
  if (!of.flags.includes("SQPOLL")) return of;
  const flags = of.flags.filter((flag) => flag !== "COOP_TASKRUN");
  return { ...of, flags, sqThreadIdle: IDLE[of.entries % IDLE.length] ?? 1 };
}

/** `cq`: "equal" to the SQ, so that it overflows often; the kernel's "default" is twice that. */
export const ring: fc.Arbitrary<Ring> = record({
  entries: pick([6, 4], [2, 1], [4, 2], [5, 8], [1, 3], [1, 5]),
  cq: pick([6, "equal"], [3, "default"], [1, "larger"], [1, "odd"]),
  plain: mix<RingFlag[]>([2, fc.constant([])], [5, fc.subarray([...other])]),
  mode: modes,
}).map(({ entries, cq, plain, mode }) => {
  const flags = [...new Set([...plain, ...mode])];
  // Without CQSIZE it is not looked at.
  if (cq === "default") return entries === 4 ? { entries, flags, cqEntries: 2 } : { entries, flags };
  const same = rounded(entries);
  const cqEntries = cq === "equal" ? same : cq === "larger" ? 4 * same : same + 1;
  return { entries, flags: ["CQSIZE", ...flags], cqEntries };
});

/** Parameters that are refused; the last two are taken, clamped to the largest ring. */
export const oddRing: fc.Arbitrary<Ring> = mix<Ring>(
  [10, fc.constantFrom<Ring>(
    { entries: 0, flags: [] },
    { entries: 40_000, flags: [] },
    { entries: 0xffff_ffff, flags: [] },
    { entries: 4, flags: ["CQSIZE"], cqEntries: 0 },
    { entries: 4, flags: ["CQSIZE"] },
    { entries: 4, flags: ["CQSIZE"], cqEntries: 2 },
    { entries: 5, flags: ["CQSIZE"], cqEntries: 4 },
    { entries: 4, flags: ["CQSIZE"], cqEntries: 70_000 },
    { entries: 4, flags: [], cqEntries: 3 },
    { entries: 0, flags: ["CLAMP"] },
  )],
  [4, record({ entries: fc.constant(4), flags: fc.constant([]), unknownFlags: pick([2, 0x8000_0000], [2, 0x4000_0000], [1, 0x0100_0000]) })],
  // flags that are known, and refused together or alone
  [4, fc.constantFrom<Ring>(
    { entries: 4, flags: [], unknownFlags: IORING_SETUP_TASKRUN_FLAG },
    { entries: 4, flags: [], unknownFlags: IORING_SETUP_DEFER_TASKRUN },
    { entries: 4, flags: ["COOP_TASKRUN"], unknownFlags: IORING_SETUP_SQPOLL },
    { entries: 4, flags: [], unknownFlags: IORING_SETUP_SQ_AFF },
    { entries: 4, flags: [], unknownFlags: IORING_SETUP_REGISTERED_FD_ONLY },
    { entries: 4, flags: [], unknownFlags: IORING_SETUP_HYBRID_IOPOLL },
    { entries: 4, flags: [], unknownFlags: IORING_SETUP_CQE32 | IORING_SETUP_CQE_MIXED },
  )],
  [4, record({ entries: fc.constant(4), flags: fc.constant([]), resv: fc.constantFrom<[number, number, number]>([1, 0, 0], [0, 1, 0], [0, 0, 0x8000_0000]) })],
  [2, fc.constantFrom<Ring>(
    { entries: 40_000, flags: ["CLAMP"] },
    { entries: 1, flags: ["CQSIZE", "CLAMP"], cqEntries: 70_000 },
  )],
);
