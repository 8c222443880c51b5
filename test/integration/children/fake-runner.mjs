// Speaks the protocol of src/cli/runner-child.ts and behaves as badly as the first operation's user_data
// says: so the pool is tested without a kernel that crashes on demand. Plain JavaScript: Node runs it as it is.
import { writeSync } from "node:fs";
import { createInterface } from "node:readline";

const ANSWER_FD = 3;
const send = (message) => writeSync(ANSWER_FD, `${JSON.stringify(message)}\n`);
const wait = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
const block = () => wait();
/** Twice as long as the parent waits for a child that says nothing. */
const search = (id) => {
  for (let i = 0; i < 4; i++) {
    send({ searching: id });
    wait(400);
  }
  send({ done: id, outcome: outcome("illegal", "found after a search") });
};
const note = (modelSaysForever) => JSON.stringify({ trace: '{"trace":"ringspec","version":1}\n{"event":"peek"}\n', modelSaysForever });

const outcome = (verdict, seen) => ({
  verdict: { verdict, events: 1, judgedEvents: 1, choices: {}, candidates: 1, ...(seen === undefined ? {} : { at: 0, seen, allowed: ["else"], rules: ["x"] }) },
  exercise: { operations: 1, opcodes: { NOP: 1 }, wraps: 0, overflows: 0, chains: 0, drains: 0, cancels: 0, readings: 0, registered: {}, registerRefused: {}, entered: {} },
  blockedNs: 0,
  ...(seen === undefined ? {} : { trace: '{"trace":"ringspec","version":1}\n' }),
});

const behaviours = {
  fine: (id) => send({ done: id, outcome: outcome("legal") }),
  illegal: (id) => send({ done: id, outcome: outcome("illegal", "res 1") }),
  crash: () => process.kill(process.pid, "SIGSEGV"),
  exit: () => {
    console.error("out of rings");
    process.exit(7);
  },
  hang: () => block(),
  foreverAsModelled: (id) => {
    send({ risk: id, note: note(true) });
    block();
  },
  foreverUnlikeModel: (id) => {
    send({ risk: id, note: note(false) });
    block();
  },
  searches: search,
  // The wait came back, unlike what was foreseen, and to find out why takes long: that is no agreement.
  foreverAndYetBack: (id) => {
    send({ risk: id, note: note(true) });
    search(id);
  },
  throws: (id) => send({ done: id, threw: "TypeError: no\n  at here", unmodelled: false }),
  unmodelled: (id) => send({ done: id, threw: "unmodelled: SQPOLL", unmodelled: true }),
  // Of two READ, one on descriptor f1, among anything else: a divergence to shrink to.
  needle: (id, ops) => send({ done: id, outcome: ops.some((op) => op.opcode === "NOP") ? outcome("illegal", "a NOP") : outcome("legal") }),
};

send({ ready: { backend: "real", release: "fake", file: {}, strictness: "spec" } });
for await (const line of createInterface({ input: process.stdin })) {
  for (const { id, program } of JSON.parse(line)) {
    const behaviour = process.env.FAKE_RUNNER ?? program.world.fakeBehaviour ?? "fine";
    behaviours[behaviour](id, program.ops);
  }
}
process.exit(0);
