// Drives the four indices of one real ring once all the way round 2^32 and checks every completion on the
// way: `npm run soak`. --nops bounds how many (for a quick try), --minutes how long (15). Prints a report;
// exit code 0 round, 1 a check failed or the time was up, 2 usage, 3 no real kernel.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import type { Ring } from "../src/kernel.ts";
import { createRealKernel, RealKernelUnavailable } from "../src/real/linux-kernel.ts";
import { IORING_OP_NOP } from "../src/spec/constants.gen.ts";
import { wholeNumber } from "./options.ts";

const BATCH = 256;
const ROUND = 2 ** 32;
/** Beyond the wrap, so that every index is seen on both sides of it. */
const BEYOND = 64 * BATCH;
const REPORT_EVERY = 2 ** 28;
const MINUTES_DEFAULT = 15;

interface Progress {
  readonly nops: number;
  readonly wraps: { sqHead: number; sqTail: number; cqHead: number; cqTail: number };
}

/** Submits `nops` NOPs, each with the number of its SQE as user_data; throws at the first completion that is not its own. */
function soak(ring: Ring, nops: number, deadlineMs: number, say: (text: string) => void): Progress {
  const { sqOff, cqOff, sqEntries, cqEntries } = ring.params;
  const words = new Uint32Array(ring.sqRing.buffer, ring.sqRing.byteOffset, ring.sqRing.byteLength >>> 2);
  const sqes = new Uint32Array(ring.sqes.buffer, ring.sqes.byteOffset, ring.sqes.byteLength >>> 2);
  const at = { sqHead: sqOff.head >>> 2, sqTail: sqOff.tail >>> 2, cqHead: cqOff.head >>> 2, cqTail: cqOff.tail >>> 2 };
  const cqes = cqOff.cqes >>> 2;
  for (let slot = 0; slot < sqEntries; slot++) {
    words[(sqOff.array >>> 2) + slot] = slot;
    sqes.fill(0, slot * 16, slot * 16 + 16);
    sqes[slot * 16] = IORING_OP_NOP;
  }
  const wraps = { sqHead: 0, sqTail: 0, cqHead: 0, cqTail: 0 };
  let tail = 0;
  let head = 0;
  let done = 0;
  for (let next = REPORT_EVERY; done < nops; done += BATCH) {
    for (let i = 0; i < BATCH; i++) sqes[((tail + i) & (sqEntries - 1)) * 16 + 8] = (tail + i) >>> 0;
    const before = tail;
    tail = (tail + BATCH) >>> 0;
    if (tail < before) wraps.sqTail++;
    Atomics.store(words, at.sqTail, tail);
    if (ring.enter(BATCH, 0, 0) !== BATCH) throw new Error(`at ${done}: io_uring_enter did not take ${BATCH} entries`);
    if (Atomics.load(words, at.sqHead) !== tail) throw new Error(`at ${done}: sq.head is ${words[at.sqHead]}, expected ${tail}`);
    if (tail < before) wraps.sqHead++;
    const posted = Atomics.load(words, at.cqTail);
    if (posted !== (head + BATCH) >>> 0) throw new Error(`at ${done}: cq.tail is ${posted}, expected ${(head + BATCH) >>> 0}`);
    if (posted < head) wraps.cqTail++;
    for (let i = 0; i < BATCH; i++) {
      const cqe = cqes + ((head + i) & (cqEntries - 1)) * 4;
      if (words[cqe] !== (head + i) >>> 0 || words[cqe + 1] !== 0 || words[cqe + 2] !== 0 || words[cqe + 3] !== 0)
        throw new Error(`at ${done + i}: the CQE holds ${words.slice(cqe, cqe + 4).join(" ")}, expected ${(head + i) >>> 0} 0 0 0`);
    }
    const earlier = head;
    head = posted;
    if (head < earlier) wraps.cqHead++;
    Atomics.store(words, at.cqHead, head);
    if (done >= next) {
      say(`${(done / ROUND * 100).toFixed(1)} % of the way round\n`);
      next += REPORT_EVERY;
      if (performance.now() > deadlineMs) break;
    }
  }
  const lost = (words[sqOff.dropped >>> 2] ?? 0) + (words[cqOff.overflow >>> 2] ?? 0);
  if (lost !== 0) throw new Error(`sq.dropped and cq.overflow say that ${lost} entries were lost`);
  return { nops: done, wraps };
}

function readOptions(): { readonly nops: number; readonly minutes: number } {
  const { values } = parseArgs({ options: { nops: { type: "string", default: String(ROUND + BEYOND) }, minutes: { type: "string", default: String(MINUTES_DEFAULT) } } });
  return { nops: wholeNumber("nops", values.nops, 1, ROUND), minutes: wholeNumber("minutes", values.minutes, 1) };
}

function main(): number {
  let options: ReturnType<typeof readOptions>;
  try {
    options = readOptions();
  } catch (error) {
    process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n`);
    return 2;
  }
  const directory = mkdtempSync(join(tmpdir(), "ringspec-soak-"));
  try {
    const kernel = createRealKernel({ directory });
    const startMs = performance.now();
    const ring = kernel.setup(BATCH);
    const { nops, wraps } = soak(ring, options.nops, startMs + options.minutes * 60_000, (text) => process.stderr.write(text));
    const seconds = (performance.now() - startMs) / 1000;
    process.stdout.write(`kernel       Linux ${kernel.profile.release}\n`);
    process.stdout.write(`completions  ${nops}, each checked: user_data, result, flags\n`);
    process.stdout.write(`time         ${seconds.toFixed(0)} s, ${(nops / seconds / 1e6).toFixed(1)} million a second\n`);
    process.stdout.write(`wraps        sq.head ${wraps.sqHead}, sq.tail ${wraps.sqTail}, cq.head ${wraps.cqHead}, cq.tail ${wraps.cqTail}\n`);
    ring.close();
    kernel.close();
    if (nops >= options.nops) return 0;
    process.stdout.write(`NOT ROUND: the time was up after ${options.minutes} minutes\n`);
    return 1;
  } catch (error) {
    process.stderr.write(`soak: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof RealKernelUnavailable ? 3 : 1;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

process.exitCode = main();
