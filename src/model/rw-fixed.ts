// READ_FIXED, WRITE_FIXED and their vectored forms: reads and writes of a registered buffer. Follows
// io_uring/rw.c (io_prep_read_fixed, io_prep_readv_fixed, io_read_fixed).
import { EFAULT, EINVAL, IORING_OP_READV_FIXED, IORING_OP_WRITEV_FIXED } from "../spec/constants.gen.ts";
import { IOVEC, type Sqe } from "../spec/codec.gen.ts";
import { Unmodelled } from "../kernel.ts";
import { importBuffer, takeBuffer } from "./buffers.ts";
import type { Machine } from "./machine.ts";
import { load64 } from "./memory.ts";
import type { Issued, IssueHow, Operation } from "./operation.ts";
import { obeys } from "./profile.ts";
import type { Request } from "./request.ts";
import { checkPriority, read, readAttributes, write } from "./rw.ts";

const PARTS_MAX = 1024;
/** Beyond this the kernel has no memory for the list, which it asks for before it counts. */
const PARTS_SOUND = 1 << 16;
/** No part of this length lies in a buffer: what is longer need not be told apart. */
const PART_BYTES_MAX = 1n << 40n;

const isVectored = (opcode: number): boolean => opcode === IORING_OP_READV_FIXED || opcode === IORING_OP_WRITEV_FIXED;

function prepare(m: Machine, r: Request, sqe: Sqe): number {
  // [buffers.found-early]
  if (!isVectored(sqe.opcode) && obeys(m.profile, "buffers.found-early")) {
    if (sqe.bufIndex >= m.ring.buffers.length) return -EFAULT;
    takeBuffer(m, r);
  }
  const refused = checkPriority(sqe.ioprio) || readAttributes(m, r, sqe);
  if (refused !== 0) return refused;
  // [buffers.fixed-transfer] the buffer itself is not looked at before the request is issued
  if (!isVectored(sqe.opcode)) {
    r.prepared = { ...r.prepared, iov: [{ addr: sqe.addr, len: sqe.len }] };
    return 0;
  }
  // [buffers.bad-vector]
  if (sqe.len > PARTS_SOUND) throw new Unmodelled("a vector of so many parts that the kernel may have no memory for it");
  if (sqe.len > PARTS_MAX) return -EINVAL;
  const bytes = m.memory.read(sqe.addr, sqe.len * IOVEC.size);
  if (bytes === undefined) return -EFAULT;
  const iov: { addr: bigint; len: number }[] = [];
  for (let at = 0; at < bytes.length; at += IOVEC.size) {
    const length = BigInt.asIntN(64, load64(bytes, at + IOVEC.iov_len));
    if (length < 0n) return -EINVAL;
    iov.push({ addr: load64(bytes, at + IOVEC.iov_base), len: Number(length > PART_BYTES_MAX ? PART_BYTES_MAX : length) });
  }
  r.prepared = { ...r.prepared, iov };
  return 0;
}

/** The buffer first: without it not even the file's mode is looked at. */
const withBuffer = (transfer: Operation): Operation["issue"] => (m: Machine, r: Request, how: IssueHow): Issued => {
  const refused = importBuffer(m, r, isVectored(r.opcode) ? "parts" : "whole");
  return refused === 0 ? transfer.issue(m, r, how) : refused;
};

/** [buffers.vectored] */
export const readFixed: Operation = { prepare, issue: withBuffer(read) };
export const writeFixed: Operation = { prepare, issue: withBuffer(write) };
