// `ringspec explain`: the timeline as text, as JSON, and as a page that a headless Chromium opens and steps
// through. Runs the compiled command (npm run build). RINGSPEC_PICTURE=docs/images/explain.png takes the picture anew.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import type { Timeline } from "../../src/explain/timeline.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { runAndJudge } from "../../src/oracle/judge.ts";
import type { Program } from "../../src/program/program.ts";
import { parseTrace } from "../../src/program/trace.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { Browser, findBrowser } from "./browser.ts";

const main = join(packageRoot, "dist", "src", "cli", "main.js");
const scratch = mkdtempSync(join(tmpdir(), "ringspec-explain-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function explain(args: readonly string[], input?: string): { readonly status: number | null; readonly stdout: string; readonly stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [main, "explain", ...args], { cwd: scratch, encoding: "utf8", ...(input === undefined ? {} : { input }) });
  return { status, stdout, stderr };
}
const timelineOf = (args: readonly string[], input?: string): Timeline => JSON.parse(explain([...args, "--json"], input).stdout) as Timeline;
function save(name: string, text: string): string {
  writeFileSync(join(scratch, name), text);
  return join(scratch, name);
}

const reference = readFileSync(join(packageRoot, "docs", "reference", "trace.md"), "utf8");
const byHand = /```jsonl\n([\s\S]*?)```/.exec(reference)?.[1] ?? "";

/** A read that waits, a chain that fails, a poll, a timeout; on a ring whose counters pass 2^32. */
const program: Program = {
  version: 1, kind: "legal", ring: { entries: 4, flags: [] }, world: { files: [], pipes: [0], eventfds: [], buffers: [64] },
  ops: [
    { op: "sqe", opcode: "READ", userData: 0xaaaa, fd: "p0r", addr: { is: "buffer", buffer: 0, at: 0 }, len: 16 },
    { op: "sqe", opcode: "NOP", userData: 0xbbbb },
    { op: "submit" },
    { op: "sqe", opcode: "READ", userData: 0xc0c0, fd: "none", addr: { is: "buffer", buffer: 0, at: 0 }, len: 8, flags: ["IO_LINK"] },
    { op: "sqe", opcode: "NOP", userData: 0xc0c1 },
    { op: "submit" },
    { op: "reap" },
    { op: "sqe", opcode: "POLL_ADD", userData: 0xd0d0, fd: "p0r", opFlags: 1 },
    { op: "sqe", opcode: "TIMEOUT", userData: 0xdead, addr: { is: "time", seconds: 0, nanoseconds: 300_000 }, len: 1 },
    { op: "submit" },
    { op: "settle" },
    { op: "write", fd: "p0w", bytes: 8, fill: 0x5a },
    { op: "settle" },
    { op: "reap" },
  ],
};
const kernel = createModelKernel({ seed: 1, counters: 2 ** 32 - 2 });
const { trace: text = "" } = runAndJudge(kernel, program, { keepTrace: true });
kernel.close();
const { events } = parseTrace(text);
const chain = save("chain.trace.jsonl", text);
/** Words of a peek, by their place in the ring. */
const wordsAt = (step: number): readonly number[] => {
  const event = events[step];
  return event?.event === "peek" ? event.words : [];
};
/** The step at which a completion with this user_data was seen. */
const stepOf = (userData: bigint): number => events.findIndex((event) => event.event === "peek" && event.cqes.some((cqe) => cqe.userData === userData));

describe("as text", () => {
  test("heads, tails, masks, lanes and rules of the trace in the reference", () => {
    const { status, stdout } = explain(["-"], byHand);
    expect(status).toBe(0);
    const lines = stdout.split("\n").map((line) => line.replaceAll(/ +/g, " ").trim());
    expect(lines.slice(0, 2)).toEqual(["standard input: legal, judged by Linux 6.18, strictness spec", "ring: SQ of 2 (mask 1), CQ of 4 (mask 3), no flags"]);
    expect(lines).toEqual(expect.arrayContaining([
      "3 0.200 0 to 0 & 1 0 to 0 & 3 + SQE NOP 0xaaaa: fd 0, off 0, len 0",
      "4 0.210 0 to 1 & 1 0 to 0 & 3 ^ store sq.tail = 1",
      "5 0.300 0 to 1 & 1 0 to 0 & 3 v io_uring_enter(1, 0, 0x0) = 1",
      "| rules: enter.returns-consumed, sq.array-index",
      "6 0.410 1 to 1 & 1 0 to 1 & 3 * cq.tail 1, CQEs [{0xaaaa 0}], sq.head 1, sq.flags 0x0, sq.dropped 0",
      "rules: cq.tail-after-entry, submit.one-cqe-each, nop.zero, sq.user-data",
      "7 0.500 1 to 1 & 1 1 to 1 & 3 store cq.head = 1",
    ]));
  });

  test("what the reference shows is what is printed", () => {
    const { stdout } = explain([save("nop.jsonl", byHand)]);
    const shown = /\$ ringspec explain nop\.jsonl\n([\s\S]*?)```/.exec(reference)?.[1] ?? "";
    const trimmed = (printed: string): string => printed.replaceAll(/ +$/gm, "");
    expect(trimmed(stdout)).toBe(trimmed(shown));
  });

  test("an illegal step says so, with what was seen and what was allowed", () => {
    const { status, stdout } = explain(["-"], byHand.replace('"res":0', '"res":-22'));
    expect(status).toBe(0);
    expect(stdout).toMatch(/x +ILLEGAL cq\.tail 1, CQEs \[\{0xaaaa -EINVAL\}\]/);
    expect(stdout).toContain("allowed: io_uring_enter = 1, CQEs [{0xaaaa 0}]");
    expect(stdout).toContain("(not judged) store cq.head = 1");
  });

  test("a counterexample that was saved: the trace beside it, judged as it was when it was found", () => {
    const saved = { ringspec: "counterexample", version: 1, id: "1-legal-0", backend: "model", kernel: "6.18", strictness: "profile", model: { seed: 1 }, program };
    const path = save("1-legal-0.json", JSON.stringify(saved, undefined, 2));
    expect(explain([path])).toMatchObject({ status: 2, stderr: expect.stringContaining(`expected the counterexample's trace beside it, but there is no file at ${join(scratch, "1-legal-0.trace.jsonl")}`) });
    save("1-legal-0.trace.jsonl", text);
    expect(explain([path]).stdout).toMatch(/^1-legal-0\.json: legal, judged by Linux 6\.18, strictness profile\n/);
  });

  test.each<[string, string, string]>([
    ["a program", JSON.stringify(program), "ringspec explain takes a trace (JSON Lines) or a counterexample that ringspec diff saved"],
    ["no JSON", "{", "expected JSON"],
  ])("%s is neither", (_what, content, words) => {
    expect(explain([save("other.json", content)])).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining(words) });
  });
  test("bad input has the exit code and the words that it has for check", () => {
    expect(explain(["-"], byHand.replace('"toSubmit":1', '"toSubmit":"one"'))).toMatchObject({ status: 2, stdout: "", stderr: expect.stringContaining('standard input: line 5: enter: at toSubmit: expected a whole number, got "one"') });
    expect(explain(["/nonexistent"])).toMatchObject({ status: 2, stderr: expect.stringContaining("expected a trace, but there is no file at /nonexistent") });
    expect(explain(["-"], '{"trace":"ringspec","version":1}\n')).toMatchObject({ status: 2, stderr: expect.stringContaining("there is nothing to explain") });
    expect(explain(["-", "--html", "/nonexistent/x.html"], byHand)).toMatchObject({ status: 2, stderr: expect.stringContaining("/nonexistent/x.html can't be written") });
  });
});

test("a reader that goes away early, such as head, is no error", () => {
  const look = (at: number): string => `{"event":"peek","from":${at},"to":${at},"cqTail":1,"cqes":[],"words":[1,1,1,1,1,3,2,4,0,0,0,0,0,0,0,0]}\n`;
  const long = save("long.jsonl", byHand + Array.from({ length: 8000 }, (_, i) => look(1000 + i)).join(""));
  const { stdout, stderr } = spawnSync("sh", ["-c", '"$0" "$1" explain "$2" | head -n 1', process.execPath, main, long], { encoding: "utf8" });
  expect({ stdout, stderr }).toEqual({ stdout: "long.jsonl: legal, judged by Linux 6.18, strictness spec\n", stderr: "" });
});

describe("as JSON", () => {
  const timeline = timelineOf([chain]);
  const rulesAt = (step: number): readonly string[] => timeline.steps[step]?.rules ?? [];

  test("every look has the heads and tails that it loaded", () => {
    let looks = 0;
    for (const [step, { sq, cq }] of timeline.steps.entries()) {
      if (events[step]?.event !== "peek") continue;
      looks++;
      expect([sq.head, sq.tail, cq.head, cq.tail]).toEqual(wordsAt(step).slice(0, 4));
    }
    expect(looks).toBeGreaterThan(10);
    expect(timeline.ring).toMatchObject({ sqEntries: 4, sqMask: 3, cqEntries: 8, cqMask: 7 });
  });

  test("[link.error-severs-chain] and others stand where they are seen, and nowhere else", () => {
    const steps = (rule: string): number[] => [...timeline.steps.keys()].filter((step) => rulesAt(step).includes(rule));
    expect(steps("link.error-severs-chain")).toEqual([stepOf(0xc0c1n)]);
    expect(steps("issue.bad-fd")).toEqual([stepOf(0xc0c0n)]);
    expect(steps("nop.zero")).toEqual([stepOf(0xbbbbn)]);
    expect(steps("timeout.expiry-etime")).toEqual([stepOf(0xdeadn)]);
    expect(steps("poll.one-shot")).toEqual([stepOf(0xd0d0n)]);
    expect(steps("rw.result-count")).toEqual([stepOf(0xaaaan)]);
    expect(steps("setup.offsets")).toEqual([events.findIndex(({ event }) => event === "setup")]);
    expect(steps("link.collects")).toHaveLength(1);
  });

  test("lanes: when each request was filled, published, taken and completed, and behind which", () => {
    expect(timeline.lanes.map(({ name }) => name)).toEqual(["READ 0xaaaa", "NOP 0xbbbb", "READ 0xc0c0", "NOP 0xc0c1", "POLL_ADD 0xd0d0", "TIMEOUT 0xdead"]);
    for (const { name, filledAt = -1, queuedAt = -1, takenAt = -1, endedAt = -1, cqes } of timeline.lanes) {
      const userData = BigInt(name.split(" ")[1] ?? 0);
      expect([name, endedAt]).toEqual([name, stepOf(userData)]);
      expect(cqes).toHaveLength(1);
      expect(filledAt).toBeLessThan(queuedAt);
      expect(queuedAt).toBeLessThan(takenAt);
      expect(events[filledAt]).toMatchObject({ event: "store", region: "sqes" });
      expect(events[takenAt]).toMatchObject({ event: "enter", toSubmit: 2 });
    }
    expect(timeline.lanes.map(({ behind }) => behind)).toEqual([undefined, undefined, undefined, 2, undefined, undefined]);
  });

  test("system calls with what they were given", () => {
    const words = timeline.steps.filter(({ event }) => event === "system").map(({ text: line }) => line.replaceAll(/\b\d{1,3}\b(?! bytes)/g, "N"));
    expect(words).toEqual(["pipe() = N and N", "write(N, 8 bytes) = N", "read(N, 70000 bytes) = -EAGAIN"]);
  });

  test("the queues name the requests in them", () => {
    const published = timeline.steps.findIndex(({ text: words }) => words.startsWith("store sq.tail"));
    expect(timeline.steps[published]?.sq.lanes).toEqual([0, 1]);
    expect(timeline.steps[stepOf(0xc0c1n)]?.cq.lanes).toEqual([1, 2, 3]);
  });
});

test("without a browser that is said aloud, and where one is required it is a failure", () => {
  const { PATH: path, RINGSPEC_CHROMIUM: named, RINGSPEC_REQUIRE_BROWSER: required } = process.env;
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    process.env["PATH"] = "/nonexistent";
    delete process.env["RINGSPEC_CHROMIUM"];
    delete process.env["RINGSPEC_REQUIRE_BROWSER"];
    expect(findBrowser()).toBeUndefined();
    expect(said).toHaveBeenCalledWith(expect.stringMatching(/^NO BROWSER: .*is not tried/));
    process.env["RINGSPEC_REQUIRE_BROWSER"] = "1";
    expect(() => findBrowser()).toThrow("NO BROWSER");
  } finally {
    said.mockRestore();
    for (const [name, value] of [["PATH", path], ["RINGSPEC_CHROMIUM", named], ["RINGSPEC_REQUIRE_BROWSER", required]] as const) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
});

const browserPath = findBrowser();
describe("as a page, in a browser", () => {
  const timeline = timelineOf([chain]);
  let browser: Browser;
  const page = join(scratch, "chain.html");
  beforeEach((context) => {
    if (browserPath === undefined) context.skip("no Chromium was found");
  });
  beforeAll(async () => {
    if (browserPath === undefined) return;
    expect(explain([chain, "--html", page])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+ steps, 6 requests, legal: /) });
    browser = await Browser.open(browserPath);
    await browser.load(page);
  });
  afterAll(async () => browser?.close());

  const shown = (...ids: string[]): Promise<unknown> => browser.value(`${JSON.stringify(ids)}.map((id) => document.getElementById(id).textContent)`);
  const rules = (): Promise<unknown> => browser.value('[...document.querySelectorAll("#rules li")].map((li) => li.dataset.rule)');
  const position = (step: number): string => `step ${step + 1} of ${events.length}, line ${step + 2}`;

  test("stepping by key: heads, tails, masks and rule ids of every step, against the trace", async () => {
    await browser.press("Home");
    for (let step = 0; step < events.length; step++) {
      expect(await shown("position")).toEqual([position(step)]);
      const words = wordsAt(step);
      const queues = await shown("sq-head", "sq-tail", "cq-head", "cq-tail", "sq-mask", "cq-mask");
      if (words.length > 0) expect([step, queues]).toEqual([step, [...words.slice(0, 4), 3, 7].map(String)]);
      expect([step, await rules()]).toEqual([step, timeline.steps[step]?.rules]);
      await browser.press("ArrowRight");
    }
    expect(await shown("position")).toEqual([position(events.length - 1)]);
    // Beyond the end it stands still, and goes back by one step.
    await browser.press("ArrowRight");
    await browser.press("ArrowLeft");
    expect(await shown("position")).toEqual([position(events.length - 2)]);
    await browser.press("End");
    expect(await browser.value('document.getElementById("forward").disabled && !document.getElementById("back").disabled')).toBe(true);
  });

  test("stepping by buttons, by the slider and by a click on the lanes", async () => {
    await browser.click("#first");
    expect(await shown("position")).toEqual([position(0)]);
    await browser.click("#forward");
    await browser.click("#forward");
    await browser.click("#back");
    expect(await shown("position")).toEqual([position(1)]);
    await browser.click("#end");
    expect(await shown("position")).toEqual([position(events.length - 1)]);
    await browser.value('(() => { const s = document.getElementById("slider"); s.value = "3"; s.dispatchEvent(new Event("input")); })()');
    expect(await shown("position")).toEqual([position(3)]);
    await browser.click("#lanes", 14 * 7 + 1);
    expect(await shown("position")).toEqual([position(7)]);
  });

  test("[link.error-severs-chain] the step at which a chain is cut: rule with its text, completions in their slots", async () => {
    const step = stepOf(0xc0c1n);
    await browser.press("Home");
    for (let i = 0; i < step; i++) await browser.press("ArrowRight");
    expect(await rules()).toEqual(expect.arrayContaining(["link.error-severs-chain", "issue.bad-fd"]));
    expect(await browser.value('document.querySelector("[data-rule=\\"link.error-severs-chain\\"]").textContent')).toContain("every later member completes with -ECANCELED");
    expect(await browser.value('[...document.querySelectorAll("#cq-ring .full")].map((slot) => [slot.dataset.slot, slot.dataset.lane])')).toEqual([["0", "3"], ["6", "1"], ["7", "2"]]);
    expect(await shown("cq-head", "cq-tail", "cq-head-slot", "cq-tail-slot")).toEqual(["4294967294", "1", "6", "1"]);
    const target = process.env["RINGSPEC_PICTURE"];
    if (target !== undefined) {
      await browser.value("document.activeElement.blur(), scrollTo(0, 0)");
      mkdirSync(dirname(join(packageRoot, target)), { recursive: true });
      writeFileSync(join(packageRoot, target), await browser.picture());
    }
  });

  test("keys with a modifier are the browser's", async () => {
    await browser.press("Home");
    await browser.send("Input.dispatchKeyEvent", { type: "keyDown", key: "l", code: "KeyL", modifiers: 2 });
    expect(await shown("position")).toEqual([position(0)]);
  });

  test("needs no network, and nothing is thrown", () => {
    expect(readFileSync(page, "utf8")).not.toMatch(/(?:src|href)=|@import|url\(/);
    expect(browser.requested).toEqual([]);
    expect(browser.complaints).toEqual([]);
  });

  test("is accessible: names and roles of what can be used, steps read out, keyboard reaches it", async () => {
    const { nodes } = (await browser.send("Accessibility.getFullAXTree")) as { nodes: { role?: { value: string }; name?: { value: string } }[] };
    const has = nodes.map(({ role, name }) => `${role?.value} ${name?.value}`);
    expect(has).toEqual(expect.arrayContaining(["button First", "button Back", "button Next", "button Last", "slider Step", "heading Submission queue", "heading Completion queue", "navigation Steps"]));
    expect(await browser.value('document.querySelector("[aria-live]").contains(document.getElementById("event"))')).toBe(true);
    expect(await browser.value("document.documentElement.lang")).toBe("en");
    await browser.value('document.getElementById("end").focus()');
    expect(await browser.value('getComputedStyle(document.activeElement).outlineStyle')).not.toBe("none");
  });

  test.each(["light", "dark"])("text can be read in the %s scheme", async (scheme) => {
    await browser.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    const contrast = await browser.value(`(() => {
      const parts = (color) => color.match(/[\\d.]+/g).map(Number);
      const light = (color) => { const [r, g, b] = parts(color).map((c) => (c / 255 <= 0.03928 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4)); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
      const behind = (e) => { for (let at = e; at; at = at.parentElement) { const c = getComputedStyle(at).backgroundColor; if ((parts(c)[3] ?? 1) > 0) return c; } return "rgb(255,255,255)"; };
      return ["#event", "#clock", "#verdict", "#by", "#rules-name", "button:not(:disabled)"].map((s) => document.querySelector(s)).map((e) => { const [a, b] = [light(getComputedStyle(e).color), light(behind(e))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); });
    })()`) as number[];
    expect(contrast).toHaveLength(6);
    expect(Math.min(...contrast)).toBeGreaterThan(4.5);
    expect(await browser.value('getComputedStyle(document.body).backgroundColor')).toBe(scheme === "dark" ? "rgb(13, 17, 23)" : "rgb(255, 255, 255)");
  });

  test("an illegal trace: the page goes to the step, with what was seen and allowed; a hostile name stays text", async () => {
    const evil = save("<!--<script><img src=x onerror=alert(1)>.jsonl", byHand.replace('"res":0', '"res":-22'));
    const illegal = join(scratch, "illegal.html");
    expect(explain([evil, "--html", illegal])).toMatchObject({ status: 0, stdout: expect.stringContaining("illegal") });
    await browser.load(illegal);
    expect(await shown("title", "verdict")).toEqual(["<!--<script><img src=x onerror=alert(1)>.jsonl", "illegal"]);
    expect(await browser.value('document.getElementById("divergence").hidden')).toBe(true);
    await browser.click("#culprit");
    expect(await shown("position", "judged")).toEqual(["step 5 of 6, line 6", "illegal"]);
    expect(await browser.value('document.getElementById("divergence").hidden')).toBe(false);
    expect(await shown("seen", "allowed")).toEqual([expect.stringContaining("{0xaaaa -EINVAL}"), expect.stringContaining("{0xaaaa 0}")]);
    expect(await browser.value('document.querySelectorAll("img").length')).toBe(0);
  });
});
