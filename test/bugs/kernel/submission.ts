// Seeded bugs of the submission side: how many SQEs a call takes, where it stops, what becomes of the rest.
import { onModel } from "../bug.ts";

export const SUBMISSION = onModel([
  {
    id: "failed-preparation-goes-on", title: "a request that fails at submission does not end the batch",
    origin: ["#9", "liburing test/submit-and-wait.c"], rules: ["submit.prep-error-stops"],
    patches: [
      { file: "submit", from: "return (m.ring.flags & IORING_SETUP_SUBMIT_ALL) !== 0;", to: "return true;" },
    ],
  },
  {
    id: "submit-all-ignored", title: "IORING_SETUP_SUBMIT_ALL has no effect",
    origin: ["#9", "liburing test/submit-link-fail.c"], rules: ["submit.submit-all"],
    patches: [
      { file: "submit", from: "return (m.ring.flags & IORING_SETUP_SUBMIT_ALL) !== 0;", to: "return false;" },
    ],
  },
  {
    id: "failed-issue-stops", title: "a request that fails when it is issued ends the batch too",
    origin: ["#9"], rules: ["submit.issue-error-goes-on"],
    patches: [
      { file: "submit", from: "const failed = submitSqe(m, sqe);", to: "const before = m.ring.completing.length; const failed = submitSqe(m, sqe) || (m.requests.get(m.ring.completing[before] ?? 0)?.res ?? 0) === -9;" },
    ],
  },
  {
    id: "one-sqe-a-call", title: "a call takes one SQE, whatever it was asked",
    origin: ["S17"], rules: ["enter.returns-consumed"],
    patches: [
      { file: "submit", from: "Math.min(toSubmit >>> 0, publishedEntries(m))", to: "Math.min(toSubmit >>> 0, publishedEntries(m), 1)" },
    ],
  },
  {
    id: "sq-wrap-plain-arithmetic", title: "tail - head of the SQ without the modulus: nothing is submitted past 2^32",
    origin: ["S8"], rules: ["sq.free-running"],
    patches: [
      { file: "submit", from: "const published = (tail - ring.cachedSqHead) >>> 0;", to: "const published = Math.max(0, tail - ring.cachedSqHead);" },
    ],
  },
  {
    id: "one-slot-unused", title: "a full SQ counts as one entry less",
    origin: ["S9"], rules: ["enter.returns-consumed", "sq.tail-clamped"],
    patches: [
      { file: "submit", from: "return published;", to: "return Math.min(published, Math.max(1, ring.sqEntries - 1));" },
    ],
  },
  {
    id: "dropped-goes-on", title: "an index that names no SQE is passed over and the batch goes on",
    origin: ["S16"], rules: ["sq.dropped-stops"],
    patches: [
      { file: "submit", from: "const sqe = getSqe(m);", to: "const sqe = getSqe(m) ?? getSqe(m);" },
    ],
  },
  {
    id: "dropped-not-counted", title: "an index that names no SQE is not counted in sq.dropped",
    origin: ["S16"], rules: ["sq.dropped-counts"],
    patches: [
      { file: "submit", from: "store32(bytes, WORD.sqDropped, (load32(bytes, WORD.sqDropped) + 1) >>> 0);", to: "" },
    ],
  },
  {
    id: "array-ignored", title: "the SQ array is not looked at: SQEs are taken in order",
    origin: ["S2", "liburing test/no-sqarray"], rules: ["sq.array-index"],
    patches: [
      { file: "submit", from: "index = load32(ring.ring.bytes, ring.arrayOffset + slot * 4);", to: "" },
    ],
  },
  {
    id: "head-not-published", title: "sq.head is stored only when a batch was taken whole",
    origin: ["#9"], rules: ["sq.head-once"],
    patches: [
      { file: "submit", from: "endBatch(m); flushCompletions(m); publishHead(m);", to: "endBatch(m); flushCompletions(m); if (m.ring.consumed - before === toSubmit) publishHead(m);" },
    ],
  },
  {
    id: "sqe128-stride", title: "SQEs of 128 bytes are read 64 bytes apart",
    origin: ["S3"], rules: ["setup.sqe128"],
    patches: [
      { file: "submit", from: "index * ring.sqeSize", to: "index * 64" },
    ],
  },
  {
    id: "inline-completions-reversed", title: "what completes inline is posted newest first",
    origin: ["#17"], rules: ["submit.inline-order"],
    patches: [
      { file: "completion", from: "const batch = ring.completing;", to: "const batch = ring.completing.reverse();" },
    ],
  },
  {
    id: "user-data-cut", title: "user_data comes back with its low 15 bits only",
    origin: ["S20", "liburing test/nop-all-sizes.c"], rules: ["sq.user-data"],
    patches: [
      { file: "submit", from: "r.userData = sqe.userData;", to: "r.userData = sqe.userData & 0x7fffn;" },
    ],
  },
  {
    id: "fd-looked-up-early", title: "a descriptor is looked up at preparation, not when the request is issued: a recycled one gets the old file",
    rare: "a program has to close a descriptor while a request that names it waits in the same chain or batch",
    origin: ["#19"], rules: ["issue.file-late"],
    patches: [
      { file: "submit", from: "return obeys(m.profile, \"issue.file-early\") && !assignFile(m, r) ? -EBADF : 0;", to: "if (op.needsFile && (r.flags & REQ.FIXED_FILE) === 0) r.file = take(m, sqe.fd);\n    return 0;" },
      { file: "submit", from: "import { queueWork } from \"./worker.js\";", to: "import { queueWork } from \"./worker.js\";\nimport { take } from \"./descriptor.js\";" },
    ],
  },
  {
    id: "unknown-opcode-zero", title: "an unknown opcode is taken for a NOP",
    origin: ["S25"], rules: ["submit.invalid-opcode"],
    patches: [
      { file: "submit", from: "r.opcode = 0; return -EINVAL;", to: "r.opcode = 0; return 0;" },
      { file: "submit", from: "operation(sqe.opcode, OPS[sqe.opcode]?.name ?? \"?\").prepare", to: "operation(r.opcode, \"NOP\").prepare" },
    ],
  },
  {
    id: "ioprio-unchecked", title: "ioprio is not looked at where it must be zero",
    origin: ["liburing test/sqe-flags"], rules: ["submit.ioprio"],
    patches: [
      { file: "submit", from: "if (!op.ioprio && sqe.ioprio !== 0 && !unlookedAt(m, sqe)) return -EINVAL;", to: "" },
    ],
  },
]);
