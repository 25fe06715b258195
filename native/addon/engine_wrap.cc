#include "engine_wrap.h"

#include "../engine/flow_label.h"
#include "convert.h"

namespace kagemusha {
namespace {

Side side(const Napi::Value& value) {
  return text(value, "side") == "mobile-node" ? Side::kMobileNode : Side::kHomeAgent;
}

RouteSpec routeSpec(const Napi::Object& object) {
  RouteSpec spec;
  spec.homeAddress = address(object.Get("homeAddress"));
  spec.correspondent = address(object.Get("correspondent"));
  if (const Napi::Value careOf = object.Get("careOfAddress"); !careOf.IsUndefined())
    spec.careOf = address(careOf);
  spec.straight = object.Get("straight").ToBoolean();
  spec.accepted = object.Get("accepted").ToBoolean();
  return spec;
}

TunnelSpec tunnelSpec(const Napi::Object& object) {
  TunnelSpec spec;
  spec.slot = number(object.Get("slot"), "slot");
  spec.side = side(object.Get("side"));
  spec.local = address(object.Get("local"));
  spec.remote = address(object.Get("remote"));
  spec.mtu = number(object.Get("mtu"), "mtu");
  if (const Napi::Value pathMtu = object.Get("pathMtu"); !pathMtu.IsUndefined())
    spec.pathMtu = number(pathMtu, "pathMtu");
  spec.mssClamp = object.Get("mssClamp").ToBoolean();
  if (const Napi::Value port = object.Get("port"); !port.IsUndefined()) spec.port = number(port, "port");
  spec.signaling = object.Get("signaling").ToBoolean();
  const auto homeAddresses = object.Get("homeAddresses").As<Napi::Array>();
  for (std::uint32_t index = 0; index < homeAddresses.Length(); ++index)
    spec.homeAddresses.push_back(address(homeAddresses.Get(index)));
  spec.optimise = object.Get("optimise").ToBoolean();
  spec.onward = object.Get("onward").ToBoolean();
  spec.inbound = object.Get("inbound").ToBoolean();
  if (const Napi::Value routes = object.Get("routes"); !routes.IsUndefined()) {
    const auto list = routes.As<Napi::Array>();
    for (std::uint32_t index = 0; index < list.Length(); ++index)
      spec.routes.push_back(routeSpec(list.Get(index).As<Napi::Object>()));
  }
  if (const Napi::Value limit = object.Get("hopLimit"); !limit.IsUndefined())
    spec.hopLimit = octet(limit, "hopLimit");
  if (const Napi::Value dscp = object.Get("dscp"); !dscp.IsUndefined()) spec.dscp = octet(dscp, "dscp");
  if (const Napi::Value limit = object.Get("encapsulationLimit"); !limit.IsUndefined())
    spec.encapsulationLimit = octet(limit, "encapsulationLimit");
  return spec;
}

SignalerSpec signalerSpec(const Napi::Object& object) {
  SignalerSpec spec{.index = number(object.Get("index"), "index"),
                    .side = side(object.Get("side")),
                    .local = address(object.Get("local")),
                    .homeAddress = address(object.Get("homeAddress"))};
  spec.esp = text(object.Get("protection"), "protection") == "esp";
  if (spec.esp) spec.spi = number(object.Get("spi"), "spi");
  return spec;
}

Offload offload(const Napi::Value& value) {
  Offload offload{};
  if (!value.IsObject()) return offload;
  const auto object = value.As<Napi::Object>();
  const auto field = [&](const char* name) {
    const Napi::Value value = object.Get(name);
    return value.IsUndefined() ? 0u : number(value, name);
  };
  offload.flags = static_cast<std::uint8_t>(field("flags"));
  offload.gso_type = static_cast<std::uint8_t>(field("gsoType"));
  offload.hdr_len = static_cast<std::uint16_t>(field("headerLength"));
  offload.gso_size = static_cast<std::uint16_t>(field("gsoSize"));
  offload.csum_start = static_cast<std::uint16_t>(field("checksumStart"));
  offload.csum_offset = static_cast<std::uint16_t>(field("checksumOffset"));
  return offload;
}

Napi::Object offloadObject(Napi::Env env, const Offload& offload) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("flags", offload.flags);
  object.Set("gsoType", offload.gso_type);
  object.Set("headerLength", offload.hdr_len);
  object.Set("gsoSize", offload.gso_size);
  object.Set("checksumStart", offload.csum_start);
  object.Set("checksumOffset", offload.csum_offset);
  return object;
}

}  // namespace

// --- waking JavaScript ---

EngineWrap::Wake::Wake(Napi::Env env, const Napi::Function& callback)
    : function_(Napi::ThreadSafeFunction::New(env, callback, "kagemusha", 0, 1)) {
  function_.Unref(env);  // an open engine alone does not keep the process alive
}

void EngineWrap::Wake::operator()() {
  if (pending_->exchange(true)) return;
  // Cleared before JavaScript looks: what is pushed while it looks asks again. Exchanged, not stored: see
  // SlowPathRing::answered().
  const auto status = function_.NonBlockingCall([pending = pending_](Napi::Env, Napi::Function callback) {
    pending->exchange(false);
    callback.Call({});
  });
  if (status != napi_ok) *pending_ = false;
}

void EngineWrap::Wake::release() { function_.Release(); }

// --- life ---

Napi::Function EngineWrap::define(Napi::Env env) {
  return DefineClass(env, "NativeEngine",
                     {
                         InstanceMethod<&EngineWrap::openTap>("openTap"),
                         InstanceMethod<&EngineWrap::openStream>("openStream"),
                         InstanceMethod<&EngineWrap::connectStream>("connectStream"),
                         InstanceMethod<&EngineWrap::openPacketPort>("openPacketPort"),
                         InstanceMethod<&EngineWrap::openMemoryPort>("openMemoryPort"),
                         InstanceMethod<&EngineWrap::openTun>("openTun"),
                         InstanceMethod<&EngineWrap::openPacketUplink>("openPacketUplink"),
                         InstanceMethod<&EngineWrap::openMemoryUplink>("openMemoryUplink"),
                         InstanceMethod<&EngineWrap::closePort>("closePort"),
                         InstanceMethod<&EngineWrap::setPeerMac>("setPeerMac"),
                         InstanceMethod<&EngineWrap::watchFirstFrame>("watchFirstFrame"),
                         InstanceMethod<&EngineWrap::watchFirstDelivery>("watchFirstDelivery"),
                         InstanceMethod<&EngineWrap::clearTunnelCounters>("clearTunnelCounters"),
                         InstanceMethod<&EngineWrap::publish>("publish"),
                         InstanceMethod<&EngineWrap::kick>("kick"),
                         InstanceMethod<&EngineWrap::flowLabel>("flowLabel"),
                         InstanceMethod<&EngineWrap::close>("close"),
                         InstanceMethod<&EngineWrap::region>("region"),
                         InstanceMethod<&EngineWrap::memory>("memory"),
                         InstanceMethod<&EngineWrap::layout>("layout"),
                     });
}

EngineWrap::EngineWrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<EngineWrap>(info) {
  guarded(info.Env(), [&] {
    const auto object = info[0].As<Napi::Object>();
    EngineOptions options;
    options.workers = number(object.Get("workers"), "workers");
    options.maxPorts = number(object.Get("maxPorts"), "maxPorts");
    options.maxTunnels = number(object.Get("maxTunnels"), "maxTunnels");
    if (const Napi::Value most = object.Get("maxSignalers"); !most.IsUndefined())
      options.maxSignalers = number(most, "maxSignalers");
    options.busyPoll = object.Get("busyPoll").ToBoolean();
    wake_ = std::make_unique<Wake>(info.Env(), info[1].As<Napi::Function>());
    try {
      engine_ = std::make_unique<Engine>(options, [wake = wake_.get()] { (*wake)(); });
    } catch (...) {
      wake_->release();
      throw;
    }
    // Hooks run in reverse order: the workers stop before Node takes down the function that they call.
    napi_add_env_cleanup_hook(info.Env(), atExit, this);
  });
}

EngineWrap::~EngineWrap() {
  napi_remove_env_cleanup_hook(Env(), atExit, this);
  stop();
}

void EngineWrap::atExit(void* self) { static_cast<EngineWrap*>(self)->stop(); }

void EngineWrap::stop() {
  if (!engine_) return;
  engine_.reset();
  wake_->release();
}

Engine& EngineWrap::engine() {
  if (!engine_) throw EngineError("ENGINE_CLOSED", "the packet engine is closed");
  return *engine_;
}

void EngineWrap::close(const Napi::CallbackInfo&) { stop(); }

// --- methods ---

Napi::Value EngineWrap::openTap(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    return Napi::Number::New(info.Env(), engine().openTap(text(info[0], "device"), mac(info[1])));
  });
}

Napi::Value EngineWrap::openStream(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto port = engine().openStream(text(info[0], "path"), mac(info[1]), number(info[2], "mtu"));
    return Napi::Number::New(info.Env(), port);
  });
}

void EngineWrap::connectStream(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { engine().connectStream(number(info[0], "port")); });
}

Napi::Value EngineWrap::openPacketPort(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    PacketSocketOptions options;
    options.signaling = info[1].ToBoolean();
    options.promiscuous = info[2].ToBoolean();
    if (!info[3].IsUndefined()) options.mac = mac(info[3]);
    const auto port = engine().openPacketPort(text(info[0], "interface"), options);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("port", port.id);
    result.Set("mac", macText(info.Env(), port.mac));
    return result;
  });
}

Napi::Value EngineWrap::openMemoryPort(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    auto port = engine().openMemoryPort(mac(info[0]));
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("port", port.id);
    result.Set("device", MemoryDeviceWrap::create(info.Env(), std::move(port.device)));
    return result;
  });
}

void EngineWrap::openTun(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const bool napi = info[1].ToBoolean();
    engine().openTun(text(info[0], "device"), napi ? TunMode::kTunNapi : TunMode::kTun);
  });
}

Napi::Value EngineWrap::openPacketUplink(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto object = info[1].As<Napi::Object>();
    PacketUplinkOptions options;
    if (const Napi::Value own = object.Get("mac"); !own.IsUndefined()) options.mac = mac(own);
    if (const Napi::Value frames = object.Get("frames"); !frames.IsUndefined())
      options.rxFrames = number(frames, "frames");
    if (const Napi::Value queue = object.Get("queueBytes"); !queue.IsUndefined())
      options.rxQueue = number(queue, "queueBytes");
    options.bypassQdisc = object.Get("bypassQdisc").ToBoolean();
    const PacketUplink& opened = engine().openPacketUplink(text(info[0], "interface"), options);
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("mac", macText(info.Env(), opened.mac()));
    if (!opened.withoutXdp().empty()) result.Set("withoutXdp", opened.withoutXdp());
    return result;
  });
}

Napi::Value EngineWrap::openMemoryUplink(const Napi::CallbackInfo& info) {
  return guarded(info.Env(),
                 [&] { return MemoryDeviceWrap::create(info.Env(), engine().openMemoryUplink()); });
}

void EngineWrap::closePort(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { engine().closePort(number(info[0], "port")); });
}

void EngineWrap::setPeerMac(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { engine().setPeerMac(number(info[0], "port"), mac(info[1])); });
}

void EngineWrap::clearTunnelCounters(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { engine().clearTunnelCounters(number(info[0], "slot")); });
}

void EngineWrap::watchFirstFrame(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { engine().watchFirstFrame(number(info[0], "port")); });
}

void EngineWrap::watchFirstDelivery(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { engine().watchFirstDelivery(number(info[0], "port")); });
}

void EngineWrap::publish(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] {
    const auto object = info[0].As<Napi::Object>();
    const auto tunnels = object.Get("tunnels").As<Napi::Array>();
    const auto locals = object.Get("locals").As<Napi::Array>();
    TableSpec table;
    for (std::uint32_t index = 0; index < tunnels.Length(); ++index)
      table.tunnels.push_back(tunnelSpec(tunnels.Get(index).As<Napi::Object>()));
    for (std::uint32_t index = 0; index < locals.Length(); ++index) {
      const auto local = locals.Get(index).As<Napi::Object>();
      table.locals.push_back({address(local.Get("address")), side(local.Get("side"))});
    }
    if (const Napi::Value hops = object.Get("nextHops"); !hops.IsUndefined()) {
      const auto list = hops.As<Napi::Array>();
      for (std::uint32_t index = 0; index < list.Length(); ++index) {
        const auto hop = list.Get(index).As<Napi::Object>();
        table.nextHops.push_back({address(hop.Get("address")), mac(hop.Get("mac"))});
      }
    }
    if (const Napi::Value router = object.Get("router"); !router.IsUndefined())
      table.defaultNextHop = mac(router);
    if (const Napi::Value signalers = object.Get("signalers"); !signalers.IsUndefined()) {
      const auto list = signalers.As<Napi::Array>();
      for (std::uint32_t index = 0; index < list.Length(); ++index)
        table.signalers.push_back(signalerSpec(list.Get(index).As<Napi::Object>()));
    }
    engine().publish(std::move(table));
  });
}

void EngineWrap::kick(const Napi::CallbackInfo& info) {
  guarded(info.Env(), [&] { engine().kick(); });
}

Napi::Value EngineWrap::flowLabel(const Napi::CallbackInfo& info) {
  const auto inner = info[0].As<Napi::Uint8Array>();
  return Napi::Number::New(info.Env(), kagemusha::flowLabel(ConstBytes(inner.Data(), inner.ByteLength())));
}

// One ArrayBuffer over the whole region; it keeps the mapping alive as long as JavaScript can see it, longer
// than the engine.
Napi::Value EngineWrap::region(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    auto keep = std::make_unique<std::shared_ptr<Region>>(engine().region());
    const Bytes bytes = (*keep)->bytes();
    const auto release = [](Napi::Env, void*, std::shared_ptr<Region>* kept) {
      std::unique_ptr<std::shared_ptr<Region>>(kept).reset();
    };
    const auto buffer = Napi::ArrayBuffer::New(info.Env(), bytes.data(), bytes.size(), release, keep.get());
    keep.release();  // the buffer has it
    return buffer;
  });
}

Napi::Value EngineWrap::memory(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const Engine::Memory memory = engine().memory();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("mapped", static_cast<double>(memory.mapped));
    result.Set("uplinkRing", static_cast<double>(memory.uplinkRing));
    return result;
  });
}

Napi::Value EngineWrap::layout(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const RegionLayout& layout = engine().region()->layout();
    Napi::Object result = Napi::Object::New(info.Env());
    result.Set("maxPorts", layout.maxPorts);
    result.Set("maxTunnels", layout.maxTunnels);
    result.Set("maxSignalers", layout.maxSignalers);
    result.Set("engineCounters", layout.engineCounters);
    result.Set("portCounters", layout.portCounters);
    result.Set("portStride", layout.portStride);
    result.Set("tunnelCounters", layout.tunnelCounters);
    result.Set("tunnelStride", layout.tunnelStride);
    result.Set("sequences", layout.sequences);
    result.Set("receiveRing", layout.receiveRing);
    result.Set("transmitRing", layout.transmitRing);
    return result;
  });
}

// --- the in-memory double ---

Napi::Function MemoryDeviceWrap::define(Napi::Env env) {
  return DefineClass(
      env, "NativeMemoryDevice",
      {InstanceMethod<&MemoryDeviceWrap::inject>("inject"), InstanceMethod<&MemoryDeviceWrap::take>("take")});
}

Napi::Value MemoryDeviceWrap::create(Napi::Env env, std::shared_ptr<MemoryDevice> device) {
  const Napi::Object object = env.GetInstanceData<AddonData>()->memoryDevice.New({});
  Unwrap(object)->device_ = std::move(device);
  return object;
}

Napi::Value MemoryDeviceWrap::inject(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&] {
    const auto bytes = info[0].As<Napi::Uint8Array>();
    return Napi::Boolean::New(
        info.Env(), device_->inject(ConstBytes(bytes.Data(), bytes.ByteLength()), offload(info[1])));
  });
}

Napi::Value MemoryDeviceWrap::take(const Napi::CallbackInfo& info) {
  return guarded(info.Env(), [&]() -> Napi::Value {
    const auto item = device_->take();
    if (!item) return info.Env().Undefined();
    Napi::Object result = Napi::Object::New(info.Env());
    auto bytes = Napi::Uint8Array::New(info.Env(), item->bytes.size());
    if (!item->bytes.empty()) std::memcpy(bytes.Data(), item->bytes.data(), item->bytes.size());
    result.Set("bytes", bytes);
    result.Set("offload", offloadObject(info.Env(), item->offload));
    return result;
  });
}

}  // namespace kagemusha
