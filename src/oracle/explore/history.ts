// What a program saw so far, as lists that share their beginnings: the same list is the same object, so that
// a number stands for it in a state key.

export interface Line {
  /** Unique among the lines of one table. */
  readonly id: number;
  readonly parent: Line | undefined;
  readonly text: string;
  readonly length: number;
  /** The lists that are one line longer, by that line. */
  longer: Map<string, Line> | undefined;
}

export class Lines {
  readonly empty: Line = { id: 0, parent: undefined, text: "", length: 0, longer: undefined };
  private count = 0;

  /** The list with one more line behind it. */
  add(to: Line, text: string): Line {
    const longer = (to.longer ??= new Map());
    let line = longer.get(text);
    if (line === undefined) {
      line = { id: ++this.count, parent: to, text, length: to.length + 1, longer: undefined };
      longer.set(text, line);
    }
    return line;
  }
}

/** From the first line to the last. */
export function listed(line: Line): string[] {
  const all: string[] = [];
  for (let at = line; at.parent !== undefined; at = at.parent) all.push(at.text);
  return all.reverse();
}
