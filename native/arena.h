// User memory that SQEs point into: chunks mapped between two guard pages, shown to JavaScript as one
// ArrayBuffer each (JavaScript divides them up). A chunk is never unmapped: a request that outlives its
// ring would write to whatever was mapped there next. It goes to a pool of the process for the next
// kernel, and only where every ring was seen to be at rest.
#pragma once
#include <napi.h>

#include <cstdint>
#include <vector>

#include "mapping.h"

namespace ringspec {

class Arena {
 public:
  static constexpr size_t kChunkBytes = 1u << 20;
  static constexpr size_t kChunkBytesMax = 1u << 30;

  /** Adds a chunk of at least `size` zeroed bytes: its buffer and address, or -errno. */
  int Grow(napi_env env, size_t size, napi_value* buffer, uint64_t* address);
  /** Do `size` bytes at `address` lie inside one chunk or inside the fault page? */
  bool Contains(uint64_t address, uint64_t size) const;
  /** Detaches every view and gives the chunks away. clean: no request may still touch them. */
  void Close(bool detach, bool clean);

  /** One page of the process that is PROT_NONE for ever; 0 where it could not be mapped. */
  static uint64_t FaultPage();
  static size_t PageBytes();

 private:
  struct Chunk {
    uint64_t address;
    uint64_t length;
    Mapping* mapping;
  };
  std::vector<Chunk> chunks_;
};

}  // namespace ringspec
