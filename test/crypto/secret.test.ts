import { inspect } from 'node:util';
import t from 'tap';
import { Secret } from '../../src/crypto/index.js';

const KEY = Uint8Array.of(0xde, 0xad, 0xbe, 0xef);

t.test('a secret never shows, however it is printed', (t) => {
  const secret = new Secret(KEY);
  const shown = [
    `${secret}`,
    String(secret),
    JSON.stringify({ secret }),
    inspect(secret),
    inspect({ deep: { er: [secret] } }, { showHidden: true, depth: 9 }),
    JSON.stringify(Object.entries(secret)),
    JSON.stringify({ ...secret }),
    String(new Error(`wrong key ${secret}`)),
  ];
  for (const text of shown) {
    t.notMatch(text, /dead|beef|222|173|190|239/i, text);
  }
  t.equal(JSON.stringify({ secret }), '{"secret":"[secret]"}');
  t.equal(inspect(secret), '[secret]');
  t.end();
});

t.test('its octets come out by reveal only, and are its own', (t) => {
  const octets = Uint8Array.from(KEY);
  const secret = new Secret(octets);
  octets.fill(0);
  secret.reveal().fill(0);
  t.same(secret.reveal(), KEY);
  t.equal(secret.length, 4);
  t.same(new Uint8Array(secret.keyObject().export()), KEY);
  t.equal(secret.keyObject(), secret.keyObject());
  t.end();
});

t.test('secrets are compared by their octets', (t) => {
  t.equal(new Secret(KEY).equals(new Secret(KEY)), true);
  t.equal(new Secret(KEY).equals(new Secret(KEY.map((octet) => octet ^ 1))), false);
  t.equal(new Secret(KEY).equals(new Secret(KEY.subarray(1))), false);
  t.equal(new Secret(new Uint8Array()).equals(new Secret(new Uint8Array())), true);
  t.end();
});
