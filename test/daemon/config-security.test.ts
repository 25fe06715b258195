import { chmodSync, chownSync, linkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { ConfigError, loadConfig, loadHostConfig } from '../../src/daemon/config/load.js';
import { configNotes } from '../../src/daemon/config/notes.js';

const directory = t.testdir();
let files = 0;

/** A key file as a careful person makes it; gives its path. */
function keyFile(encryption: number, authentication: number, fill = 0xa5): string {
  files += 1;
  const path = join(directory, `${files}.keys`);
  const hex = (octets: number, octet: number) => Buffer.alloc(octets, octet).toString('hex');
  const first = encryption > 0 ? `encryption_key = "${hex(encryption, fill)}"\n` : '';
  writeFileSync(path, `${first}authentication_key = "${hex(authentication, fill ^ 0xff)}"\n`, {
    mode: 0o600,
  });
  return path;
}

const KEYS = keyFile(16, 20);
const GUEST = `[[guest]]
name = "vm1"
home_addresses = ["2001:db8:2000::10"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "2001:db8:3000::44"
port = { kind = "tap", device = "kgtap0" }
`;
const ESP = `[guest.security]
kind = "esp"
encryption = "aes-128-cbc"
authentication = "hmac-sha1-96"
spi_out = 1000
spi_in = 1001
key_file = "${KEYS}"
`;
const OPTION = `[guest.security]
kind = "auth-option"
spi = 1000
key_file = "${keyFile(0, 16)}"
`;
const HOME_AGENT = `[home_agent]
address = "2001:db8:2000::1"
home_prefix = "2001:db8:2000::/64"
home_link = "eth0"
`;

function write(text: string): string {
  files += 1;
  const path = join(directory, `${files}.toml`);
  writeFileSync(path, text);
  return path;
}

/** The problems of a text, with FILE: in front taken away. */
function problems(text: string, user?: number): string[] {
  const path = write(text);
  try {
    loadConfig(path, { user });
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ message }) => message.replace(`${path}:`, ''));
  }
}

/** ESP's table with one line replaced, or with more lines. */
const esp = (line: string): string => {
  const key = line.split(' ')[0] ?? '';
  const at = new RegExp(`^${key} = .*$`, 'm');
  return GUEST + (at.test(ESP) ? ESP.replace(at, line) : `${ESP}${line}\n`);
};

t.test('ESP: the whole table, keys in and out of sight', async (t) => {
  const [guest] = loadHostConfig(write(esp('replay_window = 1024'))).guests;
  const [home] = guest?.security ?? [];
  t.match(home, {
    homeAddress: '2001:db8:2000::10',
    security: {
      kind: 'esp',
      encryption: 'aes-128-cbc',
      authentication: 'hmac-sha1-96',
      spiOut: 1000,
      spiIn: 1001,
      replayWindow: 1024,
      keyFile: KEYS,
      keyId: /^[0-9a-f]{16}$/,
    },
  });
  if (home?.security.kind !== 'esp') return t.fail('not esp');
  const { keys } = home.security;
  t.strictSame(keys.encryption.reveal(), new Uint8Array(16).fill(0xa5));
  t.strictSame(keys.authentication.reveal(), new Uint8Array(20).fill(0x5a));
  t.notMatch(JSON.stringify(guest), /a5a5|5a5a/);
  t.match(JSON.stringify(guest), /\[secret\]/);
});

t.test('the authentication option', async (t) => {
  const [guest] = loadHostConfig(write(`${GUEST}${OPTION}identifier = "vm1@example.org"\n`)).guests;
  t.match(guest?.security, [
    { security: { kind: 'auth-option', spi: 1000, identifier: 'vm1@example.org' } },
  ]);
  t.strictSame(problems(GUEST + OPTION), []);
  for (const wrong of ['', 'a b', '@', 'a@', 'a@b@c', 'x'.repeat(254)]) {
    t.match(problems(`${GUEST}${OPTION}identifier = "${wrong}"\n`)[0], /^12: guest.security.ident/);
  }
});

t.test('a reload notices other keys, though a key cannot be compared', async (t) => {
  const load = (file: string) => loadHostConfig(write(esp(`key_file = "${file}"`))).guests;
  t.ok(isDeepStrictEqual(load(KEYS), load(KEYS)));
  const other = keyFile(16, 20, 0x11);
  const moved = (guests: object) => JSON.parse(JSON.stringify(guests).replaceAll(other, KEYS));
  t.notOk(isDeepStrictEqual(moved(load(KEYS)), moved(load(other))));
});

t.test('every pair of algorithms takes keys of its own lengths', async (t) => {
  const encryptions = {
    null: 0,
    '3des-cbc': 24,
    'aes-128-cbc': 16,
    'aes-192-cbc': 24,
    'aes-256-cbc': 32,
  };
  const authentications = {
    'hmac-sha1-96': 20,
    'hmac-sha2-256-128': 32,
    'hmac-sha2-384-192': 48,
    'hmac-sha2-512-256': 64,
  };
  for (const [encryption, first] of Object.entries(encryptions)) {
    for (const [authentication, second] of Object.entries(authentications)) {
      const text = esp(`encryption = "${encryption}"`)
        .replace('hmac-sha1-96', authentication)
        .replace(KEYS, keyFile(first, second));
      t.strictSame(problems(text), [], `${encryption} ${authentication}`);
    }
  }
});

t.test('algorithms that are not offered, and why', async (t) => {
  const nonce =
    /^10: guest.security.encryption: ".*" needs a nonce that never comes twice, and keys from a file would use nonces again after a restart \(RFC 8221\); write "aes-128-cbc" with an hmac/;
  for (const name of [
    'aes-128-gcm',
    'aes-gcm-16',
    'AES-GCM',
    'aes-ctr',
    'aes-ccm',
    'chacha20-poly1305',
  ])
    t.match(problems(esp(`encryption = "${name}"`)), [nonce], name);
  for (const name of ['des', 'des-cbc', 'blowfish-cbc'])
    t.match(problems(esp(`encryption = "${name}"`)), [
      /is too weak to be offered \(RFC 8221\); write one of "null", "3des-cbc", "aes-128-cbc", "aes/,
    ]);
  t.match(problems(esp('encryption = "aes-265-cbc"')), [
    /not known here; did you mean "aes-256-cbc"\?/,
  ]);
  t.match(problems(esp('encryption = "rijndael"')), [
    /^10: .* "rijndael" is not known here; write "aes-128-cbc" or another of "null", /,
  ]);
  for (const name of ['hmac-md5-96', 'md5', 'aes-xcbc-96', 'aes-cmac'])
    t.match(problems(esp(`authentication = "${name}"`)), [
      /^11: guest.security.authentication: ".*" is not offered; write one of "hmac-sha1-96", "hmac-/,
    ]);
  t.match(problems(esp('authentication = "null"')), [
    /^11: .*"null" would let anybody register; write "hmac-sha2-256-128"$/,
  ]);
  t.match(problems(esp('authentication = "sha1"')), [/did you mean "hmac-sha1-96"\?$/]);
  const missing = GUEST + ESP.replace(/^(encryption|authentication) = .*\n/gm, '');
  t.match(problems(missing), [
    /^8: guest.security.encryption: is missing; write encryption = "aes-128-cbc" or another of/,
    /^8: guest.security.authentication: is missing; write authentication = "hmac-sha2-256-128" or/,
  ]);
});

t.test('keys of one kind in the table of another', async (t) => {
  const cases: [text: string, problem: RegExp][] = [
    [
      esp('spi = 1000'),
      /^15: guest.security.spi: belongs to kind = "auth-option"; with "esp" write spi_out and spi_in$/,
    ],
    [
      esp('identifier = "vm1"'),
      /^15: guest.security.identifier: belongs to kind = "auth-option"; take/,
    ],
    [
      `${GUEST}${OPTION}spi_out = 1000`,
      /^12: .*spi_out: belongs to kind = "esp"; with "auth-option" write spi$/,
    ],
    [
      `${GUEST}${OPTION}encryption = "null"`,
      /^12: .*belongs to kind = "esp"; with "auth-option" nothing is encrypted/,
    ],
    [
      `${GUEST}${OPTION}authentication = "hmac-sha1-96"`,
      /^12: .*always takes HMAC-SHA1 \(RFC 4285 5.1\)/,
    ],
    [`${GUEST}${OPTION}replay_window = 64`, /^12: .*"auth-option" has timestamps instead/],
    [
      `${GUEST}[guest.security]\nkind = "none"\nspi_in = 1000`,
      /^10: .*belongs to kind = "esp"; write that kind, or take this away/,
    ],
    [
      `${GUEST}[guest.security]\nkind = "none"\nkey_file = "/x"`,
      /^10: .*key_file: belongs to kind = "esp"/,
    ],
    [
      esp('encryption_key = "00112233"'),
      /^15: guest.security.encryption_key: a key never stands here; write it into the key_file$/,
    ],
    [esp('replay_windows = 64'), /^15: .*unknown key; did you mean replay_window\?$/],
    [
      `${GUEST}security = "esp"`,
      /^8: guest.security: "esp" is not a table; write \{ kind = "esp", … \}/,
    ],
    [
      `${GUEST}[guest.security]\nspi = 1000`,
      /^8: guest.security.kind: is missing; write kind = "esp" or "auth-option" or "none"/,
    ],
    [
      esp('kind = "ipsec"'),
      /^9: guest.security.kind: "ipsec" is not known here; write "esp" or "auth-option" or "none"/,
    ],
    [
      `${HOME_AGENT}[[mobile_node]]\nhome_address = "2001:db8:2000::10"\nsecurity = { kind = "none", home_address = "2001:db8:2000::10" }`,
      /^7: mobile_node.security.home_address: stands in the \[\[mobile_node\]\] already; take it away/,
    ],
  ];
  for (const [text, problem] of cases) t.match(problems(text), [problem]);
});

t.test('RFC 4303 2.1: SPIs from 256; a replay window of 0, or 64 to 8192', async (t) => {
  for (const value of ['255', '0', '4294967296', '-1', '"1000"', '1.5'])
    t.match(
      problems(esp(`spi_in = ${value}`))[0],
      /^13: .* is not a whole number from 256 to 4294967295; write 1001/,
    );
  t.strictSame(problems(esp('spi_in = 4294967295')), []);
  t.strictSame(problems(esp('spi_in = 1000')), [], 'a number for each direction');
  for (const value of ['63', '8193', '-1'])
    t.match(
      problems(esp(`replay_window = ${value}`))[0],
      /is not 0 or a whole number from 64 to 8192/,
    );
  for (const value of ['0', '64', '8192'])
    t.strictSame(problems(esp(`replay_window = ${value}`)), []);
});

t.test('several home addresses: each has a table of its own', async (t) => {
  const guest = GUEST.replace(
    '["2001:db8:2000::10"]',
    '["2001:db8:2000::10", "2001:db8:2000::11"]',
  );
  const table = (address: string, rest: string) =>
    `[[guest.security]]\nhome_address = "${address}"\n${rest}`;
  const own = ESP.replace('[guest.security]\n', '');
  const both = `${guest}${table('2001:db8:2000::11', own)}${table('2001:db8:2000:0::10', 'kind = "none"\n')}`;
  const [loaded] = loadHostConfig(write(both)).guests;
  t.match(loaded?.security, [
    { homeAddress: '2001:db8:2000::10', security: { kind: 'none' } },
    { homeAddress: '2001:db8:2000::11', security: { kind: 'esp' } },
  ]);
  t.strictSame(problems(`${guest}[guest.security]\nkind = "none"`), []);
  const cases: [text: string, problem: RegExp][] = [
    [
      guest + ESP,
      /^8: guest.security.home_address: is missing, and the guest has 2 home addresses; write one \[\[guest.security\]\] for each, with home_address = "2001:db8:2000::10" or "2001:db8:2000::11"$/,
    ],
    [
      guest + table('2001:db8:2000::11', own),
      /^8: guest.security: says nothing about "2001:db8:2000::10"; write a \[\[guest.security\]\] for it, with kind = "none" if/,
    ],
    [
      `${guest}${ESP}home_address = "2001:db8:2000::11"`,
      /^8: guest.security: says nothing about "2001:db8:2000::10"/,
    ],
    [
      guest + table('2001:db8:2000::12', own),
      /^9: guest.security.home_address: "2001:db8:2000::12" is no home address of this guest; write/,
    ],
    [
      both + table('2001:db8:2000::10', 'kind = "none"'),
      /"2001:db8:2000::10" has another \[\[guest.security\]\] already; keep one/,
    ],
    [both.replace('"none"', '"nun"'), /^18: guest.security.kind: "nun" is not known here/],
    [
      `${GUEST}[[guest.security]]\nhome_addres = "2001:db8:2000::10"\nkind = "none"`,
      /^9: guest.security.home_addres: unknown key; did you mean home_address/,
    ],
  ];
  for (const [text, problem] of cases) t.match(problems(text), [problem]);
  t.strictSame(problems(GUEST + ESP.replace('[guest.security]', '[[guest.security]]')), []);
});

t.test('RFC 3776: an association belongs to one home address', async (t) => {
  const second = (rest: string, homeAgent = '2001:db8:2000::1') =>
    GUEST.replace('::10', '::11')
      .replace('::44', '::45')
      .replace('vm1', 'vm2')
      .replace('kgtap0', 'kgtap1')
      .replace('2000::1"\ncare', `${homeAgent.slice(9)}"\ncare`) + rest;
  const own = (out: number, spiIn: number, file = keyFile(16, 20)) =>
    ESP.replace('1000', `${out}`).replace('1001', `${spiIn}`).replace(KEYS, file);
  const first = GUEST + ESP;
  t.strictSame(problems(first + second(own(2000, 2001))), []);
  const linked = join(directory, 'linked.keys');
  const soft = join(directory, 'soft.keys');
  linkSync(KEYS, linked);
  symlinkSync(KEYS, soft);
  const cases: [text: string, problem: RegExp][] = [
    [
      own(2000, 1001),
      /^27: guest.security.spi_in: SPI 1001 is already that of 2001:db8:2000::10; an association belongs to one home address: write another number$/,
    ],
    [own(1000, 2001), /^26: guest.security.spi_out: SPI 1000 is already that of 2001:db8:2000::10/],
    [
      own(2000, 2001, KEYS),
      /^28: guest.security.key_file: ".*" is already that of 2001:db8:2000::10; each home address needs keys of its own$/,
    ],
    [own(2000, 2001, linked), /^28: .*linked.keys" is already that of/],
    [own(2000, 2001, soft), /^28: .*soft.keys" is already that of/],
  ];
  for (const [rest, problem] of cases) t.match(problems(first + second(rest)), [problem]);
  t.strictSame(
    problems(first + second(own(1000, 2001), '2001:db8:2000::2')),
    [],
    'another receiver',
  );
  const found =
    first +
    second(own(1000, 2001)).replace('home_agent = "2001:db8:2000::1"', 'home_agent = "auto"');
  t.match(problems(found), [/SPI 1000 is already that of/], 'the receiver may be the same');
  const lists = (a: string, b: string) =>
    problems(
      first.replace('"2001:db8:2000::1"', a) +
        second(own(1000, 2001)).replace('"2001:db8:2000::1"', b),
    );
  t.match(
    lists('["2001:db8:2000::1", "2001:db8:2000::2"]', '["2001:db8:2000::3", "2001:db8:2000::2"]'),
    [/SPI 1000/],
  );
  t.match(
    problems(
      GUEST + OPTION + second(OPTION.replace(/key_file.*/, `key_file = "${keyFile(0, 16)}"`)),
    ),
    [/guest.security.spi: SPI 1000 is already that of 2001:db8:2000::10/],
  );

  const node = (address: string, rest: string) =>
    `[[mobile_node]]\nhome_address = "${address}"\n${rest.replace('guest.', 'mobile_node.')}`;
  const nodes = (rest: string) =>
    problems(HOME_AGENT + node('2001:db8:2000::10', ESP) + node('2001:db8:2000::11', rest));
  t.match(nodes(own(2000, 1001)), [/mobile_node.security.spi_in: SPI 1001 is already that of/]);
  t.strictSame(nodes(own(1000, 2001)), [], 'mobile nodes on hosts of their own');
});

t.test('key files that are refused, without a word of a key', async (t) => {
  const secret = 'a5'.repeat(16);
  const refusal = (name: string, text: string, mode = 0o600): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, mode);
    const found = problems(esp(`key_file = "${path}"`));
    t.equal(found.length, 1, name);
    t.notMatch(found[0], /a5a5/, name);
    return (found[0] ?? '').replaceAll(path, 'FILE');
  };
  const good = `encryption_key = "${secret}"\nauthentication_key = "${'a5'.repeat(20)}"\n`;
  const at = '14: guest.security.key_file: FILE';
  t.equal(
    refusal('a', good, 0o640),
    `${at} is open to group or others (mode 0640); run chmod 0600 FILE`,
  );
  t.match(refusal('b', good, 0o601), /is open to group or others \(mode 0601\)/);
  t.equal(
    refusal('c', good.replace(secret, 'a5'.repeat(15))),
    `${at}:1: encryption_key has 15 octets, aes-128-cbc takes 16; write "32 hex digits"`,
  );
  t.equal(
    refusal('d', good.replace('a5'.repeat(20), 'a5'.repeat(32))),
    `${at}:2: authentication_key has 32 octets, hmac-sha1-96 takes 20; write "40 hex digits"`,
  );
  t.match(
    refusal('e', good.replace(secret, `${secret}a`)),
    /:1: encryption_key has an odd number of hex/,
  );
  t.match(
    refusal('f', good.replace('a5', 'x5')),
    /:1: encryption_key is not hexadecimal; write "32 hex/,
  );
  t.match(
    refusal('g', good.replace(`"${secret}"`, '5')),
    /:1: encryption_key is not a text; write/,
  );
  t.match(refusal('h', `${secret}\n`), /:1: not TOML; write encryption_key = "hex" and auth/);
  t.match(
    refusal('i', good.replace('encryption', 'encrytion')),
    /:1: unknown key; did you mean encryption_key\?$/,
  );
  t.match(refusal('j', `${secret} = 1\n`), /:1: a key of the file that is not known here$/);
  t.match(refusal('k', ''), /FILE has no encryption_key; write encryption_key = "32 hex digits"/);
  t.match(refusal('l', 'x'.repeat(70_000)), /is too big for a key file/);
  t.match(problems(esp('encryption = "null"')), [
    /keys:1: encryption_key is not used here; take it away/,
  ]);
  t.match(problems(esp(`key_file = "${join(directory, 'nowhere')}"`)), [
    /nowhere is not there; make it like examples\/vm1.keys.example/,
  ]);
  t.match(problems(esp(`key_file = "${directory}"`)), [/ is not a plain file/]);
  t.match(problems(esp('key_file = "/dev/null"')), [/ is not a plain file/]);
  t.equal(
    problems(esp(`key_file = "${secret}"`))[0],
    '14: guest.security.key_file: is not an absolute path (keys stand in a file of their own); write "/etc/kagemusha/vm1.keys"',
  );
  t.match(problems(esp(`encryption = "${secret}"`)), [/encryption: what stands here is not known/]);
  const option = (length: number) =>
    problems(GUEST + OPTION.replace(/"\/.*"/, `"${keyFile(0, length)}"`));
  t.match(option(15), [/authentication_key has 15 octets, auth-option takes 16; write "32 hex/]);
  t.strictSame(option(16), []);
});

t.test('nothing of a key in what an error carries along', async (t) => {
  const path = join(directory, 'cause.keys');
  writeFileSync(path, `encryption_key = "${'a5'.repeat(16)}\n`, { mode: 0o600 });
  try {
    loadConfig(write(esp(`key_file = "${path}"`)));
    t.fail('accepted');
  } catch (error) {
    const { inspect } = await import('node:util');
    t.match(inspect(error, { depth: 9 }), /cause.keys:1: not TOML/);
    t.notMatch(inspect(error, { depth: 9, showHidden: true }), /a5a5/);
  }
});

t.test('whose key file', { skip: process.getuid?.() !== 0 }, async (t) => {
  const path = keyFile(16, 20);
  const text = esp(`key_file = "${path}"`);
  chownSync(path, 1234, 0);
  t.match(problems(text), [/ belongs to user 1234, who could change it; run chown 0 /]);
  t.strictSame(problems(text, 1234), [], 'root looks for another user');
  t.match(problems(text, 77), [/ belongs to user 1234, who could change it; run chown 77 /]);
  chownSync(path, 0, 0);
  t.match(problems(text, 1234), [/ cannot be read by user 1234; run chown 1234 /]);
  const loaded = loadConfig(write(esp('key_file = "/nowhere"')), { keys: 'leave' });
  t.equal(loaded.role, 'host', 'who does not need keys does not read them');
});

t.test('what is allowed and worth a word', async (t) => {
  const notes = (text: string) => configNotes(loadConfig(write(text)));
  t.strictSame(notes(GUEST + ESP), []);
  t.match(notes(GUEST), [
    /^2001:db8:2000::10 is not protected: .* write security with kind = "esp"$/,
  ]);
  const weak = (name: string, length: number) =>
    notes(esp(`encryption = "${name}"`).replace(KEYS, keyFile(length, 20)));
  t.match(weak('null', 0), [/encryption = "null" authenticates and hides nothing/]);
  t.match(weak('3des-cbc', 24), [/3des-cbc is for old peers only/]);
  t.match(notes(HOME_AGENT.replace('home_link', 'allow = "any"\nhome_link')), [
    /^allow = "any": whoever/,
  ]);
});
