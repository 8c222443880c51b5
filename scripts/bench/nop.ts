// NOPs a second through the port of the real kernel, against the same loop in C with raw system calls.
// Both take turns in short slices, for a shared machine changes its speed within seconds: the ratio of
// two neighbouring slices is honest, two separate runs are not. A slice is thrown away where a fixed
// piece of arithmetic before it and after it took longer than usual. Prints medians with their spread.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { IORING_OP_NOP } from "../../src/spec/constants.gen.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { createRealKernel } from "../../src/real/linux-kernel.ts";
import type { Ring } from "../../src/kernel.ts";

const batches = [1, 32, 256] as const;
const sliceMicros = 20_000;
const pairs = Number(process.env["RINGSPEC_BENCH_PAIRS"] ?? 40);
/** A calibration above this multiple of the best one belongs to another regime. */
const regimeFactor = 1.15;
/** The target: this share of C at batch 32. */
const target = 0.75;

interface Slice {
  readonly nops: number;
  readonly ns: number;
}

/** The userland half at its barest: plain stores, and Atomics for the words that both sides write. */
function makeLoop(ring: Ring): (batch: number, micros: number) => Slice {
  const { sqOff, cqOff, sqEntries, cqEntries } = ring.params;
  const words = new Uint32Array(ring.sqRing.buffer, 0, ring.sqRing.byteLength >>> 2);
  const sqes = new Uint32Array(ring.sqes.buffer);
  const [sqTail, array, cqHead, cqTail, cqes] = [sqOff.tail >>> 2, sqOff.array >>> 2, cqOff.head >>> 2, cqOff.tail >>> 2, cqOff.cqes >>> 2];
  const [sqMask, cqMask] = [sqEntries - 1, cqEntries - 1];
  for (let index = 0; index < sqEntries; index++) words[array + index] = index;
  let sum = 0;
  return (batch, micros) => {
    const start = process.hrtime.bigint();
    const end = start + BigInt(micros) * 1000n;
    let now = start;
    let nops = 0;
    while (now < end) {
      for (let round = 0; round < 256; round += batch) {
        let tail = words[sqTail] ?? 0;
        for (let index = 0; index < batch; index++) {
          const at = (tail & sqMask) << 4;
          // All 64 bytes, as the C loop does. TypedArray.fill costs three times as much as these stores.
          sqes[at] = IORING_OP_NOP;
          sqes[at + 1] = 0;
          sqes[at + 2] = 0;
          sqes[at + 3] = 0;
          sqes[at + 4] = 0;
          sqes[at + 5] = 0;
          sqes[at + 6] = 0;
          sqes[at + 7] = 0;
          sqes[at + 8] = tail;
          sqes[at + 9] = 0;
          sqes[at + 10] = 0;
          sqes[at + 11] = 0;
          sqes[at + 12] = 0;
          sqes[at + 13] = 0;
          sqes[at + 14] = 0;
          sqes[at + 15] = 0;
          tail = (tail + 1) >>> 0;
        }
        Atomics.store(words, sqTail, tail);
        if (ring.enter(batch, 0, 0) !== batch) throw new Error("io_uring_enter did not take the batch");
        let head = words[cqHead] ?? 0;
        const posted = Atomics.load(words, cqTail);
        while (head !== posted) {
          const at = cqes + ((head & cqMask) << 2);
          sum = (sum + (words[at] ?? 0) + (words[at + 2] ?? 0)) | 0;
          head = (head + 1) >>> 0;
          nops++;
        }
        Atomics.store(words, cqHead, head);
      }
      now = process.hrtime.bigint();
    }
    return { nops, ns: Number(now - start) };
  };
}

/** How long a fixed piece of work takes, in nanoseconds. */
function calibrate(): number {
  const start = process.hrtime.bigint();
  let value = 1;
  for (let index = 0; index < 300_000; index++) value = Math.imul(value ^ index, 0x9e3779b1);
  if (value === 0) throw new Error("unreachable");
  return Number(process.hrtime.bigint() - start);
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

function startBaseline(): { run: (batch: number, micros: number) => Promise<Slice>; stop: () => void } {
  const folder = mkdtempSync(join(tmpdir(), "ringspec-bench-"));
  const program = join(folder, "nop");
  const source = join(packageRoot, "scripts", "bench", "nop.c");
  const compiled = spawnSync("cc", ["-O2", "-Wall", "-Wextra", "-o", program, source], { encoding: "utf8" });
  if (compiled.status !== 0) throw new Error(`cc ${source}: ${compiled.stderr || compiled.error?.message}`);
  const child = spawn(program, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async run(batch, micros) {
      child.stdin.write(`${batch} ${micros}\n`);
      const line = await lines.next();
      if (line.done === true) throw new Error("the C baseline ended; its message is above");
      const [nops = 0, ns = 1] = String(line.value).split(" ").map(Number);
      return { nops, ns };
    },
    stop() {
      child.stdin.end();
      rmSync(folder, { recursive: true });
    },
  };
}

const kernel = createRealKernel();
const loop = makeLoop(kernel.setup(256));
const baseline = startBaseline();
for (const batch of batches) loop(batch, 200_000); // warm-up
for (let index = 0; index < 20; index++) calibrate();
let best = Infinity;

console.log("NOPs a second in millions, median (and the middle half of the slices)");
console.log("batch        C   ringspec   ratio   spread of the ratio   slices used");
let reached = false;
for (const batch of batches) {
  const taken: { c: number; js: number; ratio: number; worst: number }[] = [];
  const quiet = () => taken.filter((slice) => slice.worst <= best * regimeFactor);
  // Goes on, within reason, until enough slices are of one regime.
  for (let pair = 0; pair < pairs || (quiet().length < 15 && pair < 5 * pairs); pair++) {
    const marks = [calibrate()];
    const c = await baseline.run(batch, sliceMicros);
    marks.push(calibrate());
    const js = loop(batch, sliceMicros);
    marks.push(calibrate());
    best = Math.min(best, ...marks);
    const [cRate, jsRate] = [(c.nops / c.ns) * 1e3, (js.nops / js.ns) * 1e3];
    taken.push({ c: cRate, js: jsRate, ratio: jsRate / cRate, worst: Math.max(...marks) });
  }
  const used = quiet();
  if (used.length < 5) console.log(`${String(batch).padStart(5)} this machine is too busy to say: ${used.length} of ${taken.length} slices are of one regime`);
  const sorted = (pick: (slice: (typeof taken)[number]) => number) => used.map(pick).sort((a, b) => a - b);
  const ratios = sorted((slice) => slice.ratio);
  const median = quantile(ratios, 0.5);
  if (batch === 32) reached = median >= target;
  console.log(
    `${String(batch).padStart(5)} ${quantile(sorted((slice) => slice.c), 0.5).toFixed(2).padStart(8)} ${quantile(sorted((slice) => slice.js), 0.5).toFixed(2).padStart(10)}` +
      ` ${median.toFixed(2).padStart(7)}   ${quantile(ratios, 0.25).toFixed(2)} to ${quantile(ratios, 0.75).toFixed(2)}          ${used.length} of ${taken.length}`,
  );
}
baseline.stop();
kernel.close();
console.log(reached ? `target reached: at least ${target} of C at batch 32` : `target MISSED: less than ${target} of C at batch 32`);
