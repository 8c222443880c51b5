// Which open file a descriptor means. What was reckoned from the table is good for one version of it.
export class DescriptorTable extends Map<number, number> {
  version = 0;

  override set(fd: number, file: number): this {
    this.version++;
    return super.set(fd, file);
  }

  override delete(fd: number): boolean {
    this.version++;
    return super.delete(fd);
  }

  fork(): DescriptorTable {
    const copy = new DescriptorTable();
    for (const [fd, file] of this) copy.set(fd, file);
    copy.version = this.version;
    return copy;
  }
}
