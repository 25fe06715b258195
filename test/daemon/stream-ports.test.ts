import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import t from 'tap';
import { loadHostConfig } from '../../src/daemon/config/load.js';
import { createMetrics } from '../../src/daemon/metrics.js';
import { StreamPorts } from '../../src/daemon/stream-ports.js';
import { KagemushaError } from '../../src/errors.js';
import { ETHERTYPE_IPV6, PROTOCOL, parseAddress } from '../../src/wire/index.js';
import { eventually, udp } from '../datapath/world.js';
import { CORRESPONDENT, DaemonPair, guestFrame } from '../support/daemon-pair.js';
import { icmpv6Frame, read } from '../support/link-frames.js';
import { StreamPeer } from '../support/stream-peer.js';
import { HOME_ADDRESS } from '../support/testbed-addresses.js';

const isUdp = (frame: Uint8Array): boolean => frame[14 + 6] === PROTOCOL.udp;

const isAdvertisement = (frame: Uint8Array): boolean =>
  frame[12] === ETHERTYPE_IPV6 >> 8 &&
  frame[14 + 6] === PROTOCOL.icmpv6 &&
  read(frame).message.kind === 'router-advertisement';

/** What a guest says that boots. */
const bootFrame = icmpv6Frame({
  source: HOME_ADDRESS,
  destination: parseAddress('ff02::1'),
  message: {
    kind: 'neighbor-advertisement',
    target: HOME_ADDRESS,
    options: [],
    ...({ router: false, solicited: false, override: true } as const),
  },
});

t.test('a guest behind a socket of QEMU that comes, goes and comes again', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kagemusha-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'vm1.sock');
  const guest = `port = { kind = "qemu-stream", path = "${path}" }`;
  const pair = new DaemonPair(directory, { guest });
  t.teardown(() => pair.close());
  const port = () => pair.guestStatus.port;
  const state = async (connected: boolean): Promise<void> => {
    await eventually(`connected: ${connected}`, () =>
      port().connected === connected ? true : undefined,
    );
  };
  const both = async (qemu: StreamPeer, size: number): Promise<void> => {
    qemu.send(guestFrame(udp(HOME_ADDRESS, CORRESPONDENT, size)));
    t.same((await pair.toWorld(PROTOCOL.udp)).payload.length, 8 + size, 'up');
    pair.world.length = 0;
    pair.inject('agent', udp(CORRESPONDENT, HOME_ADDRESS, size));
    t.equal((await qemu.frame(isUdp)).length, 14 + 40 + 8 + size, 'down');
  };

  const waits = { kind: 'qemu-stream', name: path, connected: false } as const;
  t.strictSame(port(), { ...waits, reason: `waiting for QEMU at ${path}` });
  t.same(pair.host.devices(), [{ device: 'kg0', name: 'uplink' }], 'a socket is no device');
  const registered = () => pair.guestStatus.binding.state === 'registered';
  await eventually('a registration before QEMU is there', () => registered() || undefined);

  let qemu = await StreamPeer.listen(path);
  await state(true);
  t.strictSame(port(), { kind: 'qemu-stream', name: path, connected: true });
  await qemu.frame(isAdvertisement);
  qemu.send(bootFrame);
  await both(qemu, 100);
  const { sequence } = pair.binding ?? {};

  for (const leave of [true, false]) {
    await qemu.kill(leave);
    await state(false);
    t.match(port().reason, /^waiting for QEMU at /);
    t.ok(registered(), 'QEMU is away, the registration stands');
    if (leave) rmSync(path);
    qemu = await StreamPeer.listen(path);
    await state(true);
    await qemu.frame(isAdvertisement);
    qemu.send(bootFrame);
    await both(qemu, 200);
  }
  qemu.hangUp();
  await eventually('the second connection to one QEMU', () =>
    qemu.accepted === 2 && port().connected ? true : undefined,
  );
  qemu.send(bootFrame);
  await both(qemu, 300);
  t.equal(pair.binding?.sequence, sequence, 'no Binding Update for all that');

  await qemu.kill();
  const other = await StreamPeer.listen(path, 'SSH-2.0-OpenSSH_9.2\r\n');
  await eventually(
    'the reason',
    () => /is no -netdev stream/.test(port().reason ?? '') || undefined,
  );
  t.ok((pair.guestStatus.drops.stream_nonsense ?? 0) >= 1);
  await new Promise((resolve) => setTimeout(resolve, 2500));
  t.ok(other.accepted <= 8, `${other.accepted} connections: not as fast as can be`);
  t.ok(registered());
  t.match(
    await createMetrics(() => pair.host.status()).scrape(),
    /kagemusha_guest_port_connected\{guest="vm1"\} [01]\n/,
  );
  await other.kill();
  qemu = await StreamPeer.listen(path);
  await eventually('QEMU in its place', () => qemu.connected || undefined);
  qemu.send(bootFrame);
  await both(qemu, 400);
  await qemu.kill();
});

t.test(
  'a guest that changes keeps its connection, with another path it gets another one',
  async (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'kagemusha-'));
    t.teardown(() => rmSync(directory, { recursive: true }));
    const [first, second] = [join(directory, 'one.sock'), join(directory, 'two.sock')];
    const guest = `port = { kind = "qemu-stream", path = "${first}" }`;
    const one = await StreamPeer.listen(first);
    const two = await StreamPeer.listen(second);
    const pair = new DaemonPair(directory, { guest });
    t.teardown(async () => {
      await pair.close();
      await one.kill();
      await two.kill();
    });
    await eventually('a connection', () => one.connected || undefined);
    const config = loadHostConfig(join(directory, 'host.toml'));
    const [before] = config.guests;
    if (before === undefined) throw new Error('no guest');
    t.same([...pair.host.attached(config)], [first]);

    // Made anew: what is advertised cannot be changed.
    const routerAdvertisement = { ...before.routerAdvertisement, managed: true };
    pair.host.reload({ ...config, guests: [{ ...before, routerAdvertisement }] }, new Map());
    one.send(bootFrame);
    await eventually('the guest to be heard', () =>
      pair.guestStatus.binding.state === 'registered' ? true : undefined,
    );
    t.equal(one.accepted, 1, 'the same connection');
    t.ok(pair.guestStatus.port.connected);

    const port = { kind: 'qemu-stream', path: second } as const;
    pair.host.reload({ ...config, guests: [{ ...before, port }] }, new Map());
    await eventually('the other connection', () => (two.connected && !one.connected) || undefined);
    pair.host.reload({ ...config, guests: [] }, new Map());
    await eventually('no connection', () => !two.connected || undefined);
    t.equal(one.accepted + two.accepted, 2);
  },
);

t.test('what stands in the way is told once, and tried again ever less often', async (t) => {
  const lines: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => lines.push(line) });
  const attempts: number[] = [];
  let code = 'STREAM_PERMISSION';
  const engine = {
    connectStream: () => {
      attempts.push(Date.now());
      if (code !== '') throw new KagemushaError(code, `no right to connect (${code})`);
    },
    portCounters: () => ({ framesRead: 0 }),
    portDrops: () => ({}),
  };
  const connected: number[] = [];
  const ports = new StreamPorts(engine, log, (port) => connected.push(port));
  t.teardown(() => ports.stop());
  ports.follow({ guest: 'vm1', port: 3, path: '/run/vm1.sock' });
  ports.follow({ guest: 'vm1', port: 3, path: '/run/vm1.sock' });
  t.equal(attempts.length, 1);
  await eventually('five attempts', () => attempts.length === 5 || undefined);
  const pauses = attempts.slice(1).map((at, i) => at - (attempts[i] ?? 0));
  for (const [i, least] of [100, 200, 400, 800].entries()) {
    t.ok((pauses[i] ?? 0) >= least - 2, `${pauses[i]} ms`);
  }
  t.strictSame(ports.status(3), {
    connected: false,
    reason: 'no right to connect (STREAM_PERMISSION)',
  });
  t.equal(lines.length, 1);
  code = 'STREAM_BUSY';
  await eventually('another reason', () => lines.length === 2 || undefined);
  t.match(ports.status(3)?.reason, /it has another connection/);
  code = '';
  await eventually('a connection', () => connected.length === 1 || undefined);
  t.match(lines[2], /connected to QEMU/);
  t.strictSame(ports.status(3), { connected: true });
  ports.lost(3);
  t.match(ports.status(3)?.reason, /it closed the connection/);
  ports.forget(3);
  ports.lost(3);
  t.equal(ports.status(3), undefined);
});
