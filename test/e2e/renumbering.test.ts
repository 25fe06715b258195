import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { until } from '../../src/cli/demo/netns.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { homeIs, moveAway, readAgain, twenty } from '../support/journey.js';
import { captureOn, tshark } from '../support/judge.js';
import { testbedPreferences } from '../support/testbed-keys.js';

const NEXT = '2001:db8:2001::/64';

t.test('RFC 6275 10.6, 11.4.3: the home network is renumbered', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, guest, files, directory } = testbed;
  await guest.sysctl({
    'net.ipv6.conf.eth0.accept_ra': 1,
    'net.ipv6.conf.eth0.autoconf': 1,
    'net.ipv6.conf.eth0.accept_dad': 0,
  });
  const agent = await testbed.startHomeAgent();
  await testbed.startHost();
  await moveAway(testbed);
  const capture = await captureOn(hostB, 'wan0', join(directory, 'wan.pcap'), 'ip6');

  const text = await readFile(files.homeAgent, 'utf8');
  await writeFile(
    files.homeAgent,
    `${text}
[[home_agent.prefix]]
prefix = "${PAPER.homePrefix}"
valid_lifetime = 7200
preferred_lifetime = 600
autonomous = false

[[home_agent.prefix]]
prefix = "${NEXT}"
`,
  );
  const changed = performance.now();
  await readAgain(agent);
  const home = await homeIs(testbed, 'the new prefixes', ({ homePrefixes = [] }) =>
    homePrefixes.some(({ prefix }) => prefix === NEXT),
  );
  t.comment(`known ${(performance.now() - changed).toFixed(0)} ms after SIGHUP`);
  t.match(home.homePrefixes, [
    { prefix: PAPER.homePrefix },
    { prefix: NEXT, preferredLifetime: 604_800 },
  ]);
  const address = await until(
    "an address of the guest's kernel",
    async () => /2001:db8:2001:[0-9a-f:]+/.exec(await guest.ip('-6 address show dev eth0'))?.[0],
  );
  t.comment(`the guest's kernel made ${address}`);
  const routes = await guest.ip('-6 route show');
  t.match(routes, /2001:db8:2001::\/64 .*proto (kernel|ra)/, 'the prefix is on its link');
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'its home address is pinged as before');

  await capture.stop();
  const preferences = await testbedPreferences(files);
  const seen = async (filter: string): Promise<number> =>
    (await tshark(capture.file, filter, preferences)).length;
  t.equal(await seen('icmpv6.type == 147 && !esp'), 0, 'none in the clear');
  t.ok((await seen('icmpv6.type == 146 && esp')) > 0, 'a solicitation, by ESP');
  t.ok((await seen('icmpv6.type == 147 && esp')) > 0, 'an advertisement, by ESP');
});
