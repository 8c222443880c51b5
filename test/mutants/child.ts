// How the children of the mutants hear their task and answer.
import process from "node:process";
import { writeLine } from "../../src/cli/write-line.ts";

/** The task. Waits where the pipe is empty for a while: a synchronous read of it would throw. */
export async function readTask<T>(): Promise<T> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer); // no encoding is set
  return JSON.parse(Buffer.concat(chunks).toString()) as T; // the parent wrote it
}

/** Says a message on standard output. */
export const say = (message: object): void => writeLine(1, message);
