// Emits native/abi-check.gen.h: compile-time assertions of every value, size and offset that the
// compiler's own headers have. Enumerators can't be tested with #ifdef, so io_uring's are guarded
// by the version of the installed headers; macros of the C library by #ifdef.

import { type Constant, type Group, type Spec, compareSince } from "../../src/spec/load.ts";
import { BANNER } from "./text.ts";

/** Groups whose names are macros of the C library, and the header they come from. */
const MACRO_GROUPS: ReadonlySet<string> = new Set([
  "ERRNO",
  "OPEN_ACCESS",
  "OPEN_FLAGS",
  "OPEN_MASKS",
  "POLL_EVENTS",
  "EPOLL_EVENTS",
  "EPOLL_CTL_OPS",
  "CLOCKS",
  "AT_VALUES",
  "RWF_FLAGS",
  "EVENTFD_FLAGS",
  "SEEK_WHENCE",
]);

/**
 * Newer things are not asserted: a `since` that turns out wrong must not break the build of the addon
 * on a machine whose headers are newer than any kernel that this specification was tried on.
 */
const NEWEST_ASSERTED = "6.18";

function assertValue({ name, value }: Constant): string {
  if (value > 0xffff_ffffn) return `static_assert(static_cast<std::uint64_t>(${name}) == 0x${value.toString(16)}ull, "${name}");`;
  const word = BigInt.asUintN(32, value);
  return `static_assert(static_cast<std::uint32_t>(${name}) == 0x${word.toString(16)}u, "${name}");`;
}

/** The assertions by the kernel that first has what they name. */
function versioned(spec: Spec): Map<string, string[]> {
  const bySince = new Map<string, string[]>();
  const add = (since: string, line: string) => {
    const lines = bySince.get(since);
    if (compareSince(since, NEWEST_ASSERTED) > 0) return;
    if (lines === undefined) bySince.set(since, [line]);
    else lines.push(line);
  };
  for (const group of spec.groups) {
    if (MACRO_GROUPS.has(group.name)) continue;
    for (const constant of group.constants) if (constant.unchecked === undefined) add(constant.since, assertValue(constant));
  }
  for (const struct of spec.structs) {
    const type = `struct ${struct.name}`;
    add(struct.since, `static_assert(sizeof(${type}) == ${struct.size}, "sizeof ${struct.name}");`);
    for (const field of struct.fields) {
      if (field.own === true || field.unchecked !== undefined) continue;
      const since = field.since ?? struct.since;
      const label = `${struct.name}.${field.name}`;
      add(since, `static_assert(offsetof(${type}, ${field.name}) == ${field.offset}, "offset of ${label}");`);
      if (field.size > 0) add(since, `static_assert(sizeof(static_cast<${type} *>(nullptr)->${field.name}) == ${field.size}, "size of ${label}");`);
    }
  }
  return bySince;
}

function guarded(since: string, lines: readonly string[]): string[] {
  const [major, minor] = since.split(".");
  return ["", `#if LINUX_VERSION_CODE >= KERNEL_VERSION(${major}, ${minor}, 0)`, ...lines, "#endif"];
}

function macros(group: Group): string[] {
  return group.constants
    .filter(({ unchecked }) => unchecked === undefined)
    .flatMap((constant) => [`#ifdef ${constant.name}`, assertValue(constant), "#endif"]);
}

export function emitAbiCheck(spec: Spec): string {
  const bySince = versioned(spec);
  const order = [...bySince.keys()].toSorted(compareSince);
  return [
    `// ${BANNER}`,
    "// The specification's numbers against the headers of this machine. Compiling is the test.",
    "#ifndef RINGSPEC_ABI_CHECK_GEN_H",
    "#define RINGSPEC_ABI_CHECK_GEN_H",
    "",
    "#include <cerrno>",
    "#include <cstddef>",
    "#include <cstdint>",
    "#include <cstdio>",
    "#include <ctime>",
    "#include <fcntl.h>",
    "#include <linux/io_uring.h>",
    "#include <linux/time_types.h>",
    "#include <linux/version.h>",
    "#include <poll.h>",
    "#include <sys/epoll.h>",
    "#include <sys/eventfd.h>",
    "#include <sys/uio.h>",
    "#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 18, 0)",
    "#include <linux/io_uring/query.h>",
    "#endif",
    ...order.flatMap((since) => guarded(since, bySince.get(since) ?? [])),
    "",
    ...spec.groups.filter(({ name }) => MACRO_GROUPS.has(name)).flatMap(macros),
    "",
    "#endif",
    "",
  ].join("\n");
}

const RULE_KIND: Readonly<Record<string, number>> = { none: 0, struct: 1, array: 1, "fd-array": 1, number: 2 };

export function emitRegisterTable(spec: Spec): string {
  const numbers = new Map(spec.groups.find(({ name }) => name === "REGISTER_OPCODES")?.constants.map(({ name, value }) => [name, value]));
  const rows = spec.registerArgs.map(
    (arg) => `    {${numbers.get(arg.opcode)}, ${arg.argBytes}, ${arg.bytesPerArg}, ${RULE_KIND[arg.argKind]}, ${arg.allowed}},  // ${arg.opcode}`,
  );
  return [
    `// ${BANNER}`,
    "// What the kernel may touch at the argument of each io_uring_register opcode:",
    "// fixed_bytes + nr_args * bytes_per_arg. kind: 0 none, 1 memory, 2 a plain number.",
    "#ifndef RINGSPEC_REGISTER_TABLE_GEN_H",
    "#define RINGSPEC_REGISTER_TABLE_GEN_H",
    "",
    "#include <cstdint>",
    "",
    "struct RegisterRule {",
    "  uint32_t opcode;",
    "  uint32_t fixed_bytes;",
    "  uint32_t bytes_per_arg;",
    "  uint8_t kind;",
    "  bool allowed;",
    "};",
    "",
    "inline constexpr RegisterRule kRegisterRules[] = {",
    ...rows,
    "};",
    "",
    "#endif",
    "",
  ].join("\n");
}
