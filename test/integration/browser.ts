// A headless Chromium for tests, spoken to over a pipe (the DevTools protocol, NUL between messages). Where
// none is installed that is said aloud; with RINGSPEC_REQUIRE_BROWSER=1, as in CI, it is a failure.
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import process from "node:process";
import type { Readable, Writable } from "node:stream";
import { pathToFileURL } from "node:url";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const WATCHDOG_MS = 30_000;

/** Path of the browser, by RINGSPEC_CHROMIUM or by name. Throws where one is required and there is none. */
export function findBrowser(): string | undefined {
  const named = process.env["RINGSPEC_CHROMIUM"];
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const found = named ?? NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find((path) => existsSync(path));
  if (found !== undefined) return found;
  const what = `NO BROWSER: none of ${NAMES.join(", ")} is there, so the page of ringspec explain is not tried. On Debian: apt install chromium`;
  if (process.env["RINGSPEC_REQUIRE_BROWSER"] === "1") throw new Error(`RINGSPEC_REQUIRE_BROWSER=1, but ${what}`);
  process.stderr.write(`${what}\n`);
  return undefined;
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Record<string, unknown>;
  readonly result?: Record<string, unknown>;
  readonly error?: { readonly message: string };
}
interface Waiting {
  readonly resolve: (result: Record<string, unknown>) => void;
  readonly reject: (error: Error) => void;
}

/** One page of one browser. */
export class Browser {
  /** Addresses that the page asked for, the file itself excepted. */
  readonly requested: string[] = [];
  /** Exceptions and console errors. */
  readonly complaints: string[] = [];
  readonly #child: ChildProcess;
  readonly #to: Writable;
  readonly #profile: string;
  readonly #waiting = new Map<number, Waiting>();
  #session: string | undefined;
  #next = 1;
  #text = "";
  #loaded: (() => void) | undefined;

  private constructor(path: string) {
    this.#profile = mkdtempSync(join(tmpdir(), "ringspec-browser-"));
    const options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars", "--window-size=900,940", "--remote-debugging-pipe", `--user-data-dir=${this.#profile}`];
    // A process group of its own, so that close() ends those that it starts as well; where we end, its pipes do, and so does it.
    this.#child = spawn(path, options, { detached: true, stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    this.#to = this.#child.stdio[3] as Writable; // the stdio table makes these two pipes
    const from = this.#child.stdio[4] as Readable;
    from.setEncoding("utf8").on("data", (text: string) => this.#hear(text));
    this.#to.on("error", () => {}); // "exit" tells
    this.#child.once("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the browser has ended"));
    });
  }

  static async open(path: string): Promise<Browser> {
    const browser = new Browser(path);
    const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await browser.send("Target.attachToTarget", { targetId, flatten: true });
    browser.#session = String(sessionId);
    for (const domain of ["Page", "Network", "Runtime", "Log"]) await browser.send(`${domain}.enable`);
    return browser;
  }

  #hear(text: string): void {
    const [first = "", ...more] = text.split("\0");
    this.#text += first;
    for (const next of more) {
      this.#take(JSON.parse(this.#text) as Message); // the browser's protocol
      this.#text = next;
    }
  }

  #take({ id, method, params = {}, result = {}, error }: Message): void {
    if (id !== undefined) {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error.message));
    }
    if (method === "Page.loadEventFired") this.#loaded?.();
    if (method === "Network.requestWillBeSent") this.requested.push(String((params["request"] as { url: string }).url));
    if (method === "Runtime.exceptionThrown" || (method === "Log.entryAdded" && (params["entry"] as { level: string }).level === "error")) this.complaints.push(JSON.stringify(params));
  }

  /** One command. Rejects where the browser refuses it or says nothing. */
  send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the browser did not answer ${method} within ${WATCHDOG_MS} ms`)), WATCHDOG_MS);
      const settle = <T>(then: (value: T) => void) => (value: T): void => {
        clearTimeout(timer);
        then(value);
      };
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) });
      this.#to.write(`${JSON.stringify({ id, method, params, ...(this.#session === undefined ? {} : { sessionId: this.#session }) })}\0`);
    });
  }

  /** Loads a file and waits until it is there. */
  async load(path: string): Promise<void> {
    const url = pathToFileURL(path).href;
    const loaded = new Promise<void>((resolve) => {
      this.#loaded = resolve;
    });
    await this.send("Page.navigate", { url });
    await loaded;
    const own = this.requested.indexOf(url);
    if (own >= 0) this.requested.splice(own, 1);
  }

  /** Value of an expression in the page. */
  async value(expression: string): Promise<unknown> {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value?: unknown }).value;
  }

  /** A key, pressed and let go. */
  async press(key: string): Promise<void> {
    for (const type of ["keyDown", "keyUp"]) await this.send("Input.dispatchKeyEvent", { type, key, code: key });
  }

  /** A click in the middle of an element, or so far from its left edge. */
  async click(selector: string, fromLeft?: number): Promise<void> {
    const at = (await this.value(`(() => { const e = document.querySelector(${JSON.stringify(selector)}); e.scrollIntoView(); const r = e.getBoundingClientRect(); return { x: r.x + ${fromLeft ?? "r.width / 2"}, y: r.y + r.height / 2 }; })()`)) as object;
    for (const type of ["mousePressed", "mouseReleased"]) await this.send("Input.dispatchMouseEvent", { type, button: "left", clickCount: 1, ...at });
  }

  /** A PNG of what is shown. */
  async picture(): Promise<Buffer> {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    return Buffer.from(String(data), "base64");
  }

  async close(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once("exit", resolve));
    const { pid } = this.#child;
    if (pid !== undefined && this.#child.exitCode === null && this.#child.signalCode === null) process.kill(-pid, "SIGKILL");
    if (this.#child.exitCode === null && this.#child.signalCode === null) await gone;
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
