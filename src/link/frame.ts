import type {
  Address,
  EthernetFrame,
  Icmpv6Message,
  Ipv6Packet,
  Mac,
  WireErrorCode,
} from '../wire/index.js';
import {
  attempt,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitIcmpv6Packet,
  isMulticast,
  isUnicastMac,
  multicastMac,
  PROTOCOL,
  parseEthernet,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
  WireError,
} from '../wire/index.js';

/** RFC 4861 asks for it, and nodes off the link cannot forge it. */
export const LINK_HOP_LIMIT = 255;

const REASONS: Readonly<Record<WireErrorCode, string>> = {
  WIRE_CHECKSUM: 'checksum',
  WIRE_MALFORMED: 'malformed',
  WIRE_PAYLOAD_PROTOCOL: 'malformed',
  WIRE_RANGE: 'malformed',
  WIRE_TRUNCATED: 'malformed',
};

/** A frame that holds a sound IPv6 packet. */
export interface ReceivedFrame {
  readonly ethernet: EthernetFrame;
  readonly packet: Ipv6Packet;
}

/** Takes a frame apart, or gives the reason to drop it. */
export function receiveFrame(bytes: Uint8Array): ReceivedFrame | string {
  const ethernet = attempt(() => parseEthernet(bytes));
  if (ethernet instanceof WireError) return REASONS[ethernet.code];
  if (ethernet.etherType !== ETHERTYPE_IPV6) return 'not_ipv6';
  if (!isUnicastMac(ethernet.source)) return 'source_mac';
  const packet = attempt(() => parsePacket(ethernet.payload));
  if (packet instanceof WireError) return REASONS[packet.code];
  return { ethernet, packet };
}

/** The ICMPv6 message of a packet, undefined when it holds something else, or the reason to drop it. */
export function receiveIcmpv6(packet: Ipv6Packet): Icmpv6Message | undefined | string {
  if (packet.protocol !== PROTOCOL.icmpv6) return undefined;
  // Fragments are not put together here; Neighbor Discovery in them is to be ignored anyway (RFC 6980 5).
  if (packet.extensions.some(({ kind }) => kind === 'fragment')) return 'fragment';
  const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
  return message instanceof WireError ? REASONS[message.code] : message;
}

/** An ICMPv6 message to be sent on a link. */
export interface LinkMessage {
  readonly sourceMac: Mac;
  /** of a unicast destination; that of a group follows from its address (RFC 2464 7) */
  readonly destinationMac: Mac;
  readonly source: Address;
  readonly destination: Address;
  readonly message: Icmpv6Message;
}

/** The Ethernet frame of an ICMPv6 message, with hop limit 255 and its checksum. */
export function icmpv6Frame(from: LinkMessage): Uint8Array {
  const { source, destination, message } = from;
  return emitEthernet({
    destination: isMulticast(destination) ? multicastMac(destination) : from.destinationMac,
    source: from.sourceMac,
    etherType: ETHERTYPE_IPV6,
    payload: emitIcmpv6Packet(message, { source, destination, hopLimit: LINK_HOP_LIMIT }),
  });
}
