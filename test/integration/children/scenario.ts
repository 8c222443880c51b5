// One scenario in a process of its own, by name: what could take a test runner with it, or needs
// --expose-gc. Prints one line of JSON; the test beside it judges.
import { readFileSync, readdirSync } from "node:fs";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import * as abi from "../../../src/spec/constants.gen.ts";
import { loadAddon } from "../../../src/real/addon.ts";
import { createRealKernel } from "../../../src/real/linux-kernel.ts";
import { publish, reap } from "../real.ts";

const gc = (globalThis as { gc?: () => void }).gc;

/** V8's heap is mapped in aligned pages of 256 KiB: how many of them there are says when it last collected, and nothing of the addon. */
function isHeapPage(line: string): boolean {
  const [range = "", , , , inode, name] = line.split(/\s+/);
  const [from = 0, to = 0] = range.split("-").map((address) => Number.parseInt(address, 16));
  return inode === "0" && (name ?? "") === "" && from % 0x40000 === 0 && to - from === 0x40000;
}

function counts(): { fds: number; maps: number; rssKb: number } {
  const rss = /^VmRSS:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1];
  return {
    fds: readdirSync("/proc/self/fd").length,
    maps: readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) => !isHeapPage(line)).length,
    rssKb: Number(rss),
  };
}

/** Ring mappings and ring descriptors of this process. */
function rings(): number {
  return readFileSync("/proc/self/maps", "utf8").split("\n").filter((line) => line.includes("io_uring")).length;
}

async function collect(): Promise<void> {
  for (let round = 0; round < 6; round++) {
    gc?.();
    await turn();
    await sleep(5);
  }
}

function useOnce(ring: ReturnType<ReturnType<typeof createRealKernel>["setup"]>): void {
  publish(ring, { opcode: abi.IORING_OP_NOP, userData: 1n });
  if (ring.enter(1, 0, 0) !== 1 || reap(ring).length !== 1) throw new Error("the NOP did not come back");
}

const scenarios: Record<string, () => Promise<unknown>> = {
  async "ring-dropped"() {
    const kernel = createRealKernel();
    (() => useOnce(kernel.setup(4)))();
    await collect();
    const before = { ...counts(), rings: rings() };
    for (let index = 0; index < 100; index++) useOnce(kernel.setup(4));
    const during = rings();
    await collect();
    return { before, during, after: { ...counts(), rings: rings() } };
  },

  async "view-outlives-ring"() {
    const kernel = createRealKernel();
    const view = (() => {
      const ring = kernel.setup(4);
      useOnce(ring);
      return ring.cqRing;
    })();
    await collect();
    const tail = new Uint32Array(view.buffer)[3]; // cq_off.tail is 12
    return { tail, mapped: loadAddon().addon?.memoryStats()[0] };
  },

  /** Twice the same: the first round fills the pool of chunks, the second must live on it. */
  async "kernel-dropped"() {
    const round = async () => {
      for (let index = 0; index < 50; index++) {
        const kernel = createRealKernel();
        useOnce(kernel.setup(4));
        kernel.memory.alloc(4096);
      }
      await collect();
      return counts();
    };
    await round();
    const first = await round();
    return { first, second: await round() };
  },

  async "many-cycles"() {
    const cycle = (kernel: ReturnType<typeof createRealKernel>) => {
      const ring = kernel.setup(8);
      const region = kernel.memory.alloc(256);
      useOnce(ring);
      ring.close();
      kernel.memory.free(region);
    };
    const kernel = createRealKernel();
    const run = async (cycles: number) => {
      for (let index = 0; index < cycles; index++) {
        cycle(kernel);
        if (index % 100 === 0) {
          const own = createRealKernel();
          cycle(own);
          own.close();
          await turn();
        }
      }
      await collect();
    };
    await run(2_000);
    const before = counts();
    await run(10_000);
    const after = counts();
    return { before, after, stats: loadAddon().addon?.memoryStats(), retries: kernel.setupRetries };
  },

  async transfer() {
    const kernel = createRealKernel();
    const ring = kernel.setup(4);
    const buffer = ring.sqes.buffer as ArrayBuffer & { transfer?: () => ArrayBuffer }; // Node 22 and newer
    const taken = buffer.transfer === undefined ? undefined : buffer.transfer();
    let cloned = false;
    try {
      structuredClone(ring.sqRing.buffer, { transfer: [ring.sqRing.buffer as ArrayBuffer] });
      cloned = ring.sqRing.length === 0;
    } catch {
      // Refused: it is marked untransferable.
    }
    ring.close();
    const escaped = loadAddon().addon?.memoryStats()[1];
    if (taken !== undefined) new Uint8Array(taken).fill(1);
    await collect();
    if (taken !== undefined) new Uint8Array(taken).fill(2);
    kernel.close();
    return { transferred: taken?.byteLength ?? 0, cloned, length: ring.sqRing.length, escaped };
  },

  async "raw-transfer-out-of-worker"() {
    const worker = new Worker(new URL(import.meta.url), { workerData: "give-away" });
    const buffer = await new Promise<ArrayBuffer>((resolve) => worker.once("message", resolve));
    await worker.terminate();
    const words = new Uint32Array(buffer);
    words.fill(9);
    await collect();
    return { last: words[words.length - 1], length: words.length };
  },

  async "worker-terminated"() {
    const before = counts();
    for (let round = 0; round < 3; round++) {
      const worker = new Worker(new URL(import.meta.url), { workerData: "wait" });
      await new Promise((resolve) => worker.once("message", resolve));
      await worker.terminate();
    }
    await collect();
    return { before, after: counts(), rings: rings() };
  },

  async "worker-ends"() {
    const worker = new Worker(new URL(import.meta.url), { workerData: "leave-open" });
    const code = await new Promise((resolve) => worker.once("exit", resolve));
    return { code, rings: rings() };
  },

  async "exit-while-waiting"() {
    const kernel = createRealKernel();
    const ring = kernel.setup(4);
    await ring.ready();
    void ring.ready();
    console.log(JSON.stringify({ directory: kernel.directory }));
    setImmediate(() => process.exit(0));
    return new Promise(() => undefined);
  },

  async "end-with-open-ring"() {
    const kernel = createRealKernel();
    useOnce(kernel.setup(4));
    return { directory: kernel.directory };
  },
};

/** What a worker does. */
const workers: Record<string, () => Promise<void>> = {
  async wait() {
    const ring = createRealKernel().setup(4);
    await ring.ready();
    void ring.ready();
    parentPort?.postMessage("waiting");
  },
  async "leave-open"() {
    const ring = createRealKernel().setup(4);
    useOnce(ring);
    await ring.ready();
  },
  async "give-away"() {
    const { addon } = loadAddon();
    const opened = addon?.kernelOpen("/tmp", false);
    if (addon === undefined || opened === undefined || typeof opened === "number") throw new Error("no addon");
    const made = addon.setup(opened[0], 4, 0, 0, 0, 0, 0, 0, 0, 0);
    if (typeof made === "number") throw new Error(`setup: ${made}`);
    // Node refuses to post the buffer itself, which is marked; what transfer() makes is not.
    const buffer = made[5] as ArrayBuffer & { transfer(): ArrayBuffer };
    const taken = buffer.transfer();
    parentPort?.postMessage(taken, [taken]);
    setInterval(() => undefined, 1000);
  },
};

if (isMainThread) {
  const scenario = scenarios[process.argv[2] ?? ""];
  if (scenario === undefined) throw new Error(`no scenario ${process.argv[2]}; there are: ${Object.keys(scenarios).join(", ")}`);
  console.log(JSON.stringify(await scenario()));
} else {
  await workers[String(workerData)]?.();
}
