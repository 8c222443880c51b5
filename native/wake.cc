#include "wake.h"

#include <sys/eventfd.h>

#include <cstdlib>
#include <cstring>

#include "ring.h"
#include "uring.h"
#include "uv-symbols.h"

namespace ringspec {

Wake* Wake::Create(Ring* ring, int* error) {
  napi_env env = ring->session()->state->env;
  uv_loop_s* loop = nullptr;
  const char* type = uv_handle_type_name(kUvPoll);
  if (napi_get_uv_event_loop(env, &loop) != napi_ok || type == nullptr || std::strcmp(type, "poll") != 0) {
    *error = -EOPNOTSUPP;
    return nullptr;
  }
  int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd < 0) {
    *error = -errno;
    return nullptr;
  }
  auto* poll = static_cast<uv_poll_s*>(std::calloc(1, uv_handle_size(kUvPoll)));
  int status = poll == nullptr ? -ENOMEM : uv_poll_init(loop, poll, fd);
  if (status != 0) {
    std::free(poll);
    close(fd);
    *error = status;
    return nullptr;
  }
  auto* self = new Wake(ring, env);
  self->poll_ = poll;
  self->eventfd_ = fd;
  uv_handle_set_data(reinterpret_cast<uv_handle_s*>(poll), self);
  // A worker's loop must not end before the handle is closed, hence the asynchronous hook.
  napi_add_async_cleanup_hook(env, OnTeardown, self, &self->hook_);
  return self;
}

Wake::Started Wake::Start(napi_value callback, int* error) {
  if (callback_ != nullptr) return Started::kBusy;
  if (!registered_) {
    int result = SysRegister(ring_->fd(), IORING_REGISTER_EVENTFD, reinterpret_cast<uint64_t>(&eventfd_), 1);
    if (result < 0) {
      *error = result;
      return Started::kRefused;
    }
    registered_ = true;
    // What came before was announced to nobody, and DEFER_TASKRUN's pending work shows in no word: look once.
    Consume();
    return Started::kReady;
  }
  // Overflowed completions signal no eventfd, and pending task work signals only once.
  bool pending = (ring_->LoadSqFlags() & (IORING_SQ_CQ_OVERFLOW | IORING_SQ_TASKRUN)) != 0;
  if (pending || ring_->LoadCqTail() != announced_tail_) {
    Consume();
    return Started::kReady;
  }
  int status = uv_poll_start(poll_, kUvReadable, OnPoll);
  if (status != 0) {
    *error = status;
    return Started::kRefused;
  }
  napi_create_reference(env_, callback, 1, &callback_);
  return Started::kArmed;
}

void Wake::Consume() {
  uint64_t count;
  ssize_t ignored = read(eventfd_, &count, sizeof count);
  (void)ignored;
  // Loaded after emptying: a completion posted in between is announced twice rather than never.
  announced_tail_ = ring_->LoadCqTail();
}

void Wake::Stop() {
  uv_poll_stop(poll_);
  if (callback_ != nullptr) napi_delete_reference(env_, callback_);
  callback_ = nullptr;
}

void Wake::Resolve() {
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value callback = nullptr;
  napi_value global = nullptr;
  napi_get_reference_value(env_, callback_, &callback);
  napi_get_global(env_, &global);
  Stop();
  // The callback resolves a promise. It may close the ring: `this` is not touched after it.
  napi_env env = env_;
  napi_make_callback(env, nullptr, global, callback, 0, nullptr, nullptr);
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (pending) {
    napi_value thrown = nullptr;
    napi_get_and_clear_last_exception(env, &thrown);
    if (thrown != nullptr) napi_fatal_exception(env, thrown);
  }
  napi_close_handle_scope(env, scope);
}

void Wake::OnPoll(uv_poll_s* handle, int, int) {
  auto* self = static_cast<Wake*>(uv_handle_get_data(reinterpret_cast<uv_handle_s*>(handle)));
  if (self->ring_ == nullptr || self->callback_ == nullptr) return;
  self->Consume();
  self->Resolve();
}

void Wake::GiveUpEventfd() {
  if (!registered_) return;
  SysRegister(ring_->fd(), IORING_UNREGISTER_EVENTFD, 0, 0);
  registered_ = false;
  if (callback_ == nullptr) return;
  // Not resolved here: this is a call of JavaScript, which must not call back. The loop finds it readable.
  uint64_t one = 1;
  ssize_t ignored = write(eventfd_, &one, sizeof one);
  (void)ignored;
}

void Wake::Shutdown() {
  if (ring_ == nullptr) return;
  ring_ = nullptr;
  Stop();
  uv_close(reinterpret_cast<uv_handle_s*>(poll_), OnClosed);
}

void Wake::OnClosed(uv_handle_s* handle) {
  auto* self = static_cast<Wake*>(uv_handle_get_data(handle));
  close(self->eventfd_);
  std::free(self->poll_);
  if (self->hook_ != nullptr) napi_remove_async_cleanup_hook(self->hook_);
  delete self;
}

void Wake::OnTeardown(napi_async_cleanup_hook_handle, void* data) {
  auto* self = static_cast<Wake*>(data);
  // Already closing where ring_ is null; OnClosed tells the environment either way.
  if (self->ring_ != nullptr) self->ring_->ForgetWake();
  self->Shutdown();
}

}  // namespace ringspec
