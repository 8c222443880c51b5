// What a program saw so far, as lists that share their beginnings: the same list is the same object, so that
// a number stands for it in a state key.

export interface Line {
  /** Unique among the lines of one table. */
  readonly id: number;
  readonly parent: Line | undefined;
  readonly text: string;
  readonly length: number;
}

export class Lines {
  readonly empty: Line = { id: 0, parent: undefined, text: "", length: 0 };
  private readonly known = new Map<string, Line>();

  /** The list with one more line behind it. */
  add(to: Line, text: string): Line {
    const name = `${to.id} ${text}`;
    let line = this.known.get(name);
    if (line === undefined) {
      line = { id: this.known.size + 1, parent: to, text, length: to.length + 1 };
      this.known.set(name, line);
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
