// `ringspec doctor`: is io_uring there, if not why and what to do about it, and what this kernel has.
import process from "node:process";
import { PROFILE_6_18 } from "../model/profile.ts";
import { PROGRAM_OPCODES } from "../program/program.ts";
import { probeReal } from "../real/probe.ts";
import type { RealProbe } from "../real/probe.ts";
import { FEATURES, OPCODES, SETUP_FLAGS } from "../spec/constants.gen.ts";
import { EXIT } from "./exit-code.ts";

const IO_URING_DISABLED = ["0: allowed to everyone", "1: privileged processes only", "2: switched off for everyone"];
const SECCOMP = ["none", "strict", "a filter"];

interface Named {
  readonly name: string;
  readonly value: number;
}
const bitNames = (table: readonly Named[], bits: number): string[] => table.filter(({ value }) => (bits & value) !== 0).map(({ name }) => name);
const opcodeName = (value: number): string => (OPCODES.find((op) => op.value === value)?.name ?? String(value)).replace("IORING_OP_", "");

/** The exit code: 3 where the real kernel is required by RINGSPEC_REQUIRE_REAL=1 and is not there, else 0. */
export function doctor({ json }: { readonly json?: boolean }): number {
  const probe = probeReal();
  process.stdout.write(json === true ? `${JSON.stringify(asJson(probe))}\n` : asText(probe));
  return !probe.available && process.env["RINGSPEC_REQUIRE_REAL"] === "1" ? EXIT.realRequired : EXIT.agree;
}

function asJson(probe: RealProbe): unknown {
  return {
    real: { available: probe.available, reasons: probe.reasons },
    kernel: probe.kernel,
    features: bitNames(FEATURES, probe.features ?? 0),
    setupFlags: bitNames(SETUP_FLAGS, probe.setupFlags ?? 0),
    opcodes: (probe.opcodes ?? []).map(opcodeName),
    file: probe.file ?? null,
    // JSON has no Infinity.
    memlockBytes: probe.memlockBytes === Infinity ? "unlimited" : (probe.memlockBytes ?? null),
    ioUringDisabled: probe.ioUringDisabled ?? null,
    seccomp: probe.seccomp ?? null,
    container: probe.container ?? null,
    native: probe.native ?? null,
    model: { kernel: PROFILE_6_18.release, opcodes: PROGRAM_OPCODES },
  };
}

function asText(probe: RealProbe): string {
  const rows: [string, string][] = [
    ["real kernel", probe.available ? "available" : "NOT AVAILABLE, everything runs on the model"],
    ...probe.reasons.map((reason): [string, string] => ["  because", reason]),
    ["kernel", probe.kernel],
    ["io_uring_disabled", probe.ioUringDisabled === undefined ? "this machine does not say" : (IO_URING_DISABLED[probe.ioUringDisabled] ?? String(probe.ioUringDisabled))],
    ["seccomp", probe.seccomp === undefined ? "this machine does not say" : (SECCOMP[probe.seccomp] ?? String(probe.seccomp))],
    ["locked memory", memlock(probe.memlockBytes)],
    ["container", probe.container ?? "none seen"],
    ["native addon", probe.native === undefined ? "never built (node scripts/install-native.mjs)" : probe.native.built ? "built" : `not built: ${probe.native.reason ?? "?"}; ${probe.native.fix ?? ""}`],
    ...(probe.native?.log === undefined ? [] : [["  its log", probe.native.log] as [string, string]]),
    ["model", `Linux ${PROFILE_6_18.release}: ${PROGRAM_OPCODES.join(" ")}`],
  ];
  if (probe.available) {
    rows.push(["features", bitNames(FEATURES, probe.features ?? 0).map((name) => name.replace("IORING_FEAT_", "")).join(" ")]);
    rows.push(["setup flags", bitNames(SETUP_FLAGS, probe.setupFlags ?? 0).map((name) => name.replace("IORING_SETUP_", "")).join(" ")]);
    rows.push(["opcodes", `${probe.opcodes?.length ?? 0}: ${(probe.opcodes ?? []).map(opcodeName).join(" ")}`]);
    rows.push(["files", `reads complete ${place(probe.file?.readInline)}, writes ${place(probe.file?.writeInline)}`]);
  }
  return `${rows.map(([label, value]) => `${label.padEnd(20)}${value}`).join("\n")}\n`;
}

function memlock(bytes: number | undefined): string {
  if (bytes === undefined) return "this machine does not say";
  return bytes === Infinity ? "unlimited" : `${Math.floor(bytes / 1024)} KiB`;
}

function place(inline: boolean | undefined): string {
  if (inline === undefined) return "inline or on a worker";
  return inline ? "inline" : "on a worker";
}
