// Handles that JavaScript holds for native objects: a slot number and a generation in 32 bits, so that
// a handle kept after close is refused rather than taken for the slot's next tenant.
#pragma once
#include <cstdint>
#include <vector>

namespace ringspec {

template <typename T>
class HandleTable {
 public:
  static constexpr uint32_t kSlotBits = 16;
  static constexpr uint32_t kSlotsMax = 1u << kSlotBits;

  /** False where every slot is taken. */
  bool Add(T* object, uint32_t* handle) {
    uint32_t slot;
    if (!free_.empty()) {
      slot = free_.back();
      free_.pop_back();
    } else if (slots_.size() < kSlotsMax) {
      slot = static_cast<uint32_t>(slots_.size());
      slots_.push_back(Slot{nullptr, 1});
    } else {
      return false;
    }
    slots_[slot].object = object;
    *handle = slots_[slot].generation << kSlotBits | slot;
    return true;
  }

  T* Find(uint32_t handle) const {
    uint32_t slot = handle & (kSlotsMax - 1);
    if (slot >= slots_.size() || slots_[slot].generation != handle >> kSlotBits) return nullptr;
    return slots_[slot].object;
  }

  void Remove(uint32_t handle) {
    if (Find(handle) == nullptr) return;
    uint32_t slot = handle & (kSlotsMax - 1);
    slots_[slot].object = nullptr;
    slots_[slot].generation = (slots_[slot].generation + 1) & (0xffffffffu >> kSlotBits);
    if (slots_[slot].generation == 0) slots_[slot].generation = 1;
    free_.push_back(slot);
  }

  /** Calls `visit` with every object; it may remove the one it is given. */
  template <typename Visit>
  void Each(Visit visit) {
    for (size_t slot = 0; slot < slots_.size(); slot++) {
      if (slots_[slot].object != nullptr) visit(slots_[slot].object);
    }
  }

 private:
  struct Slot {
    T* object;
    /** Never 0, so that 0 is no handle. */
    uint32_t generation;
  };
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
};

}  // namespace ringspec
