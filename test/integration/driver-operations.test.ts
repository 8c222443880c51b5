// The driver on both kernels, second part: readiness, operations, descriptors, and its end (BUGS.md, S18 to S25).
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import type { Completion } from "../../src/driver.ts";
import { SQE } from "../../src/spec/codec.gen.ts";
import * as abi from "../../src/spec/constants.gen.ts";
import { BACKENDS, cleanups, entry, MS, opener, pipeOf, range, reap, SECOND } from "./driver-kit.ts";

describe.each(BACKENDS)("driver: readiness and operations on the %s kernel", (backend) => {
  const open = opener(backend);

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
