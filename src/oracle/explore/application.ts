// The application's half of an exploration: what the interpreter (program/interpreter.ts) does for each operation, one
// action at a time, so that the kernel's own steps can come between any two. What the kernel can't notice (an SQE that
// is filled in and not published) is done together with the action before it.
import { WouldBlockForever } from "../../kernel.ts";
import { enter, leaveCall, type EnterCall } from "../../model/enter.ts";
import { readInfo } from "../../model/fdinfo.ts";
import { WORD } from "../../model/layout.ts";
import type { Machine } from "../../model/machine.ts";
import { hasBacklog } from "../../model/completion.ts";
import { hasPollThread, pollThreadSince } from "../../model/sqpoll.ts";
import { enabled } from "../../model/steps.ts";
import { defersTaskWork } from "../../model/task-work.ts";
import { HORIZON_NS, SETTLE_ROUNDS, WAIT_NS } from "../../program/interpreter.ts";
import { hiddenIn } from "../../program/lower-registration.ts";
import type { Operation } from "../../program/program.ts";
import { WaitArguments } from "../../program/wait-argument.ts";
import {
  IORING_ENTER_EXT_ARG, IORING_ENTER_GETEVENTS, IORING_ENTER_REGISTERED_RING, IORING_ENTER_SQ_WAIT, IORING_ENTER_SQ_WAKEUP, IORING_REGISTER_SYNC_CANCEL,
  IORING_SQ_NEED_WAKEUP,
} from "../../spec/constants.gen.ts";
import type { Chooser } from "./chooser.ts";
import type { Line, Lines } from "./history.ts";
import { ordinaryCall, raise, registerCall } from "./calls.ts";
import { dueNow, openRequests } from "./liveness.ts";
import type { Prelude } from "./prelude.ts";
import { Queues } from "./queues.ts";
import { answerLine, callLine } from "./seen-text.ts";
import { END, maps } from "./stages.ts";
import type { Application } from "./state.ts";

/** How a call waits. */
interface Waiting {
  readonly index?: number | undefined;
  readonly signals?: boolean | undefined;
}

/** One action of the application on a machine that is this run's own. */
export class Action extends Queues {
  end: string | undefined;
  /** What must come from the state that there is now, where it was reckoned. */
  known: number | undefined;

  constructor(p: Prelude, lines: Lines, m: Machine, chooser: Chooser, from: { readonly app: Application; readonly calls: Line; readonly due: number | undefined }) {
    super(p, lines, m, chooser, from);
    this.known = from.due;
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
    this.known = undefined;
    this.quiet();
  }

  /** What nobody can notice, as far as it goes. */
  quiet(): void {
    while (this.end === undefined && this.actQuietly());
  }

  /** What must come, reckoned once for each state. */
  private get due(): number {
    return (this.known ??= dueNow(this.m));
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
    const due = moves ? this.due : 0;
    return due > 0 && this.visible + due <= m.ring.cqEntries;
  }

  /** One thing that the kernel can't notice; false where the next one can be noticed, or waits for nothing. */
  private actQuietly(): boolean {
    const { operation, app, p } = this;
    if (operation === undefined) return this.endQuietly();
    switch (operation.op) {
      case "sqe":
        return app.stage === 1 || this.looksFirst || this.sqIsFull ? false : this.fillNext();
      case "slot":
        return p.polled || this.looksFirst ? false : this.fillSlot(operation.slot);
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
        if (app.stage === 2) return void (this.sqIsFull ? this.leaveOut() : this.fillNext());
        return app.stage === 1 || this.sqIsFull ? this.makeRoom() : void this.fillNext();
      case "submit":
        return this.submit(operation);
      case "settle":
        this.settleOnce();
        return void this.to({ round: app.round + 1 });
      case "reap":
        return app.stage === 0 ? this.lookAtCompletions(operation.max ?? this.m.ring.cqEntries) : this.takeOut();
      case "write": case "read": case "close":
        return this.system(operation);
      case "raise":
        this.beforeCall();
        this.says(callLine("raise", raise(this.m)));
        return void this.next();
      case "register":
        return this.register(operation);
      case "fdinfo":
        return this.readInfo();
      case "store": {
        const at = WORD[operation.word];
        this.store(at, operation.value ?? this.word(at) + (operation.add ?? 0));
        return void this.next(false);
      }
      case "array":
        return void this.storeIndex(operation.slot, operation.index);
      case "slot":
        return void this.fillSlot(operation.slot);
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
      registerCall(this.m, { opcode: IORING_REGISTER_SYNC_CANCEL, arg: this.p.cancelArg, nrArgs: 1 });
      this.to({ stage: END.settle, round: app.round + 1, taking: 0 });
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
    this.to({ shown: -1 });
    if (this.chooser.overdue) this.to({ overdue: true });
    if (shown) this.says(callLine("enter", result));
  }

  private submit({ wait = 0, getevents, index, signals }: Operation & { op: "submit" }): void {
    const flags = (getevents === true ? IORING_ENTER_GETEVENTS : 0) | (index === undefined ? 0 : IORING_ENTER_REGISTERED_RING);
    if (!this.p.polled) {
      this.publish();
      this.enterWith(wait, flags, { index, signals });
      return void this.next();
    }
    if (this.app.stage === 0) {
      this.publish();
      return void this.to({ stage: 1 });
    }
    this.enterPolled(wait, flags, { index, signals });
    this.next();
  }

  /** As liburing does: a thread that sleeps is woken, and no call is made where there is nothing to ask for. */
  private enterPolled(wait: number, flags: number, how: Waiting = {}): void {
    const all = (this.word(WORD.sqFlags) & IORING_SQ_NEED_WAKEUP) === 0 ? flags : flags | IORING_ENTER_SQ_WAKEUP;
    if (wait > 0 || all !== 0) this.enterWith(wait, all, how);
  }

  private enterWith(wait: number, flags: number, { index, signals }: Waiting = {}): void {
    const call = { toSubmit: this.queued, minComplete: wait, index };
    if (wait === 0) return this.enter({ ...call, flags, arg: undefined }, true);
    const all = flags | IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
    this.enter({ ...call, flags: all, arg: this.waits.bound(0n, WAIT_NS, undefined, { signals }) }, true);
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

  private system(operation: Operation & { op: "write" | "read" | "close" }): void {
    const fd = this.fd(operation.fd);
    this.beforeCall();
    if (operation.op === "close") {
      this.says(callLine("close", ordinaryCall(this.m, { call: "close", fd })));
    } else if (operation.op === "write") {
      const bytes = new Uint8Array(operation.bytes).fill(operation.fill);
      this.says(callLine("write", ordinaryCall(this.m, { call: "write", fd, bytes })));
    } else {
      const into = new Uint8Array(operation.bytes);
      this.says(callLine("read", ordinaryCall(this.m, { call: "read", fd, into }), into));
    }
    this.next();
  }

  /** Other queues take over what was published. */
  private register({ does }: Operation & { op: "register" }): void {
    const { m, p, app } = this;
    const lowered = p.registrations.get(app.at);
    if (lowered === undefined) throw new Error(`explore: operation ${app.at} registers nothing`);
    const resizes = does.call === "RESIZE_RINGS";
    if (resizes && app.stage === 0) {
      this.publish();
      if (p.polled) return void this.to({ stage: 1 });
    }
    this.beforeCall();
    const result = registerCall(m, lowered);
    this.says(callLine("register", result));
    const hidden = hiddenIn(does);
    for (const [i, { addr, bytes }] of lowered.answers.entries()) this.says(answerLine(m.memory.read(addr, bytes.length) ?? new Uint8Array(0), hidden[i]));
    if (result === 0 && resizes) this.to(maps(m));
    if (result === 0 && lowered.region !== undefined) this.to({ region: app.at });
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

  /** In the memory of this run. */
  private get waits(): WaitArguments {
    const { p, m, app } = this;
    const waits = new WaitArguments({ alloc: () => p.wait, stored: ({ addr, bytes }) => void m.memory.write(addr, bytes), faultAddress: p.faultAddress });
    waits.region = p.registrations.get(app.region)?.region;
    return waits;
  }

  private rawEnter(operation: Operation & { op: "enter" }): void {
    const { toSubmit, minComplete, index } = operation;
    const { arg, flags: added } = this.waits.of(operation, this.m.nowNs);
    const flags = (operation.flags & ~IORING_ENTER_EXT_ARG) | added | (index === undefined ? 0 : IORING_ENTER_REGISTERED_RING);
    this.enter({ toSubmit, minComplete, flags: flags >>> 0, arg, index }, true);
    this.next();
  }
}
