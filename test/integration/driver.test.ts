// The driver on both kernels: what each method of the seed's trait does, and each of the seed's faults
// (BUGS.md, S1 to S25) that the userland half can have. S5, S6 and S23 are about mapping, which the
// kernel port does: test/integration/native.test.ts.
import { describe, expect, test } from "vitest";
import { openDriver } from "../../src/open.ts";
import { CQE, GETEVENTS_ARG, SQE } from "../../src/spec/codec.gen.ts";
import * as abi from "../../src/spec/constants.gen.ts";
import { BACKENDS, entry, kernelOf, MS, opener, pipeOf, range, reap, SECOND } from "./driver-kit.ts";

describe.each(BACKENDS)("driver on the %s kernel", (backend) => {
  const open = opener(backend);

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

});
