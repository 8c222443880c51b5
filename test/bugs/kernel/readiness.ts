// Seeded bugs of POLL_ADD and of whatever cancels.
import { onModel } from "../bug.ts";

export const READINESS = onModel([
  {
    id: "more-missing", title: "a multishot poll that goes on posts without IORING_CQE_F_MORE",
    origin: ["#14", "L#805"], rules: ["poll.multishot-more", "multishot.more-flag"],
    patches: [
      { file: "poll", from: "postMore(m, r, mask, IORING_CQE_F_MORE)", to: "postMore(m, r, mask, 0)" },
    ],
  },
  {
    id: "more-on-the-last", title: "the last CQE of a multishot poll says IORING_CQE_F_MORE",
    origin: ["#14", "L#805"], rules: ["multishot.more-flag"],
    patches: [
      { file: "poll", from: "if (checked === \"cancelled\") return failDeferred(m, r, -ECANCELED);", to: "if (checked === \"cancelled\") { failDeferred(m, r, -ECANCELED); if ((r.pollEvents & EPOLLONESHOT) === 0) r.cflags = IORING_CQE_F_MORE; return; }" },
    ],
  },
  {
    id: "multishot-lost-when-full", title: "a multishot event that finds the CQ full is lost",
    origin: ["#14", "#1"], rules: ["multishot.overflow-ends"],
    patches: [
      { file: "poll", from: "if (!postMore(m, r, mask, IORING_CQE_F_MORE)) { r.res = mask; return \"use-result\"; }", to: "postMore(m, r, mask, IORING_CQE_F_MORE);" },
    ],
  },
  {
    id: "oneshot-repeats", title: "a one-shot poll stays armed",
    origin: ["#14"], rules: ["poll.one-shot"],
    patches: [
      { file: "poll", from: "const kept = (flags & IORING_POLL_ADD_MULTI) !== 0 ? 0 : EPOLLONESHOT;", to: "const kept = 0;" },
    ],
  },
  {
    id: "ready-at-submission-missed", title: "a poll does not see what is ready when it is armed",
    origin: ["#14", "liburing test/poll.c"], rules: ["poll.level-at-submit", "liveness.due"],
    patches: [
      { file: "poll", from: "const mask = m.world.pollMask(r.file) & r.pollEvents;", to: "const mask = queues.length === 0 ? m.world.pollMask(r.file) & r.pollEvents : 0;" },
    ],
  },
  {
    id: "errors-only-when-asked", title: "a poll reports errors and hang-ups only where it asked for them",
    origin: ["S19"], rules: ["poll.errors-always"],
    patches: [
      { file: "poll", from: "r.pollEvents = events | UNMASK;", to: "r.pollEvents = events;" },
    ],
  },
  {
    id: "wakes-for-anything", title: "a poll is woken by events that it did not ask for",
    origin: ["S19"], rules: ["poll.wake-mask"],
    patches: [
      { file: "poll", from: "if (mask !== 0 && (mask & r.pollEvents & ~COMMON) === 0) return false;", to: "" },
    ],
  },
  {
    id: "poll-removed-twice", title: "POLL_REMOVE says 0 where there is nothing to remove",
    origin: ["#18"], rules: ["poll.remove-results"],
    patches: [
      { file: "poll", from: "if (target === undefined) return -ENOENT;", to: "if (target === undefined) { r.res = 0; return \"complete\"; }" },
    ],
  },
  {
    id: "removed-poll-silent", title: "a poll that is removed does not complete",
    origin: ["#18", "#14"], rules: ["poll.removed-ecanceled", "liveness.due", "submit.one-cqe-each"],
    patches: [
      { file: "poll", from: "if (target.res < 0) setFail(target);", to: "if (target.res < 0) setFail(target);\n            target.flags |= REQ.CQE_SKIP;" },
    ],
  },
  {
    id: "update-keeps-user-data", title: "a poll that got another user_data completes with the old one",
    origin: ["#14", "liburing test/poll-mshot-update.c"], rules: ["poll.update"],
    patches: [
      { file: "poll", from: "target.userData = userData;", to: "" },
    ],
  },
  {
    id: "update-keeps-events", title: "a poll that got other events waits for the old ones",
    origin: ["#14", "liburing test/poll-mshot-update.c"], rules: ["poll.update"],
    patches: [
      { file: "poll", from: "wanted = ((wanted & ~0xffff) | (events & 0xffff) | UNMASK) >>> 0;", to: "" },
    ],
  },
  {
    id: "cancel-not-found-zero", title: "ASYNC_CANCEL says 0 where it found nothing",
    origin: ["#18", "tokio#7979"], rules: ["cancel.not-found"],
    patches: [
      { file: "cancel", from: "return again === \"cancelled\" ? 0 : again === \"running\" ? -EALREADY : -ENOENT;", to: "return again === \"running\" ? -EALREADY : 0;" },
    ],
  },
  {
    id: "cancel-running-zero", rare: "programs seldom cancel what a worker runs, and where it then ends as if cancelled 0 is a right answer too", title: "ASYNC_CANCEL says 0 where the request is running",
    origin: ["#18", "monoio#318"], rules: ["cancel.worker-running"],
    patches: [
      { file: "cancel", from: "return again === \"cancelled\" ? 0 : again === \"running\" ? -EALREADY : -ENOENT;", to: "return again === \"not found\" ? -ENOENT : 0;" },
    ],
  },
  {
    id: "cancelled-succeeds", title: "a poll or read that is cancelled completes with 0",
    origin: ["#18"], rules: ["cancel.target-ecanceled"],
    patches: [
      { file: "poll", from: "return failDeferred(m, r, -ECANCELED);", to: "{ r.res = 0; return completeDeferred(m, r); }" },
    ],
  },
  {
    id: "cancel-one-of-all", title: "ASYNC_CANCEL with ALL takes one",
    rare: "two requests must wait for what one cancel names",
    origin: ["#18", "liburing test/io-cancel.c"], rules: ["cancel.all-counts"],
    patches: [
      { file: "cancel", from: "count++; if (m.inCall)", to: "count++;\n        if ((wanted.flags & IORING_ASYNC_CANCEL_ANY) === 0) return count;\n        if (m.inCall)" },
    ],
  },
  {
    id: "cancel-any-counts-one-more", title: "ASYNC_CANCEL with ANY counts one too many",
    origin: ["#18"], rules: ["cancel.any-is-all", "cancel.all-counts"],
    patches: [
      { file: "cancel", from: "if (all) return again === \"not found\" ? count : count + 1;", to: "if (all) return again === \"not found\" && count === 0 ? count : count + 1;" },
    ],
  },
  {
    id: "cancel-by-fd-takes-timers", title: "ASYNC_CANCEL by descriptor finds timers",
    origin: ["#18"], rules: ["cancel.fd-skips-timeouts"],
    patches: [
      { file: "cancel", from: "if (timersFirst || (wanted.flags & IORING_ASYNC_CANCEL_FD) !== 0) return -ENOENT;", to: "" },
      { file: "cancel", from: "if ((flags & IORING_ASYNC_CANCEL_FD) !== 0 && r.file !== wanted.file) return false;", to: "if ((flags & IORING_ASYNC_CANCEL_FD) !== 0 && r.file !== wanted.file && r.file !== 0) return false;" },
    ],
  },
  {
    id: "cancel-op-ignored", title: "ASYNC_CANCEL by opcode does not look at the opcode",
    origin: ["S25"], rules: ["cancel.keys"],
    patches: [
      { file: "cancel", from: "if ((flags & IORING_ASYNC_CANCEL_OP) !== 0 && r.opcode !== wanted.opcode) return false;", to: "" },
    ],
  },
]);
