// What the tests of the driver share: drivers on a kernel that is watched, entries and completions at hand.
import { afterEach, expect } from "vitest";
import type { TestContext } from "vitest";
import type { Completion, Driver, DriverOptions, Submission } from "../../src/driver.ts";
import type { EnterArg, Kernel, Region, Ring, SetupParams } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { openDriver } from "../../src/open.ts";
import { realOrSay } from "./real.ts";

export const BACKENDS = ["model", "real"] as const;
export const SECOND = 1_000_000_000n;
export const MS = 1_000_000n;

interface EnterCall {
  readonly toSubmit: number;
  readonly minComplete: number;
  readonly flags: number;
  readonly arg: EnterArg | undefined;
}

/** What passes between the driver and its ring, and a place to answer in the kernel's stead. */
export interface Spy {
  readonly enters: EnterCall[];
  readonly allocated: Region[];
  setupParams: SetupParams | undefined;
  ring: Ring | undefined;
  /** Answers an enter itself where it returns a number. */
  answer: ((call: EnterCall) => number | undefined) | undefined;
}

function spied(kernel: Kernel): { readonly kernel: Kernel; readonly spy: Spy } {
  const spy: Spy = { enters: [], allocated: [], setupParams: undefined, ring: undefined, answer: undefined };
  const watch = (ring: Ring): Ring =>
    new Proxy(ring, {
      get(target, name) {
        if (name === "enter") {
          return (toSubmit: number, minComplete: number, flags: number, arg?: EnterArg): number => {
            const call = { toSubmit, minComplete, flags, arg };
            spy.enters.push(call);
            return spy.answer?.(call) ?? target.enter(toSubmit, minComplete, flags, arg);
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const wrapped: Kernel = {
    backend: kernel.backend,
    profile: kernel.profile,
    memory: {
      faultAddress: kernel.memory.faultAddress,
      alloc(size, align) {
        const region = kernel.memory.alloc(size, align);
        spy.allocated.push(region);
        return region;
      },
      free: (region) => kernel.memory.free(region),
    },
    system: kernel.system,
    directory: kernel.directory,
    nowNs: () => kernel.nowNs(),
    setup(entries, params) {
      spy.setupParams = params;
      spy.ring = kernel.setup(entries, params);
      return watch(spy.ring);
    },
    close: () => kernel.close(),
  };
  return { kernel: wrapped, spy };
}

export const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

export function kernelOf(backend: (typeof BACKENDS)[number], context: TestContext): Kernel {
  const kernel = backend === "model" ? createModelKernel() : realOrSay(context);
  cleanups.push(() => kernel.close());
  return kernel;
}

/** The entry that must be there. */
export function entry(driver: Driver): Submission {
  const submission = driver.getSubmission();
  if (submission === null) throw new Error("the submission queue is full");
  return submission;
}

/** The next `count` completions, each released. */
export function reap(driver: Driver, count: number): Completion[] {
  expect(driver.waitTimeout(5n * SECOND, count).count).toBeGreaterThanOrEqual(count);
  const found: Completion[] = [];
  for (let i = 0; i < count; i++) {
    const completion = driver.getCompletion();
    if (completion === null) throw new Error(`completion ${i} of ${count} is missing`);
    found.push(completion);
    driver.advanceCompletion();
  }
  return found;
}

export const range = (n: number): bigint[] => Array.from({ length: n }, (_, i) => BigInt(i));

/** Opens drivers on kernels that are watched; the test's end closes them. */
export const opener = (backend: (typeof BACKENDS)[number]) =>
  (context: TestContext, options: Omit<DriverOptions, "kernel" | "backend"> = {}): { driver: Driver; kernel: Kernel; spy: Spy; ring: Ring } => {
    const { kernel, spy } = spied(kernelOf(backend, context));
    const driver = openDriver({ entries: 8, ...options, kernel });
    cleanups.push(() => driver.close());
    if (spy.ring === undefined) throw new Error("no ring was set up");
    return { driver, kernel, spy, ring: spy.ring };
  };

export function pipeOf(kernel: Kernel): { read: number; write: number } {
  const ends = kernel.system.pipe();
  if (typeof ends === "number") throw new Error(`pipe: ${ends}`);
  return ends;
}
