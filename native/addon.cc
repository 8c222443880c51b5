// The loader: one state per environment (the main thread, each worker), handed to every function as its
// data. The functions are plain ones and take handles: an ObjectWrap method costs 100 ns more.
#include <napi.h>

#include "ring.h"
#include "session.h"
#include "system.h"

namespace {

/** The environment ends: registered first, so it runs after every finalizer of a buffer. */
void OnTeardown(void* data) {
  auto* state = static_cast<ringspec::AddonState*>(data);
  state->sessions.Each([](ringspec::Session* session) { session->Close(true); });
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* state = new ringspec::AddonState;
  state->env = env;
  // Deleted with the environment, after OnTeardown.
  env.SetInstanceData(state);
  napi_add_env_cleanup_hook(env, OnTeardown, state);
  ringspec::ExportSession(env, exports, state);
  ringspec::ExportRing(env, exports, state);
  ringspec::ExportSystem(env, exports, state);
  return exports;
}

}  // namespace

NODE_API_MODULE(ringspec, Init)
