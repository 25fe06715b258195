import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { loadHomeAgentConfig, loadHostConfig } from '../../src/daemon/config/load.js';
import { configNotes } from '../../src/daemon/config/notes.js';

const example = (name: string): string =>
  readFileSync(fileURLToPath(new URL(`../../examples/${name}`, import.meta.url)), 'utf8');

const directory = t.testdir();
/** An example as it would be here: what is in /etc/kagemusha there is in the test's directory. */
const placed = (name: string, change = (text: string) => text): string => {
  const path = join(directory, name);
  writeFileSync(path, change(example(name)).replaceAll('/etc/kagemusha', directory));
  return path;
};

/** The command that the example of a key file gives. */
const command = example('vm1.keys.example')
  .split('\n')
  .filter((line) => line.startsWith('#   ') && /umask|for |echo |done/.test(line))
  .map((line) => line.slice(1))
  .join('\n')
  .replaceAll('/etc/kagemusha', directory);

t.before(() => execFileSync('sh', ['-ec', command]));

t.test(
  'the example configurations are good ones, with keys made as the example says',
  async (t) => {
    const host = loadHostConfig(placed('host.toml'));
    const homeAgent = loadHomeAgentConfig(placed('home-agent.toml'));
    t.same([...configNotes(host), ...configNotes(homeAgent)], []);
    const [guest] = host.guests;
    const [home] = guest?.security ?? [];
    const [node] = homeAgent.mobileNodes;
    t.equal(node?.homeAddress, home?.homeAddress);
    if (home?.security.kind !== 'esp' || node?.security.kind !== 'esp') return t.fail('not esp');
    t.equal(home.security.spiOut, node.security.spiIn);
    t.equal(home.security.spiIn, node.security.spiOut);
    t.equal(home.security.keyId, node.security.keyId);
    t.equal(home.security.encryption, node.security.encryption);
    t.equal(home.security.authentication, node.security.authentication);
  },
);

t.test('the example of peers, with certificates made as it says', async (t) => {
  const peering = example('peering.toml');
  const commands = peering.split('\n').filter((line) => /^# {3}\(?(umask|openssl)/.test(line));
  t.equal(commands.length, 3);
  execFileSync('sh', ['-ec', commands.map((line) => line.slice(1)).join('\n')], {
    cwd: directory,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const tables = peering.replaceAll('/etc/kagemusha', directory);
  const both = (text: string): string => text.replace('[[guest]]', `${tables}\n[[guest]]`);
  const { peering: read } = loadHostConfig(placed('host.toml', both));
  t.match(read?.peers, [{ name: 'host-c', host: '2001:db8:4000::3', port: 7626 }]);
  t.equal(read?.peers.length, 1, 'itself is left out');
});

t.test('the example of a key file is no key', async (t) => {
  placed('vm1.keys.example');
  const keys = join(directory, 'vm1.keys.example');
  execFileSync('chmod', ['0600', keys]);
  const path = placed('host.toml', (text) => text.replace('/vm1.keys"', '/vm1.keys.example"'));
  t.throws(() => loadHostConfig(path), {
    message: /encryption_key is not hexadecimal; write "32 hex/,
  });
});

t.test('what the examples leave commented out is right too', async (t) => {
  const all = (text: string) => text.replace(/^# (\[|[a-z_]+ = )/gm, '$1');
  const home = (text: string) =>
    all(text).replace(/^(care_of_address =|register =|uplink = { kind = "tun",) .*\n/gm, '');
  const host = loadHostConfig(placed('host.toml', home));
  t.match(host, { uplinkMtu: 1500, workers: 1, poll: 'sleep' });
  t.match(host.uplink, { kind: 'packet', mac: 'own', frames: 1024, bypassQdisc: false });
  t.match(host.guests[0], {
    livenessInterval: 30,
    homeLink: { device: 'br0' },
    routerAdvertisement: { routerLifetime: 1800 },
  });
  const rest = (text: string) => all(text).replace(/^home_link.*\n/m, '');
  const homeAgent = loadHomeAgentConfig(placed('home-agent.toml', rest));
  t.match(homeAgent, {
    homeLink: undefined,
    maxBindings: 1024,
    mobileNodes: [{ maxLifetime: 600 }],
  });
});
