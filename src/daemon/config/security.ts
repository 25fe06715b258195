import { z } from 'zod';
import { AUTHENTICATIONS, ENCRYPTIONS } from '../../crypto/algorithms.js';
import { MOBILITY_KEY_LENGTH } from '../../crypto/mobility-authentication.js';
import type { Address } from '../../wire/address.js';
import { authentication, encryption } from './algorithm.js';
import type { KeyLengths } from './key-file.js';
import type { Path } from './locate.js';
import type { Reading } from './reading.js';
import {
  accessIdentifier,
  either,
  integer,
  keyFilePath,
  table,
  unicastAddress,
  wrong,
} from './scalars.js';
import type { HomeSecurity, SecurityConfig } from './types.js';

/** RFC 4303 2.1 keeps 1..255 for IANA; RFC 4285 5 keeps 0..255. */
const spi = (example: number) => integer({ min: 256, max: 0xffff_ffff, example });

/** RFC 4285 5.1 */
const AUTH_OPTION_KEY = {
  min: MOBILITY_KEY_LENGTH,
  max: MOBILITY_KEY_LENGTH,
  of: 'auth-option',
};

const NOT_A_KEY = 'a key never stands here; write it into the key_file';
const keys = { encryption_key: NOT_A_KEY, authentication_key: NOT_A_KEY };

/** What to say of a key that belongs to another kind. */
function belongs(kind: string, names: readonly string[], mend: string): Record<string, string> {
  const message = `belongs to kind = "${kind}"; ${mend}`;
  return Object.fromEntries(names.map((name) => [name, message]));
}

const ESP_ONLY = ['encryption', 'authentication', 'spi_out', 'spi_in', 'replay_window'];

/** The three kinds; `common` are keys that all of them have, `elsewhere` those that belong to a table around it. */
function securityTable<Common extends z.ZodRawShape>(
  common: Common,
  elsewhere: Readonly<Record<string, string>>,
) {
  const none = table(
    { kind: z.literal('none'), ...common },
    {
      ...keys,
      ...elsewhere,
      ...belongs('esp', [...ESP_ONLY, 'key_file'], 'write that kind, or take this away'),
      ...belongs('auth-option', ['spi', 'identifier'], 'write that kind, or take this away'),
    },
  );
  const esp = table(
    {
      kind: z.literal('esp'),
      encryption,
      authentication,
      spi_out: spi(1000),
      spi_in: spi(1001),
      replay_window: integer({ min: 64, max: 8192, example: 1024, orZero: true }).default(0),
      key_file: keyFilePath('/etc/kagemusha/vm1.keys'),
      ...common,
    },
    {
      ...keys,
      ...elsewhere,
      ...belongs('auth-option', ['spi'], 'with "esp" write spi_out and spi_in'),
      ...belongs('auth-option', ['identifier'], 'take it away'),
    },
  );
  const authOption = table(
    {
      kind: z.literal('auth-option'),
      spi: spi(1000),
      key_file: keyFilePath('/etc/kagemusha/vm1.keys'),
      identifier: accessIdentifier('vm1@example.org').optional(),
      ...common,
    },
    {
      ...keys,
      ...elsewhere,
      ...belongs('esp', ['spi_out', 'spi_in'], 'with "auth-option" write spi'),
      ...belongs('esp', ['encryption'], 'with "auth-option" nothing is encrypted: take it away'),
      ...belongs(
        'esp',
        ['authentication'],
        '"auth-option" always takes HMAC-SHA1 (RFC 4285 5.1): take it away',
      ),
      ...belongs('esp', ['replay_window'], '"auth-option" has timestamps instead: take it away'),
    },
  );
  return z.discriminatedUnion('kind', [esp, authOption, none], {
    error: ({ code, input }) => {
      if (code !== 'invalid_union') return wrong(input, 'a table', '{ kind = "esp", … }');
      const { kind } = input as { kind?: unknown };
      return wrong(kind, 'known here', '"esp" or "auth-option" or "none"');
    },
  });
}

const guestTable = securityTable(
  { home_address: unicastAddress('2001:db8:2000::10').optional() },
  {},
);
const guestTables = z.array(guestTable);

/** `[guest.security]`, or `[[guest.security]]` for several home addresses. */
export const guestSecurity = either((value) =>
  Array.isArray(value) ? guestTables : guestTable,
).optional();

/** `[mobile_node.security]` */
export const mobileNodeSecurity = securityTable(
  {},
  { home_address: 'stands in the [[mobile_node]] already; take it away here' },
).optional();

type RawSecurity = z.output<typeof mobileNodeSecurity>;
type RawGuestSecurity = z.output<typeof guestSecurity>;

/** The security of one home address with its keys; what is wrong with them goes into `reading`. */
export function toSecurity(
  raw: RawSecurity,
  homeAddress: Address,
  path: Path,
  reading: Reading,
): SecurityConfig {
  if (raw === undefined || raw.kind === 'none') return { kind: 'none' };
  const file = reading.keys([...path, 'key_file'], raw.key_file, lengthsOf(raw));
  const { keyId, identity, encryption, authentication } = file;
  const security: SecurityConfig =
    raw.kind === 'esp'
      ? {
          kind: 'esp',
          encryption: raw.encryption,
          authentication: raw.authentication,
          spiOut: raw.spi_out,
          spiIn: raw.spi_in,
          replayWindow: raw.replay_window,
          keyFile: raw.key_file,
          keys: { encryption, authentication },
          keyId,
        }
      : {
          kind: 'auth-option',
          spi: raw.spi,
          ...(raw.identifier === undefined ? {} : { identifier: raw.identifier }),
          keyFile: raw.key_file,
          keys: { authentication },
          keyId,
        };
  reading.associations.push({ homeAddress, security, path, identity });
  return security;
}

function lengthsOf(raw: NonNullable<RawSecurity>): KeyLengths {
  if (raw.kind !== 'esp') return { authentication_key: AUTH_OPTION_KEY };
  const exactly = (length: number, of: string) => ({ min: length, max: length, of });
  const { keyLength } = ENCRYPTIONS[raw.encryption];
  return {
    ...(keyLength === 0 ? {} : { encryption_key: exactly(keyLength, raw.encryption) }),
    authentication_key: exactly(AUTHENTICATIONS[raw.authentication].keyLength, raw.authentication),
  };
}

/** Which security each home address of a guest has. */
export function toGuestSecurity(
  raw: RawGuestSecurity,
  homeAddresses: readonly Address[],
  path: Path,
  reading: Reading,
): HomeSecurity[] {
  const fault = (at: Path, message: string) => reading.faults.push({ path: at, message });
  const found = new Map<Address, SecurityConfig>();
  const [first] = homeAddresses;
  const tables = Array.isArray(raw) ? raw : raw === undefined ? [] : [raw];
  for (const [i, one] of tables.entries()) {
    const at = Array.isArray(raw) ? [...path, i] : path;
    const homeAddress = one.home_address ?? (homeAddresses.length === 1 ? first : undefined);
    const list = homeAddresses.map((address) => `"${address}"`).join(' or ');
    if (homeAddress === undefined && one.kind === 'none' && !Array.isArray(raw)) {
      for (const each of homeAddresses) found.set(each, { kind: 'none' });
    } else if (homeAddress === undefined) {
      fault(
        [...at, 'home_address'],
        `is missing, and the guest has ${homeAddresses.length} home addresses; write one [[guest.security]] for each, with home_address = ${list}`,
      );
      return [];
    } else if (!homeAddresses.includes(homeAddress)) {
      fault(
        [...at, 'home_address'],
        `"${homeAddress}" is no home address of this guest; write ${list}`,
      );
      return [];
    } else if (found.has(homeAddress)) {
      fault(
        [...at, 'home_address'],
        `"${homeAddress}" has another [[guest.security]] already; keep one`,
      );
    } else {
      found.set(homeAddress, toSecurity(one, homeAddress, at, reading));
    }
  }
  const left = homeAddresses.filter((address) => !found.has(address));
  if (raw !== undefined && left.length > 0) {
    const mend = 'write a [[guest.security]] for it, with kind = "none" if it is to be unprotected';
    fault(path, `says nothing about "${left[0]}"; ${mend}`);
  }
  return homeAddresses.map((homeAddress) => ({
    homeAddress,
    security: found.get(homeAddress) ?? { kind: 'none' },
  }));
}
