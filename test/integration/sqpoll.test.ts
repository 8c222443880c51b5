// setup.sq-idle-default on the real kernel alone: the model has no polling thread.
import { expect, test } from "vitest";
import { IORING_ENTER_SQ_WAKEUP, IORING_OP_NOP, IORING_SETUP_SQPOLL, IORING_SQ_NEED_WAKEUP } from "../../src/spec/constants.gen.ts";
import { publish, realOrSay, reap } from "./real.ts";

test("setup.sq-idle-default: with sq_thread_idle 0 the thread sleeps, a second after its last work", async (context) => {
  const kernel = realOrSay(context);
  const ring = kernel.setup(4, { flags: IORING_SETUP_SQPOLL, sqThreadIdle: 0 });
  const words = new DataView(ring.sqRing.buffer, ring.sqRing.byteOffset);
  const sleeps = (): boolean => (words.getUint32(ring.params.sqOff.flags, true) & IORING_SQ_NEED_WAKEUP) !== 0;
  const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const until = async (done: () => boolean): Promise<void> => {
    for (const end = kernel.nowNs() + 20_000_000_000n; !done() && kernel.nowNs() < end; ) await turn();
    expect(done()).toBe(true);
  };
  // A new thread has not worked yet, and sleeps at once.
  await until(sleeps);
  publish(ring, { opcode: IORING_OP_NOP, userData: 1n });
  const start = kernel.nowNs();
  expect(ring.enter(1, 0, IORING_ENTER_SQ_WAKEUP)).toBe(1);
  const found: unknown[] = [];
  await until(() => found.push(...reap(ring)) > 0);
  await until(() => !sleeps());
  await until(sleeps);
  expect(kernel.nowNs() - start).toBeGreaterThan(900_000_000n);
  kernel.close();
});
