// Registered buffers: memory that the ring keeps pinned, and the reads and writes that use it. Follows
// io_uring/rsrc.c. Tags, updates and copies of a table between rings are not in it. A pinned buffer is reached
// by its address, so memory that was given back while it is registered is not: freeing it is the application's fault.
import { EBUSY, EFAULT, EINVAL, ENOMEM, ENXIO, EOVERFLOW } from "../spec/constants.gen.ts";
import { IOVEC } from "../spec/codec.gen.ts";
import type { Machine, RingState } from "./machine.ts";
import { load64 } from "./memory.ts";
import { obeys } from "./profile.ts";
import type { Request } from "./request.ts";

export interface RegisteredBuffer {
  readonly addr: bigint;
  readonly len: number;
}

const BUFFERS_MAX = 1 << 14;
const BUFFERS_MAX_ONCE = 1024;
const BUFFER_BYTES_MAX = 1n << 30n;
const RW_MAX = 0x7fff_f000;
const PAGE = 4096n;

/** io_sqe_buffers_register. [buffers.once] [buffers.table-max] [buffers.bad-iovec] */
export function registerBuffers(m: Machine, addr: bigint, nrArgs: number): number {
  if (addr === 0n) return -EFAULT;
  if (m.ring.buffers.length > 0) return -EBUSY;
  // [buffers.table-max-1024]
  if (nrArgs === 0 || nrArgs > (obeys(m.profile, "buffers.table-max-1024") ? BUFFERS_MAX_ONCE : BUFFERS_MAX)) return -EINVAL;
  const found: (RegisteredBuffer | undefined)[] = [];
  for (let i = 0; i < nrArgs; i++) {
    const buffer = pin(m, addr + BigInt(i * IOVEC.size), found);
    if (typeof buffer === "number") return buffer;
    found.push(buffer);
  }
  m.ring.buffers = found;
  return 0;
}

/** io_sqe_buffer_register: one entry of the table, or -errno. */
function pin(m: Machine, at: bigint, before: readonly (RegisteredBuffer | undefined)[]): RegisteredBuffer | undefined | number {
  const bytes = m.memory.read(at, IOVEC.size);
  if (bytes === undefined) return -EFAULT;
  const addr = load64(bytes, IOVEC.iov_base);
  const length = load64(bytes, IOVEC.iov_len);
  // [buffers.empty-refused]
  if (obeys(m.profile, "buffers.empty-refused") && (addr === 0n || length === 0n || length > BUFFER_BYTES_MAX)) return -EFAULT;
  if (BigInt.asIntN(64, length) < 0n) return -EINVAL;
  // [buffers.empty-slot]
  if (addr === 0n) return length === 0n ? undefined : -EFAULT;
  if (length === 0n || length > BUFFER_BYTES_MAX) return -EFAULT;
  if (addr + ((length + PAGE - 1n) & ~(PAGE - 1n)) >= 1n << 64n) return -EOVERFLOW;
  const buffer = { addr, len: Number(length) };
  if (m.memory.read(addr, buffer.len) === undefined) return -EFAULT;
  // [buffers.memlock]
  const others = before.reduce((sum, other) => sum + (other === undefined ? 0 : pages(other)), 0);
  if (lockedPages([m, ...m.peers]) + others + pages(buffer) > m.lockedPagesMax) return -ENOMEM;
  return buffer;
}

/** io_sqe_buffers_unregister. [buffers.unregister] [buffers.request-keeps] */
export function unregisterBuffers(m: Machine): number {
  if (m.ring.buffers.length === 0) return -ENXIO;
  m.ring.buffers = [];
  return 0;
}

const pages = ({ addr, len }: RegisteredBuffer): number => Number((addr + BigInt(len) - 1n) / PAGE - addr / PAGE) + 1;

/** What these rings have charged to their user: their own memory, and every buffer that is registered or still in use. */
export function lockedPages(machines: readonly Machine[]): number {
  let sum = 0;
  for (const m of new Set(machines)) {
    sum += ringPages(m.ring) + Math.ceil((m.ring.region?.size ?? 0) / Number(PAGE));
    const held = new Set<RegisteredBuffer | undefined>(m.ring.buffers);
    for (const r of m.requests.values()) if (r.state !== "done") held.add(r.buffer);
    for (const buffer of held) if (buffer !== undefined) sum += pages(buffer);
  }
  return sum;
}

/** Both regions of a ring, in whole pages. */
export function ringPages({ ring, sqes }: RingState): number {
  const whole = (bytes: number): number => Math.ceil(bytes / Number(PAGE));
  return whole(ring.bytes.length) + whole(sqes.bytes.length);
}

/** io_find_buf_node: the request's buffer, looked up once, when it is first issued. [buffers.found-late] [buffers.bad-index] */
export function takeBuffer(m: Machine, r: Request): boolean {
  r.buffer ??= m.ring.buffers[r.prepared.bufIndex];
  return r.buffer !== undefined;
}

/** io_import_reg_buf, and for `parts` io_import_reg_vec: 0, or -EFAULT where the transfer leaves the buffer. */
export function importBuffer(m: Machine, r: Request, how: "whole" | "parts"): number {
  if (!takeBuffer(m, r) || r.buffer === undefined) return -EFAULT;
  const { addr, len } = r.buffer;
  const end = addr + BigInt(len);
  let total = 0;
  for (const part of r.prepared.iov ?? []) {
    // [buffers.out-of-range]
    if (part.addr < addr || part.addr + BigInt(part.len) > end) return -EFAULT;
    // [buffers.empty-part]
    if (how === "parts" && part.len === 0) return -EFAULT;
    total += part.len;
  }
  return total > RW_MAX ? -EINVAL : 0;
}
