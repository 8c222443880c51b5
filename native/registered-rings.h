// The rings that this thread registered (IORING_REGISTER_RING_FDS). The kernel keeps one table of 16 slots a
// thread, for all rings of it, whoever opened them; which ring a slot holds is kept here, so that no ring's
// call can reach another ring by its index, nor take another's slot away.
#pragma once
#include <napi.h>

#include <array>
#include <cstdint>

#include "args.h"
#include "uring.h"

namespace ringspec {

class Ring;
class Session;

class RegisteredRings {
 public:
  static constexpr uint32_t kSlots = 16;

  /** May a call of `ring` name this index? It must hold that ring, or nothing. Else an exception is pending. */
  bool MayName(const Args& args, Ring* ring, uint32_t index) const;
  /** May `ring` register what these entries name? Rings and descriptors of its session, or none. Else an exception is pending. */
  bool MayRegister(const Args& args, Ring* ring, const io_uring_rsrc_update* entries, uint32_t count) const;
  /** May `ring` empty these slots? Those that hold a ring of its session, or nothing. Else an exception is pending. */
  bool MayUnregister(const Args& args, Ring* ring, const io_uring_rsrc_update* entries, uint32_t count) const;

  /** The kernel did `done` of these entries; it wrote the offsets of those that it registered. */
  void Registered(Ring* ring, const io_uring_rsrc_update* entries, uint32_t done);
  void Unregistered(const io_uring_rsrc_update* entries, uint32_t done);

  /** A slot that holds this ring, or -1. */
  int SlotOf(const Ring* ring) const;
  /** Gives this ring's slots back, as it closes: a slot keeps a ring alive as a descriptor does. */
  void Release(Ring* ring);

 private:
  enum class Holds { kNothing, kRing, kStranger };
  struct Slot {
    Holds holds = Holds::kNothing;
    Ring* ring = nullptr;
  };
  /** Nothing, or what somebody else registered behind our back. */
  bool IsEmpty(uint32_t index) const;

  std::array<Slot, kSlots> slots_;
};

}  // namespace ringspec
