import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { endProcess, type Netns, until } from '../../src/cli/demo/netns.js';
import { type Daemon, homeAgentStatus } from '../../src/cli/demo/processes.js';
import { buildTestbed, type Testbed } from '../../src/cli/demo/testbed.js';
import type { UplinkStatus } from '../../src/daemon/status.js';
import { answers, homeIs, moveAway, twenty } from '../support/journey.js';

// What becomes of a packet uplink when its cable is pulled, and when its interface is deleted.

const ROUTER = fileURLToPath(new URL('router.py', import.meta.url));

/** A router on the wire says so. */
function advertise(homeAgent: Netns, prefix: string): ChildProcess {
  return homeAgent.spawn(['python3', ROUTER, 'wan0', `${prefix}|86400|86400`], {
    stdio: 'inherit',
  });
}

async function uplinkOf(testbed: Testbed): Promise<Extract<UplinkStatus, { kind: 'packet' }>> {
  const { uplink } = await testbed.hostStatus();
  if (uplink.kind === 'packet') return uplink;
  throw new Error('no packet uplink');
}

/** The exit code of a daemon that ends by itself, and its last words. */
async function lastWords(daemon: Daemon): Promise<{ code: number | null; said: string }> {
  const code = await until('its end', () => daemon.process.exitCode ?? undefined);
  return { code, said: daemon.log.trim().split('\n').at(-1) ?? '' };
}

t.test('the host is carried to another network: its router and prefix, at once', async (t) => {
  const testbed = await buildTestbed({
    register: 'traffic',
    hostUplink: '{ kind = "packet", device = "wan0" }',
  });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, homeAgent, guest, files } = testbed;
  await hostB.sysctl({ 'net.ipv6.conf.wan0.disable_ipv6': 1 });
  const text = await readFile(files.host, 'utf8');
  await writeFile(files.host, text.replace(`"${PAPER.careOf}"`, '"auto"'));
  const agent = await testbed.startHomeAgent();
  const host = await testbed.startHost();
  let router = advertise(homeAgent, '2001:db8:3000::');
  await moveAway(testbed);
  const careOf = async () => (await homeAgentStatus(agent.socket)).bindings[0]?.careOfAddress;
  const first = await careOf();
  t.match(first, /^2001:db8:3000:0?:/);
  const before = (await uplinkOf(testbed)).router?.address;

  await homeAgent.ip('link set wan0 down');
  await until('the loss of the carrier', async () =>
    /^wan0 has no carrier/.test((await uplinkOf(testbed)).reason ?? '') ? true : undefined,
  );
  await endProcess(router);
  // Nobody of the old network is there: neither its router nor its addresses.
  await homeAgent.ip('address flush dev wan0');
  await homeAgent.ip('link set wan0 address 02:00:00:00:99:01');
  await homeAgent.ip('link set wan0 up');
  await homeAgent.ip('address add 2001:db8:3001::1/64 dev wan0 nodad');
  const back = performance.now();
  router = advertise(homeAgent, '2001:db8:3001::');
  await homeIs(testbed, 'registered anew', (at) =>
    String(at.careOfAddress).startsWith('2001:db8:3001:'),
  );
  await until('a binding from the new network', async () =>
    (await careOf())?.startsWith('2001:db8:3001:') ? true : undefined,
  );
  t.pass(`registered ${Math.round(performance.now() - back)} ms after the cable was in`);
  await answers(hostA, PAPER.guest);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'ping6 to the guest');
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'and from it');
  const uplink = await uplinkOf(testbed);
  t.match(uplink.router, { state: 'reachable', mac: '02:00:00:00:99:01' });
  t.not(uplink.router?.address, before);
  t.equal(uplink.reason, undefined);
  await host.stop();
  await endProcess(router);
});

t.test('a cable that is pulled for a moment: the binding stays', async (t) => {
  const hostUplink = `{ kind = "packet", device = "wan0", router = "${PAPER.foreignRouter}" }`;
  const testbed = await buildTestbed({ register: 'traffic', hostUplink });
  t.teardown(() => testbed.remove());
  const { hostA, homeAgent } = testbed;
  await testbed.startHomeAgent();
  const host = await testbed.startHost();
  await moveAway(testbed);
  const log = (): number => host.log.split('carrier').length;
  const seen = log();
  await homeAgent.sysctl({ 'net.ipv6.conf.wan0.keep_addr_on_down': 1 });
  await homeAgent.ip('link set wan0 down');
  await homeAgent.ip('link set wan0 up');
  await until('that it was noticed', () => (log() > seen ? true : undefined));
  await answers(hostA, PAPER.guest, 10_000);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0);
  t.match((await testbed.hostStatus()).guests, [{ binding: { state: 'registered' } }]);
  t.match((await uplinkOf(testbed)).addresses, [{ state: 'usable' }, { state: 'usable' }]);
});

for (const kind of ['packet', 'tun'] as const) {
  t.test(`a ${kind} uplink that is deleted ends the daemon, and it says why`, async (t) => {
    const device = kind === 'packet' ? 'wan0' : 'kg0';
    const hostUplink = `{ kind = "packet", device = "wan0", router = "${PAPER.foreignRouter}" }`;
    const testbed = await buildTestbed({
      register: 'traffic',
      ...(kind === 'packet' ? { hostUplink } : {}),
    });
    t.teardown(() => testbed.remove());
    const { hostB, homeAgent } = testbed;
    const agent = await testbed.startHomeAgent();
    const host = await testbed.startHost();
    await moveAway(testbed);
    await hostB.ip(`link del ${device}`);
    t.match(await lastWords(host), {
      code: 1,
      said: new RegExp(`UPLINK_GONE: ${device} is gone: `),
    });
    t.match(await homeAgentStatus(agent.socket), { bindings: [{}] }, 'the binding stays');
    if (kind === 'packet') {
      await homeAgent.ip(`link add wan0 type veth peer name wan0 netns ${hostB.name}`);
      await homeAgent.ip(`address add ${PAPER.foreignRouter}/64 dev wan0 nodad`);
      await homeAgent.ip('link set wan0 up');
      await hostB.ip('link set wan0 up');
    }
    const again = await testbed.startHost();
    await answers(testbed.hostA, PAPER.guest, 10_000);
    t.equal(
      (await twenty(testbed.hostA, PAPER.guest)).lost,
      0,
      'what starts it again has all back',
    );
    await again.stop();
    if (kind === 'packet') return;
    await homeAgent.ip('link del kgha0');
    t.match(await lastWords(agent), { code: 1, said: /UPLINK_GONE: kgha0 is gone: / });
  });
}
