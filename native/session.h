// One kernel session: what one LinuxKernel of JavaScript owns. Its descriptors, its arena, its rings,
// and the directory where its relative paths start. Nothing is shared between two sessions.
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>

#include "arena.h"
#include "eventfd-counts.h"
#include "fd-table.h"
#include "handle-table.h"
#include "registered-rings.h"

namespace ringspec {

class Ring;
class Session;

/** What one environment (the main thread or one worker) has open. Used only on its thread. */
struct AddonState {
  napi_env env;
  HandleTable<Session> sessions;
  HandleTable<Ring> rings;
  RegisteredRings registered;
};

class Session {
 public:
  Session(AddonState* state, int directory_fd, bool unbounded_waits)
      : state(state), directory_fd(directory_fd), unbounded_waits(unbounded_waits) {}

  /**
   * Closes the rings, then the descriptors, then the arena, and deletes this. detach: views stop
   * working now; without it (the JavaScript object was dropped) they work until they are collected.
   */
  void Close(bool detach);

  AddonState* const state;
  uint32_t handle = 0;
  const int directory_fd;
  /** May io_uring_enter wait without a bound? Only in a process that somebody is ready to kill. */
  const bool unbounded_waits;
  /** Every ring closed so far had come to rest, so that the arena may be used again. */
  bool clean = true;
  FdTable fds;
  EventFdCounts counts;
  Arena arena;
};

/** kernelOpen(directory, unboundedWaits), kernelClose(kernel), kernelDrop(kernel), arenaGrow(kernel, size), ... */
void ExportSession(Napi::Env env, Napi::Object exports, AddonState* state);

}  // namespace ringspec
