// When the calling thread gets a processor.
#pragma once

#include <napi.h>

namespace kagemusha {

// shortenSlice(microseconds): boolean - Linux 6.12 and later give the calling thread a processor in turns of
// this length (100 to 100000), as they come: after a sleep it goes before threads with longer ones, and it
// gets no more of the processor than before. What it starts has ordinary ones. No right is needed. False: it
// runs as it did before, by another policy than SCHED_OTHER say; older kernels take it and do nothing.
Napi::Value shortenSlice(const Napi::CallbackInfo& info);

}  // namespace kagemusha
