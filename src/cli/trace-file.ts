// A trace from a file or from standard input ("-"), for the commands that read one; and which kernel it is
// judged as.
import { once } from "node:events";
import { createReadStream } from "node:fs";
import process from "node:process";
import type { KernelProfile } from "../kernel.ts";
import { PROFILES } from "../model/profile.ts";
import { TraceError, TraceReader, readTrace } from "../program/trace-reader.ts";
import type { TraceHead } from "../program/trace-reader.ts";
import type { TraceEvent } from "../program/trace.ts";
import { UsageError } from "./exit-code.ts";

export const PROFILE_NAMES = Object.keys(PROFILES) as (keyof typeof PROFILES)[]; // they are its own
export type ProfileName = (typeof PROFILE_NAMES)[number];

/** What most traces come from: the only kernel that the model was compared with. */
export const PROFILE_DEFAULT: ProfileName = "6.18";

/** How a path is called in messages. */
export const nameOf = (path: string): string => (path === "-" ? "standard input" : path);

/** Of the trace that is read: an error of the user's, with the path and the line. */
function asUsage(path: string, error: unknown): unknown {
  if (error instanceof TraceError)
    return new UsageError(`${nameOf(path)}: ${error.message}. The format: docs/reference/trace.md, or ringspec schema trace`);
  if (!(error instanceof Error && "code" in error)) return error;
  if (error.code === "ENOENT")
    return new UsageError(`expected a trace, but there is no file at ${path}; check the path, or give - for standard input`);
  return new UsageError(`expected a trace, but ${path} can't be read: ${error.message}`);
}

/** Reads a trace, event by event. Throws UsageError. */
export async function eachEvent(path: string, reader: TraceReader, each: (event: TraceEvent) => void): Promise<TraceHead> {
  try {
    if (path === "-") return await readTrace(process.stdin, reader, each);
    const stream = createReadStream(path);
    await once(stream, "open");
    return await readTrace(stream, reader, each);
  } catch (error) {
    throw asUsage(path, error);
  }
}

/** The kernel to judge as: the one that was asked for, else the one that the heading names, else 6.18. Throws UsageError. */
export function profileFor(wanted: ProfileName | undefined, head: TraceHead | undefined): KernelProfile {
  if (wanted !== undefined) return PROFILES[wanted];
  if (head?.kernel === undefined) return PROFILES[PROFILE_DEFAULT];
  const [release = ""] = /^\d+\.\d+/.exec(head.kernel) ?? [];
  const name = PROFILE_NAMES.find((known) => known === release);
  if (name !== undefined) return PROFILES[name];
  throw new UsageError(
    `the trace says that it was recorded on ${JSON.stringify(head.kernel)}, but there are profiles of ${PROFILE_NAMES.join(", ")} only; say which one to judge it as, for example: --profile ${PROFILE_DEFAULT}`,
  );
}
