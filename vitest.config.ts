// Two projects: `property` draws random programs, `integration` is the rest (test/unit and
// test/integration). Forks, so that a crash of native code takes one file and not the run.
import { defineConfig } from "vitest/config";

const common = {
  pool: "forks",
  // The properties bring children of their own; two processes keep two cores busy.
  maxWorkers: 2,
  testTimeout: 60_000,
  hookTimeout: 60_000,
} as const;

export default defineConfig({
  test: {
    reporters: ["default", "./scripts/closing-line.ts"],
    projects: [
      { test: { ...common, name: "integration", include: ["test/unit/**/*.test.ts", "test/integration/**/*.test.ts"] } },
      { test: { ...common, name: "property", include: ["test/property/**/*.test.ts"], testTimeout: 300_000 } },
    ],
  },
});
