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
  "a descriptor that a completion brings, and its close": program(
    [nop(0xa1), sqe(0xa2, { opcode: "OPENAT", fd: "dir", addr: { is: "path", path: "n1" }, opFlags: 0o102, len: 0o644 }), { op: "submit" }, sqe(0xa3, { opcode: "CLOSE", fd: "o0" }), ...end],
  ),
  "an eventfd that a worker signals, and a read of it": program(
    [{ op: "register", does: { call: "EVENTFD", fd: "e0" } }, nop(0xa1, "ASYNC"), nop(0xa2), { op: "submit" }, { op: "read", fd: "e0", bytes: 8 }, { op: "settle" }, { op: "reap" }],
    { eventfds: [0] },
  ),
  "a queue of one that a thread empties": program([nop(0xa1), nop(0xa2), ...end], {}, { entries: 1, flags: ["SQPOLL"], sqThreadIdle: 1000 }),
  "a signal, and a wait that lets it in": program([nop(0xa1, "ASYNC"), { op: "raise" }, { op: "submit", wait: 1, signals: true }, { op: "settle" }, { op: "reap" }]),
  "other queues while a worker is under way": program(
    [nop(0xa1, "ASYNC"), { op: "submit" }, { op: "register", does: { call: "RESIZE_RINGS", entries: 4, flags: 0 } }, nop(0xa2), ...end], {}, { flags: ["DEFER_TASKRUN", "SINGLE_ISSUER"] },
  ),
  "a deadline before the program": program([sqe(0xa1, { opcode: "TIMEOUT", addr: { is: "deadline", microseconds: -86 }, len: 1, opFlags: 1 }), ...end]),
};
