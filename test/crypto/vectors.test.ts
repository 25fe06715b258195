import t from 'tap';
import { Transform, withoutTrailer } from '../../src/crypto/esp.js';
import type { AuthenticationName } from '../../src/crypto/index.js';
import { AUTHENTICATIONS, ENCRYPTIONS, Secret } from '../../src/crypto/index.js';

const octets = (hex: string) => Buffer.from(hex.replace(/\s/g, ''), 'hex');
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

function aes(key: string): Transform {
  return new Transform(
    { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' },
    { encryption: new Secret(octets(key)), authentication: new Secret(new Uint8Array(20)) },
  );
}

const AES = [
  {
    key: '06a9214036b8a15b512e03d534120006',
    iv: '3dafba429d9eb430b422da802c9fac41',
    plain: toHex(Buffer.from('Single block msg')),
    encrypted: 'e353779c1079aeb82708942dbe77181a',
  },
  {
    key: 'c286696d887c9aa0611bbb3e2025a45a',
    iv: '562e17996d093d28ddb3ba695a2e6f58',
    plain: '000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f',
    encrypted: 'd296cd94c2cccf8a3a863028b5e1dc0a7586602d253cfff91b8266bea6d61ab1',
  },
  {
    key: '6c3ea0477630ce21a2ce334aa746c2cd',
    iv: 'c782dc4c098c66cbd9cd27d825682c81',
    plain: toHex(Buffer.from('This is a 48-byte message (exactly 3 AES blocks)')),
    encrypted:
      'd0a02b3836451753d493665d33f0e8862dea54cdb293abc7506939276772f8d5021c19216bad525c8579695d83ba2684',
  },
  {
    key: '56e47a38c5598974bc46903dba290349',
    iv: '8ce82eefbea0da3c44699ed7db51b7d9',
    plain: toHex(Uint8Array.from({ length: 64 }, (_, index) => 0xa0 + index)),
    encrypted:
      'c30e32ffedc0774e6aff6af0869f71aa0f3af07a9a31a9c684db207eb0ef8e4e35907aa632c3ffdf868bb7b29d3d46ad83ce9f9a102ee99d49a53e87f4c3da55',
  },
];

for (const [index, { key, iv, plain, encrypted }] of AES.entries()) {
  t.test(`RFC 3602 4, case ${index + 1}: AES-CBC`, (t) => {
    const transform = aes(key);
    t.equal(toHex(transform.encrypt(octets(iv), octets(plain))), encrypted);
    t.equal(toHex(transform.decrypt(octets(iv), octets(encrypted))), plain);
    t.end();
  });
}

t.test('RFC 3602 4, case 5: the inside of a transport mode packet', (t) => {
  const plain = aes('90d382b410eeba7ad938c46cec1a82bf').decrypt(
    octets('e96e8c08ab465763fd098d45dd3ff893'),
    octets(
      `f663c25d325c18c6a9453e194e120849a4870b66cc6b9965330013b4898dc856a4699e523a55db080b59ec3a8e4b7e52
       775b07d1db34ed9c538ab50c551b874aa269add047ad2d5913ac19b7cfbad4a6`,
    ),
  );
  const inside = withoutTrailer(plain);
  t.equal(inside?.nextHeader, 1);
  t.equal(inside?.payload.length, 64);
  t.equal(
    toHex(inside?.payload ?? new Uint8Array()),
    '08000ebda70a00008e9c083db95b070008090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323334353637',
  );
  t.end();
});

function icv(authentication: AuthenticationName, key: Uint8Array, data: Uint8Array): string {
  const keys = { encryption: new Secret(new Uint8Array()), authentication: new Secret(key) };
  return toHex(new Transform({ encryption: 'null', authentication }, keys).icv(data));
}

const ICVS: readonly [string, AuthenticationName, string][] = [
  ['RFC 2202 3, case 1', 'hmac-sha1-96', 'b617318655057264e28bc0b6'],
  ['RFC 4868 2.7.2, AUTH256-1', 'hmac-sha2-256-128', '198a607eb44bfbc69903a0f1cf2bbdc5'],
  [
    'RFC 4868 2.7.2, AUTH384-1',
    'hmac-sha2-384-192',
    'b6a8d5636f5c6a7224f9977dcf7ee6c7fb6d0c48cbdee973',
  ],
  [
    'RFC 4868 2.7.2, AUTH512-1',
    'hmac-sha2-512-256',
    '637edc6e01dce7e6742a99451aae82df23da3e92439e590e43e761b33e910fb8',
  ],
];

for (const [name, authentication, expected] of ICVS) {
  t.test(`${name}: ${authentication}`, (t) => {
    const key = new Uint8Array(AUTHENTICATIONS[authentication].keyLength).fill(0x0b);
    t.equal(icv(authentication, key, Buffer.from('Hi There')), expected);
    t.end();
  });
}

t.test('RFC 2202 3, case 3: hmac-sha1-96', (t) => {
  const data = new Uint8Array(50).fill(0xdd);
  const expected = '125d7342b9ac11cd91a39af4';
  t.equal(icv('hmac-sha1-96', new Uint8Array(20).fill(0xaa), data), expected);
  t.end();
});

t.test('RFC 4303 2.8, 2.3: lengths of keys, IVs, blocks and ICVs', (t) => {
  const lengths = Object.entries(ENCRYPTIONS).map(
    ([name, { keyLength, blockLength, ivLength }]) => [name, keyLength, blockLength, ivLength],
  );
  t.same(lengths, [
    ['null', 0, 1, 0],
    ['3des-cbc', 24, 8, 8],
    ['aes-128-cbc', 16, 16, 16],
    ['aes-192-cbc', 24, 16, 16],
    ['aes-256-cbc', 32, 16, 16],
  ]);
  t.same(
    Object.values(AUTHENTICATIONS).map(({ keyLength, icvLength }) => [keyLength, icvLength]),
    [
      [20, 12],
      [32, 16],
      [48, 24],
      [64, 32],
    ],
  );
  t.end();
});
