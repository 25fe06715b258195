import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { Authority, pem } from '../../src/cli/demo/vm/certificates.js';
import { ConfigError, loadHostConfig } from '../../src/daemon/config/load.js';

const directory = t.testdir();
const authority = new Authority(directory);
const own = authority.issue('host-b');
const other = authority.issue('host-c');
let files = 0;

const PEER = `
[[host.peer]]
name = "host-c"
address = "[2001:db8:4000::3]:7626"
`;
const HOST = `[host.peering]
listen = "[2001:db8:3000::3]:7626"
certificate = "${own.certificate}"
key_file = "${own.key}"
authority = "${authority.certificate}"
${PEER}`;

/** Lines of the file above. */
const LISTEN = 2;
const CERTIFICATE = 3;
const KEY_FILE = 4;
const AUTHORITY = 5;
const PEER_NAME = 8;
const PEER_ADDRESS = 9;

/** A file in the tests' directory that nobody else has. */
function path(end: string): string {
  files += 1;
  return join(directory, `${files}.${end}`);
}

/** A file with this in it. */
function write(text: string, end = 'toml'): string {
  const file = path(end);
  writeFileSync(file, text);
  return file;
}

/** A key file that these may read. */
function keyFile(mode: number): string {
  const file = path('key');
  copyFileSync(own.key, file);
  chmodSync(file, mode);
  return file;
}

/** The text with the value of the line's key replaced. */
function changed(line: number, value: string): string {
  const lines = HOST.split('\n');
  lines[line - 1] = (lines[line - 1] ?? '').replace(/= .*/, `= "${value}"`);
  return lines.join('\n');
}

/** The problems of a text, with FILE: in front taken away. */
function problems(text: string): string[] {
  const file = write(text);
  try {
    loadHostConfig(file);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ message }) => message.replace(`${file}:`, ''));
  }
}

t.test('peers and this host among them, its key out of sight', async (t) => {
  const { peering } = loadHostConfig(write(HOST));
  if (peering === undefined) return t.fail('no peering');
  const { key, ...rest } = peering;
  t.strictSame(rest, {
    listen: { host: '2001:db8:3000::3', port: 7626 },
    certificate: pem(own.certificate),
    authority: pem(authority.certificate),
    peers: [{ name: 'host-c', host: '2001:db8:4000::3', port: 7626 }],
  });
  t.equal(Buffer.from(key.reveal()).toString(), pem(own.key));
  t.notMatch(JSON.stringify(peering), /PRIVATE KEY/);
  t.equal(loadHostConfig(write('[host]\n')).peering, undefined, 'there need not be any');
});

t.test('peers without what this host needs itself', async (t) => {
  t.match(problems(`[host]\n${PEER}`), [
    /host\.peering: is missing beside \[\[host\.peer\]\]; write listen, certificate, key_file, auth/,
  ]);
});

t.test('certificates that are none, or not any more', async (t) => {
  const missing = join(directory, 'nowhere.crt');
  const text = write('hello\n', 'crt');
  for (const [line, key] of [
    [CERTIFICATE, 'certificate'],
    [AUTHORITY, 'authority'],
  ] as const) {
    const where = `${line}: host.peering.${key}:`;
    t.strictSame(problems(changed(line, missing)), [
      `${where} ${missing} cannot be read (ENOENT); see README, Peers`,
    ]);
    t.strictSame(problems(changed(line, text)), [
      `${where} ${text} is no certificate in PEM; see README, Peers`,
    ]);
  }
  const old = path('crt');
  const expires = ['-days', '0'];
  execFileSync(
    'openssl',
    ['x509', '-in', own.certificate, '-signkey', own.key, ...expires, '-out', old],
    {
      stdio: 'pipe',
    },
  );
  t.strictSame(problems(changed(CERTIFICATE, old)), [], 'the tunnels need none; the log says it');
});

t.test("keys that are not the certificate's, or not its owner's alone", async (t) => {
  const where = `${KEY_FILE}: host.peering.key_file:`;
  t.strictSame(problems(changed(KEY_FILE, other.key)), [
    `${where} ${other.key} is not the key of ${own.certificate}; name the one that it was made with`,
  ]);
  const missing = join(directory, 'nowhere.key');
  t.strictSame(problems(changed(KEY_FILE, missing)), [
    `${where} ${missing} is not there; see README, Peers`,
  ]);
  for (const mode of [0o640, 0o604]) {
    const open = keyFile(mode);
    t.strictSame(problems(changed(KEY_FILE, open)), [
      `${where} ${open} is open to group or others (mode 0${mode.toString(8)}); run chmod 0600 ${open}`,
    ]);
  }
  t.strictSame(problems(changed(KEY_FILE, keyFile(0o400))), []);
});

t.test('who only looks at the document leaves the files alone', async (t) => {
  const file = write(changed(KEY_FILE, join(directory, 'nowhere.key')));
  t.match(loadHostConfig(file, { keys: 'leave' }).peering, { certificate: '', authority: '' });
});

t.test('endpoints: an address or a name, and a port', async (t) => {
  for (const [line, key] of [
    [LISTEN, 'peering.listen'],
    [PEER_ADDRESS, 'peer.address'],
  ] as const) {
    for (const wrong of [
      'host',
      '[::1]',
      '1.2.3.4:0',
      '1.2.3.4:65536',
      '2001:db8::1:7626',
      ':7626',
      'a b:1',
    ]) {
      const [problem, ...more] = problems(changed(line, wrong));
      const said = `${line}: host.${key}: "${wrong}" is no address and port; write "[2001:db8:`;
      t.equal(problem?.slice(0, said.length), said);
      t.strictSame(more, []);
    }
    t.match(problems(changed(line, '[host]:7626')), [/IPv6/]);
    for (const right of ['[2001:db8::1]:7626', '1.2.3.4:65535', 'host-c.example.net:1']) {
      t.strictSame(problems(changed(line, right)), [], right);
    }
  }
});

t.test('names of peers: as in their certificates, each its own', async (t) => {
  const long = 'x'.repeat(64);
  const names = ['host_c', '-host', 'host-', 'host..net', '2001:db8::1', '*.example.net', long];
  for (const wrong of names) {
    t.match(problems(changed(PEER_NAME, wrong)), [
      /^8: host\.peer\.name: ".+ is not a DNS name; write "host-c"$/,
    ]);
  }
  t.strictSame(problems(changed(PEER_NAME, 'Host-C.example.net')), []);
  for (const twin of ['host-c', 'HOST-C']) {
    t.strictSame(problems(HOST + PEER.replace('host-c', twin)), [
      `12: host.peer.name: "${twin}" is the name of another peer; give each a name of its own`,
    ]);
  }
});
