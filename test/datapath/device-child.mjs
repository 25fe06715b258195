// What test/datapath/devices.test.ts runs inside its namespaces, and as an ordinary user: plain JavaScript over the addon.
//   open tap|tun|packet NAME    opens the device, says { opened } or { code, message }, and holds it until stdin ends, then says its
//                               { wakeups, devicesLost, uplinksLost }
//   host TAP TUN, agent TUN     one end of a tunnel, until stdin ends
//   packet-host JSON            the mobile nodes' end over a packet uplink: { taps, nic, uplink, pairs: [{ home, careOf, mtu? }],
//                               nextHops?, router? }
import { createRequire } from 'node:module';

const addon = createRequire(import.meta.url)('../../build/Release/kagemusha_native.node');
const engine = new addon.NativeEngine({ workers: 1, maxPorts: 4, maxTunnels: 4 }, () => {});
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

const ROUTER_MAC = '02:00:00:00:00:01';
const HOME = '2001:db8:2000::10';
const AGENT = '2001:db8:2000::1';
const CARE_OF = '2001:db8:3000::44';

const commands = {
  open(kind, name) {
    if (kind === 'tap') engine.openTap(name, ROUTER_MAC);
    else if (kind === 'tun') engine.openTun(name);
    else engine.openPacketPort(name);
    return { opened: name };
  },
  host(tap, tun) {
    const port = engine.openTap(tap, ROUTER_MAC);
    engine.openTun(tun);
    const tunnel = { slot: 0, side: 'mobile-node', local: CARE_OF, remote: AGENT, mtu: 1460 };
    engine.publish({
      tunnels: [{ ...tunnel, homeAddresses: [HOME], port }],
      locals: [{ address: CARE_OF, side: 'mobile-node' }],
    });
    return { opened: tap };
  },
  'packet-host'(json) {
    const { taps, nic, uplink, pairs, ...more } = JSON.parse(json);
    const ports = taps.map((tap) => engine.openTap(tap, ROUTER_MAC));
    const { mac, withoutXdp = null } = engine.openPacketUplink(nic, uplink);
    const tunnels = pairs.map(({ home, careOf, mtu }, slot) => ({
      slot,
      side: 'mobile-node',
      local: careOf,
      remote: AGENT,
      mtu: mtu ?? 1460,
      mssClamp: true,
      homeAddresses: [home],
      port: ports[slot],
    }));
    const locals = pairs.map(({ careOf }) => ({ address: careOf, side: 'mobile-node' }));
    engine.publish({ tunnels, locals, ...more });
    return { opened: nic, mac, withoutXdp };
  },
  agent(tun) {
    engine.openTun(tun);
    const tunnel = { slot: 0, side: 'home-agent', local: AGENT, remote: CARE_OF, mtu: 1460 };
    engine.publish({
      tunnels: [{ ...tunnel, homeAddresses: [HOME] }],
      locals: [{ address: AGENT, side: 'home-agent' }],
    });
    return { opened: tun };
  },
};

const [command, ...words] = process.argv.slice(2);
try {
  say(commands[command](...words));
} catch ({ code, message }) {
  say({ code, message });
  process.exit(1);
}

/** An engine counter, read where it stands. */
function counter(name) {
  const index = engine.layout().engineCounters / 8 + addon.names.engine.indexOf(name);
  return Number(new BigUint64Array(region)[index]);
}

/** With packet-host, the engine's own drops that happened. */
function drops() {
  if (command !== 'packet-host') return {};
  const values = new BigUint64Array(region);
  const first = engine.layout().engineCounters / 8 + addon.names.engine.length;
  const counts = addon.names.drops.map((name, index) => [name, Number(values[first + index])]);
  return { drops: Object.fromEntries(counts.filter(([, count]) => count > 0)) };
}
const region = engine.region();
process.stdin.resume().on('end', () => {
  say({
    wakeups: counter('wakeups'),
    devicesLost: counter('devicesLost'),
    uplinksLost: counter('uplinksLost'),
    ...drops(),
  });
  engine.close();
});
