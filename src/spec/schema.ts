// The shape of every record under spec/: zod schemas that refuse unknown keys, and the types that
// follow from them. What no single record can show (doubled values, overlaps) is in validate.ts.

import { z } from "zod";

/** A kernel release such as "5.19": the first that has a thing. */
export const Since = z.string().regex(/^[2-9]\.\d{1,2}$/, 'a kernel release such as "5.19"');

/** 5, -2, "0x8000000" or "1<<19". */
export const NumberText = z.union([
  z.int(),
  z.string().regex(/^(0x[0-9a-f]+|1<<\d{1,2})$/, 'a number, "0x..." or "1<<n"'),
]);

const UpperName = z.string().regex(/^[A-Z][A-Z0-9_]*$/, "an upper case name");
const FieldName = z.string().regex(/^[a-z_][a-z0-9_]*$/, "a C field name");

export const Source = z.strictObject({
  header: z.string(),
  kernel: Since,
  note: z.string().optional(),
});

/**
 * flags: single bits, each once. enum: numbers, each once (dense: from 0 without gaps). values: masks,
 * shifts and offsets, which may repeat. `since` is the default of the group's constants.
 */
export const Group = z.strictObject({
  kind: z.enum(["flags", "enum", "values"]),
  doc: z.string(),
  since: Since.optional(),
  dense: z.boolean().optional(),
});

export const Constant = z.strictObject({
  name: UpperName,
  value: NumberText,
  since: Since.optional(),
  group: UpperName,
  doc: z.string().optional(),
  /** Another name of the same value, in the same group. */
  aliasOf: UpperName.optional(),
  /** Why the compiler's header can't confirm the value. */
  unchecked: z.string().optional(),
});

export const ConstantFile = z.strictObject({
  source: Source,
  groups: z.record(UpperName, Group),
  constants: z.array(Constant),
});

/** "u32", "u64[4]", "u8[0]" or the name of an earlier struct. */
export const FieldType = z.string().regex(/^[a-z_][a-z0-9_]*(\[\d+\])?$/, "a field type");

export const Field = z.strictObject({
  name: FieldName,
  offset: z.int().min(0),
  size: z.int().min(0),
  type: FieldType,
  since: Since.optional(),
  /** The fields of the same union that these bytes belong to. Without it, fields may not overlap. */
  aliasOf: z.union([FieldName, z.array(FieldName)]).optional(),
  /** Our own name; the C header has none. */
  own: z.literal(true).optional(),
  /** Why the compiler's header can't confirm it. */
  unchecked: z.string().optional(),
});

export const Struct = z.strictObject({
  name: FieldName,
  /** Name of the offset table in codec.gen.ts. */
  codec: UpperName,
  size: z.int().positive(),
  since: Since,
  source: z.string(),
  /** The trailing array of no fixed length. */
  flexible: FieldName.optional(),
  fields: z.array(Field).min(1),
});

export const StructFile = z.strictObject({ source: Source, structs: z.array(Struct) });

export const RegisterArg = z.strictObject({
  opcode: UpperName,
  /** What `arg` is: nothing, one struct, nr_args elements, or a plain number. */
  argKind: z.enum(["none", "struct", "array", "fd-array", "number"]),
  /** Bytes the kernel may touch at arg whatever nr_args says. */
  argBytes: z.int().min(0),
  /** Bytes for each of nr_args. */
  bytesPerArg: z.int().min(0),
  /** May the addon hand this opcode to the kernel? */
  allowed: z.boolean(),
  doc: z.string().optional(),
});

export const RegisterArgFile = z.strictObject({ source: Source, args: z.array(RegisterArg) });

const SqeField = z.string().regex(/^[a-z][a-z0-9_]*$/, "an SQE field");

export const OpSource = z.strictObject({
  opcode: UpperName,
  number: z.int().min(0),
  since: Since,
  summary: z.string().min(10),
  fields: z.strictObject({ required: z.array(SqeField), optional: z.array(SqeField) }),
  defaults: z.record(SqeField, z.int()).optional(),
  /** Groups of spec/abi that hold the operation's flag words. */
  flags: z.array(UpperName),
  /** none: fd is not used; fd: an open file is needed before preparation; any: the operation itself interprets fd. */
  file: z.enum(["none", "fd", "any"]),
  bufferSelect: z.boolean(),
  /** May sqe.ioprio be other than 0? */
  ioprio: z.boolean(),
  pollin: z.boolean(),
  pollout: z.boolean(),
  hashRegFile: z.boolean(),
  /** Goes to an unbounded worker when the file is not a regular one. */
  unboundNonregFile: z.boolean(),
  plug: z.boolean(),
  iopoll: z.boolean(),
  results: z.array(z.string()),
  errors: z.array(z.strictObject({ errno: UpperName, when: z.string() })),
  sources: z.array(z.string()).min(1),
  modelled: z.boolean(),
});

/** The chapters of spec/rule/, in the order in which they are read. Each is a file of that name. */
export const CHAPTERS = [
  "setup", "mapping", "sq", "submit", "cq", "overflow", "enter", "signal", "taskrun", "link", "hardlink", "drain", "skip",
  "timeout", "link-timeout", "cancel", "poll", "multishot", "rw", "nop", "fsync", "openat", "close", "waitid", "worker", "issue", "register", "resize", "buffers", "restriction", "eventfd", "msg-ring", "iopoll", "sqpoll", "fdinfo",
  "liveness",
] as const;

/** "io_uring_enter(2) RETURN VALUE" (page and section), or "io_uring/io_uring.c io_submit_sqes()". */
export const RuleSource = z
  .string()
  .regex(/^([a-z_][a-z0-9_]*\([1-8]\) \S.*|[a-z_][a-z0-9_/-]*\.[ch] [a-z_][a-z0-9_]*\(\))$/, 'a source such as "io_uring_enter(2) ERRORS" or "io_uring/rw.c io_read()"');

/** How many numbered contradictions there are: X1 to this. Each has a rule; scripts/generate/contradictions.ts sees to it. */
export const CONTRADICTIONS_MAX = 24;

/** What a man page says otherwise than a rule. */
export const Contradiction = z.strictObject({
  /** Its number in docs/reference/contradictions.md; several rules may share one. Without: noted here alone. */
  number: z.string().regex(/^X[1-9]\d*$/, 'a number such as "X7"').refine((text) => Number(text.slice(1)) <= CONTRADICTIONS_MAX, `a number up to X${CONTRADICTIONS_MAX}`).optional(),
  /** Where: page and section, or the entry within it. */
  pages: z.array(z.string().regex(/^[a-z_][a-z0-9_]*\([1-8]\) \S.*$/, 'a page and section such as "io_uring_sqpoll(7) NOTES"')).min(1),
  /** One sentence, as the page means it. */
  says: z.string().min(10).regex(/^[^ ].*\.$/, "a sentence with a full stop"),
});

/** Where a kernel that breaks a rule is seen to. The names of words are those of the ring's fields. */
export const SHOWS = [
  /** What a call returns: io_uring_setup, io_uring_enter where it is refused, io_uring_register, any other. */
  "setup", "enter", "register", "system",
  /** How many SQEs a call takes; when a wait ends, and with what. */
  "count", "wait",
  /** What io_uring_setup fills in, and what a new ring holds. */
  "params", "ring",
  /** Of a CQE: its fields, the second half of one of 32 bytes, whether it is there by now, its place among others. */
  "res", "flags", "user_data", "big", "posted", "order",
  "sq.head", "sq.dropped", "sq.flags", "cq.tail", "cq.overflow",
  /** Bytes of the application's memory or of a file; what procfs says of the ring. */
  "memory", "fdinfo",
] as const;

export const Rule = z.strictObject({
  id: z.string().regex(/^[a-z]+(-[a-z]+)*\.[a-z0-9]+(-[a-z0-9]+)*$/, 'a rule id such as "cq.head-lies"'),
  /**
   * must: every kernel from `since` to `until` does this. may: the kernel is free here, and this is what
   * it is known to choose. unspecified: nothing is promised, and nothing is held against a kernel.
   */
  force: z.enum(["must", "may", "unspecified"]),
  /** One sentence. */
  text: z.string().min(20).regex(/^[^ ].*\.$/, "a sentence with a full stop"),
  /** Where a breach is seen first. */
  shows: z.array(z.enum(SHOWS)).min(1, "a rule is about something that can be seen"),
  sources: z.array(RuleSource).min(1, "a rule needs a source"),
  /** The first release that the rule is known to hold for. */
  since: Since,
  /** The last one. Without it the rule still holds. */
  until: Since.optional(),
  /** What a man page says otherwise. */
  contradicts: Contradiction.optional(),
  /** Why no test shows it on both kernels. */
  untried: z.string().min(10).optional(),
});

export const RuleFile = z.strictObject({
  chapter: z.enum(CHAPTERS),
  title: z.string(),
  /** The kernel whose functions the sources name. */
  kernel: Since,
  rules: z.array(Rule).min(1),
});

export type SourceRecord = z.infer<typeof Source>;
export type GroupRecord = z.infer<typeof Group>;
export type ConstantRecord = z.infer<typeof Constant>;
export type FieldRecord = z.infer<typeof Field>;
export type StructRecord = z.infer<typeof Struct>;
export type RegisterArgRecord = z.infer<typeof RegisterArg>;
export type OpSourceRecord = z.infer<typeof OpSource>;
export type ContradictionRecord = z.infer<typeof Contradiction>;
export type RuleRecord = z.infer<typeof Rule>;
export type RuleFileRecord = z.infer<typeof RuleFile>;

/** The record kinds that are exported as JSON Schema to spec/schema/. */
export const RECORD_SCHEMAS = {
  "constant-file": ConstantFile,
  "struct-file": StructFile,
  "register-arg-file": RegisterArgFile,
  op: OpSource,
  "rule-file": RuleFile,
} as const;
