// Chooses the kernel for a command. Where the real one is missing that is said aloud, with how to get
// it, and it is an error where it was required.
import process from "node:process";
import { probeReal } from "../real/probe.ts";
import { RealRequired } from "./exit-code.ts";
import type { Backend } from "./messages.ts";

export interface Chosen {
  readonly backend: Backend;
  /** Why there is no real kernel, and how to get it; empty where there is, or where the model was asked for. */
  readonly missing: readonly string[];
}

/** Throws RealRequired. */
export function chooseBackend(wanted: "auto" | Backend): Chosen {
  if (wanted === "model") return { backend: "model", missing: [] };
  const { available, reasons } = probeReal();
  if (available) return { backend: "real", missing: [] };
  if (wanted === "real" || process.env["RINGSPEC_REQUIRE_REAL"] === "1") throw new RealRequired(reasons);
  return { backend: "model", missing: reasons };
}

/** One line, or none. */
export function sayMissing(missing: readonly string[]): string {
  if (missing.length === 0) return "";
  return `NO REAL KERNEL: everything ran on the model alone, nothing was compared with Linux. ${missing.join("; ")}. See: ringspec doctor\n`;
}
