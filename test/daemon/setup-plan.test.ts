import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { careOfSteps } from '../../src/daemon/care-of-steps.js';
import { loadConfig } from '../../src/daemon/config/load.js';
import { missingSteps, type SetupPlan } from '../../src/daemon/setup/plan.js';
import { makeCommands } from '../../src/daemon/setup/resource.js';
import type { Link, Route, SystemState, TunTap } from '../../src/daemon/setup/system.js';
import { planSetup } from '../../src/daemon/setup.js';
import { parseAddress, parsePrefix } from '../../src/wire/address.js';

const directory = t.testdir();
const HOST = join(directory, 'host.toml');
const HOME_AGENT = join(directory, 'ha.toml');
writeFileSync(
  HOST,
  `[host]
control_socket = "${directory}/host.sock"
state_directory = "${directory}"
[[guest]]
name = "vm1"
home_addresses = ["2001:db8:2000::10"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "2001:db8:3000::44"
port = { kind = "tap", device = "kgtap0" }
`,
);
writeFileSync(
  HOME_AGENT,
  `[home_agent]
control_socket = "${directory}/ha.sock"
state_directory = "${directory}"
address = "2001:db8:2000::1"
home_prefix = "2001:db8:2000::/64"
home_link = "eth0"
`,
);

const link = (device: string, rest: Partial<Link> = {}): [string, Link] => [
  device,
  {
    device,
    up: true,
    carrier: true,
    mtu: 1500,
    queue: 500,
    kind: undefined,
    addressMode: 'eui64',
    ...rest,
  },
];
const route = (prefix: string, device: string, rest: Partial<Route> = {}): Route => ({
  prefix: parsePrefix(prefix),
  device,
  onLink: true,
  protocol: 'kernel',
  mtu: undefined,
  ...rest,
});
const tunTap = (mode: 'tun' | 'tap', rest: Partial<TunTap> = {}): TunTap => ({
  mode,
  persistent: true,
  multiQueue: false,
  owner: undefined,
  ...rest,
});

/** A host with one card on the care-of network, as it comes from the installer. */
function fresh(rest: Partial<SystemState> = {}, sysctls: Record<string, string> = {}): SystemState {
  return {
    links: new Map([link('lo'), link('eth0')]),
    tunTaps: new Map(),
    addresses: [],
    routes: [
      route('2001:db8:3000::/64', 'eth0'),
      route('::/0', 'eth0', { onLink: false, protocol: 'ra' }),
    ],
    unreachable: new Set(),
    blackholes: new Set(),
    proxies: new Set(),
    sysctl: (name) =>
      ({ 'net/ipv6/conf/eth0/accept_ra': '1', 'net/ipv6/conf/all/forwarding': '0', ...sysctls })[
        name
      ],
    ...rest,
  };
}

const commands = (plan: SetupPlan, system: SystemState): string[] =>
  missingSteps(plan, system).flatMap(({ resource }) =>
    makeCommands(resource, system).map((command) => command.join(' ')),
  );

t.test('a fresh host, in the order that keeps its own default route', async (t) => {
  const system = fresh();
  const plan = planSetup(loadConfig(HOST), system, { owner: process.getuid?.() || 1000 });
  const user = process.getuid?.() || 1000;
  // The test's directory is ours or root's; what is asked here is the rest.
  const steps = commands({ ...plan, obstacles: [] }, system);
  t.strictSame(steps, [
    `ip tuntap add dev kg0 mode tun user ${user}`,
    'ip link set dev kg0 mtu 1500 addrgenmode none up',
    'ip link set dev kg0 txqueuelen 5000',
    `ip tuntap add dev kgtap0 mode tap user ${user}`,
    'sysctl -qw net.ipv6.conf.kgtap0.disable_ipv6=1',
    'ip link set dev kgtap0 up',
    'ip -6 route replace 2001:db8:3000::44/128 dev kg0',
    'sysctl -qw net.ipv6.conf.eth0.accept_ra=2',
    'sysctl -qw net.ipv6.conf.all.forwarding=1',
    'sysctl -qw net.ipv6.conf.eth0.proxy_ndp=1',
    'sysctl -qw net.ipv6.neigh.eth0.proxy_delay=0',
    'ip -6 neighbour add proxy 2001:db8:3000::44 dev eth0',
  ]);
  t.same(plan.notes, []);
});

t.test('root: the devices are for nobody else', async (t) => {
  const system = fresh();
  const plan = planSetup(loadConfig(HOST), system, { owner: 0 });
  t.ok(commands(plan, system).includes('ip tuntap add dev kg0 mode tun'));
});

t.test('a care-of prefix that the network routes here needs no proxy', async (t) => {
  const routes = [route('2001:db8:3000::/64', 'kg0'), route('2001:db8:9::/64', 'eth0.7')];
  const system = fresh({
    routes,
    links: new Map([
      link('eth0.7'),
      link('kg0', { kind: 'tun', addressMode: 'none', queue: 5000 }),
    ]),
    tunTaps: new Map([['kg0', tunTap('tun')]]),
  });
  const plan = planSetup(loadConfig(HOST), system);
  const steps = commands(plan, system);
  t.notOk(
    steps.some((step) => /proxy|route|kg0/.test(step)),
    steps.join('; '),
  );
  t.match(plan.notes, [/2001:db8:3000::44 \(vm1\) lies on no link of this host: its router must/]);
});

t.test('a device name with a dot', async (t) => {
  const system = fresh({ routes: [route('2001:db8:3000::/64', 'eth0.7')] });
  const steps = commands(planSetup(loadConfig(HOST), system), system);
  t.ok(steps.includes('sysctl -qw net/ipv6/conf/eth0.7/proxy_ndp=1'));
});

t.test('what another user owns is made anew, with all that hangs on it', async (t) => {
  const system = fresh(
    {
      links: new Map([link('kg0', { addressMode: 'none' }), link('kgtap0'), link('eth0')]),
      tunTaps: new Map([
        ['kg0', tunTap('tun', { owner: 1001 })],
        ['kgtap0', tunTap('tap', { owner: 1000 })],
      ]),
      routes: [route('2001:db8:3000::44/128', 'kg0'), route('2001:db8:3000::/64', 'eth0')],
    },
    { 'net/ipv6/conf/kgtap0/disable_ipv6': '1' },
  );
  const plan = planSetup(loadConfig(HOST), system, { owner: 1000 });
  t.strictSame(commands(plan, system).slice(0, 5), [
    'ip tuntap del dev kg0 mode tun',
    'ip tuntap add dev kg0 mode tun user 1000',
    'ip link set dev kg0 mtu 1500 addrgenmode none up',
    'ip link set dev kg0 txqueuelen 5000',
    'ip -6 route replace 2001:db8:3000::44/128 dev kg0',
  ]);
  t.notOk(commands(plan, system).some((step) => step.includes('kgtap0')));
});

t.test('what stands in the way', async (t) => {
  const obstacles = (system: SystemState, path = HOST) =>
    planSetup(loadConfig(path), system).obstacles;
  t.match(obstacles(fresh({ links: new Map([link('kg0', { kind: 'veth' })]) })), [
    /^kg0 \(the tunnels enter and leave here\) is there and is a veth, no tun; name another device/,
  ]);
  const devices = (device: string, found: TunTap) =>
    obstacles(fresh({ links: new Map([link(device)]), tunTaps: new Map([[device, found]]) }));
  t.match(devices('kgtap0', tunTap('tun')), [/^kgtap0 .* is a tun, no tap/]);
  t.match(devices('kg0', tunTap('tun', { persistent: false })), [/belongs to a program that runs/]);
  t.match(devices('kg0', tunTap('tun', { multiQueue: true })), [/has several queues/]);
  const address = (text: string) => [
    { address: parseAddress(text), prefixLength: 64, device: 'eth0' },
  ];
  t.match(obstacles(fresh({ addresses: address('2001:db8:3000::44') })), [
    /care_of_address of vm1 2001:db8:3000::44 is an address of this kernel .* ip -6 address del 2001:db8:3000::44\/64 dev eth0/,
  ]);
  t.match(obstacles(fresh({ addresses: address('2001:db8:2000::1') }), HOME_AGENT), [
    /^address 2001:db8:2000::1 is an address of this kernel/,
  ]);
  t.match(obstacles(fresh({ links: new Map([link('lo'), link('ens3')]) }), HOME_AGENT), [
    /^home_link eth0 is no interface of this host; there are lo, ens3$/,
  ]);
});

t.test('a home agent: its TUN has the MTU inside, its own address the one outside', async (t) => {
  const system = fresh();
  const plan = planSetup(loadConfig(HOME_AGENT), system);
  t.strictSame(commands(plan, system), [
    'ip tuntap add dev kgha0 mode tun',
    'ip link set dev kgha0 mtu 1460 addrgenmode none up',
    'ip link set dev kgha0 txqueuelen 5000',
    'ip -6 route replace 2001:db8:2000::1/128 dev kgha0 mtu lock 1500',
    'ip -6 route replace 2001:db8:2000:0:fdff:ffff:ffff:fffe/128 dev kgha0',
    'sysctl -qw net.ipv6.conf.eth0.accept_ra=2',
    'sysctl -qw net.ipv6.conf.all.forwarding=1',
  ]);
});

t.test('a host that forwards already keeps its accept_ra', async (t) => {
  const forwarding = {
    'net/ipv6/conf/all/forwarding': '1',
    'net/ipv6/conf/eth0/forwarding': '1',
  };
  const system = fresh({}, forwarding);
  const steps = commands(planSetup(loadConfig(HOME_AGENT), system), system);
  t.notOk(steps.some((step) => /accept_ra|forwarding/.test(step)));
  const half = fresh(
    {},
    { 'net/ipv6/conf/all/forwarding': '1', 'net/ipv6/conf/eth0/forwarding': '0' },
  );
  t.ok(
    commands(planSetup(loadConfig(HOME_AGENT), half), half).includes(
      'sysctl -qw net.ipv6.conf.eth0.forwarding=1',
    ),
  );
});

t.test('where IPv6 is off for new devices, the TUN has it', async (t) => {
  const system = fresh({}, { 'net/ipv6/conf/default/disable_ipv6': '1' });
  const steps = commands(planSetup(loadConfig(HOST), system), system);
  t.ok(steps.includes('sysctl -qw net.ipv6.conf.kg0.disable_ipv6=0'));
});

t.test('an automatic care-of address: forwarding is there, the daemon does the rest', async (t) => {
  const auto = join(directory, 'auto.toml');
  writeFileSync(auto, readFileSync(HOST, 'utf8').replace('"2001:db8:3000::44"', '"auto"'));
  const system = fresh();
  const plan = planSetup(loadConfig(auto), system);
  t.strictSame(commands(plan, system), [
    'ip tuntap add dev kg0 mode tun',
    'ip link set dev kg0 mtu 1500 addrgenmode none up',
    'ip link set dev kg0 txqueuelen 5000',
    'ip tuntap add dev kgtap0 mode tap',
    'sysctl -qw net.ipv6.conf.kgtap0.disable_ipv6=1',
    'ip link set dev kgtap0 up',
    'sysctl -qw net.ipv6.conf.eth0.accept_ra=2',
    'sysctl -qw net.ipv6.conf.all.forwarding=1',
  ]);
  t.same(plan.notes, []);
  const steps = careOfSteps(parseAddress('2001:db8:3000::44'), {
    name: 'vm1',
    uplink: 'kg0',
    system,
  });
  t.strictSame(commands({ ...plan, steps }, system), [
    'ip -6 route replace 2001:db8:3000::44/128 dev kg0',
    'sysctl -qw net.ipv6.conf.eth0.proxy_ndp=1',
    'sysctl -qw net.ipv6.neigh.eth0.proxy_delay=0',
    'ip -6 neighbour add proxy 2001:db8:3000::44 dev eth0',
  ]);
  t.match(planSetup(loadConfig(auto), fresh({ routes: [] })).notes, [
    /^care_of_address = "auto" of vm1: no interface has a global/,
  ]);
});

t.test('a guest on its home network needs no care-of address', async (t) => {
  const home = join(directory, 'home.toml');
  const lines = 'home_link = "br0"\nmac = "52:54:00:00:00:01"';
  writeFileSync(home, readFileSync(HOST, 'utf8').replace(/^care_of_address.*$/m, lines));
  const system = fresh({ links: new Map([link('eth0'), link('br0', { kind: 'bridge' })]) });
  const plan = planSetup(loadConfig(home), system);
  t.same([plan.obstacles, plan.notes], [[], []]);
  t.notOk(commands(plan, system).some((step) => /proxy|route/.test(step)));
  t.match(planSetup(loadConfig(home), fresh()).obstacles, [
    /^home_link br0 of vm1 is no interface of this host; there are lo, eth0$/,
  ]);
});

t.test(
  'a packet uplink: no TUN, no route, no proxy; a kernel that leaves its addresses alone',
  async (t) => {
    const path = join(directory, 'packet.toml');
    const plan = (uplink: string, system: SystemState, careOf = '2001:db8:3000::44'): SetupPlan => {
      const text = readFileSync(HOST, 'utf8')
        .replace('[host]', `[host]\nuplink = { kind = "packet", device = "eth0"${uplink} }`)
        .replace('2001:db8:3000::44', careOf);
      writeFileSync(path, text);
      return planSetup(loadConfig(path), system);
    };
    const words = ({ steps }: SetupPlan, system: SystemState) =>
      steps.flatMap(({ resource }) => makeCommands(resource, system)).map((line) => line.join(' '));
    const forwarding = { 'net/ipv6/conf/all/forwarding': '1' };
    for (const system of [fresh(), fresh({}, forwarding)]) {
      const own = plan('', system);
      t.same(own.obstacles, []);
      const commands = words(own, system).join('\n');
      t.match(commands, /tuntap add dev kgtap0 mode tap/);
      t.notMatch(commands, /mode tun|route|proxy|forwarding/);
    }
    const device = ', mac = "device"';
    t.notMatch(
      words(plan(device, fresh()), fresh()).join('\n'),
      /blackhole/,
      'it forwards nothing',
    );
    const forwards = fresh({}, forwarding);
    const drop = 'ip -6 route replace blackhole 2001:db8:3000::44/128';
    t.ok(words(plan(device, forwards), forwards).includes(drop), 'a drop rule');
    const dropping = fresh(
      { blackholes: new Set([parseAddress('2001:db8:3000::44')]) },
      forwarding,
    );
    const missing = missingSteps(plan(device, dropping), dropping);
    t.notOk(
      missing.some(({ resource }) => resource.kind === 'blackhole'),
      'it is there',
    );
    t.match(
      plan(device, forwards, 'auto').obstacles[0],
      /"auto" of vm1 with mac = "device".*forwarding=0$/,
    );
    t.same(plan(device, fresh(), 'auto').obstacles, []);

    const proxied = fresh({ proxies: new Set(['2001:db8:3000::44 eth0']) });
    t.match(plan('', proxied).obstacles, [
      /kernel answers for care-of address .*neighbour del|neighbour del|neighbor del/,
    ]);
    const small = fresh({ links: new Map([link('eth0', { mtu: 1400 })]) });
    t.match(plan('', small).obstacles, [
      /^eth0 takes packets of 1400 octets.* write uplink_mtu = 1400/,
    ]);
    t.match(plan('', fresh({ links: new Map([link('lo')]) })).obstacles, [
      /^uplink eth0 is no interface/,
    ]);
    const down = fresh({ links: new Map([link('eth0', { up: false })]) });
    t.ok(words(plan('', down), down).includes('ip link set dev eth0 up'));
  },
);

t.test('a virtual home link: who is not registered is unreachable', async (t) => {
  const virtual = join(directory, 'virtual.toml');
  const text = readFileSync(HOME_AGENT, 'utf8').replace(
    /^home_link.*$/m,
    'virtual_home_link = true',
  );
  writeFileSync(virtual, text);
  const plan = (system: SystemState) => commands(planSetup(loadConfig(virtual), system), system);
  const unreachable = 'ip -6 route replace unreachable 2001:db8:2000::/64';
  t.strictSame(plan(fresh()).slice(3), [
    'ip -6 route replace 2001:db8:2000::1/128 dev kgha0 mtu lock 1500',
    'ip -6 route replace 2001:db8:2000:0:fdff:ffff:ffff:fffe/128 dev kgha0',
    'sysctl -qw net.ipv6.conf.eth0.accept_ra=2',
    'sysctl -qw net.ipv6.conf.all.forwarding=1',
    unreachable,
  ]);
  t.notOk(plan(fresh({ unreachable: new Set(['2001:db8:2000::/64']) })).includes(unreachable));
  const routed = fresh({ routes: [route('2001:db8:2000::/64', 'eth1')] });
  t.notOk(plan(routed).includes(unreachable), 'a real link has the prefix');
});

t.test('a guest behind a socket of QEMU has no device; its directory may come later', async (t) => {
  const stream = join(directory, 'stream.toml');
  const path = join(directory, 'qemu', 'vm1.sock');
  const text = readFileSync(HOST, 'utf8').replace(
    /^port.*$/m,
    `port = { kind = "qemu-stream", path = "${path}" }`,
  );
  writeFileSync(stream, text);
  const config = loadConfig(stream);
  const plan = planSetup(config, fresh(), { owner: 1000 });
  const said = plan.steps.map(({ describe }) => describe).join('\n');
  t.notMatch(said, /tap/);
  const made = commands(plan, fresh());
  t.notMatch(made.join('\n'), /kgtap|mode tap/);
  t.ok(made.includes(`install -d -m 0755 -o 1000 ${join(directory, 'qemu')}`));
  const step = plan.steps.find(({ describe }) => /socket of guest vm1/.test(describe));
  t.equal(step?.advice, true, 'the daemon starts without it');
  const attached = new Set([path]);
  const again = planSetup(config, fresh(), { owner: 1000, attached });
  t.notMatch(again.steps.map(({ describe }) => describe).join('\n'), /socket of guest/);
});
