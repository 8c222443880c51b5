// Seeded bugs of chains and drains.
import { onModel } from "../bug.ts";

export const LINKS = onModel([
  {
    id: "short-transfer-keeps-chain", title: "a short read or write does not break its chain",
    origin: ["#6", "L#187"], rules: ["link.short-transfer-severs"],
    patches: [
      { file: "rw", from: "if (res === asked) return \"complete\";", to: "if (res >= 0) return \"complete\";" },
    ],
  },
  {
    id: "zero-length-severs", rare: "half of 20 seeds take 103 programs or more", title: "a transfer of nothing breaks its chain",
    origin: ["#6"], rules: ["link.zero-length-ok"],
    patches: [
      { file: "rw", from: "if (res === asked) return \"complete\";", to: "if (res === asked && asked !== 0) return \"complete\";" },
    ],
  },
  {
    id: "error-keeps-chain", title: "a failed request does not break its chain",
    origin: ["#6", "liburing test/link.c"], rules: ["link.error-severs-chain"],
    patches: [
      { file: "link", from: "if (!survives)", to: "if (false)" },
    ],
  },
  {
    id: "hardlink-severed", title: "a hard link breaks at an error as a soft one does",
    origin: ["#6", "liburing test/hardlink.c"], rules: ["hardlink.survives-error"],
    patches: [
      { file: "link", from: "if (!survives)", to: "if (true)" },
    ],
  },
  {
    id: "hardlink-survives-preparation", title: "a hard link survives a failed preparation",
    origin: ["#6"], rules: ["hardlink.prep-error-severs"],
    patches: [
      { file: "submit", from: "r.flags = (r.flags & ~REQ.HARDLINK) | REQ.LINK;", to: "" },
    ],
  },
  {
    id: "chain-crosses-submissions", title: "a chain that is not terminated goes on in the next submission",
    origin: ["#7", "helio#3"], rules: ["link.not-across-submissions", "link.unterminated-worker"],
    patches: [
      { file: "submit", from: "if (obeys(m.profile, \"link.unterminated-inline\")) queueChain(m, head); else queueFallback(m, head);", to: "" },
      { file: "submit", from: "m.ring.linkHead = 0; } // [sq.head-once]", to: "} // [sq.head-once]" },
      { file: "submit", from: "export function beginBatch(m) { m.ring.linkHead = 0; }", to: "export function beginBatch(_m) {}" },
    ],
  },
  {
    id: "severed-tail-silent", title: "of a broken chain only the first member behind the failure completes",
    origin: ["#6", "#14"], rules: ["link.error-severs-chain", "submit.one-cqe-each", "liveness.due"],
    patches: [
      { file: "link", from: "if ((r.flags & REQ.FAIL) === 0) r.res = -ECANCELED;", to: "if ((r.flags & REQ.FAIL) === 0) r.res = -ECANCELED;\n        if (r !== first) r.flags |= REQ.CQE_SKIP;" },
    ],
  },
  {
    id: "severed-tail-reversed", title: "the members of a broken chain complete last first",
    origin: ["#17"], rules: ["link.severed-tail-order", "link.chain-order"],
    patches: [
      { file: "link", from: "for (const r of chain(m, first)) {", to: "for (const r of chain(m, first).reverse()) {" },
    ],
  },
  {
    id: "chain-head-runs-early", title: "the head of a chain runs before the chain is read: a failed preparation behind it does not cancel it",
    origin: ["#7"], rules: ["link.collects", "link.prep-error-cancels-all"],
    patches: [
      { file: "submit", from: "if (head !== undefined && (head.flags & REQ.FAIL) === 0) { setFail(head); head.res = -ECANCELED; }", to: "" },
    ],
  },
  {
    id: "drain-does-not-wait", title: "IOSQE_IO_DRAIN does not wait for what is before it",
    origin: ["#17", "liburing test/defer.c"], rules: ["drain.waits-all-before"],
    patches: [
      { file: "drain", from: "if ((drainSeen || first) && ring.allocated !== waiting(m)) return;", to: "" },
    ],
  },
  {
    id: "drain-lets-pass", title: "what comes behind a drain does not wait for it",
    origin: ["#17", "liburing test/drain"], rules: ["drain.defers-later"],
    patches: [
      { file: "submit", from: "if (ring.drainActive) r.flags |= REQ.FORCE_ASYNC;", to: "" },
      { file: "submit", from: "else if (m.ring.drainActive) {", to: "else if (m.ring.drainActive && (r.flags & REQ.IO_DRAIN) !== 0) {" },
    ],
  },
]);
