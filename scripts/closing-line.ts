// A vitest reporter whose last line, after everything else, is `N passed, N failed, N skipped`: for
// people at the end of a long log, and for machines. Before it comes each skipped test with its reason.
import { writeSync } from "node:fs";
import process from "node:process";
import type { Reporter, SerializedError, TestModule, TestResult } from "vitest/node";

export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[]): void {
    const counts = { passed: 0, failed: 0, skipped: 0 };
    const skips: string[] = [];
    for (const module of modules) {
      let tests = 0;
      for (const test of module.children.allTests()) {
        tests++;
        const result = test.result();
        const state = result.state === "pending" ? "skipped" : result.state;
        counts[state]++;
        if (state === "skipped") skips.push(`SKIPPED, NOT PASSED: ${module.relativeModuleId} > ${test.fullName}: ${reasonOf(result)}\n`);
      }
      // A file that could not be loaded has no tests, and is no pass.
      if (tests === 0 && module.state() === "failed") counts.failed++;
    }
    counts.failed += errors.length;
    const line = `${skips.join("")}${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`;
    process.once("exit", () => void writeSync(1, line));
  }
}

/** Left out by its file, by .only or by a name that was asked for: then no test was there to give a reason. */
function reasonOf(result: TestResult): string {
  return (result.state === "skipped" ? result.note : undefined) ?? "not asked for";
}
