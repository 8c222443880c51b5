// What a request touches when it takes effect, so that effects which cannot be told apart need not be
// put in order. Names are of the world's objects; "*" touches everything.
import {
  IORING_OP_CLOSE, IORING_OP_FSYNC, IORING_OP_NOP, IORING_OP_OPENAT, IORING_OP_POLL_ADD, IORING_OP_READ,
  IORING_OP_READV, IORING_OP_TIMEOUT, IORING_OP_WRITE, IORING_OP_WRITEV,
} from "../spec/constants.gen.ts";
import type { Footprint, Machine } from "./machine.ts";
import type { Request } from "./request.ts";

const EVERYTHING: Footprint = { reads: [], writes: ["*"] };
const NOTHING: Footprint = { reads: [], writes: [] };

/** The objects behind an open file: its inode, and its position where that is used. */
function fileObjects(m: Machine, r: Request): string[] {
  const id = r.file !== 0 ? r.file : m.world.fds.get(r.prepared.fd);
  const file = id === undefined ? undefined : m.world.files.get(id);
  return file === undefined ? [] : [`inode:${file.inode}`, `file:${file.id}`];
}

function userMemory(m: Machine, r: Request): string[] {
  const names: string[] = [];
  for (const v of r.prepared.iov ?? []) {
    for (const s of m.memory.segments)
      if (v.addr < s.addr + BigInt(s.bytes.length) && v.addr + BigInt(v.len) > s.addr) names.push(`mem:${s.addr}`);
  }
  return names;
}

export function footprint(m: Machine, r: Request): Footprint {
  const fd = r.file === 0 ? [`fd:${r.prepared.fd}`] : [];
  switch (r.opcode) {
    case IORING_OP_NOP:
    case IORING_OP_FSYNC:
      return fd.length === 0 ? NOTHING : { reads: fd, writes: [] };
    case IORING_OP_TIMEOUT:
      return NOTHING;
    case IORING_OP_READ:
    case IORING_OP_READV:
      return { reads: fd, writes: [...fileObjects(m, r), ...userMemory(m, r)] };
    case IORING_OP_WRITE:
    case IORING_OP_WRITEV:
      return { reads: [...fd, ...userMemory(m, r)], writes: fileObjects(m, r) };
    case IORING_OP_POLL_ADD:
      return { reads: fd, writes: fileObjects(m, r) };
    case IORING_OP_CLOSE:
      return { reads: [], writes: [`fd:${r.prepared.fd}`, ...fileObjects(m, r)] };
    case IORING_OP_OPENAT:
      return { reads: fd, writes: ["directory", ...filesByName(m, r)] };
    default:
      return EVERYTHING;
  }
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
