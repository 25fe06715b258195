import t from 'tap';
import { listOf, RegistrationHarness, SECOND_AGENT } from '../support/registration-harness.js';
import { HOME_AGENT, OTHER_CARE_OF } from '../support/testbed-addresses.js';

const LIST = listOf(HOME_AGENT, SECOND_AGENT);
const AUTO = { kind: 'auto' } as const;

/** A host to which the guest comes, told who keeps its binding. */
function told(homeAgents: typeof LIST | typeof AUTO, homeAgent: typeof HOME_AGENT) {
  const harness = new RegistrationHarness({ homeAgents });
  const outputs = harness.handle({ type: 'told', homeAgent });
  return { harness, outputs };
}

t.test('told: nothing leaves until the guest is registered', async (t) => {
  for (const homeAgents of [LIST, AUTO]) {
    const { harness, outputs } = told(homeAgents, SECOND_AGENT);
    t.strictSame(outputs, []);
    t.match(harness.summary, { state: 'idle' });
    t.equal(harness.registration.wakeAt(), undefined);
    t.equal(harness.registration.homeAgent, SECOND_AGENT);
  }
});

t.test('told, with a list: the home agent that has the binding is asked first', async (t) => {
  const { harness } = told(LIST, SECOND_AGENT);
  harness.register();
  t.strictSame(harness.sent, [[0, SECOND_AGENT]]);
  harness.pass(10_000);
  t.ok(
    harness.sent.some(([, to]) => to === HOME_AGENT),
    'where it is silent, the others',
  );
});

t.test(
  'told, with auto: RFC 6275 11.4.1 is skipped, the Binding Update leaves at once',
  async (t) => {
    const { harness } = told(AUTO, SECOND_AGENT);
    harness.register();
    t.strictSame(harness.sent, [[0, SECOND_AGENT]]);
    t.match(harness.acknowledge(), [{ type: 'bound', homeAgent: SECOND_AGENT }]);
    t.strictSame(harness.icmpv6, []);

    const wrong = told(AUTO, OTHER_CARE_OF).harness;
    wrong.register();
    wrong.pass(10_000);
    t.ok(wrong.icmpv6.length > 0, 'one that is silent is given up for discovery');
    wrong.discover([HOME_AGENT]);
    t.equal(wrong.last.signal.destination, HOME_AGENT);
  },
);

t.test('told of a home agent that is not in the list: it is not asked', async (t) => {
  const { harness } = told(LIST, OTHER_CARE_OF);
  harness.register();
  t.strictSame(harness.sent, [[0, HOME_AGENT]]);
  harness.pass(60_000);
  t.ok(harness.sent.every(([, to]) => to !== OTHER_CARE_OF));
});

t.test('told while registered: the binding stays where it is', async (t) => {
  const harness = RegistrationHarness.registered({ homeAgents: LIST });
  harness.pass(5000);
  t.strictSame(harness.handle({ type: 'told', homeAgent: OTHER_CARE_OF }), []);
  t.match(harness.summary, { state: 'registered' });
  t.equal(harness.registration.homeAgent, HOME_AGENT);
});
