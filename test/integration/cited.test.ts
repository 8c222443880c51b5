// The copy of the compiled model whose citations run (scripts/cite.mjs) does what the model does: what it says of rules
// would be about something else.
import { join } from "node:path";
import { expect, test } from "vitest";
import { drawPrograms } from "../../src/cli/programs.ts";
import { Unmodelled, WouldBlockForever } from "../../src/kernel.ts";
import { packageRoot } from "../../src/real/addon.ts";
import type { Program } from "../../src/program/program.ts";
import { RULES } from "../../src/spec/rules.gen.ts";

type Kernels = typeof import("../../src/model/kernel.ts");
type Interpreter = typeof import("../../src/program/interpreter.ts");

async function traces(part: "src" | "cited"): Promise<(program: Program, seed: number) => string> {
  const load = async (name: string): Promise<unknown> => import(join(packageRoot, "dist", part, name));
  const { createModelKernel } = (await load("model/kernel.js")) as Kernels;
  const { runProgram } = (await load("program/interpreter.js")) as Interpreter;
  return (program, seed) => {
    const kernel = createModelKernel({ seed });
    try {
      return JSON.stringify(runProgram(kernel, program).events, (_key, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
    } catch (error) {
      // Classes of the copy are others.
      const name = error instanceof Error ? error.constructor.name : "";
      if (name !== Unmodelled.name && name !== WouldBlockForever.name) throw error;
      return `${name}: ${(error as Error).message}`;
    } finally {
      kernel.close();
    }
  };
}

test("the copy that cites runs programs as the model does, and cites", async () => {
  const [plain, citing] = await Promise.all([traces("src"), traces("cited")]);
  for (const { program, index } of drawPrograms({ seed: 7, runs: 300, kind: "any" })) expect(citing(program, index), `program ${index}`).toBe(plain(program, index));
  const { cited } = (await import(join(packageRoot, "dist", "cited", "model", "cite.js"))) as { readonly cited: ReadonlyMap<string, unknown> };
  expect(cited.size).toBeGreaterThan(150);
  expect([...cited.keys()].filter((id) => !Object.hasOwn(RULES, id))).toEqual([]);
});
