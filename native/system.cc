#include "system.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "native-function.h"
#include "thread-signal.h"

namespace ringspec {

namespace {

/** The session, and a descriptor of it as second argument. */
struct FdCall : Call {
  FdCall(napi_env env, napi_callback_info info, const char* name) : Call(env, info, name) {
    session = FindSession();
    ok = session != nullptr && args.Fd(1, &fd);
  }
  bool Owned() const { return session->fds.Owns(fd); }

  Session* session;
  int fd = -1;
  /** False: an exception is pending. */
  bool ok;
};

int Result(long result) { return result < 0 ? -errno : static_cast<int>(result); }

/** Records a new descriptor; passes -errno on. */
napi_value Opened(napi_env env, Session* session, int fd) {
  if (fd >= 0) session->fds.Add(fd);
  return Int(env, fd >= 0 ? fd : -errno);
}

/** open(kernel, path, flags, mode). */
napi_value Open(napi_env env, napi_callback_info info) {
  Call call(env, info, "open");
  Session* session = call.FindSession();
  std::string path;
  uint32_t flags, mode;
  if (session == nullptr || !call.args.Path(1, &path) || !call.args.U32(2, "flags", &flags) ||
      !call.args.U32(3, "mode", &mode)) {
    return nullptr;
  }
  struct stat status;
  // Opening one end of a FIFO waits for the other end.
  bool waits = (flags & (O_NONBLOCK | O_PATH)) == 0 && (flags & O_ACCMODE) != O_RDWR &&
               fstatat(session->directory_fd, path.c_str(), &status, 0) == 0 && S_ISFIFO(status.st_mode);
  if (waits) return Int(env, -EAGAIN);
  return Opened(env, session, openat(session->directory_fd, path.c_str(), static_cast<int>(flags | O_CLOEXEC), mode));
}

napi_value Close(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "close");
  if (!call.ok) return nullptr;
  if (!call.Owned()) return Int(env, -EBADF);
  call.session->fds.Remove(call.fd);
  call.session->counts.Remove(call.fd);
  return Int(env, Result(close(call.fd)));
}

/** pipe(kernel, flags): [read, write] or -errno. */
napi_value Pipe(napi_env env, napi_callback_info info) {
  Call call(env, info, "pipe");
  Session* session = call.FindSession();
  uint32_t flags;
  if (session == nullptr || !call.args.U32(1, "flags", &flags)) return nullptr;
  int ends[2];
  if (pipe2(ends, static_cast<int>(flags | O_CLOEXEC)) != 0) return Int(env, -errno);
  napi_value result;
  napi_create_array_with_length(env, 2, &result);
  for (uint32_t i = 0; i < 2; i++) {
    session->fds.Add(ends[i]);
    napi_set_element(env, result, i, Int(env, ends[i]));
  }
  return result;
}

napi_value EventFd(napi_env env, napi_callback_info info) {
  Call call(env, info, "eventfd");
  Session* session = call.FindSession();
  uint32_t count, flags;
  if (session == nullptr || !call.args.U32(1, "count", &count) || !call.args.U32(2, "flags", &flags)) return nullptr;
  int fd = eventfd(count, static_cast<int>(flags | EFD_CLOEXEC));
  int error = errno;
  if (fd >= 0) session->counts.Add(fd);
  errno = error;
  return Opened(env, session, fd);
}

napi_value Dup(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "dup");
  uint32_t at_least;
  if (!call.ok || !call.args.U32(2, "atLeast", &at_least)) return nullptr;
  if (at_least > 0x7fffffffu) return Int(env, -EINVAL);
  if (!call.Owned()) return Int(env, -EBADF);
  return Opened(env, call.session, fcntl(call.fd, F_DUPFD_CLOEXEC, static_cast<int>(at_least)));
}

bool IsRegular(int fd) {
  struct stat status;
  return fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

bool PollReady(int fd, short events) {
  struct pollfd request = {fd, events, 0};
  return poll(&request, 1, 0) == 1;
}

/** read or write at the file position without waiting for a peer. */
int Transfer(Session* session, int fd, void* data, size_t length, bool write_it) {
  if (IsRegular(fd)) return Result(write_it ? write(fd, data, length) : read(fd, data, length));
  struct iovec vector = {data, length};
  long moved = write_it ? pwritev2(fd, &vector, 1, -1, RWF_NOWAIT) : preadv2(fd, &vector, 1, -1, RWF_NOWAIT);
  if (moved >= 0 || errno != EOPNOTSUPP) return Result(moved);
  // Eventfds can't be written that way: ask first. Nobody else uses the descriptor but a ring of ours.
  if (!PollReady(fd, write_it ? POLLOUT : POLLIN)) return -EAGAIN;
  uint64_t value;
  if (write_it && length == sizeof value) {
    std::memcpy(&value, data, sizeof value);
    if (value != ~0ull && session->counts.Full(fd, value)) return -EAGAIN;
  }
  return Result(write_it ? write(fd, data, length) : read(fd, data, length));
}

napi_value MoveAtPosition(napi_env env, napi_callback_info info, const char* name, const char* bytes, bool write_it) {
  FdCall call(env, info, name);
  void* data;
  size_t length;
  if (!call.ok || !call.args.Bytes(2, bytes, &data, &length)) return nullptr;
  if (!call.Owned()) return Int(env, -EBADF);
  // A pipe without readers raises SIGPIPE too, which Node ignores.
  return Int(env, Transfer(call.session, call.fd, data, length, write_it));
}
napi_value Read(napi_env env, napi_callback_info info) { return MoveAtPosition(env, info, "read", "into", false); }
napi_value Write(napi_env env, napi_callback_info info) { return MoveAtPosition(env, info, "write", "from", true); }

napi_value MoveAt(napi_env env, napi_callback_info info, const char* name, const char* bytes, bool write_it) {
  FdCall call(env, info, name);
  void* data;
  size_t length;
  int64_t offset;
  if (!call.ok || !call.args.Bytes(2, bytes, &data, &length) || !call.args.SafeInteger(3, "offset", &offset)) return nullptr;
  if (!call.Owned()) return Int(env, -EBADF);
  return Int(env, Result(write_it ? pwrite(call.fd, data, length, offset) : pread(call.fd, data, length, offset)));
}
napi_value Pread(napi_env env, napi_callback_info info) { return MoveAt(env, info, "pread", "into", false); }
napi_value Pwrite(napi_env env, napi_callback_info info) { return MoveAt(env, info, "pwrite", "from", true); }

napi_value Ftruncate(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "ftruncate");
  int64_t size;
  if (!call.ok || !call.args.SafeInteger(2, "size", &size)) return nullptr;
  if (!call.Owned()) return Int(env, -EBADF);
  return Int(env, Result(ftruncate(call.fd, size)));
}

napi_value Unlink(napi_env env, napi_callback_info info) {
  Call call(env, info, "unlink");
  Session* session = call.FindSession();
  std::string path;
  if (session == nullptr || !call.args.Path(1, &path)) return nullptr;
  return Int(env, Result(unlinkat(session->directory_fd, path.c_str(), 0)));
}

napi_value Lseek(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "lseek");
  int64_t offset;
  uint32_t whence;
  if (!call.ok || !call.args.SafeInteger(2, "offset", &offset) || !call.args.U32(3, "whence", &whence)) return nullptr;
  if (!call.Owned()) return Int(env, -EBADF);
  off_t position = lseek(call.fd, offset, static_cast<int>(whence));
  return Int64(env, position < 0 ? -errno : position);
}

napi_value Size(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "size");
  if (!call.ok) return nullptr;
  struct stat status;
  if (!call.Owned()) return Int(env, -EBADF);
  return Int64(env, fstat(call.fd, &status) != 0 ? -errno : status.st_size);
}

napi_value Adopt(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "adopt");
  if (!call.ok) return nullptr;
  // Node's directory descriptor of this session stays the session's.
  if (call.fd == call.session->directory_fd) return Int(env, -EBADF);
  return Int(env, call.session->fds.Adopt(call.fd));
}

napi_value Disown(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "disown");
  if (!call.ok) return nullptr;
  call.session->fds.Remove(call.fd);
  call.session->counts.Remove(call.fd);
  return nullptr;
}

/** takeSignal(kernel): see thread-signal.h. */
napi_value TakeIt(napi_env env, napi_callback_info info) {
  Call call(env, info, "takeSignal");
  if (call.FindSession() == nullptr) return nullptr;
  return Int(env, TakeSignal());
}

/** raise(kernel): see thread-signal.h. */
napi_value Raise(napi_env env, napi_callback_info info) {
  Call call(env, info, "raise");
  if (call.FindSession() == nullptr) return nullptr;
  return Int(env, RaiseSignal());
}

napi_value Owns(napi_env env, napi_callback_info info) {
  FdCall call(env, info, "owns");
  napi_value result = nullptr;
  if (call.ok) napi_get_boolean(env, call.Owned(), &result);
  return result;
}

}  // namespace

void ExportSystem(Napi::Env env, Napi::Object exports, AddonState* state) {
  Export(env, exports, "open", Open, state);
  Export(env, exports, "close", Close, state);
  Export(env, exports, "pipe", Pipe, state);
  Export(env, exports, "eventfd", EventFd, state);
  Export(env, exports, "dup", Dup, state);
  Export(env, exports, "read", Read, state);
  Export(env, exports, "write", Write, state);
  Export(env, exports, "pread", Pread, state);
  Export(env, exports, "pwrite", Pwrite, state);
  Export(env, exports, "ftruncate", Ftruncate, state);
  Export(env, exports, "unlink", Unlink, state);
  Export(env, exports, "lseek", Lseek, state);
  Export(env, exports, "size", Size, state);
  Export(env, exports, "adopt", Adopt, state);
  Export(env, exports, "disown", Disown, state);
  Export(env, exports, "owns", Owns, state);
  Export(env, exports, "raise", Raise, state);
  Export(env, exports, "takeSignal", TakeIt, state);
}

}  // namespace ringspec
