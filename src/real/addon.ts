// Loads the native addon and types what it exports. What each function does and checks is written
// beside it in native/. Nothing here touches the kernel.
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** Handles are numbers that the addon checks; a result is a value or -errno. */
export interface NativeAddon {
  kernelOpen(directory: string, unboundedWaits: boolean): readonly [handle: number] | number;
  kernelClose(kernel: number): void;
  kernelDrop(kernel: number): void;
  arenaGrow(kernel: number, size: number): readonly [buffer: ArrayBuffer, addr: bigint] | number;
  faultAddress(): bigint;
  memoryStats(): readonly [mapped: number, escaped: number, quarantined: number];

  setup(
    kernel: number, entries: number, flags: number, cqEntries: number, sqThreadCpu: number,
    sqThreadIdle: number, wqFd: number, resv0: number, resv1: number, resv2: number,
  ): NativeRing | number;
  enter(ring: number, toSubmit: number, minComplete: number, flags: number): number;
  /** `index` is null where the descriptor is meant, here as below. */
  enterArg(ring: number, toSubmit: number, minComplete: number, flags: number, addr: bigint, size: number, index: number | null): number;
  /** A ring that was resized comes back in parts, as from setup. */
  register(ring: number, opcode: number, arg: bigint | number | null, nrArgs: number, index: number | null): NativeRing | number;
  registerElsewhere(ring: number, opcode: number, arg: bigint | number | null, nrArgs: number, index: number | null): number;
  submitElsewhere(ring: number, toSubmit: number): number;
  closeDescriptor(ring: number): number;
  ringClose(ring: number): void;
  ringDrop(ring: number): void;
  /** 0 armed (the callback comes once), 1 ready (it won't come), or -errno. */
  waitStart(ring: number, callback: () => void): number;
  waitStop(ring: number): void;

  open(kernel: number, path: string, flags: number, mode: number): number;
  close(kernel: number, fd: number): number;
  pipe(kernel: number, flags: number): readonly [read: number, write: number] | number;
  raise(kernel: number): number;
  takeSignal(kernel: number): number;
  eventfd(kernel: number, count: number, flags: number): number;
  dup(kernel: number, fd: number, atLeast: number): number;
  read(kernel: number, fd: number, into: Uint8Array): number;
  write(kernel: number, fd: number, from: Uint8Array): number;
  pread(kernel: number, fd: number, into: Uint8Array, offset: number): number;
  pwrite(kernel: number, fd: number, from: Uint8Array, offset: number): number;
  ftruncate(kernel: number, fd: number, size: number): number;
  unlink(kernel: number, path: string): number;
  lseek(kernel: number, fd: number, offset: number, whence: number): number;
  size(kernel: number, fd: number): number;
  adopt(kernel: number, fd: number): number;
  disown(kernel: number, fd: number): void;
  owns(kernel: number, fd: number): boolean;
}

/** `params` are the words of struct io_uring_params. */
export type NativeRing = readonly [
  handle: number, fd: number, params: readonly number[], sqRing: ArrayBuffer, cqRing: ArrayBuffer, sqes: ArrayBuffer,
];

/** The addon, or why it can't be had and what to do about it. */
export type LoadedAddon = { readonly addon: NativeAddon } | { readonly addon: undefined; readonly reason: string };

/** What scripts/install-native.mjs left behind. */
export interface NativeStatus {
  readonly built: boolean;
  readonly reason?: string;
  readonly fix?: string;
  readonly log?: string;
}

/** The package's own folder, from src/real/ as from dist/src/real/. */
export const packageRoot: string = (() => {
  const here = dirname(fileURLToPath(import.meta.url));
  for (let folder = here; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, "native", "CMakeLists.txt"))) return folder;
  }
  return dirname(dirname(here));
})();

/** RINGSPEC_ADDON names another build, such as the one with sanitizers. */
export function addonPath(): string {
  return process.env["RINGSPEC_ADDON"] ?? join(packageRoot, "build", "Release", "ringspec.node");
}

/** The last build's outcome, or undefined where the install script never ran. */
export function nativeStatus(): NativeStatus | undefined {
  try {
    const status: unknown = JSON.parse(readFileSync(join(packageRoot, "build", "native-status.json"), "utf8"));
    if (typeof status !== "object" || status === null || !("built" in status)) return undefined;
    return status as NativeStatus; // our own script wrote it
  } catch {
    return undefined;
  }
}

let loaded: LoadedAddon | undefined;

/** Loads once; a later call answers the same. */
export function loadAddon(): LoadedAddon {
  loaded ??= load();
  return loaded;
}

function load(): LoadedAddon {
  if (process.platform !== "linux") {
    return { addon: undefined, reason: `io_uring is Linux's, and this is ${process.platform}; everything runs on the model here` };
  }
  const path = addonPath();
  if (!existsSync(path)) return { addon: undefined, reason: whyNotBuilt() };
  try {
    // The shape is native/'s promise; the tests of every call hold it to that.
    return { addon: createRequire(import.meta.url)(path) as NativeAddon };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { addon: undefined, reason: `${path} can't be loaded (${message}); rebuild it: node scripts/install-native.mjs --force` };
  }
}

function whyNotBuilt(): string {
  const status = nativeStatus();
  if (status === undefined) return "the native addon is not built (install scripts were off?); run: node scripts/install-native.mjs";
  const log = status.log === undefined ? "" : `; the build's log is ${status.log}`;
  const fix = status.fix === undefined ? "" : `; ${status.fix}`;
  return `the native addon is not built: ${status.reason ?? "unknown reason"}${fix}${log}`;
}
