// A number for what tells states apart: the same parts as Machine.key() and its siblings put into a text, mixed into 84
// bits, of which those that compare few states take 53. Texts are for tens of states at once; an exploration compares hundreds of thousands, and spends half its time
// on them. test/unit/state-fields.test.ts holds the two against each other, field by field.
import { checksum } from "../../model/digest.ts";
import { WORD } from "../../model/layout.ts";
import type { Backlogged, Machine, RingState } from "../../model/machine.ts";
import { load32 } from "../../model/memory.ts";
import { preparedSum, type Request, type RequestState, type TaskWork } from "../../model/request.ts";
import type { World } from "../../model/world.ts";

const STATES: Record<RequestState, number> = {
  linked: 1, deferred: 2, running: 3, polling: 4, timing: 5, "task-work": 6, queued: 7, effected: 8, completing: 9, done: 10, kept: 11,
};
const WORKS: Record<TaskWork, number> = { submit: 1, cancel: 2, complete: 3, free: 4, poll: 5, "fail-links": 6, timeout: 7, "link-timeout": 8, message: 9 };
const TIMERS = { none: 0, arms: 1, armed: 2 };

/** Stands between lists, so that what ends one does not pass for the beginning of the next. */
const MARK = 0x5bd1_e995;
const LOW = 0xffff_ffffn;

const digests = new WeakMap<Uint8Array, number>();

export class StateHash {
  private a = 0;
  private b = 0;

  begin(): this {
    this.a = 0x9747_b28c;
    this.b = 0x1b87_3593;
    return this;
  }

  /** 32 bits of a number; of larger ones, what is above them too. */
  add(value: number): void {
    const low = value | 0;
    this.mix(low);
    if (low !== value) this.mix(Math.floor(value / 4294967296));
  }

  private mix(value: number): void {
    let k = Math.imul(value, 0xcc9e_2d51);
    k = (k << 15) | (k >>> 17);
    const a = this.a ^ Math.imul(k, 0x1b87_3593);
    this.a = (Math.imul((a << 13) | (a >>> 19), 5) + 0xe654_6b64) | 0;
    const b = Math.imul(this.b ^ value, 0x85eb_ca6b);
    this.b = (b ^ (b >>> 15) ^ (this.a << 7)) | 0;
  }

  big(value: bigint): void {
    if (value >= 0n && value <= LOW) return this.mix(Number(value) | 0);
    this.mix(Number(BigInt.asUintN(32, value)) | 0);
    this.mix(Number(BigInt.asUintN(32, value >> 32n)) | 0);
    this.mix(MARK);
  }

  list(numbers: readonly number[]): void {
    for (const n of numbers) this.add(n);
    this.mix(MARK);
  }

  text(of: string): void {
    for (let i = 0; i < of.length; i++) this.mix(of.charCodeAt(i));
    this.mix(MARK);
  }

  /** 53 bits, as a number. */
  get high(): number {
    return (finish(this.a) & 0x1f_ffff) * 4294967296 + (finish(this.b) >>> 0);
  }

  /** 31 bits more. */
  get low(): number {
    return (finish(this.a ^ 0x2545_f491) ^ Math.imul(this.b, 0x27d4_eb2f)) & 0x7fff_ffff;
  }

  machine(m: Machine): void {
    if (m.hasRing) this.ring(m.ring);
    for (const r of m.requests.values()) this.request(r);
    this.mix(MARK);
    this.order(m);
    this.list(m.taskList);
    for (const work of m.taskWorks) this.add(work === "io_uring" ? -1 : work);
    this.mix(m.lateTaskWork ? 1 : 0);
    this.list(m.running);
    this.list(m.unqueued);
    this.world(m.world);
    for (const s of m.memory.segments) this.mix((s.sum ??= checksum(s.bytes)) | 0);
  }

  /** Who came before whom: as Machine.key() has it, by place in line. */
  private order(m: Machine): void {
    for (const by of ["workSeq", "hashSeq"] as const) {
      let numbered: Request[] | undefined;
      for (const r of m.requests.values()) if (r.state !== "done" && r[by] !== 0) (numbered ??= []).push(r);
      if (numbered !== undefined) for (const r of numbered.length === 1 ? numbered : numbered.sort((x, y) => x[by] - y[by])) this.mix(r.id);
      this.mix(MARK);
    }
  }

  private ring(ring: RingState): void {
    const { bytes } = ring.ring;
    for (let at = 0; at <= WORD.cqOverflow; at += 4) this.mix(load32(bytes, at) | 0);
    const { sqes } = ring;
    this.mix((sqes.sum ??= checksum(sqes.bytes)) | 0);
    for (const n of [
      ring.cachedSqHead, ring.cachedCqTail, ring.cqWindow, ring.cqWindow === 0 ? 0 : ring.cqSlot, ring.allocated, ring.cqTimeouts, ring.lastTimeoutFlush,
      ring.cancelSeq, ring.linkHead, ring.linkLast, ring.eventfd?.lastTail ?? -1,
    ]) this.add(n);
    this.mix(
      (ring.backlogUnknown ? 1 : 0) | (ring.drainActive ? 2 : 0) | (ring.drainNext ? 4 : 0) | (ring.drainDisabled ? 8 : 0) | (ring.disabled ? 16 : 0) |
      (ring.eventfd?.late === true ? 32 : 0),
    );
    for (const c of ring.overflow) this.backlogged(c, ring.flushed);
    this.list(ring.deferred);
    this.list(ring.timeouts);
    this.list(ring.linkTimeouts);
    this.list(ring.completing);
    this.list(ring.posting);
    this.list(ring.localWork);
    this.list(ring.retryWork);
    if (ring.buffers.length > 0) this.text(ring.buffers.map((b) => (b === undefined ? "" : `${b.addr}:${b.len}`)).join("+"));
    if (ring.leaked.length > 0) this.text(ring.leaked.join("+"));
    const { thread } = ring;
    if (thread === undefined) return;
    this.mix((thread.asleep ? 1 : 0) | (thread.woken ? 2 : 0) | (thread.posted ? 4 : 0) | (thread.owes ? 8 : 0));
    this.mix(thread.left ?? -1);
    this.big(thread.sinceNs);
    this.big(thread.busyNs);
  }

  private backlogged(c: Backlogged, flushed: number): void {
    this.big(c.userData);
    this.mix(c.res);
    this.add(c.flags);
    this.mix(c.opened ?? -1);
    this.mix(c.from === undefined ? -1 : c.from - flushed);
    if (c.big !== undefined) this.text(c.big.join());
    this.mix(MARK);
  }

  private request(r: Request): void {
    this.mix(r.id);
    this.mix(r.opcode);
    this.mix(r.flags);
    this.big(r.userData);
    this.mix(r.res);
    this.mix((STATES[r.state] << 8) | (WORKS[r.taskWork] << 4) | TIMERS[r.linkTimer]);
    this.mix(r.file);
    this.mix(r.link);
    this.mix(r.opened);
    this.mix(r.refs);
    this.mix(
      (r.posted ? 1 : 0) | (r.held ? 2 : 0) | (r.buffer === undefined ? 0 : 4) | (r.pollCancelled ? 8 : 0) | (r.hashSeq === 0 ? 0 : 16) |
      (r.unbound ? 32 : 0) | (r.workCancelled ? 64 : 0) | (r.workInterrupted ? 128 : 0) | (r.waited ? 256 : 0),
    );
    this.polling(r);
    this.add(r.timeoutOff);
    this.add(r.targetSeq);
    this.add(r.timeoutOff === 0 ? 0 : r.sinceSeq);
    this.add(r.repeats);
    this.mix(preparedSum(r.prepared));
    this.big(r.earliestNs);
    this.mix(r.workHash);
    this.mix(r.cancelling?.count ?? -1);
    this.mix(r.segment);
    this.mix(r.moved);
    this.mix(r.latePosition ?? -1);
    this.list(r.earlierPositions);
    this.mix(r.dropping);
    this.mix(r.timerRefs);
    this.mix(r.head);
    this.mix(r.cancels);
    this.mix(r.state === "task-work" && Number.isFinite(r.wakesFrom) ? r.wakesFrom : -1);
  }

  private polling(r: Request): void {
    this.add(r.pollEvents);
    this.add(r.pollRefs);
    this.list(r.pollQueues);
    this.mix(r.pollRetries);
    this.add(r.pollMask);
  }

  private world(world: World): void {
    this.add(world.signalled ? -world.nextId : world.nextId);
    for (const [fd, file] of world.fds) {
      this.mix(fd);
      this.mix(file);
    }
    this.mix(MARK);
    for (const [slot, file] of world.registeredRings) {
      this.mix(slot);
      this.mix(file);
    }
    this.list(world.unbound);
    for (const fd of world.guessed.keys()) this.mix(fd);
    for (const f of world.files.values()) {
      this.mix(f.id);
      this.mix(f.inode);
      this.add(f.pos);
      this.mix(f.refs);
    }
    this.mix(MARK);
    for (const i of world.inodes.values()) {
      this.mix(i.id);
      if (i.kind === "file") this.bytes(i.data);
      else if (i.kind === "eventfd") {
        this.big(i.count);
        this.mix(i.unsure);
      }
      else if (i.kind === "directory") this.text([...i.entries].join());
      else if (i.kind === "pipe") {
        this.mix((i.readers << 9) | (i.writers << 1) | (i.pollUsage ? 1 : 0));
        for (const b of i.buffers) {
          this.mix(b.at);
          this.bytes(b.data);
        }
      }
    }
    for (const [queue, list] of world.waiters) {
      if (list.length === 0) continue;
      this.mix(-queue);
      for (const w of list) this.mix(w.request);
    }
  }

  /** Arrays that are replaced and never written. */
  private bytes(of: Uint8Array): void {
    let known = digests.get(of);
    if (known === undefined) digests.set(of, (known = checksum(of)));
    this.mix(known | 0);
    this.mix(of.length);
  }
}

function finish(value: number): number {
  let h = value ^ (value >>> 16);
  h = Math.imul(h, 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return h ^ (h >>> 16);
}
