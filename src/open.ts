// openDriver: checks the options, chooses the kernel, sets up one ring, and says what it chose and why.
// The only place that knows both kernels.
import type { Driver, DriverOptions } from "./driver.ts";
import type { Kernel, Ring } from "./kernel.ts";
import { KernelError } from "./kernel.ts";
import { createModelKernel } from "./model/kernel.ts";
import { createRealKernel, RealKernelUnavailable } from "./real/linux-kernel.ts";
import { checkSetupFlags } from "./ring/setup-flags.ts";
import { RingDriver } from "./ring/ring-driver.ts";
import { ENOMEM, EPERM, IORING_SETUP_CQSIZE } from "./spec/constants.gen.ts";

const ENTRIES_DEFAULT = 256;
/** IORING_MAX_ENTRIES and IORING_MAX_CQ_ENTRIES of io_uring/io_uring.c (no uapi header has them). */
const ENTRIES_MAX = 32_768;
const CQ_ENTRIES_MAX = 65_536;

const OPTION_NAMES = ["backend", "entries", "cqEntries", "flags", "kernel", "seed"] as const satisfies readonly (keyof DriverOptions)[];
const BACKENDS = ["auto", "model", "real"] as const;

/**
 * Opens a ring and a driver on it.
 *
 * backend "auto" (the default) takes the real kernel where it can be had, else the model; `driver.reason`
 * says which and why. With RINGSPEC_REQUIRE_REAL=1 in the environment the model is no substitute.
 * Throws TypeError, RangeError or Error for options that make no sense, RealKernelUnavailable where the
 * real kernel was required and is missing, KernelError where io_uring_setup was refused. close() closes
 * what was opened here: the kernel too, unless it came in `options.kernel`.
 *
 * Matches io_uring_queue_init_params() in liburing.
 */
export function openDriver(options: DriverOptions = {}): Driver {
  checkOptions(options);
  const { kernel, reason } = chooseKernel(options);
  const ownsKernel = options.kernel === undefined;
  let ring: Ring | undefined;
  try {
    ring = setup(kernel, options);
    return new RingDriver({ kernel, ring, reason, ownsKernel });
  } catch (error) {
    ring?.close();
    if (ownsKernel) kernel.close();
    throw error;
  }
}

function setup(kernel: Kernel, { entries = ENTRIES_DEFAULT, cqEntries, flags = 0 }: DriverOptions): Ring {
  try {
    return cqEntries === undefined
      ? kernel.setup(entries, { flags })
      : kernel.setup(entries, { flags: flags | IORING_SETUP_CQSIZE, cqEntries });
  } catch (error) {
    if (!(error instanceof KernelError) || error.errno !== ENOMEM) throw error;
    throw new KernelError(
      "io_uring_setup",
      error.errno,
      "the rings don't fit into this user's locked memory (ulimit -l), perhaps because rings closed just now are not torn down yet: " +
        "try again, ask for fewer entries, or raise RLIMIT_MEMLOCK",
    );
  }
}

interface Choice {
  readonly kernel: Kernel;
  readonly reason: string;
}

function chooseKernel({ backend = "auto", kernel, seed }: DriverOptions): Choice {
  if (kernel !== undefined) return { kernel, reason: `The kernel that the caller gave is ${nameOf(kernel)}.` };
  const model = (): Kernel => createModelKernel(seed === undefined ? {} : { seed });
  if (backend === "model") return { kernel: model(), reason: 'The model was asked for (backend: "model").' };
  try {
    const real = createRealKernel();
    const why = backend === "real" ? 'asked for (backend: "real")' : "available";
    return { kernel: real, reason: `The real kernel is ${why}: Linux ${real.profile.release}.` };
  } catch (error) {
    if (!isUnavailable(error)) throw error;
    const reasons = error instanceof RealKernelUnavailable ? error.reasons.join("; ") : error.message;
    if (backend === "real") throw error;
    if (requiresReal())
      throw new Error(
        `RINGSPEC_REQUIRE_REAL=1 asks for the real kernel, and it can't be had: ${reasons}. Unset RINGSPEC_REQUIRE_REAL to let the model stand in.`,
        { cause: error },
      );
    return { kernel: model(), reason: `The model stands in, for the real kernel can't be had: ${reasons}.` };
  }
}

function nameOf(kernel: Kernel): string {
  return kernel.backend === "real" ? `the real one (Linux ${kernel.profile.release})` : "a model";
}

/** A refusal of io_uring as such counts too (kernel.io_uring_disabled). */
function isUnavailable(error: unknown): error is Error {
  return error instanceof RealKernelUnavailable || (error instanceof KernelError && error.errno === EPERM);
}

function requiresReal(): boolean {
  return process.env["RINGSPEC_REQUIRE_REAL"] === "1";
}

function checkOptions(options: DriverOptions): void {
  if (typeof options !== "object" || options === null) throw new TypeError(`openDriver() takes an object of options, not ${String(options)}`);
  for (const name of Object.keys(options)) checkName(name);
  const { backend = "auto", entries = ENTRIES_DEFAULT, cqEntries, flags = 0, kernel, seed } = options;
  if (!BACKENDS.includes(backend)) throw new RangeError(`backend must be "auto", "model" or "real", not ${JSON.stringify(backend)}`);
  checkEntries("entries", entries, ENTRIES_MAX);
  if (cqEntries !== undefined) {
    checkEntries("cqEntries", cqEntries, CQ_ENTRIES_MAX);
    if (cqEntries < entries)
      throw new RangeError(`cqEntries (${cqEntries}) must be at least entries (${entries}): the kernel refuses a completion queue smaller than the submission queue; leave cqEntries out for twice the size`);
  }
  if (cqEntries === undefined && (flags & IORING_SETUP_CQSIZE) !== 0)
    throw new Error("IORING_SETUP_CQSIZE needs a size: give cqEntries instead of the flag");
  checkSetupFlags(flags);
  if (kernel !== undefined && options.backend !== undefined && backend !== kernel.backend)
    throw new Error(`backend is ${JSON.stringify(backend)} and options.kernel is ${nameOf(kernel)}: leave backend out`);
  if (seed === undefined) return;
  if (!Number.isSafeInteger(seed)) throw new RangeError(`seed must be an integer, not ${String(seed)}`);
  if (backend === "real") throw new Error('seed is for the model\'s choices: leave it out with backend "real"');
  if (kernel !== undefined) throw new Error("seed must be given where the kernel is created: leave it out with options.kernel");
}

function checkEntries(name: string, value: number, max: number): void {
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new RangeError(`${name} must be an integer from 1 to ${max}, not ${typeof value === "string" ? JSON.stringify(value) : String(value)}`);
}

function checkName(name: string): void {
  if ((OPTION_NAMES as readonly string[]).includes(name)) return;
  const close = OPTION_NAMES.find((known) => distance(known.toLowerCase(), name.toLowerCase()) <= 2);
  throw new TypeError(
    close === undefined
      ? `unknown option ${JSON.stringify(name)}: openDriver() takes ${OPTION_NAMES.join(", ")}`
      : `misspelled option ${JSON.stringify(name)} should be ${JSON.stringify(close)}`,
  );
}

/** Edits (insert, delete, replace) from one name to the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
