// Seeded bugs of the submission side: how many SQEs a call takes, where it stops, what becomes of the rest.
import type { KernelBug } from "../bug.ts";

const half = "kernel";

export const SUBMISSION: readonly KernelBug[] = [
  {
    id: "failed-preparation-goes-on", title: "a request that fails at submission does not end the batch", origin: ["#9", "liburing test/submit-and-wait.c"], half, rules: ["submit.prep-error-stops"],
    patches: [{ file: "submit", from: "return !failed || (m.ring.flags & IORING_SETUP_SUBMIT_ALL) !== 0;", to: "return true;" }],
  },
  {
    id: "submit-all-ignored", title: "IORING_SETUP_SUBMIT_ALL has no effect", origin: ["#9", "liburing test/submit-link-fail.c"], half, rules: ["submit.submit-all"],
    patches: [{ file: "submit", from: "return !failed || (m.ring.flags & IORING_SETUP_SUBMIT_ALL) !== 0;", to: "return !failed;" }],
  },
  {
    id: "chain-crosses-submissions", title: "a chain that is not terminated goes on in the next submission", origin: ["#7"], half, rules: ["link.not-across-submissions", "link.unterminated-worker"],
    patches: [
      { file: "submit", from: "if (m.ring.linkHead !== 0) queueFallback(m, m.request(m.ring.linkHead)); m.ring.linkHead = 0;", to: "" },
      { file: "submit", from: "export function beginBatch(m) { m.ring.linkHead = 0; }", to: "export function beginBatch(_m) {}" },
    ],
  },
  {
    id: "inline-completions-reversed", title: "what completes inline is posted newest first", origin: ["#17"], half, rules: ["submit.inline-order"],
    patches: [{ file: "completion", from: "const batch = ring.completing;", to: "const batch = ring.completing.reverse();" }],
  },
  {
    id: "user-data-cut", title: "user_data comes back with its low 15 bits only", origin: ["S20", "liburing test/nop-all-sizes.c"], half, rules: ["sq.user-data"],
    patches: [{ file: "submit", from: "r.userData = sqe.userData;", to: "r.userData = sqe.userData & 0x7fffn;" }],
  },
];
