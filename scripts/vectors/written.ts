// Programs for vectors, written by hand where drawing does not reach: each with the rules that it is for. Most of these
// the model comes by when it is explored; `shows` names those that decide the outcome at a place where no citation runs
// (a constant, a field, an else), and what in the outcome shows it.
import type { Operation, Program, SqeSpec } from "../../src/program/program.ts";

export interface Written {
  readonly for: readonly string[];
  /** By rule: what of the outcome would be different. */
  readonly shows?: Readonly<Record<string, string>>;
  readonly program: Program;
}

const GETEVENTS = 1;
const SQ_WAKEUP = 2;
const SQ_WAIT = 4;
const EXT_ARG_REG = 64;
const REG_WAIT_TS = 1;
const IOPOLL = 1;
const NO_MMAP = 1 << 14;
const POLLIN = 1;
const EPOLLEXCLUSIVE = 1 << 28;
const NOP_CQE32 = 1 << 5;
const MSG_FLAGS_PASS = 2;
const CQE_F_32 = 1 << 15;
const NOP_FIXED_BUFFER = 1 << 3;
const CANCEL_FD = 2;

const nop = (userData: number, ...flags: NonNullable<SqeSpec["flags"]>): Operation => ({ op: "sqe", opcode: "NOP", userData, flags });
const sqe = (userData: number, spec: Omit<SqeSpec, "userData">): Operation => ({ op: "sqe", userData, ...spec });
/** To the ring itself. */
const longMessage = (userData: number): Operation =>
  sqe(userData, { opcode: "MSG_RING", fd: "ring", off: 0xb0, len: 5, opFlags: MSG_FLAGS_PASS, spliceFdIn: CQE_F_32, flags: ["CQE_SKIP_SUCCESS"] });
const submit: Operation = { op: "submit" };
const settle: Operation = { op: "settle" };
const reap: Operation = { op: "reap" };
const end = [submit, settle, reap];
const buffer = { is: "buffer", buffer: 0, at: 0 } as const;

const program = (ops: readonly Operation[], { kind = "legal", ring, world }: { readonly kind?: Program["kind"]; readonly ring?: Partial<Program["ring"]>; readonly world?: Partial<Program["world"]> } = {}): Program => ({
  version: 1, kind, ring: { entries: 4, flags: [], ...ring }, world: { files: [], pipes: [], eventfds: [], buffers: [], ...world }, ops: [...ops],
});

export const WRITTEN: readonly Written[] = [
  // What fails at submission.
  { for: ["fsync.offset-negative"], program: program([sqe(0xa1, { opcode: "FSYNC", fd: "f0", off: -2 }), ...end], { world: { files: [8] } }) },
  { for: ["cancel.bad-fd"], program: program([sqe(0xa1, { opcode: "ASYNC_CANCEL", fd: "none", opFlags: CANCEL_FD }), ...end]) },
  // The end of a batch cuts the chain, so a worker runs its READ.
  {
    for: ["cancel.sync-waits"],
    program: program(
      [sqe(0xa1, { opcode: "READ", fd: "p0r", addr: buffer, len: 8, flags: ["IO_LINK"] }), submit, { op: "register", does: { call: "SYNC_CANCEL", flags: 0, userData: 0xa1 } }, settle, reap],
      { world: { pipes: [0], buffers: [8] } },
    ),
  },
  { for: ["msg-ring.fields-zero"], program: program([sqe(0xa1, { opcode: "MSG_RING", fd: "ring", off: 0xb1, bufIndex: 1 }), ...end]) },
  { for: ["openat.fixed-file-refused"], program: program([sqe(0xa1, { opcode: "OPENAT", fd: "dir", addr: { is: "path", path: "f0" }, flags: ["FIXED_FILE"] }), ...end], { world: { files: [8] } }) },
  { for: ["poll.level-refused"], program: program([sqe(0xa1, { opcode: "POLL_ADD", fd: "p0r", opFlags: POLLIN, len: 8 }), ...end], { world: { pipes: [4] } }) },
  {
    for: ["rw.bad-vector"], shows: { "rw.bad-vector": "the first completes with -EFAULT, and nothing of the file is read" },
    program: program([sqe(0xa1, { opcode: "READV", fd: "f0", addr: { is: "fault" }, len: 1, off: 0 }), ...end], { world: { files: [8] } }),
  },
  {
    for: ["nop.fixed-buffer"], shows: { "nop.fixed-buffer": "no buffer is registered, and the result is -EFAULT" },
    program: program([sqe(0xa1, { opcode: "NOP", opFlags: NOP_FIXED_BUFFER }), ...end]),
  },
  { for: ["drain.disabled-by-skip"], program: program([nop(0xa1, "CQE_SKIP_SUCCESS"), submit, nop(0xa2, "IO_DRAIN"), ...end]) },
  // Chains.
  {
    for: ["hardlink.implies-link"], shows: { "hardlink.implies-link": "0xa2 completes behind 0xa1, which a worker has, and before or behind 0xa3" },
    program: program([nop(0xa1, "ASYNC", "IO_HARDLINK"), nop(0xa2), nop(0xa3), ...end]),
  },
  {
    for: ["skip.failed-other-speaks"], shows: { "skip.failed-other-speaks": "0xa2 asked for silence, and its -ECANCELED shows" },
    program: program([sqe(0xa1, { opcode: "NOP", opFlags: 1, len: 0xffff_fffb, flags: ["IO_LINK"] }), nop(0xa2, "CQE_SKIP_SUCCESS", "IO_LINK"), nop(0xa3), ...end]),
  },
  {
    for: ["timeout.remove-only-timeouts"], shows: { "timeout.remove-only-timeouts": "a poll has that user_data, and the removal completes with -ENOENT" },
    program: program([sqe(0xa1, { opcode: "POLL_ADD", fd: "p0r", opFlags: POLLIN }), sqe(0xa2, { opcode: "TIMEOUT_REMOVE", addr: { is: "number", number: 0xa1 } }), ...end], { world: { pipes: [0] } }),
  },
  // Workers inside a pipe.
  {
    for: ["worker.file-kept"], shows: { "worker.file-kept": "where the read waits already it gets its bytes, though the descriptor is closed; where it had not begun it completes with -EBADF" },
    program: program([sqe(0xa1, { opcode: "READ", fd: "p0r", addr: buffer, len: 4, flags: ["ASYNC"] }), submit, { op: "close", fd: "p0r" }, { op: "write", fd: "p0w", bytes: 4, fill: 7 }, settle, reap], { world: { pipes: [0], buffers: [8] } }),
  },
  {
    for: ["rw.pipe-wakes-next"],
    program: program(
      [
        // Behind a request that a worker has it waits inside, and does not poll.
        nop(0xa1, "ASYNC", "IO_LINK"), sqe(0xa2, { opcode: "READ", fd: "p0r", addr: buffer, len: 1 }), submit, settle, reap,
        sqe(0xa3, { opcode: "POLL_ADD", fd: "p0r", opFlags: POLLIN | EPOLLEXCLUSIVE }), submit, { op: "write", fd: "p0w", bytes: 4, fill: 7 }, settle, reap,
      ],
      { world: { pipes: [0], buffers: [8] } },
    ),
  },
  // Rings of other kinds.
  { for: ["setup.no-mmap-needs-memory"], program: program([], { ring: { unknownFlags: NO_MMAP } }) },
  { for: ["setup.disabled-enter"], program: program([nop(0xa1), submit, { op: "enter", toSubmit: 0, minComplete: 0, flags: 0 }], { ring: { flags: ["R_DISABLED"] } }) },
  { for: ["cq.mixed-filler"], program: program([nop(0xa1), nop(0xa2), nop(0xa3), ...end, sqe(0xa4, { opcode: "NOP", opFlags: NOP_CQE32, off: 5, addr: { is: "number", number: 6 } }), ...end], { ring: { entries: 2, flags: ["CQE_MIXED", "CQSIZE"], cqEntries: 4 } }) },
  {
    for: ["cq.long-flag-plain"],
    program: program([nop(0xa1), nop(0xa2), nop(0xa3), ...end, longMessage(0xa4), ...end], { ring: { entries: 4, flags: ["CQSIZE"], cqEntries: 4 } }),
  },
  {
    for: ["iopoll.nop"], shows: { "iopoll.nop": "the NOP completes with 0, as on any other ring" },
    program: program([nop(0xa1), ...end], { ring: { unknownFlags: IOPOLL } }),
  },
  {
    for: ["iopoll.opcodes", "iopoll.files", "iopoll.never-waits", "iopoll.argument"],
    program: program(
      [
        sqe(0xa1, { opcode: "POLL_ADD", fd: "p0r", opFlags: POLLIN }), submit, sqe(0xa2, { opcode: "READ", fd: "f0", addr: buffer, len: 4, off: 0 }), submit, settle, reap,
        { op: "enter", toSubmit: 0, minComplete: 2, flags: GETEVENTS, wait: { seconds: 100, nanoseconds: 0 } },
        { op: "enter", toSubmit: 0, minComplete: 1, flags: GETEVENTS, wait: { seconds: 0, nanoseconds: 0 }, arg: "size" },
      ],
      { ring: { unknownFlags: IOPOLL }, world: { files: [8], pipes: [0], buffers: [8] } },
    ),
  },
  { for: ["sqpoll.sq-wait"], program: program([nop(0xa1), submit, { op: "enter", toSubmit: 0, minComplete: 0, flags: SQ_WAIT | SQ_WAKEUP }, settle, reap], { ring: { flags: ["SQPOLL"], sqThreadIdle: 1000 } }) },
  // Waits.
  {
    for: ["enter.sq-flags-ignored", "enter.reg-without-ext"],
    shows: {
      "enter.sq-flags-ignored": "the call returns 0, and waits for no thread",
      "enter.reg-without-ext": "the call returns 0: no entry of a region is looked for",
    },
    program: program([
      { op: "enter", toSubmit: 0, minComplete: 0, flags: SQ_WAIT | SQ_WAKEUP },
      { op: "enter", toSubmit: 0, minComplete: 0, flags: GETEVENTS | EXT_ARG_REG },
    ]),
  },
  // What is registered.
  { for: ["register.mem-region-disabled"], program: program([{ op: "register", does: { call: "MEM_REGION", memory: "program", pages: 1, waits: true } }]) },
  {
    for: ["enter.reg-wait-flags"],
    program: program(
      [
        { op: "register", does: { call: "MEM_REGION", memory: "program", pages: 1, waits: true } }, { op: "register", does: { call: "ENABLE_RINGS" } },
        { op: "enter", toSubmit: 0, minComplete: 1, flags: GETEVENTS, wait: { seconds: 0, nanoseconds: 1000 }, region: { offset: 0, flags: REG_WAIT_TS | 4 } },
      ],
      { ring: { flags: ["R_DISABLED"] } },
    ),
  },
  {
    for: ["poll.own-signal-ends"],
    program: program(
      [{ op: "register", does: { call: "EVENTFD", fd: "e0" } }, sqe(0xa1, { opcode: "POLL_ADD", fd: "e0", opFlags: POLLIN, len: 1 }), submit, nop(0xa2), ...end],
      { world: { eventfds: [0] } },
    ),
  },
  // Memory that the kernel does not read.
  {
    for: ["mapping.kernel-words-ignored"], shows: { "mapping.kernel-words-ignored": "with masks and sizes of zero every request is taken from its slot and completes in its own" },
    program: program(
      [
        { op: "store", word: "sqRingMask", value: 0 }, { op: "store", word: "sqRingEntries", value: 0 }, { op: "store", word: "cqRingMask", value: 0 },
        { op: "store", word: "cqRingEntries", value: 0 }, nop(0xa1), nop(0xa2), nop(0xa3), ...end,
      ],
      { kind: "hostile" },
    ),
  },
];
