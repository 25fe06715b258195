import type { Address, Icmpv6Message, Ipv6Packet, Mac, NdpOption } from '../../src/wire/index.js';
import {
  ETHERTYPE_IPV6,
  emitEthernet,
  emitIcmpv6,
  emitPacket,
  isMulticast,
  multicastMac,
  PROTOCOL,
  parseEthernet,
  parseIcmpv6,
  parsePacket,
  pseudoHeader,
} from '../../src/wire/index.js';
import { GUEST_LINK_LOCAL, GUEST_MAC, ROUTER_MAC } from './testbed-addresses.js';

export interface Sent {
  readonly message: Icmpv6Message;
  readonly destination: Address;
  readonly source?: Address;
  readonly sourceMac?: Mac;
  readonly destinationMac?: Mac;
  readonly packet?: Partial<Ipv6Packet>;
}

/** An ICMPv6 message in a frame, by default from the guest. */
export function icmpv6Frame(sent: Sent): Uint8Array {
  const { source = GUEST_LINK_LOCAL, destination, message } = sent;
  const mac = isMulticast(destination) ? multicastMac(destination) : ROUTER_MAC;
  return emitEthernet({
    destination: sent.destinationMac ?? mac,
    source: sent.sourceMac ?? GUEST_MAC,
    etherType: ETHERTYPE_IPV6,
    payload: emitPacket({
      trafficClass: 0,
      flowLabel: 0,
      hopLimit: 255,
      source,
      destination,
      extensions: [],
      protocol: PROTOCOL.icmpv6,
      payload: emitIcmpv6(message, { source, destination }),
      ...sent.packet,
    }),
  });
}

export function solicitation(target: Address, options: readonly NdpOption[] = []): Icmpv6Message {
  return { kind: 'neighbor-solicitation', target, options };
}

export const SLLA: NdpOption = { kind: 'source-link-layer-address', mac: GUEST_MAC };

/** A frame of ours taken apart; a wrong checksum or length throws. */
export function read(bytes: Uint8Array) {
  const { source: sourceMac, destination: destinationMac, payload } = parseEthernet(bytes);
  const packet = parsePacket(payload);
  const message = parseIcmpv6(packet.payload, pseudoHeader(packet));
  const { source, destination, hopLimit } = packet;
  return { sourceMac, destinationMac, source, destination, hopLimit, message, bytes };
}
