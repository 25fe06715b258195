import type {
  Address,
  ExtensionHeader,
  Ipv6Packet,
  MobilityMessage,
  PseudoHeader,
} from '../wire/index.js';
import {
  alignOptions,
  attempt,
  emitMobility,
  emitPacket,
  homeAddressOption,
  PROTOCOL,
  parseMobility,
  pseudoHeader,
  type2HomeAddress,
  WireError,
} from '../wire/index.js';

/** How a message is protected between a mobile node and its home agent. */
export type ProtectionKind = 'none' | 'esp' | 'auth-option';

/** A Mobility Header message with the addresses that it travels under (RFC 6275 6.1, 6.3, 6.4). */
export interface Signal {
  /** of the IPv6 header */
  readonly source: Address;
  /** of the IPv6 header */
  readonly destination: Address;
  /** the Home Address destination option: the real sender of what comes from the mobile node */
  readonly homeAddressOption?: Address;
  /** the type 2 routing header's home address, still to be visited: the real receiver */
  readonly routingHeader?: Address;
  readonly message: MobilityMessage;
  /** Of what was received: how it was protected. Nothing can be believed that was not. */
  readonly protection?: ProtectionKind;
}

const HOP_LIMIT = 64;

/**
 * The place where protection wraps the Mobility Header: what stands behind the last extension header. Without
 * it that is the header itself.
 */
function wrap(
  message: MobilityMessage,
  pseudo: PseudoHeader,
): Pick<Ipv6Packet, 'protocol' | 'payload'> {
  return { protocol: PROTOCOL.mobility, payload: emitMobility(message, pseudo) };
}

/** The reverse of `wrap`. */
function unwrap(packet: Ipv6Packet): MobilityMessage | WireError {
  if (packet.protocol !== PROTOCOL.mobility) {
    return new WireError(
      'WIRE_MALFORMED',
      `protocol ${packet.protocol} is not a Mobility Header`,
      6,
    );
  }
  return attempt(() => parseMobility(packet.payload, pseudoHeader(packet)));
}

/**
 * The IPv6 packet of a signal, headers in the order of RFC 6275 6.3 and 6.4: routing header, Home Address option,
 * Mobility Header. Its checksum covers the home address (RFC 6275 6.1.1).
 * @throws WireError `WIRE_RANGE` when the message holds a value that its field cannot carry
 */
export function emitSignal(signal: Signal): Uint8Array {
  const extensions: ExtensionHeader[] = [];
  if (signal.routingHeader !== undefined) {
    extensions.push({
      kind: 'routing-type-2',
      segmentsLeft: 1,
      homeAddress: signal.routingHeader,
    });
  }
  if (signal.homeAddressOption !== undefined) {
    const options = alignOptions([{ kind: 'home-address', address: signal.homeAddressOption }]);
    extensions.push({ kind: 'destination', options });
  }
  const pseudo = {
    source: signal.homeAddressOption ?? signal.source,
    destination: signal.routingHeader ?? signal.destination,
  };
  return emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: HOP_LIMIT,
    source: signal.source,
    destination: signal.destination,
    extensions,
    ...wrap(signal.message, pseudo),
  });
}

/** Takes a packet apart; an error instead of a signal when it holds no sound Mobility Header. */
export function readSignal(packet: Ipv6Packet): Signal | WireError {
  const message = unwrap(packet);
  if (message instanceof WireError) return message;
  const home = homeAddressOption(packet);
  const route = type2HomeAddress(packet);
  return {
    source: packet.source,
    destination: packet.destination,
    ...(home === undefined ? {} : { homeAddressOption: home }),
    ...(route === undefined ? {} : { routingHeader: route }),
    message,
  };
}
