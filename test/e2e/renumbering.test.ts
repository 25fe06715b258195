import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { until } from '../../src/cli/demo/netns.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { request } from '../../src/daemon/control-client.js';
import { homeIs, moveAway, readAgain, twenty } from '../support/journey.js';
import { captureOn, tshark } from '../support/judge.js';
import { testbedPreferences } from '../support/testbed-keys.js';

const NEXT = '2001:db8:2001::/64';

t.test('RFC 6275 10.6, 11.4.3: the home network is renumbered', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, guest, files, directory } = testbed;
  await guest.sysctl({
    'net.ipv6.conf.eth0.accept_ra': 2,
    'net.ipv6.conf.eth0.autoconf': 1,
  });
  // With the metric of routes that are learnt, a route by hand makes Linux give up the whole Router Advertisement.
  await guest.ip('-6 route del default');
  await guest.ip(`-6 route add default via ${PAPER.homeRouter} dev eth0 metric 2048`);
  const agent = await testbed.startHomeAgent();
  const host = await testbed.startHost();
  await moveAway(testbed);
  const heard = await captureOn(guest, 'eth0', join(directory, 'guest.pcap'), 'icmp6');
  const capture = await captureOn(hostB, 'wan0', join(directory, 'wan.pcap'), 'ip6');

  const text = await readFile(files.homeAgent, 'utf8');
  await writeFile(
    files.homeAgent,
    `${text}
[[home_agent.prefix]]
prefix = "${PAPER.homePrefix}"
valid_lifetime = 40
preferred_lifetime = 20
autonomous = false

[[home_agent.prefix]]
prefix = "${NEXT}"
`,
  );
  const changed = performance.now();
  await readAgain(agent);
  // Unsolicited it would hear after ten minutes at the earliest (RFC 6275 10.6.2); the next acknowledgement tells it to ask, for it
  // cannot grant what was asked for any more (10.3.1).
  await request(host.socket, 'POST', '/v1/guests/vm1/bind');
  const home = await homeIs(testbed, 'the new prefixes', ({ homePrefixes = [] }) =>
    homePrefixes.some(({ prefix }) => prefix === NEXT),
  );
  t.ok((home.lifetime ?? 0) <= 40, 'no binding is longer than its prefix is valid');
  t.comment(`known ${(performance.now() - changed).toFixed(0)} ms after SIGHUP`);
  const [old, next] = home.homePrefixes ?? [];
  t.equal(old?.prefix, PAPER.homePrefix);
  t.ok((old?.preferredLifetime ?? 99) <= 20, 'the old one is being given up');
  t.ok((next?.preferredLifetime ?? 0) > 600_000, 'the new one has a week');
  const advertisement = async (): Promise<true | undefined> => {
    const told = `icmpv6.type == 134 && icmpv6.opt.prefix == ${NEXT.replace('/64', '')}`;
    return (await tshark(heard.file, told)).length > 0 ? true : undefined;
  };
  await until('the Router Advertisement to the guest', advertisement);
  const route = async (): Promise<string | undefined> => {
    const shown = await guest.ip(`-6 route show ${NEXT}`);
    return shown === '' ? undefined : shown;
  };
  t.match(await until('the route to the new prefix', route), /dev eth0 proto kernel .*expires/);
  t.match(await guest.ip('-6 route show default proto ra'), `via ${PAPER.homeRouter} dev eth0`);
  const refused = async (): Promise<true | undefined> => {
    const told = `icmpv6.type == 136 && icmpv6.nd.na.target_address == ${NEXT}`;
    return (await tshark(heard.file, told)).length > 0 ? true : undefined;
  };
  // The guest makes an address, and DAD takes it away again: no Home Agent binds it yet, so what left from it would be lost.
  await until('the answer to DAD', refused);
  const addresses = await guest.ip('-6 address show dev eth0 scope global -tentative');
  t.match(addresses, PAPER.guest);
  t.notMatch(addresses, NEXT.replace('::/64', ':'), 'no address that is not registered');
  await heard.stop();
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'its home address is pinged as before');

  await capture.stop();
  const preferences = await testbedPreferences(files);
  const seen = async (filter: string): Promise<number> =>
    (await tshark(capture.file, filter, preferences)).length;
  t.equal(await seen('icmpv6.type == 147 && !esp'), 0, 'none in the clear');
  t.ok((await seen('icmpv6.type == 146 && esp')) > 0, 'a solicitation, by ESP');
  t.ok((await seen('icmpv6.type == 147 && esp')) > 0, 'an advertisement, by ESP');
});
