// scripts/install-native.mjs in a copy of the package: builds with an empty HOME and no network, and where
// it can't, says so in one plain line, keeps the log, and fails only if the real kernel was required.
import { spawnSync } from "node:child_process";
import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../../src/real/addon.ts";

const onLinux = process.platform === "linux";
const tools = spawnSync("sh", ["-c", "command -v cmake && command -v g++"]).status === 0;
let copy = "";

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), "ringspec-install-"));
  for (const part of ["native", "scripts/install-native.mjs", "package.json"]) cpSync(join(packageRoot, part), join(copy, part), { recursive: true });
  symlinkSync(join(packageRoot, "node_modules"), join(copy, "node_modules"));
  mkdirSync(join(copy, "home"));
});
afterAll(() => rmSync(copy, { recursive: true, force: true }));

interface Outcome {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly status: { readonly built: boolean; readonly reason?: string; readonly fix?: string; readonly log?: string };
}

function install(env: Record<string, string>): Outcome {
  const done = spawnSync(process.execPath, [join(copy, "scripts", "install-native.mjs")], {
    encoding: "utf8",
    // No proxy answers there: a download would fail.
    env: { HOME: join(copy, "home"), http_proxy: "http://127.0.0.1:1", https_proxy: "http://127.0.0.1:1", ...env },
  });
  return {
    code: done.status,
    lines: `${done.stdout}${done.stderr}`.trim().split("\n"),
    status: JSON.parse(readFileSync(join(copy, "build", "native-status.json"), "utf8")),
  };
}

test("without cmake and a compiler: one plain line, exit 0, and a status that others can read", () => {
  const { code, lines, status } = install({ PATH: "/nonexistent" });
  expect({ code, lines: lines.length, built: status.built }).toEqual({ code: 0, lines: 1, built: false });
  expect(lines[0]).toMatch(onLinux ? /model.*cmake and a C\+\+ compiler and make or ninja missing; install .*apt install cmake g\+\+ make/ : /io_uring is Linux's/);
  expect(status.reason).toBeTruthy();
  expect(status.fix).toBeTruthy();
});

test("without cmake, where the real kernel is required: exit 1", () => {
  const { code, lines } = install({ PATH: "/nonexistent", RINGSPEC_REQUIRE_REAL: "1" });
  expect({ code, lines: lines.length }).toEqual({ code: 1, lines: 1 });
  expect(lines[0]).toContain("RINGSPEC_REQUIRE_REAL=1");
});

test("builds with an empty HOME and no network, then finds it fresh; broken sources leave a log that is named", { timeout: 180_000 }, (context) => {
  if (!onLinux || !tools) return context.skip("needs Linux, cmake and g++");
  const env = { PATH: process.env["PATH"] ?? "" };
  const addon = join(copy, "build", "Release", "ringspec.node");
  const first = install(env);
  expect({ code: first.code, lines: first.lines, built: first.status.built }).toEqual({ code: 0, lines: ["ringspec: built the native addon"], built: true });
  expect(existsSync(addon)).toBe(true);
  expect(install(env).lines).toEqual(["ringspec: the native addon is up to date"]);

  appendFileSync(join(copy, "native", "addon.cc"), "\nthis does not compile\n");
  for (const [require, code] of [["0", 0], ["1", 1]] as const) {
    const broken = install({ ...env, RINGSPEC_REQUIRE_REAL: require });
    expect({ code: broken.code, lines: broken.lines.length, built: broken.status.built }).toEqual({ code, lines: 1, built: false });
    expect(broken.lines[0]).toContain(join(copy, "build", "native-build.log"));
    expect(readFileSync(join(copy, "build", "native-build.log"), "utf8")).toContain("this does not compile");
    // An addon of older sources must not pass for this one.
    expect(existsSync(addon)).toBe(false);
  }
});
