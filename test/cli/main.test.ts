import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { controlRoutes, type GuestHandlers } from '../../src/daemon/control-routes.js';
import { createControlServer } from '../../src/daemon/control-server.js';
import type {
  BindingStatus,
  DaemonStatus,
  HostStatus,
  ReloadAnswer,
} from '../../src/daemon/status.js';
import { KagemushaError } from '../../src/errors.js';
import type { GuestState } from '../../src/migration/index.js';
import { parseAddress } from '../../src/wire/address.js';
import { changes, home, homeAgentStatus, hostStatus, reload } from '../daemon/fixtures.js';
import { shortDirectory } from '../support/short-directory.js';
import { COMMAND, kagemusha } from './kagemusha.js';

/** One line on stderr with the code in front, nothing on stdout. */
const fails = (code: number, line: RegExp) => ({
  code,
  out: '',
  err: new RegExp(`^kagemusha: ${line.source}[^\\n]*\\n$`),
});

t.test('usage: exit code 2 and one line', async (t) => {
  const cases: [words: string[], line: RegExp][] = [
    [['stauts'], /USAGE: unknown command 'stauts'; did you mean status\?/],
    [['frobnicate', 'vm1'], /USAGE: unknown command 'frobnicate'; there are host, home-agent, /],
    [['--socket', '/x', 'bnd', 'vm1'], /USAGE: unknown command 'bnd'; did you mean bind\?/],
    [['status', '--jsno'], /USAGE: unknown option '--jsno' \(Did you mean --json\?\)/],
    [['status', 'too', 'many'], /USAGE: too many arguments/],
    [['host'], /USAGE: required option '--config <file>' not specified/],
    [['bind'], /USAGE: missing required argument 'guest'/],
    [['ping', 'vm1', '-c', '0'], /USAGE: option '-c, --count <n>' argument '0' is invalid/],
    [
      ['ping', 'vm1', '-s', '1233'],
      /USAGE: option '-s, --size <octets>' argument '1233' is invalid/,
    ],
    [['setup', '--config', 'x', '--apply', '--undo'], /USAGE: use either --apply or --undo/],
    [
      ['capture', '--interface', '=x', '--write', '/dev/null'],
      /USAGE: --interface takes DEVICE=NAME/,
    ],
  ];
  const said = await Promise.all(cases.map(([words]) => kagemusha(words)));
  for (const [i, [words, line]] of cases.entries())
    t.match(said[i], fails(2, line), words.join(' '));
});

t.test('help and version are answers', async (t) => {
  const help = await kagemusha(['--help']);
  t.match(help, { code: 0, err: '', out: /^Usage: kagemusha / });
  for (const command of [
    'host',
    'home-agent',
    'status',
    'bind',
    'unbind',
    'guest',
    'reload',
    'demo',
    'check',
    'setup',
    'ping',
    'capture',
  ]) {
    t.match(help.out, new RegExp(`^  ${command} `, 'm'));
  }
  t.match(await kagemusha(['setup', '--help']), { code: 0, out: /--undo/ });
  t.match(await kagemusha(['--version']), { code: 0, out: /^\d+\.\d+\.\d+\n$/ });
});

t.test('a checkout that is not built says what to run', async (t) => {
  const directory = t.testdir();
  const bin = join(dirname(dirname(fileURLToPath(import.meta.url))), '..', 'bin', 'kagemusha');
  mkdirSync(join(directory, 'bin'));
  cpSync(bin, join(directory, 'bin', 'kagemusha'));
  const argv = ['-u', 'NODE_OPTIONS', process.execPath, join(directory, 'bin', 'kagemusha')];
  const said = spawnSync('env', argv, { encoding: 'utf8' });
  t.match(said, { status: 1, stderr: /^kagemusha: NOT_BUILT: .* npm run setup\n$/ });
});

t.test('no daemon, no file', async (t) => {
  const missing = await kagemusha(['--socket', '/nowhere/x.sock']);
  t.match(
    missing,
    fails(1, /DAEMON_UNREACHABLE: there is no socket \/nowhere\/x.sock; is the daemon running\?/),
  );
  t.match(
    await kagemusha(['host', '--config', '/nowhere.toml']),
    fails(1, /CONFIG_INVALID: \/nowhere.toml: no such file/),
  );
  t.match(await kagemusha(['setup', '--config', '/nowhere.toml']), fails(1, /CONFIG_INVALID: /));
  const long = `/${'x'.repeat(107)}`;
  t.match(await kagemusha(['--socket', long]), fails(1, /DAEMON_UNREACHABLE: .* is too long/));
});

t.test('check lists every problem of a file', async (t) => {
  const path = join(t.testdir(), 'host.toml');
  writeFileSync(path, '[host]\nworkers = 0\nuplink_mtu = "x"\n');
  const said = await kagemusha(['check', '--config', path]);
  t.equal(said.code, 1);
  t.match(
    said.out,
    new RegExp(`^wrong +${path}:2: host.workers: 0 is not .*\nwrong +${path}:3: host.uplink_mtu`),
  );
});

/** A daemon in name only: it tells and does what a test wants. */
async function stand(
  t: { teardown(end: () => void | Promise<void>): void },
  status: () => DaemonStatus,
  act: (verb: string) => void = () => {},
  more: Partial<GuestHandlers> & { readonly reload?: () => Promise<ReloadAnswer> } = {},
) {
  const { reload: read = reload, ...guests } = more;
  const socketPath = join(shortDirectory(t), 'x.sock');
  const server = await createControlServer({
    socketPath,
    routes: controlRoutes({
      status,
      devices: () => [],
      metrics: async () => '',
      reload: read,
      guests: {
        bind: () => act('bind'),
        unbind: () => act('unbind'),
        ping: async (_, count, size) => ({ sent: count, received: count, rtts_ms: [size / 8] }),
        ...changes,
        adopt: () => act('adopt'),
        release: () => {
          act('release');
          return { version: 1, homes: [] };
        },
        ...guests,
      },
    }),
  });
  t.teardown(() => server.close());
  return socketPath;
}

t.test('status: a table for people, the contract for programs', async (t) => {
  const host = await stand(t, () => hostStatus);
  const table = await kagemusha(['--socket', host]);
  t.match(table, { code: 0, err: '' });
  const lines = table.out.split('\n');
  t.match(
    lines[0],
    /^GUEST {2}STATE +HOME ADDRESS +CARE-OF ADDRESS +HOME AGENT +PROTECTION +EXPIRES IN +MTU +TO HOME +TO GUEST +DROPS$/,
  );
  t.match(
    lines[1],
    /^vm1 +registered +2001:db8:2000::10 .* esp +42 s +1360 +10 packets 12.3 kB +20 packets 1 B +spoofed_source 3$/,
  );
  t.match(lines[2], /^vm2 +rejected .* - +- +0 packets 0 B +0 packets 0 B +-$/);
  t.equal(lines[3], 'vm2: not home subnet, next try in 10 s');
  t.equal(lines[4], 'uplink eth0 (02:00:00:00:00:01): router fe80::1 on eth0 does not answer');
  t.equal(lines[5], 'uplink eth0: what leaves passes by tc, nftables and captures');
  t.equal(lines[6], 'uplink eth0: another node has 2001:db8:3000::45');
  t.equal(lines[7], 'other drops: unknown_tunnel 7');

  const json = await kagemusha(['status', '--json', '--socket', host]);
  t.same(JSON.parse(json.out), hostStatus);

  const homeAgent = await stand(t, () => homeAgentStatus);
  const bindings = await kagemusha(['status', '--socket', homeAgent]);
  t.match(
    bindings.out,
    /^home agent 2001:db8:2000::1\nHOME ADDRESS .*\n2001:db8:2000::10 +bound +2001:db8:3000::44 +esp +42 s +1280 /,
  );

  const alarmed = await stand(t, () => ({
    ...homeAgentStatus,
    bindings: homeAgentStatus.bindings.map((binding) => ({
      ...binding,
      events: { ...binding.events, ecnAlarms: 7 },
    })),
  }));
  const { out } = await kagemusha(['status', '--socket', alarmed]);
  t.match(out, /\n2001:db8:2000::10: 7 packets with congestion marks that do not go together/);

  const empty = await stand(t, () => ({ ...hostStatus, guests: [], drops: {} }));
  t.match(await kagemusha(['--socket', empty]), { code: 0, out: 'no guests\n' });
});

t.test(
  'status: a line for each thing that is not well, and for what the network told',
  async (t) => {
    const homePrefixes = [
      { prefix: '2001:db8:2000::/64', validLifetime: 0xffff_ffff, preferredLifetime: 600 },
      { prefix: '2001:db8:2001::/64', validLifetime: 700, preferredLifetime: 600 },
    ];
    const bindings = [
      { ...home('2001:db8:2000::10', { state: 'registered', reason: 'well' }), homePrefixes },
      { ...home('2001:db8:2000::20', { state: 'lost', reason: 'no answer' }), homePrefixes },
      home('2001:db8:2000::30', { state: 'idle' }),
    ];
    const correspondents = (['optimised', 'testing', 'tunnel'] as const).map((state, i) => ({
      correspondent: parseAddress(`2001:db8:4000::${i + 1}`),
      state,
    }));
    const socket = await stand(t, () => ({
      ...hostStatus,
      uplink: { kind: 'tun', device: 'kg0' },
      guests: hostStatus.guests.slice(0, 1).map((guest) => ({
        ...guest,
        bindings,
        port: {
          kind: 'qemu-stream' as const,
          name: '/run/vm1.sock',
          connected: false,
          reason: 'waiting for QEMU at /run/vm1.sock',
        },
        machine: {
          monitor: '/run/vm1.qmp',
          state: 'leaving' as const,
          reason: "waiting for QEMU's monitor at /run/vm1.qmp",
        },
        correspondents,
        events: { ...guest.events, ecnAlarms: 5 },
      })),
      drops: {},
    }));
    const { out } = await kagemusha(['--socket', socket]);
    t.strictSame(out.split('\n').slice(2), [
      'vm1: waiting for QEMU at /run/vm1.sock',
      "vm1: waiting for QEMU's monitor at /run/vm1.qmp",
      'vm1: its machine is leaving',
      'vm1: 2001:db8:2000::20 lost: no answer',
      'vm1: 2001:db8:2000::30 idle',
      'vm1: home prefixes: 2001:db8:2000::/64 valid for ever, 2001:db8:2001::/64 valid for 700 s',
      'vm1: 1 of 3 correspondents optimised',
      'vm1: 5 packets with congestion marks that do not go together (RFC 6040 4.2)',
      '',
    ]);
  },
);

t.test('bind, unbind, adopt and release wait for the outcome', async (t) => {
  let binding: BindingStatus = { state: 'idle' };
  let then: BindingStatus = binding;
  let second: BindingStatus | undefined;
  const status = (): HostStatus => ({
    ...hostStatus,
    guests: hostStatus.guests.slice(0, 1).map((guest) => ({
      ...guest,
      binding,
      bindings: [home('2001:db8:2000::10', binding), home('2001:db8:2000::20', second ?? binding)],
    })),
  });
  const socket = await stand(t, status, (verb) => {
    if (then.state === 'rejected' && verb === 'unbind')
      throw new KagemushaError('GUEST_UNKNOWN', 'no guest "x"');
    binding = { state: verb === 'unbind' ? 'deregistering' : 'registering' };
    setTimeout(() => {
      binding = then;
    }, 300);
  });
  const call = (verb: string) => kagemusha([verb, 'vm1', '--socket', socket]);

  then = { state: 'registered', status: 0, lifetime: 60, expiresIn: 60 };
  for (const verb of ['bind', 'adopt']) {
    t.match(await call(verb), { code: 0, out: 'vm1: registered for 60 s\n', err: '' });
  }
  then = { state: 'idle' };
  t.match(await call('unbind'), { code: 0, out: 'vm1: not registered any more\n' });
  t.match(await call('release'), { code: 0, out: 'vm1: released; another host may register it\n' });
  then = { state: 'at-home', reason: 'the guest is at home and needs no binding' };
  t.match(await call('unbind'), { code: 0, out: 'vm1: is at home, has no binding\n', err: '' });
  second = { state: 'deregistering' };
  setTimeout(() => {
    second = undefined;
  }, 1500);
  const begun = Date.now();
  t.match(await call('bind'), { code: 0, out: /^vm1: at home: the guest is at home/ });
  t.ok(Date.now() - begun > 1000, 'when every home address is');
  then = { state: 'rejected', status: 132, reason: 'not home subnet' };
  t.match(await call('bind'), fails(1, /BINDING_REJECTED: vm1: rejected: not home subnet/));
  t.match(await call('unbind'), fails(1, /GUEST_UNKNOWN: no guest "x"/));
});

t.test('status: how a guest came, who else has it, and which peers cannot be asked', async (t) => {
  const [guest] = hostStatus.guests;
  if (guest === undefined) return t.fail('no guest');
  const at = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
  let told: Partial<typeof guest> = {};
  let peers: HostStatus['peers'];
  const socket = await stand(t, () => ({
    ...hostStatus,
    uplink: { kind: 'tun', device: 'kg0' },
    guests: [{ ...guest, ...told }],
    ...(peers === undefined ? {} : { peers }),
    drops: {},
  }));
  const lines = async () => (await kagemusha(['--socket', socket])).out.split('\n').slice(2, -1);

  const early = { at, hypervisor: 40.06, trigger: -12.34, answer: 1.5, firstPacket: 0 };
  told = { arrival: { ...early, blackout: 41.04 } };
  t.strictSame(await lines(), [
    'vm1: arrived 2026-01-02T03:04:05.678Z: stood still for 40.1 ms, Binding Update 12.3 ms before it ran, answered 1.5 ms later, first packet 0.0 ms after that, not to be reached for 41.0 ms in all',
  ]);
  told = { arrival: { at, trigger: 0.21 } };
  t.strictSame(await lines(), [
    'vm1: arrived 2026-01-02T03:04:05.678Z: Binding Update after 0.2 ms, no answer yet',
  ]);
  told = { conflict: 'it runs here, and since later on host-c' };
  peers = [{ name: 'host-c' }, { name: 'host-d', reason: 'host-d at ::1 port 7626: is away' }];
  t.strictSame(await lines(), [
    'vm1: it runs here, and since later on host-c',
    'peer host-d at ::1 port 7626: is away',
  ]);
  const json = await kagemusha(['status', '--json', '--socket', socket]);
  t.match(JSON.parse(json.out), { guests: [told], peers });
});

t.test('release and adopt: what one host writes, the next one reads', async (t) => {
  const state: GuestState = {
    version: 1,
    homes: [{ homeAddress: parseAddress('2001:db8:2000::10'), sequence: 4711 }],
  };
  const adopted: (GuestState | undefined)[] = [];
  const socket = await stand(t, () => hostStatus, undefined, {
    release: (name) => {
      if (name !== 'vm1') throw new KagemushaError('GUEST_UNKNOWN', `no guest "${name}"`);
      return state;
    },
    adopt: (_, given) => void adopted.push(given),
  });
  const directory = t.testdir();
  const path = (name: string): string => join(directory, name);
  const file = path('vm1.state');
  const call = (verb: string, where: string, guest = 'vm1') =>
    kagemusha([verb, guest, '--state', where, '--socket', socket]);

  t.strictSame(await call('release', file), {
    code: 0,
    out: `vm1: released; on the next host: kagemusha adopt vm1 --state ${file}\n`,
    err: '',
  });
  t.equal(statSync(file).mode & 0o777, 0o600);
  t.strictSame(JSON.parse(readFileSync(file, 'utf8')), state);
  t.match(await call('adopt', file), { code: 0, out: 'vm1: registered for 60 s\n', err: '' });
  t.strictSame(adopted.splice(0), [state]);
  await kagemusha(['adopt', 'vm1', '--socket', socket]);
  t.strictSame(adopted.splice(0), [undefined], 'without a file nothing is told');

  const nowhere = path('none/vm1.state');
  t.strictSame(await call('release', nowhere), {
    code: 1,
    out: `${JSON.stringify(state)}\n`,
    err: `kagemusha: STATE_FILE: ${nowhere} cannot be written (ENOENT); the guest is released, its state is above\n`,
  });
  const other = path('vm9.state');
  t.match(await call('release', other, 'vm9'), fails(1, /GUEST_UNKNOWN: no guest "vm9"/));
  t.notOk(existsSync(other));

  const write = (name: string, text: string): string => {
    writeFileSync(path(name), text);
    return path(name);
  };
  const refused: [file: string, line: RegExp][] = [
    [nowhere, /STATE_FILE: \S+ cannot be read \(ENOENT\); write it with kagemusha release/],
    [directory, /STATE_FILE: \S+ cannot be read \(EISDIR\)/],
    [
      write('half', '{"version": 1, "ho'),
      /STATE_FILE: \S+half is no JSON; write it with kagemusha/,
    ],
    [
      write('next', JSON.stringify({ ...state, version: 2 })),
      /STATE_VERSION: the guest's state has version 2, and this kagemusha reads 1/,
    ],
    [
      write('odd', JSON.stringify({ ...state, homes: [{ homeAddress: '1.2.3.4' }] })),
      /STATE_INVALID: no state of a guest: homes\.0\.homeAddress: is no IPv6 address/,
    ],
    [write('null', 'null'), /STATE_INVALID: no state of a guest/],
  ];
  for (const [where, line] of refused) t.match(await call('adopt', where), fails(1, line), where);
  t.strictSame(adopted, [], 'what is not understood is not adopted without');
});

t.test('guest add, guest remove, reload', async (t) => {
  const directory = t.testdir();
  const file = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };
  const sent: string[] = [];
  const socket = await stand(t, () => hostStatus, undefined, {
    put: async (name, text) => {
      sent.push(`${name}: ${text}`);
      if (name === 'vm1') throw new KagemushaError('GUEST_CONFIGURED', 'guest "vm1" is in x:3');
      if (!text.includes('lifetime'))
        throw new KagemushaError('GUEST_INVALID', 'request:1: guest.port: is missing');
      return sent.length > 1 ? { change: 'changed', waits: 'no prefix yet' } : { change: 'added' };
    },
    remove: async (name) => {
      if (name !== 'vm9') throw new KagemushaError('GUEST_UNKNOWN', `no guest "${name}"`);
    },
  });
  const guest = (...words: string[]) => kagemusha(['guest', ...words, '--socket', socket]);
  const named = file('vm9.toml', 'name = "vm9"\nlifetime = 60\n');
  t.match(await guest('add', named), { code: 0, out: 'vm9: added\n', err: '' });
  const plain = file('plain.toml', 'lifetime = 60\n');
  t.match(await guest('add', plain, '--name', 'vm 9'), {
    code: 0,
    out: 'vm 9: changed, waits: no prefix yet\n',
  });
  t.same(sent, ['vm9: name = "vm9"\nlifetime = 60\n', 'vm 9: lifetime = 60\n']);
  t.match(
    await guest('add', plain),
    fails(1, /GUEST_FILE: \S+plain.toml says no name; write name/),
  );
  t.match(
    await guest('add', '/nowhere.toml'),
    fails(1, /GUEST_FILE: .* cannot be read \(ENOENT\)/),
  );
  const bad = file('bad.toml', 'name = "vm9"\n');
  t.match(
    await guest('add', bad),
    fails(1, new RegExp(`GUEST_INVALID: ${bad}:1: guest.port: is missing`)),
    'the place is in the file, not in the request',
  );
  t.match(await guest('add', named, '--name', 'vm1'), fails(1, /GUEST_CONFIGURED: guest "vm1"/));
  const broken = file('broken.toml', 'name = \n');
  t.match(await guest('add', broken), fails(1, new RegExp(`GUEST_INVALID: ${broken}:1: not TOML`)));
  const long = file('long.toml', `name = "vm9"\n${'#'.repeat(65_536)}`);
  t.match(await guest('add', long), fails(1, /GUEST_FILE: .* is longer than 65536 octets/));

  t.match(await guest('remove', 'vm9'), { code: 0, out: 'vm9: removed\n', err: '' });
  t.match(await guest('remove', 'vm8'), fails(1, /GUEST_UNKNOWN: no guest "vm8"/));
  t.match(await guest('change', 'vm9'), fails(2, /USAGE: unknown command 'change'/));
  t.match(await kagemusha(['guest', 'add', '--help']), { code: 0, out: /--name <name>/ });

  let answer: ReloadAnswer = { notes: ['vm3: no prefix yet'], failures: [] };
  const other = await stand(t, () => hostStatus, undefined, {
    reload: async () => {
      if (answer.notes.length === 0) throw new KagemushaError('CONFIG_INVALID', 'x.toml:3: wrong');
      return answer;
    },
  });
  const call = () => kagemusha(['reload', '--socket', other]);
  const read = 'configuration read again\nnote: vm3: no prefix yet\n';
  t.match(await call(), { code: 0, out: read, err: '' });
  answer = { ...answer, failures: ['vm4: kgtap4 is busy', 'vm5: too'] };
  t.match(await call(), {
    code: 1,
    out: read,
    err: 'kagemusha: GUEST_FAILED: vm4: kgtap4 is busy (and 1 more)\n',
  });
  answer = { notes: [], failures: [] };
  t.match(await call(), fails(1, /CONFIG_INVALID: x.toml:3: wrong/));
});

t.test('check and setup see guests that are to be added, and those that were', async (t) => {
  const directory = shortDirectory(t);
  const table = (n: number) => `name = "vm${n}"
home_addresses = ["2001:db8:2000::${n}"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::ff"
care_of_address = "2001:db8:3000::${n}"
port = { kind = "tap", device = "kgtest${n}" }
`;
  const config = join(directory, 'host.toml');
  writeFileSync(
    config,
    `[host]\nstate_directory = "${directory}"\ncontrol_socket = "${directory}/x.sock"\n[[guest]]\n${table(1)}`,
  );
  mkdirSync(join(directory, 'guests'));
  writeFileSync(join(directory, 'guests', 'vm2.toml'), table(2));
  const [three, four] = [3, 4].map((n) => {
    const path = join(directory, `${n}.toml`);
    writeFileSync(path, table(n));
    return path;
  });
  const words = ['--config', config, '--guest', String(three), '--guest', String(four)];
  const { out } = await kagemusha(['setup', ...words]);
  const taps = [...out.matchAll(/ip tuntap add dev (kgtest\d)/g)].map(([, device]) => device);
  t.same(taps, ['kgtest1', 'kgtest2', 'kgtest3', 'kgtest4']);
  writeFileSync(String(four), table(2).replace('vm2', 'vm4'));
  const said = await kagemusha(['check', ...words]);
  t.match(said, { code: 1, out: new RegExp(`^wrong +${four}:2: guest.home_addresses\\[0\\]: "`) });
});

t.test('ping without a way outside still tells of the inside', async (t) => {
  const socket = await stand(t, () => hostStatus);
  const user = process.getuid?.() === 0 ? ['unshare', '--net'] : [];
  const said = await kagemusha(
    ['ping', 'vm1', '-c', '1', '-s', '80', '--json', '--socket', socket],
    user,
  );
  t.match(JSON.parse(said.out), {
    guest: 'vm1',
    homeAgent: '2001:db8:2000::1',
    outside: { sent: 0, error: /^(UNREACHABLE|PING_RIGHTS): / },
    inside: { sent: 1, received: 1, rtts_ms: [10] },
  });
  t.equal(said.code, 0);
  const text = await kagemusha(['ping', 'vm1', '-c', '1', '--socket', socket], user);
  t.match(
    text.out,
    /outside the tunnel: .*: (UNREACHABLE|PING_RIGHTS): .*\ninside the tunnel: .*\n {2}64 bytes from 2001:db8:2000::1: icmp_seq=1 time=7.000 ms\n {2}1 sent, 1 received, 0% lost, min\/avg\/max = 7.000\/7.000\/7.000 ms\n$/,
  );
  t.match(
    await kagemusha(['ping', 'vm9', '--socket', socket]),
    fails(1, /GUEST_UNKNOWN: no guest "vm9"; this host has: vm1, vm2/),
  );
});

t.test('a reader that leaves early is no error', async (t) => {
  const socket = await stand(t, () => hostStatus);
  const words = [...COMMAND, 'status', '--json', '--socket', socket].join(' ');
  const child = spawn('bash', ['-c', `set -o pipefail; ${words} | true`], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let err = '';
  child.stderr.on('data', (text) => {
    err += text;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  t.equal(err, '');
  t.equal(code, 0);
});
