// A piece of mapped memory that one external ArrayBuffer shows to JavaScript. It has two holders, the
// owner (a Ring or an Arena) and the buffer; the memory is given back when both are gone, so that
// neither a ring collected under a living view nor a view kept after close can reach unmapped memory.
#pragma once
#include <napi.h>

#include <cstddef>
#include <cstdint>

namespace ringspec {

/** Process-wide counts, for tests and `ringspec doctor`. Relaxed atomics: workers share them. */
struct MemoryStats {
  uint32_t mapped;
  /** Memory that JavaScript took away (buffer.transfer()) and that was closed since. */
  uint32_t escaped;
  /** Arena chunks that are never reused, for a request or a view may still touch them. */
  uint32_t quarantined;
};
MemoryStats ReadMemoryStats();
void CountQuarantined();

/** What becomes of memory whose owner let go. */
enum class Fate {
  /** Nothing can touch it any more. */
  kFree,
  /** No view is left, but a request of the kernel may still write to it. */
  kQuarantine,
  /** Closed, but a view that was transferred away still shows it: kFree comes later. */
  kHide,
  /** The environment has ended and nobody can know whether a view lives on in another: the last word. */
  kAbandon,
};

class Mapping {
 public:
  using Dispose = void (*)(void* address, size_t length, Fate fate);

  /**
   * Takes over `length` bytes at `address` and makes the ArrayBuffer over it. nullptr where the
   * runtime forbids external buffers: the memory was disposed of, no exception is pending.
   */
  static Mapping* Create(napi_env env, void* address, size_t length, Dispose dispose, napi_value* buffer);

  void* address() const { return address_; }

  /** Detaches the view: JavaScript can't reach the memory any more, unless it transferred it away. */
  void Detach();
  /** The owner lets go: no use of this object afterwards. clean: no request may still touch the memory. */
  void Release(bool clean);

 private:
  Mapping(napi_env env, void* address, size_t length, Dispose dispose)
      : env_(env), address_(address), length_(length), dispose_(dispose) {}

  static void OnFinalize(napi_env env, void* data, void* hint);
  void Settle();

  enum class View {
    kShown,
    /** We detached it. */
    kDetached,
    /** Someone else did, so another buffer shows the memory; the finalizer comes when that one goes. */
    kEscaped,
    /** Collected, and nothing else shows the memory. */
    kGone,
    /** Finalized because the environment ends, which happens even if the contents live on elsewhere. */
    kUnknown,
  };

  napi_env env_;
  void* address_;
  size_t length_;
  Dispose dispose_;
  /** Weak. */
  napi_ref buffer_ = nullptr;
  View view_ = View::kShown;
  bool owned_ = true;
  bool clean_ = false;
  /** The buffer's finalizer ran. It always does in the end, and until then it holds a pointer to this. */
  bool finalized_ = false;
  bool disposed_ = false;
};

}  // namespace ringspec
