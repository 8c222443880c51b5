// Which open file a descriptor means. What was reckoned from the table is good for one version of it.
import { SharedMap } from "./shared-map.ts";

export class DescriptorTable extends SharedMap<number, number> {
  version: number;

  constructor(of?: DescriptorTable) {
    super(of);
    this.version = of?.version ?? 0;
  }

  override set(fd: number, file: number): this {
    this.version++;
    return super.set(fd, file);
  }

  override delete(fd: number): boolean {
    this.version++;
    return super.delete(fd);
  }

  override fork(): DescriptorTable {
    return new DescriptorTable(this);
  }
}
