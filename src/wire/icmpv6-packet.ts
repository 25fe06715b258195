import type { Address } from './address.js';
import type { Icmpv6Message } from './icmpv6.js';
import { emitIcmpv6 } from './icmpv6.js';
import { emitPacket } from './packet.js';
import { PROTOCOL } from './protocol.js';

/** IANA's default time to live, what hosts begin with unless told otherwise (RFC 4861 6.3.2). */
const DEFAULT_HOP_LIMIT = 64;

/** The addresses of a packet without a routing header or a Home Address option. */
export interface Icmpv6Ends {
  readonly source: Address;
  readonly destination: Address;
  /** 64 unless told. */
  readonly hopLimit?: number;
}

/**
 * An ICMPv6 message as a packet of its own, checksum done, without extension headers.
 * @throws WireError `WIRE_RANGE`
 */
export function emitIcmpv6Packet(
  message: Icmpv6Message,
  { source, destination, hopLimit = DEFAULT_HOP_LIMIT }: Icmpv6Ends,
): Uint8Array {
  return emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit,
    source,
    destination,
    extensions: [],
    protocol: PROTOCOL.icmpv6,
    payload: emitIcmpv6(message, { source, destination }),
  });
}
