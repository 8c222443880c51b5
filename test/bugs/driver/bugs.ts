// Seeded bugs of the userland half: patches of src/ring, and rings that mislead it as a wrong reading of
// io_uring_params or of the mappings would.
import type { DriverBug } from "../bug.ts";
import type { EnterArg, IoUringParams, Ring } from "../../../src/kernel.ts";
import { EINTR } from "../../../src/spec/constants.gen.ts";

/** The same ring with something else in it. */
const altered = (ring: Ring, change: Partial<Ring>): Ring => ({ ...ring, ...change });
const withParams = (ring: Ring, change: Partial<IoUringParams>): Ring => altered(ring, { params: { ...ring.params, ...change } });

/** Every third wait of the application is interrupted before it begins. */
function interrupted(ring: Ring): Ring {
  let waits = 0;
  const enter = (toSubmit: number, minComplete: number, flags: number, arg?: EnterArg): number =>
    minComplete > 0 && ++waits % 3 === 1 ? -EINTR : ring.enter(toSubmit, minComplete, flags, arg);
  return altered(ring, { enter });
}

const bugs: readonly Omit<DriverBug, "half">[] = [
  // What the kernel said of its rings.
  {
    id: "params-fields-missing", title: "io_uring_params without its four words behind flags: offsets are read 8 bytes early", origin: ["S1"], rules: ["setup.offsets"],
    mislead: (ring) => {
      const { sqOff, cqOff } = ring.params;
      return withParams(ring, {
        sqOff: { head: 0, tail: 0, ringMask: sqOff.head, ringEntries: sqOff.tail, flags: sqOff.ringMask, dropped: sqOff.ringEntries, array: sqOff.flags },
        cqOff: { ...cqOff, head: 0, tail: 0, ringMask: cqOff.head, ringEntries: cqOff.tail, overflow: cqOff.ringMask, cqes: cqOff.ringEntries },
      });
    },
  },
  {
    id: "one-layout-of-offsets", title: "cq_off is read in the order of sq_off: the CQEs begin where they do not", origin: ["S2"], rules: ["setup.offsets"],
    mislead: (ring) => withParams(ring, { cqOff: { ...ring.params.cqOff, overflow: 0, cqes: 0 } }),
  },
  {
    id: "sqes-mapped-elsewhere", title: "SQEs are mapped at an offset of the driver's own", origin: ["S5"], rules: ["mapping.sqes-apart"],
    mislead: (ring) => altered(ring, { sqes: new Uint8Array(ring.sqes.length) }),
  },
  {
    id: "cq-mapped-elsewhere", title: "the CQ ring is mapped behind the SQ ring, at sq_ring_size", origin: ["S5"], rules: ["mapping.single-mmap", "liveness.due"],
    mislead: (ring) => altered(ring, { cqRing: new Uint8Array(ring.cqRing.length) }),
  },
  {
    id: "cq-half-its-size", title: "the CQ is taken for half of what it is", origin: ["S6"], rules: ["setup.cq-default-twice", "setup.offsets", "cq.free-running"],
    mislead: (ring) => withParams(ring, { cqEntries: Math.max(1, ring.params.cqEntries / 2) }),
  },
  {
    id: "sqe-72-bytes", title: "an SQE takes 72 bytes", origin: ["S3"], rules: ["mapping.sqes-apart"],
    patches: [{ file: "sq", from: "this.slotWords = size / 4;", to: "this.slotWords = size / 4 + 2;" }],
  },
  {
    id: "cqe-32-bytes", title: "a CQE takes 32 bytes", origin: ["S4"], rules: ["setup.offsets", "cq.big-half"],
    patches: [
      { file: "cq", from: "this.#slotWords = (params.flags & IORING_SETUP_CQE32) === 0 ? CQE_WORDS : 2 * CQE_WORDS;", to: "this.#slotWords = 2 * CQE_WORDS;" },
      { file: "cq", from: "if (ring.cqRing.byteLength < cqOff.cqes + params.cqEntries * this.#slotWords * 4)", to: "if (false)" },
    ],
  },
  // The submission queue.
  {
    id: "sq-room-plain-arithmetic", title: "tail - head of the SQ without the modulus, in the driver", origin: ["S8"], rules: ["sq.tail-clamped", "sq.free-running", "mapping.sqes-apart"],
    patches: [
      { file: "sq", from: "if (((tail - this.#head) >>> 0) >= this.entries) { this.#head", to: "if (tail - this.#head >= this.entries) {\n            this.#head" },
      { file: "sq", from: "if (((tail - this.#head) >>> 0) >= this.entries) return -1;", to: "if (tail - this.#head >= this.entries) return -1;" },
    ],
  },
  {
    id: "sq-slot-never-used", title: "the SQ counts as full with one slot free", origin: ["S9"], rules: ["sq.free-running", "enter.returns-consumed"],
    patches: [{ file: "sq", from: "if (((tail - this.#head) >>> 0) >= this.entries) return -1;", to: "if (((tail + 1 - this.#head) >>> 0) >= this.entries) return -1;" },
      { file: "sq", from: "if (((tail - this.#head) >>> 0) >= this.entries) { this.#head", to: "if (((tail + 1 - this.#head) >>> 0) >= this.entries) {\n            this.#head" }],
  },
  {
    id: "full-sq-overwrites", title: "where the SQ is full the last entry is handed out again", origin: ["S16", "#2"], rules: ["enter.returns-consumed", "sq.array-index", "sq.user-data", "mapping.sqes-apart"],
    patches: [{ file: "sq", from: "return -1;", to: "{ this.#tail = (tail - 1) >>> 0; this.#serial--; return this.next(); }" }],
  },
  {
    id: "stale-sqe-fields", title: "an SQE keeps the fields of its slot's last use", origin: ["#3", "S18", "fio#818", "L#690"], rules: ["sq.entry-reusable", "rw.current-position", "timeout.count-satisfied", "poll.wake-mask", "nop.flags-checked", "cancel.keys"],
    patches: [{ file: "sq", from: "for (let at = from; at < from + (this.slotWords >>> 1); at++) pairs[at] = 0;", to: "" }],
  },
  {
    id: "sqe-touched-after-publish", title: "an SQE is cleared once it was published, whether it was read or not", origin: ["#2", "L#514"], rules: ["sqpoll.sqe-torn"],
    patches: [{ file: "ring-driver", from: "const published = sq.handedOut - sq.publishedSerial; sq.publish();", to: "const published = sq.handedOut - sq.publishedSerial;\n        sq.publish();\n        if (published > 0) sq.sqes.fill(0);" }],
  },
  {
    id: "tail-published-short", title: "the tail is published without the newest entry", origin: ["#13"],
    // A thread that polls submits what is published, and no call says how many.
    rules: ["enter.returns-consumed", "sqpoll.submits"],
    patches: [{ file: "sq", from: "Atomics.store(this.#ring, this.#tailAt, this.#tail);", to: "Atomics.store(this.#ring, this.#tailAt, (this.#tail - 1) >>> 0);" }],
  },
  {
    id: "short-submit-hidden", rare: "half of 20 seeds take 164 programs or more", title: "submit() says that all was taken, whatever was", origin: ["#9", "S17", "netty#14718"], rules: ["enter.returns-consumed"],
    patches: [{ file: "ring-driver", from: "const result = this.#ring.enter(queued, 0, 0);", to: "const result = Math.max(queued, this.#ring.enter(queued, 0, 0));" }],
  },
  {
    id: "short-submit-drops-rest", title: "what a call did not take is forgotten, and the queue cleared", origin: ["#9", "S16", "S17"], rules: ["enter.returns-consumed"],
    patches: [{ file: "sq", from: "return (this.#tail - this.#head) >>> 0;", to: "return this.#published === this.#tail && this.#asked++ % 2 === 1 ? 0 : (this.#tail - this.#head) >>> 0;" },
      { file: "sq", from: "#publishedSerial = 0;", to: "#publishedSerial = 0;\n    #asked = 0;" }],
  },
  {
    id: "minus-one-skipped", title: "entries with a negative descriptor are skipped in silence", origin: ["S15"], rules: ["sq.user-data", "mapping.sqes-apart"],
    patches: [{ file: "preparation", from: "sqes[at + HEAD] = opcode | (flags << 8) | (ioprio << 16);", to: "if (fd < 0) { entry.prepared = true; return at; }\n        sqes[at + HEAD] = opcode | (flags << 8) | (ioprio << 16);" }],
  },
  {
    id: "own-opcode-numbers", title: "READ has the number 0", origin: ["S25"], rules: ["submit.invalid-opcode"],
    patches: [{ file: "preparation", from: "sqes[at + HEAD] = opcode | (flags << 8) | (ioprio << 16);", to: "sqes[at + HEAD] = (opcode === 22 ? 0 : opcode) | (flags << 8) | (ioprio << 16);" }],
  },
  {
    id: "offset-low-half", title: "of an offset the low 32 bits are written", origin: ["S3"], rules: ["rw.current-position"],
    patches: [{ file: "preparation", from: "this.#sqes[at + OFF + 1] = split.high;", to: "" }],
  },
  {
    id: "sqe-flags-lost", title: "IOSQE_* bits are not written", origin: ["#7"], rules: ["submit.invalid-flags", "link.collects"],
    patches: [{ file: "preparation", from: "sqes[at + HEAD] = opcode | (flags << 8) | (ioprio << 16);", to: "sqes[at + HEAD] = opcode | (ioprio << 16);" }],
  },
  {
    id: "scratch-shared", title: "iovecs and times of several requests lie in one place", origin: ["#4", "L#72"], rules: ["sq.stable-arguments"],
    patches: [{ file: "scratch", from: "const idle = this.#idle.get(bytes)?.pop() ?? this.#grow(bytes);", to: "const kept = this.#idle.get(bytes) ?? [this.#grow(bytes)];\n        this.#idle.set(bytes, kept);\n        const idle = kept[0];" }],
  },
  {
    id: "scratch-freed-before-submit", title: "a request's iovec, path or time is written over once the next is prepared", origin: ["#4", "#5", "L#77", "L#965"], rules: ["sq.stable-arguments"],
    patches: [{ file: "scratch", from: "this.#inUse++;", to: "this.#inUse++;\n        this.last?.fill(0xff);\n        this.last = idle.region.bytes;" }],
  },
  {
    id: "path-not-terminated", title: "a path is not ended by a NUL", origin: ["#4"], rules: ["sq.stable-arguments"],
    patches: [{ file: "submission", from: "block.region.bytes[bytes.length] = 0;", to: "block.region.bytes[bytes.length] = 0x78;" }],
  },
  {
    id: "timespec-not-split", title: "tv_nsec holds all the nanoseconds", origin: ["#8"], rules: ["sq.stable-arguments"],
    patches: [{ file: "submission", from: "block.view.setBigInt64(KERNEL_TIMESPEC.tv_nsec, ns % NS_PER_SECOND, true);", to: "block.view.setBigInt64(KERNEL_TIMESPEC.tv_nsec, ns, true);" }],
  },
  {
    id: "timeout-counts-one", title: "a TIMEOUT without a count counts one completion, as liburing's did", origin: ["#16", "L#18"], rules: ["timeout.count-satisfied", "timeout.pure-timer"],
    patches: [{ file: "submission", from: "if (count !== 0) to.setOffset(at, BigInt(count));", to: "to.setOffset(at, BigInt(Math.max(count, 1)));" }],
  },
  {
    id: "vector-length-in-bytes", title: "len of a READV is the number of bytes", origin: ["#4"], rules: ["rw.bad-vector"],
    patches: [{ file: "submission", from: "to.setLength(at, places.length);", to: "to.setLength(at, places.reduce((sum, place) => sum + place.length, 0));" }],
  },
  {
    id: "chain-split-by-own-request", title: "a request of the driver's own is put into an open chain", origin: ["#7", "L#769"], rules: ["link.in-sequence"],
    patches: [{ file: "readiness", from: "if (!this.#chainEnded()) return;", to: "" }],
  },
  // Readiness.
  {
    id: "poll-events-in-addr", title: "poll events are written to addr", origin: ["S19"], rules: ["poll.wake-mask"],
    patches: [{ file: "readiness", from: "sqes[at + (SQE.poll32_events >>> 2)] = poll.mask;", to: "sqes[at + (SQE.addr >>> 2)] = poll.mask;" }],
  },
  {
    id: "readiness-user-data-is-fd", title: "a readiness poll has its descriptor as user_data", origin: ["S20"], rules: ["sq.user-data"],
    patches: [{ file: "readiness", from: "sqes[at + (SQE.user_data >>> 2) + 1] = pollHigh(poll.sequence);", to: "" }],
  },
  {
    id: "readiness-one-sequence", rare: "half of 20 seeds take 144.5 programs or more", title: "readiness polls of one descriptor share their user_data", origin: ["S20"], rules: ["sq.user-data", "multishot.more-flag"],
    patches: [{ file: "readiness", from: "this.#sequence = (this.#sequence + 1) % SEQUENCES; if (!this.#polls.has(this.#sequence) && !this.#removals.has(this.#sequence)) return this.#sequence;", to: "return 0;" }],
  },
  {
    id: "multishot-not-rearmed", title: "a multishot poll that ended is not armed again", origin: ["#14", "L#805"], rules: ["multishot.more-flag"],
    patches: [{ file: "readiness", from: "if (!retired && res >= 0 && !poll.oneshot) { this.#request({ kind: \"add\", poll }); return false; }", to: "if (!retired && res >= 0 && !poll.oneshot) return false;" }],
  },
  {
    id: "multishot-armed-twice", title: "a multishot poll is armed again at every event", origin: ["#14"], rules: ["multishot.more-flag"],
    patches: [{ file: "readiness", from: "if (!ended) return poll.retired;", to: "if (!ended && !poll.retired) this.#request({ kind: \"add\", poll });\n        if (!ended) return poll.retired;" }],
  },
  {
    id: "interest-left-over", rare: "half of 20 seeds take 201 programs or more", title: "deregister() does not remove its poll", origin: ["S18", "#19"], rules: ["poll.remove-results"],
    patches: [{ file: "readiness", from: "poll.retired = true; this.#remove(poll);", to: "poll.retired = true;" }],
  },
  // The completion queue.
  {
    id: "head-never-advanced", title: "the reap loop does not advance its own head", origin: ["S11"], rules: ["submit.one-cqe-each", "cq.free-running"],
    patches: [{ file: "cq", from: "this.#head = (this.#head + (long ? 2 : 1)) >>> 0;", to: "" }],
  },
  {
    id: "cq-head-not-stored", title: "cq.head is not stored", origin: ["S12"], rules: ["liveness.due", "overflow.flush-fills", "overflow.flush-getevents"],
    patches: [{ file: "cq", from: "Atomics.store(this.#ring, this.#headAt, this.#head);", to: "" }],
  },
  {
    id: "head-published-as-tail", title: "cq.head is stored as the tail: what was not looked at is given back", origin: ["S12", "S13"], rules: ["cq.free-running", "setup.offsets", "enter.counts-unconsumed"],
    patches: [{ file: "cq", from: "this.#head = (this.#head + (long ? 2 : 1)) >>> 0;", to: "this.#head = Atomics.load(this.#ring, this.#tailAt) + (long ? 0 : 0);" }],
  },
  {
    id: "cq-room-plain-arithmetic", title: "tail - head of the CQ without the modulus: nothing comes out past 2^32", origin: ["S8", "S12"], rules: ["cq.free-running", "enter.counts-unconsumed"],
    patches: [
      { file: "cq", from: "if (((this.#tail - this.#head) >>> 0) <= nth) {", to: "if (this.#tail - this.#head <= nth) {" },
      { file: "cq", from: "if (((this.#tail - this.#head) >>> 0) <= nth) return -1;", to: "if (this.#tail - this.#head <= nth) return -1;" },
    ],
  },
  {
    id: "cq-mask-is-size", title: "a slot of the CQ is the index masked with the size", origin: ["S13"], rules: ["cq.free-running", "setup.offsets"],
    patches: [{ file: "cq", from: "this.#mask = this.entries - 1;", to: "this.#mask = this.entries;" }],
  },
  {
    id: "newest-first", title: "of two completions the second is taken first", origin: ["#17"], rules: ["cq.free-running", "submit.one-cqe-each"],
    patches: [{ file: "cq", from: "return this.#cqesAt + ((this.#head + nth) & this.#mask)", to: "const swapped = nth === 0 && ((this.#tail - this.#head) >>> 0) > 1 ? 1 : nth;\n        return this.#cqesAt + ((this.#head + swapped) & this.#mask)" }],
  },
  {
    id: "errno-lost", title: "every negative result becomes -1", origin: ["S14"], rules: ["submit.result-in-cqe"],
    patches: [{ file: "cq", from: "return (this.#ring[at + RES] ?? 0) | 0;", to: "return Math.max((this.#ring[at + RES] ?? 0) | 0, -1);" }],
  },
  {
    id: "result-unsigned", title: "results are read as unsigned", origin: ["S14"], rules: ["submit.result-in-cqe"],
    patches: [{ file: "cq", from: "return (this.#ring[at + RES] ?? 0) | 0;", to: "return (this.#ring[at + RES] ?? 0) >>> 0;" }],
  },
  {
    id: "cqe-flags-lost", title: "the flags of a CQE are not handed on", origin: ["#14"], rules: ["multishot.more-flag"],
    patches: [{ file: "cq", from: "return this.#ring[at + FLAGS] ?? 0;", to: "return 0;" }],
  },
  {
    id: "user-data-low-half", title: "user_data comes back with its low 32 bits", origin: ["S20"], rules: ["sq.user-data", "setup.offsets"],
    patches: [{ file: "inbox", from: "return { userData: joinU64(low, high), res, flags };", to: "return { userData: joinU64(low, 0), res, flags };" }],
  },
  {
    id: "sifted-completion-lost", title: "completions that are set aside while the driver waits are lost but for the first", origin: ["#11", "S13"], rules: ["cq.free-running", "liveness.due"],
    patches: [{ file: "inbox", from: "if (completion !== null) this.#held.push(completion);", to: "if (completion !== null && this.#held.length === 0) this.#held.push(completion);" }],
  },
  {
    id: "backlog-not-noticed", title: "the driver never asks for the backlog", origin: ["#1", "S24", "tokio#8277", "libuv#3991"], rules: ["overflow.flush-getevents"],
    patches: [{ file: "inbox", from: "(this.#sq.flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) === 0", to: "(this.#sq.flags & IORING_SQ_TASKRUN) === 0" }],
  },
  {
    id: "task-work-flag-not-noticed", title: "the driver does not look at IORING_SQ_TASKRUN", origin: ["#12", "L#1474"], rules: ["taskrun.flag-set"],
    patches: [{ file: "inbox", from: "(this.#sq.flags & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) === 0", to: "(this.#sq.flags & IORING_SQ_CQ_OVERFLOW) === 0" }],
  },
  {
    id: "deferred-work-not-asked-for", title: "on a ring that defers task work the driver only looks at the CQ", origin: ["#12", "T#263"], rules: ["taskrun.defer-getevents"],
    patches: [{ file: "inbox", from: "this.#asksBlindly = (flags & IORING_SETUP_DEFER_TASKRUN) !== 0 && (flags & IORING_SETUP_TASKRUN_FLAG) === 0;", to: "this.#asksBlindly = false;" }],
  },
  // Waits.
  {
    id: "thread-not-woken", title: "IORING_SQ_NEED_WAKEUP is not looked at", origin: ["#13", "L#541", "T#281"], rules: ["sqpoll.need-wakeup", "liveness.due"],
    patches: [{ file: "ring-driver", from: "if ((sq.flags & IORING_SQ_NEED_WAKEUP) !== 0) {", to: "if (false) {" }],
  },
  {
    id: "wait-flag-two", title: "a wait passes flag 2 where it means IORING_ENTER_EXT_ARG", origin: ["S21"], rules: ["enter.ext-arg-size", "enter.sigmask-checked"],
    patches: [{ file: "waiting", from: "IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG, this.#arg", to: "IORING_ENTER_GETEVENTS | 2, this.#arg" }],
  },
  {
    id: "wait-argument-is-timespec", title: "a wait passes a timespec where the kernel wants io_uring_getevents_arg", origin: ["S21"], rules: ["enter.ext-arg-size"],
    patches: [{ file: "waiting", from: "this.#arg = { addr: region.addr, size: GETEVENTS_ARG.size };", to: "this.#arg = { addr: region.addr + BigInt(GETEVENTS_ARG.size), size: KERNEL_TIMESPEC.size };" }],
  },
  {
    id: "wait-size-missing", title: "the sixth argument of io_uring_enter is missing", origin: ["S22"], rules: ["enter.ext-arg-size"],
    patches: [{ file: "waiting", from: "this.#arg = { addr: region.addr, size: GETEVENTS_ARG.size };", to: "this.#arg = { addr: region.addr, size: 0 };" }],
  },
  {
    id: "wait-in-microseconds", title: "the time of a wait is passed in microseconds", origin: ["S21"], rules: ["enter.timeout-etime"],
    patches: [{ file: "waiting", from: "this.#timespec.setBigInt64(KERNEL_TIMESPEC.tv_nsec, ns % NS_PER_SECOND, true);", to: "this.#timespec.setBigInt64(KERNEL_TIMESPEC.tv_nsec, (ns % NS_PER_SECOND) / 1000n, true);" }],
  },
  {
    id: "interrupt-is-fatal", title: "a wait that is interrupted counts as refused", origin: ["#10", "turso#8793"], rules: ["enter.getevents-waits"], mislead: interrupted,
    patches: [{ file: "waiting", from: "&& result !== -EINTR)", to: ")" }],
  },
  {
    id: "interrupt-ends-wait", title: "a wait that is interrupted says that its time is over", origin: ["#10", "L#1280"], rules: ["enter.timeout-etime"], mislead: interrupted,
    patches: [{ file: "waiting", from: "if ((result === -ETIME && whole) || leftNs <= 0n)", to: "if ((result === -ETIME && whole) || leftNs <= 0n || result === -EINTR)" }],
  },
  {
    id: "wait-invents-completions", title: "a wait that ran out says that what it waited for is there", origin: ["#11", "L#1252"], rules: ["enter.counts-unconsumed"],
    patches: [{ file: "waiting", from: "if ((result === -ETIME && whole) || leftNs <= 0n) return { count: ready, timedOut: true };", to: "if ((result === -ETIME && whole) || leftNs <= 0n)\n                return { count, timedOut: true };" }],
  },
];

export const DRIVER: readonly DriverBug[] = bugs.map((bug) => ({ ...bug, half: "driver" }));
