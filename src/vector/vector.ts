// A conformance vector: a small program, and everything that a kernel may let it see. For whoever writes another io_uring:
// docs/guides/vectors.md says how to run one without any of this code.
import { z } from "zod";
import { programSchema } from "../program/program.ts";

const lines = z.array(z.string().min(1));

/** What one run may show; the lines are those that `ringspec emit --c` prints. */
const outcome = z.strictObject({
  /** "setup 0", then each call of the program with its result. */
  calls: lines,
  /** "cqe <user_data> <res or fd> <flags>", in the order in which they came. */
  completions: lines,
  /** "look <name> <bytes> <FNV-1a>": what buffers, files, pipes and eventfds hold at the end. */
  looks: lines,
  /** A call that never returns. */
  end: z.string().exactOptional(),
});

/** In the place of outcomes: the same as those of 6.18. */
export const AS_NEWEST = "as 6.18";

export const vectorSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9.-]+$/),
  /** Rules that the program comes by, those that made it a vector first. Of one that was written by hand also those that its outcomes show. */
  rules: z.array(z.string()).min(1),
  program: programSchema,
  /** By release; for one that is not there the vector says nothing. */
  outcomes: z.record(z.string(), z.union([z.literal(AS_NEWEST), z.array(outcome).min(1)])).refine((by) => Array.isArray(by["6.18"]), "expected the outcomes of 6.18"),
});
export type Vector = z.infer<typeof vectorSchema>;

export const vectorFileSchema = z.strictObject({
  version: z.literal(1),
  vectors: z.array(vectorSchema),
  /** Rules of kind must that no vector comes by, and why. */
  uncovered: z.record(z.string(), z.string()),
});
export type VectorFile = z.infer<typeof vectorFileSchema>;

/** JSON Schema of a file of vectors, for other tools. */
export const vectorJsonSchema = (): unknown => z.toJSONSchema(vectorFileSchema);

/** Reads a file of vectors. Throws an Error that names what is wrong, and where. */
export function parseVectors(text: string): VectorFile {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new Error(`vectors are JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  const result = vectorFileSchema.safeParse(json);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Error(`not a file of vectors of version 1: at ${issue?.path.join(".") || "the top"}: ${issue?.message ?? "unknown fault"}`);
}
