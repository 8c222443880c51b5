// The native calls about a ring. Every argument is checked here; refusals of the kernel go back as
// -errno, misuse as an exception.
#include <cstring>
#include <string>
#include <thread>

#include "native-function.h"
#include "register-args.h"
#include "ring.h"
#include "wake.h"

namespace ringspec {

namespace {

napi_value ThrowUnbounded(const Args& args) {
  args.ThrowState(
      "this wait has no bound and would block the thread for ever if nothing completes; give it a timeout "
      "(IORING_ENTER_EXT_ARG with a non-zero ts), or open the kernel with unboundedWaits: true in a "
      "process that somebody is ready to kill");
  return nullptr;
}

/** The four leading arguments of both enter calls. */
bool ReadEnter(const Call& call, uint32_t* to_submit, uint32_t* min_complete, uint32_t* flags) {
  return call.args.U32(1, "toSubmit", to_submit) && call.args.U32(2, "minComplete", min_complete) &&
         call.args.U32(3, "flags", flags);
}

/**
 * What the call names: the ring's descriptor, or the index that is argument `at`, where one is given. An index
 * must be asked for by a flag, and hold this ring or nothing. False with an exception pending.
 */
bool ReadNumber(const Call& call, Ring* ring, size_t at, bool by_index, const char* flag, bool* given, int* number) {
  napi_valuetype type = napi_undefined;
  napi_typeof(call.args.env(), call.values[at], &type);
  *given = type != napi_null;
  auto word = static_cast<uint32_t>(ring->fd());
  if (*given && !call.args.U32(at, "index", &word)) return false;
  if (*given && !by_index) {
    return call.args.ThrowRange("an index is given, and " + std::string(flag) + " is not; set it, or leave the index out");
  }
  *number = static_cast<int>(word);
  return true;
}

/** The hot path: enter(ring, toSubmit, minComplete, flags). */
napi_value Enter(napi_env env, napi_callback_info info) {
  Call call(env, info, "enter", 4);
  Ring* ring = call.FindRing();
  uint32_t to_submit, min_complete, flags;
  if (ring == nullptr || !ReadEnter(call, &to_submit, &min_complete, &flags)) return nullptr;
  bool by_index = (flags & IORING_ENTER_REGISTERED_RING) != 0;
  // The descriptor itself is taken for an index then.
  if (by_index && !call.state->registered.MayName(call.args, ring, static_cast<uint32_t>(ring->fd()))) return nullptr;
  if (!ring->MayWait(min_complete, flags, 0, 0)) return ThrowUnbounded(call.args);
  return Int(env, ring->Enter(ring->fd(), to_submit, min_complete, flags, 0, 0));
}

/** enterArg(ring, toSubmit, minComplete, flags, address, size, index): index is null where the descriptor is meant. */
napi_value EnterArg(napi_env env, napi_callback_info info) {
  Call call(env, info, "enterArg");
  Ring* ring = call.FindRing();
  uint32_t to_submit, min_complete, flags, size;
  uint64_t address;
  if (ring == nullptr || !ReadEnter(call, &to_submit, &min_complete, &flags) ||
      !call.args.Address(4, "arg.addr", &address) || !call.args.U32(5, "arg.size", &size)) {
    return nullptr;
  }
  bool by_index = (flags & IORING_ENTER_REGISTERED_RING) != 0, given;
  int number;
  if (!ReadNumber(call, ring, 6, by_index, "IORING_ENTER_REGISTERED_RING in flags", &given, &number)) return nullptr;
  if (by_index && !call.state->registered.MayName(call.args, ring, static_cast<uint32_t>(number))) return nullptr;
  // With EXT_ARG_REG it is an offset into a registered region, which the kernel checks.
  bool offset = (flags & kEnterExtArgReg) != 0;
  if (!offset && address != 0 && !ring->session()->arena.Contains(address, size)) {
    call.args.ThrowRange("arg must lie in memory of this kernel: " + std::to_string(size) + " bytes at address " +
                         std::to_string(address) + " do not; use kernel.memory.alloc()");
    return nullptr;
  }
  if (!ring->MayWait(min_complete, flags, address, size)) return ThrowUnbounded(call.args);
  return Int(env, ring->Enter(number, to_submit, min_complete, flags, address, size));
}

napi_value Words(napi_env env, const uint32_t* words, size_t count) {
  napi_value array;
  napi_create_array_with_length(env, count, &array);
  for (size_t i = 0; i < count; i++) napi_set_element(env, array, static_cast<uint32_t>(i), Uint(env, words[i]));
  return array;
}

/** [handle, fd, the words of io_uring_params, SQ ring buffer, CQ ring buffer, SQEs buffer]. */
napi_value RingParts(napi_env env, const Ring* ring, const RingBuffers& buffers) {
  uint32_t words[sizeof(io_uring_params) / sizeof(uint32_t)];
  std::memcpy(words, &ring->params(), sizeof words);
  napi_value parts[] = {Uint(env, ring->handle()), Int(env, ring->fd()), Words(env, words, std::size(words)),
                        buffers.sq, buffers.cq, buffers.sqes};
  napi_value result;
  napi_create_array_with_length(env, std::size(parts), &result);
  for (uint32_t i = 0; i < std::size(parts); i++) napi_set_element(env, result, i, parts[i]);
  return result;
}

/** IORING_REGISTER_RESIZE_RINGS: -errno, or the ring's parts with the new memory; views of the old are detached. */
napi_value Resize(const Call& call, Ring* ring, int number, uint32_t opcode, uint64_t arg, uint32_t nr_args) {
  napi_env env = call.args.env();
  uint64_t fault = Arena::FaultPage();
  if (arg == 0 || nr_args != 1 || (arg >= fault && arg < fault + Arena::PageBytes())) {
    return Int(env, ring->Register(number, opcode, arg, nr_args));
  }
  if (ring->fd() < 0) {
    call.args.ThrowState("this ring's descriptor is closed, so the memory of other queues could not be mapped; resize it before");
    return nullptr;
  }
  io_uring_params params;
  std::memcpy(&params, reinterpret_cast<const void*>(arg), sizeof params);
  int result = ring->Register(number, opcode, reinterpret_cast<uint64_t>(&params), 1);
  std::memcpy(reinterpret_cast<void*>(arg), &params, sizeof params);
  if (result != 0) return Int(env, result);
  RingBuffers buffers;
  int error = ring->Remap(params.sq_entries, params.cq_entries, &buffers);
  if (error == 0) return RingParts(env, ring, buffers);
  ring->Close(true);
  call.args.ThrowState("the ring's new memory could not be mapped (errno " + std::to_string(-error) + "), so it was closed");
  return nullptr;
}

/** The entries of IORING_REGISTER_RING_FDS or its opposite, copied: what was checked is what the kernel gets. */
struct SlotEntries {
  /** 0: they can't be read, or there are too many; the kernel says so. */
  uint32_t count = 0;
  io_uring_rsrc_update at[RegisteredRings::kSlots];
};

/** Reads and checks them, from memory that is this kernel's: false with an exception pending. */
bool ReadSlots(const Call& call, Ring* ring, uint32_t opcode, uint64_t arg, uint32_t nr_args, bool elsewhere, SlotEntries* entries) {
  uint64_t fault = Arena::FaultPage();
  if (arg == 0 || (arg >= fault && arg < fault + Arena::PageBytes()) || nr_args > RegisteredRings::kSlots) return true;
  entries->count = nr_args;
  std::memcpy(entries->at, reinterpret_cast<const void*>(arg), nr_args * sizeof *entries->at);
  const RegisteredRings& registered = call.state->registered;
  if (opcode == IORING_REGISTER_RING_FDS) return registered.MayRegister(call.args, ring, entries->at, nr_args);
  return elsewhere || registered.MayUnregister(call.args, ring, entries->at, nr_args);
}

/** After the call: what the kernel wrote goes back, and this thread's slots are noted. */
void NoteSlots(const Call& call, Ring* ring, uint32_t opcode, uint64_t arg, bool elsewhere, const SlotEntries& entries, int result) {
  if (result <= 0 || entries.count == 0) return;
  auto done = static_cast<uint32_t>(result);
  std::memcpy(reinterpret_cast<void*>(arg), entries.at, done * sizeof *entries.at);
  if (elsewhere) return;
  RegisteredRings& registered = call.state->registered;
  if (opcode == IORING_REGISTER_RING_FDS) {
    registered.Registered(ring, entries.at, done);
  } else {
    registered.Unregistered(entries.at, done);
  }
}

napi_value RegisterBy(napi_env env, napi_callback_info info, const char* name, bool elsewhere) {
  Call call(env, info, name);
  Ring* ring = call.FindRing();
  uint32_t opcode, nr_args;
  if (ring == nullptr || !call.args.U32(1, "opcode", &opcode) || !call.args.U32(3, "nrArgs", &nr_args)) return nullptr;
  napi_valuetype type = napi_undefined;
  napi_typeof(env, call.values[2], &type);
  uint64_t arg = 0;
  if (type == napi_bigint) {
    if (!call.args.Address(2, "arg", &arg)) return nullptr;
  } else if (type == napi_number) {
    int64_t number;
    if (!call.args.SafeInteger(2, "arg", &number)) return nullptr;
    arg = static_cast<uint64_t>(number);
  } else if (type != napi_null) {
    call.args.ThrowType("arg must be null, an address (bigint) or a number, got " + call.args.Describe(2));
    return nullptr;
  }
  uint32_t plain = opcode & ~kRegisterUseRegisteredRing;
  bool by_index = plain != opcode, given;
  int number;
  if (!ReadNumber(call, ring, 4, by_index, "IORING_REGISTER_USE_REGISTERED_RING in opcode", &given, &number)) return nullptr;
  // Another thread has a table of its own, which is empty.
  if (by_index && !elsewhere && !call.state->registered.MayName(call.args, ring, static_cast<uint32_t>(number))) return nullptr;
  if (!CheckRegisterArg(call, ring, plain, type == napi_number, arg, nr_args)) return nullptr;
  // -1 has a meaning of its own to the kernel, which a ring whose descriptor is closed does not have.
  if (number < 0 && !given) return Int(env, -EBADF);
  if (plain == kRegisterResizeRings) {
    if (!elsewhere) return Resize(call, ring, number, opcode, arg, nr_args);
    call.args.ThrowRange("a ring is resized by its own thread, which maps its memory; use register()");
    return nullptr;
  }
  SlotEntries entries;
  bool slots = plain == IORING_REGISTER_RING_FDS || plain == IORING_UNREGISTER_RING_FDS;
  if (slots && !ReadSlots(call, ring, plain, arg, nr_args, elsewhere, &entries)) return nullptr;
  uint64_t address = entries.count == 0 ? arg : reinterpret_cast<uint64_t>(entries.at);
  int result = 0;
  auto act = [&] { result = ring->Register(number, opcode, address, nr_args); };
  if (elsewhere) {
    std::thread(act).join();
  } else {
    act();
  }
  if (plain == kRegisterMemRegion && result == 0) ring->NoteWaitRegion(ReadWaitRegion(arg));
  if (slots) NoteSlots(call, ring, plain, arg, elsewhere, entries, result);
  return Int(env, result);
}

/** register(ring, opcode, arg, nrArgs, index): arg is null, an address (bigint) or a number; index is null or a number. */
napi_value Register(napi_env env, napi_callback_info info) { return RegisterBy(env, info, "register", false); }
napi_value RegisterElsewhere(napi_env env, napi_callback_info info) { return RegisterBy(env, info, "registerElsewhere", true); }

/** submitElsewhere(ring, toSubmit): io_uring_enter by a thread that lives for this call; it never waits. */
napi_value SubmitElsewhere(napi_env env, napi_callback_info info) {
  Call call(env, info, "submitElsewhere");
  Ring* ring = call.FindRing();
  uint32_t to_submit;
  if (ring == nullptr || !call.args.U32(1, "toSubmit", &to_submit)) return nullptr;
  int result = 0;
  std::thread([&] { result = ring->Enter(ring->fd(), to_submit, 0, 0, 0, 0); }).join();
  return Int(env, result);
}

/** closeDescriptor(ring): close(2), and no more: 0 or -errno. */
napi_value CloseDescriptor(napi_env env, napi_callback_info info) {
  Call call(env, info, "closeDescriptor");
  Ring* ring = call.FindRing();
  return ring == nullptr ? nullptr : Int(env, ring->CloseDescriptor());
}

/**
 * setup(kernel, entries, flags, cqEntries, sqThreadCpu, sqThreadIdle, wqFd, resv0, resv1, resv2): -errno, or the
 * ring's parts.
 */
napi_value Setup(napi_env env, napi_callback_info info) {
  Call call(env, info, "setup");
  Session* session = call.FindSession();
  uint32_t entries;
  io_uring_params params;
  std::memset(&params, 0, sizeof params);
  const Args& args = call.args;
  if (session == nullptr || !args.U32(1, "entries", &entries) || !args.U32(2, "flags", &params.flags) ||
      !args.U32(3, "cqEntries", &params.cq_entries) || !args.U32(4, "sqThreadCpu", &params.sq_thread_cpu) ||
      !args.U32(5, "sqThreadIdle", &params.sq_thread_idle) || !args.U32(6, "wqFd", &params.wq_fd) ||
      !args.U32(7, "resv[0]", &params.resv[0]) || !args.U32(8, "resv[1]", &params.resv[1]) ||
      !args.U32(9, "resv[2]", &params.resv[2])) {
    return nullptr;
  }
  Ring* ring = nullptr;
  RingBuffers buffers;
  int error = Ring::Setup(session, entries, &params, &ring, &buffers);
  return error < 0 ? Int(env, error) : RingParts(env, ring, buffers);
}

/** Idempotent, as is ringDrop: a handle of a closed ring is ignored. */
napi_value CloseBy(napi_env env, napi_callback_info info, const char* name, bool detach) {
  Call call(env, info, name);
  uint32_t handle;
  if (!call.args.U32(0, "ring handle", &handle)) return nullptr;
  Ring* ring = call.state->rings.Find(handle);
  if (ring != nullptr) ring->Close(detach);
  return nullptr;
}
napi_value RingClose(napi_env env, napi_callback_info info) { return CloseBy(env, info, "ringClose", true); }
napi_value RingDrop(napi_env env, napi_callback_info info) { return CloseBy(env, info, "ringDrop", false); }

/** waitStart(ring, callback): 0 armed (callback comes once), 1 ready now (it won't come), or -errno. */
napi_value WaitStart(napi_env env, napi_callback_info info) {
  Call call(env, info, "waitStart");
  Ring* ring = call.FindRing();
  napi_value callback;
  if (ring == nullptr || !call.args.Function(1, "callback", &callback)) return nullptr;
  if ((ring->LoadCqFlags() & IORING_CQ_EVENTFD_DISABLED) != 0) {
    call.args.ThrowState("IORING_CQ_EVENTFD_DISABLED is set in the CQ ring's flags, so no wake-up would come; clear it");
    return nullptr;
  }
  int error = 0;
  Wake* wake = ring->EnsureWake(&error);
  if (wake == nullptr) return Int(env, error);
  switch (wake->Start(callback, &error)) {
    case Wake::Started::kArmed: return Int(env, 0);
    case Wake::Started::kReady: return Int(env, 1);
    case Wake::Started::kRefused: return Int(env, error);
    case Wake::Started::kBusy: break;
  }
  call.args.ThrowState("this ring has a wait already; one at a time: await it, or abort it");
  return nullptr;
}

/** waitStop(ring): ends a wait without its callback. Idempotent, also where the ring is closed. */
napi_value WaitStop(napi_env env, napi_callback_info info) {
  Call call(env, info, "waitStop");
  uint32_t handle;
  if (!call.args.U32(0, "ring handle", &handle)) return nullptr;
  Ring* ring = call.state->rings.Find(handle);
  if (ring != nullptr && ring->wake() != nullptr) ring->wake()->Stop();
  return nullptr;
}

}  // namespace

void ExportRing(Napi::Env env, Napi::Object exports, AddonState* state) {
  Export(env, exports, "setup", Setup, state);
  Export(env, exports, "enter", Enter, state);
  Export(env, exports, "enterArg", EnterArg, state);
  Export(env, exports, "register", Register, state);
  Export(env, exports, "registerElsewhere", RegisterElsewhere, state);
  Export(env, exports, "submitElsewhere", SubmitElsewhere, state);
  Export(env, exports, "closeDescriptor", CloseDescriptor, state);
  Export(env, exports, "ringClose", RingClose, state);
  Export(env, exports, "ringDrop", RingDrop, state);
  Export(env, exports, "waitStart", WaitStart, state);
  Export(env, exports, "waitStop", WaitStop, state);
}

}  // namespace ringspec
