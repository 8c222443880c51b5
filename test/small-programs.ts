// Small programs whose outcomes depend on who is faster, for tests of explorations on either kernel.
import type { Operation, Program, SqeSpec } from "../src/program/program.ts";

const sqe = (userData: number, spec: Omit<SqeSpec, "userData">): Operation => ({ op: "sqe", userData, ...spec });
const end: Operation[] = [{ op: "submit" }, { op: "settle" }, { op: "reap" }];
const time = { is: "time", seconds: 0, nanoseconds: 150_000 } as const;
const buffer = { is: "buffer", buffer: 0, at: 0 } as const;

export function program(ops: readonly Operation[], world: Partial<Program["world"]> = {}, ring: Partial<Program["ring"]> = {}): Program {
  return {
    version: 1, kind: "legal", ring: { entries: 8, flags: [], ...ring }, world: { files: [], pipes: [], eventfds: [], buffers: [], ...world }, ops: [...ops],
  };
}

const nop = (userData: number, ...flags: NonNullable<SqeSpec["flags"]>): Operation => sqe(userData, { opcode: "NOP", flags });

export const SMALL: Readonly<Record<string, Program>> = {
  "two workers": program([nop(0xa1, "ASYNC"), nop(0xa2, "ASYNC"), ...end]),
  "a chain on a worker and a request beside it": program([nop(0xa1, "ASYNC", "IO_LINK"), nop(0xa2), nop(0xa3, "ASYNC"), ...end]),
  "a timer that counts, and a worker": program([sqe(0xa1, { opcode: "TIMEOUT", addr: time, len: 1, off: 1 }), nop(0xa2, "ASYNC"), ...end]),
  "a link timeout and its request": program(
    [sqe(0xa1, { opcode: "READ", fd: "p0r", addr: buffer, len: 4, flags: ["IO_LINK"] }), sqe(0xa2, { opcode: "LINK_TIMEOUT", addr: time, len: 1 }),
      { op: "submit" }, { op: "write", fd: "p0w", bytes: 4, fill: 7 }, { op: "settle" }, { op: "reap" }],
    { pipes: [0], buffers: [8] },
  ),
  "a cancel and a worker that reads": program(
    [sqe(0xa1, { opcode: "READ", fd: "p0r", addr: buffer, len: 4, flags: ["ASYNC"] }), { op: "submit" },
      sqe(0xa2, { opcode: "ASYNC_CANCEL", addr: { is: "number", number: 0xa1 } }), { op: "write", fd: "p0w", bytes: 4, fill: 7 }, ...end],
    { pipes: [0], buffers: [8] },
  ),
  "a cancel and a request that no worker began": program([nop(0xa1, "ASYNC"), sqe(0xa2, { opcode: "ASYNC_CANCEL", addr: { is: "number", number: 0xa1 } }), ...end]),
  "workers and a CQ that is too small": program(
    [nop(0xa1, "ASYNC"), nop(0xa2), nop(0xa3, "ASYNC"), nop(0xa4), { op: "submit" }, { op: "reap", max: 1 }, { op: "settle" }, { op: "reap" }],
    {}, { entries: 4, flags: ["CQSIZE"], cqEntries: 4 },
  ),
  "a backlog": program(
    [nop(0xa1, "ASYNC"), nop(0xa2), { op: "submit" }, nop(0xa3, "ASYNC"), nop(0xa4), { op: "submit" }, { op: "reap", max: 1 }, { op: "settle" }, { op: "reap" }],
    {}, { entries: 2, flags: ["CQSIZE"], cqEntries: 2 },
  ),
  "task work that is deferred": program([nop(0xa1, "ASYNC"), nop(0xa2), nop(0xa3, "ASYNC"), ...end], {}, { flags: ["DEFER_TASKRUN", "SINGLE_ISSUER"] }),
  "two writers of one pipe": program(
    [sqe(0xa1, { opcode: "WRITE", fd: "p0w", addr: buffer, len: 4, flags: ["ASYNC"] }), sqe(0xa2, { opcode: "WRITE", fd: "p0w", addr: { is: "buffer", buffer: 1, at: 0 }, len: 2 }), ...end],
    { pipes: [0], buffers: [8, 8] },
  ),
  "a drain behind a worker": program([nop(0xa1, "ASYNC"), nop(0xa2, "IO_DRAIN"), nop(0xa3), ...end]),
  "a timer and its removal": program([sqe(0xa1, { opcode: "TIMEOUT", addr: time, len: 1 }), sqe(0xa2, { opcode: "TIMEOUT_REMOVE", addr: { is: "number", number: 0xa1 } }), ...end]),
};
