// Every point at which the model lets the kernel choose, and what it may choose. A run of the oracle
// counts which of these a kernel was seen to take; one that was never seen is reported.
export const CHOICE_POINTS: Record<string, readonly string[]> = {
  "rw.read-inline": ["inline", "worker"],
  "rw.write-inline": ["inline", "worker"],
  "rw.position": ["stored", "not yet"],
  "rw.position-taken": ["now", "earlier"],
  "openat.cached": ["inline", "worker"],
  "worker.cancel-before-start": ["ran", "refused"],
  "worker.release": ["before", "after"],
  "cancel.worker": ["pending", "running", "taken along"],
  "cancel.pause": ["goes on", "pauses"],
  "multishot.room": ["room", "full"],
  "timeout.counted": ["0", "1", "2", "3", "4"],
  "timeout.taken": ["taken", "firing"],
  "timeout.flushed": ["at once", "later"],
  "timeout.satisfied": ["count", "timer"],
  "taskrun.batch": ["goes on", "splits"],
  "taskrun.late": ["ran", "after"],
  "fd.recycled": ["none", "file"],
  "order.before": ["nothing", "step", "effect", "post", "task-work", "expire"],
  "order.step": ["effect", "post", "task-work", "expire"],
  "wait.end": ["effect", "post", "task-work", "expire", "timeout"],
};
