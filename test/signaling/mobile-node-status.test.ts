import t from 'tap';
import { ofType } from '../support/drain.js';
import { bindingAcknowledgement, NodeHarness } from '../support/mobile-node-harness.js';
import { sequenceFrom } from '../support/sequence.js';

/** Status, what the person reads, seconds until the first retry, seconds that retries wait at most. */
const REFUSALS = [
  [128, /without saying why/, 30, 300],
  [129, /does not allow this home address/, 300, 1800],
  [130, /no room/, 30, 300],
  [131, /not a home agent/, 300, 1800],
  [132, /does not serve the prefix/, 5, 300],
  [133, /no binding/, 30, 300],
  [134, /another node on the home link/, 30, 300],
  [136, /return routability.*expired home nonce index/, 30, 300],
  [139, /another type/, 30, 300],
  [140, /mobile routers/, 300, 1800],
  [141, /prefix/, 300, 1800],
  [142, /not authorised/, 300, 1800],
  [143, /forwarding/, 30, 300],
  [174, /care-of address/, 300, 1800],
  [200, /status 200/, 30, 300],
] as const;

for (const [status, words, first, longest] of REFUSALS) {
  t.test(`RFC 6275 11.7.3: status ${status} is a refusal, retried after ${first} s`, (t) => {
    const harness = new NodeHarness();
    harness.register();
    t.match(harness.acknowledge({ status, lifetime: 0 }), [{ type: 'refused', status }]);
    const summary = harness.node.summary(0);
    t.match(summary, { state: 'rejected', status });
    t.match(summary.reason, words);
    t.match(summary.reason, new RegExp(`next attempt in ${first} s`));
    let delay: number = first;
    for (let round = 1; round < 10; round += 1) {
      harness.pass(1000 * delay - 1);
      t.equal(harness.updates.length, round, 'patient');
      harness.pass(1);
      t.equal(harness.updates.length, round + 1, `asks again after ${delay} s`);
      harness.acknowledge({ status, lifetime: 0 });
      delay = Math.min(longest, 2 * delay);
    }
    t.end();
  });
}

t.test('an acceptance after refusals starts the back-off afresh', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.acknowledge({ status: 132 });
  harness.pass(5000);
  harness.acknowledge({ status: 132 });
  harness.pass(10_000);
  t.match(harness.acknowledge(), [{ type: 'bound' }]);
  harness.pass(30_000);
  harness.acknowledge({ status: 132 });
  t.match(harness.node.summary(harness.now).reason, /next attempt in 5 s/);
  t.end();
});

t.test('RFC 6275 9.5.1: a refused refresh leaves the binding until it runs out', (t) => {
  const harness = NodeHarness.registered();
  harness.pass(30_000);
  t.match(harness.acknowledge({ status: 130 }), [{ type: 'refused' }], 'not unbound');
  t.match(harness.node.summary(harness.now), { state: 'rejected', status: 130, expiresIn: 30 });
  const outputs = harness.pass(30_000);
  t.equal(ofType(outputs, 'unbound').length, 1);
  t.end();
});

t.test('register cuts the wait after a refusal short', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.acknowledge({ status: 129 });
  harness.pass(2000);
  t.equal(ofType(harness.register(), 'transmit').length, 1);
  t.end();
});

t.test('an acceptance that a refusal of another update overtook still counts', (t) => {
  const harness = new NodeHarness();
  harness.register();
  harness.pass(1500);
  harness.acknowledge({ sequence: 100, status: 134 });
  t.match(harness.acknowledge({ sequence: 101 }), [{ type: 'bound' }]);
  t.end();
});

t.test('RFC 6275 11.7.3: status 135 resynchronises and sends again at once', (t) => {
  const harness = new NodeHarness({ sequence: sequenceFrom(100) });
  harness.register();
  const outputs = harness.acknowledge({ status: 135, sequence: 5000, lifetime: 0 });
  t.equal(ofType(outputs, 'transmit').length, 1);
  t.equal(harness.latest.sequence, 5001);
  t.match(harness.acknowledge(), [{ type: 'bound' }]);
  t.end();
});

t.test('status 135 wraps: last accepted 65535, then 0', (t) => {
  const harness = new NodeHarness({ sequence: sequenceFrom(65_000) });
  harness.register();
  harness.acknowledge({ status: 135, sequence: 65_535 });
  t.equal(harness.latest.sequence, 0);
  t.end();
});

t.test('status 135 that answers an older update is stale: no second jump', (t) => {
  const harness = new NodeHarness({ sequence: sequenceFrom(100) });
  harness.register();
  harness.pass(1500);
  harness.acknowledge({ status: 135, sequence: 5000 });
  t.equal(harness.updates.length, 3);
  t.same(harness.acknowledge({ status: 135, sequence: 5000 }), []);
  t.equal(harness.node.drops.get('stale_resynchronisation'), 1);
  t.end();
});

t.test('status 135 without end falls back to the ordinary back-off: no ping-pong', (t) => {
  const harness = new NodeHarness({ sequence: sequenceFrom(0) });
  harness.register();
  let sent = 0;
  for (let i = 0; i < 1000; i += 1) {
    // A home agent out of its mind: always ahead of us.
    const sequence = (harness.latest.sequence + 1000) & 0xffff;
    sent += ofType(harness.acknowledge({ status: 135, sequence }), 'transmit').length;
    harness.pass(100);
  }
  t.ok(harness.updates.length <= 12, `${harness.updates.length} updates in 100 s, ${sent} at once`);
  t.end();
});

t.test('status 135 out of the blue changes nothing', (t) => {
  const harness = NodeHarness.registered();
  const signal = bindingAcknowledgement({ status: 135, sequence: 9 });
  t.same(harness.handle({ type: 'signal', signal }), []);
  t.equal(harness.node.sequence, 101);
  t.end();
});

t.test('status 135 to a de-registration', (t) => {
  const harness = NodeHarness.registered();
  harness.handle({ type: 'deregister' });
  harness.acknowledge({ status: 135, sequence: 5000 });
  t.match(harness.latest, { sequence: 5001, lifetime: 0 });
  t.match(harness.acknowledge({ lifetime: 0 }), [{ type: 'unbound' }]);
  t.end();
});

t.test('status 135: a number that comes round again stands for its latest update', (t) => {
  const harness = new NodeHarness({ sequence: sequenceFrom(100), lifetime: 60 });
  harness.register();
  harness.pass(1500);
  harness.acknowledge({ status: 135, sequence: 30_101 });
  harness.acknowledge({ status: 135, sequence: 60_000 });
  harness.pass(10_000);
  harness.acknowledge({ status: 135, sequence: 99 });
  t.equal(harness.latest.sequence, 100);
  const sentAt = harness.now;
  t.match(harness.acknowledge(), [{ type: 'bound' }]);
  t.match(harness.node.state, { binding: { expiresAt: sentAt + 60_000 } });
  t.end();
});
