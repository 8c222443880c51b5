// READ, WRITE and their vectored forms. Follows io_uring/rw.c: what is imported at submission, when a
// request is tried inline, when it polls and when a worker takes it.
import {
  EAGAIN, EBADF, EFAULT, EINVAL, ENOBUFS, EOPNOTSUPP, IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_WRITEV_FIXED,
  IORING_RW_ATTR_FLAG_PI, RWF_NOWAIT,
} from "../spec/constants.gen.ts";
import { ATTR_PI, IOVEC, type Sqe } from "../spec/codec.gen.ts";
import { Unmodelled } from "../kernel.ts";
import { cqVisible, setFail } from "./completion.ts";
import { polls } from "./iopoll.ts";
import type { Machine } from "./machine.ts";
import { load32, load64 } from "./memory.ts";
import type { Issued, IssueHow, Operation } from "./operation.ts";
import { obeys } from "./profile.ts";
import { REQ, type Request } from "./request.ts";
import { wakeQueue } from "./wake.ts";
import { addTaskWork } from "./task-work.ts";
import type { UserBuffers } from "./queues.ts";

interface Iovec {
  readonly addr: bigint;
  readonly len: number;
}

const IOVEC_MAX = 1024;
const RW_MAX = 0x7fff_f000;
const USER_END = 0x7fff_ffff_f000n;
const SUPPORTED_FLAGS = 0x1ff;
const OFFSET_MAX = 0x7fff_ffff_ffff_ffffn;
/** Larger files are not modelled: their bytes are kept. */
const FILE_MAX = 2 ** 28;
const CURRENT_POSITION = 0xffff_ffff_ffff_ffffn;

/** access_ok: is the range below the kernel's half? Whether it is mapped shows only when it is used. */
const accessible = (addr: bigint, len: number): boolean => addr + BigInt(len) <= USER_END;

function importIovec(m: Machine, addr: bigint, count: number): readonly Iovec[] | number {
  // [rw.bad-vector]
  if (count > IOVEC_MAX) return -EINVAL;
  const bytes = m.memory.read(addr, count * IOVEC.size);
  if (bytes === undefined) return -EFAULT;
  const iov: Iovec[] = [];
  let total = 0;
  for (let i = 0; i < count; i++) {
    const base = load64(bytes, i * IOVEC.size + IOVEC.iov_base);
    const length = BigInt.asIntN(64, load64(bytes, i * IOVEC.size + IOVEC.iov_len));
    if (length < 0n) return -EINVAL;
    const len = Number(length > BigInt(RW_MAX - total) ? BigInt(RW_MAX - total) : length);
    if (!accessible(base, len)) return -EFAULT;
    total += len;
    iov.push({ addr: base, len });
  }
  return iov;
}

/** The buffers of a request as one run of bytes. */
function buffers(m: Machine, iov: readonly Iovec[]): UserBuffers {
  const size = iov.reduce((sum, v) => sum + v.len, 0);
  const each = (from: number, length: number, use: (addr: bigint, at: number, n: number) => boolean): number => {
    let done = 0;
    let skip = from;
    for (const v of iov) {
      if (done === length) break;
      if (skip >= v.len) {
        skip -= v.len;
        continue;
      }
      const n = Math.min(v.len - skip, length - done);
      if (!use(v.addr + BigInt(skip), done, n)) break;
      done += n;
      skip = 0;
    }
    return done;
  };
  return {
    size,
    take(from, length) {
      const out = new Uint8Array(length);
      const done = each(from, length, (addr, at, n) => {
        const bytes = m.memory.read(addr, n);
        if (bytes !== undefined) out.set(bytes, at);
        return bytes !== undefined;
      });
      return out.subarray(0, done);
    },
    put: (from, bytes) => each(from, bytes.length, (addr, at, n) => m.memory.write(addr, bytes.subarray(at, at + n))),
  };
}

function prepare(m: Machine, r: Request, sqe: Sqe): number {
  // [rw.priority-checked]
  const refused = checkPriority(sqe.ioprio) || readAttributes(m, r, sqe);
  if (refused !== 0) return refused;
  if ((r.flags & REQ.BUFFER_SELECT) !== 0) {
    // No buffer group can be registered in this part of the model: there is none to select from.
    if (sqe.opcode === IORING_OP_READV) throw new Unmodelled("READV with IOSQE_BUFFER_SELECT");
    return 0;
  }
  const vectored = sqe.opcode === IORING_OP_READV || sqe.opcode === IORING_OP_WRITEV;
  if (vectored) {
    // [buffers.plain-vectors] whether the ring has registered buffers is not asked
    const iov = importIovec(m, sqe.addr, sqe.len);
    if (typeof iov === "number") return iov;
    r.prepared = { ...r.prepared, iov };
    return 0;
  }
  const len = Math.min(sqe.len, RW_MAX);
  if (!accessible(sqe.addr, len)) return -EFAULT;
  r.prepared = { ...r.prepared, iov: [{ addr: sqe.addr, len }] };
  return 0;
}

/** ioprio_check_cap, for what an ordinary user may ask. */
export function checkPriority(ioprio: number): number {
  if (ioprio === 0) return 0;
  const level = ioprio & 7;
  switch (ioprio >> 13) {
    case 0:
      // [rw.ioprio-level] the bits above the level are hints
      return level !== 0 ? -EINVAL : 0;
    case 1:
      throw new Unmodelled("ioprio of the real-time class, which asks for a capability");
    case 2:
      return level < 8 ? 0 : -EINVAL;
    case 3:
      return 0;
    default:
      return -EINVAL;
  }
}

/** io_prep_rw_pi: 0, or -errno where there are attributes in the SQE that are refused. The words are the SQE's last two. */
export function readAttributes(m: Machine, r: Request, sqe: Sqe): number {
  if (sqe.pad === 0n || !obeys(m.profile, "rw.attribute-kinds")) return 0;
  // [rw.attribute-kinds]
  if (sqe.pad !== BigInt(IORING_RW_ATTR_FLAG_PI)) return -EINVAL;
  // [rw.attribute-memory]
  const bytes = m.memory.read(sqe.addr3, ATTR_PI.size);
  if (bytes === undefined) return -EFAULT;
  if (load64(bytes, ATTR_PI.rsvd) !== 0n) return -EINVAL;
  if (!accessible(load64(bytes, ATTR_PI.addr), load32(bytes, ATTR_PI.len))) return -EFAULT;
  r.prepared = { ...r.prepared, hasAttributes: true };
  return 0;
}

/** kiocb_set_rw_flags, io_rw_init_file: 0 or -errno. */
function startIo(m: Machine, r: Request, writes: boolean, how: IssueHow): number {
  const file = m.world.file(r.file);
  // [rw.wrong-mode]
  if (!(writes ? file.write : file.read)) return -EBADF;
  if (m.world.inode(file.inode).kind === "ring" && !isReadyRing(m, file.inode)) throw new Unmodelled("reading or writing a ring that has no completions");
  const flags = r.prepared.opFlags;
  // [rw.unknown-flags]
  if ((flags & ~SUPPORTED_FLAGS) !== 0) return -EOPNOTSUPP;
  if ((flags & ~RWF_NOWAIT) !== 0) throw new Unmodelled(`rw_flags 0x${flags.toString(16)}`);
  if ((flags & RWF_NOWAIT) !== 0) {
    if (isRegular(m, r)) throw new Unmodelled("RWF_NOWAIT on a regular file");
    // [rw.nowait-eagain] [worker.nowait-ignored]
    if (how.nonblock || !how.worker) r.flags |= REQ.NOWAIT;
  }
  // [iopoll.files] none of this world's files has ->iopoll
  if (polls(m)) return -EOPNOTSUPP;
  // [rw.attribute-files]
  return r.prepared.hasAttributes === true ? -EINVAL : 0;
}

/** A ring with completions can be polled as readable; what is read then fails. */
function isReadyRing(m: Machine, inode: number): boolean {
  const ring = [m, ...m.peers].find((other) => other.ringInode === inode);
  return ring !== undefined && cqVisible(ring) > 0;
}

const isRegular = (m: Machine, r: Request): boolean => {
  const kind = m.world.inode(m.world.file(r.file).inode).kind;
  return kind === "file" || kind === "directory";
};

const isDirectory = (m: Machine, r: Request): boolean => m.world.inode(m.world.file(r.file).inode).kind === "directory";

/** Where the transfer is, undefined: at the file's own position. [rw.current-position] */
function position(r: Request): number | undefined | "refused" {
  if (r.prepared.off === CURRENT_POSITION) return undefined;
  const off = BigInt.asIntN(64, r.prepared.off);
  // [rw.offset-overflows] rw_verify_area
  const size = (r.prepared.iov ?? []).reduce((sum, v) => sum + v.len, 0);
  return off < 0n || off + BigInt(size) > OFFSET_MAX ? "refused" : Number(off);
}

/** Marks a short or failed transfer, which breaks the chain. */
function finish(r: Request, asked: number, res: number): Issued {
  r.res = res;
  // [link.zero-length-ok] nothing is missing, where nothing was asked for too
  if (res === asked) return "complete";
  // [link.short-transfer-severs]
  setFail(r);
  return "complete";
}

function issueRead(m: Machine, r: Request, how: IssueHow): Issued {
  if ((r.flags & REQ.BUFFER_SELECT) !== 0) return -ENOBUFS;
  const refused = startIo(m, r, false, how);
  if (refused !== 0) return refused;
  // [rw.directory-worker]
  if (how.nonblock && isDirectory(m, r)) return -EAGAIN;
  // [rw.read-inline] does the file system answer without blocking?
  if (how.nonblock && isRegular(m, r) && !completesInline(m, "read")) return -EAGAIN;
  const pos = position(r);
  if (pos === "refused") return -EINVAL;
  const into = buffers(m, r.prepared.iov ?? []);
  // [rw.result-count]
  const res = atPosition(m, r, pos, how, (at) => m.world.read(r.file, into, at, wakeQueue(m)));
  if (r.waited && res >= 0) m.world.wakeNext(r.file, "reader", wakeQueue(m));
  return res < 0 ? res : finish(r, into.size, res);
}

function issueWrite(m: Machine, r: Request, how: IssueHow): Issued {
  const refused = startIo(m, r, true, how);
  if (refused !== 0) return refused;
  // [rw.write-worker] a buffered write of a regular file goes to a worker
  if (how.nonblock && isRegular(m, r) && !completesInline(m, "write")) return -EAGAIN;
  const pos = position(r);
  if (pos === "refused") return -EINVAL;
  const from = buffers(m, r.prepared.iov ?? []);
  const inode = m.world.inode(m.world.file(r.file).inode);
  if (inode.kind === "file" && (pos ?? m.world.file(r.file).pos) + from.size > FILE_MAX) throw new Unmodelled(`a write beyond ${FILE_MAX} bytes`);
  // [rw.plain-write-not-inline] eventfd has no ->write_iter: a caller that must not block is refused even where there is room
  if (inode.kind === "eventfd" && how.nonblock && !m.world.nonblocking(r.file)) {
    return (r.flags & REQ.NOWAIT) !== 0 ? failLater(m, r, -EAGAIN) : -EAGAIN;
  }
  // [rw.result-count]
  const res = inode.kind === "eventfd" ? writeEach(m, r, how)
    : inode.kind === "pipe" ? writeWhole(m, r, from, how)
    : atPosition(m, r, pos, how, (at) => m.world.write(r.file, from, at, wakeQueue(m)));
  if (res === -EAGAIN && (r.flags & REQ.NOWAIT) === 0) return -EAGAIN;
  if (r.waited && res >= 0) m.world.wakeNext(r.file, "writer", wakeQueue(m));
  return res < 0 ? failLater(m, r, res) : finish(r, from.size, res);
}

/**
 * A transfer at the file's own position reads that when it begins and stores it when it ends, without
 * the file's lock: a worker's may be read early, and stored late. [rw.position-late]
 */
function atPosition(m: Machine, r: Request, pos: number | undefined, how: IssueHow, transfer: (at: number | undefined) => number): number {
  // [rw.stream-offset-ignored]
  if (pos !== undefined || m.world.inode(m.world.file(r.file).inode).kind !== "file") return transfer(pos);
  settlePosition(m, r.file);
  const file = m.world.ownFile(r.file);
  const before = file.pos;
  const beside = how.worker && !m.inCall;
  if (beside) {
    const taken = m.scheduler.choose(m, "rw.position-taken", ["now", ...r.earlierPositions.map(() => "earlier")], r);
    file.pos = r.earlierPositions[taken - 1] ?? before;
  }
  const res = transfer(undefined);
  const after = file.pos;
  file.pos = before;
  if (beside) r.latePosition = after;
  else storeAt(m, r.file, after);
  return res;
}

/** Workers that have done their transfer may have stored the file's position, or not yet. */
export function settlePosition(m: Machine, file: number): void {
  for (const r of m.requests.values()) {
    if (r.file !== file || r.latePosition === undefined) continue;
    if (m.scheduler.choose(m, "rw.position", ["stored", "not yet"]) === 0) storePosition(m, r);
  }
}

/** kiocb_done: the position goes to the file. */
export function storePosition(m: Machine, r: Request): void {
  if (r.latePosition === undefined) return;
  storeAt(m, r.file, r.latePosition);
  r.latePosition = undefined;
}

/** Workers that have yet to transfer may have read the position from before. */
function storeAt(m: Machine, file: number, pos: number): void {
  const { pos: before } = m.world.file(file);
  m.world.ownFile(file).pos = pos;
  if (pos === before) return;
  for (const r of m.requests.values()) {
    if (r.state !== "queued" || r.earlierPositions.includes(before)) continue;
    if ((r.file === 0 ? m.world.fds.get(r.prepared.fd) : r.file) === file) r.earlierPositions = [...r.earlierPositions, before];
  }
}

/**
 * The buffers that loop_rw_iter hands to ->write. Of a registered one it takes address and length from the SQE, though
 * with WRITEV_FIXED that is where the list of parts lies, and how many there are. [buffers.list-written]
 */
export function loopBuffers(r: Request): readonly Iovec[] {
  const { iov = [], addr, len } = r.prepared;
  return r.opcode === IORING_OP_WRITEV_FIXED && iov.length > 0 ? [{ addr, len }] : iov;
}

/** loop_rw_iter: without ->write_iter every buffer is a write of its own, which may wait. [rw.loop-each-buffer] */
function writeEach(m: Machine, r: Request, how: IssueHow): number {
  const iov = loopBuffers(r);
  if (iov.every((v) => v.len === 0)) return 0;
  for (; r.segment < iov.length; r.segment++) {
    const v = iov[r.segment];
    // An empty buffer is passed over, except in front.
    if (v === undefined || (v.len === 0 && r.segment > 0)) continue;
    const res = m.world.write(r.file, buffers(m, [v]), undefined, wakeQueue(m));
    const waits = res === -EAGAIN && how.worker && !how.nonblock && !m.world.nonblocking(r.file) && !r.workInterrupted;
    if (waits || (res < 0 && r.moved === 0)) return res;
    if (res < 0) break;
    r.moved += res;
    if (res !== v.len) break;
  }
  return r.moved;
}

/** A worker waits in a pipe's write until everything is in it, or nobody reads, or it is interrupted. [rw.pipe-write-whole] */
function writeWhole(m: Machine, r: Request, from: UserBuffers, how: IssueHow): number {
  const { moved } = r;
  const waits = how.worker && !how.nonblock && !m.world.nonblocking(r.file) && !r.workInterrupted;
  const rest: UserBuffers = { size: from.size - moved, take: (at, size) => from.take(at + moved, size), put: from.put };
  const res = m.world.write(r.file, rest, undefined, wakeQueue(m), { waits, resumed: moved > 0 });
  if (res > 0) r.moved += res;
  const left = from.size - r.moved;
  if (waits && (res > 0 || res === -EAGAIN) && left > 0 && m.world.pipeRoom(m.world.file(r.file).inode, left) === 0) return -EAGAIN;
  return r.moved > 0 ? r.moved : res;
}

/** kiocb_done of a failed write: the completion is task work. [rw.write-error-task-work] */
function failLater(m: Machine, r: Request, res: number): Issued {
  setFail(r);
  r.res = res;
  addTaskWork(m, r, "complete", "lazy");
  return "skip";
}

function completesInline(m: Machine, what: "read" | "write"): boolean {
  const known = what === "read" ? m.profile.file.readInline : m.profile.file.writeInline;
  if (known !== undefined) return known;
  return m.scheduler.choose(m, `rw.${what}-inline`, ["inline", "worker"]) === 0;
}


export const read: Operation = { prepare, issue: issueRead };
export const readv: Operation = { prepare, issue: issueRead };
export const write: Operation = { prepare, issue: issueWrite };
export const writev: Operation = { prepare, issue: issueWrite };
