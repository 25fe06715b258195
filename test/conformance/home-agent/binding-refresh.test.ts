import t from 'tap';
import { emitSignal, readSignal } from '../../../src/signaling/index.js';
import { parsePacket } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import { AgentHarness, messages, onBothHomeLinks } from '../../support/home-agent-harness.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../../support/testbed-addresses.js';

/** When refresh requests left. */
function requests(harness: AgentHarness, milliseconds: number): number[] {
  const end = harness.now + milliseconds;
  const times: number[] = [];
  for (let at = harness.agent.wakeAt(); at !== undefined && at <= end; ) {
    harness.now = Math.max(harness.now, at);
    for (const message of messages(harness.handle({ type: 'tick' }))) {
      if (message.kind === 'binding-refresh-request') times.push(harness.now);
    }
    at = harness.agent.wakeAt();
  }
  harness.now = end;
  return times;
}

onBothHomeLinks('RFC 6275 9.5.5: asked twice before the binding ends, never more', (t, config) => {
  for (const [lifetime, times] of [
    [60, [61_000 - 7500, 61_000 - 3750]],
    [4, [5000 - 500, 5000 - 250]],
    [3600, [3_601_000 - 60_000, 3_601_000 - 30_000]],
  ] as const) {
    const harness = AgentHarness.bound(config, { lifetime });
    t.same(requests(harness, 1000 * lifetime), times);
    t.same(harness.bindings, []);
    t.same(requests(harness, 100_000), []);
  }
});

onBothHomeLinks('RFC 6275 6.1.2: to the care-of address, for the home address', (t, config) => {
  const harness = AgentHarness.bound(config);
  const [request] = ofType(harness.pass(55_000), 'transmit');
  if (request === undefined) throw new Error('no request');
  t.match(request.signal, {
    source: HOME_AGENT,
    destination: CARE_OF,
    routingHeader: HOME_ADDRESS,
    message: { kind: 'binding-refresh-request' },
  });
  t.match(readSignal(parsePacket(emitSignal(request.signal))), {
    message: { kind: 'binding-refresh-request' },
  });
});

onBothHomeLinks('RFC 6275 9.5.5: a Binding Update ends it', (t, config) => {
  const harness = AgentHarness.bound(config);
  t.equal(requests(harness, 54_000).length, 1);
  harness.update({ sequence: 2 });
  t.same(requests(harness, 50_000), []);
  t.equal(requests(harness, 10_000).length, 2, 'until the next end');
});

t.test('RFC 6275 9.5.5: a refused Binding Update does not', (t) => {
  const harness = AgentHarness.bound();
  t.equal(requests(harness, 54_000).length, 1);
  harness.update({ sequence: 1 });
  t.equal(requests(harness, 7000).length, 1);
  t.end();
});

t.test('RFC 6275 9.5.5: who refreshes in time is never asked', (t) => {
  const harness = AgentHarness.bound();
  for (let sequence = 2; sequence < 20; sequence += 1) {
    t.same(requests(harness, 30_000), []);
    harness.update({ sequence });
  }
  t.end();
});

t.test('RFC 6275 9.5.5: a clock that jumps over both times asks once', (t) => {
  const harness = AgentHarness.bound();
  harness.now = 60_000;
  t.equal(messages(harness.handle({ type: 'tick' })).length, 1);
  t.same(messages(harness.pass(900)), []);
  t.end();
});

t.test('RFC 6275 9.5.5: nothing is asked while DAD runs', (t) => {
  const harness = new AgentHarness();
  harness.update({ lifetime: 4 });
  t.same(requests(harness, 4999), []);
  t.end();
});
