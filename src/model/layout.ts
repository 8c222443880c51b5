// Where the words of a ring are: struct io_rings as every kernel since 5.4 lays it out. The values
// reach the application through io_uring_params; it must not assume them, the model may.
export const WORD = {
  sqHead: 0,
  sqTail: 4,
  cqHead: 8,
  cqTail: 12,
  sqRingMask: 16,
  cqRingMask: 20,
  sqRingEntries: 24,
  cqRingEntries: 28,
  sqDropped: 32,
  sqFlags: 36,
  cqFlags: 40,
  cqOverflow: 44,
} as const;

/** CQEs follow the words. */
export const CQES = 64;
