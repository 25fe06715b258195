export type { Encapsulation } from './encapsulate.js';
export { encapsulate } from './encapsulate.js';
export { relayedError } from './error-relay.js';
export type { NoError } from './errors.js';
export { addressUnreachable, packetTooBig, parameterProblem, timeExceeded } from './errors.js';
export { PathMtu } from './path-mtu.js';
export type {
  PathMtuConfig,
  PathMtuEvent,
  PathMtuOutput,
  PathMtuReason,
  PathMtuState,
} from './path-mtu-events.js';
export type { Probe } from './probe.js';
export { PROBE_MAGIC, probeReply, probeRequest, readProbe } from './probe.js';
export type { QuotedTunnelPacket } from './quoted-packet.js';
export { quotedTunnelPacket } from './quoted-packet.js';
