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
import { RingDriver } from "../../src/ring/ring-driver.ts";
import type { Bug, DriverBug, KernelBug } from "./bug.ts";
import { useDriver, type DriverUse } from "./driver/user.ts";
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
      return onDriver({ makeDriver: await driverOf(bug), ...(bug.mislead === undefined ? {} : { mislead: bug.mislead }) });
  }
}

async function patchedKernel({ id, patches }: KernelBug): Promise<typeof createModelKernel> {
  const module = (await patchedModule(id, "model", patches, "kernel")) as { readonly createModelKernel: typeof createModelKernel }; // a copy of it
  return module.createModelKernel;
}

async function driverOf(bug: DriverBug): Promise<DriverUse["makeDriver"]> {
  if (bug.patches === undefined) return (parts) => new RingDriver(parts);
  const module = (await patchedModule(bug.id, "ring", bug.patches, "ring-driver")) as { readonly RingDriver: typeof RingDriver }; // a copy of it
  return (parts) => new module.RingDriver(parts);
}

/** Programs through a driver on the model. */
export function onDriver(use: DriverUse): Run {
  return (program, model) => {
    const kernel = createModelKernel(model);
    try {
      return useDriver(kernel, program, use);
    } catch (error) {
      return threwOutcome({ id: 0, program, model }, error instanceof Error ? (error.stack ?? error.message) : String(error), error instanceof Unmodelled);
    } finally {
      kernel.close();
    }
  };
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
