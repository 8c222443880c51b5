// Memory for what an SQE only points to: iovecs, timespecs, paths. Blocks live in kernel memory in
// power-of-two sizes and are reused, never before the request that points to them is through.
// When that is, in-flight.ts decides.
import type { AddressSpace, Region } from "../kernel.ts";

const BLOCK_MIN = 16;

/** A block that one request points to. */
export interface Block {
  readonly region: Region;
  readonly view: DataView;
  /** Serial of the submission entry that points to it. */
  readonly serial: number;
}

interface Idle {
  readonly region: Region;
  readonly view: DataView;
}

export class Scratch {
  readonly #memory: AddressSpace;
  readonly #idle = new Map<number, Idle[]>();
  /** Blocks of requests that may never post a completion, oldest first. */
  readonly #parked: Block[] = [];
  #inUse = 0;

  /** Does the kernel copy what an SQE points to when it takes the SQE (FEAT_SUBMIT_STABLE, no SQPOLL)? */
  readonly stable: boolean;

  constructor(memory: AddressSpace, stable: boolean) {
    this.#memory = memory;
    this.stable = stable;
  }

  /** Blocks that a request may still point to. */
  get inUse(): number {
    return this.#inUse;
  }

  /** At least `size` bytes for the entry `serial`. Their content is left from the last use: write all of them. */
  take(size: number, serial: number): Block {
    let bytes = BLOCK_MIN;
    while (bytes < size) bytes *= 2;
    const idle = this.#idle.get(bytes)?.pop() ?? this.#grow(bytes);
    this.#inUse++;
    return { region: idle.region, view: idle.view, serial };
  }

  #grow(bytes: number): Idle {
    const region = this.#memory.alloc(bytes, BLOCK_MIN);
    return { region, view: new DataView(region.bytes.buffer, region.bytes.byteOffset, region.bytes.byteLength) };
  }

  give(block: Block): void {
    this.#inUse--;
    const bytes = block.region.bytes.byteLength;
    const list = this.#idle.get(bytes);
    const idle = { region: block.region, view: block.view };
    if (list === undefined) this.#idle.set(bytes, [idle]);
    else list.push(idle);
  }

  /** Keeps a block whose request posts no completion when it succeeds, until its SQE was read. */
  park(block: Block): void {
    this.#parked.push(block);
  }

  /** Takes back parked blocks of entries below `taken`, where the kernel copied what they point to; else never. */
  sweep(taken: number): void {
    if (!this.stable) return;
    while (this.#parked.length > 0) {
      const block = this.#parked[0];
      if (block === undefined || block.serial >= taken) return;
      this.#parked.shift();
      this.give(block);
    }
  }

  /** Gives idle blocks back to the kernel's memory. Blocks in use stay: their requests may outlive the ring. */
  close(): void {
    for (const list of this.#idle.values()) for (const idle of list) this.#memory.free(idle.region);
    this.#idle.clear();
  }
}
