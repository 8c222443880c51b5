// Every seeded bug, in the order of the report.
import type { Bug } from "./bug.ts";
import { COMPLETION } from "./kernel/completion.ts";
import { SUBMISSION } from "./kernel/submission.ts";

export const BUGS: readonly Bug[] = [...SUBMISSION, ...COMPLETION];
