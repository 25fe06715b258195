import { execFileSync, spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  enhancedPacket,
  interfaceDescription,
  LINK_TYPE,
  nameResolution,
  sectionHeader,
} from '../../src/cli/pcapng.js';
import { controlRoutes } from '../../src/daemon/control-routes.js';
import { createControlServer } from '../../src/daemon/control-server.js';
import type { CaptureDevice, HostStatus } from '../../src/daemon/status.js';
import { parseAddress } from '../../src/wire/address.js';
import { changes, hostStatus, reload } from '../daemon/fixtures.js';
import { shortDirectory } from '../support/short-directory.js';
import { COMMAND, kagemusha } from './kagemusha.js';

const root = process.getuid?.() === 0;

/** Fields of every packet, as tshark reads them. */
function tshark(file: string, fields: string[], flags: string[] = []): string[] {
  const options = fields.flatMap((field) => ['-e', field]);
  const argv = ['-r', file, '-T', 'fields', '-E', 'separator=|', ...flags, ...options];
  const out = execFileSync('tshark', argv, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  return out.trim().split('\n');
}

t.test('pcapng: blocks of the draft, octet by octet', async (t) => {
  const section = Buffer.from(sectionHeader('kagemusha'));
  t.equal(section.readUInt32LE(0), 0x0a0d0d0a);
  t.equal(section.readUInt32LE(8), 0x1a2b3c4d);
  const blocks = [
    section,
    interfaceDescription({
      linkType: LINK_TYPE.raw,
      snapLength: 65_535,
      name: 'kg0',
      description: 'uplink',
    }),
    ...[0, 1, 2, 3].map((n) => enhancedPacket(0, 1n, new Uint8Array(n), n)),
    nameResolution(new Map([[parseAddress('::1'), 'one']])) ?? new Uint8Array(),
  ];
  for (const block of blocks.map((bytes) => Buffer.from(bytes))) {
    t.equal(block.length % 4, 0);
    t.equal(block.readUInt32LE(4), block.length);
    t.equal(block.readUInt32LE(block.length - 4), block.length);
  }
  t.equal(nameResolution(new Map()), undefined);
  const packet = Buffer.from(enhancedPacket(3, 0x1_0000_0002n, Uint8Array.of(1, 2, 3), 9));
  t.equal(
    packet.toString('hex'),
    `06000000${'24000000'}03000000${'01000000'}02000000${'03000000'}09000000${'01020300'}24000000`,
  );
});

t.test('what cannot be captured', async (t) => {
  const file = join(t.testdir(), 'x.pcapng');
  const line = (code: string) => new RegExp(`^kagemusha: ${code}: [^\n]+\n$`);
  const words = ['capture', '--write', file];
  t.match(await kagemusha([...words, '--socket', '/nowhere']), {
    code: 1,
    err: line('DAEMON_UNREACHABLE'),
  });
  const lo = ['--interface', 'lo=here'];
  const unwritable = await kagemusha(['capture', '--write', '/nowhere/x', ...lo]);
  t.match(unwritable, { code: 1, err: /CAPTURE_FAILED: cannot write \/nowhere\/x: ENOENT/ });
  if (!root) return;
  t.match(await kagemusha([...words, '--interface', 'nowhere0']), {
    code: 1,
    err: /CAPTURE_FAILED: cannot capture on nowhere0 \(nowhere0\): [^\n]+\n$/,
  });
  t.match(await kagemusha([...words, ...lo, '--filter', 'no such word']), {
    code: 1,
    err: /CAPTURE_FAILED: cannot capture on lo \(here\): [^\n]+\n$/,
  });
  const user = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const denied = await kagemusha(['capture', ...lo], user);
  t.match(denied, { code: 1, err: line('CAPTURE_RIGHTS') });
});

/*
 *      near (captures, "host")         far ("home agent")
 *    +------------------------+      +-------------------+
 *    | wan0  3000::44         |------| wan0  2000::1     |
 *    +------------------------+      +-------------------+
 */
t.test('a capture that tshark reads, with names', { skip: !root && 'needs root' }, async (t) => {
  const near = `kgtest-${process.pid}-near`;
  const far = `kgtest-${process.pid}-far`;
  const ip = (words: string) => execFileSync('ip', words.split(' '));
  for (const name of [near, far]) {
    ip(`netns add ${name}`);
    t.teardown(() => ip(`netns del ${name}`));
  }
  ip(`-n ${near} link add wan0 type veth peer name wan0 netns ${far}`);
  for (const [name, address, other] of [
    [near, '2001:db8:3000::44', '2001:db8:2000::1'],
    [far, '2001:db8:2000::1', '2001:db8:3000::44'],
  ]) {
    ip(`-n ${name} link set lo up`);
    ip(`-n ${name} address add ${address}/128 dev wan0 nodad`);
    ip(`-n ${name} link set wan0 up`);
    ip(`-n ${name} -6 route add ${other}/128 dev wan0`);
  }
  const inside = ['ip', 'netns', 'exec', near];
  const ping = (count: number) =>
    execFileSync('ip', [
      'netns',
      'exec',
      near,
      'ping',
      '-6',
      '-c',
      String(count),
      '-i',
      '0.1',
      '2001:db8:2000::1',
    ]);
  ping(1);

  /** A daemon in name only whose devices are those of the test. */
  const stand = async (devices: CaptureDevice[]): Promise<string> => {
    const socketPath = join(shortDirectory(t), 'x.sock');
    const status = (): HostStatus => hostStatus;
    const routes = controlRoutes({
      status,
      devices: () => devices,
      metrics: async () => '',
      reload,
    });
    const server = await createControlServer({ socketPath, routes });
    t.teardown(() => server.close());
    return socketPath;
  };
  const directory = t.testdir();
  /** Starts a capture and waits until it writes: its devices are open then. */
  const start = async (name: string, words: string[]) => {
    const file = join(directory, name);
    const argv = [...inside.slice(1), ...COMMAND, 'capture', '--write', file, ...words];
    // A file, not one of Node's sockets: see withoutWarnings.
    const err = `${file}.err`;
    const child = spawn('ip', argv, { stdio: ['ignore', 'ignore', openSync(err, 'w')] });
    const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
    while (child.exitCode === null && !(existsSync(file) && readFileSync(file).length > 0)) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return { file, child, ended, err };
  };

  t.test('until a signal, from the devices the daemon names', async (t) => {
    const socket = await stand([
      { device: 'wan0', name: 'uplink' },
      { device: 'lo', name: 'vm1' },
    ]);
    const { file, child, ended, err } = await start('signal.pcapng', ['--socket', socket]);
    ping(3);
    const pings = () => tshark(file, ['frame.number'], ['-Y', 'icmpv6.type in {128,129}']);
    for (let tries = 0; tries < 40 && pings().length < 6; tries++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    child.kill('SIGINT');
    t.equal(await ended, 0);
    t.match(
      readFileSync(err, 'utf8'),
      /^vm2: only its tunnel is captured;.*filter-dump[^\n]*\nuplink eth0: what leaves passes by tc, nftables and captures; [^\n]*\n$/,
    );
    const names = [
      'frame.interface_name',
      'frame.interface_description',
      'ipv6.src_host',
      'ipv6.dst_host',
      'icmpv6.type',
    ];
    const echoes = tshark(file, names, ['-N', 'n', '-Y', 'icmpv6.type in {128,129}']);
    t.equal(echoes.length, 6);
    t.equal(echoes[0], 'wan0|uplink|vm1-care-of|home-agent|128');
    t.equal(echoes[1], 'wan0|uplink|home-agent|vm1-care-of|129');
    const [time] = tshark(file, ['frame.time_epoch']);
    t.ok(Math.abs(Number(time) - Date.now() / 1000) < 60, 'the time of day');
    t.same(
      tshark(file, ['frame.number'], ['-Y', '_ws.malformed || icmpv6.checksum.status == "Bad"']),
      [''],
    );
  });

  t.test('until a count, without a daemon, through a filter', async (t) => {
    const words = [
      '--interface',
      'wan0=lan',
      '--interface',
      'lo',
      '--filter',
      'icmp6[0] = 128',
      '--count',
      '2',
    ];
    const { file, ended } = await start('count.pcapng', words);
    ping(4);
    t.equal(await ended, 0);
    const fields = ['frame.interface_description', 'icmpv6.type', 'ipv6.dst'];
    t.same(tshark(file, fields), ['lan|128|2001:db8:2000::1', 'lan|128|2001:db8:2000::1']);
  });

  t.test("one guest: its port, and its tunnel's packets on the uplink", async (t) => {
    const socket = await stand([
      { device: 'wan0', name: 'uplink' },
      { device: 'lo', name: 'vm2' },
    ]);
    const guest = (name: string) => ['--socket', socket, '--guest', name, '--seconds', '2'];
    const one = await start('vm1.pcapng', guest('vm1'));
    const two = await start('vm2.pcapng', guest('vm2'));
    ping(2);
    t.equal(await one.ended, 0);
    t.equal(await two.ended, 0);
    t.equal(tshark(one.file, ['frame.number'], ['-Y', 'icmpv6.type in {128,129}']).length, 4);
    t.same(tshark(two.file, ['frame.number']), [''], 'another guest is not there');
    const nobody = await kagemusha(['capture', '--write', '/dev/null', ...guest('vm9')]);
    t.match(nobody, { code: 1, err: /GUEST_UNKNOWN: no guest "vm9"; there are: vm1, vm2\n$/ });
  });

  t.test('into a pipe, live', async (t) => {
    const words = ['capture', '--interface', 'wan0', '--count', '2', '--filter', 'icmp6[0] = 128'];
    const line = `${[...inside, ...COMMAND, ...words].map((word) => `'${word}'`).join(' ')} | tshark -r - 2>/dev/null`;
    const child = spawn('sh', ['-c', line], { stdio: ['ignore', 'pipe', 'inherit'] });
    let out = '';
    child.stdout.on('data', (text) => {
      out += text;
    });
    const ended = new Promise((resolve) => child.once('close', resolve));
    const timer = setInterval(() => ping(1), 300);
    await ended;
    clearInterval(timer);
    t.match(out, /Echo \(ping\) request[\s\S]*Echo \(ping\) request/);
  });

  t.test('ping: outside by a raw socket', async (t) => {
    const server = join(shortDirectory(t), 'y.sock');
    const guests = {
      bind: () => {},
      unbind: () => {},
      ping: async (_: string, count: number) => ({ sent: count, received: 0, rtts_ms: [] }),
      ...changes,
    };
    const routes = controlRoutes({
      status: () => hostStatus,
      devices: () => [],
      metrics: async () => '',
      reload,
      guests,
    });
    const running = await createControlServer({ socketPath: server, routes });
    t.teardown(() => running.close());
    const said = await kagemusha(
      ['ping', 'vm1', '-c', '2', '-s', '1000', '--socket', server],
      inside,
    );
    t.match(said, {
      code: 1,
      err: '',
      out: /outside the tunnel: this host to 2001:db8:2000::1, 1000 octets of data\n {2}1008 bytes from 2001:db8:2000::1: icmp_seq=1 time=[\d.]+ ms\n[\s\S]*2 sent, 2 received, 0% lost, min[\s\S]*2 sent, 0 received, 100% lost\n$/,
    });
  });
});
