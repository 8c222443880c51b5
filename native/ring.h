// One io_uring: its descriptor, its mappings, its wake-up. No code for any operation: what an SQE says
// is between JavaScript and the kernel.
#pragma once
#include <napi.h>

#include <cstdint>

#include "mapping.h"
#include "session.h"
#include "uring.h"

namespace ringspec {

class Wake;

/** Memory whose entries waits may name (IORING_ENTER_EXT_ARG_REG). */
struct WaitRegion {
  /** 0: the kernel's own memory, which nobody here maps. */
  uint64_t address = 0;
  /** 0: there is none. */
  uint64_t length = 0;
};

/** A ring's memory, as JavaScript sees it. */
struct RingBuffers {
  napi_value sq = nullptr;
  napi_value cq = nullptr;
  napi_value sqes = nullptr;
};

class Ring {
 public:
  /** The ring's fd, its words, and what was mapped; -errno where the kernel refuses, nothing is left then. */
  static int Setup(Session* session, uint32_t entries, io_uring_params* params, Ring** ring, RingBuffers* buffers);

  /** Is a wait that this call would make bounded, as the session demands? */
  bool MayWait(uint32_t min_complete, uint32_t flags, uint64_t arg, uint64_t size) const;
  /** `number` is the ring's descriptor, or an index in its place. */
  int Enter(int number, uint32_t to_submit, uint32_t min_complete, uint32_t flags, uint64_t arg, uint64_t size) {
    used_ = used_ || to_submit != 0;
    return SysEnter(number, to_submit, min_complete, flags, arg, size);
  }
  int Register(int number, uint32_t opcode, uint64_t arg, uint32_t nr_args);

  void NoteWaitRegion(const WaitRegion& region) { wait_region_ = region; }

  /**
   * The kernel gave the ring other queues, of these sizes: detaches the views of the old ones and maps the new.
   * 0, or -errno of mmap; the ring is of no use then, and must be closed.
   */
  int Remap(uint32_t sq_entries, uint32_t cq_entries, RingBuffers* buffers);
  const io_uring_params& params() const { return params_; }

  /** Closes the descriptor alone; the mappings keep the ring and its requests. 0 or -errno. */
  int CloseDescriptor();

  /** Ends the wait, cancels what is pending, lets go of the mappings, closes the descriptor, deletes this. */
  void Close(bool detach);

  /** The wake-up of this ring, made at first use. nullptr with *error = -errno. */
  Wake* EnsureWake(int* error);
  Wake* wake() const { return wake_; }
  /** At environment exit the wake-up goes first. */
  void ForgetWake() { wake_ = nullptr; }

  Session* session() const { return session_; }
  int fd() const { return fd_; }
  uint32_t handle() const { return handle_; }
  /** Acquire loads of the kernel's words. */
  uint32_t LoadCqTail() const { return Load(cq_->address(), params_.cq_off.tail); }
  uint32_t LoadSqFlags() const { return Load(sq_->address(), params_.sq_off.flags); }
  uint32_t LoadCqFlags() const { return params_.cq_off.flags == 0 ? 0 : Load(cq_->address(), params_.cq_off.flags); }

 private:
  Ring(Session* session, int fd, const io_uring_params& params) : session_(session), fd_(fd), params_(params) {}
  static uint32_t Load(const void* base, uint32_t offset) {
    auto* word = reinterpret_cast<const uint32_t*>(static_cast<const char*>(base) + offset);
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
  }
  int Map(RingBuffers* buffers);
  void ReleaseMappings(bool detach);
  /** Is a wait by the entry at this offset bounded, or refused by the kernel? */
  bool MayWaitByRegion(uint64_t offset, uint64_t size) const;
  /** Cancels whatever is there: how many it found, or -errno. */
  int CancelAll();
  /** Cancels everything and waits, bounded: true where no request is left that could touch memory. */
  bool ComeToRest();

  Session* const session_;
  /** -1 once it is closed alone. */
  int fd_;
  io_uring_params params_;
  uint32_t handle_ = 0;
  /** With IORING_FEAT_SINGLE_MMAP cq_ == sq_. */
  Mapping* sq_ = nullptr;
  Mapping* cq_ = nullptr;
  Mapping* sqes_ = nullptr;
  Wake* wake_ = nullptr;
  WaitRegion wait_region_;
  /** A request may have been submitted. */
  bool used_ = false;
};

/** setup, enter, enterArg, register, registerElsewhere, submitElsewhere, closeDescriptor, ringClose, ringDrop, waitStart, waitStop: in ring-calls.cc. */
void ExportRing(Napi::Env env, Napi::Object exports, AddonState* state);

}  // namespace ringspec
