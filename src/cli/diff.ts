// `ringspec diff`: runs a campaign with a progress bar, prints the closing table, saves what diverged.
import process from "node:process";
import cliProgress from "cli-progress";
import type { Strictness } from "../oracle/verdict.ts";
import { chooseBackend, sayMissing } from "./backend.ts";
import { runCampaign } from "./campaign.ts";
import type { CampaignResult } from "./campaign.ts";
import { saveCounterexample } from "./counterexample.ts";
import { EXIT } from "./exit-code.ts";
import type { Backend } from "./messages.ts";
import type { Kind, RingFlags } from "./programs.ts";
import { closingSentence, closingTable, explainCounterexample } from "./report.ts";
import { failuresOf } from "./tally.ts";

export interface DiffOptions {
  readonly runs: number;
  readonly seed?: number;
  readonly jobs: number;
  readonly backend: "auto" | Backend;
  readonly strictness: Strictness | "auto";
  readonly kind: Kind;
  /** --ring: flags of every ring. */
  readonly ring?: RingFlags;
  /** --ops. */
  readonly ops: number;
  readonly keepGoing?: boolean;
  /** false with --no-shrink. */
  readonly shrink: boolean;
  readonly json?: boolean;
  readonly save: string;
}

export const SAVE_DIRECTORY = ".ringspec";

/** The exit code. Throws RealRequired. */
export async function diff(options: DiffOptions): Promise<number> {
  const { backend, missing } = chooseBackend(options.backend);
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  // With --json stdout holds the object and nothing else.
  const say = (text: string): void => void (options.json === true ? process.stderr : process.stdout).write(text);
  say(sayMissing(missing));
  say(`seed ${seed}: ${options.runs} programs${options.kind === "any" ? ", every fourth hostile" : `, ${options.kind}`}, ${options.jobs} children\n`);

  const progress = new Progress(options.runs);
  const interrupt = interruption();
  let result: CampaignResult;
  try {
    result = await runCampaign({
      ...options, ringFlags: options.ring, maxOps: options.ops, backend, seed, shrink: options.shrink ? {} : false, signal: interrupt.signal,
      onProgress: (done, divergences) => progress.show(done, divergences),
      onDivergence: ({ index, kind }) => {
        progress.end();
        say(`${kind} program ${index} diverges; shrinking ...\n`);
      },
    });
  } finally {
    progress.end();
    interrupt.done();
  }
  const { summary, counterexamples, stopped } = result;
  say(`\n${closingTable(summary)}\n\n`);
  counterexamples.forEach((found, index) => {
    const path = saveCounterexample(options.save, found);
    say(index === 0 ? `${explainCounterexample(found, path)}\n\n` : `also diverges: ringspec replay ${path}\n`);
  });
  if (stopped === "diverged") say(`Stopped at the first divergence; --keep-going runs all ${options.runs} programs.\n`);
  say(`${closingSentence(summary, stopped)}\n`);
  say(sayMissing(missing));
  if (options.json === true) process.stdout.write(`${JSON.stringify({ ...summary, missing })}\n`);
  if (stopped === "interrupted") return EXIT.interrupted;
  return failuresOf(summary).length > 0 ? EXIT.diverge : EXIT.agree;
}

/** On a terminal only. */
class Progress {
  readonly #bar: cliProgress.SingleBar | undefined;

  constructor(total: number) {
    if (!process.stderr.isTTY) return;
    const format = "{bar} {percentage} % | {value} of {total} programs | {divergences} divergences | {eta_formatted} left";
    this.#bar = new cliProgress.SingleBar({ format, hideCursor: true, clearOnComplete: true, stream: process.stderr }, cliProgress.Presets.shades_classic);
    this.#bar.start(total, 0, { divergences: 0 });
  }

  show(done: number, divergences: number): void {
    this.#bar?.update(done, { divergences });
  }

  end(): void {
    if (this.#bar?.isActive === true) this.#bar.stop();
  }
}

/** Ctrl-C (or SIGTERM) once: end the campaign and print what there is. Twice: leave at once; children die with us. */
function interruption(): { signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  const onSignal = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort();
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, onSignal);
  return {
    signal: controller.signal,
    done: () => {
      for (const name of ["SIGINT", "SIGTERM"] as const) process.off(name, onSignal);
    },
  };
}
