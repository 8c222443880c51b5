// The few ordinary system calls that build a world. Each refuses a descriptor that its session did not
// open or adopt with -EBADF, and none of them blocks: what would wait for a peer returns -EAGAIN.
#pragma once
#include <napi.h>

#include "session.h"

namespace ringspec {

/** open, close, pipe, eventfd, dup, read, write, pread, pwrite, ftruncate, unlink, lseek, size, adopt, disown, owns. */
void ExportSystem(Napi::Env env, Napi::Object exports, AddonState* state);

}  // namespace ringspec
