// The port under a driver, recorded: every store of the driver's into ring memory and its own, every call, and what
// the ring shows after it, as a trace that the oracle judges; each SQE that the kernel took and each CQE that it
// posted, for the laws. Stores are found by comparing memory with what it was when the kernel last had it.
import type { AddressSpace, EnterArg, Kernel, Region, Ring, SetupParams } from "../../../src/kernel.ts";
import type { SeenCqe, TraceEvent } from "../../../src/program/trace.ts";
import { CQE, SQE } from "../../../src/spec/codec.gen.ts";
import { IORING_ENTER_GETEVENTS, IORING_SETUP_NO_SQARRAY } from "../../../src/spec/constants.gen.ts";
import { BrokenLaw } from "./laws.ts";

const WORDS = 16;
/** More calls in one program are a driver that goes round in a circle. */
const CALLS_MAX = 3000;

export interface Follower {
  event(event: TraceEvent): void;
  /** A call begins. */
  submission(): void;
  taken(sqe: Uint8Array): void;
  posted(cqe: SeenCqe): void;
}

interface Tracked {
  readonly region: Region;
  before: Uint8Array;
}

export class Recorder {
  /** The next wait is for what must come, and has a bound all the same. */
  watchdog = false;
  /** Calls that asked for completions. */
  asks = 0;
  #calls = 0;
  readonly #kernel: Kernel;
  readonly #follower: Follower;
  readonly #regions: Tracked[] = [];
  readonly #inner: Ring;
  /** Kept, for asking the ring for them lets a thread that polls go on. */
  readonly #ringBytes: Uint8Array;
  readonly #words: Uint32Array;
  readonly #wordsBefore: Uint32Array;
  #sqesBefore: Uint8Array;
  #arrayBefore: Uint8Array;
  #seenTail: number;
  #seenHead: number;

  /** Sets the ring up. Throws KernelError where the kernel refuses. */
  constructor(kernel: Kernel, follower: Follower, entries: number, params: SetupParams) {
    this.#kernel = kernel;
    this.#follower = follower;
    const from = kernel.nowNs();
    const inner = kernel.setup(entries, params);
    this.#inner = inner;
    this.#ringBytes = inner.sqRing;
    this.#words = new Uint32Array(this.#ringBytes.buffer, this.#ringBytes.byteOffset, WORDS);
    const counters = this.#words[inner.params.sqOff.tail >>> 2] ?? 0;
    follower.event({
      event: "setup", from, to: kernel.nowNs(), entries, params, result: inner.fd, filled: inner.params, ...(counters === 0 ? {} : { counters }),
    });
    this.#wordsBefore = this.#words.slice();
    this.#sqesBefore = inner.sqes.slice();
    this.#arrayBefore = this.#array().slice();
    this.#seenTail = this.#seenHead = counters;
  }

  /** The kernel as the driver gets it: its memory is recorded. */
  get kernel(): Kernel {
    const kernel = this.#kernel;
    const memory: AddressSpace = {
      faultAddress: kernel.memory.faultAddress,
      alloc: (size, align) => this.#alloc(size, align),
      free: (region) => kernel.memory.free(region),
    };
    return {
      backend: kernel.backend, profile: kernel.profile, directory: kernel.directory, system: kernel.system, memory,
      nowNs: () => kernel.nowNs(), setup: (entries, params) => kernel.setup(entries, params), close: () => kernel.close(),
    };
  }

  /** The ring as the driver gets it. */
  get ring(): Ring {
    const inner = this.#inner;
    return {
      fd: inner.fd, params: inner.params, sqRing: this.#ringBytes, cqRing: this.#ringBytes,
      get sqes() {
        return inner.sqes;
      },
      get closed() {
        return inner.closed;
      },
      enter: (toSubmit, minComplete, flags, arg) => this.#enter(toSubmit, minComplete, flags, arg),
      register: (opcode, arg, nrArgs) => inner.register(opcode, arg, nrArgs),
      submitElsewhere: (toSubmit) => inner.submitElsewhere(toSubmit),
      registerElsewhere: (opcode, arg, nrArgs) => inner.registerElsewhere(opcode, arg, nrArgs),
      closeDescriptor: () => inner.closeDescriptor(),
      openInfo: () => inner.openInfo(),
      ready: (options) => inner.ready(options),
      close: () => inner.close(),
    };
  }

  #array(): Uint8Array {
    const { params } = this.#inner;
    const { array } = params.sqOff;
    return (params.flags & IORING_SETUP_NO_SQARRAY) === 0 ? this.#ringBytes.subarray(array, array + 4 * params.sqEntries) : new Uint8Array(0);
  }

  #alloc(size: number, align: number | undefined): Region {
    const region = this.#kernel.memory.alloc(size, align);
    const from = this.#kernel.nowNs();
    this.#follower.event({ event: "alloc", from, to: from, addr: region.addr, size });
    this.#regions.push({ region, before: region.bytes.slice() });
    return region;
  }

  /** IORING_SQ_* bits, as they stand. */
  get sqFlags(): number {
    return this.#words[this.#inner.params.sqOff.flags >>> 2] ?? 0;
  }

  /** What the driver's memory holds at this address. */
  load(addr: bigint, size: number): Uint8Array | undefined {
    for (const { region } of this.#regions) {
      const at = Number(addr - region.addr);
      if (at >= 0 && at + size <= region.bytes.length) return region.bytes.slice(at, at + size);
    }
    return undefined;
  }

  /** Records what the driver stored since the kernel last had the memory. */
  stores(): void {
    const from = this.#kernel.nowNs();
    for (const tracked of this.#regions) {
      const { addr, bytes } = tracked.region;
      if (Buffer.compare(bytes, tracked.before) === 0) continue;
      tracked.before = bytes.slice();
      this.#follower.event({ event: "memory", from, to: from, addr, bytes: tracked.before });
    }
    const { sqes, params } = this.#inner;
    const store = (region: "ring" | "sqes", at: number, bytes: Uint8Array): void => this.#follower.event({ event: "store", from, to: from, region, at, bytes: bytes.slice() });
    for (let at = 0; at < sqes.length; at += SQE.size) {
      const sqe = sqes.subarray(at, at + SQE.size);
      if (Buffer.compare(sqe, this.#sqesBefore.subarray(at, at + SQE.size)) !== 0) store("sqes", at, sqe);
    }
    this.#sqesBefore = sqes.slice();
    const array = this.#array();
    if (Buffer.compare(array, this.#arrayBefore) !== 0) store("ring", params.sqOff.array, array);
    this.#arrayBefore = array.slice();
    const own = [params.sqOff.tail, params.cqOff.head, params.cqOff.flags];
    for (let word = 0; word < WORDS; word++) {
      if (this.#words[word] === this.#wordsBefore[word]) continue;
      if (!own.includes(4 * word))
        throw new BrokenLaw(["setup.offsets", "mapping.kernel-words-ignored"], `the driver stores ${this.#words[word]} into the word at ${4 * word}, which is the kernel's`, "sq.tail and cq.head are its own");
      store("ring", 4 * word, this.#ringBytes.subarray(4 * word, 4 * word + 4));
    }
    this.#wordsBefore.set(this.#words);
    this.#checkIndices();
  }

  #checkIndices(): void {
    const { params: { sqOff, cqOff, sqEntries, cqEntries } } = this.#inner;
    const word = (at: number): number => this.#words[at >>> 2] ?? 0;
    const unread = (word(sqOff.tail) - word(sqOff.head)) >>> 0;
    if (unread > sqEntries) throw new BrokenLaw(["sq.tail-clamped"], `sq.tail ${word(sqOff.tail)} is ${unread} ahead of sq.head`, `at most the ${sqEntries} entries of the queue`);
    const shown = (word(cqOff.tail) - word(cqOff.head)) >>> 0;
    if (shown > cqEntries) throw new BrokenLaw(["cq.head-lies"], `cq.head ${word(cqOff.head)} has passed cq.tail ${word(cqOff.tail)}`, "it follows the tail");
  }

  #enter(toSubmit: number, minComplete: number, flags: number, arg?: EnterArg): number {
    this.stores();
    this.peek();
    if ((flags & IORING_ENTER_GETEVENTS) !== 0) this.asks++;
    if (++this.#calls > CALLS_MAX) throw new BrokenLaw(["liveness.due"], `the driver has called io_uring_enter ${CALLS_MAX} times`, "it comes to an end");
    this.#follower.submission();
    const from = this.#kernel.nowNs();
    const result = this.#inner.enter(toSubmit, minComplete, flags, arg);
    this.#follower.event({
      event: "enter", from, to: this.#kernel.nowNs(), toSubmit, minComplete, flags, result, ...(arg === undefined ? {} : { arg }), ...(this.watchdog ? { watchdog: true } : {}),
    });
    this.peek();
    return result;
  }

  /** Looks at the ring, and tells what the kernel took and posted since the last look. */
  peek(): void {
    const { params, cqRing } = this.#inner; // on the model a thread that polls goes on when it is looked at
    const from = this.#kernel.nowNs();
    const words = this.#words.slice();
    const cqTail = words[params.cqOff.tail >>> 2] ?? 0;
    const fresh = Math.min((cqTail - this.#seenTail) >>> 0, params.cqEntries);
    const view = new DataView(cqRing.buffer, cqRing.byteOffset, cqRing.byteLength);
    const cqes: SeenCqe[] = [];
    for (let i = 0; i < fresh; i++) {
      const slot = (cqTail - fresh + i) & (params.cqEntries - 1);
      const at = params.cqOff.cqes + slot * CQE.size;
      cqes.push({ slot, userData: view.getBigUint64(at + CQE.user_data, true), res: view.getInt32(at + CQE.res, true), flags: view.getUint32(at + CQE.flags, true) });
    }
    this.#seenTail = cqTail;
    this.#follower.event({ event: "peek", from, to: this.#kernel.nowNs(), cqTail, cqes, words: [...words] });
    this.#wordsBefore.set(words);
    this.#tellTaken(words[params.sqOff.head >>> 2] ?? 0);
    for (const cqe of cqes) this.#follower.posted(cqe);
  }

  #tellTaken(head: number): void {
    const { sqEntries } = this.#inner.params;
    const array = new Uint32Array(this.#arrayBefore.buffer);
    for (; this.#seenHead !== head; this.#seenHead = (this.#seenHead + 1) >>> 0) {
      const slot = this.#seenHead & (sqEntries - 1);
      const index = array.length === 0 ? slot : (array[slot] ?? slot);
      if (index < sqEntries) this.#follower.taken(this.#sqesBefore.subarray(index * SQE.size, (index + 1) * SQE.size));
    }
  }
}
