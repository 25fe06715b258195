import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { iperf, Pinging, ping } from '../../src/cli/demo/measure.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import type { Daemon } from '../../src/cli/demo/processes.js';
import { homeAgentStatus, KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import type { Testbed } from '../../src/cli/demo/testbed.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import type { HostStatus } from '../../src/daemon/status.js';
import { captureOn, FLAWS, tshark } from '../support/judge.js';
import { THIRD, type ThirdHost, thirdFiles, thirdHost } from '../support/third-host.js';

const FORGER = fileURLToPath(new URL('./straight-forger.py', import.meta.url));
const MOVED = '2001:db8:4000::66';
/** Mobility Header types of return routability (RFC 6275 6.1.3 - 6.1.6). */
const TESTS = 'mip6.mhtype >= 1 && mip6.mhtype <= 4';

interface World {
  readonly testbed: Testbed;
  readonly third: ThirdHost;
  readonly files: { readonly configuration: string };
  readonly hosts: readonly [Daemon, Daemon];
  /** Packets and octets of both tunnels, as the Home Agent counts them. */
  tunnelled(): Promise<unknown>;
  captures(name: string): Promise<{ stop(): Promise<[string, string]> }>;
}

/** Host B and Host C on foreign networks of their own behind the Home Agent's router, both guests registered. */
async function world(t: Test, guestLines: string): Promise<World> {
  const extra = await mkdtemp(join(tmpdir(), 'kgtest-'));
  const files = await thirdFiles(extra, guestLines);
  const testbed = await buildTestbed({
    realWire: true,
    guest: guestLines,
    homeAgent: files.homeAgent,
  });
  const made: Netns[] = [];
  t.teardown(async () => {
    for (const netns of made.reverse()) await netns.remove();
    await testbed.remove();
    await rm(extra, { recursive: true, force: true });
  });
  const third = await thirdHost(testbed, files, async (name) => {
    const netns = await Netns.create(`kg${process.pid.toString(36)}r${made.length}-${name}`);
    made.push(netns);
    return netns;
  });
  const { homeAgent, guest, directory } = testbed;
  const agent = await testbed.startHomeAgent();
  const hosts = await Promise.all([testbed.startHost(), third.start()]);
  await testbed.moveGuestToHostB();
  await until('tunnel', async () =>
    (await ping(guest, PAPER.homeAgent, 1, 1000)).received === 1 ? true : undefined,
  );
  await testbed.registered();
  await third.registered();
  return {
    testbed,
    third,
    files,
    hosts,
    tunnelled: async () =>
      (await homeAgentStatus(agent.socket)).bindings.map(({ traffic }) => traffic),
    captures: async (name) => {
      const devices = ['wan0', 'wan1'] as const;
      const [one, other] = await Promise.all(
        devices.map((device) =>
          captureOn(homeAgent, device, join(directory, `${name}-${device}.pcap`)),
        ),
      );
      if (one === undefined || other === undefined) throw new Error('no capture');
      return {
        stop: async () => {
          await Promise.all([one.stop(), other.stop()]);
          return [one.file, other.file];
        },
      };
    },
  };
}

/** Waits until packets go straight both ways; gives the time that took, in milliseconds. */
async function optimised({ testbed, third }: World): Promise<number> {
  const began = performance.now();
  const ways = [
    [() => testbed.hostStatus(), THIRD.guest],
    [() => third.status(), PAPER.guest],
  ] as const;
  await until('the straight way', async () => {
    await ping(testbed.guest, THIRD.guest, 2, 20);
    for (const [status, correspondent] of ways)
      if (stateOf(await status(), correspondent)?.state !== 'optimised') return undefined;
    return true;
  });
  return performance.now() - began;
}

function stateOf({ guests }: HostStatus, correspondent: string) {
  return guests[0]?.correspondents?.find((known) => known.correspondent === correspondent);
}

t.test('RFC 6275 11.6, 11.7: two guests whose hosts optimise', async (t) => {
  const w = await world(t, 'route_optimisation = true\n');
  const { testbed, third } = w;
  const { guest, hostA, homeAgent, hostB } = testbed;

  await t.test('packets go straight between the care-of addresses', async (t) => {
    const procedure = await w.captures('procedure');
    const first = await ping(guest, THIRD.guest, 50, 20);
    t.equal(first.lost, 0, 'nothing is lost on the change to the straight way');
    await optimised(w);
    const [wan0, wan1] = await procedure.stop();
    for (const [what, filter] of [
      ['Home Test Init, by the tunnel', 'mip6.mhtype == 1 && ipv6.nxt == 41'],
      ['Care-of Test Init', `mip6.mhtype == 2 && ipv6.src == ${PAPER.careOf}`],
      ['Home Test', 'mip6.mhtype == 3'],
      ['Care-of Test', 'mip6.mhtype == 4'],
      ['Binding Update', `mip6.mhtype == 5 && mip6.ni.hni && ipv6.src == ${PAPER.careOf}`],
      ['Binding Acknowledgement', `mip6.mhtype == 6 && mip6.bad.auth`],
    ] as const) {
      t.ok((await tshark(wan0, filter)).length > 0, what);
    }
    t.same((await tshark(wan1, FLAWS)).slice(0, 5), [], 'no flaw for tshark');

    const traffic = await w.captures('traffic');
    const before = await w.tunnelled();
    const straight = await ping(guest, THIRD.guest, 50, 20);
    const up = await iperf(guest, third.guest, THIRD.guest, {
      seconds: 1,
      octets: '1M',
      down: false,
    });
    const down = await iperf(guest, third.guest, THIRD.guest, {
      seconds: 1,
      octets: '3M',
      down: true,
    });
    t.same(await w.tunnelled(), before, "the Home Agent's tunnels stand still");
    t.equal(straight.lost, 0, 'nothing is lost on the straight way');
    t.ok(up.bits_per_second > 10e6, 'TCP, packet by packet');
    t.ok(down.bits_per_second > 10e6, 'TCP, in trains (TSO)');
    t.comment(
      `TCP ${(up.bits_per_second / 1e6).toFixed(0)} Mbit/s up, ${(down.bits_per_second / 1e6).toFixed(0)} Mbit/s down`,
    );
    const files = await traffic.stop();
    for (const file of files) {
      t.same((await tshark(file, FLAWS)).slice(0, 5), [], 'no flaw for tshark');
      t.same((await tshark(file, 'ipv6.nxt == 41')).slice(0, 5), [], 'nothing in a tunnel');
      const both = 'ipv6.routing.type == 2 && ipv6.opt.mipv6.home_address';
      const ends = `ipv6.src == ${PAPER.careOf} && ipv6.dst == ${THIRD.careOf}`;
      const requests = await tshark(file, `icmpv6.type == 128 && ${both} && ${ends}`);
      t.equal(requests.length, 50, 'type 2 routing header and Home Address option in each');
      t.same((await tshark(file, 'ipv6.plen > 1460')).slice(0, 5), [], 'none is too long');
    }
  });

  await t.test('a correspondent without support stays in the tunnel', async (t) => {
    const capture = await w.captures('unsupported');
    t.equal((await ping(guest, PAPER.hostA, 30, 20)).lost, 0);
    const refusal = await until('the refusal', async () => {
      const known = stateOf(await testbed.hostStatus(), PAPER.hostA);
      return known?.state === 'tunnel' ? known : undefined;
    });
    t.match(refusal.reason, /does not support/);
    t.equal((await ping(guest, PAPER.hostA, 30, 20)).lost, 0);
    t.equal((await ping(hostA, PAPER.guest, 30, 20)).lost, 0);
    const [wan0] = await capture.stop();
    const asked = await tshark(wan0, `mip6.mhtype == 2 && !icmpv6 && ipv6.dst == ${PAPER.hostA}`);
    t.equal(asked.length, 1, 'asked once, then remembered');
    const shown = JSON.parse(
      await hostB.run(nodeCommand(KAGEMUSHA, '--socket', w.hosts[0].socket, 'status', '--json')),
    ) as HostStatus;
    t.match(
      shown.guests[0]?.correspondents,
      [
        { correspondent: PAPER.homeAgent, state: 'tunnel' },
        { correspondent: THIRD.guest, state: 'optimised' },
        { correspondent: PAPER.hostA, state: 'tunnel' },
      ].filter(({ correspondent }) => correspondent !== PAPER.homeAgent),
    );
  });

  await t.test('RFC 6275 9.3.1: a Home Address option without a binding', async (t) => {
    const copies = 20;
    const dropped = async (): Promise<number> =>
      (await testbed.hostStatus()).guests[0]?.drops.home_address_option ?? 0;
    const delivered = async (): Promise<number> =>
      Number(/Icmp6InEchos\s+(\d+)/.exec(await guest.run(['cat', '/proc/net/snmp6']))?.[1]);
    const before = [await dropped(), await delivered()] as const;
    const argv = ['/usr/bin/python3', FORGER, `${copies}`];
    await hostA.run([...argv, PAPER.guest, PAPER.careOf, THIRD.guest, PAPER.hostA]);
    const after = await until('the drops', async () =>
      (await dropped()) >= before[0] + 3 * copies ? await dropped() : undefined,
    ).catch(dropped);
    t.equal(after - before[0], 3 * copies, 'each is dropped and counted');
    t.equal(await delivered(), before[1], 'and none reaches the guest');
    t.equal(stateOf(await testbed.hostStatus(), THIRD.guest)?.state, 'optimised');
  });

  await t.test('RFC 6275 11.6.1: a care-of address changes', async (t) => {
    const pinging = new Pinging(guest, THIRD.guest, 20);
    const text = await readFile(w.files.configuration, 'utf8');
    await writeFile(w.files.configuration, text.replaceAll(THIRD.careOf, MOVED));
    w.hosts[1].process.kill('SIGHUP');
    const began = performance.now();
    await until('the new address', async () => {
      const [now] = (await third.status()).guests;
      return now?.careOfAddress === MOVED && now.binding.state === 'registered' ? true : undefined;
    });
    await optimised(w);
    const took = performance.now() - began;
    const { lost, sent } = await pinging.stop();
    t.comment(`straight again after ${took.toFixed(0)} ms; ${lost} of ${sent} lost`);
    t.ok(lost <= 10, `${lost} lost`);
    const capture = await w.captures('moved');
    t.equal((await ping(guest, THIRD.guest, 60, 25)).lost, 0);
    const [, wan1] = await capture.stop();
    const filter = `icmpv6.type == 128 && ipv6.src == ${PAPER.careOf} && ipv6.dst == ${MOVED}`;
    t.ok((await tshark(wan1, filter)).length >= 20, 'straight to the new address');
  });

  await t.test('RFC 6275 11.3.5: the straight way breaks', async (t) => {
    await homeAgent.ip(`-6 rule add from ${PAPER.careOf} to ${MOVED} unreachable`);
    await homeAgent.ip(`-6 rule add from ${MOVED} to ${PAPER.careOf} unreachable`);
    const pinged = await ping(guest, THIRD.guest, 50, 20);
    t.comment(`${pinged.lost} of 50 echo requests, one each 20 ms, lost until the tunnel`);
    t.ok(pinged.lost <= 5, `${pinged.lost} lost`);
    const known = stateOf(await testbed.hostStatus(), THIRD.guest);
    t.match(known, { state: 'tunnel', reason: /cannot be reached/ });
    const before = await w.tunnelled();
    t.equal((await ping(guest, THIRD.guest, 20, 20)).lost, 0, 'nothing is lost in the tunnel');
    t.notSame(await w.tunnelled(), before);
    await homeAgent.ip(`-6 rule del from ${PAPER.careOf} to ${MOVED} unreachable`);
    await homeAgent.ip(`-6 rule del from ${MOVED} to ${PAPER.careOf} unreachable`);
  });
});

t.test("RFC 6275 9.3.3, 11.3.6: a correspondent's daemon is killed", async (t) => {
  const w = await world(t, 'route_optimisation = true\n');
  const { testbed, third, hosts } = w;
  await optimised(w);
  const [, peer] = hosts;
  const closed = new Promise<void>((resolve) => peer.process.once('close', () => resolve()));
  peer.process.kill('SIGKILL');
  await closed;
  const restarted = performance.now();
  await third.start();
  await until('the guest behind it', async () =>
    (await ping(testbed.guest, THIRD.guest, 1, 1000)).received === 1 ? true : undefined,
  );
  t.comment(`reached again ${(performance.now() - restarted).toFixed(0)} ms after the restart`);
  t.comment(`and straight ${(await optimised(w)).toFixed(0)} ms later`);
  t.equal((await ping(testbed.guest, THIRD.guest, 20, 20)).lost, 0);
});

t.test('route optimisation is off by default', async (t) => {
  const w = await world(t, '');
  const { testbed } = w;
  const capture = await w.captures('off');
  const before = await w.tunnelled();
  t.equal((await ping(testbed.guest, THIRD.guest, 30, 20)).lost, 0);
  t.notSame(await w.tunnelled(), before, 'by the Home Agent');
  t.equal((await testbed.hostStatus()).guests[0]?.correspondents, undefined);
  for (const file of await capture.stop()) {
    t.same(await tshark(file, TESTS), [], 'not one Home Test Init or Care-of Test Init');
    t.same(await tshark(file, 'ipv6.routing.type == 2 && icmpv6'), []);
    t.same(await tshark(file, FLAWS), []);
  }
});
