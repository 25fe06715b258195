import { createHash } from 'node:crypto';
import { parse, TomlError } from 'smol-toml';
import { Secret } from '../../crypto/secret.js';
import { locate } from './locate.js';
import { nearest } from './nearest.js';
import { readPrivate, refuse } from './private-file.js';

/** Octets that a key must have, and of what; `undefined`: there must be no such key. */
export interface KeyLength {
  readonly min: number;
  readonly max: number;
  /** The algorithm, for the person who reads the complaint. */
  readonly of: string;
}

export interface KeyLengths {
  readonly encryption_key?: KeyLength;
  readonly authentication_key: KeyLength;
}

export interface KeyFile {
  /** Empty where nothing is encrypted. */
  readonly encryption: Secret;
  readonly authentication: Secret;
  /** Tells keys apart without telling what they are: a hash of both. */
  readonly keyId: string;
  /** The file itself, whatever path leads to it. */
  readonly identity: string;
}

/*
 * No complaint of this file, and no cause of one, holds anything of a key: neither values nor what the TOML parser
 * quotes.
 */

const EXAMPLE = 'make it like examples/vm1.keys.example';

/**
 * Reads the keys of one security association: TOML, `encryption_key = "hex"` and `authentication_key = "hex"`.
 *
 * @param user the user id of the daemon, who must be able to read it; who else may, apart from root, is refused
 * @throws KagemushaError KEY_FILE saying what is wrong and what to do, without the key
 */
export function readKeyFile(path: string, lengths: KeyLengths, user: number): KeyFile {
  const { text, identity } = readPrivate(path, user, EXAMPLE);
  const data = parseKeys(path, text);
  for (const name of Object.keys(data)) {
    if (name in lengths) continue;
    const near = nearest(name, ['encryption_key', 'authentication_key']);
    const place = `${path}:${locate(text, [name])}:`;
    if (near === undefined) refuse(place, 'a key of the file that is not known here');
    if (near !== name) refuse(place, `unknown key; did you mean ${near}?`);
    refuse(place, `${name} is not used here; take it away`);
  }
  const read = (name: 'encryption_key' | 'authentication_key'): Secret => {
    const length = lengths[name];
    if (length === undefined) return new Secret(new Uint8Array(0));
    if (!(name in data)) refuse(path, `has no ${name}; write ${name} = "${digits(length)}"`);
    return octetsOf(`${path}:${locate(text, [name])}: ${name}`, data[name], length);
  };
  const encryption = read('encryption_key');
  const authentication = read('authentication_key');
  return { encryption, authentication, keyId: keyId(encryption, authentication), identity };
}

function parseKeys(path: string, text: string): Record<string, unknown> {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const place = `${path}:${error.line}:`;
    refuse(place, 'not TOML; write encryption_key = "hex" and authentication_key = "hex"');
  }
}

function octetsOf(place: string, value: unknown, length: KeyLength): Secret {
  const { min, max, of } = length;
  const write = `write "${digits(length)}"`;
  if (typeof value !== 'string') refuse(place, `is not a text; ${write}`);
  const hex = value.replace(/^0x/i, '');
  if (!/^[0-9a-f]*$/i.test(hex)) refuse(place, `is not hexadecimal; ${write}`);
  if (hex.length % 2 !== 0) refuse(place, `has an odd number of hex digits; ${write}`);
  const count = hex.length / 2;
  if (count < min || count > max) {
    const takes = min === max ? `${min}` : `${min} to ${max}`;
    refuse(place, `has ${count} octets, ${of} takes ${takes}; ${write}`);
  }
  return new Secret(Buffer.from(hex, 'hex'));
}

function digits({ min, max }: KeyLength): string {
  return min === max ? `${2 * min} hex digits` : `${2 * min} to ${2 * max} hex digits`;
}

function keyId(encryption: Secret, authentication: Secret): string {
  const hash = createHash('sha256').update(`kagemusha keys ${encryption.length}\0`);
  hash.update(encryption.reveal()).update(authentication.reveal());
  return hash.digest('hex').slice(0, 16);
}
