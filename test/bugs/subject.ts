// A seeded bug, switched on: something that runs a program and says what came of it, as a child of the campaign
// does, but in this process. The oracle is the package's own; only what it judges is broken.
import type { Kernel } from "../../src/kernel.ts";
import { Unmodelled, WouldBlockForever } from "../../src/kernel.ts";
import { lostOutcome, threwOutcome } from "../../src/cli/lost.ts";
import type { ModelSettings } from "../../src/cli/messages.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import type { Outcome } from "../../src/oracle/verdict.ts";
import type { Program } from "../../src/program/program.ts";
import type { Bug, KernelBug } from "./bug.ts";
import { patchedModule } from "./patched.ts";

export type Run = (program: Program, model: ModelSettings) => Outcome;

/** What runs programs with this bug on. Throws where a patch does not fit. */
export async function switchOn(bug: Bug): Promise<Run> {
  switch (bug.half) {
    case "kernel":
      return onKernel(await patchedKernel(bug));
    case "port":
      return onKernel((model) => bug.decorate(createModelKernel(model)));
    case "driver":
      throw new Error("no driver yet");
  }
}

async function patchedKernel({ id, patches }: KernelBug): Promise<typeof createModelKernel> {
  const module = (await patchedModule(id, "model", patches, "kernel")) as { readonly createModelKernel: typeof createModelKernel }; // a copy of it
  return module.createModelKernel;
}

/** Programs on a kernel of this making, judged while they run: what `ringspec diff` does. */
export function onKernel(open: (model: ModelSettings) => Kernel): Run {
  return (program, model) => {
    const kernel = open(model);
    let note: string | undefined;
    try {
      return runAndJudge(kernel, program, { onRisk: (text) => void (note = text) });
    } catch (error) {
      const job = { id: 0, program, model };
      if (error instanceof WouldBlockForever)
        return lostOutcome(job, { by: "watchdog", words: error.message, running: job, rest: [], note, silentMs: 0 });
      return threwOutcome(job, error instanceof Error ? (error.stack ?? error.message) : String(error), error instanceof Unmodelled);
    } finally {
      kernel.close();
    }
  };
}
