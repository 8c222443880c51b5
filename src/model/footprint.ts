// What a request touches when it takes effect, so that effects which cannot be told apart need not be
// put in order. Names are of the world's objects; "*" touches everything.
import {
  IORING_NOP_CQE32, IORING_NOP_FILE, IORING_ASYNC_CANCEL_ANY, IORING_ASYNC_CANCEL_FD, IORING_ASYNC_CANCEL_OP, IORING_OP_ASYNC_CANCEL,
  IORING_OP_CLOSE, IORING_OP_FSYNC, IORING_OP_LINK_TIMEOUT, IORING_OP_NOP, IORING_OP_OPENAT, IORING_OP_POLL_ADD, IORING_OP_POLL_REMOVE, IORING_OP_READ,
  IORING_OP_READV, IORING_OP_READV_FIXED, IORING_OP_READ_FIXED, IORING_OP_TIMEOUT, IORING_OP_TIMEOUT_REMOVE, IORING_OP_WRITE,
  IORING_OP_WRITEV, IORING_OP_WRITEV_FIXED, IORING_OP_WRITE_FIXED,
} from "../spec/constants.gen.ts";
import { CQE } from "../spec/codec.gen.ts";
import { BIG_HALF } from "./completion.ts";
import { isFarOff } from "./descriptor.ts";
import type { Footprint, Machine } from "./machine.ts";
import type { Request } from "./request.ts";
import type { OpenFile } from "./world.ts";

/** An offset that means the file's own position. */
const CURRENT_POSITION = 0xffff_ffff_ffff_ffffn;

const NOTHING: Footprint = { reads: [], writes: [] };

function fileOf(m: Machine, r: Request): OpenFile | undefined {
  const id = r.file !== 0 ? r.file : m.world.fds.get(r.prepared.fd);
  return id === undefined ? undefined : m.world.files.get(id);
}

/** The objects behind an open file: its inode, and its position. */
function fileObjects(m: Machine, r: Request): string[] {
  const file = fileOf(m, r);
  return file === undefined ? [] : [`inode:${file.inode}`, `file:${file.id}`];
}

/** A transfer at a place of its own leaves a file's position alone; reading a regular file leaves its inode alone. */
function transferObjects(m: Machine, r: Request, reads: boolean): Footprint {
  const file = fileOf(m, r);
  if (file === undefined) return NOTHING;
  const regular = m.world.inode(file.inode).kind === "file";
  const inode = [`inode:${file.inode}`];
  const position = regular && r.prepared.off !== CURRENT_POSITION ? [] : [`file:${file.id}`];
  return regular && reads ? { reads: inode, writes: position } : { reads: [], writes: [...inode, ...position] };
}

function userMemory(m: Machine, r: Request): string[] {
  const found: string[] = [];
  for (const v of r.prepared.iov ?? []) {
    for (const s of m.memory.segments)
      if (v.addr < s.addr + BigInt(s.bytes.length) && v.addr + BigInt(v.len) > s.addr) found.push(`mem:${s.addr}`);
  }
  return found;
}

/** Operations whose objects depend on more than the descriptors: reckoned anew each time. */
const BY_OTHERS: readonly number[] = [
  IORING_OP_LINK_TIMEOUT, IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_REMOVE, IORING_OP_TIMEOUT_REMOVE, IORING_OP_OPENAT];

/** What a request touches: the objects of its operation, and itself and its chain, which a cancel may look for. */
export function footprint(m: Machine, r: Request): Footprint {
  if (BY_OTHERS.includes(r.opcode) || r.link !== 0) return reckon(m, r);
  const key = m.world.fds.version * 65536 + r.file;
  if (r.touches === undefined || r.touchesKey !== key) {
    r.touches = reckon(m, r);
    r.touchesKey = key;
  }
  return r.touches;
}

function reckon(m: Machine, r: Request): Footprint {
  const { reads, writes } = operationObjects(m, r);
  if (m.ring.cqeSize === CQE.size) return { reads: [...reads, ...names(m, r)], writes };
  // [cq.big-half-leaks]
  const leaves = r.opcode === IORING_OP_NOP && (r.prepared.opFlags & IORING_NOP_CQE32) !== 0;
  return { reads: [...reads, BIG_HALF, ...names(m, r)], writes: leaves ? [...writes, BIG_HALF] : writes };
}

/** What a cancel may look for: the request and its chain. */
export const identity = (m: Machine, r: Request): Footprint => ({ reads: names(m, r), writes: [] });

function names(m: Machine, r: Request): string[] {
  const all = [`ud:${r.userData}`];
  for (let next = r.link; next !== 0; next = m.request(next).link) all.push(`ud:${m.request(next).userData}`);
  return all;
}

function operationObjects(m: Machine, r: Request): Footprint {
  const fd = r.file === 0 ? descriptorObjects(m, r.prepared.fd) : [];
  switch (r.opcode) {
    case IORING_OP_NOP:
      return fd.length === 0 || (r.prepared.opFlags & IORING_NOP_FILE) === 0 ? NOTHING : { reads: fd, writes: [] };
    case IORING_OP_FSYNC:
      return fd.length === 0 ? NOTHING : { reads: fd, writes: [] };
    case IORING_OP_TIMEOUT:
      // A count is relative to what was posted before.
      return r.timeoutOff === 0 ? NOTHING : { reads: ["cq"], writes: [] };
    case IORING_OP_READ:
    case IORING_OP_READV:
    case IORING_OP_READ_FIXED:
    case IORING_OP_READV_FIXED: {
      const { reads, writes } = transferObjects(m, r, true);
      return { reads: [...fd, ...reads], writes: [...writes, ...userMemory(m, r)] };
    }
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
    case IORING_OP_WRITE_FIXED:
    case IORING_OP_WRITEV_FIXED:
      return { reads: [...fd, ...userMemory(m, r)], writes: transferObjects(m, r, false).writes };
    case IORING_OP_POLL_ADD:
      return { reads: fd, writes: fileObjects(m, r) };
    case IORING_OP_CLOSE:
      return { reads: [], writes: [...descriptorObjects(m, r.prepared.fd), ...fileObjects(m, r), ...dropped(m, r)] };
    case IORING_OP_LINK_TIMEOUT:
      return timed(m, r);
    case IORING_OP_OPENAT:
      return { reads: fd, writes: ["directory", "new descriptor", ...filesByName(m, r)] };
    default:
      return targets(m, r);
  }
}

/** A timer behind a request cancels that. */
function timed(m: Machine, r: Request): Footprint {
  const head = m.requests.get(r.head === 0 ? r.cancels : r.head);
  return head === undefined ? NOTHING : { reads: [], writes: [`ud:${head.userData}`, ...fileObjects(m, head)] };
}

/** What a worker closed and has yet to let go of. */
function dropped(m: Machine, r: Request): string[] {
  const file = r.dropping === 0 ? undefined : m.world.files.get(r.dropping);
  return file === undefined ? [] : [`inode:${file.inode}`, `file:${file.id}`];
}

/** A number that is not open may become that of a file that is being opened. */
function descriptorObjects(m: Machine, fd: number): string[] {
  return m.world.fds.has(fd) || fd < 0 || isFarOff(m, fd) ? [`fd:${fd}`] : [`fd:${fd}`, "new descriptor"];
}

/** What a cancel or a removal looks for, wherever it is, and what that waits for. */
function targets(m: Machine, r: Request): Footprint {
  const { addr, opFlags, len, fd } = r.prepared;
  const keys = r.opcode === IORING_OP_ASYNC_CANCEL ? opFlags : 0;
  const file = m.world.fds.get(fd);
  const sought = (other: Request): boolean => {
    if ((keys & IORING_ASYNC_CANCEL_ANY) !== 0) return true;
    if ((keys & IORING_ASYNC_CANCEL_FD) !== 0 && other.file !== file && other.prepared.fd !== fd) return false;
    if ((keys & IORING_ASYNC_CANCEL_OP) !== 0 && other.opcode !== (len & 0xff)) return false;
    return (keys & (IORING_ASYNC_CANCEL_FD | IORING_ASYNC_CANCEL_OP)) !== 0 || other.userData === addr;
  };
  const writes = [`ud:${addr}`];
  for (const other of m.requests.values())
    if (other !== r && sought(other)) writes.push(`ud:${other.userData}`, ...fileObjects(m, other));
  return { reads: [], writes };
}

function filesByName(m: Machine, r: Request): string[] {
  const root = m.world.inode(m.world.root);
  const inode = root.kind === "directory" ? root.entries.get(r.prepared.path ?? "") : undefined;
  return inode === undefined ? [] : [`inode:${inode}`];
}

/** Could it matter which of the two comes first? */
export function conflicts(a: Footprint, b: Footprint): boolean {
  const touches = (writes: readonly string[], other: Footprint): boolean =>
    writes.some((name) => name === "*" || other.writes.includes(name) || other.reads.includes(name));
  return touches(a.writes, b) || touches(b.writes, a);
}
