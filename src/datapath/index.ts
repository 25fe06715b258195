export type { Traffic, TunnelCounters } from './counters.js';
export {
  Engine,
  type EngineOptions,
  MemoryPort,
  MemoryUplink,
  type PacketPortOptions,
  type PacketUplinkOptions,
  type UplinkId,
} from './engine.js';
export {
  adoptSpareSockets,
  type EngineMemory,
  type LocalSpec,
  loadNative,
  type NextHopSpec,
  notifySocket,
  type Offload,
  openSpareSockets,
  type PacketUplinkMemory,
  type PortId,
  type RouteSpec,
  replaceProcess,
  type Side,
  type SignalerSpec,
  shortenSlice,
  type Table,
  type TunnelSpec,
} from './native.js';
export type { SlowPathKind, SlowPathPacket } from './slow-path.js';
