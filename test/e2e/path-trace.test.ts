import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { answers } from '../support/journey.js';
import { PATH, PathLab } from '../support/path-lab.js';

/** What the guest's TCP stream carries in a second is about 400 000 octets. */
const ONWARD = 300_000;

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

/** Both ends hold the path for this wide. */
async function found(lab: PathLab, mtu: number): Promise<void> {
  let seen: unknown;
  await until(`a path MTU of ${mtu}`, async () => {
    const ends = [(await lab.guestStatus()).tunnel, (await lab.bindingStatus()).tunnel];
    seen = ends;
    return ends.every((tunnel) => tunnel?.pathMtu === mtu) ? true : undefined;
  }).catch((cause: Error) => {
    throw new Error(`${cause.message}; the tunnels are ${JSON.stringify(seen)}`, { cause });
  });
}

for (const [path, inside, filter] of [
  [1400, 1360, 'none'],
  [1400, 1360, 'all-icmpv6'],
  [1280, 1280, 'none'],
] as const) {
  t.test(`tracepath6 through a tunnel of ${path} octets, filter ${filter}`, async (t) => {
    const lab = await PathLab.start({ path, uplink: 1500, nic: 1500 });
    t.teardown(() => lab.remove());
    const { guest, correspondent, world } = lab.nodes;
    await lab.filter(filter);
    await lab.register();
    await answers(guest, PATH.world);
    await fill(lab);
    await found(lab, path);
    const agent = [PATH.homeAgentKernel, PAPER.homeAgent, PATH.homeAgentWan];
    const paths = [
      // The host plays the mobile node, which is on the home link: it is no hop (RFC 2473 3.1: a tunnel is one).
      [guest, PAPER.hostA, [agent, [PAPER.hostA]]],
      [guest, PATH.world, [agent, ['2001:db8:3a::1'], [PATH.world]]],
      [correspondent, PAPER.guest, [agent, [PAPER.guest]]],
      [world, PAPER.guest, [['2001:db8:5000::1'], agent, [PAPER.guest]]],
    ] as const;
    await lab.forgetPath();
    for (const [from, to, expected] of paths) {
      const trace = await tracepath(from, to);
      for (const line of trace.text.trimEnd().split('\n')) t.comment(line);
      t.equal(trace.pmtu, inside, 'the path MTU is the one inside the tunnel');
      t.equal(trace.silent, 0, 'every hop answers');
      t.equal(trace.there, expected.length, 'hops');
      t.equal(trace.back, expected.length, 'and as many back');
      for (const [index, known] of expected.entries()) {
        // Packet Too Big may come from the next one, or (at the guest's) from its home router.
        const next: readonly string[] = expected[index + 1] ?? [];
        const allowed: readonly string[] = [...known, ...next, PAPER.homeRouter];
        const seen = trace.hops[index] ?? [];
        t.ok(seen.length > 0, `hop ${index + 1} is ${seen}`);
        t.same(
          seen.filter((address) => !allowed.includes(address)),
          [],
          'as it should be',
        );
      }
    }
  });
}

t.test('RFC 8201 4: the path narrows under a TCP connection, which goes on', async (t) => {
  const lab = await PathLab.start({ path: 1500, uplink: 1500, nic: 1500 });
  t.teardown(() => lab.remove());
  const { guest, correspondent } = lab.nodes;
  await lab.register();
  await found(lab, 1500);
  for (const [client, server, address] of [
    [guest, correspondent, PAPER.hostA],
    [correspondent, guest, PAPER.guest],
  ] as const) {
    await lab.narrow(1500);
    await lab.unregister();
    await lab.register();
    await found(lab, 1500);
    const stream = await TcpStream.open(client, server, address);
    try {
      await goesOn(t, stream, 'before');
      for (const mtu of [1400, 1280]) {
        await lab.narrow(mtu);
        const took = await goesOn(t, stream, `narrowed to ${mtu}`);
        await found(lab, mtu);
        t.comment(
          `${mtu}: ${ONWARD} octets of the stream took ${took} ms, longest gap ${stream.report.longestGapMs} ms`,
        );
      }
    } finally {
      await stream.close();
    }
  }
});

/** The stream carries on; gives the milliseconds. */
async function goesOn(t: Test, stream: TcpStream, what: string): Promise<number> {
  const began = performance.now();
  const wanted = stream.report.bytes + ONWARD;
  await until(`TCP, ${what}`, () =>
    stream.report.error !== undefined || stream.report.bytes >= wanted ? true : undefined,
  );
  t.equal(stream.report.error, undefined, `${what}: the connection lives`);
  return Math.round(performance.now() - began);
}

/** Something as long as the guest's NIC allows crosses in each direction, or is told that it is too long. */
async function fill(lab: PathLab): Promise<void> {
  const { guest, correspondent } = lab.nodes;
  for (const [from, to] of [
    [guest, PAPER.hostA],
    [correspondent, PAPER.guest],
  ] as const) {
    await from.run(['sh', '-c', `ping -6 -n -c 3 -i 0.05 -W 1 -s 1452 ${to} || test $? = 1`]);
  }
  await sleep(50);
}
