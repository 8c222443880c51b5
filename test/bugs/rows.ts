// The real bug classes that seeded bugs are made of, by their rows: #1 to #23 are classes that people hit, S1 to S25
// the faults of the driver that this project was created from. A row without a bug says why it has none.
export interface Row {
  readonly row: string;
  readonly about: string;
  /** Why no seeded bug stands for it, or what of it is left out. */
  readonly not?: string;
}

const NO_BARRIERS = "JavaScript's stores to ring memory are made one after the other by one thread, and the model's kernel moves between them only where it is asked to: a missing barrier has no effect to see. What it would show is seeded in the kernel (tail-before-entry) and in the shim (shim-entry-torn)";

export const ROWS: readonly Row[] = [
  { row: "#1", about: "CQ overflow not flushed" },
  { row: "#2", about: "SQE touched after it was submitted" },
  { row: "#3", about: "stale SQE fields or user_data" },
  { row: "#4", about: "iovec or timespec freed before the kernel read it" },
  { row: "#5", about: "buffer freed on cancel or on a failed submit", not: "data buffers are the application's in this driver's interface: only what the driver itself allocates (iovec, path, time) can be freed early" },
  { row: "#6", about: "short read breaks a link", not: "of sockets there is nothing in programs yet: the half about recv is left out" },
  { row: "#7", about: "chain ends at the submit boundary, or is split" },
  { row: "#8", about: "timeouts in chains, link timeouts" },
  { row: "#9", about: "partial submit" },
  { row: "#10", about: "EINTR fatal or lost" },
  { row: "#11", about: "CQE used although the wait failed" },
  { row: "#12", about: "deferred task work never run" },
  { row: "#13", about: "SQPOLL wake-up", not: NO_BARRIERS },
  { row: "#14", about: "multishot that ended not rearmed, or armed twice" },
  { row: "#15", about: "provided buffer ids", not: "neither the model nor the driver has provided buffers: no program can register a group" },
  { row: "#16", about: "timeout count" },
  { row: "#17", about: "completion order" },
  { row: "#18", about: "cancel races" },
  { row: "#19", about: "close() believed to cancel, recycled descriptors" },
  { row: "#20", about: "fixed files, direct close", not: "no file table can be registered in programs: only plain descriptors are covered" },
  { row: "#21", about: "CQE_SKIP_SUCCESS with links" },
  { row: "#22", about: "RLIMIT_MEMLOCK, asynchronous teardown" },
  { row: "#23", about: "EAGAIN or EBUSY from enter" },
  { row: "S1", about: "io_uring_params lacks fields" },
  { row: "S2", about: "one layout for both rings' offsets" },
  { row: "S3", about: "SQE of 72 bytes" },
  { row: "S4", about: "CQE of 32 bytes" },
  { row: "S5", about: "mappings at offsets of its own" },
  { row: "S6", about: "CQ ring sized by a field that is not there" },
  { row: "S7", about: "sizes passed where the kernel wants zero" },
  { row: "S8", about: "index arithmetic without the modulus" },
  { row: "S9", about: "one slot never used" },
  { row: "S10", about: "no acquire and release", not: NO_BARRIERS },
  { row: "S11", about: "reap loop never advances" },
  { row: "S12", about: "head and tail of two spaces mixed" },
  { row: "S13", about: "completions overwritten" },
  { row: "S14", about: "errno lost" },
  { row: "S15", about: "entries with fd < 0 skipped" },
  { row: "S16", about: "entries dropped where the SQ is full" },
  { row: "S17", about: "short submit ignored" },
  { row: "S18", about: "fields left in register and deregister" },
  { row: "S19", about: "poll events in addr" },
  { row: "S20", about: "descriptor as user data" },
  { row: "S21", about: "wrong flag and wrong argument of a wait" },
  { row: "S22", about: "sixth argument missing" },
  { row: "S23", about: "unmapped by the requested size", not: "the port unmaps what it mapped, and no driver can tell it a size" },
  { row: "S24", about: "overflow never noticed" },
  { row: "S25", about: "opcode numbers of its own" },
];
