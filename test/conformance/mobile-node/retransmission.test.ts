import t from 'tap';
import {
  INITIAL_BINDACK_TIMEOUT,
  INITIAL_BINDACK_TIMEOUT_FIRST_REG,
  MAX_BINDACK_TIMEOUT,
  MAX_UPDATE_RATE,
} from '../../../src/signaling/constants.js';
import {
  DHAAD_RETRIES,
  INITIAL_DHAAD_TIMEOUT,
} from '../../../src/signaling/home-agent-discovery.js';
import { UpdateRate } from '../../../src/signaling/index.js';
import { INITIAL_SOLICIT_TIMER } from '../../../src/signaling/prefix-discovery.js';
import {
  listOf,
  RegistrationHarness,
  SECOND_AGENT,
  THIRD_AGENT,
} from '../../support/registration-harness.js';
import { sequenceFrom } from '../../support/sequence.js';
import { CARE_OF, HOME_AGENT, HOST_A, OTHER_CARE_OF } from '../../support/testbed-addresses.js';

const times = (harness: RegistrationHarness) => harness.sent.map(([at]) => at);

function fasterThanAllowed(at: readonly number[]): boolean {
  return at.some((first, index) => {
    const fourth = at[index + MAX_UPDATE_RATE];
    return fourth !== undefined && fourth - first < 1000;
  });
}

t.test('RFC 6275 12: the constants', async (t) => {
  t.equal(INITIAL_BINDACK_TIMEOUT, 1000);
  t.equal(INITIAL_BINDACK_TIMEOUT_FIRST_REG, 1500);
  t.equal(MAX_BINDACK_TIMEOUT, 32_000);
  t.equal(MAX_UPDATE_RATE, 3);
  t.equal(DHAAD_RETRIES, 4);
  t.equal(INITIAL_DHAAD_TIMEOUT, 3000);
  t.equal(INITIAL_SOLICIT_TIMER, 3000);
});

t.test(
  'RFC 6275 11.8: without a binding: InitialBindackTimeoutFirstReg, doubled up to MAX_BINDACK_TIMEOUT, for ever',
  async (t) => {
    const harness = new RegistrationHarness();
    harness.register();
    harness.pass(180_000);
    t.same(
      times(harness).slice(0, 9),
      [0, 1500, 4500, 10_500, 22_500, 46_500, 78_500, 110_500, 142_500],
    );
    harness.pass(86_400_000);
    const gaps = times(harness).map((at, index, all) => at - (all[index - 1] ?? at));
    t.equal(Math.max(...gaps), MAX_BINDACK_TIMEOUT);
  },
);

t.test('RFC 6275 11.8: with a binding: INITIAL_BINDACK_TIMEOUT, doubled', async (t) => {
  const harness = RegistrationHarness.registered({ lifetime: 600 });
  harness.pass(599_000);
  t.same(
    times(harness).slice(1),
    [480_000, 481_000, 483_000, 487_000, 495_000, 511_000, 543_000, 575_000],
  );
});

t.test('RFC 6275 11.8: a retransmission MUST have a greater sequence number', async (t) => {
  const harness = new RegistrationHarness({ sequence: sequenceFrom(65_534) });
  harness.register();
  harness.pass(12_000);
  t.same(
    harness.updates.map(({ update }) => update.sequence),
    [65_534, 65_535, 0, 1],
  );
});

t.test('RFC 6275 11.8: a valid answer ends the retransmissions', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  harness.pass(2000);
  harness.acknowledge();
  harness.pass(25_000);
  t.same(times(harness), [0, 1500]);
});

t.test('RFC 6275 11.8: an answer to any update that is outstanding counts', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  const first = harness.last;
  harness.pass(1500);
  t.match(harness.acknowledge({}, {}, first), [{ type: 'bound', expiresAt: 60_000 }]);
});

t.test('RFC 6275 11.8: another care-of address has a back-off of its own', async (t) => {
  const harness = new RegistrationHarness();
  harness.register();
  harness.pass(15_000);
  harness.handle({ type: 'move', careOfAddress: OTHER_CARE_OF });
  harness.pass(4600);
  t.same(times(harness).slice(-3), [15_000, 16_500, 19_500]);
});

t.test(
  'RFC 6275 11.8: MUST NOT send more than MAX_UPDATE_RATE updates within a second',
  async (t) => {
    const harness = new RegistrationHarness({ homeAgents: listOf(HOME_AGENT, SECOND_AGENT) });
    for (let i = 0; i < 60; i += 1) {
      harness.register();
      harness.handle({ type: 'move', careOfAddress: i % 2 === 0 ? OTHER_CARE_OF : CARE_OF });
      if (i % 5 === 0) harness.acknowledge({ status: 144 });
      if (i % 7 === 0) harness.acknowledge({ status: 135, sequence: 1000 * i });
      harness.pass(37);
    }
    t.ok(harness.updates.length > MAX_UPDATE_RATE);
    t.notOk(fasterThanAllowed(times(harness)));
  },
);

t.test('RFC 6275 11.8: home addresses of one mobile node share MAX_UPDATE_RATE', async (t) => {
  const rate = new UpdateRate();
  const all = [HOST_A, SECOND_AGENT, THIRD_AGENT, OTHER_CARE_OF, CARE_OF].map(
    (homeAddress) => new RegistrationHarness({ homeAddress, rate }),
  );
  for (const harness of all) harness.register();
  for (let i = 0; i < 100; i += 1) for (const harness of all) harness.pass(10);
  const sent = all.flatMap(times).sort((a, b) => a - b);
  t.notOk(fasterThanAllowed(sent), `${sent}`);
  t.ok(
    all.every(({ updates }) => updates.length > 0),
    'each has its turn',
  );
});

t.test('RFC 6275 11.4.1: several home agents: the next one when there is no answer', async (t) => {
  const harness = new RegistrationHarness({ homeAgents: listOf(HOME_AGENT, SECOND_AGENT) });
  harness.register();
  harness.pass(9000);
  t.same(harness.sent, [
    [0, HOME_AGENT],
    [1500, HOME_AGENT],
    [4500, SECOND_AGENT],
    [6000, SECOND_AGENT],
    [9000, HOME_AGENT],
  ]);
  harness.pass(3600_000);
  const late = times(harness).slice(-10);
  t.ok(
    late.every((at, index) => index === 0 || at - (late[index - 1] ?? 0) >= 16_000),
    `${late}`,
  );
});

t.test(
  'RFC 6275 11.4.1: MUST wait InitialBindackTimeoutFirstReg at least before the next home agent',
  async (t) => {
    const harness = new RegistrationHarness({ homeAgents: listOf(HOME_AGENT, SECOND_AGENT) });
    harness.register();
    harness.pass(INITIAL_BINDACK_TIMEOUT_FIRST_REG);
    t.ok(harness.sent.every(([, homeAgent]) => homeAgent === HOME_AGENT));
  },
);
