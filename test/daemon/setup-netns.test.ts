import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { SqliteStore } from '../../src/daemon/store/index.js';
import { parseAddress } from '../../src/wire/address.js';

/*
 *      router                host
 *    +---------------+     +------------------------------+
 *    | wan0  3000::1 |-----| wan0  3000::3    kg0  kgtap0 |
 *    +---------------+     +------------------------------+
 */
const KAGEMUSHA = fileURLToPath(new URL('../../bin/kagemusha', import.meta.url));
/** Node as a user starts it, without what the test runner loads into its children. */
const PLAIN_NODE = ['env', '-u', 'NODE_OPTIONS', process.execPath];
const root = process.getuid?.() === 0;
const netns = `kgtest-${process.pid}-setup`;
const router = `kgtest-${process.pid}-router`;

const ip = (words: string) => execFileSync('ip', words.split(' '), { encoding: 'utf8' });
const inside = (argv: string[]) =>
  execFileSync('ip', ['netns', 'exec', netns, ...argv], { encoding: 'utf8', stdio: 'pipe' });
const sysctl = (name: string) => inside(['sysctl', '-n', name]).trim();

/** Runs the command inside; gives its exit code and what it wrote. */
function kagemusha(...words: string[]) {
  const argv = ['netns', 'exec', netns, ...PLAIN_NODE, KAGEMUSHA, ...words];
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    const child = spawn('ip', argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { out: '', err: '' };
    child.stdout.on('data', (text) => {
      said.out += text;
    });
    child.stderr.on('data', (text) => {
      said.err += text;
    });
    child.once('close', (code) => resolve({ code: code ?? -1, ...said }));
  });
}

if (!root) {
  t.pass('needs root', { skip: 'network namespaces of its own need root here' });
} else {
  t.before(() => {
    ip(`netns add ${netns}`);
    ip(`netns add ${router}`);
    ip(`-n ${netns} link set lo up`);
    ip(`-n ${netns} link add wan0 type veth peer name wan0 netns ${router}`);
    for (const [name, address] of [
      [netns, '2001:db8:3000::3/64'],
      [router, '2001:db8:3000::1/64'],
    ]) {
      ip(`-n ${name} address add ${address} dev wan0 nodad`);
      ip(`-n ${name} link set wan0 up`);
    }
    ip(`-n ${netns} -6 route add default via 2001:db8:3000::1`);
  });
  t.teardown(() => {
    ip(`netns del ${netns}`);
    ip(`netns del ${router}`);
  });

  const directory = t.testdir();
  const state = join(directory, 'state');
  const host = join(directory, 'host.toml');
  writeFileSync(
    host,
    `[host]
control_socket = "${directory}/run/host.sock"
state_directory = "${state}"
[[guest]]
name = "vm1"
home_addresses = ["2001:db8:2000::10"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "2001:db8:3000::44"
port = { kind = "tap", device = "kgtap0" }
`,
  );

  t.test('setup prints, --apply makes once, check agrees, --undo takes all back', async (t) => {
    const before = { links: ip(`-n ${netns} -br link`), routes: ip(`-n ${netns} -6 route`) };
    const printed = await kagemusha('setup', '--config', host);
    t.match(printed, { code: 0, out: /\nip tuntap add dev kg0 mode tun\n/ });
    t.equal(ip(`-n ${netns} -br link`), before.links, 'printing changes nothing');

    const missing = await kagemusha('check', '--config', host);
    t.match(missing, {
      code: 1,
      out: /\nmissing {2}TUN kg0.*\n +sudo ip tuntap add dev kg0 mode tun\n/,
    });

    const made = await kagemusha('setup', '--config', host, '--apply', '--user', 'nobody');
    t.match(made, { code: 0, err: '', out: /done: 14 steps\n$/ });
    t.match(ip(`-n ${netns} -j tuntap show`), /"kg0".*"tun".*65534/);
    t.match(ip(`-n ${netns} -6 neighbour show proxy`), /2001:db8:3000::44 dev wan0/);
    t.equal(sysctl('net.ipv6.conf.all.forwarding'), '1');
    t.equal(sysctl('net.ipv6.conf.wan0.accept_ra'), '2');
    t.match(ip(`-n ${netns} -6 route`), /^default via 2001:db8:3000::1/m);
    t.equal(ip(`-n ${netns} -6 address show dev kg0`), '', 'no address of its own');

    const again = await kagemusha('setup', '--config', host, '--apply', '--user', 'nobody');
    t.match(again, { code: 0, out: 'nothing to do: everything is there\n' });
    const checked = await kagemusha('check', '--config', host, '--user', 'nobody');
    t.notMatch(checked.out, /missing {2}(?!native)/);

    const undone = await kagemusha('setup', '--config', host, '--undo');
    t.match(undone, { code: 0, err: '' });
    t.equal(ip(`-n ${netns} -br link`), before.links);
    t.equal(ip(`-n ${netns} -6 route`), before.routes);
    t.equal(sysctl('net.ipv6.conf.all.forwarding'), '0');
    t.equal(sysctl('net.ipv6.conf.wan0.accept_ra'), '1');
    t.equal(sysctl('net.ipv6.conf.wan0.proxy_ndp'), '0');
    t.notOk(existsSync(state), 'the record and its directory are gone');
    const nothing = await kagemusha('setup', '--config', host, '--undo');
    t.match(nothing, { code: 0, out: 'nothing to take away\n' });
  });

  t.test('without a record, sysctls stay and are named', async (t) => {
    inside(['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=1']);
    const undone = await kagemusha('setup', '--config', host, '--undo');
    t.match(undone.out, /left: net.ipv6.conf.all.forwarding = 1: no record that setup set it/);
    t.equal(sysctl('net.ipv6.conf.all.forwarding'), '1');
    inside(['sysctl', '-qw', 'net.ipv6.conf.all.forwarding=0']);
  });

  t.test('what was made for a guest that is gone from the file is taken back too', async (t) => {
    await kagemusha('setup', '--config', host, '--apply');
    const text = readFileSync(host, 'utf8');
    writeFileSync(host, text.slice(0, text.indexOf('[[guest]]')));
    const undone = await kagemusha('setup', '--config', host, '--undo');
    t.match(undone.out, /ip tuntap del dev kgtap0 mode tap/);
    writeFileSync(host, text);
    t.notMatch(ip(`-n ${netns} -br link`), /kg/);
  });

  t.test('a care-of address of the kernel stops everything', async (t) => {
    ip(`-n ${netns} address add 2001:db8:3000::44/64 dev wan0 nodad`);
    const applied = await kagemusha('setup', '--config', host, '--apply');
    t.match(applied, {
      code: 1,
      out: '',
      err: /^kagemusha: SETUP_OBSTACLE: care_of_address of vm1/,
    });
    ip(`-n ${netns} address del 2001:db8:3000::44/64 dev wan0`);
  });

  t.test('a guest on its home network: what an ordinary user lacks is said', (t) => {
    const home = join(directory, 'home.toml');
    const lines = 'home_link = "wan0"\nmac = "52:54:00:00:00:01"';
    writeFileSync(home, readFileSync(host, 'utf8').replace(/^care_of_address.*$/m, lines));
    execFileSync('chmod', ['-R', 'a+rX', directory]);
    const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    const words = [...user, ...PLAIN_NODE, KAGEMUSHA, 'check', '--config', home];
    const { status, stdout } = spawnSync('ip', ['netns', 'exec', netns, ...words], {
      encoding: 'utf8',
    });
    t.equal(status, 1);
    t.match(
      stdout,
      /\nmissing {2}right to listen on wan0 \(CAP_NET_RAW\)\n +run it as root, or: .* \+net_raw kagemusha host …\n/,
    );
    t.notMatch(stdout, /none needed/);
    t.end();
  });

  t.test('a second home agent is refused before it changes anything', async (t) => {
    const file = join(directory, 'second.toml');
    writeFileSync(
      file,
      `[home_agent]
control_socket = "${directory}/second/ha.sock"
state_directory = "${directory}/first"
address = "2001:db8:2000::1"
home_prefix = "2001:db8:2000::/64"
virtual_home_link = true
`,
    );
    mkdirSync(join(directory, 'first'));
    const first = new SqliteStore(join(directory, 'first'));
    const before = { links: ip(`-n ${netns} -br link`), routes: ip(`-n ${netns} -6 route`) };
    t.match(await kagemusha('home-agent', '--config', file), {
      code: 1,
      err: /^kagemusha: STORE_BUSY: [^\n]+\n$/,
    });
    t.equal(ip(`-n ${netns} -br link`), before.links);
    t.equal(ip(`-n ${netns} -6 route`), before.routes);
    t.notOk(existsSync(join(directory, 'second')));
    first.close();
  });

  t.test("in a namespace that still has another's /sys", async (t) => {
    const words = [...PLAIN_NODE, KAGEMUSHA, 'setup', '--config', host];
    const script = 'ip link set lo up; "$@" --apply; "$@" --apply; "$@" --undo; ip -br link';
    const said = execFileSync('unshare', ['--net', 'sh', '-ec', script, 'sh', ...words], {
      encoding: 'utf8',
    });
    t.match(said, /done: \d+ steps\n(note: .*\n)?nothing to do: everything is there\n/);
    t.match(said, /ip tuntap del dev kg0 mode tun\n/);
    t.notMatch(said, /kg0 +DOWN/);
  });

  t.test('a home agent without a home network', async (t) => {
    const file = join(directory, 'virtual.toml');
    writeFileSync(
      file,
      `[home_agent]
control_socket = "${directory}/run/ha.sock"
state_directory = "${state}"
address = "2001:db8:2000::1"
home_prefix = "2001:db8:2000::/64"
virtual_home_link = true
`,
    );
    const before = ip(`-n ${netns} -6 route`);
    t.match(await kagemusha('setup', '--config', file, '--apply'), { code: 0, err: '' });
    const routes = ip(`-n ${netns} -6 route`);
    t.match(routes, /^2001:db8:2000::1 dev kgha0/m);
    t.match(routes, /^2001:db8:2000:0:fdff:ffff:ffff:fffe dev kgha0/m);
    t.match(routes, /^unreachable 2001:db8:2000::\/64/m);
    const again = await kagemusha('setup', '--config', file, '--apply');
    t.match(again.out, /^nothing to do: everything is there\n$/);
    t.match(await kagemusha('setup', '--config', file, '--undo'), { code: 0, err: '' });
    t.equal(ip(`-n ${netns} -6 route`), before);
  });

  t.test('an ordinary user is told what to run', async (t) => {
    const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
    execFileSync('chmod', ['-R', 'a+rX', directory]);
    for (const command of ['setup --apply', 'setup --undo', 'host']) {
      const [name = '', ...flags] = command.split(' ');
      const words = [...PLAIN_NODE, KAGEMUSHA, name, '--config', host, ...flags];
      const { status, stderr } = spawnSync('ip', ['netns', 'exec', netns, ...user, ...words], {
        encoding: 'utf8',
      });
      t.equal(status, 1, command);
      t.match(stderr, /^kagemusha: SETUP_(RIGHTS|MISSING|OBSTACLE): [^\n]+\n$/);
    }
  });

  t.test('routes of home addresses come and go in order, in few batches', async (t) => {
    ip(`-n ${netns} tuntap add dev kgha0 mode tun`);
    ip(`-n ${netns} link set kgha0 addrgenmode none up`);
    // `ip` of this process works in the namespace of the test.
    const bin = t.testdir({
      ip: `#!/bin/sh\necho >>"$0.runs"\nexec /usr/sbin/ip -n ${netns} "$@"\n`,
    });
    execFileSync('chmod', ['+x', join(bin, 'ip')]);
    process.env.PATH = `${bin}:${process.env.PATH}`;
    const { RouteWriter, run } = await import('../../src/daemon/ip-route.js');
    const writer = new RouteWriter();
    const addresses = Array.from({ length: 200 }, (_, i) =>
      parseAddress(`2001:db8:2000::${i + 1}`),
    );
    const [first = parseAddress('::1')] = addresses;
    const routes = () => ip(`-n ${netns} -6 route show dev kgha0`).trim().split('\n');

    await Promise.all(addresses.map((address) => writer.addHomeRoute(address, 'kgha0')));
    t.equal(routes().length, 200);
    t.ok(readFileSync(join(bin, 'ip.runs'), 'utf8').length <= 2, 'one process for all');

    void writer.removeHomeRoute(first, 'kgha0');
    void writer.addHomeRoute(first, 'kgha0');
    await writer.removeHomeRoute(first, 'kgha0');
    await writer.settled();
    t.equal(routes().length, 199, 'the last word counts');
    await writer.removeHomeRoute(first, 'kgha0');

    const [wrong, right] = await Promise.allSettled([
      writer.addHomeRoute(first, 'nowhere'),
      writer.addHomeRoute(first, 'kgha0'),
    ]);
    t.match(wrong, {
      status: 'rejected',
      reason: {
        code: 'IP_COMMAND_FAILED',
        message:
          'ip -6 route replace 2001:db8:2000::1/128 dev nowhere: Cannot find device "nowhere"',
      },
    });
    t.equal(right.status, 'fulfilled', 'a failure spoils no other');
    await t.rejects(run(['ip', 'link', 'show', 'dev', 'nowhere']), {
      code: 'IP_COMMAND_FAILED',
      message: 'ip link show dev nowhere: Device "nowhere" does not exist.',
    });
    await t.rejects(run(['no-such-program-here']), { message: /no such program/ });
  });
}
