import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { Engine } from '../../src/datapath/index.js';
import { StreamPeer } from '../support/stream-peer.js';
import {
  AGENT,
  CARE_OF,
  eventually,
  FAR,
  frame,
  HOME,
  MTU,
  ROUTER_MAC,
  tcp,
  tcpTrain,
  tunnelled,
  udp,
} from './world.js';

t.test('a port that is a stream of QEMU', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'kagemusha-'));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const path = join(directory, 'vm1.sock');
  const engine = new Engine();
  t.teardown(() => engine.close());
  const network = engine.openMemoryUplink();
  const port = engine.openStream(path, { localMac: ROUTER_MAC });
  const tunnel = { slot: 0, side: 'mobile-node', local: CARE_OF, remote: AGENT, mtu: MTU } as const;
  engine.publish({
    tunnels: [{ ...tunnel, homeAddresses: [HOME], port }],
    locals: [{ address: CARE_OF, side: 'mobile-node' }],
  });
  const lost: (number | string)[] = [];
  engine.onLost((which) => lost.push(which));

  t.throws(() => engine.connectStream(port), { code: 'STREAM_MISSING', message: /-netdev stream/ });
  writeFileSync(path, '');
  t.throws(() => engine.connectStream(port), { code: 'STREAM_MISSING' }, 'a file is no listener');
  rmSync(path);

  for (let round = 1; round <= 3; round++) {
    const qemu = await StreamPeer.listen(path);
    engine.connectStream(port);
    engine.connectStream(port);
    await eventually('a connection', () => (qemu.connected ? true : undefined));
    t.equal(qemu.accepted, 1);

    qemu.send(frame(udp(HOME, FAR)));
    const up = await eventually('a packet for the network', () => network.take());
    t.same(up.subarray(40), udp(HOME, FAR), 'up, in a tunnel');
    network.inject(tunnelled(AGENT, CARE_OF, udp(FAR, HOME, 100)));
    t.same((await qemu.frame()).subarray(14), udp(FAR, HOME, 100), 'down');

    const data = new Uint8Array(5000).fill(7);
    network.inject(tunnelled(AGENT, CARE_OF, tcp(FAR, HOME, 1, data, true)), tcpTrain(80, 1400));
    for (const at of [0, 1400, 2800, 4200]) {
      const part = tcp(FAR, HOME, 1 + at, data.subarray(at, Math.min(at + 1400, 5000)));
      t.same((await qemu.frame()).subarray(14), part, `the segment at ${at} of a train`);
    }

    await qemu.kill();
    await eventually('the loss', () => (lost.length === round ? true : undefined));
    const before = engine.tunnelCounters(0).drops.port_error ?? 0;
    network.inject(tunnelled(AGENT, CARE_OF, udp(FAR, HOME, 100)));
    await eventually('a drop', () =>
      engine.tunnelCounters(0).drops.port_error === before + 1 ? true : undefined,
    );
  }
  t.same(lost, [port, port, port]);

  const web = await StreamPeer.listen(path, 'HTTP/1.1 400 Bad Request\r\n\r\n');
  engine.connectStream(port);
  await eventually('the loss', () => (lost.length === 4 ? true : undefined));
  t.equal(engine.portDrops(port).stream_nonsense, 1);
  await web.kill();

  engine.closePort(port);
  t.throws(() => engine.connectStream(port), { code: 'NO_PORT' });
  t.throws(() => engine.openStream(path, { localMac: ROUTER_MAC, mtu: 1279 }), {
    code: 'ENGINE_OPTIONS',
  });
  t.equal(engine.counters().devicesLost, 4);
});
