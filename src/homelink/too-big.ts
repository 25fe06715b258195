import type { Address, Icmpv6Message, Ipv6Packet } from '../wire/index.js';
import {
  attempt,
  IPV6_HEADER_LENGTH,
  isMulticast,
  isUnspecified,
  PROTOCOL,
  parsePacket,
  WireError,
} from '../wire/index.js';

/** RFC 8200 5: every link carries it, and no error message is larger (RFC 4443 2.4c). */
const MINIMUM_MTU = 1280;
const ICMPV6_ERROR_HEADER = 8;
const QUOTE = MINIMUM_MTU - IPV6_HEADER_LENGTH - ICMPV6_ERROR_HEADER;

/** A packet whose end was cut off, with a payload length that fits what is left: the headers can be read. */
function withFittingLength(bytes: Uint8Array): Uint8Array {
  if (bytes.length < IPV6_HEADER_LENGTH) return bytes;
  const present = bytes.length - IPV6_HEADER_LENGTH;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (view.getUint16(4) <= present) return bytes;
  const fitting = bytes.slice();
  new DataView(fitting.buffer).setUint16(4, present);
  return fitting;
}

/** RFC 4443 2.4(e): no error about an ICMPv6 error or a redirect; in a later fragment nobody can tell. */
function mayBeError(packet: Ipv6Packet): boolean {
  const fragment = packet.extensions.find((header) => header.kind === 'fragment');
  if (fragment !== undefined && fragment.offset > 0) return packet.protocol === PROTOCOL.icmpv6;
  const type = packet.payload[0] ?? 0;
  return packet.protocol === PROTOCOL.icmpv6 && (type < 128 || type === 137);
}

/**
 * The Packet Too Big for a packet that does not fit (RFC 4443 3.2), or the reason why none is due.
 * @param bytes the IPv6 packet, its end may be cut off
 * @param mtu octets; less than 1280 is told as 1280 (RFC 8201 4)
 */
export function packetTooBig(
  bytes: Uint8Array,
  mtu: number,
): { destination: Address; message: Icmpv6Message } | string {
  const packet = attempt(() => parsePacket(withFittingLength(bytes)));
  if (packet instanceof WireError) return 'too_big_malformed';
  if (isMulticast(packet.source) || isUnspecified(packet.source)) return 'too_big_source';
  if (isMulticast(packet.destination)) return 'too_big_multicast';
  if (mayBeError(packet)) return 'too_big_icmpv6_error';
  return {
    destination: packet.source,
    message: {
      kind: 'packet-too-big',
      mtu: Math.max(MINIMUM_MTU, mtu),
      quoted: bytes.slice(0, QUOTE),
    },
  };
}
