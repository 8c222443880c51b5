// How a native function meets JavaScript: reads its arguments by Args, finds its session or ring by
// handle, returns undefined where an exception is pending.
#pragma once
#include <napi.h>

#include "args.h"
#include "session.h"

namespace ringspec {

inline constexpr size_t kArgsMax = 10;

/** The arguments and the addon's state of one call. */
struct Call {
  /** The hot path says how many arguments it has; the others take room for all. */
  Call(napi_env env, napi_callback_info info, const char* name, size_t count = kArgsMax) : args(env, name, count, values) {
    void* data = nullptr;
    // Missing arguments arrive as undefined, further ones are ignored.
    napi_get_cb_info(env, info, &count, values, nullptr, &data);
    state = static_cast<AddonState*>(data);
  }
  Call(const Call&) = delete;

  /** The session of the first argument, or nullptr with an exception pending. */
  Session* FindSession() const {
    uint32_t handle;
    if (!args.U32(0, "kernel handle", &handle)) return nullptr;
    Session* session = state->sessions.Find(handle);
    if (session == nullptr) args.ThrowState("this kernel is closed; open another with createRealKernel()");
    return session;
  }
  Ring* FindRing() const {
    uint32_t handle;
    if (!args.U32(0, "ring handle", &handle)) return nullptr;
    Ring* ring = state->rings.Find(handle);
    if (ring == nullptr) args.ThrowState("this ring is closed; set up another with kernel.setup()");
    return ring;
  }

  napi_value values[kArgsMax];
  Args args;
  AddonState* state;
};

inline napi_value Int(napi_env env, int32_t value) {
  napi_value result = nullptr;
  napi_create_int32(env, value, &result);
  return result;
}
inline napi_value Int64(napi_env env, int64_t value) {
  napi_value result = nullptr;
  napi_create_int64(env, value, &result);
  return result;
}
inline napi_value Uint(napi_env env, uint32_t value) {
  napi_value result = nullptr;
  napi_create_uint32(env, value, &result);
  return result;
}

inline void Export(napi_env env, napi_value exports, const char* name, napi_callback callback, AddonState* state) {
  napi_value function;
  if (napi_create_function(env, name, NAPI_AUTO_LENGTH, callback, state, &function) == napi_ok) {
    napi_set_named_property(env, exports, name, function);
  }
}

}  // namespace ringspec
