// `ringspec emit`: prints a program as another language's, for those who have no ringspec.
import { writeFileSync } from "node:fs";
import process from "node:process";
import { emitC, emitFault } from "../program/emit/c.ts";
import { EXIT, UsageError } from "./exit-code.ts";
import { readProgram } from "./input.ts";

export interface EmitOptions {
  readonly c?: string;
  readonly output?: string;
}

/** The exit code. Throws UsageError where the program can't be emitted: why. */
export function emit({ c, output }: EmitOptions): number {
  if (c === undefined) throw new UsageError("emit: expected a language, got none; there is one: ringspec emit --c program.json");
  const program = readProgram(c);
  const fault = emitFault(program);
  if (fault !== undefined) throw new UsageError(`${c === "-" ? "stdin" : c}: this program can't be emitted as C: ${fault}`);
  const text = emitC(program);
  if (output === undefined) process.stdout.write(text);
  else writeOut(output, text);
  return EXIT.agree;
}

function writeOut(path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    throw new UsageError(`expected a file that can be written, got -o ${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
