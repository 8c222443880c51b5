// ModelKernel: the kernel port on the reference model. Runs anywhere, the same for the same seed.
import {
  KernelError, Unmodelled, type AddressSpace, type EnterArg, type Fd, type IoUringParams, type Kernel, type KernelProfile,
  type InfoFile, type Region, type Ring, type SetupParams, type System,
} from "../kernel.ts";
import {
  EBADF, EEXIST, EINVAL, ENOMEM, IORING_ENTER_REGISTERED_RING, IORING_REGISTER_RESIZE_RINGS,
  IORING_REGISTER_USE_REGISTERED_RING, IORING_SETUP_NO_SQARRAY, IORING_SETUP_SINGLE_ISSUER,
} from "../spec/constants.gen.ts";
import { lockedPages } from "./buffers.ts";
import { enter, register } from "./enter.ts";
import { formatInfo, readInfo } from "./fdinfo.ts";
import { Machine, RingState } from "./machine.ts";
import { Memory, segment } from "./memory.ts";
import { PROFILE_6_18 } from "./profile.ts";
import { checkIndex, NO_RING, releaseSlots, withEmptyTable } from "./registered-ring.ts";
import { checkSetup, filledParams, newRing } from "./setup.ts";
import { advance, nextTimer, Simulation } from "./simulate.ts";
import { hasPollThread, isInBatch, pollThreadSince } from "./sqpoll.ts";
import { ModelSystem } from "./system.ts";
import { World } from "./world.ts";

export interface ModelKernelOptions {
  /** Draws the choices that a kernel is free in; left out: always what the profile favours. */
  readonly seed?: number;
  /** Which kernel to be; default 6.18. */
  readonly profile?: KernelProfile;
  /** Where a new ring's heads and tails start; default 0. Near 2^32 shows their wrap. */
  readonly counters?: number;
  /** How many pages its user may lock (RLIMIT_MEMLOCK); default: any number, as with CAP_IPC_LOCK. */
  readonly lockedPagesMax?: number;
}

const MEMORY_START = 0x7f00_0000_0000n;

class ModelMemory implements AddressSpace {
  readonly faultAddress = 0x7e00_0000_0000n;
  readonly memory = new Memory();
  private next = MEMORY_START;

  alloc(size: number, align = 8): Region {
    if (!Number.isInteger(size) || size < 0) throw new RangeError(`alloc: expected a size in bytes, got ${size}`);
    if (!Number.isInteger(align) || align < 1 || (align & (align - 1)) !== 0)
      throw new RangeError(`alloc: expected an alignment that is a power of two, got ${align}`);
    const mask = BigInt(Math.max(align, 8)) - 1n;
    const addr = (this.next + mask) & ~mask;
    this.next = addr + BigInt(Math.max(size, 1)) + 64n;
    const bytes = new Uint8Array(size);
    this.memory.add(segment(addr, bytes));
    return { addr, bytes };
  }

  free(region: Region): void {
    this.memory.remove(region.addr);
  }
}

/** When a model's clock begins: a deadline may lie before the program that names it, and no clock shows less than nothing. */
export const BEGUN_NS = 3_600_000_000_000n;

/** Everything that machines of one kernel share. */
interface Shared {
  readonly profile: KernelProfile;
  readonly world: World;
  readonly memory: ModelMemory;
  readonly simulation: Simulation;
  readonly ids: { next: number };
  readonly machines: Machine[];
  readonly clock: { nowNs: bigint };
  readonly lockedPagesMax: number;
}

class ModelRing implements Ring {
  readonly fd: Fd;
  private setupParams: IoUringParams;
  private readonly shared: Shared;
  private readonly machine: Machine;
  private isClosed = false;
  /** The descriptor is closed; the mappings are not, and keep the open file. */
  private detached = false;
  private keptFile: number | undefined;
  private waiting: { settle: (how: "ready" | "closed") => void } | undefined;

  constructor(shared: Shared, machine: Machine, params: IoUringParams, fd: number) {
    this.shared = shared;
    this.machine = machine;
    this.setupParams = params;
    this.fd = fd;
  }

  /** As the kernel filled them in; sizes, and where the array is, as they are now. */
  get params(): IoUringParams {
    const { sqEntries, cqEntries, arrayOffset, flags } = this.machine.ring;
    if (sqEntries !== this.setupParams.sqEntries || cqEntries !== this.setupParams.cqEntries) {
      const array = (flags & IORING_SETUP_NO_SQARRAY) === 0 ? arrayOffset : 0;
      this.setupParams = { ...this.setupParams, sqEntries, cqEntries, sqOff: { ...this.setupParams.sqOff, array } };
    }
    return this.setupParams;
  }

  get closed(): boolean {
    return this.isClosed;
  }

  /** Where a thread polls, it goes on whenever the application asks for the ring. */
  get sqRing(): Uint8Array {
    const { ring, thread } = this.open();
    if (thread !== undefined) this.settle();
    return ring.bytes;
  }

  /** The same bytes. [mapping.single-mmap] */
  get cqRing(): Uint8Array {
    return this.sqRing;
  }

  get sqes(): Uint8Array {
    return this.open().sqes.bytes;
  }

  private open(): RingState {
    if (this.isClosed) throw new Error("this ring is closed: open another with kernel.setup()");
    return this.machine.ring;
  }

  enter(toSubmit: number, minComplete: number, flags: number, arg?: EnterArg, index?: number): number {
    this.open();
    const m = this.machine;
    const byIndex = (flags & IORING_ENTER_REGISTERED_RING) !== 0;
    checkIndex(m, index, this.number(index), byIndex);
    if (this.detached && !byIndex) return -EBADF;
    this.syncClock();
    const result = enter(m, { toSubmit: toSubmit >>> 0, minComplete: minComplete >>> 0, flags: flags >>> 0, arg, index: this.number(index) });
    this.shared.simulation.settle(m);
    this.shared.clock.nowNs = m.nowNs;
    this.notify();
    return result;
  }

  register(opcode: number, arg: bigint | number | null, nrArgs: number, index?: number): number {
    this.open();
    const byIndex = (opcode & IORING_REGISTER_USE_REGISTERED_RING) !== 0;
    checkIndex(this.machine, index, this.number(index), byIndex);
    // [mapping.keeps-ring] the ring itself goes on, and by an index it can be named
    if (this.detached && index === undefined) return -EBADF;
    if (this.detached && (opcode & ~IORING_REGISTER_USE_REGISTERED_RING) === IORING_REGISTER_RESIZE_RINGS)
      throw new Error("this ring's descriptor is closed, so the memory of other queues could not be mapped; resize it before");
    this.syncClock();
    const result = register(this.machine, opcode >>> 0, arg, nrArgs >>> 0, this.number(index));
    this.shared.simulation.settle(this.machine);
    this.notify();
    return result;
  }

  /** What a call names where it asks for an index: that, or the descriptor, which is -1 once it is closed. */
  private number(index: number | undefined): number {
    return index ?? (this.detached ? -1 : this.fd) >>> 0;
  }

  /** Whose ring is it? The thread's that made it, or enabled it. [setup.single-issuer-owner] */
  submitElsewhere(toSubmit: number): number {
    const { flags, disabled } = this.open();
    if (this.detached || disabled) return this.enter(toSubmit, 0, 0);
    if (toSubmit === 0) return 0;
    if ((flags & IORING_SETUP_SINGLE_ISSUER) !== 0) return -EEXIST;
    throw new Unmodelled("requests of a thread that ends");
  }

  registerElsewhere(opcode: number, arg: bigint | number | null, nrArgs: number, index?: number): number {
    const ring = this.open();
    const single = (ring.flags & IORING_SETUP_SINGLE_ISSUER) !== 0;
    const byIndex = (opcode & IORING_REGISTER_USE_REGISTERED_RING) !== 0;
    if ((opcode & ~IORING_REGISTER_USE_REGISTERED_RING) === IORING_REGISTER_RESIZE_RINGS)
      throw new RangeError("a ring is resized by its own thread, which maps its memory; use register()");
    // [register.ring-fds-per-thread] a thread that has done nothing with a ring yet has no table at all
    if (byIndex && index !== NO_RING) return -EINVAL;
    if (!this.detached && single && !ring.disabled) return -EEXIST;
    const wasDisabled = ring.disabled;
    const result = withEmptyTable(this.shared.world, () => this.register(opcode, arg, nrArgs, index));
    ring.ownedElsewhere = single && wasDisabled && !ring.disabled;
    return result;
  }

  /** [mapping.keeps-ring] the ring's file lives on */
  closeDescriptor(): number {
    this.open();
    if (this.detached) return -EBADF;
    this.detached = true;
    this.keptFile = this.shared.world.fds.get(this.fd);
    this.shared.world.fds.delete(this.fd);
    return 0;
  }

  openInfo(): InfoFile {
    this.open();
    let isOpen = true;
    const read = (): string => {
      if (!isOpen || this.isClosed) throw new Error("this fdinfo is closed: open another with ring.openInfo()");
      this.syncClock();
      // [fdinfo.locked] a thread that polls has the lock for a whole batch
      const text = isInBatch(this.machine) ? "" : formatInfo(readInfo(this.machine));
      this.settle();
      return text;
    };
    return { read, close: () => void (isOpen = false) };
  }

  private syncClock(): void {
    advance(this.machine, this.shared.clock.nowNs);
    pollThreadSince(this.machine, this.machine.nowNs);
  }

  /** Lets what other calls brought about reach this ring. */
  settle(): void {
    if (this.isClosed) return;
    this.syncClock();
    this.shared.simulation.settle(this.machine);
    this.notify();
  }

  private pending(): boolean {
    const { bytes } = this.machine.ring.ring;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const { sqOff, cqOff } = this.params;
    if (view.getUint32(cqOff.tail, true) !== view.getUint32(cqOff.head, true)) return true;
    return view.getUint32(sqOff.flags, true) !== 0;
  }

  private notify(): void {
    if (this.waiting !== undefined && this.pending()) this.waiting.settle("ready");
  }

  ready(options: { readonly timeoutNs?: bigint; readonly signal?: AbortSignal } = {}): Promise<"ready" | "timeout" | "closed"> {
    this.open();
    if (this.waiting !== undefined) throw new Error("ready(): a wait is under way on this ring; one at a time");
    const { signal, timeoutNs } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) return reject(signal.reason);
      const finish = (): void => {
        this.waiting = undefined;
        signal?.removeEventListener("abort", onAbort);
      };
      const settle = (how: "ready" | "timeout" | "closed"): void => {
        finish();
        resolve(how);
      };
      const onAbort = (): void => {
        finish();
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort);
      const mine = { settle };
      this.waiting = mine;
      // Time passes only while somebody waits: after the code that is running now.
      void Promise.resolve().then(() => {
        if (this.waiting === mine) this.passTime(timeoutNs, settle);
      });
    });
  }

  /** The clock moves to whatever comes first: a completion, or the end of the wait. */
  private passTime(timeoutNs: bigint | undefined, settle: (how: "ready" | "timeout") => void): void {
    const end = timeoutNs === undefined ? undefined : this.shared.clock.nowNs + timeoutNs;
    for (;;) {
      this.syncClock();
      this.shared.simulation.settle(this.machine);
      if (this.pending()) return settle("ready");
      const timer = nextTimer(this.machine);
      if (timer === undefined || (end !== undefined && end < timer)) break;
      this.shared.clock.nowNs = timer;
    }
    if (end === undefined) return; // until somebody does something
    this.shared.clock.nowNs = end;
    settle("timeout");
  }

  close(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.waiting?.settle("closed");
    const at = this.shared.machines.indexOf(this.machine);
    if (at >= 0) this.shared.machines.splice(at, 1);
    releaseSlots(this.machine);
    const file = this.detached ? this.keptFile : this.shared.world.fds.get(this.fd);
    if (file !== undefined) {
      if (!this.detached) this.shared.world.fds.delete(this.fd);
      this.shared.world.put(file, () => undefined);
    }
    for (const r of this.machine.requests.values()) {
      for (const queue of r.pollQueues) this.shared.world.removeWaiter(queue, r.id);
      if (r.file !== 0 && this.shared.world.files.has(r.file)) this.shared.world.put(r.file, () => undefined);
    }
    this.machine.requests.clear();
  }
}

class ModelKernel implements Kernel {
  readonly backend = "model";
  readonly directory = "/model";
  readonly system: System;
  private readonly shared: Shared;
  private readonly counters: number;
  private readonly rings: ModelRing[] = [];
  private isClosed = false;

  constructor(options: ModelKernelOptions) {
    this.counters = (options.counters ?? 0) >>> 0;
    this.shared = {
      profile: options.profile ?? PROFILE_6_18,
      world: new World(),
      memory: new ModelMemory(),
      simulation: new Simulation(options.seed),
      ids: { next: 1 },
      machines: [],
      clock: { nowNs: BEGUN_NS },
      lockedPagesMax: options.lockedPagesMax ?? Infinity,
    };
    this.system = new ModelSystem(this.shared.world, this.shared.machines, () => {
      for (const ring of this.rings) ring.settle();
    });
  }

  get profile(): KernelProfile {
    return this.shared.profile;
  }

  get memory(): AddressSpace {
    return this.shared.memory;
  }

  nowNs(): bigint {
    return this.shared.clock.nowNs;
  }

  setup(entries: number, params: SetupParams = {}): Ring {
    if (this.isClosed) throw new Error("this kernel is closed");
    const { world, profile } = this.shared;
    const sizes = checkSetup(profile, entries, params, (fd) => {
      const file = world.fds.get(fd);
      if (file === undefined) return "closed";
      const { inode } = world.file(file);
      if (world.inode(inode).kind !== "ring") return "other";
      return this.shared.machines.some((m) => m.ringInode === inode && hasPollThread(m)) ? "polled" : "ring";
    });
    if (typeof sizes === "number") throw new KernelError("io_uring_setup", -sizes);
    const machine = new Machine({
      profile, scheduler: this.shared.simulation, world, memory: this.shared.memory.memory, ids: this.shared.ids,
      peers: this.shared.machines, lockedPagesMax: this.shared.lockedPagesMax,
    });
    machine.ring = newRing(sizes, params, this.counters);
    // [setup.memlock]
    if (lockedPages([machine, ...this.shared.machines]) > this.shared.lockedPagesMax) throw new KernelError("io_uring_setup", ENOMEM);
    this.shared.machines.push(machine);
    const inode = world.addInode((id) => ({ kind: "ring", id }));
    machine.ringInode = inode.id;
    const fd = world.freeFd(3);
    machine.ringFd = fd;
    world.fds.set(fd, world.addFile(inode.id, 2).id);
    const ring = new ModelRing(this.shared, machine, filledParams(profile, sizes, params), fd);
    this.rings.push(ring);
    return ring;
  }

  close(): void {
    this.isClosed = true;
    for (const ring of this.rings) ring.close();
  }
}

/** Opens a modelled kernel: an empty directory, no descriptors, a clock at 0. */
export function createModelKernel(options: ModelKernelOptions = {}): Kernel {
  const known = ["seed", "profile", "counters", "lockedPagesMax"];
  for (const name of Object.keys(options))
    if (!known.includes(name)) throw new TypeError(`createModelKernel: unknown option "${name}"; known are ${known.join(", ")}`);
  return new ModelKernel(options);
}

