// How the children of the mutants hear their task and answer.
import { writeSync } from "node:fs";
import process from "node:process";

/** The task. Waits where the pipe is empty for a while: a synchronous read of it would throw. */
export async function readTask<T>(): Promise<T> {
  const chunks: Buffer[] = [];
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer); // no encoding is set
  return JSON.parse(Buffer.concat(chunks).toString()) as T; // the parent wrote it
}

/** A line of JSON, whole. The pipe may be full: the parent reads on while this waits. */
export function say(message: object): void {
  const bytes = Buffer.from(`${JSON.stringify(message)}\n`);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(1, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}
