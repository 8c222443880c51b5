// Shrinking by operation. Programs are drawn in groups that belong together (a chain and its submit),
// and fast-check drops whole groups; this drops single operations once no smaller group fails.
import fc from "fast-check";

/** Undefined: operations were dropped already, and nothing of how they were drawn holds any more. */
interface Context<T> {
  readonly source: fc.Value<T[]> | undefined;
}

class Droppable<T> extends fc.Arbitrary<T[]> {
  private readonly list: fc.Arbitrary<T[]>;
  private readonly min: number;

  constructor(list: fc.Arbitrary<T[]>, min: number) {
    super();
    this.list = list;
    this.min = min;
  }

  private drawn(source: fc.Value<T[]>): fc.Value<T[]> {
    return new fc.Value<T[]>(source.value, { source } satisfies Context<T>);
  }

  override generate(random: fc.Random, biasFactor: number | undefined): fc.Value<T[]> {
    return this.drawn(this.list.generate(random, biasFactor));
  }

  override canShrinkWithoutContext(_value: unknown): _value is T[] {
    return false;
  }

  override shrink(value: T[], context: unknown): fc.Stream<fc.Value<T[]>> {
    // Every value that fast-check brings back here was made above or below.
    const { source } = context as Context<T>;
    const smaller = source === undefined
      ? fc.Stream.nil<fc.Value<T[]>>()
      : this.list.shrink(source.value, source.context).map((next) => this.drawn(next));
    return smaller.join(fc.stream(this.dropped(value)));
  }

  /** The list without its halves, quarters ... single items. */
  private *dropped(value: readonly T[]): IterableIterator<fc.Value<T[]>> {
    const spare = value.length - this.min;
    for (let size = Math.min(Math.ceil(value.length / 2), spare); size > 0; size = Math.floor(size / 2)) {
      for (let at = 0; at + size <= value.length; at += size)
        yield new fc.Value<T[]>(value.toSpliced(at, size), { source: undefined } satisfies Context<T>);
    }
  }
}

/** `list`, with shrinks that drop any items but leave `min`. */
export const droppable = <T>(list: fc.Arbitrary<T[]>, min: number): fc.Arbitrary<T[]> => new Droppable(list, min);
