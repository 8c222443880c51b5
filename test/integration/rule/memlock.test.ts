// Chapters setup and buffers: what a user without CAP_IPC_LOCK is charged for. The real kernel's half runs in a
// child, which has a limit of its own and, where we may, a user of its own.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createModelKernel } from "../../../src/model/kernel.ts";
import { LIMIT_KIB, type MemlockAnswers, memlockAnswers } from "./memlock-answers.ts";
import { abi, expect, onBoth } from "./on-both.ts";

/** As root: a user whom nobody else is, so that nothing else is charged to it. */
const USER = 60_000 + (process.pid % 5000);

function inChild(): MemlockAnswers {
  const root = process.getuid?.() === 0;
  const loader = new URL("../children/ts-loader.mjs", import.meta.url).href;
  const child = fileURLToPath(new URL("../children/memlock.ts", import.meta.url));
  const script = `ulimit -l ${LIMIT_KIB} && exec "$0" "$@"`;
  const { stdout, stderr, status } = spawnSync("sh", ["-c", script, process.execPath, "--import", loader, child], {
    encoding: "utf8", ...(root ? { uid: USER, gid: USER } : {}), env: { ...process.env, TMPDIR: "/tmp" },
  });
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as MemlockAnswers; // our own child's line
}

onBoth("[setup.memlock] [buffers.memlock] [register.mem-region-memlock] [resize.memlock] rings, registered buffers and regions are charged", (on) => {
  const seen = on.isModel ? memlockAnswers(createModelKernel({ lockedPagesMax: LIMIT_KIB / 4 })) : inChild();
  expect(seen).toEqual({ largeRing: abi.ENOMEM, beyond: -abi.ENOMEM, within: 0, unregister: 0, second: 0, regions: [-abi.ENOMEM, 0], resizes: [-abi.ENOMEM, 0] });
});
