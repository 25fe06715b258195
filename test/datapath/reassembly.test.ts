import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Netns } from '../../src/cli/demo/netns.js';
import { PROTOCOL, upperLayerChecksum } from '../../src/wire/index.js';
import { scapy } from '../support/judges.js';
import { type2Routing } from './signaling.js';
import {
  AGENT,
  Agent,
  CARE_OF,
  eventually,
  FAR,
  frame,
  HOME,
  Host,
  ipv6,
  OTHER_CARE_OF,
  received,
  tunnelled,
  udp,
} from './world.js';

/** Of what `udp` makes. */
const UDP_PORT = 0x5a5a;
const path = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

/** Scapy's fragments of each packet. `front`: octets of extension headers in front of the fragment header. */
function fragments(
  cases: readonly { packet: Uint8Array; mtu: number; front?: number }[],
): Uint8Array[][] {
  const input = cases.map(({ packet, mtu, front = 0 }) => ({ packet: toHex(packet), mtu, front }));
  const made = scapy(path('scapy-fragments.py'), input) as string[][];
  return made.map((parts) => parts.map((part) => new Uint8Array(Buffer.from(part, 'hex'))));
}

/** RFC 2473 4.1.1: an outer header whose destination options limit encapsulation. */
function limited(inner: Uint8Array): Uint8Array {
  const options = Uint8Array.of(PROTOCOL.ipv6, 0, 4, 1, 4, 1, 0, 0);
  return ipv6(AGENT, CARE_OF, PROTOCOL.destination, Uint8Array.of(...options, ...inner));
}

t.test("RFC 2473 7.1: scapy's fragments, the guest's original packet", async (t) => {
  const inners = [1280, 1281, 1452, 2000, 9000].map((length) => udp(FAR, HOME, length - 48));
  const cut = fragments(
    inners.flatMap((inner) => [
      { packet: tunnelled(AGENT, CARE_OF, inner), mtu: 1280 },
      { packet: limited(inner), mtu: 1280, front: 8 },
      { packet: limited(inner), mtu: 600 },
    ]),
  );
  const host = new Host();
  t.teardown(() => host.engine.close());
  for (const [index, parts] of cut.entries()) {
    const inner = inners[Math.floor(index / 3)] ?? new Uint8Array();
    for (const order of [parts, parts.toReversed()]) {
      t.ok(parts.length > 1);
      for (const part of order) host.network.inject(part);
      const bytes = await eventually('the packet', () => host.guest.take());
      t.equal(toHex(bytes.subarray(14)), toHex(inner));
    }
  }
  t.equal(host.guest.take(), undefined);
  t.same(host.engine.drops(), {});
  const counters = host.engine.tunnelCounters(1);
  t.same(counters.drops, {});
  t.equal(counters.toGuest.packets, 30);
});

t.test('what the home agent gets in fragments, it forwards whole', async (t) => {
  const inner = udp(HOME, FAR, 1232);
  const [parts = [], strange = []] = fragments([
    { packet: tunnelled(CARE_OF, AGENT, inner), mtu: 1280 },
    { packet: tunnelled(FAR, AGENT, inner), mtu: 1280 },
  ]);
  const agent = new Agent();
  t.teardown(() => agent.engine.close());
  for (const part of [...strange, ...parts]) agent.network.inject(part);
  const bytes = await eventually('the packet', () => agent.network.take());
  t.equal(toHex(bytes), toHex(inner));
  t.same(agent.engine.drops(), { fragment_stranger: 2 });
  t.same(agent.engine.tunnelCounters(1).drops, {});
});

t.test('an echo reply of the Home Agent in fragments: ours, however it was routed', async (t) => {
  const reply = new Uint8Array(1400).fill(7);
  reply.set([129, 0, 0, 0]);
  const sum = upperLayerChecksum({ source: AGENT, destination: CARE_OF }, PROTOCOL.icmpv6, reply);
  new DataView(reply.buffer).setUint16(2, sum);
  const straight = ipv6(AGENT, CARE_OF, PROTOCOL.icmpv6, reply);
  const routed = ipv6(AGENT, CARE_OF, PROTOCOL.icmpv6, reply, { extensions: [type2Routing(HOME)] });
  const cut = fragments([
    { packet: straight, mtu: 1280 },
    { packet: routed, mtu: 1280, front: 24 },
  ]);
  const host = new Host();
  t.teardown(() => host.engine.close());
  for (const [index, whole] of [straight, routed].entries()) {
    for (const part of cut[index] ?? []) host.network.inject(part);
    const { kind, bytes } = await received(host.engine);
    t.equal(kind, 'control');
    t.equal(toHex(bytes), toHex(whole));
  }
  t.equal(host.guest.take(), undefined);
});

t.test('a lost fragment costs its packet, and nothing else', async (t) => {
  const [one = [], two = []] = fragments(
    [1, 2].map((byte) => ({
      packet: tunnelled(AGENT, CARE_OF, udp(FAR, HOME, 1232).fill(byte, 48)),
      mtu: 1280,
    })),
  );
  const host = new Host();
  t.teardown(() => host.engine.close());
  for (const part of [...one.slice(0, 1), ...two]) host.network.inject(part);
  const bytes = await eventually('the packet', () => host.guest.take());
  t.equal(bytes.at(-1), 2);
  host.network.inject(frame(new Uint8Array(60)));
  await eventually('the end', () => ('malformed' in host.engine.drops() ? true : undefined));
  t.equal(host.guest.take(), undefined);
});

t.test('fragments of one who is bound elsewhere', async (t) => {
  const [parts = []] = fragments([
    { packet: tunnelled(OTHER_CARE_OF, AGENT, udp(HOME, FAR, 1232)), mtu: 1280 },
  ]);
  const agent = new Agent();
  t.teardown(() => agent.engine.close());
  for (const part of parts) agent.network.inject(part);
  const drops = () => agent.engine.tunnelCounters(1).drops;
  await eventually('the drop', () => ('outer_source' in drops() ? true : undefined));
  t.same(drops(), { outer_source: 1 });
});

// guest                host                   wire of MTU 1280        agent
//   kgtap0 ── tap ── engine ── kg0 ── w0 ═════════════════════════ w1 ── a kernel that sends protocol 41
t.test(
  'RFC 8200 4.5: what a kernel fragments, through real devices',
  { skip: process.getuid?.() === 0 ? false : 'needs root' },
  async (t) => {
    const [guest, host, agent] = await Promise.all([
      Netns.create(`kgrg${process.pid}`),
      Netns.create(`kgrh${process.pid}`),
      Netns.create(`kgra${process.pid}`),
    ]);
    t.teardown(async () => {
      for (const netns of [guest, host, agent]) await netns.remove();
    });
    for (const netns of [guest, host, agent]) {
      await netns.sysctl({
        'net.ipv6.conf.all.forwarding': 1,
        'net.ipv6.conf.default.accept_dad': 0,
        'net.ipv6.conf.all.accept_dad': 0,
      });
    }
    await host.ip(`link add w0 type veth peer name w1 netns ${agent.name}`);
    await host.ip('addr add 2001:db8:1::2/64 dev w0 nodad');
    await agent.ip('addr add 2001:db8:1::1/64 dev w1 nodad');
    await agent.ip(`addr add ${AGENT}/128 dev lo`);
    await host.ip('link set w0 up');
    await agent.ip('link set w1 mtu 1280 up');
    await agent.ip('route add 2001:db8:3000::/64 via 2001:db8:1::2');

    const words = [process.execPath, path('device-child.mjs'), 'host', 'kgtap0', 'kg0'];
    const child = host.spawn(words, { stdio: ['pipe', 'pipe', 'inherit'] });
    const childEnded = new Promise((resolve) => child.once('close', resolve));
    const { stdin, stdout } = child;
    if (!stdin || !stdout) throw new Error('no pipes');
    await new Promise((resolve) => createInterface(stdout).once('line', resolve));
    await host.ip('link set kg0 up');
    await host.ip(`route add ${CARE_OF}/128 dev kg0`);
    await host.ip(`link set kgtap0 netns ${guest.name}`);
    await guest.ip('link set kgtap0 up');
    await guest.ip(`addr add ${HOME}/64 dev kgtap0 nodad`);
    await guest.ip('neigh add fe80::1 lladdr 02:00:00:00:00:01 dev kgtap0');
    await guest.ip('route add default via fe80::1 dev kgtap0');
    // The engine learns the guest's MAC from its first frame.
    await guest.run(['ping', '-6', '-c', '1', '-W', '1', FAR]).catch(() => {});

    const lengths = [1280, 1300, 1452];
    const python = ['/usr/bin/python3', path('kernel-fragments.py')];
    const receive = [...python, 'receive', HOME, String(UDP_PORT), String(2 * lengths.length)];
    const receiver = guest.spawn(receive, { stdio: ['ignore', 'pipe', 'inherit'] });
    const { stdout: said } = receiver;
    if (!said) throw new Error('no pipe');
    const lines = createInterface(said)[Symbol.asyncIterator]();
    t.equal((await lines.next()).value, 'ready');
    const inners = lengths.map((length) => toHex(udp(FAR, HOME, length - 48)));
    await agent.run([...python, 'send', AGENT, CARE_OF, ...inners]);
    // With whole UDP checksums, which the guest's kernel has verified.
    const expected = [...lengths, ...lengths].map((length) => length - 48);
    t.same(JSON.parse((await lines.next()).value as string), expected);
    stdin.end();
    await childEnded;
  },
);
