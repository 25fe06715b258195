import t from 'tap';
import type { HomeAgentConfig } from '../../../src/signaling/index.js';
import { parseAddress, parsePrefix } from '../../../src/wire/index.js';
import { ofType } from '../../support/drain.js';
import {
  AgentHarness,
  messages,
  onBothHomeLinks,
  served,
} from '../../support/home-agent-harness.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

function prefixes(valid: number, preferred: number): Pick<HomeAgentConfig, 'prefixes'> {
  return {
    prefixes: [
      {
        prefix: HOME_PREFIX,
        validLifetime: valid,
        preferredLifetime: preferred,
        onLink: true,
        autonomous: true,
      },
    ],
  };
}

onBothHomeLinks('RFC 6275 10.3.1: a first registration is bound and acknowledged', (t, config) => {
  const harness = new AgentHarness(config);
  const outputs = harness.register({ sequence: 14885 }).filter(({ type }) => type !== 'probe');
  const real = config.homeLink === 'real';
  t.same(
    outputs.map(({ type }) => type),
    real ? ['bind', 'store', 'defend', 'transmit'] : ['bind', 'store', 'transmit'],
  );
  t.match(ofType(outputs, 'transmit'), [
    {
      signal: {
        source: HOME_AGENT,
        destination: CARE_OF,
        routingHeader: HOME_ADDRESS,
        message: { kind: 'binding-acknowledgement', status: 0, sequence: 14885, lifetime: 60 },
      },
    },
  ]);
  t.match(harness.bindings, [{ careOfAddress: CARE_OF, sequence: 14885, state: 'bound' }]);
});

t.test('RFC 6275 10.3.1: on a virtual home link nothing is probed: bound at once', (t) => {
  const harness = new AgentHarness({ homeLink: 'virtual' });
  const outputs = harness.update({ linkLocalCompatible: true });
  t.equal(harness.now, 0);
  t.match(messages(outputs), [{ status: 0 }]);
  t.same(ofType(outputs, 'probe'), []);
  t.same(ofType(outputs, 'defend'), []);
  t.same(ofType(harness.update({ sequence: 2, lifetime: 0 }), 'release'), []);
  t.end();
});

onBothHomeLinks('RFC 6275 9.5.2: a refresh is acknowledged at once', (t, config) => {
  const harness = AgentHarness.bound(config);
  const outputs = harness.update({ sequence: 2 });
  t.same(
    outputs.map(({ type }) => type),
    ['store', 'transmit'],
  );
  t.match(harness.bindings, [{ sequence: 2, expiresAt: 61_000 }]);
});

onBothHomeLinks('RFC 6275 9.5.2: a move binds the new care-of address', (t, config) => {
  const harness = AgentHarness.bound(config);
  const outputs = harness.update({ sequence: 2, source: OTHER_CARE_OF });
  t.same(
    outputs.map(({ type }) => type),
    ['bind', 'store', 'transmit'],
  );
  t.match(ofType(outputs, 'transmit'), [{ signal: { destination: OTHER_CARE_OF } }]);
});

onBothHomeLinks('RFC 6275 6.2.5: the Alternate Care-of Address binds', (t, config) => {
  const harness = AgentHarness.bound(config, { alternates: [OTHER_CARE_OF] });
  t.match(harness.bindings, [{ careOfAddress: OTHER_CARE_OF }]);
});

onBothHomeLinks('RFC 6275 10.3.1: an acknowledgement whatever the A flag says', (t, config) => {
  const harness = new AgentHarness(config);
  t.match(messages(harness.register({ acknowledge: false })), [{ status: 0 }]);
});

onBothHomeLinks('RFC 6275 10.3.1: no longer than asked for, or than we allow', (t, config) => {
  for (const [asked, ours, node, granted] of [
    [600, 3600, undefined, 600],
    [600, 60, undefined, 60],
    [600, 3600, 40, 40],
    [600, 60, 400, 60],
    [600, 63, undefined, 60],
    [600, 2, undefined, 4],
    [262_140, 999_999, undefined, 262_140],
  ] as const) {
    const mobileNodes = [served(node === undefined ? {} : { maxLifetime: node })];
    const harness = new AgentHarness({ ...config, maxLifetime: ours, mobileNodes });
    const outputs = harness.register({ lifetime: asked });
    t.match(messages(outputs), [{ status: 0, lifetime: granted }]);
    t.match(harness.bindings, [{ lifetime: granted, expiresAt: harness.now + 1000 * granted }]);
  }
});

t.test('RFC 6275 10.3.1, 10.6.4: no longer than the prefix is valid', (t) => {
  for (const [asked, valid, granted] of [
    [600, 0xffffffff, 600],
    [600, 2_592_000, 600],
    [600, 400, 400],
    [600, 403, 400],
    [600, 4, 4],
  ] as const) {
    const harness = new AgentHarness(prefixes(valid, valid));
    t.match(messages(harness.register({ lifetime: asked })), [{ lifetime: granted }]);
  }
  t.end();
});

t.test('RFC 6275 10.3.1: status 1 when the prefix is or becomes deprecated, or invalid', (t) => {
  for (const [valid, preferred, status, name] of [
    [2_592_000, 604_800, 0, 'neither'],
    [0xffffffff, 0xffffffff, 0, 'never'],
    [2_592_000, 0, 1, 'deprecated already'],
    [2_592_000, 300, 1, 'deprecated during the binding'],
    [2_592_000, 603, 0, 'deprecated when it ends, in units of 4 s'],
    [600, 600, 1, 'invalid when it ends'],
    [603, 603, 1, 'invalid when it ends, in units of 4 s'],
    [604, 604, 0, 'invalid after it ends'],
    [400, 400, 1, 'cut to the valid lifetime'],
  ] as const) {
    const harness = new AgentHarness(prefixes(valid, preferred));
    t.match(messages(harness.register({ lifetime: 600 })), [{ status }], name);
  }
  t.end();
});

t.test('RFC 6275 10.3.1: the longest prefix counts', (t) => {
  const inner = parsePrefix('2001:db8:2000::/80');
  const common = { onLink: true, autonomous: true };
  const harness = new AgentHarness({
    prefixes: [
      { prefix: HOME_PREFIX, validLifetime: 9999, preferredLifetime: 9999, ...common },
      { prefix: inner, validLifetime: 100, preferredLifetime: 100, ...common },
    ],
  });
  t.match(messages(harness.register({ lifetime: 600 })), [{ lifetime: 100 }]);
  t.end();
});

t.test('RFC 6275 10.3.1: K is clear, nothing moves keys here; no Binding Refresh Advice', (t) => {
  const harness = new AgentHarness();
  const [answer] = messages(harness.register({ keyManagement: true }));
  t.match(answer, { keyManagement: false, reserved: 0 });
  if (answer?.kind !== 'binding-acknowledgement') throw new Error('no acknowledgement');
  t.notOk(answer.options.some(({ kind }) => kind === 'binding-refresh-advice'));
  t.end();
});

t.test('RFC 6275 6.1.7: reserved bits, and M (RFC 5380) with H, are ignored', (t) => {
  for (const reserved of [0x800, 0x100, 1, 0x9ff]) {
    t.match(messages(new AgentHarness().register({ reserved })), [{ status: 0 }]);
  }
  t.end();
});

t.test('RFC 6275 9.5.4: the source of an unprotected Binding Update is answered', (t) => {
  const harness = new AgentHarness();
  const outputs = harness.register({ alternates: [OTHER_CARE_OF] });
  t.match(ofType(outputs, 'transmit'), [{ signal: { destination: CARE_OF } }]);
  t.match(ofType(outputs, 'bind'), [{ careOfAddress: OTHER_CARE_OF }]);
  t.end();
});

t.test('RFC 6275 10.3.1: with the L flag the link-local address is proved and defended', (t) => {
  const harness = new AgentHarness();
  const outputs = harness.register({ linkLocalCompatible: true });
  const both = [HOME_ADDRESS, parseAddress('fe80::10')];
  t.same(
    ofType(outputs, 'probe').map(({ homeAddress }) => homeAddress),
    both,
  );
  t.same(
    ofType(outputs, 'defend').map(({ homeAddress }) => homeAddress),
    both,
  );
  t.match(ofType(outputs, 'store'), [{ binding: { linkLocal: true } }]);
  t.end();
});

onBothHomeLinks('RFC 6275 10.3.1: a binding is gone when its lifetime is over', (t, config) => {
  const harness = AgentHarness.bound(config);
  harness.pass(59_999);
  t.equal(harness.bindings.length, 1);
  const outputs = harness.pass(1);
  t.match(
    outputs.map(({ type }) => type),
    config.homeLink === 'real' ? ['release', 'unbind', 'forget'] : ['unbind', 'forget'],
  );
  t.same(harness.bindings, []);
});
