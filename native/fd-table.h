// The descriptors that one kernel session opened or adopted. Each is remembered with the identity of
// its file, for an SQE may close a number behind our back and Node may get the number next.
#pragma once
#include <sys/types.h>

#include <unordered_map>

namespace ringspec {

class FdTable {
 public:
  /** Records a descriptor that this addon has just opened. */
  void Add(int fd);
  /** Takes over a descriptor that a completion handed out: 0, or -EBADF where that can't be what it is. */
  int Adopt(int fd);
  void Remove(int fd) { files_.erase(fd); }
  /** Is it ours, and still the file that it was? Forgets it where it is not. */
  bool Owns(int fd);
  /** Closes every descriptor that is still ours. */
  void CloseAll();

 private:
  struct File {
    dev_t device;
    ino_t inode;
    mode_t type;
  };
  std::unordered_map<int, File> files_;
};

}  // namespace ringspec
