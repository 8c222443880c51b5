// How the command ends, and the errors that say so. Every other error is a fault of ours and shows its stack.

export const EXIT = {
  agree: 0,
  diverge: 1,
  usage: 2,
  realRequired: 3,
  unknown: 4,
  interrupted: 130,
} as const;

export const EXIT_CODES_HELP = `
Exit codes:
  0    the kernel and the model agree; check: the trace is legal to its end; explain: it was shown, whatever its verdict
  1    they diverge, or too many programs could not be judged; check: the trace is illegal; explore: an invariant does not hold;
       vectors: one fails
  2    usage, or input that can't be read
  3    the real kernel was required (--backend real, RINGSPEC_REQUIRE_REAL=1) and is not there
  4    check: the trace could not be judged to its end (unknown, unspecified or unmodelled); explore: a limit was reached
  130  interrupted`;

/** The user's input is at fault: the message says what was expected, what came, and how to fix it. */
export class UsageError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "UsageError";
  }
}

/** The real kernel was required and is not there. */
export class RealRequired extends Error {
  readonly reasons: readonly string[];
  constructor(reasons: readonly string[]) {
    super(`the real kernel was required and is not there: ${reasons.join("; ")}`);
    this.name = "RealRequired";
    this.reasons = reasons;
  }
}
