// The process without its capabilities.
#pragma once

#include <napi.h>

namespace kagemusha {

// openSpareSockets(count): number[] - packet sockets that stay open over replaceProcess(). Throws
// DEVICE_PERMISSION.
Napi::Value openSpareSockets(const Napi::CallbackInfo& info);
// adoptSpareSockets(fds): those of the process image before this one.
void adoptSpareSockets(const Napi::CallbackInfo& info);
// replaceProcess(path, argv, env): this process goes on as another program, without capabilities (but
// CAP_SYS_NICE, where it has that) and without a way to gain any. Threads cannot keep what the others gave
// up: they end. Returns only by throwing EXEC_FAILED.
void replaceProcess(const Napi::CallbackInfo& info);

}  // namespace kagemusha
