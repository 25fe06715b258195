// sd_notify(3): tells the service manager how we are.
#pragma once

#include <napi.h>

namespace kagemusha {

// notifySocket(path, message): one datagram to a Unix socket; a leading '@' means the abstract namespace.
// Throws NOTIFY_FAILED.
void notifySocket(const Napi::CallbackInfo& info);

}  // namespace kagemusha
