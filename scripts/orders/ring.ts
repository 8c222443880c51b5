// The ring of `npm run orders`: the application's half of one io_uring, which gives every request a name and
// says in which order the names came back. Every wait is bounded.
import type { Fd, Kernel, Ring, SetupParams } from "../../src/kernel.ts";
import { GETEVENTS_ARG, KERNEL_TIMESPEC, SQE } from "../../src/spec/codec.gen.ts";
import { IORING_CQE_F_MORE, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_SQ_CQ_OVERFLOW } from "../../src/spec/constants.gen.ts";

/** One request: its name, its SQE, and what its CQE is to say. */
export interface Request {
  readonly name: string;
  readonly opcode: number;
  readonly flags?: number;
  readonly fd?: Fd;
  readonly off?: bigint;
  readonly addr?: bigint;
  readonly len?: number;
  readonly opFlags?: number;
  readonly addr3?: bigint;
  /** The expected result; left out: 0. Another one is shown behind the name. "descriptor": any, for `took`. */
  readonly res?: number | "descriptor";
  /** Multishot: its CQEs are to carry F_MORE. */
  readonly more?: boolean;
}

/** What a whole wait is bound by; a scenario that takes longer is shown with what came until then. */
const WAIT_NS = 2_000_000_000n;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export class OrderRing {
  readonly #ring: Ring;
  readonly #sqes: DataView;
  readonly #sq: DataView;
  readonly #cq: DataView;
  /** Address of a struct io_uring_getevents_arg with the bound of the waits. */
  readonly #waitArg: bigint;
  readonly #pending = new Map<bigint, Request>();
  /** Descriptors that requests brought. */
  #took: number[] = [];
  #nextId = 1n;

  constructor(ring: Ring, waitArg: bigint) {
    this.#ring = ring;
    this.#waitArg = waitArg;
    this.#sqes = view(ring.sqes);
    this.#sq = view(ring.sqRing);
    this.#cq = view(ring.cqRing);
  }

  get tail(): number {
    return this.#cq.getUint32(this.#ring.params.cqOff.tail, true);
  }

  set head(value: number) {
    this.#cq.setUint32(this.#ring.params.cqOff.head, value >>> 0, true);
  }

  get head(): number {
    return this.#cq.getUint32(this.#ring.params.cqOff.head, true);
  }

  get overflown(): boolean {
    return (this.#sq.getUint32(this.#ring.params.sqOff.flags, true) & IORING_SQ_CQ_OVERFLOW) !== 0;
  }

  /** One io_uring_enter for all of them; their user_data, which no other request of this ring has. */
  submit(...requests: readonly Request[]): bigint[] {
    const { sqOff, sqEntries } = this.#ring.params;
    const tail = this.#sq.getUint32(sqOff.tail, true);
    const ids = requests.map((request, i) => {
      const slot = (tail + i) & (sqEntries - 1);
      const id = this.#nextId++;
      this.#pending.set(id, request);
      this.#write(slot * SQE.size, request, id);
      this.#sq.setUint32(sqOff.array + 4 * slot, slot, true);
      return id;
    });
    this.#sq.setUint32(sqOff.tail, (tail + requests.length) >>> 0, true);
    const taken = this.#ring.enter(requests.length, 0, 0);
    if (taken !== requests.length) throw new Error(`io_uring_enter took ${taken} of ${requests.length} requests`);
    return ids;
  }

  /** The names of what is in the CQ, taken out of it. */
  reap(): string[] {
    const { cqOff, cqEntries } = this.#ring.params;
    const names: string[] = [];
    let head = this.head;
    while (head !== this.tail) {
      const at = cqOff.cqes + 16 * (head & (cqEntries - 1));
      names.push(this.#name(this.#cq.getBigUint64(at, true), this.#cq.getInt32(at + 8, true), this.#cq.getUint32(at + 12, true)));
      head = (head + 1) >>> 0;
    }
    this.head = head;
    return names;
  }

  /** Waits until `count` completions are there, bounded: the names of all that there are then. */
  wait(count: number): string[] {
    const names = this.reap();
    const end = process.hrtime.bigint() + WAIT_NS;
    while (names.length < count && process.hrtime.bigint() < end) {
      this.getEvents(count - names.length);
      names.push(...this.reap());
    }
    if (names.length < count) names.push(`(${count - names.length} missing)`);
    return names;
  }

  /** One io_uring_enter with GETEVENTS and a bound: a short wait, such as by a timeout that fired, is a return. */
  getEvents(minComplete: number): number {
    const arg = { addr: this.#waitArg, size: GETEVENTS_ARG.size };
    return this.#ring.enter(0, minComplete, IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, arg);
  }

  /** Submits, and the order in which all of them completed. */
  order(...requests: readonly Request[]): string {
    this.submit(...requests);
    return this.wait(requests.length).join(" ");
  }

  /** The descriptors that requests brought since this was asked last, in the order of their completions. */
  took(): readonly number[] {
    const all = this.#took;
    this.#took = [];
    return all;
  }

  close(): void {
    this.#ring.close();
  }

  #write(at: number, request: Request, id: bigint): void {
    const to = this.#sqes;
    this.#ring.sqes.fill(0, at, at + SQE.size);
    to.setUint8(at + SQE.opcode, request.opcode);
    to.setUint8(at + SQE.flags, request.flags ?? 0);
    to.setInt32(at + SQE.fd, request.fd ?? -1, true);
    to.setBigUint64(at + SQE.off, request.off ?? 0n, true);
    to.setBigUint64(at + SQE.addr, request.addr ?? 0n, true);
    to.setUint32(at + SQE.len, request.len ?? 0, true);
    to.setUint32(at + SQE.op_flags, request.opFlags ?? 0, true);
    to.setBigUint64(at + SQE.user_data, id, true);
    to.setBigUint64(at + SQE.addr3, request.addr3 ?? 0n, true);
  }

  #name(id: bigint, res: number, flags: number): string {
    const request = this.#pending.get(id);
    if (request === undefined) return `user_data ${id} (nothing is pending by it)`;
    const more = (flags & IORING_CQE_F_MORE) !== 0;
    if (!more) this.#pending.delete(id);
    if (request.res === "descriptor" && res >= 0) this.#took.push(res);
    const right = request.res === "descriptor" ? res >= 0 : res === (request.res ?? 0);
    const result = right ? "" : `(${res})`;
    return request.name + result + (more === (request.more ?? false) ? "" : more ? "(more)" : "(last)");
  }
}

/** What one scenario opens, and closes all at once. */
export class Bench {
  readonly #kernel: Kernel;
  readonly #waitArg: bigint;
  readonly #opened: (() => void)[] = [];

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    const arg = this.#region(GETEVENTS_ARG.size);
    view(arg.bytes).setBigUint64(GETEVENTS_ARG.ts, this.timespec(WAIT_NS), true);
    this.#waitArg = arg.addr;
  }

  ring(entries: number, params: SetupParams = {}): OrderRing {
    const ring = this.freshRing(entries, params);
    this.#opened.push(() => ring.close());
    return ring;
  }

  /** A ring that the caller closes. */
  freshRing(entries: number, params: SetupParams): OrderRing {
    return new OrderRing(this.#kernel.setup(entries, params), this.#waitArg);
  }

  /** A pipe, with plain write(2) and read(2) of the submitting thread. */
  pipe(): { readonly read: Fd; readonly write: Fd; readonly put: () => void; readonly take: () => void } {
    const { system } = this.#kernel;
    const ends = system.pipe();
    if (typeof ends === "number") throw new Error(`pipe: errno ${-ends}`);
    this.#opened.push(() => void system.close(ends.read), () => void system.close(ends.write));
    const [one, room] = [Uint8Array.of(1), new Uint8Array(64)];
    return { ...ends, put: () => void system.write(ends.write, one), take: () => void system.read(ends.read, room) };
  }

  /** The address of `size` bytes. */
  buffer(size: number): bigint {
    return this.#region(size).addr;
  }

  /** The address of these bytes. */
  bytes(bytes: Uint8Array): bigint {
    const region = this.#region(bytes.length);
    region.bytes.set(bytes);
    return region.addr;
  }

  /** The address of a struct __kernel_timespec. */
  timespec(ns: bigint): bigint {
    const region = this.#region(KERNEL_TIMESPEC.size);
    view(region.bytes).setBigInt64(KERNEL_TIMESPEC.tv_sec, ns / 1_000_000_000n, true);
    view(region.bytes).setBigInt64(KERNEL_TIMESPEC.tv_nsec, ns % 1_000_000_000n, true);
    return region.addr;
  }

  /** Memory goes with the kernel: a request of a ring that was closed may still use it. */
  #region(size: number): { readonly addr: bigint; readonly bytes: Uint8Array } {
    return this.#kernel.memory.alloc(size);
  }

  close(): void {
    for (const close of this.#opened.splice(0)) close();
  }
}

/** 59 58 57 3 2 as 59-57 3-2. */
export function runs(names: readonly string[]): string {
  const found: string[][] = [];
  for (const name of names) {
    const run = found.at(-1);
    if (run !== undefined && Number(run.at(-1)) - 1 === Number(name)) run.push(name);
    else found.push([name]);
  }
  return found.map((run) => (run.length > 1 ? `${run[0]}-${run.at(-1)}` : run[0])).join(" ");
}
