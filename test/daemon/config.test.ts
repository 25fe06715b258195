import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  ConfigError,
  loadConfig,
  loadHomeAgentConfig,
  loadHostConfig,
} from '../../src/daemon/config/load.js';

/** The contract's example of a host, cut to what has no default. */
const GUEST = `
[[guest]]
name = "vm1"
home_addresses = ["2001:db8:2000::10"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "2001:db8:3000::44"
port = { kind = "tap", device = "kgtap0" }
`;
const HOST = `[host]${GUEST}`;
const HOME_AGENT = `[home_agent]
address = "2001:db8:2000::1"
home_prefix = "2001:db8:2000::/64"
home_link = "eth0"

[[mobile_node]]
home_address = "2001:db8:2000::10"
`;

const directory = t.testdir();
let files = 0;

function write(text: string): string {
  files += 1;
  const path = join(directory, `${files}.toml`);
  writeFileSync(path, text);
  return path;
}

/** The problems of a text, with FILE: in front taken away. */
function problems(text: string): string[] {
  const path = write(text);
  try {
    loadConfig(path);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ message }) => message.replace(`${path}:`, ''));
  }
}

/** A host's text with one line of the guest replaced. */
const changed = (line: string): string => {
  const key = line.split(' ')[0] ?? '';
  return HOST.replace(new RegExp(`^${key} = .*$`, 'm'), line);
};

t.test('a host: what is not said has its default', async (t) => {
  const config = loadHostConfig(write(HOST));
  t.match(config, {
    role: 'host',
    controlSocket: '/run/kagemusha/host.sock',
    stateDirectory: '/var/lib/kagemusha',
    uplink: { kind: 'tun', device: 'kg0' },
    workers: 1,
    uplinkMtu: 1500,
    tunnelMtu: 1460,
  });
  t.strictSame(config.guests, [
    {
      name: 'vm1',
      homeAddresses: ['2001:db8:2000::10'],
      homePrefix: { address: '2001:db8:2000::', length: 64 },
      homeRouter: 'fe80::1',
      homeAgent: '2001:db8:2000::1',
      careOfAddress: '2001:db8:3000::44',
      lifetime: 60,
      register: 'start',
      port: { kind: 'tap', device: 'kgtap0' },
      routerAdvertisement: {
        autonomous: false,
        routerLifetime: 1800,
        validLifetime: 86400,
        preferredLifetime: 14400,
        managed: false,
        other: false,
      },
      security: { kind: 'none' },
    },
  ]);
});

t.test('a home agent: what is not said has its default', async (t) => {
  const config = loadHomeAgentConfig(write(HOME_AGENT));
  t.match(config, {
    role: 'home-agent',
    controlSocket: '/run/kagemusha/ha.sock',
    stateDirectory: '/var/lib/kagemusha-ha',
    homeLink: 'eth0',
    tunnelDevice: 'kgha0',
    maxLifetime: 3600,
    allow: 'listed',
    tunnelMtu: 1460,
    mobileNodes: [{ homeAddress: '2001:db8:2000::10', security: { kind: 'none' } }],
  });
});

t.test('several home addresses, other spellings, a router of its own', async (t) => {
  const text = changed('home_addresses = ["2001:DB8:2000:0::10", "2001:db8:2000::11"]')
    .replace('name =', 'home_router = "fe80::aa"\nregister = "traffic"\nname =')
    .concat('[guest.security]\nkind = "none"\n[guest.router_advertisement]\nautonomous = true\n');
  const [guest] = loadHostConfig(write(text)).guests;
  t.match(guest, {
    homeAddresses: ['2001:db8:2000::10', '2001:db8:2000::11'],
    homeRouter: 'fe80::aa',
    register: 'traffic',
    routerAdvertisement: { autonomous: true, routerLifetime: 1800 },
  });
});

t.test('a wrong value names its line, its key and what to write', async (t) => {
  const cases: [line: string, problem: string][] = [
    [
      'care_of_address = "2001:db8::g"',
      '7: guest.care_of_address: "2001:db8::g" is not an IPv6 address: bad group "g"; write "2001:db8:3000::44"',
    ],
    [
      'care_of_address = "ff02::1"',
      '7: guest.care_of_address: "ff02::1" is a multicast address; write "2001:db8:3000::44"',
    ],
    [
      'home_addresses = ["2001:db8:2000::10", "fe80::2"]',
      '4: guest.home_addresses[1]: "fe80::2" is a link-local address, which routers do not forward; write "2001:db8:2000::10"',
    ],
    ['home_addresses = []', '4: guest.home_addresses: is empty; write ["2001:db8:2000::10"]'],
    [
      'home_prefix = "2001:db8:2000::"',
      '5: guest.home_prefix: "2001:db8:2000::" has no prefix length, write address/length; write "2001:db8:2000::/64"',
    ],
    [
      'home_prefix = "::/0"',
      '5: guest.home_prefix: "::/0" is not the prefix of a network; write "2001:db8:2000::/64"',
    ],
    ['home_agent = 5', '6: guest.home_agent: is not an IPv6 address; write "2001:db8:2000::1"'],
    [
      'port = { kind = "tap", device = "a-name-that-is-too-long" }',
      '8: guest.port.device: "a-name-that-is-too-long" is too long for a device name (15 letters); write "kgtap0"',
    ],
    ['port = { kind = "tap" }', '8: guest.port.device: is missing; write device = "kgtap0"'],
    [
      'port = { kind = "veth", device = "x" }',
      '8: guest.port.kind: "veth" is not known here; write "tap"',
    ],
  ];
  for (const [line, problem] of cases) t.strictSame(problems(changed(line)), [problem], line);
});

t.test('numbers have a range, lifetimes a unit of 4 s (RFC 6275 6.1.7)', async (t) => {
  for (const wrong of ['61', '0', '-4', '262144', '60.5', '"60"', 'true']) {
    const [problem] = problems(HOST.replace('name =', `lifetime = ${wrong}\nname =`));
    t.match(problem, /^3: guest.lifetime: .* is not a multiple of 4 from 4 to 262140/, wrong);
  }
  t.strictSame(problems(HOST.replace('name =', 'lifetime = 262140\nname =')), []);
  t.match(problems('[host]\nuplink_mtu = 1319\n')[0], /^2: host.uplink_mtu: 1319 is not a whole/);
  t.equal(loadHostConfig(write('[host]\nuplink_mtu = 1320\n')).tunnelMtu, 1280);
});

t.test('an unknown key names the nearest known one, and hides what follows from it', async (t) => {
  const misspelt = HOST.replace('care_of_address', 'care_of_adress');
  t.strictSame(problems(misspelt), [
    '7: guest.care_of_adress: unknown key; did you mean care_of_address?',
  ]);
  t.match(
    problems('[host]\nzzz = 1\n')[0],
    /^2: host.zzz: unknown key; the keys here are control_socket, /,
  );
  t.strictSame(problems('[host]\n[hots]\n'), ['2: hots: unknown key; did you mean host?']);
});

t.test('what the contract names and this version does not build says so', async (t) => {
  const cases: [line: string, problem: RegExp][] = [
    ['home_agent = "auto"', /^6: guest.home_agent: "auto" is not built yet in this version/],
    [
      'home_agent = ["2001:db8:2000::1", "2001:db8:2000::2"]',
      /^6: guest.home_agent: a list of several home agents is not built yet/,
    ],
    [
      'port = { kind = "qemu-stream", path = "/run/vm1.sock" }',
      /^8: guest.port.kind: "qemu-stream" is not built yet in this version; write "tap"$/,
    ],
  ];
  for (const [line, problem] of cases) {
    const found = problems(changed(line));
    t.equal(found.length, 1, line);
    t.match(found[0], problem);
  }
  t.match(
    problems('[host]\nuplink = { kind = "packet", device = "eth0" }')[0],
    /"packet" is not built/,
  );
  t.match(
    problems(HOST.replace('name =', 'register = "qmp"\nname ='))[0],
    /^3: guest.register: "qmp" is not built/,
  );
  const esp = `${HOST}[guest.security]\nkind = "esp"\nspi_out = 1000\nspi_in = 1001\n`;
  t.strictSame(problems(esp).length, 1);
  t.match(problems(esp)[0], /^10: guest.security.kind: "esp" is not built yet/);
  t.match(
    problems(`${HOST}[[guest.security]]\nkind = "none"`)[0],
    /^9: guest.security: .*not built yet/,
  );
  t.same(loadHostConfig(write(changed('home_agent = ["2001:db8:2000::1"]'))).guests.length, 1);
});

t.test('values that do not go together', async (t) => {
  const second = GUEST.replace('::10', '::11').replace('::44', '::45').replace('kgtap0', 'kgtap1');
  t.match(problems(HOST + second)[0], /^11: guest.name: "vm1" is the name of another guest/);
  const third = second.replace('vm1', 'vm2');
  t.strictSame(problems(HOST + third), []);
  const cases: [text: string, problem: RegExp][] = [
    [
      third.replace('kgtap1', 'kgtap0'),
      /^16: guest.port.device: "kgtap0" is already the device of guest "vm1"/,
    ],
    [
      third.replace('kgtap1', 'kg0'),
      /^16: guest.port.device: "kg0" is already the device of the uplink/,
    ],
    [
      third.replace('::45', '::44'),
      /^15: guest.care_of_address: .* is already the care-of address of "vm1"/,
    ],
    [
      third.replace('::11', '::10'),
      /^12: guest.home_addresses\[0\]: .* is already the home address of "vm1"/,
    ],
    [
      third.replace('3000::45', '2000::45'),
      /^15: guest.care_of_address: .* is in home_prefix 2001:db8:2000::\/64/,
    ],
    [
      third.replace('2000::11', '2001::11'),
      /^12: guest.home_addresses\[0\]: .* is not in home_prefix/,
    ],
    [
      third.replace('2000::1"', '3000::44"'),
      /^7: guest.care_of_address: .* is a home agent's own address/,
    ],
    [
      third.replace('2000::11', '2000::1'),
      /^12: guest.home_addresses\[0\]: .*is a home agent's own address/,
    ],
  ];
  for (const [text, problem] of cases) t.match(problems(HOST + text)[0], problem);
  const lifetimes = 'router_advertisement = { valid_lifetime = 10 }';
  t.match(
    problems(HOST + lifetimes)[0],
    /^9: guest.router_advertisement.* 14400 is more than valid_lifetime 10/,
  );
});

t.test('a home agent: values that do not go together', async (t) => {
  const twice = `${HOME_AGENT}[[mobile_node]]\nhome_address = "2001:db8:2000::10"\n`;
  t.match(problems(twice)[0], /^9: mobile_node.home_address: .* is already the home address/);
  const cases: [from: string, to: string, problem: RegExp][] = [
    ['::10"', '::1"', /^7: mobile_node.home_address: .* home agent's own address/],
    ['2000::10"', '2001::10"', /^7: mobile_node.home_address: .* is not in home_prefix/],
    ['"eth0"', '"kgha0"', /^1: home_agent.tunnel_device: "kgha0" is the home_link/],
  ];
  for (const [from, to, problem] of cases)
    t.match(problems(HOME_AGENT.replace(from, to))[0], problem);
});

t.test(
  'all problems are found, in the order of the file; the message is the first and their number',
  async (t) => {
    const path = write(`${changed('home_prefix = 1').replace('"vm1"', '7')}`);
    try {
      loadHostConfig(path);
      t.fail('accepted');
    } catch (error) {
      t.type(error, ConfigError);
      const { code, message, problems } = error as ConfigError;
      t.equal(code, 'CONFIG_INVALID');
      t.equal(message, `${path}:3: guest.name: 7 is not a name; write "vm1" (and 1 more)`);
      t.strictSame(
        problems.map(({ line }) => line),
        [3, 5],
      );
    }
  },
);

t.test('files that cannot be used', async (t) => {
  const refuses = (path: string, message: RegExp) =>
    t.throws(() => loadHostConfig(path), { code: 'CONFIG_INVALID', message });
  refuses(join(directory, 'nowhere.toml'), /nowhere.toml: no such file; name the configuration/);
  refuses(directory, /is a directory/);
  refuses(write('name = '), /toml:1: not TOML at column \d+: /);
  refuses(write('[host]\n[host]\n'), /toml:2: not TOML/);
  refuses(write(''), /has neither a \[host\] nor a \[home_agent\]/);
  refuses(
    write(HOME_AGENT),
    /is the configuration of a home agent; use it with kagemusha home-agent/,
  );
  t.throws(() => loadHomeAgentConfig(write(HOST)), { message: /use it with kagemusha host/ });
  t.test('one that others hide', { skip: process.getuid?.() === 0 }, async () => {
    const path = join(directory, 'hidden');
    mkdirSync(path);
    chmodSync(path, 0);
    refuses(join(path, 'x.toml'), /permission denied/);
  });
});
