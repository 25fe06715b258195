import { randomBytes } from 'node:crypto';
import { OutboundAssociation } from '../../src/crypto/index.js';
import { espProtection, SecurityPolicies, type Signal } from '../../src/signaling/index.js';
import {
  type Address,
  alignMobilityOptions,
  alignOptions,
  type ExtensionHeader,
  emitIcmpv6,
  emitMobility,
  emitPacket,
  type Icmpv6Message,
  type MobilityMessage,
  PROTOCOL,
} from '../../src/wire/index.js';
import { counterFrom } from './esp-keys.js';
import { ALGORITHMS, FLEET, type FleetGuest } from './fleet.js';

// Packets of one who has seen everything on the wire, and of one who has the keys: what is wrong is only what the caller
// makes wrong.

/** RFC 4303 2.2: of a packet with one 24 octet header before ESP, as all signaling here has. */
export const ESP_AT = 64;

/** The ESP sequence number of a packet from the wire. */
export function espSequence(packet: Uint8Array): number {
  return new DataView(packet.buffer, packet.byteOffset).getUint32(ESP_AT + 4);
}

export function flipped(packet: Uint8Array, octet: number, bit: number): Uint8Array {
  const forged = Uint8Array.from(packet);
  forged[octet] = (forged[octet] ?? 0) ^ (1 << bit);
  return forged;
}

/** Without its last octets, and its payload length says so. */
export function truncated(packet: Uint8Array, octets: number): Uint8Array {
  const forged = packet.slice(0, packet.length - octets);
  new DataView(forged.buffer).setUint16(4, forged.length - 40);
  return forged;
}

export function update(
  guest: FleetGuest,
  sequence: number,
  lifetime = 400,
  careOfAddress: Address = guest.careOfAddress,
): Signal {
  return {
    source: careOfAddress,
    destination: FLEET.homeAgent,
    homeAddressOption: guest.homeAddress,
    message: {
      kind: 'binding-update',
      sequence,
      acknowledge: true,
      homeRegistration: true,
      linkLocalCompatible: true,
      keyManagement: false,
      reserved: 0,
      lifetime,
      options: alignMobilityOptions([
        { kind: 'alternate-care-of-address', address: careOfAddress },
      ]),
    },
  };
}

export function acknowledgement(guest: FleetGuest, sequence: number, status = 0): Signal {
  return {
    ...toGuest(guest),
    message: {
      kind: 'binding-acknowledgement',
      status,
      keyManagement: false,
      reserved: 0,
      sequence,
      lifetime: status === 0 ? 4000 : 0,
      options: alignMobilityOptions([], 'binding-acknowledgement'),
    },
  };
}

/** The addresses of what the Home Agent sends to a guest. */
export function toGuest(guest: FleetGuest) {
  const { careOfAddress, homeAddress } = guest;
  return { source: FLEET.homeAgent, destination: careOfAddress, routingHeader: homeAddress };
}

/** The addresses of what a guest's mobile node sends to the Home Agent. */
export function toHomeAgent({ careOfAddress, homeAddress }: FleetGuest) {
  return {
    source: careOfAddress,
    destination: FLEET.homeAgent,
    homeAddressOption: homeAddress,
  };
}

type Side = 'mobile-node' | 'home-agent';

/** Packets with a guest's keys, numbered from `next` on. @param spi another than its own */
export function sealer(guest: FleetGuest, side: Side, next: number, spi?: number) {
  const own = side === 'mobile-node' ? guest.spiToHomeAgent : guest.spiToMobileNode;
  const spiOut = spi ?? own;
  const counter = counterFrom(next);
  const { keys } = guest;
  return {
    /** the packet of a signal, all its headers right */
    signal: (signal: Signal, homeAddress: Address = guest.homeAddress): Uint8Array => {
      const protection = espProtection({
        algorithms: ALGORITHMS,
        keys,
        spiOut,
        spiIn: 0xffff,
        counter,
        replayWindow: 0,
      });
      const packet = new SecurityPolicies(side, [{ homeAddress, protection }], Date.now).emit(
        signal,
      );
      if (typeof packet === 'string') throw new Error(packet);
      return packet;
    },
    /** anything inside, anything outside */
    payload: (
      nextHeader: number,
      inside: Uint8Array,
      outside: Pick<Signal, 'source' | 'destination'>,
      extensions: readonly ExtensionHeader[],
    ): Uint8Array => {
      const association = new OutboundAssociation({
        spi: spiOut,
        algorithms: ALGORITHMS,
        keys,
        counter,
        randomBytes,
      });
      const esp = association.seal(nextHeader, inside);
      if (typeof esp === 'string') throw new Error(esp);
      return plain(outside.source, outside.destination, extensions, PROTOCOL.esp, esp);
    },
  };
}

export function plain(
  source: Address,
  destination: Address,
  extensions: readonly ExtensionHeader[],
  protocol: number,
  payload: Uint8Array,
): Uint8Array {
  const fixed = { trafficClass: 0, flowLabel: 0, hopLimit: 64 };
  return emitPacket({ ...fixed, source, destination, extensions, protocol, payload });
}

/** Destination options with a Home Address option (RFC 6275 6.3). */
export function claims(address: Address): ExtensionHeader {
  return { kind: 'destination', options: alignOptions([{ kind: 'home-address', address }]) };
}

/** RFC 6275 6.4 */
export function routed(homeAddress: Address): ExtensionHeader {
  return { kind: 'routing-type-2', segmentsLeft: 1, homeAddress };
}

/** A Mobility Header whose checksum is right, for `source` and `destination` in the end. */
export function mobility(
  message: MobilityMessage,
  source: Address,
  destination: Address,
): Uint8Array {
  return emitMobility(message, { source, destination });
}

/** MH type 99, long enough that a Binding Error may answer it. */
export const UNKNOWN: MobilityMessage = { kind: 'unknown', type: 99, data: new Uint8Array(50) };
/** The same with something behind the Mobility Header (RFC 6275 6.1.1: payload protocol 59, or nothing). */
export const FOLLOWED: MobilityMessage = { ...UNKNOWN, type: 5, payloadProtocol: PROTOCOL.udp };

export function bindingError(homeAddress: Address, status: number): MobilityMessage {
  const options = alignMobilityOptions([], 'binding-error');
  return { kind: 'binding-error', status, homeAddress, options };
}

export function refreshRequest(): MobilityMessage {
  const options = alignMobilityOptions([], 'binding-refresh-request');
  return { kind: 'binding-refresh-request', options };
}

export function icmpv6(
  source: Address,
  destination: Address,
  message: Icmpv6Message,
  extensions: readonly ExtensionHeader[] = [],
): Uint8Array {
  const home = extensions.flatMap((header) =>
    header.kind === 'routing-type-2' ? [header.homeAddress] : [],
  )[0];
  const claimed = extensions.flatMap((header) =>
    header.kind === 'destination'
      ? header.options.flatMap((option) => (option.kind === 'home-address' ? [option.address] : []))
      : [],
  )[0];
  const payload = emitIcmpv6(message, {
    source: claimed ?? source,
    destination: home ?? destination,
  });
  return plain(source, destination, extensions, PROTOCOL.icmpv6, payload);
}
