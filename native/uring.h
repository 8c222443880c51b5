// <linux/io_uring.h> of the compiler, the three system calls without libc, and the register rules that
// are generated from spec/. Constants newer than Linux 6.1's header are named here, once, until the
// build machine's header has them.
#pragma once
#include <linux/io_uring.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

#include "abi-check.gen.h"
#include "register-table.gen.h"

namespace ringspec {

// Since 6.5, 6.6 and 6.12; not in every header that we compile against.
inline constexpr uint32_t kSetupRegisteredFdOnly = 1u << 15;
inline constexpr uint32_t kSetupNoSqArray = 1u << 16;
inline constexpr uint32_t kEnterExtArgReg = 1u << 6;
// io_uring_getevents_arg.min_wait_usec, which headers before 6.12 have not.
inline constexpr size_t kMinWaitOffset = 12;
// Since 6.3: the descriptor given to io_uring_register is an index.
inline constexpr uint32_t kRegisterUseRegisteredRing = 1u << 31;
// Since 6.13, the first two, and 6.18.
inline constexpr uint32_t kRegisterResizeRings = 33;
inline constexpr uint32_t kRegisterMemRegion = 34;
inline constexpr uint32_t kRegisterQuery = 35;

// -errno instead of -1 and errno. The numbers are the same on every architecture since 5.1.
inline int SysSetup(uint32_t entries, io_uring_params* params) {
  long result = syscall(__NR_io_uring_setup, entries, params);
  return result < 0 ? -errno : static_cast<int>(result);
}
inline int SysEnter(int fd, uint32_t to_submit, uint32_t min_complete, uint32_t flags, uint64_t arg, uint64_t size) {
  long result = syscall(__NR_io_uring_enter, fd, to_submit, min_complete, flags, arg, size);
  return result < 0 ? -errno : static_cast<int>(result);
}
inline int SysRegister(int fd, uint32_t opcode, uint64_t arg, uint32_t nr_args) {
  long result = syscall(__NR_io_uring_register, fd, opcode, arg, nr_args);
  return result < 0 ? -errno : static_cast<int>(result);
}

}  // namespace ringspec
