import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { iperf, ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus, KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import type { HostStatus } from '../../src/daemon/status.js';
import { captureOn, FLAWS, KERNEL_ERRORS, tshark } from '../support/judge.js';
import { testbedPreferences } from '../support/testbed-keys.js';

const TUN = '{ kind = "tun", device = "kg0" }';
/** The kernel behind the wire advertises nothing. */
const PACKET = `{ kind = "packet", device = "wan0", router = "${PAPER.foreignRouter}" }`;

for (const [protection, uplink] of [
  ['esp', TUN],
  ['none', TUN],
  ['esp', PACKET],
] as const) {
  const what = `protection ${protection}, uplink ${uplink === TUN ? 'tun' : 'packet'}`;
  t.test(`a guest keeps its home address behind the tunnel, ${what}`, (t) =>
    mainJob(t, protection, uplink),
  );
}

// The paper's testbed on a wire whose ends compute every checksum and cut every train: what tshark sees there is what
// two machines would see.
async function mainJob(t: Test, protection: 'esp' | 'none', hostUplink: string): Promise<void> {
  const testbed = await buildTestbed({
    register: 'command',
    realWire: true,
    protection,
    hostUplink,
  });
  t.teardown(() => testbed.remove());
  const { hostA, homeAgent, hostB, guest, directory } = testbed;
  const agent = await testbed.startHomeAgent();
  const host = await testbed.startHost();
  await until('home link', async () =>
    (await ping(guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined,
  );
  const stream = await TcpStream.open(guest, hostA, PAPER.hostA);
  t.teardown(() => stream.close());

  const captures = {
    wan: await captureOn(hostB, 'wan0', join(directory, 'wan.pcap')),
    home: await captureOn(hostA, 'lan0', join(directory, 'home.pcap')),
    guest: await captureOn(guest, 'eth0', join(directory, 'guest.pcap')),
  };
  const before = stream.report.bytes;
  await testbed.moveGuestToHostB();
  const kagemusha = async (...words: string[]): Promise<string> =>
    await hostB.run(nodeCommand(KAGEMUSHA, '--socket', host.socket, ...words));
  await kagemusha('bind', 'vm1');
  const status = await testbed.registered();

  t.equal(status.guests[0]?.binding.status, 0, 'the Home Agent accepted the binding');
  t.equal(status.guests[0]?.binding.lifetime, 60);
  const bindings = (await homeAgentStatus(agent.socket)).bindings;
  t.match(bindings, [
    { homeAddress: PAPER.guest, careOfAddress: PAPER.careOf, state: 'bound', protection },
  ]);

  await until('TCP after the move', () =>
    stream.report.error !== undefined || stream.report.bytes > before + 100_000 ? true : undefined,
  );
  t.equal(stream.report.error, undefined, 'the TCP stream crosses the move');

  const out = await ping(guest, PAPER.hostA, 50, 20);
  t.equal(out.lost, 0, 'ping6 from the guest: nothing lost');
  const back = await ping(hostA, PAPER.guest, 50, 20);
  t.equal(back.lost, 0, 'ping6 to the guest: nothing lost');
  const agentPing = await ping(guest, PAPER.homeAgent, 10, 20);
  t.equal(agentPing.lost, 0, 'the Home Agent itself answers (with a type 2 routing header)');
  const router = await ping(guest, `${PAPER.homeRouter}%eth0`, 5, 20);
  t.equal(router.lost, 0, 'the home router answers on its link-local address');
  const up = await iperf(guest, hostA, PAPER.hostA, { seconds: 1, octets: '3M', down: false });
  const down = await iperf(guest, hostA, PAPER.hostA, { seconds: 1, octets: '3M', down: true });
  t.ok(up.bits_per_second > 10e6, 'TCP up');
  t.ok(down.bits_per_second > 10e6, 'TCP down');

  for (const [name, capture] of Object.entries(captures)) {
    await capture.stop();
    t.same((await tshark(capture.file, FLAWS)).slice(0, 5), [], `${name}: no flaw for tshark`);
    const errors = await tshark(capture.file, KERNEL_ERRORS);
    t.same(errors.slice(0, 5), [], `${name}: no ICMPv6 error from any kernel`);
  }
  const preferences = protection === 'esp' ? await testbedPreferences(testbed.files) : [];
  const seen = async (filter: string): Promise<number> =>
    (await tshark(captures.wan.file, filter, preferences)).length;
  const inTheClear = await tshark(captures.wan.file, 'mip6.mhtype');
  t.equal(inTheClear.length === 0, protection === 'esp', 'signaling can be read without the keys');
  if (protection === 'esp') {
    t.ok((await seen('esp.icv_good == 1')) >= 2, 'every ICV is right, says tshark');
    t.equal(await seen('esp.icv_bad == 1'), 0);
  }
  t.ok(await seen('mip6.mhtype == 5 && mip6.bu.lifetime == 15'), 'BU, 60 s in units of 4');
  t.ok(await seen('mip6.mhtype == 6 && mip6.ba.status == 0'), 'BA, accepted');
  t.ok(await seen(`ipv6.nxt == 41 && ipv6.src == ${PAPER.careOf}`), 'IP6IP6 to home');
  t.ok(await seen(`ipv6.nxt == 41 && ipv6.dst == ${PAPER.careOf}`), 'IP6IP6 to the guest');
  t.equal(await seen('ipv6.plen > 1460'), 0, 'no outer packet longer than the wire allows');
  t.equal(await seen('ipv6.fragment'), 0, 'no fragment');

  const pinged = JSON.parse(await kagemusha('ping', 'vm1', '--count', '3', '--json')) as {
    outside: { received: number };
    inside: { received: number };
  };
  t.equal(pinged.outside.received, 3, 'kagemusha ping outside the tunnel');
  t.equal(pinged.inside.received, 3, 'kagemusha ping inside the tunnel');
  const shown = JSON.parse(await kagemusha('status', '--json')) as HostStatus;
  t.match(shown, { schemaVersion: 1, role: 'host', guests: [{ name: 'vm1' }] });
  t.match(await kagemusha(), /vm1.*registered/s, 'status is the default command');

  const told = [
    agent.log,
    host.log,
    JSON.stringify([shown, await homeAgentStatus(agent.socket)]),
  ].join('\n');
  for (const [, key] of (await readFile(testbed.files.keys, 'utf8')).matchAll(/"([0-9a-f]+)"/g)) {
    t.notOk(told.toLowerCase().includes(key ?? ''), 'no key in logs and status');
  }

  await kagemusha('unbind', 'vm1');
  await until('de-registration', async () =>
    (await testbed.hostStatus()).guests[0]?.binding.state === 'idle' ? true : undefined,
  );
  const after = await homeAgentStatus(agent.socket);
  t.same(after.bindings, [], 'unbind takes the binding away');
  const routes = await homeAgent.run(['ip', '-6', 'route', 'show', 'dev', 'kgha0']);
  t.notMatch(routes, PAPER.guest, 'and its route');
}
