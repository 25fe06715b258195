import t from 'tap';
import type { Address, Icmpv6Message, Mac, NdpOption } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ALL_ROUTERS,
  emitEthernet,
  emitPacket,
  PROTOCOL,
  parseAddress,
  parseEthernet,
  parseMac,
  parsePacket,
  pseudoHeader,
  solicitedNode,
  UNSPECIFIED,
  upperLayerChecksum,
} from '../../src/wire/index.js';
import { ofType } from '../support/drain.js';
import { frames, GuestLinkHarness } from '../support/guest-link-harness.js';
import type { Sent } from '../support/link-frames.js';
import { icmpv6Frame, read, SLLA, solicitation } from '../support/link-frames.js';
import {
  GUEST_LINK_LOCAL,
  GUEST_MAC,
  HOME_ADDRESS,
  HOME_ROUTER,
  HOST_A,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

const ALL_NODES_MAC = parseMac('33:33:00:00:00:01');
const OTHER_LINK_LOCAL = parseAddress('fe80::abcd');
const OFF_LINK = parseAddress('2001:db8:9::1');

t.test(
  'RFC 4861 7.2.4, 4.4: a solicitation for a neighbour of the home prefix is answered',
  (t) => {
    const harness = new GuestLinkHarness();
    const answers = harness.ask({
      source: HOME_ADDRESS,
      destination: solicitedNode(HOST_A),
      message: solicitation(HOST_A, [SLLA]),
    });
    t.equal(answers.length, 1);
    t.match(answers[0], {
      sourceMac: ROUTER_MAC,
      destinationMac: GUEST_MAC,
      source: HOST_A,
      destination: HOME_ADDRESS,
      hopLimit: 255,
      message: {
        kind: 'neighbor-advertisement',
        router: false,
        solicited: true,
        override: true,
        target: HOST_A,
        options: [{ kind: 'target-link-layer-address', mac: ROUTER_MAC }],
      },
    });
    t.end();
  },
);

t.test('RFC 4861 7.2.4: the home router is a router', (t) => {
  const harness = new GuestLinkHarness();
  const [answer] = harness.ask({
    destination: solicitedNode(HOME_ROUTER),
    message: solicitation(HOME_ROUTER, [SLLA]),
  });
  t.match(answer, {
    source: HOME_ROUTER,
    destination: GUEST_LINK_LOCAL,
    message: { router: true, solicited: true, override: true, target: HOME_ROUTER },
  });
  t.end();
});

t.test(
  'RFC 4861 7.3.1, 7.3.3: NUD probes (unicast, without link-layer address, to any MAC) are answered',
  (t) => {
    for (const target of [HOME_ROUTER, HOST_A, OTHER_LINK_LOCAL]) {
      for (const source of [HOME_ADDRESS, GUEST_LINK_LOCAL]) {
        const harness = new GuestLinkHarness();
        const [answer] = harness.ask({
          source,
          destination: target,
          destinationMac: parseMac('52:54:00:00:00:99'),
          message: solicitation(target),
        });
        t.match(answer, {
          destinationMac: GUEST_MAC,
          source: target,
          destination: source,
          message: { kind: 'neighbor-advertisement', solicited: true, target },
        });
      }
    }
    t.end();
  },
);

function advertisementOf(target: Address): Icmpv6Message {
  return {
    kind: 'neighbor-advertisement',
    router: false,
    solicited: false,
    override: true,
    target,
    options: [],
  };
}

/** RFC 7527 4.1 */
const NONCE: NdpOption = { kind: 'unknown', type: 14, data: new Uint8Array([1, 2, 3, 4, 5, 6]) };

/** Who is answered for: name, target, in DAD, otherwise. */
const TARGETS = [
  ['the home router', HOME_ROUTER, true, true],
  ['a neighbour of the home prefix', HOST_A, true, true],
  ["the guest's home address", HOME_ADDRESS, false, false],
  ["the guest's own link-local address", GUEST_LINK_LOCAL, false, false],
  ["a neighbour's link-local address", OTHER_LINK_LOCAL, false, true],
  ['an address off the link', OFF_LINK, false, false],
] as const;

for (const [name, target, inDad, otherwise] of TARGETS) {
  t.test(
    `RFC 4862 5.4.3, 5.4.4: ${name}: DAD ${inDad ? '' : 'not '}answered, others ${otherwise ? '' : 'not '}answered`,
    (t) => {
      const harness = new GuestLinkHarness();
      const probes = harness.ask({
        source: UNSPECIFIED,
        destination: solicitedNode(target),
        message: solicitation(target),
      });
      t.equal(probes.length, inDad ? 1 : 0);
      const enhanced = new GuestLinkHarness().ask({
        source: UNSPECIFIED,
        destination: solicitedNode(target),
        message: solicitation(target, [NONCE]),
      });
      t.same(enhanced, probes, 'RFC 7527 4.1: the nonce changes nothing');
      if (inDad) {
        // RFC 4861 7.2.4: to all nodes, not solicited, also where the probe has a nonce (RFC 7527 4.1).
        t.match(probes[0], {
          destination: ALL_NODES,
          destinationMac: ALL_NODES_MAC,
          source: target,
          message: {
            kind: 'neighbor-advertisement',
            solicited: false,
            override: true,
            router: target === HOME_ROUTER,
            target,
          },
        });
      }
      const known = new GuestLinkHarness();
      known.askRouter();
      const answers = known.ask({
        source: HOME_ADDRESS,
        destination: solicitedNode(target),
        message: solicitation(target, [SLLA]),
      });
      t.equal(answers.length, otherwise ? 1 : 0);
      t.end();
    },
  );
}

t.test(
  'RFC 4429 3.2: a guest in optimistic DAD gets its link-local address and its router',
  (t) => {
    const harness = new GuestLinkHarness();
    t.same(
      harness.ask({
        source: UNSPECIFIED,
        destination: solicitedNode(GUEST_LINK_LOCAL),
        message: solicitation(GUEST_LINK_LOCAL),
      }),
      [],
    );
    // An optimistic node sends no source link-layer address option.
    const [advertisement] = harness.askRouter();
    t.match(advertisement, { destination: GUEST_LINK_LOCAL, destinationMac: GUEST_MAC });
    t.end();
  },
);

t.test('RFC 4861 7.2.3: the answer goes to the link-layer address in the option', (t) => {
  const harness = new GuestLinkHarness();
  const mac = parseMac('52:54:00:aa:bb:cc');
  const outputs = harness.frame(
    icmpv6Frame({
      source: HOME_ADDRESS,
      destination: solicitedNode(HOST_A),
      message: solicitation(HOST_A, [{ kind: 'source-link-layer-address', mac }]),
    }),
  );
  t.equal(frames(outputs)[0]?.destinationMac, mac);
  t.same(ofType(outputs, 'guest'), [{ type: 'guest', mac }]);
  t.end();
});

t.test(
  'on arrival: the router with Override, a Router Advertisement, a question for the guest',
  (t) => {
    const harness = new GuestLinkHarness();
    const sent = frames(harness.handle({ type: 'arrived' }));
    t.equal(sent.length, 3);
    t.match(sent[0], {
      source: HOME_ROUTER,
      destination: ALL_NODES,
      destinationMac: ALL_NODES_MAC,
      hopLimit: 255,
      message: {
        kind: 'neighbor-advertisement',
        router: true,
        solicited: false,
        override: true,
        target: HOME_ROUTER,
        options: [{ kind: 'target-link-layer-address', mac: ROUTER_MAC }],
      },
    });
    t.match(sent[1], { destination: ALL_NODES, message: { kind: 'router-advertisement' } });
    t.match(sent[2], {
      source: HOME_ROUTER,
      destination: parseAddress('ff02::1:ff00:10'),
      destinationMac: parseMac('33:33:ff:00:00:10'),
      message: {
        kind: 'neighbor-solicitation',
        target: HOME_ADDRESS,
        options: [{ kind: 'source-link-layer-address', mac: ROUTER_MAC }],
      },
    });
    t.end();
  },
);

t.test('RFC 4861 7.2.6: MAX_NEIGHBOR_ADVERTISEMENT announcements, RetransTimer apart', (t) => {
  const harness = new GuestLinkHarness();
  const times = [0];
  harness.handle({ type: 'arrived' });
  for (const { at, output } of harness.pass(60_000)) {
    if (output.type === 'frame' && read(output.bytes).message.kind === 'neighbor-advertisement') {
      times.push(at);
    }
  }
  t.same(times, [0, 1000, 2000]);
  t.end();
});

t.test('the guest is asked for until it answers, ever less often', (t) => {
  const second = parseAddress('2001:db8:2000::11');
  const harness = new GuestLinkHarness({ homeAddresses: [HOME_ADDRESS, second] });
  harness.handle({ type: 'arrived' });
  const asked: { at: number; target: Address }[] = [];
  for (const { at, output } of harness.pass(600_000)) {
    if (output.type !== 'frame') continue;
    const { message } = read(output.bytes);
    if (message.kind === 'neighbor-solicitation') asked.push({ at, target: message.target });
  }
  t.same(
    asked.slice(0, 8).map(({ at }) => at / 1000),
    [1, 2, 3, 5, 9, 17, 33, 65],
  );
  t.same(
    asked.slice(0, 3).map(({ target }) => target),
    [second, HOME_ADDRESS, second],
  );
  const outputs = harness.frame(
    icmpv6Frame({
      source: HOME_ADDRESS,
      destination: HOME_ROUTER,
      message: {
        kind: 'neighbor-advertisement',
        router: false,
        solicited: true,
        override: true,
        target: HOME_ADDRESS,
        options: [{ kind: 'target-link-layer-address', mac: GUEST_MAC }],
      },
    }),
  );
  t.same(outputs, [{ type: 'guest', mac: GUEST_MAC }]);
  t.ok(
    harness
      .pass(600_000)
      .every(
        ({ output }) =>
          output.type === 'frame' && read(output.bytes).message.kind === 'router-advertisement',
      ),
    'no question more',
  );
  t.end();
});

t.test(
  'RFC 4861 7.2.3: the guest is learnt from its home address, once, and again when it changes',
  (t) => {
    const harness = new GuestLinkHarness();
    const dad = (sourceMac = GUEST_MAC) =>
      ofType(
        harness.frame(
          icmpv6Frame({
            source: UNSPECIFIED,
            destination: solicitedNode(HOME_ADDRESS),
            message: solicitation(HOME_ADDRESS),
            sourceMac,
          }),
        ),
        'guest',
      );
    const nud = (sourceMac: Mac) =>
      ofType(
        harness.frame(
          icmpv6Frame({
            source: HOME_ADDRESS,
            destination: HOME_ROUTER,
            message: solicitation(HOME_ROUTER),
            sourceMac,
          }),
        ),
        'guest',
      );
    t.same(dad(), [{ type: 'guest', mac: GUEST_MAC }]);
    t.same(dad(), []);
    const other = parseMac('52:54:00:00:00:02');
    t.same(nud(other), [{ type: 'guest', mac: other }]);
    t.same(nud(other), []);
    harness.handle({ type: 'arrived' });
    t.same(nud(other), [{ type: 'guest', mac: other }], 'told again after an arrival');
    t.end();
  },
);

t.test('a bridge on the port that speaks IPv6 is not taken for the guest', (t) => {
  const bridge = { sourceMac: parseMac('02:42:00:00:00:01'), source: OTHER_LINK_LOCAL };
  const mld: Icmpv6Message = { kind: 'unknown', type: 143, code: 0, body: new Uint8Array(4) };
  const echo: Icmpv6Message = {
    kind: 'echo-request',
    identifier: 1,
    sequence: 1,
    data: new Uint8Array(0),
  };
  const said: Sent[] = [
    { ...bridge, message: mld, destination: parseAddress('ff02::16'), packet: { hopLimit: 1 } },
    { ...bridge, source: UNSPECIFIED, message: mld, destination: parseAddress('ff02::16') },
    { ...bridge, message: { kind: 'router-solicitation', options: [] }, destination: ALL_ROUTERS },
    {
      ...bridge,
      source: UNSPECIFIED,
      message: solicitation(OTHER_LINK_LOCAL),
      destination: solicitedNode(OTHER_LINK_LOCAL),
    },
    { ...bridge, message: solicitation(HOME_ROUTER), destination: solicitedNode(HOME_ROUTER) },
    { ...bridge, message: solicitation(HOME_ADDRESS), destination: solicitedNode(HOME_ADDRESS) },
    { ...bridge, message: echo, destination: HOME_ROUTER },
  ];
  const harness = new GuestLinkHarness();
  harness.handle({ type: 'arrived' });
  for (const sent of said) t.same(ofType(harness.frame(icmpv6Frame(sent)), 'guest'), []);
  const [asked] = frames(harness.pass(1000).map(({ output }) => output)).filter(
    ({ message }) => message.kind === 'neighbor-solicitation',
  );
  t.match(asked?.message, { target: HOME_ADDRESS }, 'the guest is still looked for');
  t.end();
});

t.test(
  'while the guest is looked for, whoever speaks is asked at once, four times a second at most',
  (t) => {
    const harness = new GuestLinkHarness();
    harness.handle({ type: 'arrived' });
    harness.pass(100_000);
    const asked: number[] = [];
    for (let i = 0; i < 99; i += 1) {
      const spoken = icmpv6Frame({
        source: OTHER_LINK_LOCAL,
        destination: ALL_ROUTERS,
        message: { kind: 'router-solicitation', options: [] },
      });
      const sent = frames(harness.frame(spoken));
      const later = harness.pass(10).flatMap(({ output }) => frames([output]));
      for (const { message } of [...sent, ...later]) {
        if (message.kind === 'neighbor-solicitation') asked.push(harness.now);
      }
    }
    t.equal(asked.length, 4, 'in one second');
    t.equal(asked[0], 100_010, 'the first at once');
    t.end();
  },
);

t.test('RFC 7527 4.2: frames of ours that a loop brings back have no effect', (t) => {
  const harness = new GuestLinkHarness();
  const outputs = [
    ...harness.handle({ type: 'arrived' }),
    ...harness.frame(
      icmpv6Frame({
        source: UNSPECIFIED,
        destination: solicitedNode(HOST_A),
        message: solicitation(HOST_A),
      }),
    ),
  ];
  const ours = ofType(outputs, 'frame');
  t.equal(ours.length, 4);
  for (const { bytes } of ours) t.same(harness.frame(bytes), []);
  t.same(harness.drops(), { own_source: 4 });
  t.end();
});

t.test('RFC 4862 5.4.3: no question of ours looks like DAD: a guest that probes goes on', (t) => {
  const harness = new GuestLinkHarness();
  const sent = [
    ...frames(harness.handle({ type: 'arrived' })),
    ...frames(harness.pass(3_600_000).map(({ output }) => output)),
  ];
  const questions = sent.filter(({ message }) => message.kind === 'neighbor-solicitation');
  t.ok(questions.length > 60);
  for (const { source } of questions) t.equal(source, HOME_ROUTER);
  t.end();
});

t.test('several stations behind one port: the home address tells which is the guest', (t) => {
  const harness = new GuestLinkHarness();
  const nic = parseMac('52:54:00:00:00:0a');
  const other = parseMac('52:54:00:00:00:0b');
  const says = (sourceMac: Mac, source: Address) => {
    const message = solicitation(HOME_ROUTER);
    const frame = icmpv6Frame({ sourceMac, source, destination: HOME_ROUTER, message });
    const outputs = harness.frame(frame);
    t.equal(frames(outputs)[0]?.destinationMac, sourceMac, 'each has its own answer');
    return ofType(outputs, 'guest');
  };
  t.same(says(nic, HOME_ADDRESS), [{ type: 'guest', mac: nic }]);
  t.same(says(other, OTHER_LINK_LOCAL), []);
  t.same(says(other, OFF_LINK), []);
  t.same(says(nic, GUEST_LINK_LOCAL), []);
  // A bond that fails over: the same address at another link-layer address.
  t.same(says(other, HOME_ADDRESS), [{ type: 'guest', mac: other }]);
  for (const own of [OTHER_LINK_LOCAL, GUEST_LINK_LOCAL]) {
    const asked = { destination: solicitedNode(own), message: solicitation(own, [SLLA]) };
    t.same(harness.ask({ ...asked, source: HOME_ADDRESS }), [], 'link-local addresses of both');
  }
  t.end();
});

t.test('RFC 4862 5.4.4: a privacy address, which is not registered, is not to be had', (t) => {
  const harness = new GuestLinkHarness();
  const temporary = parseAddress('2001:db8:2000::9d3f:71a2:4c05:be11');
  const [answer] = harness.ask({
    source: UNSPECIFIED,
    destination: solicitedNode(temporary),
    message: solicitation(temporary),
  });
  t.match(answer, {
    destination: ALL_NODES,
    message: { kind: 'neighbor-advertisement', target: temporary, solicited: false },
  });
  t.end();
});

t.test('RFC 4861 4.6.1: a link-layer address that nobody can have is not believed', (t) => {
  for (const mac of ['00:00:00:00:00:00', '33:33:00:00:00:01', 'ff:ff:ff:ff:ff:ff']) {
    const harness = new GuestLinkHarness();
    const options = [{ kind: 'source-link-layer-address', mac: parseMac(mac) }] as const;
    const outputs = harness.frame(
      icmpv6Frame({
        source: HOME_ADDRESS,
        destination: solicitedNode(HOST_A),
        message: solicitation(HOST_A, options),
      }),
    );
    t.equal(frames(outputs)[0]?.destinationMac, GUEST_MAC);
    t.same(ofType(outputs, 'guest'), [{ type: 'guest', mac: GUEST_MAC }]);
  }
  t.end();
});

t.test('a VLAN tag is not ours to take off: counted, nothing else', (t) => {
  const harness = new GuestLinkHarness();
  const bytes = icmpv6Frame({ destination: HOME_ROUTER, message: solicitation(HOME_ROUTER) });
  const tagged = new Uint8Array(bytes.length + 4);
  tagged.set(bytes.subarray(0, 12));
  tagged.set([0x81, 0x00, 0x00, 0x05], 12);
  tagged.set(bytes.subarray(12), 16);
  t.same(harness.frame(tagged), []);
  t.same(harness.drops(), { not_ipv6: 1 });
  t.end();
});

t.test('RFC 2710 3, RFC 3810 5.2: MLD is absorbed', (t) => {
  for (const type of [130, 131, 132, 143]) {
    const harness = new GuestLinkHarness();
    const message: Icmpv6Message = { kind: 'unknown', type, code: 0, body: new Uint8Array(20) };
    const sent = icmpv6Frame({
      destination: parseAddress('ff02::16'),
      message,
      packet: {
        hopLimit: 1,
        extensions: [
          {
            kind: 'hop-by-hop',
            options: [
              { kind: 'router-alert', value: 0 },
              { kind: 'padN', data: new Uint8Array(0) },
            ],
          },
        ],
      },
    });
    t.same(ofType(harness.frame(sent), 'frame'), []);
    t.same(harness.drops(), { mld: 1 });
  }
  t.end();
});

t.test('RFC 4861 6.1.2, 8.2: a foreign Router Advertisement or Redirect has no effect', (t) => {
  const harness = new GuestLinkHarness();
  const advertisement: Icmpv6Message = {
    kind: 'router-advertisement',
    hopLimit: 64,
    managed: false,
    other: false,
    homeAgent: false,
    preference: 'high',
    routerLifetime: 1800,
    reachableTime: 0,
    retransTimer: 0,
    options: [{ kind: 'source-link-layer-address', mac: parseMac('52:54:00:66:66:66') }],
  };
  t.same(harness.frame(icmpv6Frame({ destination: ALL_NODES, message: advertisement })), []);
  const redirect = { kind: 'redirect', target: HOST_A, destination: HOST_A, options: [] } as const;
  t.same(harness.frame(icmpv6Frame({ destination: HOME_ROUTER, message: redirect })), []);
  t.same(harness.drops(), { foreign_ra: 1, redirect: 1 });
  t.end();
});

t.test(
  'RFC 4291 2.5.6: link-local traffic to others is dropped and counted, as is what nobody wants',
  (t) => {
    const echo = (destination: Address, source = GUEST_LINK_LOCAL) =>
      icmpv6Frame({
        source,
        destination,
        message: { kind: 'echo-request', identifier: 1, sequence: 1, data: new Uint8Array(8) },
      });
    const udp = (destination: Address, source = GUEST_LINK_LOCAL) =>
      icmpv6Frame({
        source,
        destination,
        message: { kind: 'echo-request', identifier: 0, sequence: 0, data: new Uint8Array(8) },
        packet: { protocol: 17, payload: new Uint8Array(16) },
      });
    const fragment = {
      kind: 'fragment',
      offset: 0,
      more: true,
      reserved: 0,
      identification: 1,
    } as const;
    const fragmented = icmpv6Frame({
      destination: OTHER_LINK_LOCAL,
      message: { kind: 'echo-request', identifier: 0, sequence: 0, data: new Uint8Array(8) },
      packet: { protocol: 17, payload: new Uint8Array(16), extensions: [fragment] },
    });
    const cases = [
      ['link_local', echo(OTHER_LINK_LOCAL)],
      ['link_local', udp(OTHER_LINK_LOCAL)],
      ['link_local', udp(HOME_ROUTER, HOME_ADDRESS)],
      ['link_local', udp(OFF_LINK)],
      ['link_local', udp(parseAddress('ff02::fb'))],
      ['link_local', fragmented],
      ['multicast', udp(parseAddress('ff02::fb'), HOME_ADDRESS)],
      ['multicast', udp(parseAddress('ff0e::1'), HOME_ADDRESS)],
      ['source_not_home', echo(OFF_LINK, OFF_LINK)],
      ['source_not_home', echo(OFF_LINK, UNSPECIFIED)],
      ['no_tunnel', echo(OFF_LINK, HOME_ADDRESS)],
    ] as const;
    for (const [reason, bytes] of cases) {
      const harness = new GuestLinkHarness();
      t.same(ofType(harness.frame(bytes), 'frame'), []);
      t.same(harness.drops(), { [reason]: 1 });
    }
    t.end();
  },
);

t.test('RFC 4443 4.2: the home router answers echo requests', (t) => {
  const data = new Uint8Array(1200).fill(7);
  const message = { kind: 'echo-request', identifier: 3, sequence: 9, data } as const;
  for (const destination of [HOME_ROUTER, ALL_NODES, ALL_ROUTERS]) {
    for (const source of [HOME_ADDRESS, GUEST_LINK_LOCAL]) {
      const harness = new GuestLinkHarness();
      const request = icmpv6Frame({ source, destination, message });
      const [answer] = frames(harness.frame(request));
      t.match(answer, {
        source: HOME_ROUTER,
        destination: source,
        destinationMac: GUEST_MAC,
        sourceMac: ROUTER_MAC,
        message: { kind: 'echo-reply', identifier: 3, sequence: 9 },
      });
      t.equal(answer?.bytes.length, request.length);
    }
  }
  const harness = new GuestLinkHarness();
  t.same(harness.ask({ source: UNSPECIFIED, destination: HOME_ROUTER, message }), []);
  t.end();
});

/** A message with this code, the rest as it was. */
function withCode(bytes: Uint8Array, code: number): Uint8Array {
  const { payload, ...frame } = parseEthernet(bytes);
  const packet = parsePacket(payload);
  const body = packet.payload.slice();
  body[1] = code;
  body.fill(0, 2, 4);
  const sum = upperLayerChecksum(pseudoHeader(packet), PROTOCOL.icmpv6, body);
  new DataView(body.buffer).setUint16(2, sum);
  return emitEthernet({ ...frame, payload: emitPacket({ ...packet, payload: body }) });
}

/** A link-layer address option of 16 octets, as of a link with longer addresses (RFC 4861 4.6.1). */
const LONG_SLLA: NdpOption = { kind: 'unknown', type: 1, data: new Uint8Array(14).fill(2) };

const INVALID: readonly [string, string, Uint8Array][] = [
  [
    'RFC 4861 7.1.1: code 1',
    'malformed',
    withCode(icmpv6Frame({ destination: HOME_ROUTER, message: solicitation(HOME_ROUTER) }), 1),
  ],
  [
    'RFC 4861 6.1.1: Router Solicitation with code 1',
    'malformed',
    withCode(
      icmpv6Frame({
        destination: ALL_ROUTERS,
        message: { kind: 'router-solicitation', options: [] },
      }),
      1,
    ),
  ],
  [
    'RFC 4861 7.1.2: advertisement with code 1',
    'malformed',
    withCode(icmpv6Frame({ destination: HOME_ROUTER, message: advertisementOf(HOME_ADDRESS) }), 1),
  ],
  [
    'RFC 4861 7.1.2: advertisement with hop limit 254',
    'ndp_hop_limit',
    icmpv6Frame({
      destination: HOME_ROUTER,
      message: advertisementOf(HOME_ADDRESS),
      packet: { hopLimit: 254 },
    }),
  ],
  [
    'RFC 4861 7.1.2: advertisement of a group',
    'ndp_target',
    icmpv6Frame({ destination: HOME_ROUTER, message: advertisementOf(ALL_NODES) }),
  ],
  [
    'RFC 4861 6.1.2: Router Advertisement from a global address',
    'ndp_source',
    icmpv6Frame({
      source: HOME_ADDRESS,
      destination: ALL_NODES,
      message: {
        kind: 'router-advertisement',
        hopLimit: 64,
        managed: false,
        other: false,
        homeAgent: false,
        preference: 'medium',
        routerLifetime: 1800,
        reachableTime: 0,
        retransTimer: 0,
        options: [],
      },
    }),
  ],
  [
    'RFC 4861 6.1.1: Router Solicitation from nobody, with a group as its link-layer address',
    'ndp_source',
    icmpv6Frame({
      source: UNSPECIFIED,
      destination: ALL_ROUTERS,
      message: {
        kind: 'router-solicitation',
        options: [{ kind: 'source-link-layer-address', mac: ALL_NODES_MAC }],
      },
    }),
  ],
  [
    'RFC 4861 7.1.1: DAD with a link-layer address of another length',
    'ndp_source',
    icmpv6Frame({
      source: UNSPECIFIED,
      destination: solicitedNode(HOST_A),
      message: solicitation(HOST_A, [LONG_SLLA]),
    }),
  ],
  [
    'RFC 4861 7.1.1: hop limit 254',
    'ndp_hop_limit',
    icmpv6Frame({
      destination: HOME_ROUTER,
      message: solicitation(HOME_ROUTER),
      packet: { hopLimit: 254 },
    }),
  ],
  [
    'RFC 4861 6.1.1: Router Solicitation with hop limit 64',
    'ndp_hop_limit',
    icmpv6Frame({
      destination: ALL_ROUTERS,
      message: { kind: 'router-solicitation', options: [] },
      packet: { hopLimit: 64 },
    }),
  ],
  [
    'RFC 4861 7.1.1: multicast target',
    'ndp_target',
    icmpv6Frame({ destination: HOME_ROUTER, message: solicitation(ALL_NODES) }),
  ],
  [
    'RFC 4861 7.1.1: DAD that is not sent to a solicited-node group',
    'ndp_destination',
    icmpv6Frame({
      source: UNSPECIFIED,
      destination: ALL_NODES,
      message: solicitation(HOME_ROUTER),
    }),
  ],
  [
    'RFC 4861 7.1.1: DAD with a source link-layer address',
    'ndp_source',
    icmpv6Frame({
      source: UNSPECIFIED,
      destination: solicitedNode(HOST_A),
      message: solicitation(HOST_A, [SLLA]),
    }),
  ],
  [
    'RFC 4861 6.1.1: Router Solicitation from nobody with a source link-layer address',
    'ndp_source',
    icmpv6Frame({
      source: UNSPECIFIED,
      destination: ALL_ROUTERS,
      message: { kind: 'router-solicitation', options: [SLLA] },
    }),
  ],
  [
    'RFC 4291 2.7: multicast source',
    'ndp_source',
    icmpv6Frame({
      source: ALL_NODES,
      destination: HOME_ROUTER,
      message: solicitation(HOME_ROUTER),
    }),
  ],
  [
    'RFC 4861 7.1.2: solicited advertisement to a group',
    'ndp_destination',
    icmpv6Frame({
      destination: ALL_NODES,
      message: {
        kind: 'neighbor-advertisement',
        router: false,
        solicited: true,
        override: true,
        target: HOME_ADDRESS,
        options: [],
      },
    }),
  ],
  [
    'RFC 6980 5: Neighbor Discovery in a fragment',
    'fragment',
    icmpv6Frame({
      destination: HOME_ROUTER,
      message: solicitation(HOME_ROUTER),
      packet: {
        extensions: [{ kind: 'fragment', offset: 0, more: false, identification: 1, reserved: 0 }],
      },
    }),
  ],
  [
    "RFC 4861 7.2.5: an advertisement for an address that is not the guest's",
    'foreign_na',
    icmpv6Frame({
      destination: HOME_ROUTER,
      message: {
        kind: 'neighbor-advertisement',
        router: false,
        solicited: false,
        override: true,
        target: HOST_A,
        options: [],
      },
    }),
  ],
  [
    'from the router itself',
    'own_source',
    icmpv6Frame({
      source: HOME_ROUTER,
      destination: ALL_NODES,
      message: solicitation(HOST_A),
    }),
  ],
  [
    "with the router's link-layer address",
    'own_source',
    icmpv6Frame({
      sourceMac: ROUTER_MAC,
      destination: HOME_ROUTER,
      message: solicitation(HOME_ROUTER),
    }),
  ],
  [
    'a group as Ethernet source',
    'source_mac',
    icmpv6Frame({
      sourceMac: ALL_NODES_MAC,
      destination: HOME_ROUTER,
      message: solicitation(HOME_ROUTER),
    }),
  ],
];

for (const [name, reason, bytes] of INVALID) {
  t.test(`${name}: nothing is sent or learnt`, (t) => {
    const harness = new GuestLinkHarness();
    t.same(harness.frame(bytes), []);
    t.same(harness.drops(), { [reason]: 1 });
    t.end();
  });
}

t.test(
  'RFC 4861 7.1.1, 4.6: wrong checksum, cut off, wrong version, ARP, an option of length 0',
  (t) => {
    const good = icmpv6Frame({
      destination: HOME_ROUTER,
      message: solicitation(HOME_ROUTER, [SLLA]),
    });
    const changed = (at: number, value: number) => {
      const bytes = good.slice();
      bytes[at] = value;
      return bytes;
    };
    const { destination, source, payload } = parseEthernet(good);
    const cases: [string, Uint8Array][] = [
      ['checksum', changed(14 + 40 + 2, 1)],
      ['malformed', good.slice(0, good.length - 1)],
      ['malformed', good.slice(0, 13)],
      ['malformed', new Uint8Array(0)],
      ['malformed', changed(14, 0x45)],
      ['not_ipv6', emitEthernet({ destination, source, etherType: 0x0806, payload })],
      ['not_ipv6', emitEthernet({ destination, source, etherType: 0x8100, payload })],
    ];
    for (const [reason, bytes] of cases) {
      const harness = new GuestLinkHarness();
      t.same(harness.frame(bytes), []);
      t.same(harness.drops(), { [reason]: 1 });
    }
    const zero = icmpv6Frame({
      destination: HOME_ROUTER,
      message: {
        kind: 'unknown',
        type: 135,
        code: 0,
        body: new Uint8Array([
          0,
          0,
          0,
          0,
          0xfe,
          0x80,
          ...new Array(13).fill(0),
          1,
          1,
          0,
          0,
          0,
          0,
          0,
          0,
          0,
        ]),
      },
    });
    const harness = new GuestLinkHarness();
    t.same(harness.frame(zero), []);
    t.same(harness.drops(), { malformed: 1 });
    t.end();
  },
);

t.test('link-local addresses of the guest are remembered within bounds', (t) => {
  const harness = new GuestLinkHarness();
  for (let i = 1; i < 1000; i += 1) {
    const own = parseAddress(`fe80::1:${i.toString(16)}`);
    harness.ask({ source: own, destination: HOME_ROUTER, message: solicitation(HOME_ROUTER) });
  }
  const ask = (target: Address) =>
    harness.ask({ destination: solicitedNode(target), message: solicitation(target, [SLLA]) });
  t.equal(ask(parseAddress('fe80::1:3e7')).length, 0, 'the latest is its own');
  t.equal(ask(parseAddress('fe80::1:1')).length, 1, 'the first is forgotten');
  t.end();
});

t.test('told of the guest before it comes: believed at once, and asked all the same', (t) => {
  const ownLinkLocal = {
    destination: solicitedNode(GUEST_LINK_LOCAL),
    source: HOME_ADDRESS,
    message: solicitation(GUEST_LINK_LOCAL, [SLLA]),
  };
  t.equal(new GuestLinkHarness().ask(ownLinkLocal).length, 1, 'a neighbour, for all we know');

  const harness = new GuestLinkHarness();
  const guest = { mac: GUEST_MAC, linkLocals: [GUEST_LINK_LOCAL] };
  t.same(harness.handle({ type: 'told', guest }), [{ type: 'guest', mac: GUEST_MAC }]);
  t.equal(harness.link.wakeAt(), undefined, 'nothing is said to who is not there yet');
  const said = frames(harness.handle({ type: 'arrived' }));
  const asked = said.filter(({ message }) => message.kind === 'neighbor-solicitation');
  t.match(asked, [{ message: { target: HOME_ADDRESS } }]);
  t.equal(harness.ask(ownLinkLocal).length, 0, 'its own');
  t.end();
});

t.test('told of what cannot be: only link-local addresses but the router are remembered', (t) => {
  const harness = new GuestLinkHarness();
  const linkLocals = [HOME_ROUTER, HOST_A, OTHER_LINK_LOCAL];
  t.same(harness.handle({ type: 'told', guest: { linkLocals } }), [], 'no link-layer address');
  t.same(harness.link.known, { linkLocals: [OTHER_LINK_LOCAL], neighbours: [] });
  const ask = (target: Address) =>
    harness.ask({ destination: solicitedNode(target), message: solicitation(target, [SLLA]) });
  t.equal(ask(HOME_ROUTER).length, 1);
  t.equal(ask(HOST_A).length, 1);
  t.equal(ask(OTHER_LINK_LOCAL).length, 0);
  t.end();
});

t.test('known: what the guest itself has shown, until it leaves', (t) => {
  const harness = new GuestLinkHarness();
  harness.handle({ type: 'told', guest: { mac: GUEST_MAC, linkLocals: [] } });
  const nothing = { linkLocals: [], neighbours: [] };
  t.same(harness.link.known, nothing, 'hearsay is not passed on');
  const router = { destination: HOME_ROUTER, message: solicitation(HOME_ROUTER, [SLLA]) };
  harness.ask(router);
  const shown = { linkLocals: [GUEST_LINK_LOCAL], neighbours: [HOME_ROUTER] };
  t.same(harness.link.known, shown);
  harness.ask({ ...router, source: HOME_ADDRESS });
  t.same(harness.link.known, { mac: GUEST_MAC, ...shown });
  harness.handle({ type: 'left' });
  t.equal(harness.link.known.mac, undefined);
  t.end();
});
