// What a program leans towards, so that campaigns are made of programs that can be judged to the end.
// Workers that complete into a full CQ show nothing of when they did: one program in seventy is made of
// that; the others have either a roomy CQ or requests that the application's thread completes itself.
import type { Operation, Program, SqeSpec } from "../program.ts";
import { pick } from "./mix.ts";

/** "roomy": any request, a CQ that does not fill. "inline": a small CQ, no workers. "wild": both at once. */
export type Shape = "roomy" | "inline" | "wild";

export const shape = pick<Shape>([42, "inline"], [30, "roomy"], [1, "wild"]);

const ROOMY_ENTRIES = 256;
const BY_WORKERS: readonly SqeSpec["opcode"][] = ["FSYNC", "OPENAT"];
const WRITES: readonly SqeSpec["opcode"][] = ["WRITE", "WRITEV"];
const NEVER: readonly string[] = ["ASYNC", "IO_DRAIN"];
const LINKS: readonly string[] = ["IO_LINK", "IO_HARDLINK"];

export function shapedRing(ring: Program["ring"], of: Shape): Program["ring"] {
  if (of !== "roomy" || ring.entries === 0 || ring.entries > 64) return ring;
  const flags = ring.flags.filter((flag) => flag !== "CQSIZE");
  return { ...ring, flags: ["CQSIZE", ...flags], cqEntries: ROOMY_ENTRIES };
}

/** Requests that a "roomy" program lets pile up before it waits for what must come. */
const PILE = 3;

/** "inline": only what needs no worker. "roomy": a wait now and then, so that not everything races with everything. */
export function shapedOps(ops: readonly Operation[], ring: Program["ring"], of: Shape): Operation[] {
  if (of === "roomy") return settled(ops);
  if (of === "wild") return [...ops];
  const kept: Operation[] = [];
  for (const operation of ops) {
    if (operation.op === "sqe") {
      if (!needsWorker(operation)) kept.push(withoutFlags(operation, NEVER));
    } else if (operation.op === "slot") {
      if (!needsWorker(operation.sqe)) kept.push({ ...operation, sqe: withoutFlags(operation.sqe, NEVER) });
    } else {
      kept.push(operation);
    }
  }
  return terminated(kept.length > 0 ? kept : [{ op: "submit" }], ring.entries);
}

function settled(ops: readonly Operation[]): Operation[] {
  const kept: Operation[] = [];
  let pile = 0;
  for (const operation of ops) {
    kept.push(operation);
    if (operation.op === "sqe") pile++;
    if (operation.op === "settle") pile = 0;
    if (operation.op !== "submit" || pile < PILE) continue;
    kept.push({ op: "settle" });
    pile = 0;
  }
  return kept;
}

function needsWorker(sqe: SqeSpec): boolean {
  if (BY_WORKERS.includes(sqe.opcode)) return true;
  return WRITES.includes(sqe.opcode) && !(sqe.fd ?? "").startsWith("p");
}

function withoutFlags<T extends SqeSpec>(sqe: T, names: readonly string[]): T {
  return sqe.flags === undefined ? sqe : { ...sqe, flags: sqe.flags.filter((flag) => !names.includes(flag)) };
}

/** A chain that the submission cuts off goes to a worker: the last request before every submission ends its chain. */
function terminated(ops: Operation[], entries: number): Operation[] {
  let last = -1;
  let queued = 0;
  const end = (): void => {
    const operation = ops[last];
    if (operation?.op === "sqe") ops[last] = withoutFlags(operation, LINKS);
    queued = 0;
  };
  for (const [i, operation] of ops.entries()) {
    if (operation.op === "submit" || operation.op === "enter") end();
    if (operation.op !== "sqe") continue;
    if (queued === 2 ** Math.ceil(Math.log2(Math.max(entries, 1)))) end();
    last = i;
    queued++;
  }
  return ops;
}
