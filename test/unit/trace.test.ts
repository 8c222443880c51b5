// The trace format: what is written is read back, every bad line is named, and whatever well-formed nonsense
// comes, the oracle answers with a verdict.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { PROFILE_6_18 } from "../../src/model/profile.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import { RecordedJudge } from "../../src/oracle/recorded.ts";
import { anyProgram } from "../../src/program/arbitrary.ts";
import { LINE_MAX, TraceError, TraceReader, parseTrace, readTrace } from "../../src/program/trace-reader.ts";
import { EVENT_SCHEMAS, traceLineJsonSchema } from "../../src/program/trace-schema.ts";
import { formatTrace } from "../../src/program/trace.ts";
import type { TraceEvent } from "../../src/program/trace.ts";
import type { Verdict } from "../../src/oracle/verdict.ts";
import { packageRoot } from "../../src/real/addon.ts";

const corpus = join(import.meta.dirname, "..", "property", "corpus");
const recorded = readdirSync(corpus).map((file) => ({ file, text: readFileSync(join(corpus, file), "utf8") }));

/** What JSON says, with nothing checked. */
function plain(text: string): unknown[] {
  return text.trimEnd().split("\n").slice(1).map((line) => JSON.parse(line, (_key, value: unknown) => {
    if (typeof value !== "object" || value === null) return value;
    if ("$n" in value) return BigInt(String(value.$n));
    if ("$b" in value) return new Uint8Array(Buffer.from(String(value.$b), "hex"));
    return value;
  }));
}

function judge(events: readonly TraceEvent[], eventsMax?: number): Verdict {
  const recordedJudge = new RecordedJudge({ profile: PROFILE_6_18, strictness: "spec", ...(eventsMax === undefined ? {} : { eventsMax }) });
  for (const event of events) recordedJudge.event(event);
  return recordedJudge.end();
}

const zeros = "00".repeat(64);
const HEAD = '{"trace":"ringspec","version":1}';
const SETUP = `{"event":"setup","from":1,"to":2,"entries":2,"params":{},"result":3,"filled":{"sqEntries":2,"cqEntries":4,"flags":0,"sqThreadCpu":0,"sqThreadIdle":0,"features":${PROFILE_6_18.features},"wqFd":0,"sqOff":{"head":0,"tail":4,"ringMask":16,"ringEntries":24,"flags":36,"dropped":32,"array":128},"cqOff":{"head":8,"tail":12,"ringMask":20,"ringEntries":28,"overflow":44,"cqes":64,"flags":40}}}`;
const FILL = `{"event":"store","from":3,"to":3,"region":"sqes","at":0,"bytes":{"$b":"${zeros}"}}`;
const TAIL = '{"event":"store","from":4,"to":4,"region":"ring","at":4,"bytes":{"$b":"01000000"}}';
const enter = (rest: string): string => `{"event":"enter","from":5,"to":6,"toSubmit":1,"minComplete":0,"flags":0${rest}}`;
const peek = (rest: string, words = "[1,1,0,1,1,3,2,4,0,0,0,0,0,0,0,0]"): string => `{"event":"peek","from":7,"to":8,"cqTail":1,"cqes":[${rest}],"words":${words}}`;
const CQE = '{"slot":0,"userData":0,"res":0,"flags":0}';
const text = (...lines: string[]): string => `${[HEAD, ...lines].join("\n")}\n`;

describe("what is written is read back", () => {
  test.each(recorded)("$file", ({ text: written }) => {
    const trace = parseTrace(written);
    expect(trace.events.length).toBeGreaterThan(10);
    expect(trace.events).toEqual(plain(written));
    expect(parseTrace(formatTrace(trace))).toEqual(trace);
  });

  test("traces of random programs, and their verdict", () => {
    let events = 0;
    fc.assert(fc.property(anyProgram(), fc.nat(1000), (program, seed) => {
      const kernel = createModelKernel({ seed });
      try {
        const { trace = "", verdict } = runAndJudge(kernel, program, { keepTrace: true });
        const read = parseTrace(trace);
        events += read.events.length;
        expect(read.events).toEqual(plain(trace));
        if (verdict.verdict === "legal") expect(judge(read.events).verdict).not.toBe("illegal");
      } finally {
        kernel.close();
      }
    }), { numRuns: 25, seed: 7 });
    expect(events).toBeGreaterThan(500);
  });

  test("the release of the kernel stays in the heading", () => {
    expect(parseTrace(formatTrace({ version: 1, kernel: "6.18.44", events: [] }))).toEqual({ version: 1, kernel: "6.18.44", events: [] });
  });

  test.each([1, 7, 4096])("in pieces of %d bytes, with characters of several bytes and with \\r", async (piece) => {
    const written = text('{"event":"system","from":0,"to":1,"request":{"call":"open","path":"f\u00fc\u20ac\u{1f600}","flags":578},"result":5}\r', SETUP);
    const bytes = Buffer.from(written);
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
    }
    const events: TraceEvent[] = [];
    await readTrace(chunks(), new TraceReader(), (event) => void events.push(event));
    expect(events).toEqual(parseTrace(written).events);
    expect(events[0]).toMatchObject({ request: { path: "f\u00fc\u20ac\u{1f600}" } });
  });
});

describe("a bad line is named: its number, what was expected and what came", () => {
  test.each<[string, string, string]>([
    ["an empty file", "", 'line 1: expected the heading of a trace, {"trace":"ringspec","version":1}, got an empty file'],
    ["another file", '{"name":"x"}\n', 'line 1: expected the heading of a trace, {"trace":"ringspec","version":1}, got {"name":"x"}'],
    ["no heading", `${SETUP}\n`, "line 1: expected the heading of a trace"],
    ["another version", '{"trace":"ringspec","version":2}\n', "line 1: expected version 1 of the format, the only one that this ringspec reads, got version 2"],
    ["no version", '{"trace":"ringspec"}\n', "line 1: expected version 1 of the format, the only one that this ringspec reads, got version nothing"],
    ["a heading with more", '{"trace":"ringspec","version":1,"by":"x"}\n', 'line 1: heading: expected no field "by"'],
    ["no JSON", text("{oops}"), "line 2: expected a JSON object, got {oops}: "],
    ["an empty line", text(SETUP, ""), "line 3: expected a JSON object, got an empty line"],
    ["cut inside a line", text(SETUP).slice(0, -30), "line 2: expected a JSON object, got {\"event\":\"setup\",\"from\":1,\"to\":2,\"entries\":2,\"params\":{},...: the file ends inside this line, so it was cut short"],
    ["no event", text("[1]"), "line 2: at event: expected one of setup, alloc, memory, store, system, enter, register, fdinfo, peek, look, got [1]"],
    ["an unknown event", text('{"event":"toString"}'), 'got "toString"'],
    ["a missing field", text(SETUP, '{"event":"enter","from":5,"to":6,"toSubmit":1,"minComplete":0}'), "line 3: enter: at flags: expected a whole number, got nothing"],
    ["an unknown field", text(SETUP, enter(',"reslt":1')), 'line 3: enter: expected no field "reslt", got {"event":"enter"'],
    ["a wrong type", text(SETUP, enter(',"result":"1"')), 'line 3: enter: at result: expected a whole number, got "1"'],
    ["a fraction", text(SETUP, enter(',"result":1.5')), "line 3: enter: at result: expected a whole number, got 1.5"],
    ["too large a number", text(SETUP, enter(',"result":4294967295')), "line 3: enter: at result: expected a whole number of at most 2147483647, got 4294967295"],
    ["too small a number", text(SETUP.replace('"entries":2', '"entries":-2')), "line 2: setup: at entries: expected a whole number of at least 0, got -2"],
    ["a 64-bit number as a string", text(SETUP.replace('"from":1', '"from":"1"')), 'line 2: setup: at from: expected a number from 0 to 9007199254740991, or {"$n": "digits"} up to 18446744073709551615, got "1"'],
    ["a 64-bit number that is negative", text(SETUP.replace('"from":1', '"from":{"$n":"-1"}')), 'line 2: setup: at from.$n: expected 1 to 20 decimal digits, got "-1"'],
    ["a number of more than 64 bits", text(SETUP.replace('"from":1', '"from":{"$n":"18446744073709551616"}')), 'line 2: setup: at from: expected a number from 0 to 9007199254740991, or {"$n": "digits"} up to 18446744073709551615'],
    ["half a byte", text(SETUP, TAIL.replace("01000000", "0100000")), 'line 3: store: at bytes.$b: expected hexadecimal digits, two a byte, got "0100000"'],
    ["an unknown region", text(SETUP, TAIL.replace('"ring"', '"cq"')), 'line 3: store: at region: expected one of "ring", "sqes", got "cq"'],
    ["an unknown call", text('{"event":"system","from":0,"to":0,"request":{"call":"fork"},"result":1}'), 'line 2: system: at request.call: expected the name of a system call that traces know'],
    ["too few words", text(SETUP, peek("", "[1,1]")), "line 3: peek: at words: expected a list of 16, got [1,1]"],
    ["a bad CQE", text(SETUP, peek('{"slot":0,"userData":0,"res":null,"flags":0}')), "line 3: peek: at cqes.0.res: expected a whole number, got null"],
  ])("%s", (_what, written, words) => {
    expect(() => parseTrace(written)).toThrow(TraceError);
    expect(() => parseTrace(written)).toThrow(words);
  });

  test.each<[string, string[], string]>([
    ["a clock that runs back", [SETUP, TAIL, FILL], 'line 4: store: expected "from" no earlier than the event before ended, at 4, got 3'],
    ["an end before the beginning", [SETUP.replace('"to":2', '"to":0')], 'line 2: setup: expected "to" no earlier than "from", 1, got 0'],
    ["no ring yet", [TAIL, SETUP], "line 2: store: expected a setup that succeeded before anything is done with the ring, got none"],
    ["a ring that was refused", ['{"event":"setup","from":1,"to":2,"entries":0,"params":{},"result":-22}', TAIL], "line 3: store: expected a setup that succeeded"],
    ["two rings", [SETUP, SETUP.replace('"from":1,"to":2', '"from":3,"to":4')], "line 3: setup: expected one ring a trace, got a second setup"],
    ["nothing filled in", [SETUP.replace(/,"filled".*/, "}")], 'line 2: setup: expected "filled", what the kernel filled in, for the result is 3; got none'],
    ["filled in by a refusal", [SETUP.replace('"result":3', '"result":-22')], 'line 2: setup: expected no "filled", for the result is -22'],
    ["a store outside", [SETUP, TAIL.replace('"at":4', '"at":133')], "line 3: store: expected a store within the 136 bytes of the ring, got one that ends at 137"],
    ["an SQE outside", [SETUP, FILL.replace('"at":0', '"at":65')], "line 3: store: expected a store within the 128 bytes of the SQEs, got one that ends at 129"],
    ["memory that is not there", ['{"event":"memory","from":1,"to":1,"addr":4096,"bytes":{"$b":"00"}}'], "line 2: memory: expected bytes inside one alloc that came before, got 0x1000 to 0x1001"],
    ["memory twice", ['{"event":"alloc","from":1,"to":1,"addr":4096,"size":8}', '{"event":"alloc","from":1,"to":1,"addr":4100,"size":8}'], "line 3: alloc: expected memory apart from what is at 0x1000 to 0x1008, got 0x1004 to 0x100c"],
    ["far too much memory", Array.from({ length: 17 }, (_, i) => `{"event":"alloc","from":1,"to":1,"addr":${i * 2 ** 24},"size":16777216}`), "line 18: alloc: expected at most 268435456 bytes of memory in all"],
    ["a pipe with one end", ['{"event":"system","from":1,"to":1,"request":{"call":"pipe"},"result":3}'], 'line 2: system: expected "second", the other descriptor of the pipe, got none'],
    ["a file with two ends", ['{"event":"system","from":1,"to":1,"request":{"call":"eventfd","count":0},"result":3,"second":4}'], 'line 2: system: expected no "second"'],
    ["a read without bytes", ['{"event":"system","from":1,"to":1,"request":{"call":"read","fd":3,"size":8},"result":2}'], 'line 2: system: expected "bytes" with the 2 bytes that the result says were read, got none'],
    ["a close with bytes", ['{"event":"system","from":1,"to":1,"request":{"call":"close","fd":3},"result":0,"bytes":{"$b":""}}'], 'line 2: system: expected no "bytes", for a close brings none'],
    ["two tails", [SETUP, peek(CQE, "[1,1,0,2,1,3,2,4,0,0,0,0,0,0,0,0]")], "line 3: peek: expected cqTail and words[3] to be one load, got 1 and 2"],
    ["a slot outside", [SETUP, peek(CQE.replace('"slot":0', '"slot":4'))], "line 3: peek: expected the CQE of slot 0 at cqes.0, for cq.tail went from 0 to 1; got that of slot 4"],
    ["a completion left out", [SETUP, peek("")], "line 3: peek: expected the CQE of slot 0 at cqes.0, for cq.tail went from 0 to 1; got none"],
    ["a completion doubled", [SETUP, peek(`${CQE},${CQE}`)], "line 3: peek: expected 1 CQEs, for cq.tail went from 0 to 1; got 2"],
    ["a completion shown again", [SETUP, peek(CQE), peek(CQE).replace('"from":7,"to":8', '"from":9,"to":9')], "line 4: peek: expected 0 CQEs, for cq.tail went from 1 to 1; got 1"],
    ["a CQE too long", [SETUP, peek(CQE.replace('"flags":0', '"flags":0,"big":[0,0]'))], 'line 3: peek: expected no "big", for this CQE has 16 bytes, at cqes.0, got one'],
    ["a CQE too short", [SETUP.replace('"cqEntries":4,"flags":0', '"cqEntries":4,"flags":2048'), peek(CQE)], 'line 3: peek: expected "big", the second half of a CQE of 32 bytes, at cqes.0, got none'],
    ["events behind the end", [SETUP, enter(""), peek("")], "line 4: peek: expected the end of the trace behind an enter that never returned"],
  ])("%s", (_what, lines, words) => {
    expect(() => parseTrace(text(...lines))).toThrow(TraceError);
    expect(() => parseTrace(text(...lines))).toThrow(words);
  });

  async function* endless(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(`${HEAD}\n`);
    for (;;) yield Buffer.alloc(1 << 20, 0x20);
  }
  test("a line without end", async () => {
    await expect(readTrace(endless(), new TraceReader(), () => {})).rejects.toThrow(`line 2: expected a line of at most ${LINE_MAX} characters, got more`);
  });
});

describe("other tools' traces: judged without a look behind each call", () => {
  const last = (...lines: string[]): Verdict => judge(parseTrace(text(SETUP, FILL, TAIL, ...lines)).events);
  test("a call at the end", () => {
    expect(last(enter(',"result":1'))).toMatchObject({ verdict: "legal", events: 4, judgedEvents: 4 });
    expect(last(enter(',"result":2'))).toMatchObject({ verdict: "illegal", events: 4, judgedEvents: 3, at: 3, seen: "io_uring_enter(1, 0, 0x0) = 2" });
  });
  test("a call with a store behind it: the call is named", () => {
    const store = '{"event":"store","from":7,"to":7,"region":"ring","at":8,"bytes":{"$b":"01000000"}}';
    expect(last(enter(',"result":1'), store)).toMatchObject({ verdict: "legal", events: 5, judgedEvents: 5 });
    expect(last(enter(',"result":2'), store)).toMatchObject({ verdict: "illegal", events: 5, at: 3, seen: "io_uring_enter(1, 0, 0x0) = 2" });
  });
  test("what a call did shows later", () => {
    const second = '{"event":"enter","from":6,"to":6,"toSubmit":0,"minComplete":0,"flags":0,"result":0}';
    expect(last(enter(',"result":1'), second, peek(CQE))).toMatchObject({ verdict: "legal", judgedEvents: 6 });
    expect(last(enter(',"result":1'), second, peek(CQE.replace('"res":0', '"res":1')))).toMatchObject({ verdict: "illegal", at: 5 });
  });
  test("liveness.blocks: an enter that never returned is legal where nothing can end it, and only there", () => {
    const waits = (count: number): string => enter("").replace('"minComplete":0,"flags":0', `"minComplete":${count},"flags":1`);
    expect(last(waits(2))).toMatchObject({ verdict: "legal", events: 4, judgedEvents: 4 });
    expect(last(waits(1))).toMatchObject({ verdict: "illegal", at: 3, seen: "io_uring_enter(1, 1, 0x1) = no return" });
  });
  test("too many events: unknown at a limit that is named, and what came before it is judged", () => {
    const events = parseTrace(text(SETUP, FILL, TAIL, enter(',"result":1'), peek(CQE))).events;
    expect(judge(events, 4)).toMatchObject({ verdict: "unknown", events: 5, judgedEvents: 4, limit: "the trace has more than 4 events" });
    expect(judge(parseTrace(text(SETUP, FILL, TAIL, enter(',"result":2'), peek(CQE))).events, 4)).toMatchObject({ verdict: "illegal", at: 3 });
  });
});

test("well-formed nonsense gets an error or a verdict, never an exception", () => {
  const lines = recorded.filter(({ text: written }) => written.length < 20_000).map(({ text: written }) => written.trimEnd().split("\n"));
  const did = { refused: 0, judged: 0, illegal: 0 };
  const numbers = fc.constantFrom(0, 1, 2, 3, 7, 64, 255, 4095, 65_536, 0x7fff_ffff, 0xffff_ffff, -1, -9, -22);
  const change = fc.record({ trace: fc.nat(lines.length - 1), line: fc.nat(), field: fc.nat(), value: numbers, drop: fc.boolean() });
  fc.assert(fc.property(change, ({ trace, line, field, value, drop }) => {
    const copy = [...(lines[trace] ?? [])];
    const at = 1 + (line % (copy.length - 1));
    const found = [...(copy[at] ?? "").matchAll(/-?\b\d+\b/g)];
    const number = found[field % Math.max(found.length, 1)];
    if (drop || number === undefined) copy.splice(at, 1);
    else copy[at] = `${copy[at]?.slice(0, number.index)}${value}${copy[at]?.slice(number.index + number[0].length)}`;
    let events: readonly TraceEvent[];
    try {
      ({ events } = parseTrace(copy.join("\n")));
    } catch (error) {
      expect(error).toBeInstanceOf(TraceError);
      did.refused++;
      return;
    }
    did.judged++;
    if (judge(events).verdict === "illegal") did.illegal++;
  }), { numRuns: 250, seed: 11 });
  expect(did.refused).toBeGreaterThan(20);
  expect(did.illegal).toBeGreaterThan(20);
});

describe("docs/reference/trace.md", () => {
  const page = readFileSync(join(packageRoot, "docs", "reference", "trace.md"), "utf8");
  const names = new Set<string>();
  const collect = (schema: unknown): void => {
    if (typeof schema !== "object" || schema === null) return;
    for (const [key, value] of Object.entries(schema)) {
      if (key === "properties") for (const name of Object.keys(value as object)) names.add(name);
      collect(value);
    }
  };
  collect(traceLineJsonSchema());

  test("names every field of the schema", () => {
    expect(names.size).toBeGreaterThan(80);
    expect([...names].filter((name) => !name.startsWith("$") && !page.includes(`\`${name}\``))).toEqual([]);
  });
  test("has a section for every event", () => {
    const headings = page.split("\n").filter((line) => line.startsWith("### ")).join();
    expect(Object.keys(EVENT_SCHEMAS).filter((kind) => !headings.includes(`\`${kind}\``))).toEqual([]);
  });
});
