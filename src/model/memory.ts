// User memory as the modelled kernel sees it: regions at addresses, and nothing in between. A region
// is shared by every fork of a machine until one of them writes it (copy on write); a machine that
// never forks writes the application's own buffer. Ring memory is made of the same regions.
import { checksum } from "./digest.ts";

/** A piece of memory. `bytes` may be replaced when a fork writes it: always go through the region. */
export interface Segment {
  readonly addr: bigint;
  bytes: Uint8Array;
  /** Another fork reads these bytes too: copy before the first write. */
  shared: boolean;
  /** Sum of the bytes, as long as nobody asked to write them. */
  sum: number | undefined;
}

export function segment(addr: bigint, bytes: Uint8Array): Segment {
  return { addr, bytes, shared: false, sum: undefined };
}

/** The same bytes for a fork; both sides copy before they write. */
export function shareSegment(from: Segment): Segment {
  from.shared = true;
  return { addr: from.addr, bytes: from.bytes, shared: true, sum: from.sum };
}

/** The bytes of a segment, safe to write in this fork. */
export function writable(of: Segment): Uint8Array {
  if (of.shared) {
    of.bytes = of.bytes.slice();
    of.shared = false;
  }
  of.sum = undefined;
  return of.bytes;
}

export function load32(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8) | ((bytes[at + 2] ?? 0) << 16) | ((bytes[at + 3] ?? 0) << 24)) >>> 0
  );
}

export function store32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value;
  bytes[at + 1] = value >>> 8;
  bytes[at + 2] = value >>> 16;
  bytes[at + 3] = value >>> 24;
}

export function load64(bytes: Uint8Array, at: number): bigint {
  return (BigInt(load32(bytes, at + 4)) << 32n) | BigInt(load32(bytes, at));
}

export function store64(bytes: Uint8Array, at: number, value: bigint): void {
  store32(bytes, at, Number(value & 0xffff_ffffn));
  store32(bytes, at + 4, Number((value >> 32n) & 0xffff_ffffn));
}

export class Memory {
  readonly segments: Segment[] = [];

  add(of: Segment): void {
    this.segments.push(of);
  }

  /** Equal keys: the same bytes. */
  key(): string {
    let text = "";
    for (const s of this.segments) text += `${(s.sum ??= checksum(s.bytes))},`;
    return text;
  }

  remove(addr: bigint): void {
    const at = this.segments.findIndex((s) => s.addr === addr);
    if (at >= 0) this.segments.splice(at, 1);
  }

  fork(): Memory {
    const copy = new Memory();
    for (const s of this.segments) copy.segments.push(shareSegment(s));
    return copy;
  }

  private find(addr: bigint, size: number): Segment | undefined {
    for (const s of this.segments) {
      if (addr < s.addr) continue;
      const at = addr - s.addr;
      if (at <= s.bytes.length && Number(at) + size <= s.bytes.length) return s;
    }
    return undefined;
  }

  /** copy_from_user: the bytes, or undefined where any of them faults. */
  read(addr: bigint, size: number): Uint8Array | undefined {
    return this.view(addr, size)?.slice();
  }

  /** The same without a copy: good until something is written. */
  view(addr: bigint, size: number): Uint8Array | undefined {
    if (size === 0) return new Uint8Array(0);
    const s = this.find(addr, size);
    if (s === undefined) return undefined;
    const at = Number(addr - s.addr);
    return s.bytes.subarray(at, at + size);
  }

  /** copy_to_user: false where any of the bytes faults. */
  write(addr: bigint, from: Uint8Array): boolean {
    if (from.length === 0) return true;
    const s = this.find(addr, from.length);
    if (s === undefined) return false;
    writable(s).set(from, Number(addr - s.addr));
    return true;
  }

  /** strncpy_from_user: a path, undefined where it faults. */
  readString(addr: bigint): string | undefined {
    const s = this.find(addr, 1);
    if (s === undefined) return undefined;
    const from = Number(addr - s.addr);
    const to = s.bytes.indexOf(0, from);
    if (to < 0) return undefined;
    let text = "";
    for (let i = from; i < to; i++) text += String.fromCharCode(s.bytes[i] ?? 0);
    return text;
  }
}
