// Every seeded bug, in the order of the report.
import type { Bug } from "./bug.ts";
import { DRIVER } from "./driver/bugs.ts";
import { COMPLETION } from "./kernel/completion.ts";
import { FILES } from "./kernel/files.ts";
import { LINKS } from "./kernel/links.ts";
import { READINESS } from "./kernel/readiness.ts";
import { PORT } from "./port.ts";
import { SETUP } from "./kernel/setup.ts";
import { SUBMISSION } from "./kernel/submission.ts";
import { TIME } from "./kernel/time.ts";
import { WAITING } from "./kernel/waiting.ts";

export const BUGS: readonly Bug[] = [...SUBMISSION, ...COMPLETION, ...WAITING, ...LINKS, ...TIME, ...READINESS, ...FILES, ...SETUP, ...PORT, ...DRIVER];

/** Each half as it is: what a hunt finds here it makes up. */
export const NO_BUGS: readonly Bug[] = [
  { id: "no-bug-in-kernel", title: "nothing", origin: [], rules: ["liveness.due"], half: "kernel", patches: [] },
  { id: "no-bug-in-port", title: "nothing", origin: [], rules: ["liveness.due"], half: "port", decorate: (kernel) => kernel },
  { id: "no-bug-in-driver", title: "nothing", origin: [], rules: ["liveness.due"], half: "driver", patches: [] },
];
