// What a run chose, and how hard its search tries.

export interface Taken {
  readonly point: string;
  readonly alternatives: readonly string[];
  readonly index: number;
  /** The other alternatives are tried only where `lateNeeded` says so. */
  readonly lazy?: boolean;
}

/** Which of the kernel's own steps a check tries: 0 those that touch what was seen, 1 those that touch these, 2 all. */
export type Effort = 0 | 1 | 2;
