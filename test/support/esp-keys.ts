import { writeFile } from 'node:fs/promises';
import type {
  Algorithms,
  AssociationKeys,
  AuthenticationName,
  EncryptionName,
} from '../../src/crypto/index.js';
import { AUTHENTICATIONS, ENCRYPTIONS, Secret } from '../../src/crypto/index.js';
import { ReservedCounter } from '../../src/reserved-counter.js';

/** Every encryption with every authentication. */
export const PAIRS: readonly Algorithms[] = names(ENCRYPTIONS).flatMap((encryption) =>
  names(AUTHENTICATIONS).map((authentication) => ({ encryption, authentication })),
);

function names<Name extends string>(table: Readonly<Record<Name, unknown>>): Name[] {
  return Object.keys(table) as Name[];
}

/** Keys that are not the same in any two octets next to each other; 3DES gets three that differ. */
export function keysFor({ encryption, authentication }: Algorithms, seed = 0): AssociationKeys {
  const octets = (length: number, start: number) =>
    Uint8Array.from({ length }, (_, index) => (start + seed + 37 * index) & 0xff);
  return {
    encryption: new Secret(octets(ENCRYPTIONS[encryption].keyLength, 3)),
    authentication: new Secret(octets(AUTHENTICATIONS[authentication].keyLength, 101)),
  };
}

/** A counter of ESP numbers whose reservations nobody writes down. */
export function counterFrom(next: number): ReservedCounter {
  return new ReservedCounter({ next, last: 2 ** 32 - 1, block: 1024, reserve: () => {} });
}

/** What tshark's table of security associations calls them. */
const TSHARK_ENCRYPTION: Record<EncryptionName, string> = {
  null: 'NULL',
  '3des-cbc': 'TripleDES-CBC [RFC2451]',
  'aes-128-cbc': 'AES-CBC [RFC3602]',
  'aes-192-cbc': 'AES-CBC [RFC3602]',
  'aes-256-cbc': 'AES-CBC [RFC3602]',
};
const TSHARK_AUTHENTICATION: Record<AuthenticationName, string> = {
  'hmac-sha1-96': 'HMAC-SHA-1-96 [RFC2404]',
  'hmac-sha2-256-128': 'HMAC-SHA-256-128 [RFC4868]',
  'hmac-sha2-384-192': 'HMAC-SHA-384-192 [RFC4868]',
  'hmac-sha2-512-256': 'HMAC-SHA-512-256 [RFC4868]',
};

/** The preference that gives tshark one association, whatever the addresses. */
export function tsharkAssociation(
  spi: number,
  algorithms: Algorithms,
  keys: AssociationKeys,
): string {
  const hex = (key: Secret) =>
    key.length === 0 ? '' : `0x${Buffer.from(key.reveal()).toString('hex')}`;
  const fields = [
    'IPv6',
    '*',
    '*',
    `0x${spi.toString(16)}`,
    TSHARK_ENCRYPTION[algorithms.encryption],
    hex(keys.encryption),
    TSHARK_AUTHENTICATION[algorithms.authentication],
    hex(keys.authentication),
  ];
  return `uat:esp_sa:${fields.map((field) => `"${field}"`).join(',')}`;
}

/** Has tshark decrypt, and check each ICV. */
export const TSHARK_ESP = [
  'esp.enable_encryption_decode:TRUE',
  'esp.enable_authentication_check:TRUE',
] as const;

/** Writes a key file for both daemons. */
export async function writeKeys(file: string, keys: AssociationKeys): Promise<void> {
  const hex = (secret: Secret): string => Buffer.from(secret.reveal()).toString('hex');
  const text = `encryption_key = "${hex(keys.encryption)}"
authentication_key = "${hex(keys.authentication)}"
`;
  await writeFile(file, text, { mode: 0o600 });
}
