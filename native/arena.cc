#include "arena.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>

namespace ringspec {

namespace {

// The pool outlives every thread and is never destroyed: workers may end while exit() runs.
struct Pool {
  std::mutex mutex;
  std::vector<void*> chunks;
};
Pool& ThePool() {
  static Pool* pool = new Pool;
  return *pool;
}

/** `length` bytes with a PROT_NONE page on either side, or nullptr with errno set. */
void* MapGuarded(size_t length) {
  size_t page = Arena::PageBytes();
  void* whole = mmap(nullptr, length + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (whole == MAP_FAILED) return nullptr;
  void* inner = static_cast<char*>(whole) + page;
  if (mprotect(inner, length, PROT_READ | PROT_WRITE) != 0) {
    int error = errno;
    munmap(whole, length + 2 * page);
    errno = error;
    return nullptr;
  }
  return inner;
}

void DisposeChunk(void* address, size_t length, Fate fate) {
  if (fate == Fate::kHide) return;
  // Gives the pages back and makes the bytes zero; a request still under way would fault in new ones.
  madvise(address, length, MADV_DONTNEED);
  if (fate != Fate::kFree) {
    CountQuarantined();
    return;
  }
  if (length != Arena::kChunkBytes) {
    // A clean chunk of odd size is of no use to others.
    size_t page = Arena::PageBytes();
    munmap(static_cast<char*>(address) - page, length + 2 * page);
    return;
  }
  Pool& pool = ThePool();
  std::lock_guard<std::mutex> lock(pool.mutex);
  pool.chunks.push_back(address);
}

}  // namespace

size_t Arena::PageBytes() {
  static const size_t bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

uint64_t Arena::FaultPage() {
  static const uint64_t page = [] {
    void* mapped = mmap(nullptr, PageBytes(), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return mapped == MAP_FAILED ? uint64_t{0} : reinterpret_cast<uint64_t>(mapped);
  }();
  return page;
}

int Arena::Grow(napi_env env, size_t size, napi_value* buffer, uint64_t* address) {
  size_t page = PageBytes();
  size_t length = size <= kChunkBytes ? kChunkBytes : (size + page - 1) / page * page;
  void* memory = nullptr;
  if (length == kChunkBytes) {
    Pool& pool = ThePool();
    std::lock_guard<std::mutex> lock(pool.mutex);
    if (!pool.chunks.empty()) {
      memory = pool.chunks.back();
      pool.chunks.pop_back();
    }
  }
  if (memory == nullptr) memory = MapGuarded(length);
  if (memory == nullptr) return -errno;
  Mapping* mapping = Mapping::Create(env, memory, length, DisposeChunk, buffer);
  if (mapping == nullptr) return -EOPNOTSUPP;
  *address = reinterpret_cast<uint64_t>(memory);
  chunks_.push_back(Chunk{*address, length, mapping});
  return 0;
}

bool Arena::Contains(uint64_t address, uint64_t size) const {
  // Compared by subtraction, so that address + size can't wrap.
  auto inside = [&](uint64_t start, uint64_t length) {
    return address >= start && address - start <= length && size <= length - (address - start);
  };
  if (FaultPage() != 0 && inside(FaultPage(), PageBytes())) return true;
  for (const Chunk& chunk : chunks_) {
    if (inside(chunk.address, chunk.length)) return true;
  }
  return false;
}

void Arena::Close(bool detach, bool clean) {
  for (Chunk& chunk : chunks_) {
    if (detach) chunk.mapping->Detach();
    chunk.mapping->Release(clean);
  }
  chunks_.clear();
}

}  // namespace ringspec
