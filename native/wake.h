// A ring's wake-up: an eventfd that the kernel signals when it posts a completion, watched by the event
// loop. The eventfd is emptied only when a wait ends, so that what was posted since the last wait
// ended wakes the next one: nothing is missed between the caller's look and its wait.
#pragma once
#include <napi.h>

#include <cstdint>

struct uv_poll_s;
struct uv_handle_s;

namespace ringspec {

class Ring;

class Wake {
 public:
  static Wake* Create(Ring* ring, int* error);

  enum class Started { kArmed, kReady, kBusy, kRefused };
  /** One wait at a time. kReady: something may have come already, and nothing was armed. */
  Started Start(napi_value callback, int* error);
  void Stop();
  /** The program wants the eventfd's place. A pending wait ends as ready: spurious, but never lost. */
  void GiveUpEventfd();
  /** Ends everything and deletes this once the event loop has let go of the handle. Calls no JavaScript. */
  void Shutdown();

 private:
  Wake(Ring* ring, napi_env env) : ring_(ring), env_(env) {}
  static void OnPoll(uv_poll_s* handle, int status, int events);
  static void OnClosed(uv_handle_s* handle);
  static void OnTeardown(napi_async_cleanup_hook_handle hook, void* self);
  /** Empties the eventfd and remembers what has been announced. */
  void Consume();
  void Resolve();

  /** Null once shut down. */
  Ring* ring_;
  napi_env env_;
  uv_poll_s* poll_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  int eventfd_ = -1;
  bool registered_ = false;
  /** Non-null while a wait is pending. */
  napi_ref callback_ = nullptr;
  /** The CQ tail when a wait last ended. A tail that moved since is news. */
  uint32_t announced_tail_ = 0;
};

}  // namespace ringspec
