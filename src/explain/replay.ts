// What a trace shows of a ring, event by event: its words as they were last loaded or stored, and the
// requests, each a lane from the store of its SQE to its last CQE. Nothing is judged or guessed here: what the
// application could not see yet is not there yet.
import type { IoUringParams } from "../kernel.ts";
import {
  IORING_CQE_F_MORE,
  IORING_CQE_F_SKIP,
  IORING_POLL_UPDATE_USER_DATA,
  IORING_SETUP_NO_SQARRAY,
  IORING_SETUP_SQE128,
  IORING_SETUP_SQPOLL,
  IOSQE_IO_HARDLINK,
  IOSQE_IO_LINK,
  OPCODE_NAMES,
} from "../spec/constants.gen.ts";
import { SQE, type Sqe } from "../spec/codec.gen.ts";
import type { EnterEvent, PeekEvent, RegisterEvent, SeenCqe, SetupEvent, StoreEvent, TraceEvent } from "../program/trace.ts";

/** The fields of an SQE that the timeline speaks of. */
export type SqeFields = Pick<Sqe, "opcode" | "flags" | "fd" | "off" | "addr" | "len" | "opFlags" | "userData">;

/** One request. Steps are numbers of events. */
export interface Lane {
  readonly id: number;
  /** "NOP"; "message" for what MSG_RING sent to this ring; "?" where a CQE came that no entry explains. */
  readonly name: string;
  readonly userData: bigint;
  readonly sqe: SqeFields | undefined;
  /** Its SQE was stored, the tail moved past it, a call took it. */
  readonly filledAt: number | undefined;
  readonly queuedAt: number | undefined;
  takenAt: number | undefined;
  /** Its last CQE was seen. */
  endedAt: number | undefined;
  readonly cqes: { readonly step: number; readonly res: number; readonly flags: number }[];
  /** What the kernel's head of the SQ was when it was taken. */
  readonly position: number | undefined;
  /** The member of its chain before it. */
  readonly behind: Lane | undefined;
}

export interface Words {
  readonly sqHead: number;
  readonly sqTail: number;
  readonly cqHead: number;
  readonly cqTail: number;
  readonly sqFlags: number;
  readonly sqDropped: number;
  readonly cqOverflow: number;
}
const NO_WORDS: Words = { sqHead: 0, sqTail: 0, cqHead: 0, cqTail: 0, sqFlags: 0, sqDropped: 0, cqOverflow: 0 };

/** One event, and what it changed. */
export interface Facts {
  readonly step: number;
  readonly event: TraceEvent;
  /** The call right before it, where this is the look behind it. */
  readonly call: TraceEvent | undefined;
  readonly setup: SetupEvent | undefined;
  readonly before: Words;
  readonly after: Words;
  /** Where the kernel stood in the SQ before, whatever was stored into sq.head. */
  readonly kernelHead: number;
  /** Requests that this call took. */
  readonly taken: readonly Lane[];
  /** CQEs that this peek saw first. */
  readonly completed: readonly { readonly lane: Lane; readonly cqe: SeenCqe }[];
  /** Lanes of the CQEs between head and tail, -1 where that is not known. */
  readonly inCq: readonly number[];
}

const load32 = (bytes: Uint8Array, at: number): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

/** Most entries of a queue that are listed. */
export const LISTED_MAX = 64;

export class Replay {
  readonly lanes: Lane[] = [];
  private setupEvent: SetupEvent | undefined;
  private words = NO_WORDS;
  private sqes = new Uint8Array(0);
  private array = new Uint32Array(0);
  /** The kernel's own head of the SQ. */
  private head = 0;
  private step = 0;
  private last: TraceEvent | undefined;
  private readonly filledAt = new Map<number, number>();
  private readonly queuedAt = new Map<number, number>();
  private readonly laneInSlot = new Map<number, number>();

  /** The next event. */
  next(event: TraceEvent): Facts {
    const before = this.words;
    const kernelHead = this.head;
    let taken: readonly Lane[] = [];
    let completed: Facts["completed"] = [];
    if (event.event === "setup") this.setup(event);
    else if (event.event === "store") this.store(event);
    else if (event.event === "register") this.resize(event);
    else if (event.event === "enter") taken = this.enter(event);
    else if (event.event === "peek") {
      taken = this.peek(event);
      completed = event.cqes.filter(({ flags }) => (flags & IORING_CQE_F_SKIP) === 0).map((cqe) => ({ lane: this.complete(cqe), cqe }));
    }
    const call = this.last;
    this.last = event;
    return {
      step: this.step++,
      event,
      call,
      setup: this.setupEvent,
      before,
      after: this.words,
      kernelHead,
      taken,
      completed,
      inCq: this.visible(),
    };
  }

  /** SQEs that were stored and that nobody took, as lanes; at the end. */
  leftOver(): void {
    for (const [slot, filledAt] of [...this.filledAt].toSorted(([a], [b]) => a - b))
      this.lane(slot, { filledAt, queuedAt: undefined, position: undefined, behind: undefined, takenAt: undefined });
  }

  private get params(): IoUringParams | undefined {
    return this.setupEvent?.filled;
  }

  private setup(event: SetupEvent): void {
    this.setupEvent = event;
    const { filled, counters = 0 } = event;
    if (filled === undefined) return;
    this.words = { ...NO_WORDS, sqHead: counters, sqTail: counters, cqHead: counters, cqTail: counters };
    this.head = counters;
    // Sizes that no kernel gives belong to a trace that is illegal here.
    const entries = Math.min(filled.sqEntries, 1 << 15);
    this.sqes = new Uint8Array(entries * this.sqeSize);
    this.array = new Uint32Array(entries);
  }

  /** Other queues: what is pending goes along, slot by slot. */
  private resize({ filled }: RegisterEvent): void {
    const { setupEvent, sqes, sqeSize, params: old } = this;
    if (filled === undefined || setupEvent === undefined || old === undefined) return;
    const entries = Math.min(filled.sqEntries, 1 << 15);
    const at = [...this.filledAt];
    const lanes = new Map(this.laneInSlot);
    this.setupEvent = { ...setupEvent, filled };
    this.sqes = new Uint8Array(entries * sqeSize);
    this.array = new Uint32Array(entries);
    this.filledAt.clear();
    const pending = Math.min((this.words.sqTail - this.words.sqHead) >>> 0, entries);
    for (let i = 0; i < pending; i++) {
      const from = (this.words.sqHead + i) & (old.sqEntries - 1);
      const to = (this.words.sqHead + i) & (entries - 1);
      this.sqes.set(sqes.subarray(from * sqeSize, (from + 1) * sqeSize), to * sqeSize);
      const step = at.find(([slot]) => slot === from)?.[1];
      if (step !== undefined) this.filledAt.set(to, step);
    }
    this.laneInSlot.clear();
    for (let i = this.words.cqHead, left = filled.cqEntries; i !== this.words.cqTail && left > 0; i = (i + 1) >>> 0, left--) {
      const lane = lanes.get(i & (old.cqEntries - 1));
      if (lane !== undefined) this.laneInSlot.set(i & (filled.cqEntries - 1), lane);
    }
  }

  private get sqeSize(): number {
    return ((this.params?.flags ?? 0) & IORING_SETUP_SQE128) === 0 ? SQE.size : 2 * SQE.size;
  }

  private store({ region, at, bytes }: StoreEvent): void {
    const { params } = this;
    if (params === undefined) return;
    if (region === "sqes") {
      this.sqes.set(bytes.subarray(0, Math.max(0, this.sqes.length - at)), at);
      for (let slot = Math.floor(at / this.sqeSize); slot * this.sqeSize < at + bytes.length; slot++) this.filledAt.set(slot, this.step);
      return;
    }
    const { sqOff, cqOff } = params;
    if (at >= sqOff.array && sqOff.array > 0) {
      for (let i = 0; i + 4 <= bytes.length && (at - sqOff.array + i) >>> 2 < this.array.length; i += 4)
        this.array[(at - sqOff.array + i) >>> 2] = load32(bytes, i);
      return;
    }
    if (bytes.length !== 4) return;
    const value = load32(bytes, 0);
    const names = new Map<number, keyof Words>([
      [sqOff.head, "sqHead"],
      [sqOff.tail, "sqTail"],
      [cqOff.head, "cqHead"],
      [cqOff.tail, "cqTail"],
      [sqOff.flags, "sqFlags"],
      [sqOff.dropped, "sqDropped"],
      [cqOff.overflow, "cqOverflow"],
    ]);
    const name = names.get(at);
    if (name === undefined) return;
    if (name === "sqTail")
      for (let at32 = this.words.sqTail; at32 !== value && (value - at32) >>> 0 <= this.array.length; at32 = (at32 + 1) >>> 0)
        this.queuedAt.set(at32, this.step);
    this.words = { ...this.words, [name]: value };
  }

  private enter({ toSubmit, result }: EnterEvent): Lane[] {
    const { params } = this;
    if (params === undefined || (params.flags & IORING_SETUP_SQPOLL) !== 0) return [];
    const offered = Math.min(toSubmit, (this.words.sqTail - this.head) >>> 0, this.array.length);
    return this.take(Math.min(Math.max(result ?? offered, 0), offered));
  }

  /** Takes entries at the kernel's head; a link does not reach beyond a call. */
  private take(count: number): Lane[] {
    const lanes: Lane[] = [];
    const mask = this.array.length - 1;
    let behind: Lane | undefined;
    for (let i = 0; i < count; i++, this.head = (this.head + 1) >>> 0) {
      const slot = ((this.params?.flags ?? 0) & IORING_SETUP_NO_SQARRAY) === 0 ? (this.array[this.head & mask] ?? 0) : this.head & mask;
      if (slot >= this.array.length) continue; // dropped
      const lane = this.lane(slot, {
        filledAt: this.filledAt.get(slot),
        queuedAt: this.queuedAt.get(this.head),
        position: this.head,
        behind,
        takenAt: this.step,
      });
      this.filledAt.delete(slot);
      this.queuedAt.delete(this.head);
      behind = ((lane.sqe?.flags ?? 0) & (IOSQE_IO_LINK | IOSQE_IO_HARDLINK)) === 0 ? undefined : lane;
      lanes.push(lane);
    }
    return lanes;
  }

  private lane(slot: number, at: Pick<Lane, "filledAt" | "queuedAt" | "position" | "behind" | "takenAt">): Lane {
    const base = slot * this.sqeSize;
    const view = new DataView(this.sqes.buffer, base, SQE.size);
    const sqe: SqeFields = {
      opcode: view.getUint8(SQE.opcode),
      flags: view.getUint8(SQE.flags),
      fd: view.getInt32(SQE.fd, true),
      off: view.getBigUint64(SQE.off, true),
      addr: view.getBigUint64(SQE.addr, true),
      len: view.getUint32(SQE.len, true),
      opFlags: view.getUint32(SQE.op_flags, true),
      userData: view.getBigUint64(SQE.user_data, true),
    };
    return this.open({ name: OPCODE_NAMES[sqe.opcode] ?? `opcode ${sqe.opcode}`, userData: sqe.userData, sqe, ...at });
  }

  private open(lane: Omit<Lane, "id" | "endedAt" | "cqes">): Lane {
    const made: Lane = { id: this.lanes.length, endedAt: undefined, cqes: [], ...lane };
    this.lanes.push(made);
    return made;
  }

  private peek({ words, cqTail }: PeekEvent): Lane[] {
    const { params } = this;
    if (params === undefined) return [];
    const word = (offset: number): number => words[offset >>> 2] ?? 0;
    const { sqOff, cqOff } = params;
    this.words = {
      sqHead: word(sqOff.head),
      sqTail: word(sqOff.tail),
      cqHead: word(cqOff.head),
      cqTail,
      sqFlags: word(sqOff.flags),
      sqDropped: word(sqOff.dropped),
      cqOverflow: word(cqOff.overflow),
    };
    const ahead = (this.words.sqHead - this.head) >>> 0;
    return ahead <= (this.words.sqTail - this.head) >>> 0 && ahead <= this.array.length ? this.take(ahead) : [];
  }

  /** The oldest request under way with this user_data. */
  private underWay(userData: bigint): Lane | undefined {
    return this.lanes.find((lane) => lane.takenAt !== undefined && lane.endedAt === undefined && lane.userData === userData);
  }

  /** The poll that was given this user_data by an update. */
  private renamed(userData: bigint): Lane | undefined {
    const update = this.lanes.findLast(
      ({ name, sqe }) => name === "POLL_REMOVE" && sqe?.off === userData && (sqe.len & IORING_POLL_UPDATE_USER_DATA) !== 0,
    );
    return update?.sqe === undefined ? undefined : this.underWay(update.sqe.addr);
  }

  /** Gives a CQE to the oldest request that it can belong to; what MSG_RING sends is none's. */
  private complete(cqe: SeenCqe): Lane {
    const { userData, res, flags, slot } = cqe;
    const sent = (): boolean => this.lanes.some(({ name, sqe }) => name === "MSG_RING" && sqe?.off === userData);
    const lane =
      this.underWay(userData) ??
      this.renamed(userData) ??
      this.open({
        name: sent() ? "message" : "?",
        userData,
        sqe: undefined,
        filledAt: undefined,
        queuedAt: undefined,
        position: undefined,
        takenAt: this.step,
        behind: undefined,
      });
    lane.cqes.push({ step: this.step, res, flags });
    if ((flags & IORING_CQE_F_MORE) === 0) lane.endedAt = this.step;
    this.laneInSlot.set(slot, lane.id);
    return lane;
  }

  /** Lanes of the CQEs between head and tail. */
  private visible(): number[] {
    const { cqHead, cqTail } = this.words;
    const entries = this.params?.cqEntries ?? 0;
    const count = Math.min((cqTail - cqHead) >>> 0, entries, LISTED_MAX);
    return Array.from({ length: count }, (_, i) => this.laneInSlot.get((cqHead + i) & (entries - 1)) ?? -1);
  }
}
