import t from 'tap';
import {
  bindingAuthenticator,
  bindingManagementKey,
  careOfKeygenToken,
  homeKeygenToken,
  sameSecret,
} from '../../src/crypto/return-routability.js';
import { parseAddress } from '../../src/wire/index.js';
import { CARE_OF, HOME_ADDRESS } from '../support/testbed-addresses.js';

/*
 * Computed with hashlib and hmac of Python, apart from this code: Kcn is 01 02 … 14, the nonces are 0011…77 and 8899…ff, the
 * correspondent is 2001:db8:5000::5.
 */
const KCN = Uint8Array.from({ length: 20 }, (_, i) => i + 1);
const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const text = (octets: Uint8Array) => Buffer.from(octets).toString('hex');
const CORRESPONDENT = parseAddress('2001:db8:5000::5');
const HOME = hex('9c4ae996f6da1119');
const CARE = hex('006b81e34d39b73a');
const KBM = '184d89f6c7d72d7e266f80bb4deb28e36a3569ec';
const UPDATE = '3b0305000000123480000069040400050009050c5741c0d76998aa7307474db0';

t.test('RFC 6275 5.2.5: the keygen tokens', (t) => {
  t.equal(text(homeKeygenToken(KCN, HOME_ADDRESS, hex('0011223344556677'))), text(HOME));
  t.equal(text(careOfKeygenToken(KCN, CARE_OF, hex('8899aabbccddeeff'))), text(CARE));
  t.end();
});

t.test('RFC 6275 5.2.5, 5.2.6: Kbm of both tokens, of the home token alone in a deletion', (t) => {
  t.equal(text(bindingManagementKey(HOME, CARE)), KBM);
  t.equal(text(bindingManagementKey(HOME)), 'e2524b47b38448217caf265f0957eb6b87b1ade9');
  t.end();
});

t.test('RFC 6275 6.2.7: the authenticator covers neither itself nor the checksum', (t) => {
  const update = hex(UPDATE);
  const of = () => text(bindingAuthenticator(hex(KBM), CARE_OF, CORRESPONDENT, update));
  t.equal(of(), '5741c0d76998aa7307474db0');
  update.set([0xd6, 0xf5], 4);
  t.equal(of(), '5741c0d76998aa7307474db0');
  update.fill(0, 20);
  t.equal(of(), '5741c0d76998aa7307474db0');
  update[7] = 0;
  t.not(of(), '5741c0d76998aa7307474db0');
  t.end();
});

t.test('secrets of other lengths are not the same', (t) => {
  t.ok(sameSecret(HOME, hex('9c4ae996f6da1119')));
  t.notOk(sameSecret(HOME, CARE));
  t.notOk(sameSecret(HOME, HOME.subarray(1)));
  t.end();
});
