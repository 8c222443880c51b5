// Builds the native addon; run by npm's `install`, before anything is compiled, hence plain JavaScript
// and only node: modules. Nothing is downloaded. Where the addon can't be had the model still runs, so
// that is no failure, but it is never silent either: one plain line here, and build/native-status.json
// for `ringspec doctor`, npm start and npm test to say aloud, for npm swallows this script's output.
// RINGSPEC_REQUIRE_REAL=1 turns every fallback into exit code 1. --force builds even where fresh.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const native = join(root, "native");
const build = join(root, "build");
const addon = join(build, "Release", "ringspec.node");
const logPath = join(build, "native-build.log");
const statusPath = join(build, "native-status.json");

process.exitCode = main();

/** @returns {number} the exit code */
function main() {
  mkdirSync(build, { recursive: true });
  const hash = sourcesHash();
  if (!process.argv.includes("--force") && isFresh(hash)) {
    console.log("ringspec: the native addon is up to date");
    return 0;
  }
  if (process.platform !== "linux") {
    return fallBack({ reason: `io_uring is Linux's, and this is ${process.platform}`, fix: "nothing to do, or use a Linux machine for the real kernel" });
  }
  const missing = missingTool();
  if (missing !== undefined) return fallBack(missing);
  return compile(hash);
}

function compile(hash) {
  dropForeignCache();
  const tool = join(dirname(createRequire(import.meta.url).resolve("cmake-js/package.json")), "bin", "cmake-js");
  // The folder with CMakeLists.txt must be cmake-js's project: it looks for binary.napi_versions there.
  const run = spawnSync(process.execPath, [tool, "build", "--directory", native, "--out", build], { cwd: root, encoding: "utf8", maxBuffer: 2 ** 28 });
  const load = run.status === 0 ? spawnSync(process.execPath, ["-e", "require(process.argv[1])", addon], { encoding: "utf8" }) : undefined;
  writeFileSync(logPath, [run.stdout, run.stderr, run.error?.message, load?.stderr].filter(Boolean).join("\n"));
  if (run.status !== 0) {
    const header = (run.stdout ?? "").includes("linux/io_uring.h: No such file");
    return fallBack({
      reason: header ? "<linux/io_uring.h> is missing" : "the native addon did not compile",
      fix: header ? "install the kernel headers (Debian, Ubuntu: apt install linux-libc-dev)" : "read the log; the addon needs C++20 and the headers of Linux 6.1 or newer",
      log: logPath,
    });
  }
  if (load?.status !== 0) {
    return fallBack({ reason: "the native addon was built but does not load", fix: "read the log", log: logPath });
  }
  writeStatus({ built: true, hash, log: logPath });
  console.log("ringspec: built the native addon");
  return 0;
}

/** @returns {number} the exit code */
function fallBack({ reason, fix, log }) {
  writeStatus({ built: false, reason, fix, log });
  // An addon of other sources must not be taken for this one.
  rmSync(addon, { force: true });
  const where = log === undefined ? "" : ` The log: ${log}`;
  if (process.env.RINGSPEC_REQUIRE_REAL === "1") {
    console.error(`ringspec: ${reason}; ${fix}. RINGSPEC_REQUIRE_REAL=1, so this is a failure.${where}`);
    return 1;
  }
  console.error(`ringspec: no real kernel here, everything runs on the model: ${reason}; ${fix}.${where}`);
  return 0;
}

function writeStatus(status) {
  writeFileSync(statusPath, `${JSON.stringify(status, undefined, 2)}\n`);
}

function isFresh(hash) {
  if (!existsSync(addon)) return false;
  try {
    const status = JSON.parse(readFileSync(statusPath, "utf8"));
    return status.built === true && status.hash === hash;
  } catch {
    return false;
  }
}

/** Node-API keeps the addon good for every Node, so only sources and machine count. */
function sourcesHash() {
  const hash = createHash("sha256").update(`${process.platform} ${process.arch}\n`);
  for (const name of readdirSync(native).sort()) {
    if (/\.(cc|h|txt|json)$/.test(name)) hash.update(`${name}\n`).update(readFileSync(join(native, name)));
  }
  return hash.digest("hex");
}

function missingTool() {
  const onPath = (name) => (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, name), constants.X_OK);
      return folder !== "";
    } catch {
      return false;
    }
  });
  const needs = [
    { what: "cmake", anyOf: ["cmake"], packages: "cmake" },
    { what: "a C++ compiler", anyOf: ["g++", "clang++"], packages: "g++" },
    { what: "make or ninja", anyOf: ["ninja", "make"], packages: "make" },
  ].filter((need) => !need.anyOf.some(onPath));
  if (needs.length === 0) return undefined;
  return {
    reason: `${needs.map((need) => need.what).join(" and ")} missing`,
    fix: `install (Debian, Ubuntu: apt install ${needs.map((need) => need.packages).join(" ")}), then run: node scripts/install-native.mjs`,
  };
}

/** A cache made for another folder (a checkout that was moved or copied) stops cmake with an error. */
function dropForeignCache() {
  const cache = join(build, "CMakeCache.txt");
  if (!existsSync(cache)) return;
  const home = /^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$/m.exec(readFileSync(cache, "utf8"))?.[1];
  if (home === native) return;
  rmSync(cache);
  rmSync(join(build, "CMakeFiles"), { recursive: true, force: true });
}
