#!/usr/bin/env node
// The `ringspec` command: its subcommands, options and exit codes. What they do is in the files beside it.
import process from "node:process";
import { Argument, Command, CommanderError, Option } from "commander";
import { traceLineJsonSchema } from "../program/trace-schema.ts";
import { programJsonSchema } from "../program/program.ts";
import { RealKernelUnavailable } from "../real/linux-kernel.ts";
import { check } from "./check.ts";
import type { CheckOptions } from "./check.ts";
import { diff, SAVE_DIRECTORY } from "./diff.ts";
import type { DiffOptions } from "./diff.ts";
import { doctor } from "./doctor.ts";
import { emit } from "./emit.ts";
import type { EmitOptions } from "./emit.ts";
import { alphabetOf, exploreCommand } from "./explore.ts";
import type { ExploreCommandOptions } from "./explore.ts";
import { EXIT, EXIT_CODES_HELP, RealRequired, UsageError } from "./exit-code.ts";
import { explain } from "./explain.ts";
import type { ExplainOptions } from "./explain.ts";
import { backendOption, oneOf, profileOption, ringFlags, strictnessOption, wholeNumber } from "./option-values.ts";
import { KINDS, MAX_OPS } from "./programs.ts";
import { replay, runProgram } from "./replay.ts";
import type { ReplayOptions, RunOptions } from "./replay.ts";
import { spec } from "./spec.ts";
import type { SpecOptions } from "./spec.ts";
import { vectors } from "./vectors.ts";
import type { VectorsOptions } from "./vectors.ts";

const RUNS_DEFAULT = 6000;
const LIMIT_DEFAULT = 1_000_000;
const SEED_MAX = 2 ** 31 - 1;

function command(finish: (code: number) => void): Command {
  const program = new Command("ringspec")
    .description("An executable specification of io_uring: compares the reference model with the kernel that is running.")
    .addHelpText("after", `\nExamples:\n  ringspec doctor\n  ringspec diff\n  ringspec diff --runs 1000 --seed 7 --json${"\n"}${EXIT_CODES_HELP}`)
    .showSuggestionAfterError()
    .configureOutput({ writeErr: (text) => process.stderr.write(text), outputError: (text, write) => write(text.replace(/^error: /, "ringspec: ")) })
    .exitOverride()
    .helpCommand(false);
  const sub = (name: string, description: string, examples: readonly string[]): Command =>
    program.command(name).description(description).copyInheritedSettings(program).showHelpAfterError(`How to use it: ringspec ${name.split(" ")[0]} --help`)
      .addHelpText("after", `\nExamples:\n${examples.map((example) => `  ringspec ${example}`).join("\n")}\n${EXIT_CODES_HELP}`);

  sub("doctor", "Says whether io_uring is there, if not why and what to do, and what this kernel has.", ["doctor", "doctor --json"])
    .option("--json", "print one JSON object")
    .action((options: { json?: boolean }) => finish(doctor(options)));

  sub("diff", "Runs random programs on the kernel while the oracle walks the model along; shrinks and saves what diverges.", [
    "diff", "diff --runs 20000 --seed 7", "diff --kind hostile --jobs 4", "diff --backend model --json",
  ])
    .addOption(new Option("--runs <n>", "programs to run").default(RUNS_DEFAULT).argParser(wholeNumber({ min: 1, max: 100_000_000, example: "--runs 1000" })))
    .addOption(new Option("--seed <n>", "seed of the programs; random where left out, and printed").argParser(wholeNumber({ min: 0, max: SEED_MAX, example: "--seed 7" })))
    .addOption(new Option("--jobs <n>", "child processes at once").default(2).argParser(wholeNumber({ min: 1, max: 64, example: "--jobs 2" })))
    .addOption(backendOption())
    .addOption(strictnessOption())
    .addOption(new Option("--kind <which>", "legal, hostile, or any: three legal to one hostile").default("any").argParser(oneOf(KINDS, "--kind legal")))
    .addOption(new Option("--ring <flags>", "setup flags of every ring, separated by commas, in the place of drawn ones; DEFAULT: none").argParser(ringFlags))
    .addOption(new Option("--ops <n>", "operations of a program, at most; most have about half as many").default(MAX_OPS).argParser(wholeNumber({ min: 1, max: 200, example: "--ops 60" })))
    .option("--keep-going", "run all programs even where some diverge")
    .option("--no-shrink", "save what diverges as it was drawn")
    .option("--json", "end with one JSON object on stdout; all else goes to stderr")
    .option("--save <directory>", "where programs that diverge are saved", SAVE_DIRECTORY)
    .action(async (options: DiffOptions) => finish(await diff(options)));

  sub("run <program>", "Runs one program (a JSON file) and prints its trace and the verdict.", ["run program.json", "run program.json --backend model --seed 3", "run program.json --trace out.jsonl --json"])
    .addOption(backendOption())
    .addOption(strictnessOption())
    .addOption(new Option("--seed <n>", "seed of the model's choices").argParser(wholeNumber({ min: 0, max: SEED_MAX, example: "--seed 3" })))
    .option("--trace <file>", "write the trace there, one event a line")
    .option("--json", "print one JSON object")
    .action(async (path: string, options: RunOptions) => finish(await runProgram(path, options)));

  sub("replay <file>", "Runs a saved counterexample again; a kernel may not repeat itself, hence several times.", [`replay ${SAVE_DIRECTORY}/7-legal-12.json`, `replay ${SAVE_DIRECTORY}/7-legal-12.json --times 100`])
    .addOption(new Option("--times <n>", "how often").default(10).argParser(wholeNumber({ min: 1, max: 1_000_000, example: "--times 100" })))
    .option("--json", "print one JSON object")
    .action(async (path: string, options: ReplayOptions) => finish(await replay(path, options)));

  sub("check <trace>", "Judges a recorded trace (JSON Lines, docs/reference/trace.md), from whatever tool it came; - is standard input.", [
    "check .ringspec/7-legal-12.trace.jsonl", "check other.jsonl --profile 6.12 --json", "check - < trace.jsonl",
  ])
    .addOption(profileOption())
    .addOption(strictnessOption("auto, spec (whatever the rules allow) or profile (a verified kernel's exact orders too); auto is spec, for a file does not say on what file system it was recorded"))
    .option("--json", "print one JSON object")
    .action(async (path: string, options: CheckOptions) => finish(await check(path, options)));

  sub("explain <file>", "Shows a trace, or a counterexample that diff saved, as a timeline: requests, queues, and the rules at each step.", [
    "explain .ringspec/7-legal-12.json", "explain trace.jsonl --html trace.html",
  ])
    .addOption(profileOption())
    .addOption(strictnessOption("auto, spec or profile; auto is what the counterexample was judged by, and spec for a trace"))
    .option("--html <file>", "write the timeline there as one page that needs no network, in the place of printing it")
    .option("--json", "print the timeline as one JSON object")
    .action(async (path: string, options: ExplainOptions) => finish(await explain(path, options)));
  sub("explore [program]", "Tries everything that the kernel may do with a small program (a JSON file, or - for stdin): its states, all outcomes, and what holds in each state.", [
    "explore program.json", "explore program.json --limit 50000 --json", "explore --all 2 --alphabet nop-async,timeout,cancel",
  ])
    .addOption(new Option("--limit <n>", "states at most, for each program").default(LIMIT_DEFAULT).argParser(wholeNumber({ min: 1, max: 100_000_000, example: "--limit 50000" })))
    .addOption(new Option("--within <ms>", "the program ends within this: what takes longer does not happen").default(1000).argParser(wholeNumber({ min: 20, max: 1_000_000, example: "--within 1000" })))
    .addOption(new Option("--strictness <which>", "spec (whatever the rules allow) or profile (the habits of Linux 6.18 too)").default("spec").argParser(oneOf(["spec", "profile"], "--strictness spec")))
    .addOption(new Option("--show <n>", "outcomes to print").default(20).argParser(wholeNumber({ min: 0, max: 1_000_000, example: "--show 100" })))
    .addOption(new Option("--all <n>", "in the place of a program: all programs of up to n words of the alphabet").argParser(wholeNumber({ min: 1, max: 6, example: "--all 2" })))
    .addOption(new Option("--alphabet <words>", "words of --all, separated by commas").argParser(alphabetOf))
    .addOption(new Option("--ring <flags>", "setup flags of the ring of --all, separated by commas").argParser(ringFlags))
    .option("--json", "print one JSON object")
    .action((path: string | undefined, options: ExploreCommandOptions) => finish(exploreCommand(path, options)));

  sub("vectors [files...]", "Runs the conformance vectors of spec/vector/, or those of other files, on the kernel: does each show one of the outcomes that are allowed?", [
    "vectors", "vectors --backend model --times 100", "vectors mine.json --json",
  ])
    .addOption(backendOption())
    .addOption(new Option("--times <n>", "runs of each").default(20).argParser(wholeNumber({ min: 1, max: 100_000, example: "--times 20" })))
    .option("--json", "print one JSON object")
    .action(async (files: string[], options: VectorsOptions) => finish(await vectors(files, options)));

  sub("emit", "Prints a program as a C program that stands alone: raw system calls, no liburing; it prints each call's result and each completion.", [
    "emit --c program.json > program.c", "emit --c program.json -o program.c && cc -std=c11 -Wall -Wextra -Werror -o program program.c && ./program",
  ])
    .option("--c <program>", "the program, a JSON file or a saved counterexample, or - for stdin")
    .option("-o, --output <file>", "write it there, in the place of stdout")
    .action((options: EmitOptions) => finish(emit(options)));

  sub("spec [term]", "Looks up rules, opcodes, flags and errnos; without a term, the chapters.", ["spec link.short-read-severs", "spec IORING_SETUP_DEFER_TASKRUN", "spec EBADFD", "spec --stats --json", "spec --profile 6.1"])
    .option("--stats", "how many rules there are, how many the model cites and tests show on both kernels, and which not")
    .addOption(profileOption("what Linux of this release knows, and the rules that it obeys"))
    .option("--json", "print one JSON object")
    .action((term: string | undefined, options: SpecOptions) => finish(spec(term, options)));

  sub("schema", "Prints the JSON Schema of programs, or of the lines of a trace.", ["schema > program.schema.json", "schema trace > trace-line.schema.json"])
    .addArgument(new Argument("[what]", "program or trace").default("program").argParser(oneOf(["program", "trace"], "schema trace")))
    .action((what: "program" | "trace") => {
      process.stdout.write(`${JSON.stringify(what === "trace" ? traceLineJsonSchema() : programJsonSchema(), undefined, 2)}\n`);
      finish(EXIT.agree);
    });
  return program;
}

async function main(): Promise<number> {
  let code: number = EXIT.usage;
  const program = command((finished) => {
    code = finished;
  });
  if (process.argv.length <= 2) {
    process.stderr.write(`ringspec: expected a command, got none; to compare model and kernel: ringspec diff\n\n${program.helpInformation()}`);
    return EXIT.usage;
  }
  try {
    await program.parseAsync();
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.agree : EXIT.usage;
    if (error instanceof UsageError) return fail(error.message, EXIT.usage);
    if (error instanceof RealRequired) return fail(error.message, EXIT.realRequired);
    if (error instanceof RealKernelUnavailable) return fail(error.message, EXIT.realRequired);
    throw error;
  }
}

function fail(message: string, code: number): number {
  process.stderr.write(`ringspec: ${message}\n`);
  return code;
}

// Whoever reads has seen enough, such as `head`: that is no error.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

process.exitCode = await main();
