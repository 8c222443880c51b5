// Where the runs of one window have been: a place in the code, a state, and the steps that slept there.

/** States that the runs of one window came to, so that nothing is tried twice. */
export class Seen {
  private readonly asleepAt = new Map<string, (readonly number[])[]>();
  lateNeeded = false;

  /** False where a run was here before with no more steps asleep than now. */
  visit(key: string, asleep: ReadonlyMap<number, unknown>): boolean {
    const before = this.asleepAt.get(key);
    if (before?.some((ids) => ids.every((id) => asleep.has(id))) === true) return false;
    const ids = [...asleep.keys()];
    if (before === undefined) this.asleepAt.set(key, [ids]);
    else before.push(ids);
    return true;
  }
}
