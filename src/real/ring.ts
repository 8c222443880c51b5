// One io_uring of the real kernel: the mapped memory, the two ring calls, and the wait that leaves the
// event loop alone. Every argument is checked by the addon.
import { markAsUntransferable } from "node:worker_threads";
import type { EnterArg, Fd, InfoFile, IoUringParams, Ring } from "../kernel.ts";
import { KernelError } from "../kernel.ts";
import { decodeParams } from "../spec/codec.gen.ts";
import type { NativeAddon, NativeRing } from "./addon.ts";
import { InfoFiles } from "./info-file.ts";

type Readiness = "ready" | "timeout" | "closed";

/** setTimeout's longest delay. */
const timerMsMax = 2 ** 31 - 1;

/** Transferred ring memory could no longer be detached, so it would stay mapped, and the ring alive. */
function keepHere(...buffers: readonly ArrayBuffer[]): void {
  for (const buffer of new Set(buffers)) markAsUntransferable(buffer);
}

/** A ring that was dropped without close() gives its descriptor back, and its memory once no view is left. */
const dropped = new FinalizationRegistry<{ readonly addon: NativeAddon; readonly handle: number; readonly infos: InfoFiles }>(
  ({ addon, handle, infos }) => {
    infos.close();
    addon.ringDrop(handle);
  },
);

export class RealRing implements Ring {
  readonly fd: Fd;
  readonly #addon: NativeAddon;
  readonly #handle: number;
  /** Keeps the kernel, whose arena this ring's requests use, while the ring is reachable. */
  readonly #kernel: object;
  readonly #infos = new InfoFiles();
  #closed = false;
  /** Until the ring is resized. */
  #params: IoUringParams;
  #sqRing: Uint8Array;
  #cqRing: Uint8Array;
  #sqes: Uint8Array;
  /** Ends the pending wait. */
  #settle: ((outcome: Readiness) => void) | undefined;

  constructor(addon: NativeAddon, kernel: object, parts: NativeRing) {
    const [handle, fd, words, sqRing, cqRing, sqes] = parts;
    this.#addon = addon;
    this.#kernel = kernel;
    this.#handle = handle;
    this.fd = fd;
    this.#params = decodeParams(new Uint8Array(Uint32Array.from(words).buffer));
    keepHere(sqRing, cqRing, sqes);
    this.#sqRing = new Uint8Array(sqRing);
    this.#cqRing = cqRing === sqRing ? this.#sqRing : new Uint8Array(cqRing);
    this.#sqes = new Uint8Array(sqes);
    dropped.register(this, { addon, handle, infos: this.#infos }, this);
  }

  get params(): IoUringParams {
    return this.#params;
  }

  get sqRing(): Uint8Array {
    return this.#sqRing;
  }

  get cqRing(): Uint8Array {
    return this.#cqRing;
  }

  get sqes(): Uint8Array {
    return this.#sqes;
  }

  get closed(): boolean {
    return this.#closed;
  }

  enter(toSubmit: number, minComplete: number, flags: number, arg?: EnterArg, index?: number): number {
    if (arg === undefined && index === undefined) return this.#addon.enter(this.#handle, toSubmit, minComplete, flags);
    return this.#addon.enterArg(this.#handle, toSubmit, minComplete, flags, arg?.addr ?? 0n, arg?.size ?? 0, index ?? null);
  }

  register(opcode: number, arg: bigint | number | null, nrArgs: number, index?: number): number {
    const result = this.#addon.register(this.#handle, opcode, arg, nrArgs, index ?? null);
    if (typeof result === "number") return result;
    const [, , words, sqRing, cqRing, sqes] = result;
    this.#params = decodeParams(new Uint8Array(Uint32Array.from(words).buffer));
    keepHere(sqRing, cqRing, sqes);
    this.#sqRing = new Uint8Array(sqRing);
    this.#cqRing = cqRing === sqRing ? this.#sqRing : new Uint8Array(cqRing);
    this.#sqes = new Uint8Array(sqes);
    return 0;
  }

  submitElsewhere(toSubmit: number): number {
    return this.#addon.submitElsewhere(this.#handle, toSubmit);
  }

  registerElsewhere(opcode: number, arg: bigint | number | null, nrArgs: number, index?: number): number {
    return this.#addon.registerElsewhere(this.#handle, opcode, arg, nrArgs, index ?? null);
  }

  closeDescriptor(): number {
    return this.#addon.closeDescriptor(this.#handle);
  }

  openInfo(): InfoFile {
    if (this.#closed) throw new Error("this ring is closed: open another with kernel.setup()");
    return this.#infos.open(this.fd);
  }

  /**
   * The first call after setup resolves "ready" at once: what came before it was announced to nobody.
   * A DEFER_TASKRUN ring must enter with GETEVENTS after each "ready", or its completions stay unposted.
   * Rejects with KernelError EBUSY where the program registered an eventfd of its own.
   */
  ready(options: { readonly timeoutNs?: bigint; readonly signal?: AbortSignal } = {}): Promise<Readiness> {
    const { timeoutNs, signal } = options;
    if (this.#closed) return Promise.resolve("closed");
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      if (this.#settle !== undefined) {
        throw new Error("ready: this ring has a wait already; one at a time: await it, or abort it");
      }
      let timer: NodeJS.Timeout | undefined;
      let immediate: NodeJS.Immediate | undefined;
      const finish = () => {
        clearTimeout(timer);
        clearImmediate(immediate);
        signal?.removeEventListener("abort", onAbort);
        this.#settle = undefined;
        this.#addon.waitStop(this.#handle);
      };
      const settle = (outcome: Readiness) => {
        finish();
        resolve(outcome);
      };
      const onAbort = () => {
        finish();
        reject(signal?.reason);
      };
      const started = this.#addon.waitStart(this.#handle, () => settle("ready"));
      if (started < 0) throw new KernelError("ready: io_uring_register(IORING_REGISTER_EVENTFD)", -started);
      this.#settle = settle;
      // Through the event loop, so that a caller who looks and waits again can't starve it.
      if (started === 1) immediate = setImmediate(() => settle("ready"));
      signal?.addEventListener("abort", onAbort, { once: true });
      if (timeoutNs !== undefined) {
        const dueNs = process.hrtime.bigint() + timeoutNs;
        const arm = () => {
          const leftNs = dueNs - process.hrtime.bigint();
          // A timer may fire up to a millisecond early; a timeout must not.
          if (leftNs <= 0n && timer !== undefined) return settle("timeout");
          timer = setTimeout(arm, Math.min(timerMsMax, Math.max(0, Math.ceil(Number(leftNs) / 1e6))));
        };
        arm();
      }
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    dropped.unregister(this);
    this.#settle?.("closed");
    this.#infos.close();
    this.#addon.ringClose(this.#handle);
  }

  /** The kernel that this ring belongs to. */
  belongsTo(kernel: object): boolean {
    return this.#kernel === kernel;
  }
}
