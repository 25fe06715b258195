import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Pinging } from '../../src/cli/demo/measure.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import { type Daemon, KAGEMUSHA, nodeCommand, startDaemon } from '../../src/cli/demo/processes.js';
import { buildTestbed, type Testbed } from '../../src/cli/demo/testbed.js';
import { answers, end, homeIs, twenty } from '../support/journey.js';

/** No node has this address. */
const DEAD = '2001:db8:2000::dead';
const SECOND = '2001:db8:2000::5';

/** Another Home Agent on the home link, a machine of its own. */
async function startSecond(testbed: Testbed, netns: Netns): Promise<Daemon> {
  const { hostA, files, directory } = testbed;
  await hostA.ip(`link add lan1 type veth peer name lan0 netns ${netns.name}`);
  await hostA.sysctl({ 'net.ipv6.conf.lan1.disable_ipv6': 1 });
  await hostA.ip('link set lan1 master home0 up');
  await netns.sysctl({ 'net.ipv6.conf.all.forwarding': 1 });
  await netns.ip('address add 2001:db8:2000::fe/64 dev lan0 nodad');
  await netns.ip('link set lan0 up');
  await netns.ip(`-6 route add default via ${PAPER.homeRouter} dev lan0`);
  const text = await readFile(files.homeAgent, 'utf8');
  const file = join(directory, 'second.toml');
  const socket = join(files.run, 'second.sock');
  await writeFile(
    file,
    text
      .replace(`address = "${PAPER.homeAgent}"`, `address = "${SECOND}"`)
      .replace(files.homeAgentSocket, socket)
      .replace('run/home-agent', 'run/second'),
  );
  return await startDaemon(netns, 'home-agent', file, socket);
}

t.test('a list of home agents, by preference', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic', guest: 'liveness_interval = 5' });
  t.teardown(() => testbed.remove());
  const netns = await Netns.create(`${testbed.homeAgent.name}2`);
  t.teardown(() => netns.remove());
  const { hostA, hostB, homeAgent, guest, files } = testbed;
  const text = await readFile(files.host, 'utf8');
  const list = `home_agent = ["${DEAD}", "${PAPER.homeAgent}", "${SECOND}"]`;
  await writeFile(files.host, text.replace(`home_agent = "${PAPER.homeAgent}"`, list));
  const first = await testbed.startHomeAgent();
  const second = await startSecond(testbed, netns);
  await testbed.startHost();

  await testbed.moveGuestToHostB();
  await answers(guest, PAPER.hostA);
  const at = await homeIs(testbed, 'registered', ({ state }) => state === 'registered');
  t.equal(at.homeAgent, PAPER.homeAgent, 'the first of the list does not answer: the next');
  t.match(
    await hostB.run(nodeCommand(KAGEMUSHA, '--socket', files.hostSocket, 'status')),
    new RegExp(`${PAPER.homeAgent}.*registered with the home agent ${PAPER.homeAgent}`, 's'),
    '`kagemusha status` tells which one',
  );

  // The next packet of the guest is answered with Destination Unreachable.
  await end(first, 'SIGKILL');
  await homeAgent.ip(`-6 route add unreachable ${PAPER.homeAgent}/128 metric 1`);
  const sign = performance.now();
  await guest.run(['sh', '-c', `ping -6 -n -c 1 -W 1 ${PAPER.hostA} || true`]);
  await homeIs(testbed, 'noticed', ({ state, homeAgent: asked }) => {
    return state === 'lost' || asked !== PAPER.homeAgent;
  });
  const noticed = performance.now() - sign;
  t.comment(`noticed ${noticed.toFixed(0)} ms after the first sign`);
  t.ok(noticed < 3000, 'within 3 s, the time to ask and the ping included');
  await homeIs(testbed, 'the second', ({ state, homeAgent: bound }) => {
    return state === 'registered' && bound === SECOND;
  });
  t.comment(`registered there after ${(performance.now() - sign).toFixed(0)} ms`);
  await answers(guest, PAPER.hostA);
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'ping6 through the second');
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'and back');

  // Nobody sends anything, and nothing tells that this one is gone too.
  await end(second, 'SIGKILL');
  const silence = performance.now();
  await homeIs(testbed, 'lost', ({ state }) => state === 'lost', { timeoutMs: 30_000 });
  t.comment(`noticed by probes after ${(performance.now() - silence).toFixed(0)} ms of silence`);
});

t.test('RFC 6275 11.4.1: home_agent = "auto" finds it by the anycast address', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, guest, files } = testbed;
  const text = await readFile(files.host, 'utf8');
  await writeFile(files.host, text.replace(`"${PAPER.homeAgent}"`, '"auto"'));
  const host = await testbed.startHost();
  await testbed.moveGuestToHostB();
  const pinging = new Pinging(guest, PAPER.hostA, 100);
  t.teardown(() => pinging.stop());
  await until('the search', async () => {
    const state = (await testbed.hostStatus()).guests[0]?.binding.state;
    return state === 'discovering' ? true : undefined;
  });
  const before = (await testbed.hostStatus()).guests[0];
  t.equal(before?.homeAgent, undefined);
  t.comment(before?.binding.reason);
  await testbed.startHomeAgent();
  const at = await homeIs(testbed, 'registered', ({ state }) => state === 'registered');
  t.equal(at.homeAgent, PAPER.homeAgent);
  await answers(guest, PAPER.hostA);
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0);
  t.notMatch(host.log, /"level":"(error|fatal)"/);
});
