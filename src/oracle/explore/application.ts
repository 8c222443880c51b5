// The application's half of an exploration: what the interpreter (program/interpreter.ts) does for each operation, one
// action at a time, so that the kernel's own steps can come between any two. What the kernel can't notice (an SQE that
// is filled in and not published) is done together with the action before it.
import { WouldBlockForever } from "../../kernel.ts";
import { enter, leaveCall, register, type EnterCall } from "../../model/enter.ts";
import { readInfo } from "../../model/fdinfo.ts";
import { CQES, WORD } from "../../model/layout.ts";
import type { Machine } from "../../model/machine.ts";
import { load32, store32, writable } from "../../model/memory.ts";
import { hasBacklog } from "../../model/completion.ts";
import { hasPollThread, pollThreadSince } from "../../model/sqpoll.ts";
import { enabled } from "../../model/steps.ts";
import { defersTaskWork } from "../../model/task-work.ts";
import { HORIZON_NS, SETTLE_ROUNDS, WAIT_NS } from "../../program/interpreter.ts";
import type { Operation } from "../../program/program.ts";
import { CQE, GETEVENTS_ARG, SQE } from "../../spec/codec.gen.ts";
import {
  IORING_CQE_F_32, IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_ENTER_SQ_WAIT, IORING_ENTER_SQ_WAKEUP, IORING_REGISTER_SYNC_CANCEL,
  IORING_SETUP_CQE_MIXED, IORING_SETUP_NO_SQARRAY, IORING_SQ_NEED_WAKEUP,
} from "../../spec/constants.gen.ts";
import { ordinaryCall, writeTime } from "./calls.ts";
import type { Chooser } from "./chooser.ts";
import type { Line, Lines } from "./history.ts";
import { dueNow, openRequests } from "./liveness.ts";
import type { Prelude } from "./prelude.ts";
import { callLine } from "./seen-text.ts";
import { END } from "./stages.ts";
import type { Application } from "./state.ts";

/** One action of the application on a machine that is this run's own. */
export class Action {
  private readonly p: Prelude;
  private readonly m: Machine;
  private readonly chooser: Chooser;
  private readonly lines: Lines;
  app: Application;
  calls: Line;
  end: string | undefined;

  constructor(p: Prelude, lines: Lines, m: Machine, chooser: Chooser, from: { readonly app: Application; readonly calls: Line }) {
    this.p = p;
    this.lines = lines;
    this.m = m;
    this.chooser = chooser;
    this.app = from.app;
    this.calls = from.calls;
  }

  /** The next action, and what follows it that nobody can notice. */
  run(): void {
    try {
      this.act();
    } catch (error) {
      if (!(error instanceof WouldBlockForever)) throw error;
      this.end = "never returns";
      return;
    }
    this.quiet();
  }

  /** What nobody can notice, as far as it goes. */
  quiet(): void {
    while (this.end === undefined && this.actQuietly());
  }

  private to(change: Partial<Application>): true {
    this.app = { ...this.app, ...change };
    return true;
  }

  private next(): true {
    return this.to({ at: this.app.at + 1, stage: 0, round: 0, taking: 0 });
  }

  private word(at: number): number {
    return load32(this.m.ring.ring.bytes, at);
  }

  private store(at: number, value: number): void {
    store32(writable(this.m.ring.ring), at, value >>> 0);
  }

  private get operation(): Operation | undefined {
    return this.p.program.ops[this.app.at];
  }

  /**
   * Full by the head that the application loaded last, and by the one that is there now: it is loaded anew only where
   * the queue looks full. The two differ where the program stores heads and tails of its own.
   */
  private get sqIsFull(): boolean {
    const { app, p } = this;
    const full = (head: number): boolean => ((app.tail - head) >>> 0) >= this.m.ring.sqEntries;
    const now = this.word(WORD.sqHead);
    if (!p.wild) return full(now);
    if (!full(app.sqHead)) return false;
    this.to({ sqHead: now });
    return full(now);
  }

  private get visible(): number {
    return (this.word(WORD.cqTail) - this.word(WORD.cqHead)) >>> 0;
  }

  private get due(): number {
    return dueNow(this.m);
  }

  /**
   * A wait for what must come changes nothing before it has come: it begins behind the steps that it waits for. Not
   * where the wait itself does something (on rings that defer task work, and where there is a backlog), nor where it
   * may end, or not begin, because the ring is full.
   */
  get waitsFirst(): boolean {
    const { m, app, p } = this;
    const settles = this.operation === undefined ? app.stage === END.settle : this.operation.op === "settle";
    if (!settles || !this.chooser.reduces || p.polled || defersTaskWork(m) || hasBacklog(m)) return false;
    const moves = enabled(m).some((s) => s.kind !== "expire" || m.request(s.request).earliestNs <= m.nowNs + HORIZON_NS);
    const due = moves ? dueNow(m) : 0;
    return due > 0 && this.visible + due <= m.ring.cqEntries;
  }

  /** One thing that the kernel can't notice; false where the next one can be noticed, or waits for nothing. */
  private actQuietly(): boolean {
    const { operation, app, p } = this;
    if (operation === undefined) return this.endQuietly();
    switch (operation.op) {
      case "sqe":
        return app.stage === 1 || this.sqIsFull ? false : this.fillNext();
      case "slot":
        if (p.polled) return false;
        this.fill(operation.slot & (this.m.ring.sqEntries - 1));
        return this.next();
      case "array":
        if (p.polled) return false;
        return this.storeIndex(operation.slot, operation.index);
      case "settle":
        return app.round >= SETTLE_ROUNDS || this.due === 0 ? this.next() : false;
      case "write": case "read": case "close":
        return this.fd(operation.fd) < 0 ? this.next() : false;
      default:
        return false;
    }
  }

  private endQuietly(): boolean {
    const { app } = this;
    switch (app.stage) {
      case END.settle:
        return app.taking >= SETTLE_ROUNDS || this.due === 0 ? this.to({ stage: END.reap }) : false;
      case END.reap:
        return this.visible === 0 ? this.to({ stage: END.decide }) : false;
      case END.decide:
        if (app.round >= SETTLE_ROUNDS) return this.to({ stage: END.over });
        if (this.due > 0) return this.to({ stage: END.settle, round: app.round + 1, taking: 0 });
        return this.to({ stage: openRequests(this.m) === 0 && app.round > 0 ? END.over : END.cancel });
      default:
        return false;
    }
  }

  private act(): void {
    const { operation, app } = this;
    if (operation === undefined) return this.actAtEnd();
    switch (operation.op) {
      case "sqe":
        if (app.stage === 2) return void (this.sqIsFull ? this.next() : this.fillNext());
        return app.stage === 1 || this.sqIsFull ? this.makeRoom() : void this.fillNext();
      case "submit":
        return this.submit(operation.wait ?? 0, operation.getevents === true ? IORING_ENTER_GETEVENTS : 0);
      case "settle":
        this.settleOnce();
        return void this.to({ round: app.round + 1 });
      case "reap":
        return app.stage === 0 ? this.lookAtCompletions(operation.max ?? this.m.ring.cqEntries) : this.takeOut();
      case "write": case "read": case "close":
        return this.system(operation);
      case "fdinfo":
        return this.readInfo();
      case "store": {
        const at = WORD[operation.word];
        this.store(at, operation.value ?? this.word(at) + (operation.add ?? 0));
        return void this.next();
      }
      case "array":
        return void this.storeIndex(operation.slot, operation.index);
      case "slot":
        this.fill(operation.slot & (this.m.ring.sqEntries - 1));
        return void this.next();
      case "enter":
        return this.rawEnter(operation);
    }
  }

  private actAtEnd(): void {
    const { app } = this;
    if (app.stage === END.settle) {
      this.settleOnce();
      this.to({ taking: app.taking + 1 });
    } else if (app.stage === END.reap) {
      this.to({ stage: END.head, taking: this.visible });
    } else if (app.stage === END.head) {
      this.advanceHead(app.taking);
      this.to({ stage: END.decide, taking: 0 });
    } else {
      this.beforeCall();
      register(this.m, IORING_REGISTER_SYNC_CANCEL, this.p.cancelArg, 1);
      this.to({ stage: END.settle, round: app.round + 1, taking: 0 });
    }
  }

  private fd(name: string | undefined): number {
    return this.p.world.fd(name, this.chooser.opened);
  }

  private storeIndex(slot: number, index: number): true {
    const { ring } = this.m;
    if ((ring.flags & IORING_SETUP_NO_SQARRAY) === 0) this.store(ring.arrayOffset + 4 * (slot & (ring.sqEntries - 1)), index);
    return this.next();
  }

  private fillNext(): true {
    const slot = this.app.tail & (this.m.ring.sqEntries - 1);
    writable(this.m.ring.sqes).fill(0, slot * this.p.sqeBytes, (slot + 1) * this.p.sqeBytes);
    this.fill(slot);
    this.to({ tail: (this.app.tail + 1) >>> 0 });
    return this.next();
  }

  private fill(slot: number): void {
    const lowered = this.p.lowered.get(this.app.at);
    if (lowered === undefined) throw new Error(`explore: operation ${this.app.at} has no request`);
    const bytes = writable(this.m.ring.sqes);
    bytes.set(lowered.bytes, slot * this.p.sqeBytes);
    if (lowered.spec.fd?.startsWith("o") === true) store32(bytes, slot * this.p.sqeBytes + SQE.fd, this.fd(lowered.spec.fd));
    for (const { addr, microseconds } of lowered.deadlines) {
      const ns = this.m.nowNs + BigInt(microseconds) * 1000n;
      writeTime(this.m, addr, ns / 1_000_000_000n, ns % 1_000_000_000n);
    }
  }

  /** Time may have passed, and task work that came late has run or runs when the call returns. */
  private beforeCall(): void {
    this.m.lateTaskWork = false;
    pollThreadSince(this.m, this.m.nowNs);
  }

  private enter(call: EnterCall, shown: boolean): void {
    this.beforeCall();
    this.chooser.watched = !shown;
    const result = enter(this.m, call);
    this.chooser.watched = false;
    if (this.chooser.overdue) this.to({ overdue: true });
    if (shown) this.calls = this.lines.add(this.calls, callLine("enter", result));
  }

  private publish(): void {
    const { tail } = this.app;
    if (tail !== this.app.published) this.store(WORD.sqTail, tail);
    pollThreadSince(this.m, this.m.nowNs);
    this.to({ published: tail });
  }

  private get queued(): number {
    if (this.p.wild) this.to({ sqHead: this.word(WORD.sqHead) });
    return (this.app.tail - this.word(WORD.sqHead)) >>> 0;
  }

  private submit(wait: number, flags: number): void {
    if (!this.p.polled) {
      this.publish();
      this.enterWith(wait, flags);
      return void this.next();
    }
    if (this.app.stage === 0) {
      this.publish();
      return void this.to({ stage: 1 });
    }
    this.enterPolled(wait, flags);
    this.next();
  }

  /** As liburing does: a thread that sleeps is woken, and no call is made where there is nothing to ask for. */
  private enterPolled(wait: number, flags: number): void {
    const all = (this.word(WORD.sqFlags) & IORING_SQ_NEED_WAKEUP) === 0 ? flags : flags | IORING_ENTER_SQ_WAKEUP;
    if (wait > 0 || all !== 0) this.enterWith(wait, all);
  }

  private enterWith(wait: number, flags: number): void {
    if (wait === 0) return this.enter({ toSubmit: this.queued, minComplete: 0, flags, arg: undefined }, true);
    const all = (this.p.polled ? flags : 0) | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    this.enter({ toSubmit: this.queued, minComplete: wait, flags: all, arg: this.bound(0n, WAIT_NS) }, true);
  }

  /** The queue is full: it is submitted first. Where that made no room, the request is left out. */
  private makeRoom(): void {
    const { polled } = this.p;
    if (polled && this.app.stage === 0) {
      this.publish();
      return void this.to({ stage: 1 });
    }
    this.publish();
    if (polled) this.enterPolled(0, IORING_ENTER_SQ_WAIT | IORING_ENTER_SQ_WAKEUP);
    else this.enterWith(0, 0);
    this.to({ stage: 2 });
  }

  /** Waits for what must come. */
  private settleOnce(): void {
    const { cqEntries } = this.m.ring;
    const { due, visible } = this;
    if (due === 0) return;
    if (visible >= cqEntries) return this.advanceHead(cqEntries);
    this.enter({ toSubmit: 0, minComplete: Math.min(visible + due, cqEntries), flags: IORING_ENTER_GETEVENTS, arg: undefined }, false);
  }

  private lookAtCompletions(max: number): void {
    const taking = Math.min(max, this.visible, this.m.ring.cqEntries);
    if (taking === 0) this.next();
    else this.to({ stage: 1, taking });
  }

  private takeOut(): void {
    this.advanceHead(this.app.taking);
    this.next();
  }

  /** Never past the kernel's tail; a long CQE among short slots is one that takes two. */
  private advanceHead(count: number): void {
    const { ring } = this.m;
    let { head } = this.app;
    for (let left = Math.min(count, ring.cqEntries); left > 0; left--) {
      if (((this.word(WORD.cqTail) - head) >>> 0) === 0) break;
      const flags = this.word(CQES + (head & (ring.cqEntries - 1)) * ring.cqeSize + CQE.flags);
      head = (head + ((ring.flags & IORING_SETUP_CQE_MIXED) !== 0 && (flags & IORING_CQE_F_32) !== 0 ? 2 : 1)) >>> 0;
    }
    if (head !== this.app.head) this.store(WORD.cqHead, head);
    this.to({ head });
  }

  private system(operation: Operation & { op: "write" | "read" | "close" }): void {
    const fd = this.fd(operation.fd);
    this.beforeCall();
    if (operation.op === "close") {
      this.calls = this.lines.add(this.calls, callLine("close", ordinaryCall(this.m, { call: "close", fd })));
    } else if (operation.op === "write") {
      const bytes = new Uint8Array(operation.bytes).fill(operation.fill);
      this.calls = this.lines.add(this.calls, callLine("write", ordinaryCall(this.m, { call: "write", fd, bytes })));
    } else {
      const into = new Uint8Array(operation.bytes);
      this.calls = this.lines.add(this.calls, callLine("read", ordinaryCall(this.m, { call: "read", fd, into }), into));
    }
    this.next();
  }

  /** What it shows is not part of an outcome; that it runs task work is. */
  private readInfo(): void {
    const { m } = this;
    this.beforeCall();
    m.inCall = !hasPollThread(m);
    readInfo(m);
    leaveCall(m);
    m.inCall = false;
    this.next();
  }

  /** A struct io_uring_getevents_arg, with the time behind it. */
  private bound(seconds: bigint, nanoseconds: bigint, timeAddr = this.p.waitArg + BigInt(GETEVENTS_ARG.size)): { addr: bigint; size: number } {
    const bytes = new Uint8Array(GETEVENTS_ARG.size);
    new DataView(bytes.buffer).setBigUint64(GETEVENTS_ARG.ts, timeAddr, true);
    this.m.memory.write(this.p.waitArg, bytes);
    writeTime(this.m, this.p.waitArg + BigInt(GETEVENTS_ARG.size), seconds, nanoseconds);
    return { addr: this.p.waitArg, size: GETEVENTS_ARG.size };
  }

  private rawEnter(operation: Operation & { op: "enter" }): void {
    const { toSubmit, minComplete, flags } = operation;
    let arg: { addr: bigint; size: number } | undefined;
    if (operation.arg === "fault") arg = { addr: this.p.faultAddress, size: GETEVENTS_ARG.size };
    else if (operation.wait !== undefined || operation.arg !== undefined) {
      const { seconds = 0, nanoseconds = 0 } = operation.wait ?? {};
      arg = this.bound(BigInt(seconds), BigInt(nanoseconds), operation.arg === "time-fault" ? this.p.faultAddress : undefined);
      if (operation.arg === "size") arg = { addr: arg.addr, size: GETEVENTS_ARG.size - 8 };
    }
    const extended = arg === undefined ? flags & ~IORING_ENTER_EXT_ARG : flags | IORING_ENTER_EXT_ARG;
    this.enter({ toSubmit, minComplete, flags: extended >>> 0, arg }, true);
    this.next();
  }
}
