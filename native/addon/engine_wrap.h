// The engine as a JavaScript object. See src/datapath/native.ts for its shape.
#pragma once

#include <napi.h>

#include <atomic>
#include <memory>

#include "../engine/engine.h"

namespace kagemusha {

class EngineWrap : public Napi::ObjectWrap<EngineWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  // new Engine({ workers, maxPorts, maxTunnels, maxSignalers }, onReadable)
  explicit EngineWrap(const Napi::CallbackInfo& info);
  ~EngineWrap() override;

 private:
  // Brings "the ring has packets" from the workers to JavaScript's thread. However often it is called, at
  // most one call waits there.
  class Wake {
   public:
    Wake(Napi::Env env, const Napi::Function& callback);
    void operator()();
    void release();

   private:
    Napi::ThreadSafeFunction function_;
    // Shared with the call that waits on JavaScript's thread: that may come after our end.
    std::shared_ptr<std::atomic<bool>> pending_ = std::make_shared<std::atomic<bool>>(false);
  };

  Napi::Value openTap(const Napi::CallbackInfo& info);
  Napi::Value openStream(const Napi::CallbackInfo& info);
  void connectStream(const Napi::CallbackInfo& info);
  Napi::Value openPacketPort(const Napi::CallbackInfo& info);
  Napi::Value openMemoryPort(const Napi::CallbackInfo& info);
  void openTun(const Napi::CallbackInfo& info);
  Napi::Value openPacketUplink(const Napi::CallbackInfo& info);
  Napi::Value openMemoryUplink(const Napi::CallbackInfo& info);
  void closePort(const Napi::CallbackInfo& info);
  void setPeerMac(const Napi::CallbackInfo& info);
  void clearTunnelCounters(const Napi::CallbackInfo& info);
  void watchFirstFrame(const Napi::CallbackInfo& info);
  void watchFirstDelivery(const Napi::CallbackInfo& info);
  void publish(const Napi::CallbackInfo& info);
  void kick(const Napi::CallbackInfo& info);
  Napi::Value flowLabel(const Napi::CallbackInfo& info);
  void close(const Napi::CallbackInfo& info);
  Napi::Value region(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value layout(const Napi::CallbackInfo& info);

  static void atExit(void* self);
  void stop();
  Engine& engine();

  std::unique_ptr<Wake> wake_;
  std::unique_ptr<Engine> engine_;
};

// The in-memory double as a JavaScript object: inject(bytes, offload?), take().
class MemoryDeviceWrap : public Napi::ObjectWrap<MemoryDeviceWrap> {
 public:
  static Napi::Function define(Napi::Env env);
  static Napi::Value create(Napi::Env env, std::shared_ptr<MemoryDevice> device);
  explicit MemoryDeviceWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MemoryDeviceWrap>(info) {}

 private:
  Napi::Value inject(const Napi::CallbackInfo& info);
  Napi::Value take(const Napi::CallbackInfo& info);

  std::shared_ptr<MemoryDevice> device_;
};

// What belongs to one environment (main thread, worker thread) of Node.
struct AddonData {
  Napi::FunctionReference engine, memoryDevice;
};

}  // namespace kagemusha
