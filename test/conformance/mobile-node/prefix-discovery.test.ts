import t from 'tap';
import { parsePrefix } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import { seededRandom } from '../../support/random.js';
import { prefixInformation, RegistrationHarness } from '../../support/registration-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOST_A,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const OTHER_PREFIX = parsePrefix('2001:db8:2001::/64');
const DAY = 86_400;

/** Registered with status 1: a solicitation is out. */
const soliciting = (config = {}) =>
  RegistrationHarness.registered({ random: () => 0.3, ...config }, { status: 1 });

const solicitations = (harness: RegistrationHarness) =>
  harness.icmpv6.filter(({ message }) => message.kind === 'mobile-prefix-solicitation');

t.test('RFC 6275 11.7.3: status 1: the validity of the home prefixes is learnt', async (t) => {
  const harness = soliciting();
  t.equal(solicitations(harness).length, 1);
});

t.test('RFC 6275 11.4.2: MUST use the Home Address option, from the care-of address', async (t) => {
  t.match(soliciting().lastIcmpv6, {
    source: CARE_OF,
    destination: HOME_AGENT,
    homeAddressOption: HOME_ADDRESS,
    message: { kind: 'mobile-prefix-solicitation' },
  });
});

t.test('RFC 6275 11.4.2: the identifier MUST be random', async (t) => {
  const harness = soliciting({ random: seededRandom(1) });
  const identifiers = new Set([harness.identifier]);
  for (let i = 0; i < 10; i += 1) {
    harness.advertise([prefixInformation()]);
    harness.pass(30_000);
    harness.acknowledge({ status: 1 });
    identifiers.add(harness.identifier);
  }
  t.equal(identifiers.size, 11);
});

t.test('RFC 6275 11.8: INITIAL_SOLICIT_TIMER, doubled, then a rest', async (t) => {
  const harness = soliciting({ lifetime: 7200 });
  harness.pass(3_600_000);
  t.same(
    solicitations(harness).map(({ at }) => at),
    [0, 3000, 9000, 21_000, 45_000],
  );
  harness.pass(77_000);
  t.equal(solicitations(harness).length, 6, 'an hour later it tries again');
});

t.test('RFC 6275 11.4.3: an advertisement that answers is processed', async (t) => {
  const harness = soliciting();
  t.match(
    harness.advertise([
      prefixInformation(),
      prefixInformation({ prefix: OTHER_PREFIX, autonomous: false }),
    ]),
    [
      {
        type: 'prefixes',
        prefixes: [
          { prefix: HOME_PREFIX, validLifetime: 30 * DAY, preferredLifetime: 7 * DAY },
          { prefix: OTHER_PREFIX, onLink: true, autonomous: false },
        ],
      },
    ],
  );
  t.match(harness.summary.prefixes, [{ prefix: HOME_PREFIX }, { prefix: OTHER_PREFIX }]);
  harness.pass(20_000);
  t.equal(solicitations(harness).length, 1, 'the solicitations end');
});

t.test(
  'RFC 6275 7.2: with the R flag the address of the router stands behind its prefix',
  async (t) => {
    const harness = soliciting();
    const prefix = { address: HOME_AGENT, length: 64 };
    const outputs = harness.advertise([prefixInformation({ prefix, routerAddress: true })]);
    t.match(outputs, [{ prefixes: [{ prefix: HOME_PREFIX }] }]);
  },
);

t.test('RFC 6275 11.4.3: MUST be from the home agent of the accepted registration', async (t) => {
  const harness = soliciting();
  t.same(harness.advertise([prefixInformation()], { source: HOST_A }), []);
  t.equal(harness.dropped('not_the_home_agent'), 1);
});

t.test('RFC 6275 11.4.3: without a home agent MUST NOT be accepted', async (t) => {
  const harness = new RegistrationHarness();
  t.same(harness.advertise([prefixInformation()], {}, 0), []);
  t.equal(harness.dropped('not_the_home_agent'), 1);
});

t.test('RFC 6275 11.4.3: MUST have a type 2 routing header with the home address', async (t) => {
  const harness = soliciting();
  const message = {
    kind: 'mobile-prefix-advertisement',
    identifier: harness.identifier,
    managed: false,
    other: false,
    options: [prefixInformation()],
  } as const;
  t.same(harness.receive(message), []);
  t.same(harness.receive(message, { homeAddress: HOST_A }), []);
  t.equal(harness.dropped('not_the_home_address'), 2);
  const elsewhere = { homeAddress: HOME_ADDRESS, destination: OTHER_CARE_OF };
  t.same(harness.receive(message, elsewhere), []);
  t.equal(harness.dropped('not_the_care_of_address'), 1);
});

t.test('RFC 6275 11.4.3: protected where the policy is ESP', async (t) => {
  const harness = soliciting({ protection: 'esp' });
  t.same(harness.advertise([prefixInformation()], { protection: 'none' }), []);
  t.equal(harness.dropped('unprotected'), 1);
  t.match(harness.advertise([prefixInformation()]), [{ type: 'prefixes' }]);
});

t.test('RFC 6275 11.4.3: another identifier: unsolicited, MUST be discarded', async (t) => {
  const harness = soliciting();
  t.same(harness.advertise([prefixInformation()], {}, harness.identifier ^ 1), []);
  t.equal(harness.dropped('unsolicited_prefix_advertisement'), 1);
  t.equal(harness.summary.prefixes, undefined);
});

t.test('RFC 6275 11.4.3: a second one for the same identifier is unsolicited', async (t) => {
  const harness = soliciting();
  harness.advertise([prefixInformation()]);
  const again = harness.advertise([prefixInformation({ prefix: OTHER_PREFIX })]);
  t.same(ofType(again, 'prefixes'), []);
  t.equal(harness.dropped('unsolicited_prefix_advertisement'), 1);
});

t.test('RFC 6275 11.4.3: an unsolicited one: SHOULD send a solicitation', async (t) => {
  const harness = RegistrationHarness.registered();
  harness.advertise([prefixInformation()], {}, 4711);
  t.equal(solicitations(harness).length, 1);
  t.match(harness.advertise([prefixInformation()]), [{ type: 'prefixes' }]);
});

t.test(
  'RFC 6275 11.4.3: many unsolicited ones: not more than one solicitation in 3 s',
  async (t) => {
    const harness = RegistrationHarness.registered({ lifetime: 600 });
    for (let i = 0; i < 1000; i += 1) {
      harness.advertise([prefixInformation()], {}, 4711);
      harness.pass(30);
    }
    t.ok(solicitations(harness).length <= 11, `${solicitations(harness).length} in 30 s`);
  },
);

t.test(
  'RFC 6275 11.4.2: before a learnt lifetime ends the prefixes are asked for again',
  async (t) => {
    const harness = soliciting({ lifetime: 36_000 });
    harness.advertise([prefixInformation({ validLifetime: 4000, preferredLifetime: 4000 })]);
    harness.pass(2_999_999);
    t.equal(solicitations(harness).length, 1);
    harness.pass(1);
    t.equal(solicitations(harness).length, 2);
  },
);

t.test('RFC 6275 11.4.2: a lifetime that never ends is not asked for again', async (t) => {
  const harness = soliciting({ lifetime: 36_000 });
  const forEver = { validLifetime: 0xffffffff, preferredLifetime: 0xffffffff };
  harness.advertise([prefixInformation(forEver)]);
  harness.pass(10_000_000);
  t.equal(solicitations(harness).length, 1);
  t.match(harness.summary.prefixes, [forEver]);
});

t.test(
  'RFC 6275 11.7.1: the lifetime asked for is not longer than the home address is valid',
  async (t) => {
    const harness = soliciting({ protection: 'esp', lifetime: 600 });
    harness.advertise([prefixInformation({ validLifetime: 403, preferredLifetime: 403 })]);
    harness.register();
    t.equal(harness.latest.lifetime, 400);
    harness.pass(200_000);
    harness.register();
    t.equal(harness.latest.lifetime, 200, 'and counts down');
  },
);

t.test(
  'RFC 4862 5.5.3 e: without protection nobody shortens the valid lifetime below 2 h',
  async (t) => {
    const harness = soliciting({ lifetime: 36_000 });
    harness.advertise([prefixInformation({ validLifetime: 8, preferredLifetime: 0 })]);
    harness.register();
    t.equal(harness.latest.lifetime, 7200);
  },
);

t.test('RFC 4862 5.5.3 c: preferred longer than valid: the option is ignored', async (t) => {
  const harness = soliciting();
  const outputs = harness.advertise([
    prefixInformation({ validLifetime: 10, preferredLifetime: 20 }),
  ]);
  t.match(outputs, [{ type: 'prefixes', prefixes: [] }]);
});

t.test('RFC 6275 11.4.3: home renumbering shows in the summary', async (t) => {
  const harness = soliciting();
  harness.advertise([
    prefixInformation({ preferredLifetime: 0, validLifetime: 86_400 }),
    prefixInformation({ prefix: OTHER_PREFIX }),
  ]);
  t.match(harness.summary, {
    state: 'registered',
    reason: /given up, valid for another 86400 s, the home network uses 2001:db8:2001::\/64/,
  });
});

t.test(
  'RFC 6275 11.4.3: a home prefix that is not advertised any more shows in the summary',
  async (t) => {
    const harness = soliciting();
    harness.advertise([prefixInformation({ prefix: OTHER_PREFIX })]);
    t.match(harness.summary.reason, /no longer advertises this home prefix/);
  },
);

t.test('RFC 6275 11.4.3: of many prefixes a bounded number is kept', async (t) => {
  const harness = soliciting();
  const many = Array.from({ length: 60 }, (_, i) =>
    prefixInformation({ prefix: parsePrefix(`2001:db8:${i.toString(16)}::/64`) }),
  );
  harness.advertise(many);
  t.equal(harness.summary.prefixes?.length, 16);
});

t.test('RFC 6275 11.4.2: without a binding nothing is solicited', async (t) => {
  const harness = soliciting();
  harness.handle({ type: 'deregister' });
  harness.acknowledge();
  const before = solicitations(harness).length;
  harness.pass(3_600_000);
  t.equal(solicitations(harness).length, before);
});
