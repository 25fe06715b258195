/** How the payload is encrypted. */
export type EncryptionName = 'null' | '3des-cbc' | 'aes-128-cbc' | 'aes-192-cbc' | 'aes-256-cbc';

/** How the whole is authenticated; the last number is the length of the ICV in bits where it is named. */
export type AuthenticationName =
  | 'hmac-sha1-96'
  | 'hmac-sha2-256-128'
  | 'hmac-sha2-384-192'
  | 'hmac-sha2-512-256';

/** All lengths are octets. */
export interface Encryption {
  readonly keyLength: number;
  /** what is encrypted is a multiple of this */
  readonly blockLength: number;
  readonly ivLength: number;
  /** what `node:crypto` calls it; undefined where nothing is encrypted */
  readonly cipher: string | undefined;
  readonly rfc: string;
}

/** All lengths are octets. */
export interface Authentication {
  readonly keyLength: number;
  /** of the HMAC that is sent: its first octets */
  readonly icvLength: number;
  /** what `node:crypto` calls the hash of the HMAC */
  readonly hash: string;
  readonly rfc: string;
}

export const ENCRYPTIONS: Readonly<Record<EncryptionName, Encryption>> = {
  null: { keyLength: 0, blockLength: 1, ivLength: 0, cipher: undefined, rfc: 'RFC 2410' },
  '3des-cbc': {
    keyLength: 24,
    blockLength: 8,
    ivLength: 8,
    cipher: 'des-ede3-cbc',
    rfc: 'RFC 2451',
  },
  'aes-128-cbc': {
    keyLength: 16,
    blockLength: 16,
    ivLength: 16,
    cipher: 'aes-128-cbc',
    rfc: 'RFC 3602',
  },
  'aes-192-cbc': {
    keyLength: 24,
    blockLength: 16,
    ivLength: 16,
    cipher: 'aes-192-cbc',
    rfc: 'RFC 3602',
  },
  'aes-256-cbc': {
    keyLength: 32,
    blockLength: 16,
    ivLength: 16,
    cipher: 'aes-256-cbc',
    rfc: 'RFC 3602',
  },
};

export const AUTHENTICATIONS: Readonly<Record<AuthenticationName, Authentication>> = {
  'hmac-sha1-96': { keyLength: 20, icvLength: 12, hash: 'sha1', rfc: 'RFC 2404' },
  'hmac-sha2-256-128': { keyLength: 32, icvLength: 16, hash: 'sha256', rfc: 'RFC 4868' },
  'hmac-sha2-384-192': { keyLength: 48, icvLength: 24, hash: 'sha384', rfc: 'RFC 4868' },
  'hmac-sha2-512-256': { keyLength: 64, icvLength: 32, hash: 'sha512', rfc: 'RFC 4868' },
};

/** The algorithms of one security association. */
export interface Algorithms {
  readonly encryption: EncryptionName;
  readonly authentication: AuthenticationName;
}
