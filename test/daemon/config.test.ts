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
    poll: 'sleep',
    uplinkMtu: 1500,
    tunnelMtu: 1460,
    pathMtuProbing: true,
    mssClamp: true,
  });
  t.strictSame(config.guests, [
    {
      name: 'vm1',
      homeAddresses: ['2001:db8:2000::10'],
      homePrefix: { address: '2001:db8:2000::', length: 64 },
      homeRouter: 'fe80::1',
      homeAgents: { kind: 'list', addresses: ['2001:db8:2000::1'] },
      careOfAddress: '2001:db8:3000::44',
      homeLink: undefined,
      lifetime: 60,
      livenessInterval: 30,
      routeOptimisation: false,
      register: 'start',
      qmp: undefined,
      port: { kind: 'tap', device: 'kgtap0' },
      routerAdvertisement: {
        autonomous: false,
        routerLifetime: 1800,
        validLifetime: 86400,
        preferredLifetime: 14400,
        managed: false,
        other: false,
        mtu: undefined,
      },
      security: [{ homeAddress: '2001:db8:2000::10', security: { kind: 'none' } }],
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
    pathMtuProbing: true,
    mssClamp: true,
    prefixes: [
      {
        prefix: { address: '2001:db8:2000::', length: 64 },
        validLifetime: 2_592_000,
        preferredLifetime: 604_800,
        onLink: true,
        autonomous: true,
      },
    ],
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

t.test('router_advertisement.mtu is none, or a number that every link may have', async (t) => {
  const mtu = (value: string) => `router_advertisement = { mtu = ${value} }`;
  const advertised = (value: string) =>
    loadHostConfig(write(HOST + mtu(value))).guests[0]?.routerAdvertisement.mtu;
  t.equal(advertised('"none"'), undefined);
  t.equal(advertised('1280'), 1280);
  t.equal(advertised('9216'), 9216);
  const cases = [
    ['1279', /1279 is not a whole number from 1280 to 9216; write 1280/],
    ['9217', /9217 is not a whole number/],
    ['"auto"', /"auto" is not known here; write "none"/],
  ] as const;
  for (const [value, problem] of cases) t.match(problems(HOST + mtu(value))[0], problem);
});

t.test('what a guest hears does not run out before it can hear it again', async (t) => {
  const set = (key: string, value: number) => `router_advertisement = { ${key} = ${value} }`;
  for (const key of ['router_lifetime', 'valid_lifetime', 'preferred_lifetime']) {
    t.match(
      problems(HOST + set(key, 11))[0],
      /11 is not 0 or a whole number from 12 to \d+ \(seconds\)/,
    );
  }
  for (const value of [0, 12]) {
    t.same(problems(HOST + set('router_lifetime', value)), []);
    t.same(problems(HOST + set('preferred_lifetime', value)), []);
  }
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
    ['home_agent = 5', '6: guest.home_agent: 5 is not an IPv6 address; write "2001:db8:2000::1"'],
    [
      'port = { kind = "tap", device = "a-name-that-is-too-long" }',
      '8: guest.port.device: "a-name-that-is-too-long" is too long for a device name (15 letters); write "kgtap0"',
    ],
    ['port = { kind = "tap" }', '8: guest.port.device: is missing; write device = "kgtap0"'],
    [
      'port = { kind = "veth", device = "x" }',
      '8: guest.port.kind: "veth" is not known here; write "tap" or "qemu-stream"',
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
  t.match(problems('[host]\nuplink_mtu = 1279\n')[0], /^2: host.uplink_mtu: 1279 is not a whole/);
});

t.test(
  'RFC 2473 7.1: the MTU inside a tunnel is the outer one less 40, and never below 1280',
  async (t) => {
    for (const [uplink, tunnel] of [
      [1280, 1280],
      [1320, 1280],
      [1400, 1360],
      [9000, 8960],
    ]) {
      const config = loadHostConfig(write(`[host]\nuplink_mtu = ${uplink}\n`));
      t.match(config, { uplinkMtu: uplink, tunnelMtu: tunnel });
    }
  },
);

t.test('RFC 2473 6: hop limit, DSCP and encapsulation limit of outer headers', async (t) => {
  const outer = (lines: string) => loadHostConfig(write(`[host]\n${lines}`));
  t.match(outer(''), { tunnelMtu: 1460 });
  t.strictSame(outer('').outer, { overhead: 40, hopLimit: 64 });
  const all = 'tunnel_hop_limit = 20\ntunnel_dscp = 46\ntunnel_encapsulation_limit = 4\n';
  t.strictSame(outer(all).outer, { overhead: 48, hopLimit: 20, dscp: 46, encapsulationLimit: 4 });
  t.equal(outer(all).tunnelMtu, 1452);
  const agent = HOME_AGENT.replace('[home_agent]\n', `[home_agent]\n${all}`);
  t.match(loadHomeAgentConfig(write(agent)), { tunnelMtu: 1452, outer: { dscp: 46 } });
  for (const [wrong, problem] of [
    ['tunnel_hop_limit = 0', /whole number from 1 to 255/],
    ['tunnel_dscp = 64', /whole number from 0 to 63/],
    ['tunnel_dscp = "pin"', /write "copy"/],
    ['tunnel_encapsulation_limit = 256', /whole number from 0 to 255/],
    ['tunnel_encapsulation_limit = "off"', /write "none"/],
  ] as const) {
    t.match(problems(`[host]\n${wrong}\n`)[0], problem, wrong);
  }
});

t.test('path MTU probing and the MSS clamp can be turned off, at both ends', async (t) => {
  const off = 'path_mtu_probing = false\nmss_clamp = false\n';
  t.match(loadHostConfig(write(`[host]\n${off}`)), { pathMtuProbing: false, mssClamp: false });
  const agent = HOME_AGENT.replace('[home_agent]\n', `[home_agent]\n${off}`);
  t.match(loadHomeAgentConfig(write(agent)), { pathMtuProbing: false, mssClamp: false });
  t.match(
    problems('[host]\npath_mtu_probing = 1\n')[0],
    /^2: host.path_mtu_probing: 1 is not true or false/,
  );
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

t.test('the monitor of QEMU goes with register = qmp, and with nothing else', async (t) => {
  const lines = (text: string) => HOST.replace('name =', `${text}\nname =`);
  const { guests } = loadHostConfig(write(lines('register = "qmp"\nqmp = "/run/vm1.qmp"')));
  t.match(guests, [{ register: 'qmp', qmp: '/run/vm1.qmp' }]);
  t.match(
    problems(lines('register = "qmp"'))[0],
    /guest.qmp: is missing; write qmp = "\/run\/.*-qmp unix:PATH/,
  );
  t.match(
    problems(lines('qmp = "/run/vm1.qmp"'))[0],
    /guest.qmp: is only used with register = "qmp"/,
  );
  t.match(problems(lines('register = "qmp"\nqmp = "vm1.qmp"'))[0], /guest.qmp: /);
  const one = lines('register = "qmp"\nqmp = "/run/vm1.qmp"');
  const another = one
    .slice(one.indexOf('[[guest]]'))
    .replace('::10', '::11')
    .replace('::44', '::45');
  t.match(
    problems(`${one}${another.replace('kgtap0', 'kgtap1').replace('"vm1"', '"vm2"')}`)[0],
    /guest.qmp: "\/run\/vm1.qmp" is already the monitor of guest "vm1"/,
  );
});

t.test('ports: a tap, or a stream socket of QEMU', async (t) => {
  const port = (line: string) => loadHostConfig(write(changed(line))).guests[0]?.port;
  t.strictSame(port('port = { kind = "tap", device = "kgtap7" }'), {
    kind: 'tap',
    device: 'kgtap7',
  });
  t.strictSame(port('port = { kind = "qemu-stream", path = "/run/vm1.sock" }'), {
    kind: 'qemu-stream',
    path: '/run/vm1.sock',
  });
  const wrong: [line: string, problem: RegExp][] = [
    [
      'port = { kind = "qemu-stream", device = "kgtap0" }',
      /^8: guest.port.path: is missing.*\n8: guest.port.device: is of kind = "tap"; write path = "[^"]+", or that kind$/,
    ],
    [
      'port = { kind = "tap", path = "/run/vm1.sock" }',
      /^8: guest.port.device: is missing.*\n8: guest.port.path: is of kind = "qemu-stream"; write device = "kgtap0", or that kind$/,
    ],
    [
      'port = { kind = "qemu-stream" }',
      /^8: guest.port.path: is missing; write path = "\/run\/kagemusha\/vm1.sock"$/,
    ],
    [
      'port = { kind = "qemu-stream", path = "vm1.sock" }',
      /^8: guest.port.path: "vm1.sock" is not an absolute path; write "\/run\/kagemusha\/vm1.sock"$/,
    ],
    [
      `port = { kind = "qemu-stream", path = "/${'x'.repeat(107)}" }`,
      /^8: guest.port.path: .* is too long for a socket \(107 octets\)/,
    ],
    [
      'port = { kind = "socket", path = "/run/vm1.sock" }',
      /^8: guest.port.kind: "socket" is not known here; write "tap" or "qemu-stream"$/,
    ],
    [
      'port = { device = "kgtap0" }',
      /^8: guest.port.kind: is missing; write kind = "tap" or "qemu-stream"$/,
    ],
    ['port = "kgtap0"', /^8: guest.port: "kgtap0" is not a table; write \{ kind = … \}/],
  ];
  for (const [line, problem] of wrong) t.match(problems(changed(line)).join('\n'), problem, line);
});

t.test('an uplink: a TUN, or the link of an interface', async (t) => {
  const uplink = (text: string) =>
    loadHostConfig(write(`[host]\nuplink = ${text}\n${GUEST}`)).uplink;
  t.strictSame(uplink('{ kind = "packet", device = "eth0" }'), {
    kind: 'packet',
    device: 'eth0',
    mac: 'own',
    router: undefined,
    frames: 1024,
    queueBytes: 4_194_304,
    bypassQdisc: false,
  });
  const all =
    'mac = "02:00:00:AA:00:01", router = "fe80::1", frames = 64, queue_bytes = 65536, bypass_qdisc = true';
  t.strictSame(uplink(`{ kind = "packet", device = "eth0", ${all} }`), {
    kind: 'packet',
    device: 'eth0',
    mac: '02:00:00:aa:00:01',
    router: 'fe80::1',
    frames: 64,
    queueBytes: 65_536,
    bypassQdisc: true,
  });
  t.match(uplink('{ kind = "packet", device = "eth0", mac = "device" }'), { mac: 'device' });
  t.match(uplink('{ kind = "packet", device = "eth0", router = "2001:db8::1" }'), {
    router: '2001:db8::1',
  });
  t.strictSame(uplink('{ kind = "tun", device = "kg9" }'), { kind: 'tun', device: 'kg9' });
  const cases: [text: string, problem: RegExp][] = [
    ['kind = "packet"', /^2: host.uplink.device: is missing; write device = "eth0"$/],
    [
      'kind = "pakcet", device = "x"',
      /uplink.kind: "pakcet" is not known here; write "tun" or "packet"/,
    ],
    ['device = "kg0"', /^2: host.uplink.kind: is missing; write kind = "tun" or "packet"$/],
    ['kind = "tun", device = "kg0", mac = "own"', /uplink.mac: belongs to kind = "packet"; write/],
    [
      'kind = "packet", device = "e", mac = "mine"',
      /uplink.mac: "mine" is not known here; write "own"/,
    ],
    [
      'kind = "packet", device = "e", mac = "01:00:00:00:00:01"',
      /uplink.mac: .* is not the address of/,
    ],
    [
      'kind = "packet", device = "e", router = "ff02::2"',
      /uplink.router: "ff02::2" is a multicast/,
    ],
    [
      'kind = "packet", device = "e", frames = 65',
      /uplink.frames: 65 is not a multiple of 64 from 64/,
    ],
    [
      'kind = "packet", device = "e", queue_bytes = 1',
      /uplink.queue_bytes: 1 is not a whole number/,
    ],
    [
      'kind = "packet", device = "e", rings = 1',
      /uplink.rings: unknown key; the keys here are kind, device/,
    ],
  ];
  for (const [text, problem] of cases) {
    const found = problems(`[host]\nuplink = { ${text} }\n${GUEST}`);
    t.equal(found.length, 1, text);
    t.match(found[0], problem);
  }
  const home = GUEST.replace(
    /^care_of_address.*\n/m,
    'home_link = "eth0"\nmac = "52:54:00:00:00:01"\n',
  );
  t.same(
    problems(`[host]\nuplink = { kind = "packet", device = "eth0" }\n${home}`),
    [],
    'home for one',
  );
  const twin = 'uplink = { kind = "packet", device = "eth0", mac = "52:54:00:00:00:01" }';
  t.match(problems(`[host]\n${twin}\n${home}`)[0], /guest.mac: .* is already that of the uplink/);
});

t.test('home agents: one, a list in order of preference, or found', async (t) => {
  const homeAgents = (line: string) => loadHostConfig(write(changed(line))).guests[0]?.homeAgents;
  const [first, second] = ['2001:db8:2000::1', '2001:db8:2000::2'];
  t.strictSame(homeAgents(`home_agent = ["${second}", "${first}"]`), {
    kind: 'list',
    addresses: [second, first],
  });
  t.strictSame(homeAgents('home_agent = "auto"'), { kind: 'auto' });
  const cases: [value: string, problem: RegExp][] = [
    ['[]', /^6: guest.home_agent: is empty; write \["2001:db8:2000::1"\]$/],
    ['["2001:db8:2000::1", 7]', /^6: guest.home_agent\[1\]: 7 is not an IPv6 address; write/],
    [
      '["2001:db8:2000::1", "2001:db8:2000:0::1"]',
      /^6: guest.home_agent\[1\]: "2001:db8:2000::1" is in the list already$/,
    ],
    ['["ff02::1"]', /^6: guest.home_agent\[0\]: "ff02::1" is a multicast address; write/],
    ['"Auto"', /^6: guest.home_agent: "Auto" is not an IPv6 address/],
    [
      JSON.stringify(Array.from({ length: 9 }, (_, i) => `2001:db8:2000::${i + 1}`)),
      /^6: guest.home_agent: has 9 entries; write at most 8$/,
    ],
  ];
  for (const [value, problem] of cases) {
    const found = problems(changed(`home_agent = ${value}`));
    t.equal(found.length, 1, value);
    t.match(found[0], problem);
  }
  t.match(
    problems(HOST.replace(/^home_agent.*$/m, ''))[0],
    /guest.home_agent: is missing; write home_agent = "2001/,
  );
});

t.test('a care-of address: written, automatic, or none at home', async (t) => {
  const [guest] = loadHostConfig(write(changed('care_of_address = "auto"'))).guests;
  t.equal(guest?.careOfAddress, 'auto');
  const without = HOST.replace(/^care_of_address.*\n/m, '');
  t.strictSame(problems(without), [
    '2: guest.care_of_address: is missing; write care_of_address = "2001:db8:3000::44" or "auto", on the home network home_link and mac instead',
  ]);
  const home = without.replace('name =', 'home_link = "br0"\nmac = "52:54:00:AA:bb:01"\nname =');
  const [athome] = loadHostConfig(write(home)).guests;
  t.match(athome, { homeLink: { device: 'br0', mac: '52:54:00:aa:bb:01' } });
  t.equal(athome?.careOfAddress, undefined);
  const cases: [text: string, problem: RegExp][] = [
    [home.replace(/^mac.*\n/m, ''), /guest.mac: is missing; write mac = "52:54:00:12:34:56"/],
    [home.replace(/^home_link.*\n/m, ''), /^3: guest.mac: is only used on the home network; write/],
    [home.replace('52:54', '53:54'), /^4: guest.mac: "53:54.*" is not the address of one station/],
    [home.replace('52:54', '5254'), /^4: guest.mac: "5254.*" is not a MAC address, write aa:bb/],
    [home.replace('"br0"', '"kgtap0"'), /^3: guest.home_link: "kgtap0" is the uplink or a guest's/],
    [
      `${home}care_of_address = "2001:db8:3000::44"\n`,
      /guest.care_of_address: "2001:db8:3000::44" is of a network visited, and home_link = "br0" of the home network; take one of the two away$/,
    ],
    [
      `${home}register = "traffic"\n`,
      /guest.register: "traffic" waits for the guest to register it, .*; write "start" or "command" beside home_link$/,
    ],
    [home.replace('"br0"', '"a/b"'), /^3: guest.home_link: "a\/b" is not a device name/],
    [
      home +
        GUEST.replace('::10', '::11')
          .replaceAll('vm1', 'vm2')
          .replace('kgtap0', 'kgtap1')
          .replace(/^care_of_address.*\n/m, '') +
        'home_link = "br0"\nmac = "52:54:00:aa:bb:01"\n',
      /guest.mac: "52:54:00:aa:bb:01" is already that of guest "vm1"; give each its own/,
    ],
  ];
  for (const [text, problem] of cases) t.match(problems(text)[0], problem);
});

t.test('liveness and route optimisation', async (t) => {
  const said = (line: string) => problems(HOST.replace('name =', `${line}\nname =`));
  t.strictSame(said('liveness_interval = 0\nroute_optimisation = true'), []);
  t.strictSame(said('liveness_interval = 5'), []);
  t.strictSame(said('liveness_interval = 4'), [
    '3: guest.liveness_interval: 4 is not 0 or a whole number from 5 to 3600 (seconds, 0: off); write 30',
  ]);
  t.match(said('liveness_interval = 3601')[0], /^3: .*3601 is not 0 or/);
  t.match(said('route_optimisation = "no"')[0], /^3: .* "no" is not true or false; write false/);
});

t.test('as many bindings as a process has room for', async (t) => {
  const said = (count: number) =>
    problems(HOME_AGENT.replace('home_link', `max_bindings = ${count}\nhome_link`));
  t.strictSame(said(4096), []);
  t.match(said(4097), [/^4: home_agent.max_bindings: 4097 is not a whole number from 1 to 4096/]);
});

t.test('a home link: real, or virtual; prefixes that are advertised', async (t) => {
  const virtual = HOME_AGENT.replace(/^home_link.*$/m, 'virtual_home_link = true');
  t.equal(loadHomeAgentConfig(write(virtual)).homeLink, undefined);
  t.strictSame(problems(HOME_AGENT.replace(/^home_link.*\n/m, '')), [
    '1: home_agent.home_link: is missing; write home_link = "eth0", or virtual_home_link = true when there is no home network',
  ]);
  t.match(
    problems(virtual.replace('virtual_', 'home_link = "eth0"\nvirtual_'))[0],
    /^4: home_agent.home_link: "eth0" is a real link, and virtual_home_link = true; take one/,
  );
  const prefix = '[[home_agent.prefix]]\nprefix = "2001:db8:2001::/64"\nvalid_lifetime = 700\n';
  const two = `${HOME_AGENT}${prefix}preferred_lifetime = 600\non_link = false\n`;
  t.strictSame(loadHomeAgentConfig(write(two)).prefixes, [
    {
      prefix: { address: '2001:db8:2001::', length: 64 },
      validLifetime: 700,
      preferredLifetime: 600,
      onLink: false,
      autonomous: true,
    },
  ]);
  t.match(
    problems(HOME_AGENT + prefix)[0],
    /^8: home_agent.prefix.preferred_lifetime: 604800 is more than valid_lifetime 700$/,
  );
  t.match(
    problems(two + prefix.replace('700', '700\npreferred_lifetime = 1'))[0],
    /^14: home_agent.prefix.prefix: "2001:db8:2001::\/64" is in another \[\[home_agent.prefix/,
  );
  t.match(
    problems(`${HOME_AGENT}max_lifetime = 6`)[0],
    /mobile_node.max_lifetime: 6 is not a multiple/,
  );
  const [node] = loadHomeAgentConfig(write(`${HOME_AGENT}max_lifetime = 8`)).mobileNodes;
  t.equal(node?.maxLifetime, 8);
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
  const lifetimes = 'router_advertisement = { valid_lifetime = 20 }';
  t.match(
    problems(HOST + lifetimes)[0],
    /^9: guest.router_advertisement.* 14400 is more than valid_lifetime 20/,
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
