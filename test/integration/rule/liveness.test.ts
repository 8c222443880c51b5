// Chapter liveness.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { WouldBlockForever } from "../../../src/kernel.ts";
import type { Bench, Seen, SqeFields, TestRing } from "./on-both.ts";
import { abi, expect, onBoth } from "./on-both.ts";

const ASYNC = abi.IOSQE_ASYNC;
const LINK = abi.IOSQE_IO_LINK;
const MS = 1_000_000n;

const nop = (userData: bigint, flags = 0): SqeFields => ({ opcode: abi.IORING_OP_NOP, userData, flags });
const timeout = (on: Bench, ns: bigint, userData: bigint, flags = 0): SqeFields =>
  ({ opcode: abi.IORING_OP_TIMEOUT, addr: on.timespec(0n, ns), len: 1, userData, flags });

/** Waits again where a timeout ended a wait early, or the CQ is small: what came. */
function gather(ring: TestRing, count: number, most = count): Seen[] {
  const found = ring.reap();
  for (let i = 0; i < 2 * count && found.length < count; i++) found.push(...ring.wait(Math.min(count - found.length, most)));
  return found;
}

const sorted = (seen: readonly Seen[]): [bigint, number][] =>
  seen.map(({ userData, res }): [bigint, number] => [userData, res]).sort(([a], [b]) => Number(a - b));

onBoth("[liveness.due] workers, timers, chains and drains complete by themselves", (on) => {
  const ring = on.ring(16);
  const from = on.file(10, "from");
  const to = on.file(0, "to");
  const { addr } = on.buffer(10);
  ring.submit(
    nop(1n), nop(2n, ASYNC), timeout(on, 5n * MS, 3n),
    { opcode: abi.IORING_OP_READ, fd: from, addr, len: 10, userData: 4n, flags: ASYNC },
    { opcode: abi.IORING_OP_WRITE, fd: to, addr, len: 10, userData: 5n },
    { opcode: abi.IORING_OP_FSYNC, fd: to, userData: 6n },
    nop(7n, LINK), nop(8n, LINK | ASYNC), nop(9n), nop(10n, abi.IOSQE_IO_DRAIN), nop(11n, LINK),
  );
  const results: [bigint, number][] = [[1n, 0], [2n, 0], [3n, -abi.ETIME], [4n, 10], [5n, 10], [6n, 0]];
  for (let i = 7n; i <= 11n; i++) results.push([i, 0]);
  expect(sorted(gather(ring, 11))).toEqual(results);
});

onBoth("[liveness.due] what was held back comes once nothing holds it", (on) => {
  const ring = on.ring(2, { flags: abi.IORING_SETUP_CQSIZE, cqEntries: 2 });
  const { read, write } = on.pipe();
  const { addr } = on.buffer(4);
  ring.submit({ opcode: abi.IORING_OP_READ, fd: read, addr, len: 4, userData: 1n, flags: LINK }, nop(2n));
  ring.submit({ opcode: abi.IORING_OP_POLL_ADD, fd: read, opFlags: abi.POLLIN, userData: 3n }, nop(4n, abi.IOSQE_IO_DRAIN));
  expect(ring.waitFor(1, 20n * MS)).toBe(-abi.ETIME);
  on.kernel.system.write(write, new Uint8Array(4));
  // The CQ has room for two: the others wait in its backlog.
  expect(sorted(gather(ring, 4, 1))).toEqual([[1n, 4], [2n, 0], [3n, abi.POLLIN], [4n, 0]]);
});

/** Waits without a bound in a process of its own, where one NOP and one request that never ends are under way. */
const CHILD = `
import { writeSync } from "node:fs";
import { Worker } from "node:worker_threads";
const [root, count] = process.argv.slice(1);
const { createRealKernel } = await import(root + "src/real/linux-kernel.ts");
const { publish } = await import(root + "test/integration/real.ts");
const abi = await import(root + "src/spec/constants.gen.ts");
// Should nobody be left to end this process.
new Worker('setTimeout(() => process.kill(process.pid, "SIGKILL"), 20000)', { eval: true });
const kernel = createRealKernel({ unboundedWaits: true });
const ring = kernel.setup(4);
publish(ring, { opcode: abi.IORING_OP_NOP });
publish(ring, { opcode: abi.IORING_OP_READ, fd: kernel.system.pipe().read, addr: kernel.memory.alloc(1).addr, len: 1 });
ring.enter(2, 0, 0);
writeSync(1, "waits ");
writeSync(1, "returned " + ring.enter(0, Number(count), abi.IORING_ENTER_GETEVENTS));
process.exit(0);
`;

/** What the child said until it ended, or half a second after it began to wait. */
async function waitInChild(count: number): Promise<string> {
  const root = new URL("../../../", import.meta.url).href;
  const loader = new URL("../children/ts-loader.mjs", import.meta.url).href;
  const child = spawn(process.execPath, ["--import", loader, "--input-type=module", "-e", CHILD, root, String(count)]);
  const closed = once(child, "close");
  let said = "";
  let failed = "";
  child.stderr.on("data", (text) => (failed += String(text)));
  const waits = new Promise<void>((resolve) => {
    child.stdout.on("data", (text) => {
      said += String(text);
      resolve();
    });
  });
  await Promise.race([waits, closed]);
  await Promise.race([sleep(500), closed]);
  child.kill("SIGKILL");
  await closed;
  return failed + said;
}

onBoth("[liveness.blocks] a wait for more than can come", async (on) => {
  if (on.isModel) {
    const ring = on.ring(4);
    ring.submit(nop(1n), { opcode: abi.IORING_OP_READ, fd: on.pipe().read, addr: on.buffer(1).addr, len: 1 });
    expect(ring.enter(0, 1, abi.IORING_ENTER_GETEVENTS)).toBe(0);
    expect(() => ring.enter(0, 2, abi.IORING_ENTER_GETEVENTS)).toThrow(WouldBlockForever);
  } else {
    expect(await waitInChild(1)).toBe("waits returned 0");
    expect(await waitInChild(2)).toBe("waits ");
  }
});
