import {
  type Address,
  attempt,
  ETHERTYPE_IPV6,
  type EthernetFrame,
  type Ipv6Packet,
  PROTOCOL,
  parseEthernet,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
  readAddress,
  WireError,
} from '../wire/index.js';

/** RARP, with which a hypervisor announces a VM that has arrived (RFC 903). */
const ETHERTYPE_RARP = 0x8035;
/** RFC 8200 3: length of the fixed header, offset of its source address. */
const IPV6_HEADER = 40;
const SOURCE = 8;

/**
 * Whether a frame shows that the guest itself is behind the port: a packet from one of its home addresses, neighbour
 * discovery about one of them (the guest's duplicate address detection, its announcement), or its hypervisor's RARP. What
 * a bridge between the two says for itself (IGMP, MLD, spanning tree) shows nothing. The frame may be cut short.
 */
export function isSignOfGuest(bytes: Uint8Array, homeAddresses: readonly Address[]): boolean {
  const frame = attempt((): EthernetFrame => parseEthernet(bytes));
  if (frame instanceof WireError) return false;
  if (frame.etherType === ETHERTYPE_RARP) return true;
  if (frame.etherType !== ETHERTYPE_IPV6) return false;
  if (frame.payload.length < IPV6_HEADER) return false;
  if (homeAddresses.includes(readAddress(frame.payload, SOURCE))) return true;
  const packet = attempt((): Ipv6Packet => parsePacket(frame.payload));
  if (packet instanceof WireError) return false;
  if (packet.protocol !== PROTOCOL.icmpv6) return false;
  const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
  if (message instanceof WireError) return false;
  const tells =
    message.kind === 'neighbor-advertisement' || message.kind === 'neighbor-solicitation';
  return tells && homeAddresses.includes(message.target);
}
