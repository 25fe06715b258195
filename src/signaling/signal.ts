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
import type { ProtectionKind } from './protection-kind.js';

/**
 * What the mobility message authentication option of a Binding Update or Acknowledgement says (RFC 4285 5, 6):
 * - `ok`: made by the key's owner, and new
 * - `replayed`: made by the key's owner, but its timestamp is old, or far from our clock (answered with status 144)
 * - `missing`: made by the key's owner, but it has no timestamp (145)
 * - `failed`: not made by the key's owner (146)
 */
export type AuthenticationResult = 'ok' | 'replayed' | 'missing' | 'failed';

/** The addresses that a message travels under. */
export interface Envelope {
  /** of the IPv6 header */
  readonly source: Address;
  /** of the IPv6 header */
  readonly destination: Address;
  /** the Home Address destination option: the real sender of what comes from the mobile node */
  readonly homeAddressOption?: Address;
  /** the type 2 routing header's home address, still to be visited: the real receiver */
  readonly routingHeader?: Address;
}

/** A Mobility Header message with the addresses that it travels under (RFC 6275 6.1, 6.3, 6.4). */
export interface Signal extends Envelope {
  readonly message: MobilityMessage;
  /** Of what was received: how it was protected. Nothing can be believed that was not. */
  readonly protection?: ProtectionKind;
  /** Of what was received for a home address whose policy is the authentication option. */
  readonly authentication?: AuthenticationResult;
}

const HOP_LIMIT = 64;

/** The ends that checksums cover and that policies are found by: the home address in the place of the care-of address. */
export function endsOf(envelope: Envelope): PseudoHeader {
  return {
    source: envelope.homeAddressOption ?? envelope.source,
    destination: envelope.routingHeader ?? envelope.destination,
  };
}

/**
 * The IPv6 packet around a message, headers in the order of RFC 6275 6.3 and 6.4: routing header, Home Address option,
 * then what `protocol` says. @throws WireError `WIRE_RANGE`
 */
export function emitEnvelope(
  envelope: Envelope,
  { protocol, payload }: Pick<Ipv6Packet, 'protocol' | 'payload'>,
): Uint8Array {
  const extensions: ExtensionHeader[] = [];
  if (envelope.routingHeader !== undefined) {
    const homeAddress = envelope.routingHeader;
    extensions.push({ kind: 'routing-type-2', segmentsLeft: 1, homeAddress });
  }
  if (envelope.homeAddressOption !== undefined) {
    const options = alignOptions([{ kind: 'home-address', address: envelope.homeAddressOption }]);
    extensions.push({ kind: 'destination', options });
  }
  return emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: HOP_LIMIT,
    source: envelope.source,
    destination: envelope.destination,
    extensions,
    protocol,
    payload,
  });
}

/** The addresses of a packet that has arrived. */
export function envelopeOf(packet: Ipv6Packet): Envelope {
  const home = homeAddressOption(packet);
  const route = type2HomeAddress(packet);
  return {
    source: packet.source,
    destination: packet.destination,
    ...(home === undefined ? {} : { homeAddressOption: home }),
    ...(route === undefined ? {} : { routingHeader: route }),
  };
}

/**
 * The unprotected packet of a signal. Its checksum covers the home address (RFC 6275 6.1.1).
 * @throws WireError `WIRE_RANGE` when the message holds a value that its field cannot carry
 */
export function emitSignal(signal: Signal): Uint8Array {
  const payload = emitMobility(signal.message, endsOf(signal));
  return emitEnvelope(signal, { protocol: PROTOCOL.mobility, payload });
}

/** Takes an unprotected packet apart; an error instead of a signal when it holds no sound Mobility Header. */
export function readSignal(packet: Ipv6Packet): Signal | WireError {
  if (packet.protocol !== PROTOCOL.mobility) {
    const what = `protocol ${packet.protocol} is not a Mobility Header`;
    return new WireError('WIRE_MALFORMED', what, 6);
  }
  const message = attempt(() => parseMobility(packet.payload, pseudoHeader(packet)));
  if (message instanceof WireError) return message;
  return { ...envelopeOf(packet), message };
}
