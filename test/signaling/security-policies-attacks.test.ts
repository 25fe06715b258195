import t from 'tap';
import { OutboundAssociation } from '../../src/crypto/index.js';
import type { ReceivedSignaling, Signal } from '../../src/signaling/index.js';
import {
  emitSignal,
  espProtection,
  noProtection,
  SecurityPolicies,
} from '../../src/signaling/index.js';
import type { Icmpv6Message, Ipv6Packet } from '../../src/wire/index.js';
import {
  alignMobilityOptions,
  alignOptions,
  attempt,
  emitIcmpv6,
  emitMobility,
  emitOptions,
  emitPacket,
  PROTOCOL,
  parseAddress,
  parsePacket,
  pseudoHeader,
  WireError,
} from '../../src/wire/index.js';
import { counterFrom, keysFor, PAIRS } from '../support/esp-keys.js';
import { espEnds, sent, TIME_OF_DAY } from '../support/protected-pairs.js';
import { ACKNOWLEDGEMENT, UPDATE } from '../support/signals.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const AES_SHA1 = { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' } as const;
const OTHER_HOME = parseAddress('2001:db8:2000::11');
const PLAIN_HOME = parseAddress('2001:db8:2000::12');
const [NULL_SHA1 = AES_SHA1] = PAIRS;

/** The only drop since the last look. */
function dropped(policies: SecurityPolicies): string {
  const reasons = [...policies.drops].map(([reason, count]) => `${reason} ${count}`).join(', ');
  policies.drops.clear();
  return reasons;
}

function read(policies: SecurityPolicies, bytes: Uint8Array): ReceivedSignaling | undefined {
  const packet = attempt(() => parsePacket(bytes));
  return packet instanceof WireError ? undefined : policies.read(packet);
}

/** A home agent with an ESP guest, another ESP guest with other keys and SPIs, and a plain one; and the guests. */
function world(algorithms: (typeof PAIRS)[number] = AES_SHA1) {
  const ends = espEnds(algorithms);
  const tops: number[] = [];
  const esp = (spiOut: number, spiIn: number, seed: number) =>
    espProtection({
      algorithms,
      keys: keysFor(algorithms, seed),
      spiOut,
      spiIn,
      counter: counterFrom(1),
      replayWindow: 64,
      accepted: (_, top) => tops.push(top),
    });
  const homeAgent = new SecurityPolicies(
    'home-agent',
    [
      { homeAddress: HOME_ADDRESS, protection: esp(1001, 1000, 0) },
      { homeAddress: OTHER_HOME, protection: esp(2001, 2000, 9) },
      { homeAddress: PLAIN_HOME, protection: noProtection() },
    ],
    () => TIME_OF_DAY,
  );
  const otherNode = new SecurityPolicies(
    'mobile-node',
    [{ homeAddress: OTHER_HOME, protection: esp(2000, 2001, 9) }],
    () => TIME_OF_DAY,
  );
  return { mobileNode: ends.mobileNode, homeAgent, otherNode, tops };
}

/** What a faulty or hostile peer could put into ESP with the right key. */
function inside(nextHeader: number, payload: Uint8Array, sequence = 500): Ipv6Packet {
  const outbound = new OutboundAssociation({
    spi: 1000,
    algorithms: AES_SHA1,
    keys: keysFor(AES_SHA1),
    counter: counterFrom(sequence),
  });
  const packet = parsePacket(emitSignal(UPDATE));
  return {
    ...packet,
    protocol: PROTOCOL.esp,
    payload: sent(outbound.seal(nextHeader, payload)),
  };
}

const from = (homeAddress: typeof HOME_ADDRESS): Signal => ({
  ...UPDATE,
  homeAddressOption: homeAddress,
});

for (const algorithms of PAIRS) {
  const name = `${algorithms.encryption}, ${algorithms.authentication}`;
  t.test(
    `no flipped bit of a protected Binding Update changes what is believed: ${name}`,
    async (t) => {
      const { homeAgent, mobileNode, tops } = world(algorithms);
      const golden = sent(mobileNode.emit(UPDATE));
      const reasons = new Set<string>();
      for (let bit = 0; bit < golden.length * 8; bit += 1) {
        const forged = Uint8Array.from(golden);
        const octet = bit >> 3;
        forged[octet] = (forged[octet] ?? 0) ^ (1 << (bit & 7));
        // ESP covers what is in it. Before it: class, flow label, hop limit, source and padding may change, and do not matter.
        const free = (octet < 24 && octet !== 6) || (octet >= 42 && octet < 46);
        const target = free ? world(algorithms).homeAgent : homeAgent;
        const result = read(target, forged);
        if (result === undefined) {
          for (const reason of target.drops.keys()) reasons.add(reason);
        } else if (result.kind !== 'mobility' || !free) {
          t.fail(`bit ${bit} was believed: ${result.kind}`);
        } else {
          t.same(result.signal.message, UPDATE.message, `bit ${bit}: the same message`);
          t.equal(
            result.signal.homeAddressOption,
            HOME_ADDRESS,
            `bit ${bit}: the same home address`,
          );
        }
      }
      t.same(tops, [], 'no window moved');
      t.ok(reasons.has('esp_icv') && reasons.has('esp_spi'), [...reasons].join());
      t.match(read(homeAgent, golden), { kind: 'mobility' }, 'the true one still passes');
      t.same(tops, [1]);
    },
  );
}

t.test(
  'no flipped bit of a protected Binding Acknowledgement changes what is believed',
  async (t) => {
    for (const algorithms of [AES_SHA1, NULL_SHA1]) {
      const { mobileNode, homeAgent } = espEnds(algorithms);
      mobileNode.emit(UPDATE);
      const golden = sent(homeAgent.emit(ACKNOWLEDGEMENT));
      for (let bit = 0; bit < golden.length * 8; bit += 1) {
        const octet = bit >> 3;
        // Class, flow label, hop limit, the care-of address (the engine looks), reserved bits of the routing header.
        const free =
          (octet < 8 && octet !== 6) || (octet >= 24 && octet < 40) || (octet >= 44 && octet < 48);
        const forged = Uint8Array.from(golden);
        forged[octet] = (forged[octet] ?? 0) ^ (1 << (bit & 7));
        if (free) continue;
        if (read(mobileNode, forged) !== undefined) t.fail(`bit ${bit} was believed`);
      }
      mobileNode.drops.clear();
      const result = read(mobileNode, golden);
      t.match(result, { kind: 'mobility', signal: { ...ACKNOWLEDGEMENT, protection: 'esp' } });
      t.equal(read(mobileNode, golden), undefined);
      t.equal(dropped(mobileNode), 'esp_replayed 1');
    }
  },
);

t.test('replay: dropped', async (t) => {
  const { homeAgent, mobileNode, tops } = world();
  const packets = [1, 2, 3].map(() => sent(mobileNode.emit(UPDATE)));
  for (const packet of packets) t.match(read(homeAgent, packet), { kind: 'mobility' });
  for (const packet of packets) t.equal(read(homeAgent, packet), undefined);
  t.equal(dropped(homeAgent), 'esp_replayed 3');
  t.same(tops, [1, 2, 3]);
});

t.test('wrong SPI: nobody’s, or another home address’s', async (t) => {
  const { homeAgent, mobileNode, otherNode, tops } = world();
  const golden = sent(mobileNode.emit(UPDATE));
  for (const spi of [0, 1, 255, 999, 1001, 2000, 2001, 0xffffffff]) {
    const forged = Buffer.from(golden);
    forged.writeUInt32BE(spi, 64);
    t.equal(read(homeAgent, forged), undefined);
    t.equal(dropped(homeAgent), 'esp_spi 1', `SPI ${spi}`);
  }
  t.same(tops, []);
  t.match(read(homeAgent, sent(otherNode.emit(from(OTHER_HOME)))), { kind: 'mobility' });
});

t.test('RFC 3776 4.1: an association of one home address registers no other', async (t) => {
  const { homeAgent, mobileNode, tops } = world();
  const packet = parsePacket(sent(mobileNode.emit(UPDATE)));
  for (const [victim, reason] of [
    [OTHER_HOME, 'esp_spi 1'],
    [PLAIN_HOME, 'esp_spi 1'],
    [parseAddress('2001:db8:2000::99'), 'esp_spi 1'],
    [CARE_OF, 'esp_spi 1'],
  ] as const) {
    const options = alignOptions([{ kind: 'home-address', address: victim }]);
    const stolen = { ...packet, extensions: [{ kind: 'destination', options } as const] };
    t.equal(homeAgent.read(stolen), undefined);
    t.equal(dropped(homeAgent), reason, victim);
  }
  t.equal(homeAgent.read({ ...packet, extensions: [] }), undefined);
  t.equal(dropped(homeAgent), 'esp_spi 1', 'no Home Address option');
  t.same(tops, []);
});

t.test('RFC 6275 6.1.1: the checksum inside ties the message to its home agent', async (t) => {
  const { homeAgent, mobileNode, tops } = world();
  const packet = parsePacket(sent(mobileNode.emit(UPDATE)));
  const destination = parseAddress('2001:db8:2000::2');
  t.equal(homeAgent.read({ ...packet, destination }), undefined);
  t.equal(dropped(homeAgent), 'checksum 1');
  t.same(tops, []);
});

t.test('unprotected Binding Update for a protected home address: dropped', async (t) => {
  const { homeAgent } = world();
  const { homeAddressOption: _, ...direct } = UPDATE;
  t.equal(read(homeAgent, emitSignal(UPDATE)), undefined);
  t.equal(read(homeAgent, emitSignal({ ...direct, source: HOME_ADDRESS })), undefined);
  t.equal(dropped(homeAgent), 'unprotected 2');
  const own: Signal = {
    ...UPDATE,
    message: { kind: 'unknown', type: 77, data: new Uint8Array(10) },
  };
  t.equal(read(homeAgent, emitSignal(own)), undefined);
  t.equal(dropped(homeAgent), 'unprotected 1');
});

t.test('ESP where the policy says none: dropped', async (t) => {
  const { homeAgent } = world();
  const stray = new SecurityPolicies(
    'mobile-node',
    [
      {
        homeAddress: PLAIN_HOME,
        protection: espProtection({
          algorithms: AES_SHA1,
          keys: keysFor(AES_SHA1),
          spiOut: 7000,
          spiIn: 7001,
          counter: counterFrom(1),
          replayWindow: 0,
        }),
      },
    ],
    () => TIME_OF_DAY,
  );
  t.equal(read(homeAgent, sent(stray.emit(from(PLAIN_HOME)))), undefined);
  t.equal(dropped(homeAgent), 'unexpected_esp 1');
  t.match(read(homeAgent, emitSignal(from(PLAIN_HOME))), {
    kind: 'mobility',
    signal: { protection: 'none', homeAddressOption: PLAIN_HOME },
  });
});

t.test(
  'a Home Address option inside ESP, and whatever else is no signaling: dropped',
  async (t) => {
    const { homeAgent, tops } = world();
    const header = emitMobility(UPDATE.message, { source: HOME_ADDRESS, destination: HOME_AGENT });
    const options = emitOptions(alignOptions([{ kind: 'home-address', address: OTHER_HOME }]));
    const hao = Buffer.concat([Uint8Array.of(PROTOCOL.mobility, 2), options, header]);
    const echo = emitIcmpv6(
      { kind: 'echo-request', identifier: 1, sequence: 1, data: new Uint8Array(8) },
      { source: HOME_ADDRESS, destination: HOME_AGENT },
    );
    const advertisement: Icmpv6Message = {
      kind: 'mobile-prefix-advertisement',
      identifier: 1,
      managed: false,
      other: false,
      options: [],
    };
    const back = emitIcmpv6(advertisement, { source: HOME_ADDRESS, destination: HOME_AGENT });
    for (const [what, packet] of [
      ['Home Address option', inside(PROTOCOL.destination, hao)],
      ['routing header', inside(PROTOCOL.routing, new Uint8Array(24))],
      ['tunnel', inside(PROTOCOL.ipv6, emitSignal(UPDATE))],
      ['ESP in ESP', inside(PROTOCOL.esp, inside(PROTOCOL.mobility, header).payload)],
      ['echo request', inside(PROTOCOL.icmpv6, echo)],
      ['advertisement to a home agent', inside(PROTOCOL.icmpv6, back)],
      ['dummy (RFC 4303 2.6)', inside(PROTOCOL.noNext, new Uint8Array(40))],
      ['no payload', inside(PROTOCOL.noNext, new Uint8Array(0))],
      ['an empty ICMPv6 message', inside(PROTOCOL.icmpv6, new Uint8Array(0))],
    ] as const) {
      t.equal(homeAgent.read(packet), undefined);
      t.equal(dropped(homeAgent), 'esp_payload 1', what);
    }
    for (const length of [0, 1, 2, 7, 8, 31]) {
      t.equal(homeAgent.read(inside(PROTOCOL.mobility, header.subarray(0, length))), undefined);
      t.equal(dropped(homeAgent), 'malformed 1', `${length} octets of a Mobility Header`);
    }
    t.same(tops, [], 'no window moved');
    t.match(homeAgent.read(inside(PROTOCOL.mobility, header)), { kind: 'mobility' });
  },
);

t.test(
  'Mobility Header types inside ESP: our own do not come back, others are what they are',
  async (t) => {
    const { homeAgent, tops } = world();
    const ends = { source: HOME_ADDRESS, destination: HOME_AGENT };
    const reflected = emitMobility(ACKNOWLEDGEMENT.message, ends);
    t.equal(homeAgent.read(inside(PROTOCOL.mobility, reflected)), undefined);
    t.equal(dropped(homeAgent), 'unexpected_message 1');
    for (const type of [8, 77, 255]) {
      const message = { kind: 'unknown', type, data: new Uint8Array(10) } as const;
      const result = homeAgent.read(
        inside(PROTOCOL.mobility, emitMobility(message, ends), 500 + type),
      );
      t.match(result, { kind: 'mobility', signal: { message: { kind: 'unknown', type } } });
    }
    t.same(tops, [508, 577, 755]);
  },
);

t.test(
  'one key and one SPI for both directions: a reflected message moves no window',
  async (t) => {
    const tops: number[] = [];
    const accepted = (_: unknown, top: number) => tops.push(top);
    const { mobileNode, homeAgent } = espEnds(
      AES_SHA1,
      { toAgent: 1000, toNode: 1000 },
      { accepted },
    );
    const refreshRequest: Signal = {
      ...ACKNOWLEDGEMENT,
      message: {
        kind: 'binding-refresh-request',
        options: alignMobilityOptions([], 'binding-refresh-request'),
      },
    };
    const { source, destination } = UPDATE;
    const prefixes = { identifier: 1, managed: false, other: false, options: [] };
    const toAgent = [
      mobileNode.emit(UPDATE),
      mobileNode.emitIcmpv6({
        source,
        destination,
        homeAddressOption: HOME_ADDRESS,
        message: { kind: 'mobile-prefix-solicitation', identifier: 1 },
      }),
    ].map((packet) => parsePacket(sent(packet)));
    const toNode = [
      homeAgent.emit(ACKNOWLEDGEMENT),
      homeAgent.emit(refreshRequest),
      homeAgent.emitIcmpv6({
        source: destination,
        destination: source,
        routingHeader: HOME_ADDRESS,
        message: { kind: 'mobile-prefix-advertisement', ...prefixes },
      }),
    ].map((packet) => parsePacket(sent(packet)));
    const [update, acknowledgement] = [toAgent[0], toNode[0]];
    if (update === undefined || acknowledgement === undefined) throw new Error('nothing sent');
    // Swapped ends give the same checksum.
    for (const { payload } of toNode) t.equal(homeAgent.read({ ...update, payload }), undefined);
    t.equal(dropped(homeAgent), 'unexpected_message 2, esp_payload 1');
    for (const { payload } of toAgent) {
      t.equal(mobileNode.read({ ...acknowledgement, payload }), undefined);
    }
    t.equal(dropped(mobileNode), 'unexpected_message 1, esp_payload 1');
    t.same(tops, [], 'no window moved');
    for (const packet of toAgent) t.ok(homeAgent.read(packet));
    for (const packet of toNode) t.ok(mobileNode.read(packet));
    t.same(tops, [1, 2, 1, 2, 3]);
  },
);

t.test('Mobility Headers that the other end of ESP never sends move no window', async (t) => {
  const { homeAgent, tops } = world();
  const ends = { source: HOME_ADDRESS, destination: HOME_AGENT };
  const header = emitMobility(UPDATE.message, ends);
  for (const type of [0, 1, 2, 3, 4, 6, 7]) {
    const other = Uint8Array.from(header);
    other[2] = type;
    t.equal(homeAgent.read(inside(PROTOCOL.mobility, other)), undefined);
    t.equal(dropped(homeAgent), 'unexpected_message 1', `type ${type}`);
  }
  t.same(tops, []);
});

t.test('cut at every length: dropped', async (t) => {
  for (const algorithms of PAIRS) {
    const { homeAgent, mobileNode, tops } = world(algorithms);
    const packet = parsePacket(sent(mobileNode.emit(UPDATE)));
    const reasons = new Set<string>();
    for (let length = 0; length < packet.payload.length; length += 1) {
      const cut = emitPacket({ ...packet, payload: packet.payload.subarray(0, length) });
      if (read(homeAgent, cut) !== undefined) t.fail(`${length} octets were believed`);
      reasons.add(dropped(homeAgent));
    }
    t.same([...reasons].sort(), ['esp_icv 1', 'esp_truncated 1']);
    t.same(tops, []);
    t.match(homeAgent.read(packet), { kind: 'mobility' });
  }
});

t.test('RFC 4303 3.4.1: a fragment is no ESP packet', async (t) => {
  const { homeAgent, mobileNode } = world();
  const packet = parsePacket(sent(mobileNode.emit(UPDATE)));
  const fragment = (offset: number, more: boolean) => ({
    ...packet,
    extensions: [
      ...packet.extensions,
      { kind: 'fragment', offset, more, identification: 1, reserved: 0 } as const,
    ],
  });
  for (const part of [fragment(0, true), fragment(8, false)]) {
    t.equal(homeAgent.read(part), undefined);
    t.equal(dropped(homeAgent), 'fragment 1');
  }
  t.match(homeAgent.read(fragment(0, false)), { kind: 'mobility' }, 'the only fragment');
});

t.test('routing headers that hide the home address: dropped', async (t) => {
  const { homeAgent, mobileNode } = world();
  const update = parsePacket(sent(mobileNode.emit(UPDATE)));
  const acknowledgement = parsePacket(emitSignal(ACKNOWLEDGEMENT));
  const taken = {
    ...acknowledgement,
    extensions: [{ kind: 'routing-type-2', segmentsLeft: 0, homeAddress: HOME_ADDRESS } as const],
  };
  t.equal(mobileNode.read(taken), undefined);
  t.equal(dropped(mobileNode), 'unexpected_routing_header 1');
  const type2 = { kind: 'routing-type-2', segmentsLeft: 1, homeAddress: HOME_AGENT } as const;
  t.equal(homeAgent.read({ ...update, extensions: [type2, ...update.extensions] }), undefined);
  const other = {
    kind: 'routing',
    routingType: 0,
    segmentsLeft: 1,
    data: new Uint8Array(20),
  } as const;
  t.equal(homeAgent.read({ ...update, extensions: [other, ...update.extensions] }), undefined);
  t.equal(dropped(homeAgent), 'unexpected_routing_header 2');
  const options = alignOptions([{ kind: 'home-address', address: HOME_AGENT }]);
  const disguised = {
    ...acknowledgement,
    source: CARE_OF,
    extensions: [...acknowledgement.extensions, { kind: 'destination', options } as const],
  };
  t.equal(mobileNode.read(disguised), undefined);
  t.equal(dropped(mobileNode), 'unexpected_home_address_option 1');
});

t.test('prefix discovery: unprotected is dropped where the policy is ESP', async (t) => {
  const { homeAgent, mobileNode } = world();
  const solicitation = {
    source: CARE_OF,
    destination: HOME_AGENT,
    homeAddressOption: HOME_ADDRESS,
    message: { kind: 'mobile-prefix-solicitation', identifier: 7 },
  } as const;
  const plain = new SecurityPolicies('mobile-node', [], () => TIME_OF_DAY);
  t.equal(read(homeAgent, sent(plain.emitIcmpv6(solicitation))), undefined);
  t.equal(dropped(homeAgent), 'unprotected 1');
  t.match(read(homeAgent, sent(mobileNode.emitIcmpv6(solicitation))), {
    kind: 'icmpv6',
    homeAddress: HOME_ADDRESS,
    protection: 'esp',
    message: solicitation.message,
  });
});

t.test('a protocol that is no signaling: dropped', async (t) => {
  const { homeAgent, mobileNode } = world();
  for (const policies of [homeAgent, mobileNode]) {
    const packet = parsePacket(emitSignal(UPDATE));
    const bare = { ...packet, protocol: PROTOCOL.udp, extensions: [] };
    t.equal(policies.read(bare), undefined);
    t.equal(dropped(policies), 'unexpected_protocol 1');
    t.ok(pseudoHeader(bare));
  }
});
