// Where the runs of one window have been: a place in the code, a state, and the steps that slept there.

/** States that the runs of one window came to, so that nothing is tried twice. */
export class Seen {
  private readonly asleepAt = new Map<string, (readonly string[])[]>();
  lateNeeded = false;

  /** False where a run was here before with no more steps asleep than now. */
  visit(key: string, asleep: ReadonlyMap<string, unknown>): boolean {
    const before = this.asleepAt.get(key);
    if (before?.some((names) => names.every((name) => asleep.has(name))) === true) return false;
    const names = [...asleep.keys()];
    if (before === undefined) this.asleepAt.set(key, [names]);
    else before.push(names);
    return true;
  }
}
