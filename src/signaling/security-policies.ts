import type { Opened } from '../crypto/index.js';
import { peekSpi } from '../crypto/index.js';
import { Drops } from '../drops.js';
import type { Address, Icmpv6Message, Ipv6Packet, MobilityMessage } from '../wire/index.js';
import {
  attempt,
  emitIcmpv6,
  emitMobility,
  PROTOCOL,
  parseIcmpv6,
  parseMobility,
  pseudoHeader,
  WireError,
} from '../wire/index.js';
import { isParameterProblem } from './icmpv6-errors.js';
import type { Protection } from './protection.js';
import { noProtection } from './protection.js';
import type { AuthOptionProtection } from './protection-auth-option.js';
import type { EspProtection } from './protection-esp.js';
import { unsound } from './protection-headers.js';
import type { ProtectionKind } from './protection-kind.js';
import type { HomeAddressPolicy, Role } from './protection-table.js';
import { ProtectionTable } from './protection-table.js';
import type { Envelope, Signal } from './signal.js';
import { emitEnvelope, endsOf, envelopeOf } from './signal.js';

export type ReceivedSignaling =
  | { readonly kind: 'mobility'; readonly signal: Signal }
  | {
      readonly kind: 'icmpv6';
      readonly source: Address;
      readonly destination: Address;
      /** the mobile node's end: where there is neither option nor routing header, the address of the IPv6 header */
      readonly homeAddress: Address;
      readonly message: Icmpv6Message;
      readonly protection: ProtectionKind;
    }
  /** Unprotected, with something behind the Mobility Header, or too short: answered by a Parameter Problem (RFC 6275 9.2). */
  | {
      readonly kind: 'not-mobility';
      readonly source: Address;
      readonly destination: Address;
      readonly homeAddress: Address;
      /** where the field at fault is in the packet's `payload` */
      readonly offset: number;
    };

/** What `emitIcmpv6` sends. */
export interface OutgoingIcmpv6 extends Envelope {
  readonly message: Icmpv6Message;
}

/** RFC 6275 6.1.1, 6.1.2, 6.1.7 - 6.1.9; 6.7, 6.8; types behind the Binding Error's are unknown to us */
const MH_TYPE = { offset: 2, refreshRequest: 0, update: 5, acknowledgement: 6, error: 7 } as const;
const ICMPV6_TYPE = { offset: 0, solicitation: 146, advertisement: 147 } as const;
const NONE = noProtection();

/**
 * The security policy database (RFC 4301 4.4.1) of a mobile node or home agent for signaling: one entry for each home address,
 * found by the home address of a packet before anything behind its IPv6 headers is read. An association belongs to one
 * home address (RFC 3776 4.1).
 */
export class SecurityPolicies {
  /** What `read` refused, by reason. */
  readonly drops = new Drops();

  readonly #role: Role;
  readonly #clock: () => number;
  readonly #table: ProtectionTable;

  /**
   * @param clock milliseconds since 1970, for timestamps
   * @throws RangeError when two home addresses share a protection
   */
  constructor(role: Role, policies: Iterable<HomeAddressPolicy>, clock: () => number) {
    this.#role = role;
    this.#clock = clock;
    this.#table = new ProtectionTable(role);
    this.update(policies);
  }

  /** Takes over other policies. A protection that stays keeps its windows and numbers. @throws RangeError */
  update(policies: Iterable<HomeAddressPolicy>): void {
    this.#table.update(policies);
  }

  /** How the signaling of a home address is protected; `none` where there is no policy. */
  kindOf(homeAddress: Address): ProtectionKind {
    return this.#table.of(homeAddress).kind;
  }

  /**
   * The packet of a signal, protected as the policy says.
   * @returns a reason when it cannot be sent: `sequence_exhausted`, or `not_encodable` for a value that its field cannot
   *   carry
   */
  emit(signal: Signal): Uint8Array | string {
    const homeAddress = this.#homeEnd(signal);
    const protection = this.#protects(signal) ? this.#table.of(homeAddress) : NONE;
    if (this.#role === 'mobile-node' && protection.kind !== 'none') {
      this.#table.expectAnswer(homeAddress, signal);
    }
    return emitted(() => {
      if (protection.kind !== 'auth-option') {
        const header = emitMobility(signal.message, endsOf(signal));
        return this.#wrap(protection, signal, PROTOCOL.mobility, header);
      }
      return emitEnvelope(signal, {
        protocol: PROTOCOL.mobility,
        payload: this.#sign(protection, signal),
      });
    });
  }

  /** The packet of an ICMPv6 message; prefix discovery is protected where the policy is ESP (RFC 6275 11.4.2). */
  emitIcmpv6(outgoing: OutgoingIcmpv6): Uint8Array | string {
    const { message } = outgoing;
    const policy = this.#table.of(this.#homeEnd(outgoing));
    const protection = isPrefixDiscovery(message) ? policy : NONE;
    return emitted(() => {
      const payload = emitIcmpv6(message, endsOf(outgoing));
      return this.#wrap(protection, outgoing, PROTOCOL.icmpv6, payload);
    });
  }

  /** What a packet holds, if its protection is what its home address's policy demands; else it is dropped and counted. */
  read(packet: Ipv6Packet): ReceivedSignaling | undefined {
    const result = this.#read(packet);
    if (typeof result !== 'string') return result;
    this.drops.count(result);
    return undefined;
  }

  #read(packet: Ipv6Packet): ReceivedSignaling | string {
    const flaw = unsound(packet, this.#role);
    if (flaw !== undefined) return flaw;
    const ends = pseudoHeader(packet);
    const homeAddress = this.#role === 'home-agent' ? ends.source : ends.destination;
    const protection = this.#table.forPacket(packet, homeAddress);
    switch (packet.protocol) {
      case PROTOCOL.esp:
        return this.#readEsp(packet, homeAddress);
      case PROTOCOL.mobility:
        return this.#readMobility(packet, homeAddress, protection);
      case PROTOCOL.icmpv6:
        if (
          protection.kind === 'esp' &&
          packet.payload[ICMPV6_TYPE.offset] === this.#prefixDiscovery()
        ) {
          return 'unprotected';
        }
        return this.#parseIcmpv6(packet, homeAddress, 'none');
      default:
        return 'unexpected_protocol';
    }
  }

  #readEsp(packet: Ipv6Packet, homeAddress: Address): ReceivedSignaling | string {
    const spi = peekSpi(packet.payload);
    const protection = this.#table.of(homeAddress);
    if (spi === undefined) return 'esp_truncated';
    if (protection.kind !== 'esp') return this.#table.hasSpi(spi) ? 'esp_spi' : 'unexpected_esp';
    if (spi !== protection.spiIn) return 'esp_spi';
    const peer = this.#role === 'home-agent' ? homeAddress : packet.source;
    let received: ReceivedSignaling | undefined;
    const opened = protection.open(peer, packet.payload, (inside) => {
      const result = this.#readInside(packet, homeAddress, inside);
      if (typeof result === 'string') return result;
      received = result;
      return undefined;
    });
    return typeof opened === 'string' ? opened : (received ?? 'esp_payload');
  }

  /** What was inside ESP, before the window moves for it: its checksum ties it to the addresses that ESP does not cover. */
  #readInside(
    packet: Ipv6Packet,
    homeAddress: Address,
    { nextHeader, payload }: Opened,
  ): ReceivedSignaling | string {
    const inner = { ...packet, protocol: nextHeader, payload };
    if (nextHeader === PROTOCOL.mobility) {
      if (!this.#isPeerMessage(payload[MH_TYPE.offset])) return 'unexpected_message';
      const message = attempt(() => parseMobility(payload, pseudoHeader(packet)));
      if (message instanceof WireError) return reasonOf(message);
      return this.#mobility(packet, message, { protection: 'esp' });
    }
    if (nextHeader === PROTOCOL.icmpv6 && payload[ICMPV6_TYPE.offset] === this.#prefixDiscovery()) {
      return this.#parseIcmpv6(inner, homeAddress, 'esp');
    }
    return 'esp_payload';
  }

  #readMobility(
    packet: Ipv6Packet,
    homeAddress: Address,
    protection: Protection,
  ): ReceivedSignaling | string {
    const type = packet.payload[MH_TYPE.offset];
    const agent = this.#role === 'home-agent';
    const expected = protection.kind !== 'none' && (agent || protection.expects(packet.source));
    if (expected && protection.kind === 'esp') {
      // RFC 6275 9.3.3: a home agent sends Binding Errors to whoever it has no binding, so no association, for.
      if (agent || type !== MH_TYPE.error) return 'unprotected';
    }
    if (expected && protection.kind === 'auth-option') {
      const signed = agent ? MH_TYPE.update : MH_TYPE.acknowledgement;
      if (type === signed) return this.#readSigned(packet, protection);
    }
    const message = parsed(packet);
    if (!(message instanceof WireError)) {
      return this.#mobility(packet, message, { protection: 'none' });
    }
    if (!isParameterProblem(message)) return reasonOf(message);
    const { source, destination } = packet;
    return { kind: 'not-mobility', source, destination, homeAddress, offset: message.offset };
  }

  #readSigned(packet: Ipv6Packet, protection: AuthOptionProtection): ReceivedSignaling | string {
    const agent = this.#role === 'home-agent';
    const ends = pseudoHeader(packet);
    const addresses = agent
      ? { careOfAddress: packet.source, homeAddress: ends.source }
      : { careOfAddress: packet.destination, homeAddress: ends.destination };
    const authentic = protection.authenticate(packet.payload, addresses);
    if (authentic === 'unprotected' || authentic === 'auth_option_spi') return authentic;
    if (!agent && authentic === 'forged') return 'auth_option';
    const message = parsed(packet);
    if (message instanceof WireError) return reasonOf(message);
    const now = this.#clock();
    if (message.kind === 'binding-update') {
      const authentication = protection.judgeUpdate(message, authentic === 'authentic', now);
      const kind = authentication === 'ok' ? 'auth-option' : 'none';
      return this.#mobility(packet, message, { protection: kind, authentication });
    }
    if (message.kind !== 'binding-acknowledgement') return 'unexpected_message';
    if (!protection.isAnswer(packet.source, message, now)) return 'auth_option_replayed';
    const authentication = 'ok';
    return this.#mobility(packet, message, { protection: 'auth-option', authentication });
  }

  #mobility(
    packet: Ipv6Packet,
    message: MobilityMessage,
    how: Pick<Signal, 'protection' | 'authentication'>,
  ): ReceivedSignaling {
    return { kind: 'mobility', signal: { ...envelopeOf(packet), message, ...how } };
  }

  #parseIcmpv6(
    packet: Ipv6Packet,
    homeAddress: Address,
    protection: ProtectionKind,
  ): ReceivedSignaling | string {
    const message = attempt(() => parseIcmpv6(packet.payload, pseudoHeader(packet)));
    if (message instanceof WireError) return reasonOf(message);
    const { source, destination } = packet;
    return { kind: 'icmpv6', source, destination, homeAddress, message, protection };
  }

  #homeEnd(envelope: Envelope): Address {
    const ends = endsOf(envelope);
    return this.#role === 'home-agent' ? ends.destination : ends.source;
  }

  /** Home registrations are protected; correspondents and Binding Errors have no association (RFC 6275 5.1). */
  #protects({ message }: Signal): boolean {
    return this.#role === 'home-agent'
      ? message.kind !== 'binding-error'
      : message.kind === 'binding-update' && message.homeRegistration;
  }

  #sign(protection: AuthOptionProtection, signal: Signal): Uint8Array {
    const { message } = signal;
    const now = this.#clock();
    if (message.kind === 'binding-update') return protection.signUpdate(signal, message, now);
    if (message.kind === 'binding-acknowledgement') {
      return protection.signAcknowledgement(signal, message, now);
    }
    return emitMobility(message, endsOf(signal));
  }

  #wrap(
    protection: Protection,
    envelope: Envelope,
    protocol: number,
    payload: Uint8Array,
  ): Uint8Array | string {
    if (protection.kind !== 'esp') return emitEnvelope(envelope, { protocol, payload });
    return sealed(protection, envelope, protocol, payload);
  }

  #prefixDiscovery(): number {
    const { solicitation, advertisement } = ICMPV6_TYPE;
    return this.#role === 'home-agent' ? solicitation : advertisement;
  }

  /**
   * What the other end of an association sends by it. With one key and one SPI for both directions our own messages could come back,
   * so nothing that we send is among them: what a home agent does not know it never sent either, and answers (RFC 6275 9.2). One
   * that is too short to tell is malformed.
   */
  #isPeerMessage(type: number | undefined): boolean {
    if (type === undefined) return true;
    return this.#role === 'home-agent'
      ? type === MH_TYPE.update || type > MH_TYPE.error
      : type === MH_TYPE.refreshRequest || type === MH_TYPE.acknowledgement;
  }
}

function sealed(
  protection: EspProtection,
  envelope: Envelope,
  protocol: number,
  payload: Uint8Array,
): Uint8Array | string {
  const esp = protection.seal(protocol, payload);
  return typeof esp === 'string'
    ? esp
    : emitEnvelope(envelope, { protocol: PROTOCOL.esp, payload: esp });
}

function emitted(emit: () => Uint8Array | string): Uint8Array | string {
  const result = attempt(emit);
  return result instanceof WireError ? 'not_encodable' : result;
}

function parsed(packet: Ipv6Packet): MobilityMessage | WireError {
  return attempt(() => parseMobility(packet.payload, pseudoHeader(packet)));
}

function reasonOf(error: WireError): string {
  return error.code === 'WIRE_CHECKSUM' ? 'checksum' : 'malformed';
}

function isPrefixDiscovery({ kind }: Icmpv6Message): boolean {
  return kind === 'mobile-prefix-solicitation' || kind === 'mobile-prefix-advertisement';
}
