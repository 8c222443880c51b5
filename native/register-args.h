// What io_uring_register is given: memory that the opcode touches, and what that memory names, must be this
// kernel's. The sizes come from spec/abi/register-args.json.
#pragma once
#include <cstdint>

#include "native-function.h"
#include "ring.h"

namespace ringspec {

/** Is the argument what the opcode takes? Else an exception is pending. */
bool CheckRegisterArg(const Call& call, const Ring* ring, uint32_t opcode, bool number, uint64_t arg, uint32_t nr_args);

/** The region that waits may name from now on, once the kernel took what CheckRegisterArg passed. */
WaitRegion ReadWaitRegion(uint64_t arg);

}  // namespace ringspec
