#include "mapping.h"

#include <atomic>

namespace ringspec {

namespace {

// Plain atomics have no destructor: threads may still run while exit() runs static destructors.
std::atomic<uint32_t> mapped{0};
std::atomic<uint32_t> escaped{0};
std::atomic<uint32_t> quarantined{0};

/**
 * Is the environment ending? Node has no question for that, but it refuses whatever could run
 * JavaScript then, and comparing two values counts as such.
 */
bool IsEnding(napi_env env) {
  napi_value value = nullptr;
  bool equal = false;
  return napi_get_undefined(env, &value) != napi_ok || napi_strict_equals(env, value, value, &equal) != napi_ok;
}

}  // namespace

MemoryStats ReadMemoryStats() { return {mapped.load(), escaped.load(), quarantined.load()}; }
void CountQuarantined() { quarantined.fetch_add(1); }

Mapping* Mapping::Create(napi_env env, void* address, size_t length, Dispose dispose, napi_value* buffer) {
  auto* self = new Mapping(env, address, length, dispose);
  napi_status status = napi_create_external_arraybuffer(env, address, length, OnFinalize, self, buffer);
  if (status != napi_ok) {
    dispose(address, length, Fate::kFree);
    delete self;
    return nullptr;
  }
  mapped.fetch_add(1);
  napi_create_reference(env, *buffer, 0, &self->buffer_);
  return self;
}

void Mapping::Detach() {
  if (view_ != View::kShown) return;
  napi_handle_scope scope;
  if (napi_open_handle_scope(env_, &scope) != napi_ok) return;
  napi_value buffer = nullptr;
  bool was_detached = true;
  if (buffer_ != nullptr) napi_get_reference_value(env_, buffer_, &buffer);
  if (buffer != nullptr) napi_is_detached_arraybuffer(env_, buffer, &was_detached);
  if (!was_detached && napi_detach_arraybuffer(env_, buffer) == napi_ok) {
    view_ = View::kDetached;
  } else {
    // Transferred; or collected with its finalizer still to come, which then sets this right.
    view_ = View::kEscaped;
    escaped.fetch_add(1);
  }
  napi_close_handle_scope(env_, scope);
}

void Mapping::Release(bool clean) {
  owned_ = false;
  clean_ = clean;
  Settle();
}

void Mapping::OnFinalize(napi_env env, void*, void* hint) {
  auto* self = static_cast<Mapping*>(hint);
  self->finalized_ = true;
  // What we detached can't have been transferred. Of anything else, Node's finalizer at the end of an
  // environment proves nothing: a transferred buffer may be alive in another thread.
  if (self->view_ != View::kDetached) {
    if (self->view_ == View::kEscaped) escaped.fetch_sub(1);
    self->view_ = IsEnding(env) ? View::kUnknown : View::kGone;
  }
  self->Settle();
}

void Mapping::Settle() {
  if (owned_) return;
  if (!disposed_) {
    switch (view_) {
      case View::kShown: break;
      case View::kEscaped: dispose_(address_, length_, Fate::kHide); break;
      case View::kUnknown: dispose_(address_, length_, Fate::kAbandon); break;
      case View::kDetached:
      case View::kGone: dispose_(address_, length_, clean_ ? Fate::kFree : Fate::kQuarantine); break;
    }
    disposed_ = view_ != View::kShown && view_ != View::kEscaped;
    if (disposed_) mapped.fetch_sub(1);
  }
  if (finalized_) {
    if (buffer_ != nullptr) napi_delete_reference(env_, buffer_);
    delete this;
  }
}

}  // namespace ringspec
