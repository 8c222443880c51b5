// What an operation is to the machine: how its SQE is read, and what happens when it is issued.
import { Unmodelled } from "../kernel.ts";
import {
  IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE, IORING_OP_FSYNC, IORING_OP_LINK_TIMEOUT, IORING_OP_MSG_RING, IORING_OP_NOP, IORING_OP_OPENAT, IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE, IORING_OP_READ, IORING_OP_READV, IORING_OP_READV_FIXED, IORING_OP_READ_FIXED, IORING_OP_TIMEOUT,
  IORING_OP_TIMEOUT_REMOVE, IORING_OP_WAITID, IORING_OP_WRITE, IORING_OP_WRITEV, IORING_OP_WRITEV_FIXED, IORING_OP_WRITE_FIXED,
} from "../spec/constants.gen.ts";
import type { Sqe } from "../spec/codec.gen.ts";
import { asyncCancel } from "./cancel.ts";
import { close, openat } from "./file.ts";
import { linkTimeout } from "./link-timeout.ts";
import type { Machine } from "./machine.ts";
import { msgRing } from "./msg-ring.ts";
import { fsync, nop } from "./nop.ts";
import { pollAdd, pollRemove } from "./poll.ts";
import type { Request } from "./request.ts";
import { read, readv, write, writev } from "./rw.ts";
import { readFixed, writeFixed } from "./rw-fixed.ts";
import { timeout, timeoutRemove } from "./timeout.ts";
import { waitid } from "./waitid.ts";

/** IOU_COMPLETE, IOU_ISSUE_SKIP_COMPLETE, or -errno. A worker's may also be in the middle, and go on "again". */
export type Issued = "complete" | "skip" | "again" | number;

export interface IssueHow {
  /** The caller must not block: -EAGAIN instead. */
  readonly nonblock: boolean;
  /** A worker issues it, not the application's thread. */
  readonly worker: boolean;
}

export interface Operation {
  /** Reads the SQE: 0, or -errno, which fails the request at submission. */
  prepare(m: Machine, r: Request, sqe: Sqe): number;
  issue(m: Machine, r: Request, how: IssueHow): Issued;
}

const OPERATIONS = new Map<number, Operation>();

function operations(): Map<number, Operation> {
  if (OPERATIONS.size === 0) {
    OPERATIONS.set(IORING_OP_NOP, nop);
    OPERATIONS.set(IORING_OP_READV, readv);
    OPERATIONS.set(IORING_OP_WRITEV, writev);
    OPERATIONS.set(IORING_OP_FSYNC, fsync);
    OPERATIONS.set(IORING_OP_POLL_ADD, pollAdd);
    OPERATIONS.set(IORING_OP_POLL_REMOVE, pollRemove);
    OPERATIONS.set(IORING_OP_TIMEOUT, timeout);
    OPERATIONS.set(IORING_OP_TIMEOUT_REMOVE, timeoutRemove);
    OPERATIONS.set(IORING_OP_ASYNC_CANCEL, asyncCancel);
    OPERATIONS.set(IORING_OP_OPENAT, openat);
    OPERATIONS.set(IORING_OP_CLOSE, close);
    OPERATIONS.set(IORING_OP_READ, read);
    OPERATIONS.set(IORING_OP_WRITE, write);
    OPERATIONS.set(IORING_OP_LINK_TIMEOUT, linkTimeout);
    OPERATIONS.set(IORING_OP_MSG_RING, msgRing);
    OPERATIONS.set(IORING_OP_READ_FIXED, readFixed);
    OPERATIONS.set(IORING_OP_READV_FIXED, readFixed);
    OPERATIONS.set(IORING_OP_WRITE_FIXED, writeFixed);
    OPERATIONS.set(IORING_OP_WRITEV_FIXED, writeFixed);
    OPERATIONS.set(IORING_OP_WAITID, waitid);
  }
  return OPERATIONS;
}

/** The opcodes that the model executes. */
export function modelledOpcodes(): readonly number[] {
  return [...operations().keys()].sort((a, b) => a - b);
}

/** The operation behind an opcode that this kernel has. Throws where the model does not know it. */
export function operation(opcode: number, name: string): Operation {
  const op = operations().get(opcode);
  if (op === undefined) throw new Unmodelled(`IORING_OP_${name}`);
  return op;
}
