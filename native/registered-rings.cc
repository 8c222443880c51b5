#include "registered-rings.h"

#include <fcntl.h>

#include <cstring>
#include <string>

#include "ring.h"

namespace ringspec {

namespace {

/** The ring of this session that has this descriptor, or nullptr. */
Ring* FindByFd(Session* session, int fd) {
  Ring* found = nullptr;
  session->state->rings.Each([&](Ring* ring) {
    if (fd >= 0 && ring->session() == session && ring->fd() == fd) found = ring;
  });
  return found;
}

/** Takes slots away by a ring made for that, where the ring itself is restricted, or another thread's. */
bool UnregisterByAnother(const io_uring_rsrc_update* entries, uint32_t count) {
  io_uring_params params;
  std::memset(&params, 0, sizeof params);
  int fd = SysSetup(1, &params);
  if (fd < 0) return false;
  int done = SysRegister(fd, IORING_UNREGISTER_RING_FDS, reinterpret_cast<uint64_t>(entries), count);
  close(fd);
  return done == static_cast<int>(count);
}

}  // namespace

bool RegisteredRings::IsEmpty(uint32_t index) const {
  if (slots_[index].holds != Holds::kNothing) return false;
  // Submits nothing and waits for nothing. -EINVAL: this kernel has no registered rings.
  int result = SysEnter(static_cast<int>(index), 0, 0, IORING_ENTER_REGISTERED_RING, 0, 0);
  return result == -EBADF || result == -EINVAL;
}

bool RegisteredRings::MayName(const Args& args, Ring* ring, uint32_t index) const {
  if (index >= kSlots || slots_[index].ring == ring || IsEmpty(index)) return true;
  return args.ThrowRange("index " + std::to_string(index) +
                         " holds another ring; a ring's calls may name only itself: call the other ring's own method");
}

bool RegisteredRings::MayRegister(const Args& args, Ring* ring, const io_uring_rsrc_update* entries, uint32_t count) const {
  for (uint32_t i = 0; i < count; i++) {
    int fd = static_cast<int>(entries[i].data);
    if (FindByFd(ring->session(), fd) != nullptr || ring->session()->fds.Owns(fd)) continue;
    if (fcntl(fd, F_GETFD) < 0) continue;
    return args.ThrowRange("entry " + std::to_string(i) + " names descriptor " + std::to_string(fd) +
                           ", which is not this kernel's; use ring.fd of one of its rings");
  }
  return true;
}

bool RegisteredRings::MayUnregister(const Args& args, Ring* ring, const io_uring_rsrc_update* entries, uint32_t count) const {
  for (uint32_t i = 0; i < count; i++) {
    uint32_t index = entries[i].offset;
    if (index >= kSlots || IsEmpty(index)) continue;
    const Slot& slot = slots_[index];
    if (slot.holds == Holds::kRing && slot.ring->session() == ring->session()) continue;
    return args.ThrowRange("entry " + std::to_string(i) + " names index " + std::to_string(index) +
                           ", which holds a ring that is not this kernel's; unregister what it registered");
  }
  return true;
}

void RegisteredRings::Registered(Ring* ring, const io_uring_rsrc_update* entries, uint32_t done) {
  for (uint32_t i = 0; i < done; i++) {
    if (entries[i].offset >= kSlots) continue;
    Ring* held = FindByFd(ring->session(), static_cast<int>(entries[i].data));
    slots_[entries[i].offset] = Slot{held == nullptr ? Holds::kStranger : Holds::kRing, held};
  }
}

void RegisteredRings::Unregistered(const io_uring_rsrc_update* entries, uint32_t done) {
  for (uint32_t i = 0; i < done; i++) {
    if (entries[i].offset < kSlots) slots_[entries[i].offset] = Slot{};
  }
}

int RegisteredRings::SlotOf(const Ring* ring) const {
  for (uint32_t index = 0; index < kSlots; index++) {
    if (slots_[index].ring == ring) return static_cast<int>(index);
  }
  return -1;
}

void RegisteredRings::Release(Ring* ring) {
  io_uring_rsrc_update entries[kSlots];
  uint32_t count = 0;
  for (uint32_t index = 0; index < kSlots; index++) {
    if (slots_[index].ring == ring) entries[count++] = io_uring_rsrc_update{index, 0, 0};
  }
  if (count == 0) return;
  int fd = ring->fd();
  uint32_t by_index = fd >= 0 ? 0 : kRegisterUseRegisteredRing;
  int result = SysRegister(fd >= 0 ? fd : static_cast<int>(entries[0].offset), IORING_UNREGISTER_RING_FDS | by_index,
                           reinterpret_cast<uint64_t>(entries), count);
  bool done = result == static_cast<int>(count) || UnregisterByAnother(entries, count);
  for (uint32_t i = 0; i < count; i++) {
    // What could not be given back holds nobody's ring from now on.
    slots_[entries[i].offset] = Slot{done ? Holds::kNothing : Holds::kStranger, nullptr};
  }
}

}  // namespace ringspec
