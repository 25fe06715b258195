import type { Address, Ipv6Packet } from '../wire/index.js';
import type { Protection } from './protection.js';
import { noProtection } from './protection.js';
import type { Envelope } from './signal.js';

export type Role = 'mobile-node' | 'home-agent';

export interface HomeAddressPolicy {
  readonly homeAddress: Address;
  readonly protection: Protection;
}

interface Entry {
  readonly protection: Protection;
  /** mobile node: where it has asked from; an answer may come there without a routing header */
  readonly careOf: Set<Address>;
}

/** Care-of addresses that are remembered: the one in use and those just left. */
const CARE_OF_ADDRESSES = 4;
const NONE = noProtection();

/** Which protection belongs to which home address (RFC 3776 4.1: an association belongs to one home address). */
export class ProtectionTable {
  readonly #role: Role;
  #entries = new Map<Address, Entry>();
  #spis = new Set<number>();

  constructor(role: Role) {
    this.#role = role;
  }

  /** @throws RangeError when two home addresses share a protection; then nothing has changed */
  update(policies: Iterable<HomeAddressPolicy>): void {
    const entries = new Map<Address, Entry>();
    const owners = new Map<Protection, Address>();
    for (const { homeAddress, protection } of policies) {
      const owner = owners.get(protection) ?? homeAddress;
      if (protection.kind !== 'none' && owner !== homeAddress) {
        throw new RangeError(`${owner} and ${homeAddress} share a security association`);
      }
      owners.set(protection, homeAddress);
      const careOf = this.#entries.get(homeAddress)?.careOf ?? new Set();
      entries.set(homeAddress, { protection, careOf });
    }
    this.#entries = entries;
    this.#spis = new Set();
    for (const [homeAddress, { protection }] of entries) {
      if (protection.kind !== 'esp') continue;
      this.#spis.add(protection.spiIn);
      if (this.#role === 'home-agent') protection.expect(homeAddress);
    }
  }

  of(homeAddress: Address): Protection {
    return this.#entries.get(homeAddress)?.protection ?? NONE;
  }

  /** Whether some home address's association has this inbound SPI. */
  hasSpi(spi: number): boolean {
    return this.#spis.has(spi);
  }

  /** What a packet for (mobile node) or from (home agent) this address must be like. */
  forPacket(packet: Ipv6Packet, homeAddress: Address): Protection {
    return this.#entries.get(homeAddress)?.protection ?? this.#byCareOf(packet);
  }

  /** Mobile node: it asks this home agent from this care-of address; answers must be protected from now on. */
  expectAnswer(homeAddress: Address, { source, destination }: Envelope): void {
    const entry = this.#entries.get(homeAddress);
    if (entry === undefined || entry.protection.kind === 'none') return;
    entry.protection.expect(destination);
    // The latest is the last to be forgotten.
    entry.careOf.delete(source);
    entry.careOf.add(source);
    const [oldest] = entry.careOf;
    if (entry.careOf.size > CARE_OF_ADDRESSES && oldest !== undefined) entry.careOf.delete(oldest);
  }

  /** An answer that came to a care-of address without a routing header. */
  #byCareOf(packet: Ipv6Packet): Protection {
    if (this.#role === 'home-agent') return NONE;
    for (const { careOf, protection } of this.#entries.values()) {
      if (protection.kind === 'none' || !careOf.has(packet.destination)) continue;
      if (protection.expects(packet.source)) return protection;
    }
    return NONE;
  }
}
