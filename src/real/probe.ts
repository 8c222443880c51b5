// What this machine offers, for `ringspec doctor`: never throws for a missing kernel, says why instead.
import { release } from "node:os";
import type { FileProfile } from "../kernel.ts";
import { nativeStatus } from "./addon.ts";
import { createRealKernel, RealKernelUnavailable } from "./linux-kernel.ts";
import type { NativeStatus } from "./addon.ts";
import { container, ioUringDisabled, memlockBytes, seccompMode } from "./refusal.ts";

export interface RealProbe {
  readonly available: boolean;
  /** Why not: sentences that say what to do. Empty where available. */
  readonly reasons: readonly string[];
  /** uname -r. */
  readonly kernel: string;
  readonly features: number | undefined;
  readonly opcodes: readonly number[] | undefined;
  readonly setupFlags: number | undefined;
  readonly file: FileProfile | undefined;
  /** Infinity: no limit. undefined here and below: this machine does not say. */
  readonly memlockBytes: number | undefined;
  /** kernel.io_uring_disabled: 0, 1 or 2. */
  readonly ioUringDisabled: number | undefined;
  /** 0 none, 1 strict, 2 filtered. */
  readonly seccomp: number | undefined;
  readonly container: string | undefined;
  /** The outcome of the addon's build. */
  readonly native: NativeStatus | undefined;
}

export function probeReal(): RealProbe {
  const machine = {
    kernel: release(),
    memlockBytes: memlockBytes(),
    ioUringDisabled: ioUringDisabled(),
    seccomp: seccompMode(),
    container: container(),
    native: nativeStatus(),
  };
  try {
    const kernel = createRealKernel();
    const { features, opcodes, setupFlags, file } = kernel.profile;
    kernel.close();
    return { available: true, reasons: [], features, opcodes, setupFlags, file, ...machine };
  } catch (error) {
    const reasons = error instanceof RealKernelUnavailable ? error.reasons : [error instanceof Error ? error.message : String(error)];
    return { available: false, reasons, features: undefined, opcodes: undefined, setupFlags: undefined, file: undefined, ...machine };
  }
}
