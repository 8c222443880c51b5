// The queues of a ring as the application of an exploration has them: requests are filled in and published, completions
// are taken out. What it does then, action by action, is in application.ts.
import { CQES, WORD } from "../../model/layout.ts";
import type { Machine } from "../../model/machine.ts";
import { load32, store32, writable } from "../../model/memory.ts";
import { pollThreadSince } from "../../model/sqpoll.ts";
import type { Operation } from "../../program/program.ts";
import { CQE, SQE } from "../../spec/codec.gen.ts";
import { IORING_CQE_F_32, IORING_SETUP_CQE_MIXED, IORING_SETUP_NO_SQARRAY } from "../../spec/constants.gen.ts";
import { writeTime } from "./calls.ts";
import type { Chooser } from "./chooser.ts";
import type { Line, Lines } from "./history.ts";
import type { Prelude } from "./prelude.ts";
import type { Application } from "./state.ts";

/** Is it the name of a descriptor that a completion brings? */
const isOpened = (name: string | undefined): boolean => name?.startsWith("o") === true;

export class Queues {
  protected readonly p: Prelude;
  protected readonly m: Machine;
  protected readonly chooser: Chooser;
  protected readonly lines: Lines;
  app: Application;
  calls: Line;

  constructor(p: Prelude, lines: Lines, m: Machine, chooser: Chooser, from: { readonly app: Application; readonly calls: Line }) {
    this.p = p;
    this.lines = lines;
    this.m = m;
    this.chooser = chooser;
    this.app = from.app;
    this.calls = from.calls;
  }

  protected to(change: Partial<Application>): true {
    this.app = { ...this.app, ...change };
    return true;
  }

  /** The next operation. The application looks at the ring behind every call and before it takes completions out. */
  protected next(looks = true): true {
    return this.to({ at: this.app.at + 1, stage: 0, round: 0, taking: 0, ...(looks ? { shown: -1 } : {}) });
  }

  protected word(at: number): number {
    return load32(this.m.ring.ring.bytes, at);
  }

  protected store(at: number, value: number): void {
    store32(writable(this.m.ring.ring), at, value >>> 0);
  }

  protected get operation(): Operation | undefined {
    return this.p.program.ops[this.app.at];
  }

  /**
   * Full by the head that the application loaded last, and by the one that is there now: it is loaded anew only where
   * the queue looks full. The two differ where the program stores heads and tails of its own.
   */
  protected get sqIsFull(): boolean {
    const { app, p } = this;
    const full = (head: number): boolean => ((app.tail - head) >>> 0) >= this.m.ring.sqEntries;
    const now = this.word(WORD.sqHead);
    if (!p.wild) return full(now);
    if (!full(app.sqHead)) return false;
    this.to({ sqHead: now });
    return full(now);
  }

  protected get visible(): number {
    return (this.word(WORD.cqTail) - this.word(WORD.cqHead)) >>> 0;
  }

  protected fd(name: string | undefined): number {
    return this.p.world.fd(name, this.chooser.opened);
  }

  protected storeIndex(slot: number, index: number): true {
    const { ring } = this.m;
    if ((ring.flags & IORING_SETUP_NO_SQARRAY) === 0) this.store(ring.arrayOffset + 4 * (slot & (ring.sqEntries - 1)), index);
    return this.next(false);
  }

  protected fillNext(): true {
    const slot = this.app.tail & (this.m.ring.sqEntries - 1);
    writable(this.m.ring.sqes).fill(0, slot * this.p.sqeBytes, (slot + 1) * this.p.sqeBytes);
    this.fill(slot);
    this.to({ tail: (this.app.tail + 1) >>> 0 });
    return this.next(false);
  }

  protected fillSlot(slot: number): true {
    this.fill(slot & (this.m.ring.sqEntries - 1));
    return this.next(false);
  }

  /** There is no room for it. */
  protected leaveOut(): true {
    this.to({ left: [...this.app.left, this.app.at] });
    return this.next();
  }

  /** It is filled in with a descriptor that a completion brings, and which ones have come is not looked at yet. */
  protected get looksFirst(): boolean {
    return this.app.shown < 0 && this.p.opens.size > 0 && isOpened(this.p.lowered.get(this.app.at)?.spec.fd);
  }

  protected fill(slot: number): void {
    const lowered = this.p.lowered.get(this.app.at);
    if (lowered === undefined) throw new Error(`explore: operation ${this.app.at} has no request`);
    const bytes = writable(this.m.ring.sqes);
    bytes.set(lowered.bytes, slot * this.p.sqeBytes);
    if (isOpened(lowered.spec.fd)) {
      if (this.app.shown < 0) this.to({ shown: this.chooser.opened.length });
      store32(bytes, slot * this.p.sqeBytes + SQE.fd, this.p.world.fd(lowered.spec.fd, this.chooser.opened.slice(0, this.app.shown)));
      // Beside a thread that polls it looks again before each.
      if (this.p.polled) this.to({ shown: -1 });
    }
    for (const { addr, microseconds } of lowered.deadlines) {
      const ns = this.m.nowNs + BigInt(microseconds) * 1000n;
      writeTime(this.m, addr, ns / 1_000_000_000n, ns % 1_000_000_000n);
    }
  }

  protected publish(): void {
    const { tail } = this.app;
    if (tail !== this.app.published) this.store(WORD.sqTail, tail);
    pollThreadSince(this.m, this.m.nowNs);
    this.to({ published: tail });
  }

  protected get queued(): number {
    if (this.p.wild) this.to({ sqHead: this.word(WORD.sqHead) });
    return (this.app.tail - this.word(WORD.sqHead)) >>> 0;
  }

  /** Never past the kernel's tail; a long CQE among short slots is one that takes two. */
  protected advanceHead(count: number): void {
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

  protected says(line: string): void {
    this.calls = this.lines.add(this.calls, line);
  }
}
