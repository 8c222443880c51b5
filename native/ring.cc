#include "ring.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "wake.h"

namespace ringspec {

namespace {

/** So long a ring that closes waits for what it cancelled. */
constexpr long kRestNs = 100'000'000;

/** A region has no use for a quarantine: requests write to it by the ring's own mapping in the kernel. */
void DisposeRegion(void* address, size_t length, Fate fate) {
  if (fate == Fate::kFree || fate == Fate::kQuarantine) {
    munmap(address, length);
    return;
  }
  // A view is left, or may be: it gets plain memory in the ring's place. The ring must go, for a mapping
  // keeps it and its requests alive as a descriptor does; the address must stay, or the view crashes.
  mmap(address, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
}

/** Maps one region of the ring and shows it as a buffer: 0 or -errno. */
int MapRegion(napi_env env, int fd, uint64_t offset, size_t length, Mapping** mapping, napi_value* buffer) {
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, static_cast<off_t>(offset));
  if (memory == MAP_FAILED) return -errno;
  *mapping = Mapping::Create(env, memory, length, DisposeRegion, buffer);
  return *mapping == nullptr ? -EOPNOTSUPP : 0;
}

}  // namespace

int Ring::Setup(Session* session, uint32_t entries, io_uring_params* params, Ring** ring, RingBuffers* buffers) {
  if ((params->flags & IORING_SETUP_ATTACH_WQ) != 0) {
    // Only to a ring of this session: libuv may have an io_uring of its own in this process.
    bool ours = session->fds.Owns(static_cast<int>(params->wq_fd));
    session->state->rings.Each([&](Ring* other) {
      ours = ours || (other->session_ == session && other->fd_ == static_cast<int>(params->wq_fd));
    });
    if (!ours) return -EBADF;
  }
  int fd = SysSetup(entries, params);
  if (fd < 0) return fd;
  // Then it is no descriptor but an index. Needs NO_MMAP, whose memory this port never names, so the
  // kernel refuses it with -EFAULT before it comes here.
  if ((params->flags & kSetupRegisteredFdOnly) != 0) return -EOPNOTSUPP;

  auto* self = new Ring(session, fd, *params);
  int error = self->Map(buffers);
  if (error == 0 && !session->state->rings.Add(self, &self->handle_)) error = -EMFILE;
  if (error != 0) {
    self->Close(true);
    return error;
  }
  *ring = self;
  return 0;
}

int Ring::Map(RingBuffers* buffers) {
  napi_env env = session_->state->env;
  const io_uring_params& p = params_;
  size_t cqe_bytes = (p.flags & IORING_SETUP_CQE32) != 0 ? 2 * sizeof(io_uring_cqe) : sizeof(io_uring_cqe);
  size_t sqe_bytes = (p.flags & IORING_SETUP_SQE128) != 0 ? 2 * sizeof(io_uring_sqe) : sizeof(io_uring_sqe);
  size_t cq_length = p.cq_off.cqes + p.cq_entries * cqe_bytes;
  // Without an array the SQ ring is only the words, which lie before the CQEs of the same mapping.
  size_t sq_length = (p.flags & kSetupNoSqArray) != 0 ? cq_length : p.sq_off.array + p.sq_entries * sizeof(uint32_t);
  bool single = (p.features & IORING_FEAT_SINGLE_MMAP) != 0;
  int error = MapRegion(env, fd_, IORING_OFF_SQ_RING, single ? std::max(sq_length, cq_length) : sq_length, &sq_, &buffers->sq);
  if (error == 0 && single) {
    cq_ = sq_;
    buffers->cq = buffers->sq;
  } else if (error == 0) {
    error = MapRegion(env, fd_, IORING_OFF_CQ_RING, cq_length, &cq_, &buffers->cq);
  }
  if (error == 0) error = MapRegion(env, fd_, IORING_OFF_SQES, p.sq_entries * sqe_bytes, &sqes_, &buffers->sqes);
  return error;
}

void Ring::ReleaseMappings(bool detach) {
  // Views go before the memory: a view of unmapped memory is a crash.
  Mapping* mappings[] = {sqes_, cq_ == sq_ ? nullptr : cq_, sq_};
  for (Mapping* mapping : mappings) {
    if (mapping == nullptr) continue;
    if (detach) mapping->Detach();
    mapping->Release(true);
  }
  sq_ = cq_ = sqes_ = nullptr;
}

int Ring::Remap(uint32_t sq_entries, uint32_t cq_entries, RingBuffers* buffers) {
  ReleaseMappings(true);
  params_.sq_entries = sq_entries;
  params_.cq_entries = cq_entries;
  if ((params_.flags & kSetupNoSqArray) == 0) {
    // The kernel does not say where the array is now: behind the CQEs, at the next cache line. For long CQEs it doubles
    // what comes before them too.
    constexpr uint32_t kCacheLine = 64;
    uint32_t end = params_.cq_off.cqes + cq_entries * static_cast<uint32_t>(sizeof(io_uring_cqe));
    if ((params_.flags & IORING_SETUP_CQE32) != 0) end *= 2;
    params_.sq_off.array = (end + kCacheLine - 1) / kCacheLine * kCacheLine;
  }
  return Map(buffers);
}

bool Ring::MayWait(uint32_t min_complete, uint32_t flags, uint64_t arg, uint64_t size) const {
  if (session_->unbounded_waits) return true;
  // Waits for room in the SQ, which comes for certain only if the polling thread is awake.
  if ((flags & IORING_ENTER_SQ_WAIT) != 0 && (flags & IORING_ENTER_SQ_WAKEUP) == 0) return false;
  if ((flags & IORING_ENTER_GETEVENTS) == 0 || min_complete == 0) return true;
  if ((flags & IORING_ENTER_EXT_ARG) == 0) return false;
  if ((flags & kEnterExtArgReg) != 0) return MayWaitByRegion(arg, size);
  // A wrong size or a faulting address is refused by the kernel before it waits.
  if (size != sizeof(io_uring_getevents_arg)) return true;
  uint64_t fault = Arena::FaultPage();
  if (arg == 0 || (arg >= fault && arg < fault + Arena::PageBytes())) return true;
  io_uring_getevents_arg value;
  std::memcpy(&value, reinterpret_cast<const void*>(arg), sizeof value);
  // Older headers call the word that bounds the wait alone a pad; kernels without it refuse a pad that is not 0.
  uint32_t min_wait_usec;
  std::memcpy(&min_wait_usec, reinterpret_cast<const char*>(&value) + kMinWaitOffset, sizeof min_wait_usec);
  return value.ts != 0 || min_wait_usec != 0;
}

bool Ring::MayWaitByRegion(uint64_t offset, uint64_t size) const {
  // struct io_uring_reg_wait: a time, then min_wait_usec, then flags, of which the only one says that the time counts.
  constexpr uint64_t kEntryBytes = 64, kMinWait = 16, kFlags = 20;
  // No region, a wrong size, or an offset beyond the region: the kernel refuses it before it waits.
  if (size != kEntryBytes || wait_region_.length < kEntryBytes || offset > wait_region_.length - kEntryBytes) return true;
  if (wait_region_.address == 0) return false;
  auto bounded = [&](uint64_t at) {
    uint32_t min_wait_usec, flags;
    const char* entry = reinterpret_cast<const char*>(wait_region_.address + at);
    std::memcpy(&min_wait_usec, entry + kMinWait, sizeof min_wait_usec);
    std::memcpy(&flags, entry + kFlags, sizeof flags);
    // Flags that the kernel does not have it refuses.
    return flags != 0 || min_wait_usec != 0;
  };
  // Of the last entry some kernels read the first instead.
  return bounded(offset) && (offset + kEntryBytes != wait_region_.length || bounded(0));
}

int Ring::Register(int number, uint32_t opcode, uint64_t arg, uint32_t nr_args) {
  uint32_t plain = opcode & ~kRegisterUseRegisteredRing;
  bool about_eventfd = plain == IORING_REGISTER_EVENTFD || plain == IORING_REGISTER_EVENTFD_ASYNC ||
                       plain == IORING_UNREGISTER_EVENTFD;
  // A ring has one eventfd: the program's call must find the ring as if ready() had never used it.
  if (about_eventfd && wake_ != nullptr) wake_->GiveUpEventfd();
  return SysRegister(number, opcode, arg, nr_args);
}

int Ring::CloseDescriptor() {
  if (fd_ < 0) return -EBADF;
  // What waits for the ring's eventfd ends now, as long as there is a descriptor to take that back by.
  if (wake_ != nullptr) wake_->GiveUpEventfd();
  int result = close(fd_);
  fd_ = -1;
  return result < 0 ? -errno : 0;
}

int Ring::CancelAll() {
  io_uring_sync_cancel_reg cancel;
  std::memset(&cancel, 0, sizeof cancel);
  cancel.fd = -1;
  cancel.flags = IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL;
  // Bounds the wait for requests that no cancel can interrupt.
  cancel.timeout.tv_nsec = kRestNs;
  // A ring whose descriptor is closed may still have an index.
  int slot = fd_ >= 0 ? -1 : session_->state->registered.SlotOf(this);
  uint32_t by_index = slot >= 0 ? kRegisterUseRegisteredRing : 0;
  int result = SysRegister(slot >= 0 ? slot : fd_, IORING_REGISTER_SYNC_CANCEL | by_index, reinterpret_cast<uint64_t>(&cancel), 1);
  return result == -ENOENT ? 0 : result;
}

bool Ring::ComeToRest() {
  if (!used_ && (params_.flags & IORING_SETUP_SQPOLL) == 0) return true;
  // The call counts what it asked to end, and does not wait for all of that; and what a hard link starts begins behind it.
  // Between two requests of a chain a worker has none that could be found: only two calls in a row that find nothing count.
  const auto until = std::chrono::steady_clock::now() + std::chrono::nanoseconds(kRestNs);
  for (int nothing = 0; nothing < 2;) {
    int found = CancelAll();
    if (found < 0) return false;
    nothing = found == 0 ? nothing + 1 : 0;
    if (found == 0) continue;
    if (std::chrono::steady_clock::now() > until) return false;
    sched_yield();
  }
  // A polling thread may still take what is queued.
  if ((params_.flags & IORING_SETUP_SQPOLL) == 0) return true;
  return sq_ != nullptr && Load(sq_->address(), params_.sq_off.head) == Load(sq_->address(), params_.sq_off.tail);
}

void Ring::Close(bool detach) {
  if (wake_ != nullptr) wake_->Shutdown();
  wake_ = nullptr;
  if (!ComeToRest()) session_->clean = false;
  ReleaseMappings(detach);
  // Slots and mappings keep a ring alive as its descriptor does, so all must go.
  session_->state->registered.Release(this);
  if (fd_ >= 0) close(fd_);
  session_->state->rings.Remove(handle_);
  delete this;
}

Wake* Ring::EnsureWake(int* error) {
  if (wake_ == nullptr) wake_ = Wake::Create(this, error);
  return wake_;
}

}  // namespace ringspec
