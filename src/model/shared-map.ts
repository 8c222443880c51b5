// A map whose forks share its entries until one of them changes something (copy on write).
export class SharedMap<K, V> {
  private entries: Map<K, V>;
  private shared: boolean;
  /** What key() of the owner made of the entries: good until one changes. */
  private text: string | undefined;

  /** Left out: an empty map. */
  constructor(of?: SharedMap<K, V>) {
    this.shared = of !== undefined;
    this.entries = of?.entries ?? new Map<K, V>();
    this.text = of?.text;
    if (of !== undefined) of.shared = true;
  }

  get size(): number {
    return this.entries.size;
  }

  get(key: K): V | undefined {
    return this.entries.get(key);
  }

  has(key: K): boolean {
    return this.entries.has(key);
  }

  keys(): IterableIterator<K> {
    return this.entries.keys();
  }

  values(): IterableIterator<V> {
    return this.entries.values();
  }

  [Symbol.iterator](): IterableIterator<[K, V]> {
    return this.entries[Symbol.iterator]();
  }

  set(key: K, value: V): this {
    this.own().set(key, value);
    return this;
  }

  delete(key: K): boolean {
    return this.entries.has(key) && this.own().delete(key);
  }

  /** An entry is about to be changed in place, by the only fork that has it. */
  touch(): void {
    this.text = undefined;
  }

  private own(): Map<K, V> {
    this.text = undefined;
    if (this.shared) {
      this.entries = new Map(this.entries);
      this.shared = false;
    }
    return this.entries;
  }

  /** A text of the entries that two maps have in common exactly if nothing tells them apart. */
  key(of: (entries: ReadonlyMap<K, V>) => string): string {
    return (this.text ??= of(this.entries));
  }

  fork(): SharedMap<K, V> {
    return new SharedMap(this);
  }
}
