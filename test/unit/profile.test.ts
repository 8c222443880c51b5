// Kernel releases as data: what each has, and what the model refuses as that release would.
import { describe, expect, test } from "vitest";
import { KernelError } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { PROFILES } from "../../src/model/profile.ts";
import * as abi from "../../src/spec/constants.gen.ts";

const all = Object.entries(PROFILES);

/** The errno of a setup with these flags, 0 where it is accepted. */
function setup(release: keyof typeof PROFILES, flags: number): number {
  const kernel = createModelKernel({ profile: PROFILES[release] });
  try {
    kernel.setup(4, { flags });
    return 0;
  } catch (error) {
    if (error instanceof KernelError) return error.errno;
    throw error;
  } finally {
    kernel.close();
  }
}

describe("profiles", () => {
  test("each release has all that the ones before it had, and something more", () => {
    for (const [i, [, later]] of all.entries()) {
      const [, earlier] = all[i - 1] ?? [];
      if (earlier === undefined) continue;
      expect(earlier.features & ~later.features).toBe(0);
      expect(earlier.setupFlags & ~later.setupFlags).toBe(0);
      expect(earlier.opcodes.filter((op) => !later.opcodes.includes(op))).toEqual([]);
      expect(later.opcodes.length + later.setupFlags + later.features).toBeGreaterThan(earlier.opcodes.length + earlier.setupFlags + earlier.features);
    }
  });

  test("a flag is unknown to a release before it came", () => {
    const since = { "5.10": abi.IORING_SETUP_R_DISABLED, "6.1": abi.IORING_SETUP_SUBMIT_ALL, "6.6": abi.IORING_SETUP_NO_SQARRAY, "6.18": abi.IORING_SETUP_CQE_MIXED };
    expect([setup("5.10", since["5.10"]), setup("5.10", since["6.1"]), setup("5.15", since["6.1"]), setup("6.1", since["6.1"])]).toEqual([0, abi.EINVAL, abi.EINVAL, 0]);
    expect([setup("6.1", since["6.6"]), setup("6.6", since["6.6"])]).toEqual([abi.EINVAL, 0]);
    expect([setup("6.12", since["6.18"]), setup("6.18", since["6.18"])]).toEqual([abi.EINVAL, 0]);
  });

  test("an opcode that came later is invalid", () => {
    const { opcodes } = PROFILES["5.15"];
    expect(opcodes).toContain(abi.IORING_OP_LINKAT);
    expect(opcodes).not.toContain(abi.IORING_OP_MSG_RING);
    expect(PROFILES["6.1"].opcodes).toContain(abi.IORING_OP_MSG_RING);
  });
});
