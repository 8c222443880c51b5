// One signal that a thread sends to itself, so that a wait whose mask lets it in is interrupted at a known moment.
//
// Lifetimes. The number is kSignal, a real-time signal that nobody has a use for by chance. From the first raise on it is
// ignored in the whole process (SIG_IGN: there is no handler that could outlive this library, and the default, which
// ends the process, can't come), and blocked in the threads that raised it; threads that these make later, and the
// processes that they start, block it too. A signal that is blocked waits though it is ignored, and a wait that unblocks it
// is interrupted; then it is gone. What no wait took is taken back when the session closes, by the thread that raised it.
#pragma once

namespace ringspec {

/** Makes the signal pending for the calling thread, once: 0, or -errno; -EBUSY where the process has a handler for it. */
int RaiseSignal();

/** sigtimedwait(2) with no time: kSignal where it was pending, which takes it, else -EAGAIN. */
int TakeSignal();

}  // namespace ringspec
