// User memory of the real kernel: divides the arena's chunks into regions. The chunks come from the
// addon and are never unmapped while a request may touch them (native/arena.h); which bytes of them
// are free is known only here.
import type { AddressSpace, Region } from "../kernel.ts";
import { KernelError } from "../kernel.ts";
import type { NativeAddon } from "./addon.ts";

interface Span {
  start: number;
  end: number;
}

interface Chunk {
  readonly addr: bigint;
  readonly buffer: ArrayBuffer;
  /** Free spans by rising start, never touching each other. */
  readonly free: Span[];
  /** Bytes from here on were never handed out, so they are zero. */
  fresh: number;
}

const sizeMax = 2 ** 30;
const alignMax = 2 ** 20;

export class RealAddressSpace implements AddressSpace {
  readonly faultAddress: bigint;
  readonly #addon: NativeAddon;
  readonly #kernel: number;
  readonly #chunks: Chunk[] = [];
  /** By address: where a live region lies. */
  readonly #live = new Map<bigint, { readonly chunk: Chunk; readonly span: Span }>();

  constructor(addon: NativeAddon, kernel: number) {
    this.#addon = addon;
    this.#kernel = kernel;
    this.faultAddress = addon.faultAddress();
  }

  alloc(size: number, align = 8): Region {
    if (!Number.isSafeInteger(size) || size < 0 || size > sizeMax) {
      throw new RangeError(`alloc: size must be an integer from 0 to ${sizeMax}, got ${size}`);
    }
    if (!Number.isSafeInteger(align) || align < 1 || align > alignMax || (align & (align - 1)) !== 0) {
      throw new RangeError(`alloc: align must be a power of two from 1 to ${alignMax}, got ${align}`);
    }
    // Every region has an address of its own, an empty one too.
    const length = Math.max(8, Math.ceil(size / 8) * 8);
    const step = Math.max(8, align);
    for (const chunk of this.#chunks) {
      // Detached: the kernel is closed, or someone transferred the buffer away.
      if (chunk.buffer.byteLength === 0) continue;
      const region = this.#carve(chunk, size, length, step);
      if (region !== undefined) return region;
    }
    const region = this.#carve(this.#grow(length + step), size, length, step);
    if (region === undefined) throw new Error("alloc: a new chunk is too small; this is a bug in address-space.ts");
    return region;
  }

  free(region: Region): void {
    const live = this.#live.get(region.addr);
    if (live === undefined) {
      throw new RangeError(`free: no region of this kernel starts at address ${region.addr}, or it was freed already`);
    }
    this.#live.delete(region.addr);
    giveBack(live.chunk.free, live.span);
  }

  #grow(size: number): Chunk {
    const grown = this.#addon.arenaGrow(this.#kernel, size);
    if (typeof grown === "number") throw new KernelError("mmap of the arena", -grown);
    const [buffer, addr] = grown;
    const chunk: Chunk = { addr, buffer, free: [{ start: 0, end: buffer.byteLength }], fresh: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }

  /** First fit. */
  #carve(chunk: Chunk, size: number, length: number, step: number): Region | undefined {
    const phase = Number(chunk.addr % BigInt(step));
    for (const [index, span] of chunk.free.entries()) {
      const start = Math.ceil((span.start + phase) / step) * step - phase;
      const end = start + length;
      if (end > span.end) continue;
      const rest = [{ start: span.start, end: start }, { start: end, end: span.end }].filter((part) => part.start < part.end);
      chunk.free.splice(index, 1, ...rest);
      const bytes = new Uint8Array(chunk.buffer, start, size);
      if (start < chunk.fresh) bytes.fill(0);
      chunk.fresh = Math.max(chunk.fresh, end);
      const addr = chunk.addr + BigInt(start);
      this.#live.set(addr, { chunk, span: { start, end } });
      return { addr, bytes };
    }
    return undefined;
  }
}

/** Inserts a span where it belongs and melts it with its neighbours. */
function giveBack(free: Span[], span: Span): void {
  const at = free.findIndex((other) => other.start > span.start);
  const index = at === -1 ? free.length : at;
  const before = free[index - 1];
  const after = free[index];
  const joinsBefore = before !== undefined && before.end === span.start;
  const joinsAfter = after !== undefined && after.start === span.end;
  const merged = {
    start: joinsBefore ? before.start : span.start,
    end: joinsAfter ? after.end : span.end,
  };
  free.splice(joinsBefore ? index - 1 : index, Number(joinsBefore) + Number(joinsAfter), merged);
}
