import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Pinging } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../src/cli/demo/processes.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { homeIs, moveAway, readAgain, swallow, twenty } from '../support/journey.js';
import { captureOn, tshark } from '../support/judge.js';

const NEXT = '2001:db8:3000::55';

t.test('another care-of address in the file and SIGHUP', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, homeAgent, guest, files, directory } = testbed;
  const agent = await testbed.startHomeAgent();
  const host = await testbed.startHost();
  await moveAway(testbed);
  const stream = await TcpStream.open(guest, hostA, PAPER.hostA);
  t.teardown(() => stream.close());
  const careOf = async () => (await homeAgentStatus(agent.socket)).bindings[0]?.careOfAddress;
  const pinging = new Pinging(hostA, PAPER.guest, 20);
  const dad = await captureOn(homeAgent, 'lan0', join(directory, 'dad.pcap'), 'icmp6 and src ::');

  // The Home Agent does not hear of it yet.
  const hearAgain = await swallow(homeAgent, 'wan0');
  const text = await readFile(files.host, 'utf8');
  await writeFile(files.host, text.replace(PAPER.careOf, NEXT));
  await readAgain(host);
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'the old tunnel works until it is confirmed');
  t.equal(await careOf(), PAPER.careOf);

  const heard = performance.now();
  await hearAgain();
  await until('the new binding', async () => ((await careOf()) === NEXT ? true : undefined));
  t.comment(`bound anew ${(performance.now() - heard).toFixed(0)} ms after updates pass again`);
  const home = await homeIs(testbed, 'registered anew', (at) => at.careOfAddress === NEXT);
  t.equal(home.state, 'registered');
  const bytes = stream.report.bytes;
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'ping6 through the new one');
  await until('TCP through the new tunnel', () =>
    stream.report.error !== undefined || stream.report.bytes > bytes + 100_000 ? true : undefined,
  );
  t.equal(stream.report.error, undefined, 'the TCP stream is alive');
  const { lost } = await pinging.stop();
  // What left by the old tunnel while the update was under way is refused (RFC 6275 10.4.5): that is one round trip.
  t.ok(lost <= 2, `${lost} echoes lost, 2 at most`);
  await dad.stop();
  const probes = await tshark(dad.file, `icmpv6.nd.ns.target_address == ${PAPER.guest}`);
  t.same(probes, [], 'no duplicate address detection for a node that only moved');
  t.match(await hostB.ip(`-6 route show ${NEXT}`), /dev kg0/, 'its route');
  t.match(await hostB.ip('-6 neighbour show proxy'), NEXT, 'its proxy entry');
  await until('nobody answers for the old address', async () => {
    const answered = await hostB.ip('-6 neighbour show proxy');
    const routed = await hostB.ip(`-6 route show ${PAPER.careOf}`);
    return answered.includes(PAPER.careOf) || routed !== '' ? undefined : true;
  });
});

t.test('a care-of address that follows the network', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, homeAgent, guest, files } = testbed;
  const text = await readFile(files.host, 'utf8');
  await writeFile(files.host, text.replace(`"${PAPER.careOf}"`, '"auto"'));
  const agent = await testbed.startHomeAgent();
  await testbed.startHost();
  await moveAway(testbed);
  const careOf = async () => (await homeAgentStatus(agent.socket)).bindings[0]?.careOfAddress;
  const first = await careOf();
  t.match(first, /^2001:db8:3000:0?:/, 'chosen from the prefix on the uplink');
  t.not(first, PAPER.hostB);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0);

  // The network is renumbered: the new prefix comes, the old one goes.
  await homeAgent.ip('address add 2001:db8:3001::1/64 dev wan0 nodad');
  await hostB.ip('address add 2001:db8:3001::3/64 dev wan0 nodad');
  await hostB.ip('-6 route replace default via 2001:db8:3001::1');
  const changed = performance.now();
  await hostB.ip(`address del ${PAPER.hostB}/64 dev wan0`);
  const second = await until('a binding from the new prefix', async () => {
    const address = await careOf();
    return address?.startsWith('2001:db8:3001:') ? address : undefined;
  });
  t.comment(`bound at ${second} ${(performance.now() - changed).toFixed(0)} ms after the change`);
  await homeIs(testbed, 'registered anew', (at) => at.careOfAddress === second);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'ping6 to the guest');
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'and from it');
  t.match(await hostB.ip(`-6 route show ${second}`), /dev kg0/, 'its route');
  const proxies = async () => await hostB.ip('-6 neighbour show proxy');
  t.match(await proxies(), second, 'its proxy entry');
  await until('nobody answers for the first address', async () =>
    (await proxies()).includes(first ?? '-') ? undefined : true,
  );
});
