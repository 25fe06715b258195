import t, { type Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { answers } from '../support/journey.js';
import { PATH, PathLab } from '../support/path-lab.js';
import { ALL, LONG_MS } from '../support/path-traffic.js';

/** What the guest's TCP stream carries in a second is about 400 000 octets. */
const ONWARD = 300_000;

if (ALL) t.setTimeout(LONG_MS);

/** The routers that answer on the way, by hop, and what tracepath6 sums up. */
interface Trace {
  readonly hops: readonly (readonly string[])[];
  readonly silent: number;
  readonly pmtu: number;
  readonly there: number;
  readonly back: number;
  readonly text: string;
}

/** tracepath(8): hops as they answer, some several times while the path MTU is found. */
async function tracepath(from: Netns, to: string): Promise<Trace> {
  const text = await from.run(['tracepath', '-6', '-n', to]);
  const hops: string[][] = [];
  for (const [, hop, address] of text.matchAll(/^ ?(\d+): +([0-9a-f:]+)(?:%\w+)? /gm)) {
    const index = Number(hop) - 1;
    const seen = hops[index] ?? [];
    hops[index] = seen;
    if (address !== undefined && !seen.includes(address)) seen.push(address);
  }
  const sum = /Resume: pmtu (\d+) hops (\d+) back (\d+)/.exec(text);
  return {
    hops,
    silent: text.split('no reply').length - 1,
    pmtu: Number(sum?.[1]),
    there: Number(sum?.[2]),
    back: Number(sum?.[3]),
    text,
  };
}

/** A way, and who may answer at each hop. */
type Way = readonly [from: Netns, to: string, hops: readonly (readonly string[])[]];

/** Follows a way and judges it. @param inside the MTU that it must find */
async function follow(t: Test, [from, to, expected]: Way, inside: number): Promise<void> {
  const trace = await tracepath(from, to);
  for (const line of trace.text.trimEnd().split('\n')) t.comment(line);
  t.equal(trace.pmtu, inside, 'the path MTU is the one inside the tunnel');
  t.equal(trace.silent, 0, 'every hop answers');
  t.equal(trace.there, expected.length, 'hops');
  t.equal(trace.back, expected.length, 'and as many back');
  for (const [index, known] of expected.entries()) {
    // Packet Too Big comes from the one before, and at the guest's from its home router.
    const before = expected[index - 1] ?? [PAPER.homeRouter];
    const strange = (trace.hops[index] ?? ['nobody']).filter(
      (address) => !known.includes(address) && !before.includes(address),
    );
    t.same(strange, [], `hop ${index + 1} is ${trace.hops[index]}`);
  }
}

t.test('tracepath6 finds the path MTU and every hop', async (t) => {
  const lab = await PathLab.start({ path: 1400, uplink: 1500, nic: 1500 });
  t.teardown(() => lab.remove());
  const { guest, correspondent, world } = lab.nodes;
  const agent = [PATH.homeAgentKernel, PAPER.homeAgent, PATH.homeAgentWan];
  const ways: readonly Way[] = [
    // The host plays the mobile node, which is on the home link: it is no hop.
    [guest, PAPER.hostA, [agent, [PAPER.hostA]]],
    [guest, PATH.world, [agent, ['2001:db8:3a::1'], [PATH.world]]],
    [correspondent, PAPER.guest, [agent, [PAPER.guest]]],
    [world, PAPER.guest, [['2001:db8:5000::1'], agent, [PAPER.guest]]],
  ];
  for (const [path, inside, filter] of [
    [1400, 1360, 'none'],
    [1400, 1360, 'all-icmpv6'],
    [1280, 1280, 'none'],
  ] as const) {
    await t.test(`through a tunnel of ${path} octets, filter ${filter}`, async (t) => {
      await lab.narrow(path);
      await lab.filter(filter);
      await lab.register();
      await answers(guest, PATH.world);
      await lab.found(path);
      for (const way of ways) await follow(t, way, inside);
      await lab.unregister();
    });
  }
});

t.test('RFC 8201 4: the path narrows under a TCP connection, which goes on', async (t) => {
  const lab = await PathLab.start({ path: 1500, uplink: 1500, nic: 1500 });
  t.teardown(() => lab.remove());
  const { guest, correspondent } = lab.nodes;
  const ways = [
    [guest, correspondent, PAPER.hostA],
    [correspondent, guest, PAPER.guest],
  ] as const;
  const steps = [
    [1400, 'none', 20_000],
    [1280, 'none', 20_000],
    // Nobody tells: a look every 10 s finds it, and then it is for TCP to send again.
    ...(ALL ? [[1400, 'all-icmpv6', 60_000] as const] : []),
  ] as const;
  for (const [client, server, address] of ways) {
    for (const [mtu, filter, within] of steps) {
      await lab.narrow(1500);
      await lab.register();
      await answers(guest, PAPER.hostA);
      await lab.found(1500);
      await lab.filter(filter);
      const stream = await TcpStream.open(client, server, address);
      try {
        await goesOn(t, stream, 'before', within);
        await lab.narrow(mtu);
        const what = `to ${address}, narrowed to ${mtu}, filter ${filter}`;
        const took = await goesOn(t, stream, what, within);
        await lab.found(mtu, within);
        const { longestGapMs } = stream.report;
        t.comment(`${what}: ${ONWARD} octets in ${took} ms, longest gap ${longestGapMs} ms`);
      } finally {
        await stream.close();
        await lab.filter('none');
        await lab.unregister();
      }
    }
  }
});

t.test('RFC 2473 8.2: what happens inside the tunnel is told to the source', async (t) => {
  const lab = await PathLab.start({ path: 1500, uplink: 1500, nic: 1500 });
  t.teardown(() => lab.remove());
  const { guest, correspondent, routers } = lab.nodes;
  await lab.register();
  await answers(guest, PAPER.hostA);
  const [r1, , r3] = routers;
  for (const [name, router, prefix, from, to, teller] of [
    ['the guest', r1, PAPER.homePrefix, guest, PAPER.hostA, PAPER.homeRouter],
    ['the correspondent', r3, '2001:db8:3000::/64', correspondent, PAPER.guest, PAPER.homeAgent],
  ] as const) {
    await router.ip(`-6 route replace unreachable ${prefix} metric 1`);
    const said = await from.run(['sh', '-c', `ping -6 -n -c 3 -i 0.2 -W 1 ${to} || test $? = 1`]);
    await router.ip(`-6 route del unreachable ${prefix} metric 1`);
    for (const line of said.trim().split('\n')) t.comment(line);
    // RFC 2473 8.2: whatever it was, inside the tunnel it is an address that cannot be reached.
    const told = new RegExp(
      `From ${teller}\\S* icmp_seq=\\d+ Destination unreachable: Address unreachable`,
    );
    t.match(said, told, `${name} hears of it`);
    await answers(from, to);
  }
});

/** The stream carries on; gives the milliseconds. */
async function goesOn(
  t: Test,
  stream: TcpStream,
  what: string,
  timeoutMs: number,
): Promise<number> {
  const began = performance.now();
  const wanted = stream.report.bytes + ONWARD;
  const carried = (): true | undefined =>
    stream.report.error !== undefined || stream.report.bytes >= wanted ? true : undefined;
  await until(`TCP, ${what}`, carried, timeoutMs);
  t.equal(stream.report.error, undefined, `${what}: the connection lives`);
  return Math.round(performance.now() - began);
}
