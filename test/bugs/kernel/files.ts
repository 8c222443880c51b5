// Seeded bugs of single operations: READ, WRITE, OPENAT, CLOSE, FSYNC, NOP, MSG_RING, and what procfs shows.
import { onModel } from "../bug.ts";

export const FILES = onModel([
  {
    id: "close-cancels", rare: "half of 20 seeds take 136.5 programs or more", title: "close() of a descriptor cancels the requests on its file",
    origin: ["#19", "L#568"], rules: ["close.keeps-pending"],
    patches: [
      { file: "file", from: "m.world.fds.delete(r.prepared.fd); m.world.guessed", to: "for (const p of hashed(m)) if (p.file === file) cancelPoll(m, p);\n        m.world.fds.delete(r.prepared.fd);\n        m.world.guessed" },
      { file: "file", from: "import { setFail } from \"./completion.js\";", to: "import { setFail } from \"./completion.js\";\nimport { cancelPoll, hashed } from \"./poll.js\";" },
    ],
  },
  {
    id: "close-twice", title: "CLOSE of what is closed says 0",
    origin: ["#20", "liburing test/openat2"], rules: ["close.bad-fd"],
    patches: [
      { file: "file", from: "r.res = -EBADF; setFail(r); return \"complete\"; }", to: "r.res = 0;\n            return \"complete\";\n        }" },
    ],
  },
  {
    id: "position-not-moved", rare: "half of 20 seeds take 193.5 programs or more", title: "a transfer at the file's position does not move it",
    origin: ["liburing test/rw_merge_test"], rules: ["rw.current-position"],
    patches: [
      { file: "rw", from: "m.world.ownFile(file).pos = pos; if (pos === before)", to: "if (pos === before)" },
    ],
  },
  {
    id: "offset-ignored", title: "the offset of a READ or WRITE is not looked at",
    origin: ["S3", "S25"], rules: ["rw.result-count", "rw.current-position"],
    patches: [
      { file: "rw", from: "return off < 0n || off + BigInt(size) > OFFSET_MAX ? \"refused\" : Number(off);", to: "return off < 0n || off + BigInt(size) > OFFSET_MAX ? \"refused\" : 0;" },
    ],
  },
  {
    id: "vector-one-part", title: "of a vector only the first part is transferred",
    origin: ["#4"], rules: ["rw.result-count"],
    patches: [
      { file: "rw", from: "total += len; iov.push({ addr: base, len });", to: "total += len;\n        if (i === 0 || len === 0) iov.push({ addr: base, len });" },
    ],
  },
  {
    id: "result-is-asked", title: "a READ completes with what was asked, not with what came",
    origin: ["#6", "S14"], rules: ["rw.result-count"],
    patches: [
      { file: "rw", from: "r.res = res; // [link.zero-length-ok]", to: "r.res = res >= 0 ? asked : res;\n    // [link.zero-length-ok]" },
    ],
  },
  {
    id: "nowait-waits", title: "RWF_NOWAIT is ignored",
    origin: ["#23", "liburing test/read-write.c"], rules: ["rw.nowait-eagain"],
    patches: [
      { file: "rw", from: "if (how.nonblock || !how.worker) r.flags |= REQ.NOWAIT;", to: "" },
    ],
  },
  {
    id: "wrong-mode-zero", title: "reading what was opened for writing ends with 0",
    origin: ["S14"], rules: ["rw.wrong-mode"],
    patches: [
      { file: "rw", from: "if (!(writes ? file.write : file.read)) return -EBADF;", to: "if (!(writes ? file.write : file.read)) return -EINVAL;" },
    ],
  },
  {
    id: "bytes-misplaced", title: "what a READ got is stored one byte late",
    origin: ["liburing test/read-write.c"], rules: ["rw.result-count"],
    patches: [
      { file: "rw", from: "m.memory.write(addr, bytes.subarray(at, at + n))", to: "m.memory.write(n > 1 ? addr + 1n : addr, bytes.subarray(at, n > 1 ? at + n - 1 : at + n))" },
    ],
  },
  {
    id: "opened-for-nobody", title: "OPENAT answers with the number that is one higher",
    origin: ["#20", "liburing test/openat2.c"], rules: ["openat.result-fd"],
    patches: [
      { file: "file", from: "r.res = fd ?? 0;", to: "r.res = (fd ?? 0) + 1;" },
    ],
  },
  {
    id: "create-inline", title: "OPENAT with O_CREAT completes inside the call",
    rare: "what completes inside the call and what a worker completes look alike unless something else completes beside it",
    origin: ["#17"], rules: ["openat.create-worker"],
    patches: [
      { file: "file", from: "if ((sqe.opFlags & (O_TRUNC | O_CREAT)) !== 0) r.flags |= REQ.FORCE_ASYNC;", to: "" },
    ],
  },
  {
    id: "fsync-breaks-chain", title: "an FSYNC that fails breaks its chain",
    rare: "an FSYNC must fail on an eventfd in the middle of a soft chain",
    origin: ["liburing test/fsync.c"], rules: ["fsync.failure-keeps-chain"],
    patches: [
      { file: "nop", from: "r.res = kind === \"file\" || kind === \"directory\" ? 0 : -EINVAL;", to: "r.res = kind === \"file\" || kind === \"directory\" ? 0 : -EINVAL;\n        if (r.res < 0) setFail(r);" },
    ],
  },
  {
    id: "inject-keeps-chain", title: "a NOP with a negative result does not break its chain",
    origin: ["#6"], rules: ["nop.inject-negative-fails"],
    patches: [
      { file: "nop", from: "if (r.res < 0) setFail(r); // [nop.task-work]", to: "// [nop.task-work]" },
    ],
  },
  {
    id: "message-flags-kept", title: "a message passes its flags without being asked",
    origin: ["liburing test/msg-ring-flags.c"], 
      // Flags that come without IORING_MSG_RING_FLAGS_PASS are to be refused, and are not.
      rules: ["msg-ring.flags-pass", "msg-ring.data-fields"],
    patches: [
      { file: "msg-ring", from: "flags: passes ? message.target >>> 0 : 0", to: "flags: message.target >>> 0" },
      { file: "msg-ring", from: "if (!passes && message.target !== 0) return -EINVAL;", to: "" },
    ],
  },
  {
    id: "fdinfo-hides-backlog", title: "procfs shows no backlog",
    origin: ["#1"], rules: ["fdinfo.overflow-list"],
    patches: [
      { file: "fdinfo", from: "const overflow = ring.overflow.map(({ userData, res, flags }) => ({ userData, res, flags }));", to: "const overflow = [];" },
    ],
  },
  {
    id: "fdinfo-head-off", title: "procfs shows sq.head where the kernel's own copy belongs",
    origin: ["S12"], rules: ["fdinfo.words"],
    patches: [
      { file: "fdinfo", from: "cachedSqHead: ring.cachedSqHead,", to: "cachedSqHead: sqTail," },
    ],
  },
]);
