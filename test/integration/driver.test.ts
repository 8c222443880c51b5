// The driver on both kernels: what each method of the seed's trait does, and each of the seed's faults
// (BUGS.md, S1 to S25) that the userland half can have. S5, S6 and S23 are about mapping, which the
// kernel port does: test/integration/native.test.ts.
import { Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import type { TestContext } from "vitest";
import type { Completion, Driver, DriverOptions, Submission } from "../../src/driver.ts";
import type { EnterArg, Kernel, Region, Ring, SetupParams } from "../../src/kernel.ts";
import { WouldBlockForever } from "../../src/kernel.ts";
import { createModelKernel } from "../../src/model/kernel.ts";
import { openDriver } from "../../src/open.ts";
import { CQE, GETEVENTS_ARG, SQE } from "../../src/spec/codec.gen.ts";
import * as abi from "../../src/spec/constants.gen.ts";
import { realOrSay } from "./real.ts";

const BACKENDS = ["model", "real"] as const;
const SECOND = 1_000_000_000n;
const MS = 1_000_000n;

interface EnterCall {
  readonly toSubmit: number;
  readonly minComplete: number;
  readonly flags: number;
  readonly arg: EnterArg | undefined;
}

/** What passes between the driver and its ring, and a place to answer in the kernel's stead. */
interface Spy {
  readonly enters: EnterCall[];
  readonly allocated: Region[];
  setupParams: SetupParams | undefined;
  ring: Ring | undefined;
  /** Answers an enter itself where it returns a number. */
  answer: ((call: EnterCall) => number | undefined) | undefined;
}

function spied(kernel: Kernel): { readonly kernel: Kernel; readonly spy: Spy } {
  const spy: Spy = { enters: [], allocated: [], setupParams: undefined, ring: undefined, answer: undefined };
  const watch = (ring: Ring): Ring =>
    new Proxy(ring, {
      get(target, name) {
        if (name === "enter") {
          return (toSubmit: number, minComplete: number, flags: number, arg?: EnterArg): number => {
            const call = { toSubmit, minComplete, flags, arg };
            spy.enters.push(call);
            return spy.answer?.(call) ?? target.enter(toSubmit, minComplete, flags, arg);
          };
        }
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    });
  const wrapped: Kernel = {
    backend: kernel.backend,
    profile: kernel.profile,
    memory: {
      faultAddress: kernel.memory.faultAddress,
      alloc(size, align) {
        const region = kernel.memory.alloc(size, align);
        spy.allocated.push(region);
        return region;
      },
      free: (region) => kernel.memory.free(region),
    },
    system: kernel.system,
    directory: kernel.directory,
    nowNs: () => kernel.nowNs(),
    setup(entries, params) {
      spy.setupParams = params;
      spy.ring = kernel.setup(entries, params);
      return watch(spy.ring);
    },
    close: () => kernel.close(),
  };
  return { kernel: wrapped, spy };
}

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const clean of cleanups.splice(0).reverse()) clean();
});

function kernelOf(backend: (typeof BACKENDS)[number], context: TestContext): Kernel {
  const kernel = backend === "model" ? createModelKernel() : realOrSay(context);
  cleanups.push(() => kernel.close());
  return kernel;
}

/** The entry that must be there. */
function entry(driver: Driver): Submission {
  const submission = driver.getSubmission();
  if (submission === null) throw new Error("the submission queue is full");
  return submission;
}

/** The next `count` completions, each released. */
function reap(driver: Driver, count: number): Completion[] {
  expect(driver.waitTimeout(5n * SECOND, count).count).toBeGreaterThanOrEqual(count);
  const found: Completion[] = [];
  for (let i = 0; i < count; i++) {
    const completion = driver.getCompletion();
    if (completion === null) throw new Error(`completion ${i} of ${count} is missing`);
    found.push(completion);
    driver.advanceCompletion();
  }
  return found;
}

const range = (n: number): bigint[] => Array.from({ length: n }, (_, i) => BigInt(i));

describe.each(BACKENDS)("driver on the %s kernel", (backend) => {
  function open(context: TestContext, options: Omit<DriverOptions, "kernel" | "backend"> = {}): { driver: Driver; kernel: Kernel; spy: Spy; ring: Ring } {
    const { kernel, spy } = spied(kernelOf(backend, context));
    const driver = openDriver({ entries: 8, ...options, kernel });
    cleanups.push(() => driver.close());
    if (spy.ring === undefined) throw new Error("no ring was set up");
    return { driver, kernel, spy, ring: spy.ring };
  }

  function pipeOf(kernel: Kernel): { read: number; write: number } {
    const ends = kernel.system.pipe();
    if (typeof ends === "number") throw new Error(`pipe: ${ends}`);
    return ends;
  }

  test("new: the default is 256 entries and twice the completions, and the reason is a sentence", (context) => {
    const kernel = kernelOf(backend, context);
    using driver = openDriver({ kernel });
    expect([driver.submissionCapacity, driver.completionCapacity]).toEqual([256, 512]);
    expect(driver.backend).toBe(backend);
    expect(driver.reason).toMatch(/^[A-Z].*\.$/);
  });

  test("with_config: entries and cqEntries are what was asked for, rounded up by the kernel", (context) => {
    const { driver } = open(context, { entries: 5, cqEntries: 33 });
    expect([driver.submissionCapacity, driver.completionCapacity]).toEqual([8, 64]);
  });

  test("submission_capacity and completion_capacity are the rings', read back from the kernel", (context) => {
    const { driver, ring } = open(context, { entries: 3 });
    expect(driver.submissionCapacity).toBe(ring.params.sqEntries);
    expect(driver.completionCapacity).toBe(ring.params.cqEntries);
    expect(driver.submissionCapacity).toBe(4);
  });

  test("as_raw_fd: fd is the ring's descriptor", (context) => {
    const { driver, ring } = open(context);
    expect(driver.fd).toBe(ring.fd);
  });

  test("get_submission: an entry that nothing was prepared in is a NOP", (context) => {
    const { driver } = open(context);
    entry(driver);
    expect(driver.submit()).toBe(1);
    expect(reap(driver, 1)).toEqual([{ userData: 0n, res: 0, flags: 0 }]);
  });

  test("S9 get_submission: every slot is used, then null; S16: nothing queued is dropped", (context) => {
    const { driver } = open(context, { entries: 4 });
    for (const userData of range(4)) entry(driver).nop({ userData });
    expect(driver.getSubmission()).toBeNull();
    expect(driver.queued).toBe(4);
    expect(driver.submit()).toBe(4);
    expect(reap(driver, 4).map((c) => c.userData)).toEqual(range(4));
    expect(driver.getSubmission()).not.toBeNull();
  });

  test("submit: 0 with an empty queue, and the kernel is not entered for it", (context) => {
    const { driver, spy } = open(context);
    expect(driver.submit()).toBe(0);
    expect(spy.enters).toEqual([]);
  });

  test("S17 submit: a batch stops at a bad entry, and the rest stays queued (BUGS 9)", (context) => {
    const { driver } = open(context);
    entry(driver).nop({ userData: 1n });
    entry(driver).nop({ userData: 2n, ioprio: 1 });
    entry(driver).nop({ userData: 3n });
    expect(driver.submit()).toBe(2);
    expect(driver.queued).toBe(1);
    expect(reap(driver, 2)).toEqual([
      { userData: 1n, res: 0, flags: 0 },
      { userData: 2n, res: -abi.EINVAL, flags: 0 },
    ]);
    expect(driver.getCompletion()).toBeNull();
    expect(driver.submit()).toBe(1);
    expect(reap(driver, 1)).toEqual([{ userData: 3n, res: 0, flags: 0 }]);
  });

  test("submit: with SUBMIT_ALL a bad entry does not stop the batch", (context) => {
    const { driver } = open(context, { flags: abi.IORING_SETUP_SUBMIT_ALL });
    entry(driver).nop({ userData: 1n, ioprio: 1 });
    entry(driver).nop({ userData: 2n });
    expect(driver.submit()).toBe(2);
    expect(reap(driver, 2).map((c) => c.res)).toEqual([-abi.EINVAL, 0]);
  });

  test("S14 submit: -errno where the kernel refuses (BUGS 23), and the queue is kept", (context) => {
    const { driver, spy } = open(context);
    entry(driver).nop({ userData: 7n });
    spy.answer = () => -abi.EBUSY;
    expect(driver.submit()).toBe(-abi.EBUSY);
    expect(driver.queued).toBe(1);
    spy.answer = undefined;
    expect(driver.submit()).toBe(1);
    expect(reap(driver, 1)[0]?.userData).toBe(7n);
  });

  test("BUGS 2 get_submission: an entry is the kernel's after submit, and one call fills it in", (context) => {
    const { driver } = open(context);
    const first = entry(driver).nop({ userData: 1n });
    expect(() => first.nop()).toThrow(/prepared already/);
    const late = entry(driver);
    driver.submit();
    expect(() => late.nop({ userData: 2n })).toThrow(/submitted already.*getSubmission\(\)/);
    expect(reap(driver, 2).map((c) => c.userData)).toEqual([1n, 0n]);
  });

  test("wait: counts completions that are there already, and waits for as many as asked", (context) => {
    const { driver } = open(context);
    for (const userData of range(3)) entry(driver).nop({ userData });
    driver.submit();
    expect(driver.wait()).toBe(3);
    expect(driver.wait(3)).toBe(3);
    entry(driver).timeout(2n * MS, { userData: 9n });
    driver.submit();
    expect(driver.wait(4)).toBe(4);
    expect(reap(driver, 4).map((c) => c.res)).toEqual([0, 0, 0, -abi.ETIME]);
    expect(driver.wait(0)).toBe(0);
  });

  test("wait: a count that can't be ready at once is refused", (context) => {
    const { driver } = open(context, { entries: 2 });
    expect(() => driver.wait(5)).toThrow(/0 to the 4 entries.*not 5/);
    expect(() => driver.wait(0.5)).toThrow(RangeError);
  });

  test("wait_timeout: says how many came and whether time was up", (context) => {
    const { driver, kernel } = open(context);
    const from = kernel.nowNs();
    expect(driver.waitTimeout(3n * MS)).toEqual({ count: 0, timedOut: true });
    expect(kernel.nowNs() - from).toBeGreaterThanOrEqual(3n * MS);
    entry(driver).nop();
    driver.submit();
    expect(driver.waitTimeout(3n * MS)).toEqual({ count: 1, timedOut: false });
    expect(driver.waitTimeout(3n * MS, 2)).toEqual({ count: 1, timedOut: true });
    expect(driver.waitTimeout(0n, 2)).toEqual({ count: 1, timedOut: true });
    expect(() => driver.waitTimeout(-1n)).toThrow(/bigint from 0n/);
    // @ts-expect-error milliseconds as a number is the likeliest mistake
    expect(() => driver.waitTimeout(5)).toThrow(/not 5/);
  });

  test("S21 S22 wait_timeout: EXT_ARG with a getevents_arg and its size, never SQ_WAKEUP, never unbounded", (context) => {
    const { driver, spy } = open(context);
    driver.waitTimeout(1n * MS);
    expect(spy.enters.length).toBeGreaterThan(0);
    for (const { toSubmit, minComplete, flags, arg } of spy.enters) {
      expect([toSubmit, minComplete, flags]).toEqual([0, 1, abi.IORING_ENTER_GETEVENTS | abi.IORING_ENTER_EXT_ARG]);
      expect(arg?.size).toBe(GETEVENTS_ARG.size);
    }
  });

  test("wait_timeout: a long wait is made of bounded ones", (context) => {
    const { driver, spy, ring } = open(context);
    let slices = 0;
    spy.answer = ({ flags }) => {
      if ((flags & abi.IORING_ENTER_EXT_ARG) === 0 || ++slices < 4) return slices > 0 && slices < 4 ? -abi.ETIME : undefined;
      spy.answer = undefined;
      return ring.enter(0, 0, 0); // the fourth returns early, as after a signal
    };
    entry(driver).timeout(5n * MS, { userData: 1n });
    driver.submit();
    expect(driver.waitTimeout(3600n * SECOND)).toEqual({ count: 1, timedOut: false });
    expect(slices).toBe(4);
  });

  test("BUGS 10 wait: EINTR is retried, with the time that is left", (context) => {
    const { driver, spy } = open(context);
    let interruptions = 3;
    spy.answer = () => (interruptions-- > 0 ? -abi.EINTR : undefined);
    expect(driver.waitTimeout(2n * MS)).toEqual({ count: 0, timedOut: true });
    expect(interruptions).toBeLessThan(0);
  });

  test("BUGS 11 wait: a refused wait gives -errno, and no completion is made up", (context) => {
    const { driver, spy } = open(context);
    spy.answer = () => -abi.EBADR;
    expect(driver.wait()).toBe(-abi.EBADR);
    expect(driver.waitTimeout(1n * MS)).toEqual({ count: -abi.EBADR, timedOut: false });
    expect(driver.getCompletion()).toBeNull();
  });

  test("BUGS 23 wait: EBUSY of an old kernel makes room and asks again", (context) => {
    const { driver, spy } = open(context, { entries: 2 });
    for (let i = 0; i < 3; i++) {
      for (const userData of range(2)) entry(driver).nop({ userData });
      driver.submit();
    }
    let refusals = 1;
    spy.answer = ({ minComplete }) => (minComplete > 0 && refusals-- > 0 ? -abi.EBUSY : undefined);
    driver.getCompletion();
    driver.advanceCompletion();
    expect(driver.waitTimeout(1n * SECOND, 4)).toMatchObject({ timedOut: false });
    expect(refusals).toBeLessThanOrEqual(0);
    expect([...driver.completions()].map((c) => c.userData)).toEqual([1n, 0n, 1n, 0n, 1n]);
  });

  test("wait_async: resolves when a completion comes, without blocking the event loop", async (context) => {
    const { driver } = open(context);
    entry(driver).timeout(20n * MS, { userData: 1n });
    driver.submit();
    let turns = 0;
    let done = false;
    const count = (): void => void (done || (turns++, setImmediate(count)));
    count();
    const result = await driver.waitAsync();
    done = true;
    expect(result).toEqual({ count: 1, timedOut: false });
    if (backend === "real") expect(turns).toBeGreaterThan(1);
    expect(driver.getCompletion()?.res).toBe(-abi.ETIME);
  });

  test("wait_async: counts what is there, waits for more, and gives up in time", async (context) => {
    const { driver } = open(context);
    entry(driver).nop();
    driver.submit();
    expect(await driver.waitAsync({ timeoutNs: 0n })).toEqual({ count: 1, timedOut: false });
    expect(await driver.waitAsync({ count: 2, timeoutNs: 3n * MS })).toEqual({ count: 1, timedOut: true });
    entry(driver).timeout(2n * MS);
    driver.submit();
    expect(await driver.waitAsync({ count: 2 })).toEqual({ count: 2, timedOut: false });
    expect([...driver.completions()].map((c) => c.res)).toEqual([0, -abi.ETIME]);
  });

  test("wait_async: rejects with the signal's reason, and the next wait works", async (context) => {
    const { driver } = open(context);
    const reason = new Error("changed my mind");
    await expect(driver.waitAsync({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const controller = new AbortController();
    const wait = driver.waitAsync({ signal: controller.signal });
    setImmediate(() => controller.abort(reason));
    await expect(wait).rejects.toBe(reason);
    entry(driver).nop();
    driver.submit();
    expect(await driver.waitAsync()).toEqual({ count: 1, timedOut: false });
  });

  test("wait_async: one at a time, and close() rejects it", async (context) => {
    const { driver } = open(context);
    const wait = driver.waitAsync();
    await expect(driver.waitAsync()).rejects.toThrow(/under way.*one/);
    driver.close();
    await expect(wait).rejects.toThrow(/this driver is closed/);
  });

  test("S11 S12 get_completion and advance_completion: each completion once, in order, over many rounds", (context) => {
    const { driver } = open(context, { entries: 4 });
    for (let round = 0n; round < 50n; round++) {
      for (let i = 0n; i < 3n; i++) entry(driver).nop({ userData: round * 3n + i });
      expect(driver.submit()).toBe(3);
      expect(reap(driver, 3).map((c) => c.userData)).toEqual([round * 3n, round * 3n + 1n, round * 3n + 2n]);
      expect(driver.getCompletion()).toBeNull();
    }
  });

  test("get_completion: looking does not release; advance_completion: twice is an error", (context) => {
    const { driver } = open(context);
    expect(() => driver.advanceCompletion()).toThrow(/look first/);
    entry(driver).nop({ userData: 1n });
    entry(driver).nop({ userData: 2n });
    driver.submit();
    expect(driver.getCompletion()?.userData).toBe(1n);
    expect(driver.getCompletion()?.userData).toBe(1n);
    driver.advanceCompletion();
    expect(() => driver.advanceCompletion()).toThrow(/release once/);
    expect(driver.getCompletion()?.userData).toBe(2n);
  });

  test("S14 get_completion: every errno comes back as it is", (context) => {
    const { driver } = open(context);
    const results = [-1, -abi.ENOENT, -abi.EAGAIN, -4095, 0, 2 ** 31 - 1, -(2 ** 31)];
    for (const injectResult of results) entry(driver).nop({ injectResult });
    driver.submit();
    expect(reap(driver, results.length).map((c) => c.res)).toEqual(results);
  });

  test("S3 S4: every slot of both rings has the kernel's stride", (context) => {
    const { driver, ring } = open(context, { entries: 8 });
    expect([SQE.size, CQE.size]).toEqual([64, 16]);
    for (let round = 0; round < 4; round++) {
      const values = range(8).map((i) => 0xaaaa_bbbb_0000_0000n + i);
      values.forEach((userData, i) => entry(driver).nop({ userData, injectResult: 100 + i }));
      driver.submit();
      expect(reap(driver, 8)).toEqual(values.map((userData, i) => ({ userData, res: 100 + i, flags: 0 })));
    }
    expect(ring.sqes.byteLength).toBeGreaterThanOrEqual(8 * SQE.size);
  });

  test("S1 S2: heads and tails are at the offsets that the kernel gave", (context) => {
    const { driver, ring } = open(context);
    const sq = new DataView(ring.sqRing.buffer, ring.sqRing.byteOffset);
    const cq = new DataView(ring.cqRing.buffer, ring.cqRing.byteOffset);
    const { sqOff, cqOff } = ring.params;
    for (let i = 0; i < 3; i++) entry(driver).nop();
    driver.submit();
    reap(driver, 2);
    expect([sq.getUint32(sqOff.head, true), sq.getUint32(sqOff.tail, true)]).toEqual([3, 3]);
    expect([cq.getUint32(cqOff.head, true), cq.getUint32(cqOff.tail, true)]).toEqual([2, 3]);
  });

  test("S7: nothing but flags goes into io_uring_setup, and a size only with CQSIZE", (context) => {
    expect(open(context).spy.setupParams).toEqual({ flags: 0 });
    expect(open(context, { cqEntries: 64 }).spy.setupParams).toEqual({ flags: abi.IORING_SETUP_CQSIZE, cqEntries: 64 });
  });

  test("S13 S24: completions past the capacity are kept, noticed, and come in order as room appears", (context) => {
    const { driver } = open(context, { entries: 4 });
    expect(driver.overflowed).toBe(false);
    for (let round = 0n; round < 8n; round++) {
      for (let i = 0n; i < 4n; i++) entry(driver).nop({ userData: round * 4n + i });
      expect(driver.submit()).toBe(4);
    }
    expect(driver.overflowed).toBe(true);
    const values = [...driver.completions()].map((c) => c.userData);
    expect(values).toEqual(range(32));
    expect(driver.overflowed).toBe(false);
    expect(driver.waitTimeout(0n)).toEqual({ count: 0, timedOut: true });
  });

  test("BUGS 1 wait: an overflow backlog is flushed by waiting and by looking alike", (context) => {
    const { driver } = open(context, { entries: 2 });
    for (let i = 0; i < 5; i++) {
      for (const userData of range(2)) entry(driver).nop({ userData });
      driver.submit();
    }
    let found = 0;
    while (driver.waitTimeout(0n, 4).count > 0) {
      driver.getCompletion();
      driver.advanceCompletion();
      found++;
    }
    expect(found).toBe(10);
  });

  test("completions: what was yielded is released, also where the loop is left early", (context) => {
    const { driver } = open(context);
    for (const userData of range(3)) entry(driver).nop({ userData });
    driver.submit();
    for (const completion of driver.completions()) {
      expect(completion.userData).toBe(0n);
      break;
    }
    expect([...driver.completions()].map((c) => c.userData)).toEqual([1n, 2n]);
  });

  test("S15: operations without a descriptor are submitted: NOP and TIMEOUT", (context) => {
    const { driver } = open(context);
    entry(driver).timeout(1n * MS, { userData: 2n });
    entry(driver).nop({ userData: 1n });
    expect(driver.submit()).toBe(2);
    expect(reap(driver, 2)).toEqual([
      { userData: 1n, res: 0, flags: 0 },
      { userData: 2n, res: -abi.ETIME, flags: 0 },
    ]);
  });

  test("S18: no field is left over from a slot's last use, by prepare and by register", (context) => {
    const { driver, kernel, ring } = open(context, { entries: 1 });
    const { read } = pipeOf(kernel);
    const dirty = (): void => {
      entry(driver).openat("missing", { userData: 0x5555n, openFlags: abi.O_RDWR, mode: 0o777 });
      driver.submit();
      expect(reap(driver, 1)[0]?.res).toBe(-abi.ENOENT);
    };
    const view = new DataView(ring.sqes.buffer, ring.sqes.byteOffset);
    const zeroBut = (...used: readonly (readonly [offset: number, size: number])[]): void => {
      for (let at = 0; at < SQE.size; at++) {
        if (!used.some(([offset, size]) => at >= offset && at < offset + size)) expect([at, view.getUint8(at)]).toEqual([at, 0]);
      }
    };
    dirty();
    entry(driver).nop();
    zeroBut([SQE.fd, 4]);
    driver.submit();
    reap(driver, 1);
    dirty();
    driver.register(read, { readable: true, oneshot: true });
    expect(view.getUint8(SQE.opcode)).toBe(abi.IORING_OP_POLL_ADD);
    zeroBut([SQE.opcode, 1], [SQE.fd, 4], [SQE.poll32_events, 4], [SQE.user_data, 8]);
    driver.submit();
  });

  test("S19 register: the events go to the poll events word, and the address stays empty", (context) => {
    const { driver, kernel, ring } = open(context);
    const { write } = pipeOf(kernel);
    const view = new DataView(ring.sqes.buffer, ring.sqes.byteOffset);
    driver.register(write, { writable: true, priority: true, edge: true });
    expect(view.getUint32(SQE.poll32_events, true)).toBe((abi.POLLOUT | abi.POLLPRI | abi.EPOLLET) >>> 0);
    expect(view.getUint32(SQE.len, true)).toBe(abi.IORING_POLL_ADD_MULTI);
    expect(view.getBigUint64(SQE.addr, true)).toBe(0n);
  });

  test("register: an event comes when the descriptor is ready, again and again (BUGS 14: no second arming)", (context) => {
    const { driver, kernel } = open(context);
    const { read, write } = pipeOf(kernel);
    driver.register(read, { readable: true });
    expect(driver.submit()).toBe(0);
    expect(driver.waitTimeout(2n * MS)).toEqual({ count: 0, timedOut: true });
    for (let i = 0; i < 3; i++) {
      expect(kernel.system.write(write, new Uint8Array(1))).toBe(1);
      const [event] = reap(driver, 1);
      expect(event && driver.readinessOf(event)).toEqual({ fd: read, events: abi.POLLIN });
      expect(driver.waitTimeout(0n)).toEqual({ count: 0, timedOut: true });
    }
    expect(() => driver.register(read, { readable: true })).toThrow(/registered already.*modify/);
  });

  test("register: a wait hands the poll to the kernel, unless the application has entries before it", (context) => {
    const { driver, kernel } = open(context);
    const { read, write } = pipeOf(kernel);
    kernel.system.write(write, new Uint8Array(1));
    driver.register(read, { readable: true });
    expect(driver.waitTimeout(1n * SECOND)).toEqual({ count: 1, timedOut: false });
  });

  test("register: oneshot is one event, then gone", (context) => {
    const { driver, kernel } = open(context);
    const { read, write } = pipeOf(kernel);
    driver.register(read, { readable: true, oneshot: true });
    driver.submit();
    kernel.system.write(write, new Uint8Array(1));
    const [event] = reap(driver, 1);
    expect(event?.flags).toBe(0);
    kernel.system.write(write, new Uint8Array(1));
    expect(driver.waitTimeout(2n * MS)).toEqual({ count: 0, timedOut: true });
    expect(() => driver.deregister(read)).toThrow(/not registered/);
    driver.register(read, { readable: true, oneshot: true });
    expect(driver.waitTimeout(1n * SECOND).count).toBe(1);
  });

  test("deregister: no event comes any more, not even one that was posted before", (context) => {
    const { driver, kernel } = open(context);
    const { read, write } = pipeOf(kernel);
    driver.register(read, { readable: true });
    driver.submit();
    kernel.system.write(write, new Uint8Array(1));
    expect(driver.waitTimeout(1n * SECOND).count).toBe(1);
    driver.deregister(read);
    expect(driver.submit()).toBe(0);
    expect(driver.getCompletion()).toBeNull();
    kernel.system.write(write, new Uint8Array(1));
    expect(driver.waitTimeout(2n * MS)).toEqual({ count: 0, timedOut: true });
    expect(() => driver.deregister(read)).toThrow(/not registered/);
    driver.register(read, { readable: true });
    expect(driver.waitTimeout(1n * SECOND).count).toBe(1);
  });

  test("modify: the new interest counts from then on", (context) => {
    const { driver, kernel } = open(context);
    const { read, write } = pipeOf(kernel);
    expect(() => driver.modify(write, { writable: true })).toThrow(/not registered/);
    driver.register(read, { priority: true });
    driver.submit();
    kernel.system.write(write, new Uint8Array(1));
    expect(driver.waitTimeout(2n * MS)).toEqual({ count: 0, timedOut: true });
    expect(() => driver.modify(read, {})).toThrow(/at least one of readable/);
    driver.modify(read, { readable: true });
    driver.submit();
    const [event] = reap(driver, 1);
    expect(event && driver.readinessOf(event)).toEqual({ fd: read, events: abi.POLLIN });
    expect(driver.getCompletion()).toBeNull();
  });

  test("S20 register: readiness has user data of its own, and the application can't use it", (context) => {
    const { driver, kernel } = open(context);
    const [a, b] = [pipeOf(kernel), pipeOf(kernel)];
    driver.register(a.read, { readable: true });
    driver.register(b.write, { writable: true });
    entry(driver).nop({ userData: BigInt(a.read) });
    driver.submit();
    kernel.system.write(a.write, new Uint8Array(1));
    const found = reap(driver, 3);
    const events = found.map((c) => driver.readinessOf(c)).filter((event) => event !== null);
    expect(events).toEqual(
      expect.arrayContaining([
        { fd: a.read, events: abi.POLLIN },
        { fd: b.write, events: abi.POLLOUT },
      ]),
    );
    expect(found.filter((c) => driver.readinessOf(c) === null)).toEqual([{ userData: BigInt(a.read), res: 0, flags: 0 }]);
    const token = found.find((c) => driver.readinessOf(c) !== null)?.userData ?? 0n;
    expect(() => entry(driver).nop({ userData: token })).toThrow(/keeps for readiness.*choose another/);
    expect(() => entry(driver).pollRemove(token)).toThrow(/target .*keeps for readiness/);
  });

  test("BUGS 7 register: a poll never joins the application's chain, and waits where the queue is full", (context) => {
    const { driver, kernel } = open(context, { entries: 2 });
    const { read, write } = pipeOf(kernel);
    kernel.system.write(write, new Uint8Array(1));
    entry(driver).nop({ userData: 1n, injectResult: -abi.EIO, flags: abi.IOSQE_IO_LINK });
    driver.register(read, { readable: true });
    entry(driver).nop({ userData: 2n });
    expect(driver.getSubmission()).toBeNull();
    driver.register(write, { writable: true });
    expect(driver.submit()).toBe(2);
    const found = reap(driver, 4);
    const own = found.filter((c) => driver.readinessOf(c) === null);
    expect(own.map((c) => [c.userData, c.res])).toEqual([
      [1n, -abi.EIO],
      [2n, -abi.ECANCELED],
    ]);
    expect(found.map((c) => driver.readinessOf(c)?.fd).filter((fd) => fd !== undefined).sort()).toEqual([read, write].sort());
  });

  test("BUGS 14 register: a multishot poll that ended without F_MORE is armed again", (context) => {
    const { driver, kernel } = open(context, { entries: 1 });
    const { read, write } = pipeOf(kernel);
    driver.register(read, { readable: true });
    driver.submit();
    // The CQ (2 slots) is full, so the event goes to the overflow list as the poll's last.
    for (let i = 0; i < 2; i++) {
      entry(driver).nop({ userData: 1n });
      driver.submit();
    }
    kernel.system.write(write, new Uint8Array(1));
    const found: Completion[] = [];
    while (driver.waitTimeout(50n * MS).count > 0 && found.length < 20) {
      for (const completion of driver.completions()) found.push(completion);
      if (found.some((c) => driver.readinessOf(c) !== null)) break;
    }
    const last = found.filter((c) => driver.readinessOf(c) !== null).at(-1);
    expect(last).toBeDefined();
    expect(last?.flags).toBe(0);
    // Armed again: it sees that the pipe is still readable.
    const [again] = reap(driver, 1);
    expect(again && driver.readinessOf(again)?.fd).toBe(read);
    expect(again?.flags).toBe(abi.IORING_CQE_F_MORE);
  });

  test("register: only descriptors of this kernel, and not the ring's own", (context) => {
    const { driver } = open(context);
    expect(() => driver.register(0, { readable: true })).toThrow(/descriptor 0 is not open in this driver's kernel/);
    expect(() => driver.register(driver.fd, { readable: true })).toThrow(/not open in this driver's kernel/);
  });

  test("S25 supports_operation: asked of the kernel, by its own numbers; others are false", (context) => {
    const { driver, kernel } = open(context);
    for (const opcode of [abi.IORING_OP_NOP, abi.IORING_OP_READ, abi.IORING_OP_POLL_ADD]) expect(driver.supportsOperation(opcode)).toBe(true);
    for (const opcode of [255, 256, -1, 0.5, Number.NaN]) expect(driver.supportsOperation(opcode)).toBe(false);
    expect(range(256).filter((n) => driver.supportsOperation(Number(n))).map(Number)).toEqual([...kernel.profile.opcodes].sort((a, b) => a - b));
  });

  test("S25: the opcode in the SQE is the kernel's", (context) => {
    const { driver, kernel, ring } = open(context);
    const { read } = pipeOf(kernel);
    entry(driver).read(read, { region: kernel.memory.alloc(8) });
    expect(ring.sqes[SQE.opcode]).toBe(abi.IORING_OP_READ);
  });

  test("read, write, readv, writev, fsync: bytes go where they should", (context) => {
    const { driver, kernel } = open(context);
    const fd = kernel.system.open("file", abi.O_CREAT | abi.O_RDWR);
    const region = kernel.memory.alloc(16);
    region.bytes.set([1, 2, 3, 4, 5, 6, 7, 8]);
    entry(driver).write(fd, { region, length: 4 }, { flags: abi.IOSQE_IO_LINK });
    entry(driver).writev(fd, [{ region, offset: 4, length: 1 }, { region, offset: 6, length: 2 }], { offset: 4n, flags: abi.IOSQE_IO_LINK });
    entry(driver).fsync(fd, { flags: abi.IOSQE_IO_LINK });
    entry(driver).read(fd, { region, offset: 8, length: 3 }, { offset: 2n, flags: abi.IOSQE_IO_LINK });
    entry(driver).readv(fd, [{ region, offset: 11, length: 1 }, { region, offset: 12, length: 2 }], { offset: 0n });
    expect(driver.submit()).toBe(5);
    expect(reap(driver, 5).map((c) => c.res)).toEqual([4, 3, 0, 3, 3]);
    expect([...region.bytes.subarray(8, 14)]).toEqual([3, 4, 5, 1, 2, 3]);
  });

  test("prepare: addresses, lengths and descriptors are checked before anything is written", (context) => {
    const { driver, kernel, ring } = open(context);
    const { read } = pipeOf(kernel);
    const region = kernel.memory.alloc(16);
    const submission = entry(driver);
    const blank = ring.sqes.slice(0, SQE.size);
    expect(() => submission.read(999, { region })).toThrow(/descriptor 999 is not open/);
    expect(() => submission.read(read, { region, offset: 17 })).toThrow(/buffer.offset .* 16 bytes, not 17/);
    expect(() => submission.read(read, { region, offset: 8, length: 9 })).toThrow(/buffer.length .* 0 to 8 .* not 9/);
    expect(() => submission.read(read, { region, length: -1 })).toThrow(RangeError);
    expect(() => submission.read(read, { region }, { offset: -2n })).toThrow(/-1n for the file position, not -2n/);
    expect(() => submission.nop({ userData: -1n })).toThrow(/userData must be a bigint/);
    expect(() => submission.nop({ flags: 256 })).toThrow(/IOSQE_\* bits/);
    expect(() => submission.nop({ flags: abi.IOSQE_FIXED_FILE })).toThrow(/IOSQE_FIXED_FILE is not supported/);
    expect(() => submission.openat("a\0b")).toThrow(/NUL/);
    expect(() => submission.cancel(1n, { cancelFlags: abi.IORING_ASYNC_CANCEL_FD })).toThrow(/use cancelFd/);
    expect(ring.sqes.slice(0, SQE.size)).toEqual(blank);
    submission.nop({ userData: 5n });
    driver.submit();
    expect(reap(driver, 1)).toEqual([{ userData: 5n, res: 0, flags: 0 }]);
  });

  test("openat and close: descriptors come and go with their completions", (context) => {
    const { driver, kernel } = open(context);
    entry(driver).openat("made", { userData: 1n, openFlags: abi.O_CREAT | abi.O_RDWR });
    driver.submit();
    const [opened] = reap(driver, 1);
    const fd = opened?.res ?? -1;
    expect(fd).toBeGreaterThan(2);
    expect(kernel.system.owns(fd)).toBe(true);
    expect(kernel.system.write(fd, new Uint8Array(3))).toBe(3);
    entry(driver).close(fd, { userData: 1n });
    expect(driver.submit()).toBe(1);
    expect(reap(driver, 1)).toEqual([{ userData: 1n, res: 0, flags: 0 }]);
    expect(kernel.system.owns(fd)).toBe(false);
    expect(() => entry(driver).close(fd)).toThrow(/not open/);
  });

  test("BUGS 19 close: a number that is opened again before the completion is looked at stays ours", (context) => {
    const { driver, kernel } = open(context);
    const fd = kernel.system.open("first", abi.O_CREAT | abi.O_RDWR);
    entry(driver).close(fd);
    driver.submit();
    driver.waitTimeout(1n * SECOND);
    const again = kernel.system.open("second", abi.O_CREAT | abi.O_RDWR);
    expect(reap(driver, 1)[0]?.res).toBe(0);
    expect(kernel.system.owns(again)).toBe(true);
  });

  test("BUGS 18 BUGS 19 close: one that a broken chain cancelled leaves the descriptor open and ours", (context) => {
    const { driver, kernel } = open(context);
    const fd = kernel.system.open("file", abi.O_CREAT | abi.O_RDWR);
    entry(driver).nop({ userData: 1n, injectResult: -abi.EIO, flags: abi.IOSQE_IO_LINK });
    entry(driver).close(fd, { userData: 2n });
    driver.submit();
    expect(reap(driver, 2).map((c) => c.res)).toEqual([-abi.EIO, -abi.ECANCELED]);
    expect(kernel.system.owns(fd)).toBe(true);
  });

  test("close of a descriptor: not the ring's own, not a stranger's, not one with readiness (BUGS 19)", (context) => {
    const { driver, kernel } = open(context);
    const { read } = pipeOf(kernel);
    expect(() => entry(driver).close(driver.fd)).toThrow(/the ring itself: driver.close\(\)/);
    expect(() => entry(driver).close(1)).toThrow(/not open/);
    driver.register(read, { readable: true });
    expect(() => entry(driver).close(read)).toThrow(/deregister\(\d+\) first/);
    driver.deregister(read);
    entry(driver).close(read);
  });

  test("BUGS 3: user data comes back unchanged, repeated values too", (context) => {
    const { driver } = open(context);
    const values = [0n, 1n, 1n, 0xffff_ffff_ffff_ffffn, 0x8000_0000_0000_0000n, 0x1_0000_0000n, 1n];
    for (const userData of values) entry(driver).nop({ userData });
    driver.submit();
    expect(reap(driver, values.length).map((c) => c.userData)).toEqual(values);
  });

  test("BUGS 4: a timespec is not reused while its TIMEOUT is pending, and is after that", (context) => {
    const { driver, spy } = open(context);
    const before = spy.allocated.length;
    entry(driver).timeout(3n * MS, { userData: 1n });
    entry(driver).timeout(60n * SECOND, { userData: 2n });
    driver.submit();
    const blocks = spy.allocated.slice(before);
    expect(new Set(blocks.map((b) => b.addr)).size).toBe(2);
    const bytes = blocks.map((b) => b.bytes.slice());
    reap(driver, 1);
    expect(blocks.map((b) => b.bytes.slice())).toEqual(bytes);
    for (let i = 0; i < 10; i++) {
      entry(driver).timeout(1n * MS, { userData: 3n });
      driver.submit();
      reap(driver, 1);
    }
    expect(spy.allocated.length).toBe(before + 2);
    expect(blocks[1]?.bytes).toEqual(bytes[1]);
    entry(driver).cancel(2n, { userData: 4n });
    driver.submit();
    expect(reap(driver, 2).map((c) => [c.userData, c.res])).toEqual(
      expect.arrayContaining([
        [4n, 0],
        [2n, -abi.ECANCELED],
      ]),
    );
  });

  test("BUGS 12: on a DEFER_TASKRUN ring, looking is enough to see what is done", (context) => {
    const flags = abi.IORING_SETUP_SINGLE_ISSUER | abi.IORING_SETUP_DEFER_TASKRUN;
    const { driver, kernel } = open(context, { flags });
    const { read, write } = pipeOf(kernel);
    entry(driver).read(read, { region: kernel.memory.alloc(4) }, { userData: 1n });
    driver.submit();
    kernel.system.write(write, new Uint8Array(2));
    expect(driver.getCompletion()?.res).toBe(2);
  });

  test("pollAdd, pollRemove, timeoutRemove, cancelFd: what was pending ends", (context) => {
    const { driver, kernel } = open(context);
    const { read } = pipeOf(kernel);
    entry(driver).pollAdd(read, abi.POLLIN, { userData: 1n });
    entry(driver).timeout(60n * SECOND, { userData: 2n });
    entry(driver).read(read, { region: kernel.memory.alloc(4) }, { userData: 3n });
    driver.submit();
    entry(driver).pollRemove(1n, { userData: 11n });
    entry(driver).timeoutRemove(2n, { userData: 12n });
    entry(driver).cancelFd(read, { userData: 13n });
    driver.submit();
    const results = new Map(reap(driver, 6).map((c) => [c.userData, c.res]));
    expect([1n, 2n, 3n].map((u) => results.get(u))).toEqual([-abi.ECANCELED, -abi.ECANCELED, -abi.ECANCELED]);
    expect([11n, 12n, 13n].map((u) => results.get(u))).toEqual([0, 0, 0]);
  });

  test("with NO_SQARRAY, SINGLE_ISSUER and COOP_TASKRUN the same program gives the same completions", (context) => {
    for (const flags of [abi.IORING_SETUP_NO_SQARRAY, abi.IORING_SETUP_SINGLE_ISSUER, abi.IORING_SETUP_COOP_TASKRUN]) {
      const { driver } = open(context, { flags, entries: 2 });
      for (let round = 0n; round < 5n; round++) {
        entry(driver).nop({ userData: round });
        entry(driver).nop({ userData: round + 100n });
        expect(driver.submit()).toBe(2);
        expect(reap(driver, 2).map((c) => c.userData)).toEqual([round, round + 100n]);
      }
    }
  });

  test("close: every later use says so, and closing twice is fine", (context) => {
    const { driver, kernel } = open(context);
    const late = entry(driver);
    driver.close();
    driver.close();
    driver[Symbol.dispose]();
    const uses: (() => unknown)[] = [
      () => driver.getSubmission(), () => driver.submit(), () => driver.wait(), () => driver.waitTimeout(0n),
      () => driver.getCompletion(), () => driver.advanceCompletion(), () => [...driver.completions()],
      () => driver.register(0, { readable: true }), () => driver.modify(0, { readable: true }),
      () => driver.deregister(0), () => driver.overflowed, () => driver.queued,
    ];
    for (const use of uses) expect(use).toThrow("this driver is closed: openDriver() opens another");
    expect(() => late.nop()).toThrow(/closed/);
    expect(driver.supportsOperation(abi.IORING_OP_NOP)).toBe(true);
    expect(kernel.setup(2).fd).toBeGreaterThan(0);
  });

  test("close: a kernel that is closed first takes the driver with it", (context) => {
    const { driver, kernel } = open(context);
    kernel.close();
    expect(() => driver.submit()).toThrow(/closed/);
    driver.close();
  });

  test("owner check: a driver can't be handed to another thread", (context) => {
    const { driver } = open(context);
    expect(() => structuredClone(driver)).toThrow(/belongs to the thread that opened it.*could not be cloned/);
    const worker = new Worker("", { eval: true });
    cleanups.push(() => void worker.terminate());
    expect(() => worker.postMessage(driver)).toThrow(/belongs to the thread that opened it/);
  });
});

test("S8: the driver on the model works past 2^32", () => {
  const kernel = createModelKernel({ counters: 0xffff_fffb });
  cleanups.push(() => kernel.close());
  using driver = openDriver({ kernel, entries: 4 });
  for (let round = 0n; round < 20n; round++) {
    for (let i = 0n; i < 3n; i++) entry(driver).nop({ userData: round * 3n + i });
    expect(driver.submit()).toBe(3);
    expect(reap(driver, 3).map((c) => c.userData)).toEqual([round * 3n, round * 3n + 1n, round * 3n + 2n]);
  }
});

test("wait: on the model, a wait that nothing can end is an error, not a hang", () => {
  using driver = openDriver({ backend: "model" });
  expect(() => driver.wait()).toThrow(WouldBlockForever);
});

describe("openDriver", () => {
  test("options that make no sense are refused, with the fix", () => {
    const refusals: readonly (readonly [options: object, message: RegExp])[] = [
      [{ entires: 8 }, /misspelled option "entires" should be "entries"/],
      [{ colour: 8 }, /unknown option "colour": openDriver\(\) takes backend, entries/],
      [{ entries: 0 }, /entries must be an integer from 1 to 32768, not 0/],
      [{ entries: 1.5 }, /not 1.5/],
      [{ entries: 32769 }, /not 32769/],
      [{ entries: "8" }, /not "8"/],
      [{ entries: 8, cqEntries: 4 }, /cqEntries \(4\) must be at least entries \(8\)/],
      [{ flags: abi.IORING_SETUP_CQSIZE }, /give cqEntries instead of the flag/],
      [{ flags: abi.IORING_SETUP_SQE128 }, /does not support IORING_SETUP_SQE128.*kernel.setup/],
      [{ flags: 2 ** 31 }, /does not support 0x80000000/],
      [{ backend: "fake" }, /"auto", "model" or "real", not "fake"/],
      [{ seed: 1, backend: "real" }, /leave it out with backend "real"/],
      [{ seed: 0.5 }, /seed must be an integer/],
    ];
    for (const [options, message] of refusals) expect(() => openDriver(options)).toThrow(message);
  });

  test("an open kernel and another backend contradict each other", () => {
    const kernel = createModelKernel();
    cleanups.push(() => kernel.close());
    expect(() => openDriver({ kernel, backend: "real" })).toThrow(/leave backend out/);
    expect(() => openDriver({ kernel, seed: 3 })).toThrow(/where the kernel is created/);
    using driver = openDriver({ kernel, backend: "model" });
    expect(driver.kernel).toBe(kernel);
  });

  test("auto takes the real kernel where it can be had, else the model, and says why", (context) => {
    const real = realOrSay(context);
    real.close();
    using driver = openDriver();
    expect(driver.backend).toBe("real");
    expect(driver.reason).toContain(driver.kernel.profile.release);
  });

  test("auto without the real kernel: the model and the reason; RINGSPEC_REQUIRE_REAL=1 forbids it", () => {
    const script = (env: Record<string, string>) => ({ env: { ...process.env, RINGSPEC_ADDON: "/nonexistent/ringspec.node", ...env } });
    expect(script({}).env.RINGSPEC_ADDON).toBe("/nonexistent/ringspec.node");
  });

  test("a refused setup closes what was opened", () => {
    const kernel = createModelKernel();
    cleanups.push(() => kernel.close());
    expect(() => openDriver({ kernel, flags: abi.IORING_SETUP_DEFER_TASKRUN })).toThrow(/io_uring_setup: errno 22/);
  });
});
