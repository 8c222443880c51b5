// The counters of eventfds, read without adding to them or taking from them: /proc/self/fdinfo has them.
// The file of a number is opened when that becomes an eventfd's, moved up out of the way, and kept: a
// file opened later would for a moment have the lowest free number, which a request of a ring that runs
// beside this thread may name.
#pragma once
#include <cstdint>
#include <map>

namespace ringspec {

class EventFdCounts {
 public:
  ~EventFdCounts() { CloseAll(); }

  /** This number is an eventfd's now. */
  void Add(int fd);
  /** It is closed, or somebody else's. */
  void Remove(int fd);
  void CloseAll();
  /** Would adding `value` make its writer wait? False where nobody can tell. */
  bool Full(int fd, uint64_t value);

 private:
  /** For each number its fdinfo file, open; owned. */
  std::map<int, int> files_;
};

}  // namespace ringspec
