import { z } from 'zod';
import {
  AUTHENTICATIONS,
  type AuthenticationName,
  ENCRYPTIONS,
  type EncryptionName,
} from '../../crypto/algorithms.js';
import { nearest } from './nearest.js';

/*
 * Names of algorithms. Who writes one that is not offered wants to know why: it often is one that IPsec offers elsewhere.
 */

const quoted = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ');

/** Kept short: a person may have put a key in the wrong place. */
const shown = (value: unknown) =>
  typeof value === 'string' && value.length <= 24 ? `"${value}"` : 'what stands here';

interface Refusal {
  readonly pattern: RegExp;
  readonly why: string;
}

const REFUSED_ENCRYPTIONS: readonly Refusal[] = [
  {
    // RFC 8221 and RFC 4106: not with manual keys.
    pattern: /gcm|gmac|ccm|ctr|chacha|poly1305/,
    why: 'needs a nonce that never comes twice, and keys from a file would use nonces again after a restart (RFC 8221); write "aes-128-cbc" with an hmac as authentication',
  },
  {
    pattern: /^(des($|[^3])|.*(blowfish|cast|rc4|rc5|idea))/,
    why: `is too weak to be offered (RFC 8221); write one of ${quoted(Object.keys(ENCRYPTIONS))}`,
  },
];

const REFUSED_AUTHENTICATIONS: readonly Refusal[] = [
  {
    pattern: /^(null|none|)$/,
    why: 'would let anybody register; write "hmac-sha2-256-128"',
  },
  {
    pattern: /md5|xcbc|cmac|gmac|gcm|poly1305|ripemd|rmd160/,
    why: `is not offered; write one of ${quoted(Object.keys(AUTHENTICATIONS))}`,
  },
];

function algorithm<Name extends string>(
  names: readonly Name[],
  example: Name,
  refused: readonly Refusal[],
) {
  const known = `${quoted([example])} or another of ${quoted(names)}`;
  return z.enum(names, {
    error: ({ input }) => {
      if (input === undefined) return `is missing; write ${known}`;
      if (typeof input === 'string') {
        const name = input.toLowerCase();
        const refusal = refused.find(({ pattern }) => pattern.test(name));
        if (refusal !== undefined) return `${shown(input)} ${refusal.why}`;
        const near = input.length < 64 ? nearest(input, names) : undefined;
        // Nobody means to encrypt nothing by a slip.
        if (near !== undefined && near !== 'null')
          return `${shown(input)} is not known here; did you mean "${near}"?`;
      }
      return `${shown(input)} is not known here; write ${known}`;
    },
  });
}

/** The names of {@link ENCRYPTIONS}. */
export const encryption = algorithm(
  Object.keys(ENCRYPTIONS) as EncryptionName[],
  'aes-128-cbc',
  REFUSED_ENCRYPTIONS,
);

/** The names of {@link AUTHENTICATIONS}. */
export const authentication = algorithm(
  Object.keys(AUTHENTICATIONS) as AuthenticationName[],
  'hmac-sha2-256-128',
  REFUSED_AUTHENTICATIONS,
);
