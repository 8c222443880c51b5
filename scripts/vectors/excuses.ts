// Musts that no vector comes by, each with its own reason: spec/vector/uncovered.json.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { specRoot } from "../../src/spec/load.ts";

/** By rule. Throws an Error where the file is not what it should be. */
export const excusesOf = (): Readonly<Record<string, string>> =>
  z.record(z.string(), z.string().min(20)).parse(JSON.parse(readFileSync(join(specRoot(), "spec", "vector", "uncovered.json"), "utf8")));
