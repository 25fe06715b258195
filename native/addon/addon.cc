// What `require('kagemusha_native.node')` gives: the engine's class, sd_notify, and the names and sizes of
// the shared region.
#include <napi.h>

#include "engine_wrap.h"
#include "notify.h"
#include "privileges.h"
#include "schedule.h"

namespace kagemusha {
namespace {

template <class Names>
Napi::Array nameList(Napi::Env env, const Names& names) {
  Napi::Array list = Napi::Array::New(env, names.size());
  for (std::uint32_t index = 0; index < names.size(); ++index)
    list.Set(index, Napi::String::New(env, names[index].data(), names[index].size()));
  return list;
}

Napi::Object names(Napi::Env env) {
  Napi::Object names = Napi::Object::New(env);
  names.Set("drops", nameList(env, kDropNames));
  names.Set("engine", nameList(env, kEngineCounterNames));
  names.Set("port", nameList(env, kPortCounterNames));
  names.Set("tunnel", nameList(env, kTunnelCounterNames));
  return names;
}

Napi::Object ring(Napi::Env env) {
  Napi::Object ring = Napi::Object::New(env);
  ring.Set("receiveCells", Region::kReceiveCells);
  ring.Set("transmitCells", Region::kTransmitCells);
  ring.Set("payload", static_cast<std::uint32_t>(SlowPathRing::kPayload));
  ring.Set("record", static_cast<std::uint32_t>(SlowPathRing::kRecord));
  ring.Set("cell", static_cast<std::uint32_t>(SlowPathRing::kCell));
  ring.Set("tail", static_cast<std::uint32_t>(SlowPathRing::kTail));
  ring.Set("kicked", static_cast<std::uint32_t>(SlowPathRing::kKicked));
  ring.Set("firstCell", static_cast<std::uint32_t>(SlowPathRing::kFirstCell));
  ring.Set("filler", static_cast<std::uint32_t>(SlowPathKind::filler));
  ring.Set("none", kNone);
  ring.Set("toUplink", kToUplink);
  return ring;
}

Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  auto data = std::make_unique<AddonData>();
  const Napi::Function engine = EngineWrap::define(env), memoryDevice = MemoryDeviceWrap::define(env);
  data->engine = Napi::Persistent(engine);
  data->memoryDevice = Napi::Persistent(memoryDevice);
  env.SetInstanceData(data.release());  // Node deletes it with the environment
  exports.Set("NativeEngine", engine);
  exports.Set("notifySocket", Napi::Function::New<notifySocket>(env, "notifySocket"));
  exports.Set("openSpareSockets", Napi::Function::New<openSpareSockets>(env, "openSpareSockets"));
  exports.Set("adoptSpareSockets", Napi::Function::New<adoptSpareSockets>(env, "adoptSpareSockets"));
  exports.Set("replaceProcess", Napi::Function::New<replaceProcess>(env, "replaceProcess"));
  exports.Set("shortenSlice", Napi::Function::New<shortenSlice>(env, "shortenSlice"));
  exports.Set("names", names(env));
  exports.Set("ring", ring(env));
  exports.Set("noSequence", kNoSequence);
  return exports;
}

}  // namespace
}  // namespace kagemusha

static Napi::Object initialize(Napi::Env env, Napi::Object exports) {
  return kagemusha::initialize(env, exports);
}
NODE_API_MODULE(kagemusha_native, initialize)
