// Readiness interest on POLL_ADD and POLL_REMOVE. Every poll has user data of its own (a tag, a
// sequence number, the descriptor), so polls collide neither with each other nor with I/O. An interest
// is one poll at a time: a multishot that ended (no F_MORE) is armed again, a retired one is removed and
// what it still posts is swallowed. Not level-triggered: a poll reports what is ready when it is armed,
// and each wake-up after that.
import type { Interest } from "../driver.ts";
import type { Fd } from "../kernel.ts";
import { SQE } from "../spec/codec.gen.ts";
import {
  EALREADY,
  EPOLLET,
  IORING_CQE_F_MORE,
  IORING_OP_POLL_ADD,
  IORING_OP_POLL_REMOVE,
  IORING_POLL_ADD_MULTI,
  POLLIN,
  POLLOUT,
  POLLPRI,
} from "../spec/constants.gen.ts";
import type { SubmissionQueue } from "./sq.ts";
import { isPoll, isReserved, pollHigh, removalHigh } from "./user-data.ts";

interface Poll {
  readonly fd: Fd;
  readonly mask: number;
  readonly oneshot: boolean;
  readonly sequence: number;
  /** A POLL_ADD of it is queued or armed: a final CQE is still to come. */
  armed: boolean;
  /** Deregistered or replaced: what it still posts is nobody's. */
  retired: boolean;
}

interface Request {
  readonly kind: "add" | "remove";
  readonly poll: Poll;
}

const SEQUENCES = 0x1_0000;

export class Readiness {
  readonly #sq: SubmissionQueue;
  /** May a request follow the newest entry, or would it join that entry's chain? */
  readonly #chainEnded: () => boolean;
  readonly #interests = new Map<Fd, Poll>();
  /** Polls by sequence number, from their first POLL_ADD to their last CQE. */
  readonly #polls = new Map<number, Poll>();
  /** Polls with a POLL_REMOVE under way, by sequence number. */
  readonly #removals = new Map<number, Poll>();
  /** Requests that found no place in the queue yet, in order. */
  readonly #backlog: Request[] = [];
  /** Serials of our entries that the kernel has not taken. */
  readonly #queued: number[] = [];
  #sequence = 0;

  constructor(sq: SubmissionQueue, chainEnded: () => boolean) {
    this.#sq = sq;
    this.#chainEnded = chainEnded;
  }

  /** Can a CQE of ours still come? */
  get active(): boolean {
    return this.#polls.size > 0 || this.#removals.size > 0;
  }
  /** Entries of ours in the queue that the kernel has not taken. */
  get queued(): number {
    return this.#queued.length;
  }
  get waiting(): number {
    return this.#backlog.length;
  }
  has(fd: Fd): boolean {
    return this.#interests.has(fd);
  }

  register(fd: Fd, interest: Interest): void {
    if (this.#interests.has(fd)) throw new Error(`descriptor ${fd} is registered already: modify(${fd}, ...) changes its interest`);
    const poll: Poll = {
      fd,
      mask: maskOf(interest),
      oneshot: interest.oneshot === true,
      sequence: this.#nextSequence(),
      armed: true,
      retired: false,
    };
    this.#interests.set(fd, poll);
    this.#polls.set(poll.sequence, poll);
    this.#request({ kind: "add", poll });
  }

  modify(fd: Fd, interest: Interest): void {
    maskOf(interest);
    this.deregister(fd);
    this.register(fd, interest);
  }

  /** Ends the interest; its sequence, for whoever still holds completions of it. */
  deregister(fd: Fd): void {
    const poll = this.#interests.get(fd);
    if (poll === undefined)
      throw new Error(`descriptor ${fd} is not registered for readiness (a oneshot interest is gone once its event was looked at)`);
    this.#interests.delete(fd);
    poll.retired = true;
    this.#remove(poll);
  }

  #remove(poll: Poll): void {
    this.#removals.set(poll.sequence, poll);
    this.#request({ kind: "remove", poll });
  }

  #nextSequence(): number {
    for (let tries = 0; tries < SEQUENCES; tries++) {
      this.#sequence = (this.#sequence + 1) % SEQUENCES;
      if (!this.#polls.has(this.#sequence) && !this.#removals.has(this.#sequence)) return this.#sequence;
    }
    throw new Error(`${SEQUENCES} readiness polls are in flight: deregister some`);
  }

  #request(request: Request): void {
    this.#backlog.push(request);
    this.place();
  }

  /** Moves requests that wait into the queue while there is room and no chain of the application is open. */
  place(): void {
    while (this.#backlog.length > 0) {
      if (!this.#chainEnded()) return;
      const serial = this.#sq.handedOut;
      const slot = this.#sq.next();
      if (slot < 0) return;
      const request = this.#backlog.shift();
      if (request === undefined) return;
      this.#write(slot * this.#sq.slotWords, request);
      this.#queued.push(serial);
    }
  }

  #write(at: number, { kind, poll }: Request): void {
    const { sqes } = this.#sq;
    const low = poll.fd >>> 0;
    sqes[at + (SQE.user_data >>> 2)] = low;
    if (kind === "add") {
      sqes[at + (SQE.opcode >>> 2)] = IORING_OP_POLL_ADD;
      sqes[at + (SQE.fd >>> 2)] = poll.fd;
      sqes[at + (SQE.len >>> 2)] = poll.oneshot ? 0 : IORING_POLL_ADD_MULTI;
      sqes[at + (SQE.poll32_events >>> 2)] = poll.mask;
      sqes[at + (SQE.user_data >>> 2) + 1] = pollHigh(poll.sequence);
    } else {
      sqes[at + (SQE.opcode >>> 2)] = IORING_OP_POLL_REMOVE;
      sqes[at + (SQE.fd >>> 2)] = -1;
      sqes[at + (SQE.addr >>> 2)] = low;
      sqes[at + (SQE.addr >>> 2) + 1] = pollHigh(poll.sequence);
      sqes[at + (SQE.user_data >>> 2) + 1] = removalHigh(poll.sequence);
    }
  }

  /** Is the queued entry with this serial one of ours? */
  isOwn(serial: number): boolean {
    return this.#queued.at(-1) === serial;
  }

  /** The kernel took every entry below `taken`; how many of them were ours. */
  consumed(taken: number): number {
    let count = 0;
    while (this.#queued.length > 0 && (this.#queued[0] ?? taken) < taken) {
      this.#queued.shift();
      count++;
    }
    return count;
  }

  /** Would a completion with this user data be swallowed? */
  isSilent(high: number): boolean {
    if (!isReserved(high)) return false;
    if (!isPoll(high)) return true;
    return this.#polls.get(high & 0xffff)?.retired === true;
  }

  /** Takes in a completion of ours; true: it is not for the application. */
  settle(high: number, res: number, flags: number): boolean {
    const sequence = high & 0xffff;
    if (!isPoll(high)) {
      const poll = this.#removals.get(sequence);
      this.#removals.delete(sequence);
      // The poll was just being completed: it may stay armed, so it is removed once more.
      if (res === -EALREADY && poll !== undefined && poll.armed) this.#remove(poll);
      return true;
    }
    const poll = this.#polls.get(sequence);
    if (poll === undefined) return false;
    const ended = (flags & IORING_CQE_F_MORE) === 0;
    if (!ended) return poll.retired;
    const { retired } = poll;
    if (!retired && res >= 0 && !poll.oneshot) {
      this.#request({ kind: "add", poll });
      return false;
    }
    poll.armed = false;
    this.#polls.delete(sequence);
    if (!retired) this.#interests.delete(poll.fd);
    return retired;
  }
}

/** Poll events of an interest. Throws where it asks for nothing. */
function maskOf(interest: Interest): number {
  const { readable = false, writable = false, priority = false, edge = false } = interest;
  if (!readable && !writable && !priority)
    throw new Error("an interest needs at least one of readable, writable and priority: deregister() ends it");
  const events = (readable ? POLLIN : 0) | (writable ? POLLOUT : 0) | (priority ? POLLPRI : 0);
  return (events | (edge ? EPOLLET : 0)) >>> 0;
}
