// The package's public face: both kernels, the driver, programs and the oracle. Nothing is done on import.
export * from "./kernel.ts";
/** Constants of <linux/io_uring.h> and their tables, and sizes and offsets of its structs. */
export * as abi from "./spec/constants.gen.ts";
export * as structs from "./spec/codec.gen.ts";
export type * from "./driver.ts";
export { openDriver } from "./open.ts";
export { parseFdinfo } from "./fdinfo.ts";
export type { InfoBuffer, InfoCqe, InfoOverflow, InfoPoll, InfoSqe, RingInfo } from "./fdinfo.ts";
export { createModelKernel } from "./model/kernel.ts";
export type { ModelKernelOptions } from "./model/kernel.ts";
export { PROFILES } from "./model/profile.ts";
export { CHOICE_POINTS } from "./model/choices.ts";
export { createRealKernel, RealKernelUnavailable } from "./real/linux-kernel.ts";
export type { RealKernelOptions } from "./real/linux-kernel.ts";
export { probeReal } from "./real/probe.ts";
export type { RealProbe } from "./real/probe.ts";
export { parseProgram, PROGRAM_OPCODES, programJsonSchema, programSchema, RING_FLAGS } from "./program/program.ts";
export type { Address, Operation, Program, ProgramOpcode, SqeSpec } from "./program/program.ts";
export type { Exercise } from "./program/exercise.ts";
export { formatTrace } from "./program/trace.ts";
export type { Trace, TraceEvent } from "./program/trace.ts";
export { anyProgram, hostileProgram, legalProgram } from "./program/arbitrary.ts";
export type { ProgramOptions } from "./program/arbitrary.ts";
export { judgeTrace, runAndJudge } from "./oracle/judge.ts";
export type { JudgeOptions } from "./oracle/judge.ts";
export { Checker } from "./oracle/checker.ts";
export type { Choices, Outcome, Strictness, Verdict } from "./oracle/verdict.ts";
