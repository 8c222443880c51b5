// The kernel port on the running Linux kernel. Holds one native session, one private directory and one
// arena; knows no operation. Everything that the addon refuses throws there, with its reason.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kernel, KernelProfile, SetupParams } from "../kernel.ts";
import { KernelError } from "../kernel.ts";
import { EINTR, ENOMEM } from "../spec/constants.gen.ts";
import type { NativeAddon } from "./addon.ts";
import { loadAddon } from "./addon.ts";
import { RealAddressSpace } from "./address-space.ts";
import { probeProfile } from "./profile.ts";
import { explainRefusal } from "./refusal.ts";
import { RealRing } from "./ring.ts";
import { RealSystem } from "./system.ts";

export interface RealKernelOptions {
  /** Where the private scratch directory is made; default os.tmpdir(). */
  readonly directory?: string;
  /**
   * May io_uring_enter wait without a bound? Only in a process that somebody is ready to kill. Without
   * it such a call throws.
   */
  readonly unboundedWaits?: boolean;
}

/** The real kernel can't be had here: each reason is a sentence that says what to do. */
export class RealKernelUnavailable extends Error {
  readonly reasons: readonly string[];
  constructor(reasons: readonly string[]) {
    super(`no real io_uring here: ${reasons.join("; ")}`);
    this.name = "RealKernelUnavailable";
    this.reasons = reasons;
  }
}

/** Directories to remove should the process exit before close(). */
const directories = new Set<string>();
let watchesExit = false;

function removeDirectory(directory: string): void {
  directories.delete(directory);
  rmSync(directory, { recursive: true, force: true });
}

/** A kernel that was dropped without close() gives back what it holds; views in use keep their memory. */
const dropped = new FinalizationRegistry<{ readonly addon: NativeAddon; readonly handle: number; readonly directory: string }>(
  ({ addon, handle, directory }) => {
    addon.kernelDrop(handle);
    removeDirectory(directory);
  },
);

/** Delays between the tries of a setup that is out of locked memory: about a quarter of a second in all. */
const setupRetryDelaysMs = [1, 2, 4, 8, 16, 32, 64, 128] as const;

export class LinuxKernel implements Kernel {
  readonly backend = "real";
  readonly memory: RealAddressSpace;
  readonly system: RealSystem;
  readonly directory: string;
  readonly #addon: NativeAddon;
  readonly #handle: number;
  /** Weak, so that a ring that is dropped can be collected. */
  readonly #rings = new Set<WeakRef<RealRing>>();
  #profile: KernelProfile | undefined;
  #closed = false;
  #setupRetries = 0;

  constructor(addon: NativeAddon, options: RealKernelOptions) {
    this.#addon = addon;
    this.directory = mkdtempSync(join(options.directory ?? tmpdir(), "ringspec-"));
    const opened = addon.kernelOpen(this.directory, options.unboundedWaits ?? false);
    if (typeof opened === "number") {
      removeDirectory(this.directory);
      throw new KernelError(`open ${this.directory}`, -opened);
    }
    this.#handle = opened[0];
    directories.add(this.directory);
    if (!watchesExit) {
      watchesExit = true;
      process.once("exit", () => directories.forEach(removeDirectory));
    }
    dropped.register(this, { addon, handle: this.#handle, directory: this.directory }, this);
    this.memory = new RealAddressSpace(addon, this.#handle);
    this.system = new RealSystem(addon, this.#handle);
  }

  /** Probed once a process (the file system's habits once a device). Throws KernelError where io_uring is refused. */
  get profile(): KernelProfile {
    this.#profile ??= probeProfile(this);
    return this.#profile;
  }

  /** How often a setup was tried again, for the last ring's locked memory was not yet given back. */
  get setupRetries(): number {
    return this.#setupRetries;
  }

  nowNs(): bigint {
    return process.hrtime.bigint();
  }

  setup(entries: number, params: SetupParams = {}): RealRing {
    if (this.#closed) throw new Error("setup: this kernel is closed; open another with createRealKernel()");
    const [resv0, resv1, resv2] = params.resv ?? [0, 0, 0];
    for (let attempt = 0; ; attempt++) {
      const made = this.#addon.setup(
        this.#handle, entries, params.flags ?? 0, params.cqEntries ?? 0, params.sqThreadCpu ?? 0,
        params.sqThreadIdle ?? 0, params.wqFd ?? 0, resv0, resv1, resv2,
      );
      if (typeof made !== "number") return this.#remember(new RealRing(this.#addon, this, made));
      const delayMs = setupRetryDelaysMs[attempt];
      // Teardown is asynchronous: the memory of rings closed just now may still count against the limit.
      const passing = made === -ENOMEM || made === -EINTR;
      if (!passing || delayMs === undefined) throw new KernelError("io_uring_setup", -made, explainRefusal(-made));
      this.#setupRetries++;
      sleepMs(delayMs);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    dropped.unregister(this);
    // By JavaScript first, so that pending waits resolve "closed".
    for (const ring of this.#rings) ring.deref()?.close();
    this.#rings.clear();
    this.#addon.kernelClose(this.#handle);
    removeDirectory(this.directory);
  }

  #remember(ring: RealRing): RealRing {
    for (const other of this.#rings) {
      if (other.deref()?.closed ?? true) this.#rings.delete(other);
    }
    this.#rings.add(new WeakRef(ring));
    return ring;
  }
}

/** Blocks this thread; only ever for the milliseconds above. */
function sleepMs(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Opens the running kernel. Throws RealKernelUnavailable where the addon or io_uring is missing. */
export function createRealKernel(options: RealKernelOptions = {}): LinuxKernel {
  const loaded = loadAddon();
  if (loaded.addon === undefined) throw new RealKernelUnavailable([loaded.reason]);
  const kernel = new LinuxKernel(loaded.addon, options);
  try {
    void kernel.profile;
  } catch (error) {
    kernel.close();
    if (error instanceof KernelError) throw new RealKernelUnavailable([explainRefusal(error.errno)]);
    throw error;
  }
  return kernel;
}
