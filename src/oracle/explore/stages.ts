// Where the application's half of an exploration begins, and how it ends: cancel, settle, take out, until nothing is left.
import { WORD } from "../../model/layout.ts";
import type { Machine } from "../../model/machine.ts";
import { load32, store32, writable } from "../../model/memory.ts";
import { IORING_SETUP_NO_SQARRAY } from "../../spec/constants.gen.ts";
import type { Prelude } from "./prelude.ts";
import type { Application } from "./state.ts";

/** Stages of the end of a program, which is numbered behind its last operation. */
export const END = { settle: 0, reap: 1, head: 2, decide: 3, cancel: 4, over: 5 } as const;

/** What the application does to a ring whose queues it maps: slot i of the array stands for SQE i. */
export function maps(m: Machine): Pick<Application, "tail" | "published" | "head" | "sqHead"> {
  const { ring } = m;
  if ((ring.flags & IORING_SETUP_NO_SQARRAY) === 0)
    for (let i = 0; i < ring.sqEntries; i++) store32(writable(ring.ring), ring.arrayOffset + 4 * i, i);
  const word = (at: number): number => load32(ring.ring.bytes, at);
  return { tail: word(WORD.sqTail), published: word(WORD.sqTail), head: word(WORD.cqHead), sqHead: word(WORD.sqHead) };
}

/** The application's half at the beginning. */
export const begins = (p: Prelude): Application =>
  ({ at: 0, stage: 0, round: 0, taking: 0, overdue: false, shown: -1, left: [], region: -1, ...maps(p.machine) });

export const isOver = (p: Prelude, app: Application): boolean => app.at === p.program.ops.length && app.stage === END.over;
