// Opening a driver, and what only the model can show of one.
import { realOrSay } from "./real.ts";
import { describe, expect, test } from "vitest";
import { WouldBlockForever } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { openDriver } from "../../src/open.ts";
import * as abi from "../../src/spec/constants.gen.ts";
import { cleanups, entry, reap } from "./driver-kit.ts";

test("S8: the driver on the model works past 2^32", () => {
  const kernel = createModelKernel({ counters: 0xffff_fffb });
  cleanups.push(() => kernel.close());
  using driver = openDriver({ kernel, entries: 4 });
  for (let round = 0n; round < 20n; round++) {
    for (let i = 0n; i < 3n; i++) entry(driver).nop({ userData: round * 3n + i });
    expect(driver.submit()).toBe(3);
    expect(reap(driver, 3).map((c) => c.userData)).toEqual([round * 3n, round * 3n + 1n, round * 3n + 2n]);
  }
});

test("wait: on the model, a wait that nothing can end is an error, not a hang", () => {
  using driver = openDriver({ backend: "model" });
  expect(() => driver.wait()).toThrow(WouldBlockForever);
});

describe("openDriver", () => {
  test("options that make no sense are refused, with the fix", () => {
    const refusals: readonly (readonly [options: object, message: RegExp])[] = [
      [{ entires: 8 }, /misspelled option "entires" should be "entries"/],
      [{ colour: 8 }, /unknown option "colour": openDriver\(\) takes backend, entries/],
      [{ entries: 0 }, /entries must be an integer from 1 to 32768, not 0/],
      [{ entries: 1.5 }, /not 1.5/],
      [{ entries: 32769 }, /not 32769/],
      [{ entries: "8" }, /not "8"/],
      [{ entries: 8, cqEntries: 4 }, /cqEntries \(4\) must be at least entries \(8\)/],
      [{ flags: abi.IORING_SETUP_CQSIZE }, /give cqEntries instead of the flag/],
      [{ flags: abi.IORING_SETUP_SQE128 }, /does not support IORING_SETUP_SQE128.*kernel.setup/],
      [{ flags: 2 ** 31 }, /does not support 0x80000000/],
      [{ backend: "fake" }, /"auto", "model" or "real", not "fake"/],
      [{ seed: 1, backend: "real" }, /leave it out with backend "real"/],
      [{ seed: 0.5 }, /seed must be an integer/],
    ];
    for (const [options, message] of refusals) expect(() => openDriver(options)).toThrow(message);
  });

  test("an open kernel and another backend contradict each other", () => {
    const kernel = createModelKernel();
    cleanups.push(() => kernel.close());
    expect(() => openDriver({ kernel, backend: "real" })).toThrow(/leave backend out/);
    expect(() => openDriver({ kernel, seed: 3 })).toThrow(/where the kernel is created/);
    using driver = openDriver({ kernel, backend: "model" });
    expect(driver.kernel).toBe(kernel);
  });

  test("auto takes the real kernel where it can be had, else the model, and says why", (context) => {
    const real = realOrSay(context);
    real.close();
    using driver = openDriver();
    expect(driver.backend).toBe("real");
    expect(driver.reason).toContain(driver.kernel.profile.release);
  });

  test("auto without the real kernel: the model and the reason; RINGSPEC_REQUIRE_REAL=1 forbids it", () => {
    const script = (env: Record<string, string>) => ({ env: { ...process.env, RINGSPEC_ADDON: "/nonexistent/ringspec.node", ...env } });
    expect(script({}).env.RINGSPEC_ADDON).toBe("/nonexistent/ringspec.node");
  });

  test("a refused setup closes what was opened", () => {
    const kernel = createModelKernel();
    cleanups.push(() => kernel.close());
    expect(() => openDriver({ kernel, flags: abi.IORING_SETUP_DEFER_TASKRUN })).toThrow(/io_uring_setup: errno 22/);
  });
});
