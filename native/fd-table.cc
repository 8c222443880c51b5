#include "fd-table.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace ringspec {

void FdTable::Add(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return;
  files_[fd] = File{status.st_dev, status.st_ino, status.st_mode & S_IFMT};
}

int FdTable::Adopt(int fd) {
  struct stat status;
  if (fd <= 2 || fstat(fd, &status) != 0) return -EBADF;
  mode_t type = status.st_mode & S_IFMT;
  // What OPENAT opens in a world of ours. Node's own epoll, eventfd and signal pipes: sockets and
  // anonymous inodes are never adopted.
  if (type != S_IFREG && type != S_IFDIR && type != S_IFIFO) return -EBADF;
  files_[fd] = File{status.st_dev, status.st_ino, type};
  return 0;
}

bool FdTable::Owns(int fd) {
  auto found = files_.find(fd);
  if (found == files_.end()) return false;
  struct stat status;
  const File& file = found->second;
  if (fstat(fd, &status) == 0 && status.st_dev == file.device && status.st_ino == file.inode &&
      (status.st_mode & S_IFMT) == file.type) {
    return true;
  }
  files_.erase(found);
  return false;
}

void FdTable::CloseAll() {
  std::vector<int> fds;
  fds.reserve(files_.size());
  for (const auto& entry : files_) fds.push_back(entry.first);
  for (int fd : fds) {
    if (Owns(fd)) close(fd);
  }
  files_.clear();
}

}  // namespace ringspec
