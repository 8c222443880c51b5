// Seeded bugs of io_uring_setup.
import { onModel } from "../bug.ts";

export const SETUP = onModel([
  {
    id: "cq-not-doubled", title: "the CQ is as large as the SQ",
    origin: ["S6", "liburing test/cq-size.c"], rules: ["setup.cq-default-twice"],
    patches: [
      { file: "setup", from: "return { sqEntries: sq, cqEntries: 2 * sq };", to: "return { sqEntries: sq, cqEntries: sq };" },
    ],
  },
  {
    id: "cqsize-must-be-larger", title: "a CQ no larger than the SQ is refused, as the manual says",
    origin: ["S7", "liburing test/cq-size.c"], rules: ["setup.cqsize"],
    patches: [
      { file: "setup", from: "if (cq < sq) return -EINVAL;", to: "if (cq <= sq) return -EINVAL;" },
    ],
  },
  {
    id: "cq-entries-read-always", title: "cq_entries is looked at without IORING_SETUP_CQSIZE",
    origin: ["S7"], rules: ["setup.cq-entries-ignored"],
    patches: [
      { file: "setup", from: "if ((flags & IORING_SETUP_CQSIZE) === 0) return", to: "if ((flags & IORING_SETUP_CQSIZE) === 0 && cqEntries === 0) return" },
    ],
  },
  {
    id: "reserved-words-let-pass", title: "reserved words of io_uring_params may be anything",
    rare: "one hostile program in seventy sets a reserved word, which is one program in three hundred",
    origin: ["S1", "liburing test/io_uring_setup.c"], rules: ["setup.resv-zero"],
    patches: [
      { file: "setup", from: "if ((params.resv ?? []).some((word) => word !== 0)) return -EINVAL;", to: "" },
    ],
  },
  {
    id: "offsets-swapped", title: "sq_off.flags and sq_off.dropped are swapped",
    origin: ["S1", "S2"], rules: ["setup.offsets"],
    patches: [
      { file: "setup", from: "flags: WORD.sqFlags, dropped: WORD.sqDropped, array", to: "flags: WORD.sqDropped, dropped: WORD.sqFlags, array" },
    ],
  },
  {
    id: "array-offset-short", title: "sq_off.array is that of a CQ of 16-byte entries with IORING_SETUP_CQE32",
    origin: ["S4", "S6"], rules: ["setup.offsets-cqe32"],
    patches: [
      { file: "setup", from: "if ((flags & IORING_SETUP_CQE32) !== 0) bytes *= 2;", to: "if ((flags & IORING_SETUP_CQE32) !== 0) bytes += cqEntries * 16;" },
    ],
  },
  {
    id: "counters-not-zero", title: "a new ring begins with the flags of another",
    origin: ["S18"], rules: ["setup.starts-zero"],
    patches: [
      { file: "setup", from: "store32(bytes, WORD.cqRingMask, sizes.cqEntries - 1);", to: "store32(bytes, WORD.cqRingMask, sizes.cqEntries - 1);\n    store32(bytes, WORD.cqFlags, 1);" },
    ],
  },
]);
