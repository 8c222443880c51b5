// npm run test:sanitize: builds the addon with AddressSanitizer and UndefinedBehaviorSanitizer beside the
// ordinary one, and runs the addon's tests on it. Plain JavaScript, as the install script that it
// resembles. Leak detection is off: Node itself leaks by design at exit.
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const out = join(root, "build", "asan");
const require = createRequire(import.meta.url);
const tests = process.argv.length > 2 ? process.argv.slice(2) : ["native", "lifetime"].map((name) => `test/integration/${name}`);

function run(command, args, env = {}) {
  const done = spawnSync(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...env } });
  if (done.status !== 0) process.exit(done.status ?? 1);
}

/** The runtime must come first into the process, for node itself is not built with it. */
function runtime(name) {
  const found = spawnSync("g++", [`-print-file-name=${name}`], { encoding: "utf8" });
  const path = found.stdout?.trim();
  if (!path?.startsWith("/")) {
    console.error(`${name} is missing; it comes with g++ (Debian, Ubuntu: apt install g++)`);
    process.exit(1);
  }
  return path;
}

mkdirSync(out, { recursive: true });
const cmakeJs = join(dirname(require.resolve("cmake-js/package.json")), "bin", "cmake-js");
run(process.execPath, [cmakeJs, "build", "--directory", join(root, "native"), "--out", out, "--CDRINGSPEC_SANITIZE=ON", "--log-level", "error"]);
const vitest = join(dirname(require.resolve("vitest/package.json")), "vitest.mjs");
run(process.execPath, [vitest, "run", ...tests], {
  LD_PRELOAD: `${runtime("libasan.so")} ${runtime("libubsan.so")}`,
  // Freed memory is kept for a while to catch its use: little enough that the resident size still tells a leak.
  ASAN_OPTIONS: "detect_leaks=0:abort_on_error=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=64",
  UBSAN_OPTIONS: "print_stacktrace=1:halt_on_error=1",
  RINGSPEC_ADDON: join(out, "Release", "ringspec.node"),
  RINGSPEC_REQUIRE_REAL: "1",
});
