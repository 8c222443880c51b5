// What of the model is not mutated, and why: each of these changes nothing that a trace could show. They are counted
// in the report by reason, never left out in silence.

/** What the instrumenter shows of a place in the code: as much as is asked for here. */
export interface Place {
  readonly node: {
    readonly type: string;
    readonly callee?: { readonly name?: string };
    readonly key?: { readonly name?: string };
    readonly id?: { readonly name?: string } | null;
  };
}

/** Classes of errors; what they say is for people. */
const ERRORS = /(Error|^Unmodelled|^WouldBlockForever)$/;
/** Methods and functions that write a state as text, by which a search tells states apart; a wrong text costs time or a run. */
const KEYS: ReadonlySet<string> = new Set(["key", "digest", "fnv", "inodeKey"]);

/** Why nothing at or below this place is mutated; undefined: it is. */
export function reasonToIgnore({ node }: Place): string | undefined {
  if (node.type === "NewExpression" && ERRORS.test(node.callee?.name ?? "")) return "text of an error";
  if (node.type === "ClassMethod" && KEYS.has(node.key?.name ?? "")) return "text by which states are told apart";
  if (node.type === "FunctionDeclaration" && KEYS.has(node.id?.name ?? "")) return "text by which states are told apart";
  if (node.type === "ClassDeclaration") return CLASSES_LEFT_OUT.get(node.id?.name ?? "");
  return undefined;
}

/** Classes that judging a trace does not run, in files of which it runs the rest. */
const CLASSES_LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ["ModelSystem", "the calls of the model as a kernel to run programs on; the oracle does not make them"],
]);

/** Files of the model of which no verdict depends. */
export const FILES_LEFT_OUT: ReadonlyMap<string, string> = new Map([
  ["kernel.ts", "the model as a kernel to run programs on; the oracle does not load it"],
  ["choices.ts", "the list by which a report counts choices; no verdict depends on it"],
]);
