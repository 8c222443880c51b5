// Where the application's half of an exploration begins, and how it ends: cancel, settle, take out, until nothing is left.
import { WORD } from "../../model/layout.ts";
import { load32, store32, writable } from "../../model/memory.ts";
import { IORING_SETUP_NO_SQARRAY } from "../../spec/constants.gen.ts";
import type { Prelude } from "./prelude.ts";
import type { Application } from "./state.ts";

/** Stages of the end of a program, which is numbered behind its last operation. */
export const END = { settle: 0, reap: 1, head: 2, decide: 3, cancel: 4, over: 5 } as const;

/** The application's half at the beginning, and what it does to the ring then: slot i of the array stands for SQE i. */
export function begins(p: Prelude): Application {
  const { ring } = p.machine;
  if ((ring.flags & IORING_SETUP_NO_SQARRAY) === 0)
    for (let i = 0; i < ring.sqEntries; i++) store32(writable(ring.ring), ring.arrayOffset + 4 * i, i);
  const word = (at: number): number => load32(ring.ring.bytes, at);
  return { at: 0, stage: 0, round: 0, tail: word(WORD.sqTail), published: word(WORD.sqTail), head: word(WORD.cqHead), taking: 0, overdue: false, sqHead: word(WORD.sqHead) };
}

export const isOver = (p: Prelude, app: Application): boolean => app.at === p.program.ops.length && app.stage === END.over;
