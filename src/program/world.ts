// The world of a program: its files, pipes, eventfds and buffers, made when it starts, looked at when
// it ends, and gone afterwards. Only what the program names is made.
import type { Fd, Kernel, Region } from "../kernel.ts";
import { O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_TRUNC } from "../spec/constants.gen.ts";
import type { Operation, Program } from "./program.ts";
import type { SystemCall, TraceEvent } from "./trace.ts";

/** The descriptor that stands for one that was closed: nothing gets this number by chance. */
const CLOSED_FROM = 900;

type Record = (event: TraceEvent) => void;

export class ProgramWorld {
  /** The ring's descriptor, once there is one. */
  ring = -1;
  private readonly kernel: Kernel;
  private readonly program: Program;
  private readonly record: Record;
  private readonly fds = new Map<string, number>();
  private readonly regions: Region[] = [];
  private readonly buffers: Region[] = [];
  private readonly files = new Set<string>();

  constructor(kernel: Kernel, program: Program, record: Record) {
    this.kernel = kernel;
    this.program = program;
    this.record = record;
  }

  /** Makes everything that the program names. */
  open(): void {
    const text = JSON.stringify(this.program.ops);
    const { world } = this.program;
    const named = (name: string): boolean => text.includes(`"${name}"`);
    for (const [i, size] of world.files.entries()) if (named(`f${i}`)) this.makeFile(`f${i}`, size);
    for (const [i, held] of world.pipes.entries()) if (named(`p${i}r`) || named(`p${i}w`)) this.makePipe(i, held);
    for (const [i, count] of world.eventfds.entries())
      if (named(`e${i}`)) this.fds.set(`e${i}`, this.system({ call: "eventfd", count }).result);
    if (named("dir") || named("closed") || text.includes('"OPENAT"')) this.makeDirectory();
    for (const size of world.buffers) this.buffers.push(this.alloc(size));
    for (const match of text.matchAll(/"path":"([^"./]+)"/g)) this.files.add(match[1] ?? "");
  }

  private makeFile(name: string, size: number): void {
    const fd = this.system({ call: "open", path: name, flags: O_CREAT | O_RDWR | O_TRUNC }).result;
    this.files.add(name);
    this.fds.set(name, fd);
    if (size > 0) this.system({ call: "pwrite", fd, bytes: Uint8Array.from({ length: size }, (_, i) => i & 0xff), offset: 0 });
  }

  private makePipe(i: number, held: number): void {
    const { result, second } = this.system({ call: "pipe" });
    this.fds.set(`p${i}r`, result);
    this.fds.set(`p${i}w`, second ?? -1);
    if (held > 0 && second !== undefined) this.system({ call: "write", fd: second, bytes: new Uint8Array(held).fill(0x50 + i) });
  }

  private makeDirectory(): void {
    const dir = this.system({ call: "open", path: ".", flags: O_RDONLY | O_DIRECTORY }).result;
    this.fds.set("dir", dir);
    const closed = this.system({ call: "dup", fd: dir }).result;
    this.fds.set("closed", closed);
    this.system({ call: "close", fd: closed });
  }

  /** Memory of the program, zeroed, until it ends. */
  alloc(size: number, align = 16): Region {
    const region = this.kernel.memory.alloc(size, align);
    this.regions.push(region);
    const from = this.kernel.nowNs();
    this.record({ event: "alloc", from, to: from, addr: region.addr, size });
    return region;
  }

  /** The application wrote this region. */
  stored(region: Region): void {
    const from = this.kernel.nowNs();
    this.record({ event: "memory", from, to: from, addr: region.addr, bytes: region.bytes.slice() });
  }

  buffer(index: number): Region | undefined {
    return this.buffers[index];
  }

  /** The program's buffers, in their order. */
  get memory(): readonly Region[] {
    return this.buffers;
  }

  /** What was opened, by name, in the order in which it was opened. */
  get descriptors(): ReadonlyMap<string, number> {
    return this.fds;
  }

  get faultAddress(): bigint {
    return this.kernel.memory.faultAddress;
  }

  /** Did the program send a signal? */
  private raised = false;

  /** The number behind a name; -1 for "none" and for what was never opened. */
  fd(name: string | undefined, opened: readonly number[]): number {
    if (name === undefined || name === "none") return -1;
    if (name === "ring") return this.ring;
    if (name.startsWith("o")) return opened[Number(name.slice(1)) % Math.max(opened.length, 1)] ?? this.fds.get("closed") ?? -1;
    return this.fds.get(name) ?? -1;
  }

  /** Executes an ordinary operation of the program. */
  call(operation: Operation & { op: "write" | "read" | "close" }, opened: readonly number[]): void {
    const fd = this.fd(operation.fd, opened);
    if (fd < 0) return;
    if (operation.op === "close") this.system({ call: "close", fd });
    else if (operation.op === "read") this.system({ call: "read", fd, size: operation.bytes });
    else this.system({ call: "write", fd, bytes: new Uint8Array(operation.bytes).fill(operation.fill) });
  }

  raise(): void {
    this.raised = true;
    this.system({ call: "raise" });
  }

  /** One system call, recorded. */
  private system(request: SystemCall): { result: number; second?: number } {
    const from = this.kernel.nowNs();
    const { result, second, bytes } = perform(this.kernel, request);
    const extra = { ...(second === undefined ? {} : { second }), ...(bytes === undefined ? {} : { bytes }) };
    this.record({ event: "system", from, to: this.kernel.nowNs(), request, result, ...extra });
    return { result, ...(second === undefined ? {} : { second }) };
  }

  /** The application loads memory that a call of its own may have filled. */
  look({ addr, bytes }: Region): void {
    const from = this.kernel.nowNs();
    this.record({ event: "look", from, to: from, addr, bytes: bytes.slice() });
  }

  /** Looks at the buffers, the files, what the pipes and eventfds still hold, and whether a signal is pending. */
  lookAtEverything(): void {
    // Nothing of it is left for the program that comes after this one.
    if (this.raised) this.system({ call: "take-signal" });
    for (const region of this.buffers) this.look(region);
    for (const [name, fd] of this.fds) {
      if (!this.kernel.system.owns(fd)) continue;
      if (name.startsWith("f")) this.system({ call: "pread", fd, size: 8192, offset: 0 });
      else if (name.endsWith("r") && name !== "dir") this.system({ call: "read", fd, size: 70_000 });
      else if (name.startsWith("e")) this.system({ call: "read", fd, size: 8 });
    }
  }

  /** Closes and removes everything. Not part of the trace: the ring is gone. */
  close(): void {
    const { system } = this.kernel;
    for (const fd of this.fds.values()) if (system.owns(fd)) system.close(fd);
    for (const name of this.files) system.unlink(name);
    for (const region of this.regions) this.kernel.memory.free(region);
  }
}

function perform(kernel: Kernel, request: SystemCall): { result: number; second?: Fd; bytes?: Uint8Array } {
  const { system } = kernel;
  switch (request.call) {
    case "open":
      return { result: system.open(request.path, request.flags, 0o644) };
    case "pipe": {
      const ends = system.pipe();
      return typeof ends === "number" ? { result: ends } : { result: ends.read, second: ends.write };
    }
    case "raise":
      return { result: system.raise() };
    case "take-signal":
      return { result: system.takeSignal() };
    case "eventfd":
      return { result: system.eventfd(request.count) };
    case "dup":
      return { result: system.dup(request.fd, CLOSED_FROM) };
    case "close":
      return { result: system.close(request.fd) };
    case "write":
      return { result: system.write(request.fd, request.bytes) };
    case "pwrite":
      return { result: system.pwrite(request.fd, request.bytes, request.offset) };
    case "read":
    case "pread": {
      const bytes = new Uint8Array(request.size);
      const result = request.call === "read" ? system.read(request.fd, bytes) : system.pread(request.fd, bytes, request.offset);
      return { result, bytes: bytes.subarray(0, Math.max(result, 0)) };
    }
  }
}
