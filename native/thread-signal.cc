#include "thread-signal.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

namespace ringspec {

namespace {

/** As in src/kernel.ts. */
constexpr int kSignal = 40;

sigset_t OnlyIt() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, kSignal);
  return set;
}

bool IsPending() {
  sigset_t pending;
  return sigpending(&pending) == 0 && sigismember(&pending, kSignal) == 1;
}

/** 0, or -errno. To ignore it anew would take it back from every thread: it is done once. */
int Ignore() {
  struct sigaction now;
  if (sigaction(kSignal, nullptr, &now) != 0) return -errno;
  if ((now.sa_flags & SA_SIGINFO) != 0) return -EBUSY;
  if (now.sa_handler == SIG_IGN) return 0;
  if (now.sa_handler != SIG_DFL) return -EBUSY;
  struct sigaction ignore = {};
  ignore.sa_handler = SIG_IGN;
  return sigaction(kSignal, &ignore, nullptr) == 0 ? 0 : -errno;
}

}  // namespace

int RaiseSignal() {
  if (kSignal < SIGRTMIN || kSignal > SIGRTMAX) return -EINVAL;
  sigset_t set = OnlyIt();
  int refused = pthread_sigmask(SIG_BLOCK, &set, nullptr);
  if (refused != 0) return -refused;
  int result = Ignore();
  if (result != 0 || IsPending()) return result;
  return syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), kSignal) == 0 ? 0 : -errno;
}

int TakeSignal() {
  sigset_t blocked;
  // Where it is not blocked, this thread never raised it.
  if (pthread_sigmask(SIG_BLOCK, nullptr, &blocked) != 0 || sigismember(&blocked, kSignal) != 1) return -EAGAIN;
  sigset_t set = OnlyIt();
  const struct timespec at_once = {0, 0};
  int taken;
  do {
    taken = sigtimedwait(&set, nullptr, &at_once);
  } while (taken < 0 && errno == EINTR);
  return taken < 0 ? -errno : taken;
}

}  // namespace ringspec
