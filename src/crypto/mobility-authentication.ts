import { createHmac, timingSafeEqual } from 'node:crypto';
import type { Address } from '../wire/index.js';
import { addressBytes } from '../wire/index.js';
import type { Secret } from './secret.js';

/** RFC 4285 5.1: the key of a mobility security association, octets. */
export const MOBILITY_KEY_LENGTH = 16;
/** RFC 4285 5.1: 0 to 255 are reserved. */
export const SMALLEST_MOBILITY_SPI = 256;
/** RFC 4285 5.1: the first 96 bits of the HMAC. */
export const AUTHENTICATOR_LENGTH = 12;
/** RFC 4285 5: the subtype for mobile node and home agent. */
export const MN_HA = 1;

/** RFC 6275 6.1.1 */
const HEADER = { length: 1, checksum: 4 } as const;
/** Where the options of a Binding Update and of a Binding Acknowledgement start (RFC 6275 6.1.7, 6.1.8). */
const OPTIONS = 12;
/** RFC 6275 6.2.2, 6.2.3, RFC 4285 5 */
const OPTION = { pad1: 0, padN: 1, authentication: 9 } as const;
/** RFC 4285 5: type, length, subtype, SPI, authentication data */
const FIELD = { subtype: 2, spi: 3, authenticator: 7 } as const;
const LENGTH = FIELD.authenticator - 2 + AUTHENTICATOR_LENGTH;

/** The addresses that an authenticator covers besides the Mobility Header. */
export interface MobilityAddresses {
  /** of the IPv6 header: the source of a Binding Update, the destination of a Binding Acknowledgement */
  readonly careOfAddress: Address;
  readonly homeAddress: Address;
}

/** An MN-HA option at the end of a Mobility Header. */
export interface MobilityAuthenticator {
  readonly spi: number;
  /** where the 12 octets are, from the start of the Mobility Header */
  readonly offset: number;
}

/**
 * Finds the MN-HA mobility message authentication option of a Binding Update or Binding Acknowledgement; nothing else is
 * read. Undefined when there is none, when it is not the last option (padding may follow), or when there are two.
 */
export function findAuthenticator(header: Uint8Array): MobilityAuthenticator | undefined {
  const end = Math.min(((header[HEADER.length] ?? 0) + 1) * 8, header.length);
  let found: MobilityAuthenticator | undefined;
  let at = OPTIONS;
  while (at < end) {
    const type = header[at];
    if (type === OPTION.pad1) {
      at += 1;
      continue;
    }
    const next = at + 2 + (header[at + 1] ?? 0);
    if (at + 2 > end || next > end) return undefined;
    if (type !== OPTION.padN) {
      if (found !== undefined) return undefined;
      if (
        type === OPTION.authentication &&
        header[at + 1] === LENGTH &&
        header[at + FIELD.subtype] === MN_HA
      ) {
        const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
        found = { spi: view.getUint32(at + FIELD.spi), offset: at + FIELD.authenticator };
      }
    }
    at = next;
  }
  return found;
}

/**
 * RFC 4285 5.1: First (96, HMAC_SHA1 (key, care-of address | home address | Mobility Header up to and including the SPI
 * of this option)), the checksum taken as 0. Which care-of address is meant when an Alternate Care-of Address option
 * differs from the IPv6 header is not said there: it is the header's, since the option is covered anyhow and the
 * answer goes to the header's.
 * @param offset of the authenticator: everything before it is covered
 */
export function mobilityAuthenticator(
  key: Secret,
  addresses: MobilityAddresses,
  header: Uint8Array,
  offset: number,
): Uint8Array {
  const covered = Uint8Array.from(header.subarray(0, offset));
  covered.fill(0, HEADER.checksum, HEADER.checksum + 2);
  return createHmac('sha1', key.keyObject())
    .update(addressBytes(addresses.careOfAddress))
    .update(addressBytes(addresses.homeAddress))
    .update(covered)
    .digest()
    .subarray(0, AUTHENTICATOR_LENGTH);
}

/** Whether the authenticator found in a Mobility Header is right, compared in constant time. */
export function isAuthentic(
  key: Secret,
  addresses: MobilityAddresses,
  header: Uint8Array,
  { offset }: MobilityAuthenticator,
): boolean {
  const expected = mobilityAuthenticator(key, addresses, header, offset);
  return timingSafeEqual(expected, header.subarray(offset, offset + AUTHENTICATOR_LENGTH));
}
