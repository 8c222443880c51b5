// The properties are themselves tested: one rule of the compiled model is turned around, and a campaign
// against the real kernel must diverge. The patches are kept here, out of the model (ADR 0003); one that
// no longer fits the model's text fails aloud.
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { afterAll, expect, test } from "vitest";
import { runCampaign } from "../../src/cli/campaign.ts";
import { packageRoot } from "../../src/real/addon.ts";
import { probeReal } from "../../src/real/probe.ts";

interface Switched {
  readonly rule: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const SWITCHED: readonly Switched[] = [
  { rule: "overflow.flush-getevents", file: "enter", from: "if ((flags & IORING_ENTER_GETEVENTS) === 0)", to: "if (hasBacklog(m)) flushOverflow(m);\n    if ((flags & IORING_ENTER_GETEVENTS) === 0)" },
  { rule: "sq.dropped-stops", file: "submit", from: "return m.ring.consumed - before;", to: "return publishedEntries(m) === 0 ? entries : m.ring.consumed - before;" },
  { rule: "submit.prep-error-stops", file: "submit", from: "return (m.ring.flags & IORING_SETUP_SUBMIT_ALL) !== 0;", to: "return true;" },
  { rule: "link.short-transfer-severs", file: "rw", from: "if (res === asked)", to: "if (res >= 0)" },
  { rule: "link.error-severs-chain", file: "link", from: "if (!survives)", to: "if (false)" },
  { rule: "timeout.remove-results", file: "timeout", from: "r.res = result;", to: "r.res = 0;" },
  { rule: "enter.counts-unconsumed", file: "submit", from: "return published;", to: "return Math.min(published, 1);" },
  { rule: "overflow.flag", file: "completion", from: "if (!hasBacklog(m))\n        setSqFlag(m, IORING_SQ_CQ_OVERFLOW);", to: "" },
  { rule: "poll.multishot-more", file: "poll", from: "postMore(m, r, mask, IORING_CQE_F_MORE)", to: "postMore(m, r, mask, 0)" },
  { rule: "nop.inject-negative-fails", file: "nop", from: "if (r.res < 0)\n            setFail(r);", to: "" },
  { rule: "cancel.any-is-all", file: "cancel", from: "count++;", to: "count += 2;" },
];

const RUNS = 600;
const SEED = 5;
const within = join(packageRoot, ".ringspec", `switched-${process.pid}`);
const { available, reasons } = probeReal();
const required = process.env["RINGSPEC_REQUIRE_REAL"] === "1";

afterAll(() => rmSync(within, { recursive: true, force: true }));

/** A copy of dist/ in which one rule is turned around; the path of its runner-child. */
function switchRule({ rule, file, from, to }: Switched): string {
  const root = join(within, rule);
  mkdirSync(root, { recursive: true });
  cpSync(join(packageRoot, "dist"), join(root, "dist"), { recursive: true });
  const path = join(root, "dist", "src", "model", `${file}.js`);
  const text = readFileSync(path, "utf8");
  if (text.split(from).length !== 2) throw new Error(`${rule}: src/model/${file}.ts no longer has "${from}" once; write the patch anew`);
  writeFileSync(path, text.replace(from, to));
  cpSync(join(packageRoot, "package.json"), join(root, "package.json"));
  return join(root, "dist", "src", "cli", "runner-child.js");
}

for (const switched of SWITCHED) {
  test(`${switched.rule}: turned around in the model, a campaign of ${RUNS} programs diverges`, async (context) => {
    if (!available && required) throw new Error(`RINGSPEC_REQUIRE_REAL=1, and there is no real kernel: ${reasons.join("; ")}`);
    if (!available) return context.skip(reasons.join("; "));
    process.env["RINGSPEC_ADDON"] = join(packageRoot, "build", "Release", "ringspec.node");
    const result = await runCampaign({ backend: "real", runs: RUNS, seed: SEED, childPath: switchRule(switched), shrink: { triesMax: 400, timeMs: 15_000 } });
    delete process.env["RINGSPEC_ADDON"];
    const [first] = result.counterexamples;
    expect(result.summary.divergences).toBeGreaterThan(0);
    expect(first?.outcome.verdict.verdict).toBe("illegal");
    expect(first?.outcome.lost).toBeUndefined();
    expect(first?.program.ops.length, "operations of the shrunk program").toBeLessThanOrEqual(6);
  });
}
