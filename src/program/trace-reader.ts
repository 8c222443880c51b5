// Reads a trace line by line, so that a file of any length can be read. Whatever is wrong is said with the
// number of its line, what was expected there and what came.
import type { z } from "zod";
import { EVENT_SCHEMAS, traceHead } from "./trace-schema.ts";
import { TraceOrder } from "./trace-order.ts";
import type { Trace, TraceEvent } from "./trace.ts";

/** Characters of one line; the largest event that is allowed has fewer. */
export const LINE_MAX = 1 << 26;

export type TraceHead = z.infer<typeof traceHead>;

/** A line that is not what it should be. Lines count from 1. */
export class TraceError extends Error {
  readonly line: number;
  constructor(line: number, what: string) {
    super(`line ${line}: ${what}`);
    this.name = "TraceError";
    this.line = line;
  }
}

const NAMES: Readonly<Record<string, string>> = {
  int: "a whole number",
  number: "a whole number",
  string: "a string",
  boolean: "true or false",
  array: "a list",
  tuple: "a list",
  object: "an object",
};
const U64_WANTED = 'a number from 0 to 9007199254740991, or {"$n": "digits"} up to 18446744073709551615';
const kinds = Object.keys(EVENT_SCHEMAS).join(", ");

/** A value in an error message. */
function short(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = JSON.stringify(value);
  return text.length <= 60 ? text : `${text.slice(0, 57)}...`;
}

/** What a schema wanted, in words. */
function wanted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return NAMES[issue.expected] ?? issue.expected;
    case "too_small":
      return issue.origin === "array" ? `a list of ${issue.minimum}` : `a whole number of at least ${issue.minimum}`;
    case "too_big":
      if (issue.origin === "bigint") return U64_WANTED;
      return issue.origin === "array"
        ? `a list of ${issue.maximum}`
        : `${issue.origin === "string" ? "a string of" : "a whole number of"} at most ${issue.maximum}`;
    case "invalid_value":
      return `${issue.values.length > 1 ? "one of " : ""}${issue.values.map((v) => JSON.stringify(v)).join(", ")}`;
    case "invalid_union":
      return issue.discriminator === undefined
        ? U64_WANTED
        : "the name of a system call that traces know (open, pipe, raise, take-signal, eventfd, dup, close, write, read, pwrite, pread)";
    case "unrecognized_keys":
      return `no field ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}`;
    default:
      return issue.message;
  }
}

function faultOf(error: z.ZodError, raw: unknown): string {
  const [issue] = error.issues;
  if (issue === undefined) return "something is wrong";
  let at: unknown = raw;
  for (const step of issue.path) at = typeof at === "object" && at !== null ? Reflect.get(at, step) : undefined;
  return `${issue.path.length === 0 ? "" : `at ${issue.path.join(".")}: `}expected ${wanted(issue)}, got ${short(at)}`;
}

/** Takes the lines of one trace in their order. */
export class TraceReader {
  #head: TraceHead | undefined;
  #lines = 0;
  readonly #order = new TraceOrder();

  /** The heading, once it was read. */
  get head(): TraceHead | undefined {
    return this.#head;
  }

  /** Lines that were read; also the number of the last one. */
  get lines(): number {
    return this.#lines;
  }

  /**
   * The event of the next line; undefined for the first line, which is the heading. `cut`: no end of line came
   * behind it. Throws TraceError.
   */
  line(text: string, cut = false): TraceEvent | undefined {
    this.#lines++;
    const json = this.#json(text, cut);
    if (this.#head === undefined) {
      this.#head = this.#readHead(json);
      return undefined;
    }
    const kind: unknown = typeof json === "object" && json !== null ? Reflect.get(json, "event") : undefined;
    if (typeof kind !== "string" || !Object.hasOwn(EVENT_SCHEMAS, kind))
      throw this.#fault(`at event: expected one of ${kinds}, got ${short(kind ?? json)}`);
    const read = EVENT_SCHEMAS[kind as TraceEvent["event"]].safeParse(json); // hasOwn says so
    if (!read.success) throw this.#fault(`${kind}: ${faultOf(read.error, json)}`);
    const wrong = this.#order.fault(read.data);
    if (wrong !== undefined) throw this.#fault(`${kind}: ${wrong}`);
    return read.data;
  }

  /** Nothing more comes. Throws TraceError where nothing came at all. */
  end(): TraceHead {
    if (this.#head !== undefined) return this.#head;
    throw new TraceError(1, 'expected the heading of a trace, {"trace":"ringspec","version":1}, got an empty file');
  }

  #fault(what: string): TraceError {
    return new TraceError(this.#lines, what);
  }

  #json(text: string, cut: boolean): unknown {
    if (text.trim() === "") throw this.#fault("expected a JSON object, got an empty line");
    try {
      return JSON.parse(text);
    } catch (error) {
      const why = cut ? "the file ends inside this line, so it was cut short" : error instanceof Error ? error.message : String(error);
      throw this.#fault(`expected a JSON object, got ${text.length <= 60 ? text : `${text.slice(0, 57)}...`}: ${why}`);
    }
  }

  #readHead(json: unknown): TraceHead {
    const read = traceHead.safeParse(json);
    if (read.success) return read.data;
    const { trace, version } = (typeof json === "object" && json !== null ? json : {}) as { trace?: unknown; version?: unknown }; // both may be missing
    if (trace === "ringspec" && version !== 1)
      throw this.#fault(`expected version 1 of the format, the only one that this ringspec reads, got version ${short(version)}`);
    if (trace === "ringspec") throw this.#fault(`heading: ${faultOf(read.error, json)}`);
    throw this.#fault(`expected the heading of a trace, {"trace":"ringspec","version":1}, got ${short(json)}`);
  }
}

/** A whole trace from its text. Throws TraceError. */
export function parseTrace(text: string): Trace {
  const reader = new TraceReader();
  const lines = text.split("\n");
  const rest = lines.pop() ?? "";
  const events: TraceEvent[] = [];
  const take = (line: string, cut: boolean): void => {
    const event = reader.line(line, cut);
    if (event !== undefined) events.push(event);
  };
  for (const line of lines) take(line, false);
  if (rest !== "") take(rest, true);
  const { version, kernel } = reader.end();
  return { version, ...(kernel === undefined ? {} : { kernel }), events };
}

/** Splits bytes as they come into lines for a reader, and calls `each` with every event. Throws TraceError. */
export async function readTrace(
  chunks: AsyncIterable<Uint8Array>,
  reader: TraceReader,
  each: (event: TraceEvent) => void,
): Promise<TraceHead> {
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const decode = (chunk?: Uint8Array): string => {
    try {
      return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
    } catch {
      throw new TraceError(
        reader.lines + 1,
        "expected UTF-8, here or in the lines that follow at once; got bytes that are none. Is it compressed?",
      );
    }
  };
  const take = (line: string, cut: boolean): void => {
    const event = reader.line(line, cut);
    if (event !== undefined) each(event);
  };
  let parts: string[] = [];
  let held = 0;
  for await (const chunk of chunks) {
    const [first = "", ...more] = decode(chunk).split("\n");
    parts.push(first);
    held += first.length;
    if (held > LINE_MAX) throw new TraceError(reader.lines + 1, `expected a line of at most ${LINE_MAX} characters, got more`);
    for (const next of more) {
      take(parts.join(""), false);
      parts = [next];
      held = next.length;
    }
  }
  parts.push(decode());
  const rest = parts.join("");
  if (rest !== "") take(rest, true);
  return reader.end();
}
