#include "session.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "native-function.h"
#include "ring.h"
#include "thread-signal.h"

namespace ringspec {

void Session::Close(bool detach) {
  state->rings.Each([&](Ring* ring) {
    if (ring->session() == this) ring->Close(detach);
  });
  TakeSignal();
  counts.CloseAll();
  fds.CloseAll();
  arena.Close(detach, clean);
  close(directory_fd);
  state->sessions.Remove(handle);
  delete this;
}

namespace {

napi_value KernelOpen(napi_env env, napi_callback_info info) {
  Call call(env, info, "kernelOpen");
  std::string path;
  bool unbounded_waits;
  if (!call.args.Path(0, &path) || !call.args.Boolean(1, "unboundedWaits", &unbounded_waits)) return nullptr;
  int fd = open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return Int(env, -errno);
  auto* session = new Session(call.state, fd, unbounded_waits);
  if (!call.state->sessions.Add(session, &session->handle)) {
    close(fd);
    delete session;
    return Int(env, -EMFILE);
  }
  // A handle may have its top bit set, so that it can't be told from -errno: it comes in an array.
  napi_value result;
  napi_create_array_with_length(env, 1, &result);
  napi_set_element(env, result, 0, Uint(env, session->handle));
  return result;
}

/** Idempotent, as is kernelDrop: a handle of a closed kernel is ignored. */
napi_value CloseBy(napi_env env, napi_callback_info info, const char* name, bool detach) {
  Call call(env, info, name);
  uint32_t handle;
  if (!call.args.U32(0, "kernel handle", &handle)) return nullptr;
  Session* session = call.state->sessions.Find(handle);
  if (session != nullptr) session->Close(detach);
  return nullptr;
}
napi_value KernelClose(napi_env env, napi_callback_info info) { return CloseBy(env, info, "kernelClose", true); }
napi_value KernelDrop(napi_env env, napi_callback_info info) { return CloseBy(env, info, "kernelDrop", false); }

/** arenaGrow(kernel, size): [buffer, address] or -errno. */
napi_value ArenaGrow(napi_env env, napi_callback_info info) {
  Call call(env, info, "arenaGrow");
  Session* session = call.FindSession();
  int64_t size;
  if (session == nullptr || !call.args.SafeInteger(1, "size", &size)) return nullptr;
  if (size < 1 || static_cast<uint64_t>(size) > Arena::kChunkBytesMax) {
    call.args.ThrowRange("size must be 1 to " + std::to_string(Arena::kChunkBytesMax) + " bytes, got " +
                         std::to_string(size));
    return nullptr;
  }
  napi_value buffer;
  uint64_t address = 0;
  int error = session->arena.Grow(env, static_cast<size_t>(size), &buffer, &address);
  if (error < 0) return Int(env, error);
  napi_value result;
  napi_value number;
  napi_create_array_with_length(env, 2, &result);
  napi_create_bigint_uint64(env, address, &number);
  napi_set_element(env, result, 0, buffer);
  napi_set_element(env, result, 1, number);
  return result;
}

napi_value FaultAddress(napi_env env, napi_callback_info) {
  napi_value result = nullptr;
  napi_create_bigint_uint64(env, Arena::FaultPage(), &result);
  return result;
}

/** memoryStats(): [mapped, escaped, quarantined], of the whole process. */
napi_value Stats(napi_env env, napi_callback_info) {
  MemoryStats stats = ReadMemoryStats();
  napi_value result;
  napi_create_array_with_length(env, 3, &result);
  napi_set_element(env, result, 0, Uint(env, stats.mapped));
  napi_set_element(env, result, 1, Uint(env, stats.escaped));
  napi_set_element(env, result, 2, Uint(env, stats.quarantined));
  return result;
}

}  // namespace

void ExportSession(Napi::Env env, Napi::Object exports, AddonState* state) {
  Export(env, exports, "kernelOpen", KernelOpen, state);
  Export(env, exports, "kernelClose", KernelClose, state);
  Export(env, exports, "kernelDrop", KernelDrop, state);
  Export(env, exports, "arenaGrow", ArenaGrow, state);
  Export(env, exports, "faultAddress", FaultAddress, state);
  Export(env, exports, "memoryStats", Stats, state);
}

}  // namespace ringspec
