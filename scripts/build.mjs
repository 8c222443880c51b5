// Compiles TypeScript to dist/. With --if-stale only where dist/ is older than a source, so that `npm start`
// and `npm test` do their own set-up and cost nothing where there is nothing to do. It runs before anything
// is compiled, hence plain JavaScript.
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeCited } from "./cite.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Written after a build without errors; dated to its start, so that what changed meanwhile counts as newer. */
const stamp = join(root, "dist", ".built");

process.exitCode = !process.argv.includes("--if-stale") || isStale() ? build() : 0;

/** @returns {number} the exit code */
function build() {
  const startedAtMs = Date.now();
  console.log("ringspec: compiling ...");
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json")], { cwd: root, stdio: "inherit" });
  if (status !== 0) return status ?? 1;
  // tsc leaves the command without its execute bit, and npx links to the file as it is.
  chmodSync(join(root, "dist", "src", "cli", "main.js"), 0o755);
  writeCited(join(root, "dist"));
  mkdirSync(dirname(stamp), { recursive: true });
  writeFileSync(stamp, "");
  utimesSync(stamp, startedAtMs / 1000, startedAtMs / 1000);
  return 0;
}

function isStale() {
  const built = statSync(stamp, { throwIfNoEntry: false });
  if (built === undefined) return true;
  return ["src", "scripts", "test"].some((folder) => newest(join(root, folder)) > built.mtimeMs) || changedAt(join(root, "tsconfig.json")) > built.mtimeMs;
}

/** Folders count too: their time changes when a file goes. */
function newest(folder) {
  let latest = changedAt(folder);
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) latest = Math.max(latest, newest(path));
    else if (entry.name.endsWith(".ts")) latest = Math.max(latest, changedAt(path));
  }
  return latest;
}

function changedAt(path) {
  return statSync(path).mtimeMs;
}
