// A patched copy of one folder of the compiled package (ADR 3). Everything else in it is the package itself, by
// symbolic links that Node follows to the one true module: an error thrown by the copy is an instance of ours.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { packageRoot } from "../../src/real/addon.ts";
import type { Patch } from "./bug.ts";

const within = join(packageRoot, ".ringspec", `bugs-${process.pid}`);

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");

/** The text with one patch applied. Throws where the patch does not fit it exactly once. */
export function applyPatch(text: string, { file, from, to }: Patch): string {
  const pattern = new RegExp(from.trim().split(/\s+/).map(escaped).join("\\s+"), "g");
  const places = [...text.matchAll(pattern)].length;
  if (places !== 1) throw new Error(`${file}.js has "${from}" ${places} times, and a patch needs it once: write the patch anew`);
  return text.replace(pattern, () => to);
}

/** A module of `folder` ("model" or "ring") whose copy has these patches. Throws where one does not fit. */
export async function patchedModule(id: string, folder: "model" | "ring", patches: readonly Patch[], module: string): Promise<unknown> {
  const compiled = join(packageRoot, "dist", "src");
  const root = join(within, id);
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root, { recursive: true });
  for (const name of readdirSync(compiled)) if (name !== folder) symlinkSync(join(compiled, name), join(root, name));
  cpSync(join(compiled, folder), join(root, folder), { recursive: true, filter: (path) => !/\.(d\.ts|map)$/.test(path) });
  for (const patch of patches) {
    const path = join(root, folder, `${patch.file}.js`);
    writeFileSync(path, applyPatch(readFileSync(path, "utf8"), patch));
  }
  return import(pathToFileURL(join(root, folder, `${module}.js`)).href);
}

export function removePatched(): void {
  rmSync(within, { recursive: true, force: true });
}
