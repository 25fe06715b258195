import type { ChildProcess } from 'node:child_process';
import { chmod, chown, copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { iperf } from '../../src/cli/demo/measure.js';
import { endProcess, type Netns, until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus, KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { buildTestbed, type Testbed } from '../../src/cli/demo/testbed.js';
import type { UplinkStatus } from '../../src/daemon/status.js';
import { answers, homeIs, moveAway, readAgain, twenty } from '../support/journey.js';
import { captureOn, KERNEL_ERRORS, tshark } from '../support/judge.js';
import { ORDINARY_USER, ordinaryUser } from '../support/ordinary-user.js';

const ROUTER = fileURLToPath(new URL('router.py', import.meta.url));
const WAN = '{ kind = "packet", device = "wan0"';

/** A router on the wire says so. @param prefixes `PREFIX|VALID|PREFERRED`, seconds */
function advertise(homeAgent: Netns, ...prefixes: string[]): ChildProcess {
  return homeAgent.spawn(['python3', ROUTER, 'wan0', ...prefixes], { stdio: 'inherit' });
}

async function uplinkOf(testbed: Testbed): Promise<Extract<UplinkStatus, { kind: 'packet' }>> {
  const { uplink } = await testbed.hostStatus();
  if (uplink.kind === 'packet') return uplink;
  throw new Error('no packet uplink');
}

t.test(
  'a router that advertises itself, a care-of address of its prefix, no IPv6 in the kernel',
  async (t) => {
    const testbed = await buildTestbed({
      register: 'traffic',
      hostUplink: `${WAN} }`,
      realWire: true,
    });
    t.teardown(() => testbed.remove());
    const { hostA, hostB, homeAgent, guest, files } = testbed;
    await hostB.sysctl({ 'net.ipv6.conf.wan0.disable_ipv6': 1 });
    const text = await readFile(files.host, 'utf8');
    await writeFile(files.host, text.replace(`"${PAPER.careOf}"`, '"auto"'));
    const agent = await testbed.startHomeAgent();
    const host = await testbed.startHost();
    const { guests, uplink } = await testbed.hostStatus();
    t.match(guests[0]?.binding, { state: 'idle', reason: /no router on wan0 has told a \/64/ });
    t.match(uplink, { kind: 'packet', device: 'wan0', reason: /^no router has spoken on wan0/ });
    t.match(
      await hostB.run(['ip', '-o', 'link']),
      /kgtap0.*LOWER_UP/,
      'its port is open meanwhile',
    );

    let router = advertise(homeAgent, '2001:db8:3000::|86400|14400');
    await moveAway(testbed);
    const careOf = async () => (await homeAgentStatus(agent.socket)).bindings[0]?.careOfAddress;
    const first = await careOf();
    t.match(first, /^2001:db8:3000:0?:/);
    t.match(await uplinkOf(testbed), {
      router: { state: 'reachable', address: /^fe80::/ },
      addresses: [
        { address: /^fe80::/, state: 'usable' },
        { address: first, state: 'usable' },
      ],
    });
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'ping6 to the guest');
    t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'and from it');
    // A few a second: policing lets no more through (native/engine/policing.h).
    await answers(homeAgent, String(first));
    for (const down of [false, true]) {
      const { bits_per_second } = await iperf(guest, hostA, PAPER.hostA, { seconds: 1, down });
      t.ok(bits_per_second > 50e6, `TCP ${down ? 'down' : 'up'}`);
    }

    const { mac } = await uplinkOf(testbed);
    host.process.kill('SIGKILL');
    await until('its end', () => (host.process.signalCode === null ? undefined : true));
    const again = await testbed.startHost();
    // The tunnel is open at once; the router is asked for again.
    await answers(hostA, PAPER.guest, 3000);
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'after a crash');
    t.equal((await uplinkOf(testbed)).mac, mac, 'its link-layer address is the same');
    t.equal(await careOf(), first, 'as is its care-of address');

    await endProcess(router);
    await homeAgent.ip('address add 2001:db8:3001::1/64 dev wan0 nodad');
    router = advertise(homeAgent, '2001:db8:3000::|7200|0', '2001:db8:3001::|86400|14400');
    const second = await until('a binding from the new prefix', async () => {
      const address = await careOf();
      return address?.startsWith('2001:db8:3001:') ? address : undefined;
    });
    await homeIs(testbed, 'registered anew', (at) => at.careOfAddress === second);
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'ping6 after renumbering');
    await until('the old address is nobody’s', async () =>
      (await uplinkOf(testbed)).addresses.some(({ address }) => address === first)
        ? undefined
        : true,
    );
    await again.stop();
    await endProcess(router);
  },
);

t.test('an address of another node is not used; the next one is', async (t) => {
  const hostUplink = `${WAN}, router = "${PAPER.foreignRouter}" }`;
  const testbed = await buildTestbed({ register: 'traffic', hostUplink });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, homeAgent, guest, files } = testbed;
  await homeAgent.ip(`address add ${PAPER.careOf}/64 dev wan0 nodad`);
  await testbed.startHomeAgent();
  const host = await testbed.startHost();
  const reason = new RegExp(`^care-of address ${PAPER.careOf} is in use by another node on wan0`);
  const waiting = await until('the end of duplicate address detection', async () => {
    const [only] = (await testbed.hostStatus()).guests;
    return only?.binding.reason?.includes('in use') ? only : undefined;
  });
  t.match(waiting.binding, { state: 'idle', reason });
  const bind = nodeCommand(KAGEMUSHA, '--socket', host.socket, 'bind', 'vm1');
  t.match(
    await hostB.run(bind).then(() => 'bound', String),
    /GUEST_WAITS: .* is in use by another/,
  );
  const neighbours = await homeAgent.ip('-6 neighbour show dev wan0');
  t.notMatch(neighbours, (await uplinkOf(testbed)).mac, 'nobody learnt it');

  const next = '2001:db8:3000::55';
  const text = await readFile(files.host, 'utf8');
  await writeFile(files.host, text.replace(PAPER.careOf, next));
  await readAgain(host);
  await moveAway(testbed);
  t.match((await testbed.hostStatus()).guests, [{ careOfAddress: next }]);
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0);

  const third = '2001:db8:3000::66';
  await writeFile(files.host, text.replace(PAPER.careOf, third));
  await readAgain(host);
  await homeIs(testbed, 'registered anew', (at) => at.careOfAddress === third);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'it moves once the next one is proven');
});

t.test('with the MAC of the card a kernel that forwards is kept quiet', async (t) => {
  const hostUplink = `${WAN}, mac = "device", router = "${PAPER.foreignRouter}" }`;
  const testbed = await buildTestbed({ register: 'traffic', hostUplink, realWire: true });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, homeAgent, guest, files, directory } = testbed;
  await hostB.sysctl({ 'net.ipv6.conf.all.forwarding': 1 });
  const check = nodeCommand(KAGEMUSHA, 'check', '--config', files.host);
  const said = await hostB.run(['sh', '-c', '"$@"; true', 'sh', ...check]);
  t.match(said, /missing +the kernel, which forwards, drops what comes for care-of address/);
  t.match(said, `sudo ip -6 route replace blackhole ${PAPER.careOf}/128`);
  await testbed.startHomeAgent();
  const host = await testbed.startHost();
  const capture = await captureOn(homeAgent, 'wan0', join(directory, 'wan.pcap'), 'icmp6');
  await moveAway(testbed);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0);
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0);
  for (const down of [false, true]) {
    const { bits_per_second } = await iperf(guest, hostA, PAPER.hostA, { seconds: 1, down });
    t.ok(bits_per_second > 50e6, `TCP ${down ? 'down' : 'up'}`);
  }
  await capture.stop();
  t.same((await tshark(capture.file, KERNEL_ERRORS)).slice(0, 5), [], 'no error of a kernel');
  t.same(await tshark(capture.file, 'icmpv6.type == 137'), [], 'no Redirect');
  t.match(await uplinkOf(testbed), { mac: /^[0-9a-f:]{17}$/ });
  const [link] = JSON.parse(await hostB.run(['ip', '-j', 'link', 'show', 'wan0'])) as {
    address: string;
  }[];
  t.equal((await uplinkOf(testbed)).mac, link?.address);
  await host.stop();
  await hostB.run(nodeCommand(KAGEMUSHA, 'setup', '--config', files.host, '--undo'));
  t.notMatch(await hostB.ip('-6 route show'), /blackhole/, '`setup --undo` takes the rule away');
});

t.test('CAP_NET_RAW is enough, and given up', async (t) => {
  const hostUplink = `${WAN}, router = "${PAPER.foreignRouter}", bypass_qdisc = true }`;
  const testbed = await buildTestbed({ register: 'traffic', hostUplink });
  t.teardown(() => testbed.remove());
  const user = await ordinaryUser('net_raw');
  t.teardown(() => user.remove());
  const { hostA, hostB, guest, files } = testbed;
  await chmod(testbed.directory, 0o755);
  await chown(files.run, ORDINARY_USER, ORDINARY_USER);
  const keys = join(testbed.directory, 'user.keys');
  await copyFile(files.keys, keys);
  await chown(keys, ORDINARY_USER, ORDINARY_USER);
  await writeFile(files.host, (await readFile(files.host, 'utf8')).replace(files.keys, keys));
  await testbed.startHomeAgent();
  const setup = ['setup', '--config', files.host, '--apply', '--user', `${ORDINARY_USER}`];
  await hostB.run(nodeCommand(KAGEMUSHA, ...setup));
  t.notMatch(await hostB.run(['ip', '-o', 'link']), /kg0/, 'there is no TUN');
  const host = await testbed.startHost(user.wrap);
  const threads = await readdir(`/proc/${host.pid}/task`);
  t.ok(threads.length > 2);
  for (const thread of threads) {
    const status = await readFile(`/proc/${host.pid}/task/${thread}/status`, 'utf8');
    t.match(status, /^Uid:\s+65534\s+65534/m);
    for (const set of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb']) {
      t.match(status, new RegExp(`^${set}:\\s+0+$`, 'm'), `${set} of thread ${thread} is empty`);
    }
    t.match(status, /^NoNewPrivs:\s+1$/m);
  }
  await moveAway(testbed);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0);
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0);

  t.equal((await uplinkOf(testbed)).sending, 'xdp', 'by a socket from before, too');
  const { bits_per_second } = await iperf(guest, hostA, PAPER.hostA, { seconds: 1, down: false });
  t.ok(bits_per_second > 50e6, 'TCP up');
  const told = ['capture', '--socket', files.hostSocket, '--seconds', '1', '--write', '/dev/null'];
  const both = ['sh', '-c', '"$@" 2>&1', 'sh', ...nodeCommand(KAGEMUSHA, ...told)];
  t.match(await hostB.run(both), /uplink wan0: what leaves passes by tc, nftables and captures/);
});
