import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';

// RFC 6275 11.4.2, 11.4.3: status 1 sends the mobile node to ask for its home prefixes, and the answer is under a type 2
// routing header, protected as the registration is.
for (const protection of ['none', 'esp'] as const) {
  t.test(`the home network's prefixes come to the host, security ${protection}`, async (t) => {
    const testbed = await buildTestbed({
      protection,
      register: 'traffic',
      homeAgent: `[[home_agent.prefix]]
prefix = "${PAPER.homePrefix}"
preferred_lifetime = 20
`,
    });
    t.teardown(() => testbed.remove());
    await testbed.startHomeAgent();
    await testbed.startHost();
    await testbed.moveGuestToHostB();
    await until('tunnel', async () =>
      (await ping(testbed.guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined,
    );
    const known = await until('prefixes', async () => {
      const { guests } = await testbed.hostStatus();
      return guests[0]?.bindings[0]?.homePrefixes === undefined ? undefined : guests[0];
    });
    t.equal(known.binding.status, 1, 'prefix discovery necessary');
    const [prefix, ...others] = known.bindings[0]?.homePrefixes ?? [];
    t.same(others, []);
    t.equal(prefix?.prefix, PAPER.homePrefix);
    // Seconds have passed since.
    t.ok((prefix?.preferredLifetime ?? 99) <= 20, `${prefix?.preferredLifetime} s preferred`);
    t.equal(known.drops.unprotected, undefined);
  });
}
