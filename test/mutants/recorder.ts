// Records what a script does with a kernel port, as one trace for each ring that it makes. Stores are found by
// comparing memory before each call with what it was, so a kernel that writes beside the script may be misread: whoever
// uses a trace keeps it only where it is legal.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { parseFdinfo } from "../../src/fdinfo.ts";
import { KernelError, type InfoFile, type Kernel, type Region, type Ring, type System } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { PROFILES } from "../../src/model/profile.ts";
import { formatTrace, type SeenCqe, type SystemCall, type TraceEvent } from "../../src/program/trace.ts";
import {
  IORING_CQE_F_32, IORING_REGISTER_RESIZE_RINGS, IORING_REGISTER_USE_REGISTERED_RING, IORING_SETUP_CQE32, IORING_SETUP_CQE_MIXED, IORING_SETUP_SQE128,
} from "../../src/spec/constants.gen.ts";

/** The folder that traces of scripts go to; unset: nothing is recorded. */
export const RECORD_TO = "RINGSPEC_RECORD_TO";
/** The release that scripts on the model run as, and then these are recorded and nothing that the real kernel does. */
export const RECORD_AS = "RINGSPEC_RECORD_AS";
const WORDS = 16;
/** Larger regions are left out, and so is the trace of a script that needs them. */
const REGION_MAX = 70_000;

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** The trace of one ring. */
class Tape {
  readonly events: TraceEvent[];
  private readonly ring: Ring;
  private readonly now: () => bigint;
  private ringWas: Uint8Array;
  private sqesWere: Uint8Array;
  private seenTail = 0;

  constructor(ring: Ring, events: TraceEvent[], now: () => bigint) {
    this.ring = ring;
    this.events = events;
    this.now = now;
    this.ringWas = new Uint8Array(ring.sqRing.length);
    this.ringWas.set(ring.sqRing.subarray(0, 4 * WORDS));
    this.sqesWere = new Uint8Array(ring.sqes.length);
    this.seenTail = this.word(ring.params.cqOff.tail);
  }

  /** The queues have been mapped anew: what the kernel put there is no store of the script's. */
  resized(): void {
    this.ringWas = this.ring.sqRing.slice();
    this.sqesWere = this.ring.sqes.slice();
  }

  private word(at: number): number {
    return Atomics.load(new Uint32Array(this.ring.sqRing.buffer, this.ring.sqRing.byteOffset, WORDS), at >>> 2);
  }

  /** What the script stored since the last look, then a look. */
  stores(): void {
    const { ring } = this;
    if (ring.closed) return;
    const { sqOff, cqOff, flags, sqEntries } = ring.params;
    const size = (flags & IORING_SETUP_SQE128) === 0 ? 64 : 128;
    this.store("ring", cqOff.head, 4);
    for (let at = 0; at < ring.sqes.length; at += size) this.store("sqes", at, size);
    if (sqOff.array !== 0) for (let i = 0; i < sqEntries; i++) this.store("ring", sqOff.array + 4 * i, 4);
    this.store("ring", cqOff.flags, 4);
    for (const at of [sqOff.ringMask, sqOff.ringEntries, cqOff.ringMask, cqOff.ringEntries, sqOff.tail]) this.store("ring", at, 4);
    this.peek();
  }

  private store(region: "ring" | "sqes", at: number, size: number): void {
    const [is, was] = region === "ring" ? [this.ring.sqRing, this.ringWas] : [this.ring.sqes, this.sqesWere];
    const bytes = is.slice(at, at + size);
    if (same(bytes, was.subarray(at, at + size))) return;
    was.set(bytes, at);
    const from = this.now();
    this.events.push({ event: "store", from, to: from, region, at, bytes });
  }

  peek(): void {
    const { ring } = this;
    if (ring.closed) return;
    const { cqOff, cqEntries } = ring.params;
    const from = this.now();
    const cqTail = this.word(cqOff.tail);
    const words = Array.from({ length: WORDS }, (_, i) => (4 * i === cqOff.tail ? cqTail : this.word(4 * i)));
    const cqes: SeenCqe[] = [];
    const fresh = Math.min((cqTail - this.seenTail) >>> 0, cqEntries);
    for (let i = 0; i < fresh; i++) {
      const cqe = this.cqe((cqTail - fresh + i) & (cqEntries - 1));
      cqes.push(cqe);
      if (cqe.big !== undefined && (ring.params.flags & IORING_SETUP_CQE_MIXED) !== 0) i++;
    }
    this.seenTail = cqTail;
    this.events.push({ event: "peek", from, to: this.now(), cqTail, cqes, words });
  }

  private cqe(slot: number): SeenCqe {
    const { flags, cqOff } = this.ring.params;
    const all32 = (flags & IORING_SETUP_CQE32) !== 0;
    const { buffer, byteOffset, byteLength } = this.ring.cqRing;
    const view = new DataView(buffer, byteOffset, byteLength);
    const at = cqOff.cqes + slot * (all32 ? 32 : 16);
    const seen = { slot, userData: view.getBigUint64(at, true), res: view.getInt32(at + 8, true), flags: view.getUint32(at + 12, true) };
    if (!all32 && ((flags & IORING_SETUP_CQE_MIXED) === 0 || (seen.flags & IORING_CQE_F_32) === 0)) return seen;
    return { ...seen, big: [view.getBigUint64(at + 16, true), view.getBigUint64(at + 24, true)] };
  }
}

class Recorder {
  readonly tapes: Tape[] = [];
  /** What a ring that is made later has to know. */
  private readonly before: TraceEvent[] = [];
  private readonly regions = new Map<Region, Uint8Array>();
  private readonly kernel: Kernel;

  constructor(kernel: Kernel) {
    this.kernel = kernel;
  }

  private readonly now = (): bigint => this.kernel.nowNs();

  private all(event: TraceEvent): void {
    this.before.push(event);
    for (const tape of this.tapes) tape.events.push(event);
  }

  private memory(event: "memory" | "look"): void {
    for (const [{ addr, bytes }, was] of this.regions) {
      if (same(bytes, was)) continue;
      was.set(bytes);
      const from = this.now();
      if (event === "memory") this.all({ event, from, to: from, addr, bytes: bytes.slice() });
      else for (const tape of this.tapes) tape.events.push({ event, from, to: from, addr, bytes: bytes.slice() });
    }
  }

  alloc(size: number, align?: number): Region {
    const region = this.kernel.memory.alloc(size, align);
    if (size > REGION_MAX) return region;
    this.regions.set(region, new Uint8Array(size));
    const from = this.now();
    this.all({ event: "alloc", from, to: from, addr: region.addr, size });
    return region;
  }

  private call<T>(on: readonly Tape[], run: () => T, event: (result: T, from: bigint, to: bigint) => TraceEvent | undefined, everywhere = false): T {
    this.memory("memory");
    for (const tape of on) tape.stores();
    const from = this.now();
    const result = run();
    const its = event(result, from, this.now());
    if (its !== undefined && everywhere) this.all(its);
    else if (its !== undefined) for (const tape of on) tape.events.push(its);
    for (const tape of on) tape.peek();
    this.memory("look");
    return result;
  }

  system(request: (result: number, second?: number) => SystemCall, run: () => number | { read: number; write: number }, bytes?: (result: number) => Uint8Array): ReturnType<typeof run> {
    return this.call(this.tapes, run, (ends, from, to) => {
      const [result, second] = typeof ends === "number" ? [ends, undefined] : [ends.read, ends.write];
      const extra = { ...(second === undefined ? {} : { second }), ...(bytes === undefined ? {} : { bytes: bytes(result) }) };
      return { event: "system", from, to, request: request(result, second), result, ...extra };
    }, true);
  }

  setup(entries: number, params: Parameters<Kernel["setup"]>[1] = {}): Ring {
    this.memory("memory");
    const from = this.now();
    try {
      const ring = this.kernel.setup(entries, params);
      const sqTail = new Uint32Array(ring.sqRing.buffer, ring.sqRing.byteOffset, WORDS)[ring.params.sqOff.tail >>> 2] ?? 0;
      const counters = sqTail === 0 ? {} : { counters: sqTail };
      const to = this.now();
      const tape = new Tape(ring, [...this.before, { event: "setup", from, to, entries, params, result: ring.fd, filled: ring.params, ...counters }], this.now);
      tape.peek();
      this.tapes.push(tape);
      return this.recorded(ring, tape);
    } catch (error) {
      if (error instanceof KernelError) {
        const tape = { event: "setup", from, to: this.now(), entries, params, result: -error.errno } as const;
        this.refused.push([...this.before, tape]);
      }
      throw error;
    }
  }

  /** Traces of rings that were refused. */
  readonly refused: TraceEvent[][] = [];

  private recorded(ring: Ring, tape: Tape): Ring {
    return new Proxy(ring, {
      get: (target, name) => {
        if (name === "enter")
          return (...[toSubmit, minComplete, flags, arg, index]: Parameters<Ring["enter"]>) =>
            this.call([tape], () => target.enter(toSubmit, minComplete, flags, arg, index), (result, from, to) =>
              ({ event: "enter", from, to, toSubmit, minComplete, flags, result, ...(index === undefined ? {} : { index }),
                ...(arg === undefined ? {} : { arg: { addr: BigInt(arg.addr), size: arg.size } }) }));
        if (name === "register")
          return (...[opcode, arg, nrArgs, index]: Parameters<Ring["register"]>) =>
            this.call([tape], () => target.register(opcode, arg, nrArgs, index), (result, from, to) => {
              const resized = result === 0 && (opcode & ~IORING_REGISTER_USE_REGISTERED_RING) >>> 0 === IORING_REGISTER_RESIZE_RINGS;
              if (resized) tape.resized();
              const more = { ...(index === undefined ? {} : { index }), ...(resized ? { filled: target.params } : {}) };
              return { event: "register", from, to, opcode, arg: BigInt(arg ?? 0), nrArgs, result, ...more };
            });
        if (name === "openInfo") return () => this.recordedInfo(target.openInfo(), tape);
        if (name === "close") tape.stores();
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  }

  private recordedInfo(file: InfoFile, tape: Tape): InfoFile {
    const read = (): string => this.call([tape], () => file.read(), (text, from, to) => ({ event: "fdinfo", from, to, info: parseFdinfo(text) }));
    return over(file, { read });
  }

  recordedSystem(): System {
    const { system } = this.kernel;
    const calls: Partial<Record<keyof System, unknown>> = {
      open: (path: string, flags: number, mode?: number) => this.system(() => ({ call: "open", path, flags }), () => system.open(path, flags, mode)),
      close: (fd: number) => this.system(() => ({ call: "close", fd }), () => system.close(fd)),
      pipe: (flags?: number) => this.system(() => ({ call: "pipe" }), () => system.pipe(flags)),
      eventfd: (count: number, flags?: number) => this.system(() => ({ call: "eventfd", count }), () => system.eventfd(count, flags)),
      dup: (fd: number, atLeast?: number) => this.system(() => ({ call: "dup", fd }), () => system.dup(fd, atLeast)),
      raise: () => this.system(() => ({ call: "raise" }), () => system.raise()),
      takeSignal: () => this.system(() => ({ call: "take-signal" }), () => system.takeSignal()),
      write: (fd: number, from: Uint8Array) => this.system(() => ({ call: "write", fd, bytes: from.slice() }), () => system.write(fd, from)),
      pwrite: (fd: number, from: Uint8Array, offset: number) =>
        this.system(() => ({ call: "pwrite", fd, bytes: from.slice(), offset }), () => system.pwrite(fd, from, offset)),
      read: (fd: number, into: Uint8Array) =>
        this.system(() => ({ call: "read", fd, size: into.length }), () => system.read(fd, into), (n) => into.slice(0, Math.max(n, 0))),
      pread: (fd: number, into: Uint8Array, offset: number) =>
        this.system(() => ({ call: "pread", fd, size: into.length, offset }), () => system.pread(fd, into, offset), (n) => into.slice(0, Math.max(n, 0))),
    };
    return over(system, calls);
  }

  save(folder: string): void {
    mkdirSync(folder, { recursive: true });
    const traces = [...this.tapes.map(({ events }) => events), ...this.refused];
    for (const events of traces) writeFileSync(join(folder, `${process.pid}-${process.hrtime.bigint()}.trace.jsonl`), formatTrace({ version: 1, events }));
  }
}

/** The same object with some members in the place of its own. */
function over<T extends object>(object: T, members: Readonly<Record<string, unknown>>): T {
  return new Proxy(object, {
    get: (target, name) => {
      if (typeof name === "string" && Object.hasOwn(members, name)) return members[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** The same kernel; where RINGSPEC_RECORD_TO names a folder, what is done with it is written there when it is closed. */
export function recordedKernel<T extends Kernel>(kernel: T): T {
  const folder = process.env[RECORD_TO];
  if (folder === undefined || (kernel.backend === "real" && process.env[RECORD_AS] !== undefined)) return kernel;
  const recorder = new Recorder(kernel);
  let closed = false;
  return over(kernel, {
    // What is freed stays until the kernel is closed: in a trace no two allocations share an address.
    memory: over(kernel.memory, { alloc: (size: number, align?: number) => recorder.alloc(size, align), free: () => {} }),
    system: recorder.recordedSystem(),
    setup: (entries: number, params?: Parameters<Kernel["setup"]>[1]) => recorder.setup(entries, params),
    close: () => {
      if (!closed) recorder.save(folder);
      closed = true;
      kernel.close();
    },
  });
}

/** The model that scripts run on. What a script expects of 6.18 may fail as an older release: what it did by then is recorded all the same. */
export function scriptedModel(): Kernel {
  const release = process.env[RECORD_AS];
  if (release === undefined) return createModelKernel();
  const profile = Object.entries(PROFILES).find(([name]) => name === release)?.[1];
  if (profile === undefined) throw new TypeError(`${RECORD_AS}: expected one of ${Object.keys(PROFILES).join(", ")}, got "${release}"`);
  return recordedKernel(createModelKernel({ profile }));
}
