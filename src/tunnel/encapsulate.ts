import type { Address } from '../wire/index.js';
import { alignOptions, emitPacket, PROTOCOL } from '../wire/index.js';

/** The tunnel headers that an entry point puts before an inner packet (RFC 2473 5). */
export interface Encapsulation {
  readonly local: Address;
  readonly remote: Address;
  readonly hopLimit: number;
  /** 20 bits: the engine's for this inner packet, or no error about the tunnel packet will be believed. */
  readonly flowLabel: number;
  /** 6 bits; absent: 0, that of everything we make ourselves. */
  readonly dscp?: number;
  /** RFC 2473 4.1.1: 8 octets of destination options; absent: none. */
  readonly encapsulationLimit?: number;
}

/**
 * A tunnel packet: what JavaScript itself sends through a tunnel (probes, answers, errors). Payload is the engine's.
 * @param inner an IPv6 packet
 * @returns its tunnel packet, 40 or 48 octets longer
 */
export function encapsulate(inner: Uint8Array, outer: Encapsulation): Uint8Array {
  const { local, remote, hopLimit, flowLabel, dscp = 0, encapsulationLimit: limit } = outer;
  const kind = 'tunnel-encapsulation-limit';
  return emitPacket({
    trafficClass: dscp << 2,
    flowLabel,
    hopLimit,
    source: local,
    destination: remote,
    extensions:
      limit === undefined
        ? []
        : [{ kind: 'destination', options: alignOptions([{ kind, limit }]) }],
    protocol: PROTOCOL.ipv6,
    payload: inner,
  });
}
