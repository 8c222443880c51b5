#include "register-args.h"

#include <sys/uio.h>

#include <cstring>
#include <string>
#include <vector>

namespace ringspec {

namespace {

const RegisterRule* FindRule(uint32_t opcode) {
  for (const RegisterRule& rule : kRegisterRules) {
    if (rule.opcode == opcode) return &rule;
  }
  return nullptr;
}

/** Does every buffer that the kernel would pin lie in this kernel's memory? Else an exception is pending. */
bool CheckBuffers(const Call& call, const Ring* ring, uint64_t arg, uint32_t nr_args) {
  constexpr uint64_t kBufferBytesMax = 1u << 30;
  uint64_t fault = Arena::FaultPage();
  for (uint32_t i = 0; i < nr_args; i++) {
    uint64_t at = arg + i * sizeof(iovec);
    // Where the list itself faults the kernel stops.
    if (at + sizeof(iovec) > fault && at < fault + Arena::PageBytes()) return true;
    iovec named;
    std::memcpy(&named, reinterpret_cast<const void*>(at), sizeof named);
    auto address = reinterpret_cast<uint64_t>(named.iov_base);
    // An empty slot, and lengths that the kernel refuses before it looks at the memory.
    if (address == 0 || named.iov_len == 0 || named.iov_len > kBufferBytesMax) continue;
    if (ring->session()->arena.Contains(address, named.iov_len)) continue;
    return call.args.ThrowRange("buffer " + std::to_string(i) + " has " + std::to_string(named.iov_len) + " bytes at address " +
                                std::to_string(address) + ", which are not all memory of this kernel; use kernel.memory.alloc()");
  }
  return true;
}

/** struct io_uring_query_hdr, which headers before 6.18 have not. */
struct QueryHeader {
  uint64_t next;
  uint64_t data;
  uint32_t op;
  uint32_t size;
  int32_t result;
  uint32_t resv[3];
};
static_assert(sizeof(QueryHeader) == 40);

/** struct io_uring_mem_region_reg and struct io_uring_region_desc, which headers before 6.13 have not. */
struct MemRegion {
  uint64_t desc;
  uint64_t flags;
  uint64_t resv[2];
};
struct RegionDesc {
  uint64_t user_addr;
  uint64_t size;
  uint32_t flags;
  uint32_t id;
  uint64_t mmap_offset;
  uint64_t resv[4];
};
static_assert(sizeof(MemRegion) == 32 && sizeof(RegionDesc) == 64);

bool Faults(uint64_t address) {
  uint64_t fault = Arena::FaultPage();
  return address >= fault && address < fault + Arena::PageBytes();
}

struct Span {
  uint64_t start;
  uint64_t length;
};

bool Overlap(const Span& one, const Span& other) {
  return one.start < other.start + other.length && other.start < one.start + one.length;
}

/** Does all that the list of queries names lie in this kernel's memory, and no answer on the list itself? Else an exception is pending. */
bool CheckQuery(const Call& call, const Ring* ring, uint64_t arg) {
  constexpr size_t kEntriesMax = 1000;
  const Arena& arena = ring->session()->arena;
  std::vector<Span> headers, answers;
  for (uint64_t at = arg; at != 0 && headers.size() < kEntriesMax;) {
    const std::string entry = "entry " + std::to_string(headers.size());
    if (!arena.Contains(at, sizeof(QueryHeader))) {
      return call.args.ThrowRange(entry + " at address " + std::to_string(at) + " is not memory of this kernel; use kernel.memory.alloc()");
    }
    // Where the list itself faults the kernel stops.
    if (Faults(at)) break;
    Span header{at, sizeof(QueryHeader)};
    bool again = false;
    for (const Span& other : headers) {
      again = again || other.start == at;
      if (other.start != at && Overlap(other, header)) return call.args.ThrowRange(entry + " overlaps another entry; put them apart");
    }
    if (again) break;
    headers.push_back(header);
    QueryHeader named;
    std::memcpy(&named, reinterpret_cast<const void*>(at), sizeof named);
    if (named.size != 0) {
      if (!arena.Contains(named.data, named.size)) {
        return call.args.ThrowRange(entry + " has " + std::to_string(named.size) + " bytes for its answer at address " +
                                    std::to_string(named.data) + ", which are not all memory of this kernel; use kernel.memory.alloc()");
      }
      answers.push_back(Span{named.data, named.size});
    }
    at = named.next;
  }
  for (const Span& header : headers) {
    for (const Span& answer : answers) {
      // The kernel follows the list while it answers: an answer could send it anywhere.
      if (Overlap(header, answer)) return call.args.ThrowRange("an answer overlaps an entry of the list; put them apart");
    }
  }
  return true;
}

/** Is the memory that would be registered this kernel's? Else an exception is pending. */
bool CheckRegion(const Call& call, const Ring* ring, uint64_t arg) {
  const Arena& arena = ring->session()->arena;
  MemRegion region;
  if (Faults(arg)) return true;
  std::memcpy(&region, reinterpret_cast<const void*>(arg), sizeof region);
  if (!arena.Contains(region.desc, sizeof(RegionDesc))) {
    return call.args.ThrowRange("the region's description at address " + std::to_string(region.desc) +
                                " is not memory of this kernel; use kernel.memory.alloc()");
  }
  if (Faults(region.desc)) return true;
  RegionDesc desc;
  std::memcpy(&desc, reinterpret_cast<const void*>(region.desc), sizeof desc);
  // What the kernel refuses before it looks at the memory, and memory of the kernel's own.
  bool aligned = (desc.user_addr | desc.size) % Arena::PageBytes() == 0;
  if (desc.user_addr == 0 || desc.size == 0 || !aligned || desc.size >> 32 != 0) return true;
  if (arena.Contains(desc.user_addr, desc.size)) return true;
  return call.args.ThrowRange("the region has " + std::to_string(desc.size) + " bytes at address " + std::to_string(desc.user_addr) +
                              ", which are not all memory of this kernel; use kernel.memory.alloc()");
}

}  // namespace

WaitRegion ReadWaitRegion(uint64_t arg) {
  MemRegion region;
  RegionDesc desc;
  std::memcpy(&region, reinterpret_cast<const void*>(arg), sizeof region);
  std::memcpy(&desc, reinterpret_cast<const void*>(region.desc), sizeof desc);
  return region.flags == 0 ? WaitRegion{} : WaitRegion{desc.user_addr, desc.size};
}

bool CheckRegisterArg(const Call& call, const Ring* ring, uint32_t opcode, bool number, uint64_t arg, uint32_t nr_args) {
  const std::string name = "opcode " + std::to_string(opcode);
  const RegisterRule* rule = FindRule(opcode);
  if (rule == nullptr) {
    // The kernel refuses an opcode that it doesn't know, and faults on one that is newer than our table.
    if (arg == 0) return true;
    return call.args.ThrowRange(name + " is not in the specification, so nobody knows how much memory it touches; pass null");
  }
  if (!rule->allowed) {
    return call.args.ThrowRange(name + " is not offered: it would change memory or descriptors that this port holds");
  }
  if (arg == 0 || rule->kind == 2) return true;
  if (rule->kind == 0) return call.args.ThrowRange(name + " takes no argument; pass null");
  if (number) return call.args.ThrowType(name + " takes an address; pass Region.addr, a bigint");
  uint64_t size = rule->fixed_bytes + static_cast<uint64_t>(rule->bytes_per_arg) * nr_args;
  if (ring->session()->arena.Contains(arg, size)) {
    if (opcode == IORING_REGISTER_BUFFERS) return CheckBuffers(call, ring, arg, nr_args);
    if (opcode == kRegisterMemRegion) return CheckRegion(call, ring, arg);
    return opcode != kRegisterQuery || CheckQuery(call, ring, arg);
  }
  return call.args.ThrowRange(name + " touches " + std::to_string(size) + " bytes at address " + std::to_string(arg) +
                              ", which is not all memory of this kernel; use kernel.memory.alloc()");
}

}  // namespace ringspec
