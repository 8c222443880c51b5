// Reads what a command is given: a program, as it is written or as a counterexample was saved, from a file or from stdin.
import { readFileSync } from "node:fs";
import { parseProgram, type Program } from "../program/program.ts";
import { UsageError } from "./exit-code.ts";

/** A file that can't be read, or isn't what it should be, is the user's to fix: throws UsageError. */
export function readInput<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    if (missing) throw new UsageError(`expected a file, but there is none at ${path}; check the path`);
    throw new UsageError(`${path}: ${message}. What a program looks like: ringspec schema`);
  }
}

/** `path` "-": stdin. A saved counterexample stands for its program. Throws UsageError. */
export function readProgram(path: string): Program {
  const name = path === "-" ? "stdin" : path;
  return readInput(name, () => {
    const text = readFileSync(path === "-" ? 0 : path, "utf8");
    return parseProgram(saved(text) ?? text);
  });
}

/** The program within a saved counterexample. */
function saved(text: string): string | undefined {
  try {
    const json: unknown = JSON.parse(text);
    if (typeof json !== "object" || json === null || !("program" in json) || "ops" in json) return undefined;
    return JSON.stringify(json.program);
  } catch {
    // What it is instead of JSON is parseProgram's to say.
    return undefined;
  }
}
