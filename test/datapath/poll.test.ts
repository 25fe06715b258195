import t from 'tap';
import { Engine } from '../../src/datapath/index.js';
import {
  AGENT,
  CARE_OF,
  eventually,
  FAR,
  frame,
  GUEST_MAC,
  HOME,
  MTU,
  ROUTER_MAC,
  tunnelled,
  udp,
} from './world.js';

t.test('busy polling carries packets, and ends when there are none', async (t) => {
  const engine = new Engine({ maxPorts: 4, maxTunnels: 4, poll: 'busy' });
  t.teardown(() => engine.close());
  const guest = engine.openMemoryPort({ localMac: ROUTER_MAC });
  const network = engine.openMemoryUplink();
  engine.publish({
    tunnels: [
      {
        slot: 0,
        side: 'mobile-node',
        local: CARE_OF,
        remote: AGENT,
        homeAddresses: [HOME],
        port: guest.port,
        mtu: MTU,
      },
    ],
    locals: [{ address: CARE_OF, side: 'mobile-node' }],
  });
  engine.setPeerMac(guest.port, GUEST_MAC);
  for (let round = 0; round < 20; round++) {
    t.ok(guest.inject(frame(udp(HOME, FAR))));
    await eventually('a tunnel packet', () => network.take());
    t.ok(network.inject(tunnelled(AGENT, CARE_OF, udp(FAR, HOME))));
    await eventually('a frame', () => guest.take());
  }
  const used = async (milliseconds: number) => {
    const before = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    const { user, system } = process.cpuUsage(before);
    return (user + system) / 1000;
  };
  const end = Date.now() + 30_000;
  let idle = await used(500);
  while (idle > 250 && Date.now() < end) idle = await used(500);
  t.ok(idle < 250, `${idle} ms of processor time in 500 ms without packets`);
});

t.test('what is mapped for packets', (t) => {
  const engine = new Engine({ maxPorts: 4, maxTunnels: 4 });
  const { mapped, uplinkRing } = engine.memory();
  t.equal(uplinkRing, 0);
  const other = new Engine({ maxPorts: 4, maxTunnels: 4 });
  const both = engine.memory().mapped;
  const one = both - mapped;
  t.ok(one > 1 << 20 && one < 2 << 20, `${one} octets of a second engine`);
  other.close();
  t.ok(engine.memory().mapped < both - (1 << 19), 'its packet buffers are gone');
  engine.close();
  t.throws(() => engine.memory(), { code: 'ENGINE_CLOSED' });
  t.end();
});
