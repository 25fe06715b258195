import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pinging, ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { sumDrops } from '../../src/daemon/drop-counts.js';
import { emitSignal } from '../../src/signaling/index.js';
import {
  type Address,
  homeAgentsAnycast,
  type MobilityMessage,
  PROTOCOL,
  parseAddress,
  parsePrefix,
} from '../../src/wire/index.js';
import { FLEET, Fleet, type FleetGuest } from '../support/fleet.js';
import { Listener, Sender } from '../support/forger.js';
import * as forge from '../support/forgeries.js';

// An outsider who has seen all signaling, and now and then one who even has a key, against both running daemons. All its
// packets come by the network; the daemons' answers are what they write to their TUN.

/** What policing gives back in this time, of what is least welcome (native/engine/policing.h: 16 a second, 16 at once). */
const PAUSE_MS = 70;
/** What a quiet network brings anyway. */
const NOISE = new Set(['multicast', 'mld']);
const { homeAgent: HA, stranger: STRANGER, foreignRouter: ROUTER } = FLEET;
const INSIDE = { nextHeader: PROTOCOL.mobility };

type Target = 'home agent' | 'host';

interface Attack {
  readonly packets: readonly Uint8Array[];
  /** Each packet is counted under one of these. */
  readonly reasons: readonly string[];
  /** Packets that are as little welcome as what an outsider makes up come slowly, so that not policing stops them. */
  readonly slowly?: boolean;
  /** As many answers at most as the packets, and none larger than its cause. */
  readonly answers?: number;
}

t.test('forged signaling changes nothing', async (t) => {
  const fleet = await Fleet.start(2, 3600);
  t.teardown(async () => await fleet.remove());
  const [guest, other] = fleet.guests as [FleetGuest, FleetGuest];
  for (const { netns } of fleet.guests) {
    await until('tunnel', async () =>
      (await ping(netns, FLEET.correspondent, 1, 1000)).received === 1 ? true : undefined,
    );
  }
  const careOf = fleet.guests.map(({ careOfAddress }) => careOfAddress);
  const heard = {
    'home agent': await Listener.open(fleet.homeAgent, 'kgha0', [HA]),
    host: await Listener.open(fleet.host, 'kg0', careOf),
  };
  const forger = new Sender(fleet.outsider);
  const pings = fleet.guests.map(({ netns }) => new Pinging(netns, FLEET.correspondent, 50));

  const drops = async (target: Target): Promise<Record<string, number>> => {
    const status = target === 'host' ? await fleet.hostStatus() : await fleet.homeAgentStatus();
    const parts = status.role === 'host' ? status.guests : status.bindings;
    return sumDrops(status.drops, ...parts.map((part) => part.drops));
  };
  /** What no forgery may change. */
  const state = async () => {
    const { bindings } = await fleet.homeAgentStatus();
    const { guests } = await fleet.hostStatus();
    return {
      bindings: bindings.map(({ traffic: _, drops: __, expiresIn: ___, ...rest }) => rest),
      ends: bindings.map(({ expiresIn }) => Date.now() + 1000 * expiresIn),
      guests: guests.map(({ binding, homeAgent, careOfAddress }) => ({
        state: binding.state,
        lifetime: binding.lifetime,
        homeAgent,
        careOfAddress,
      })),
    };
  };
  /** A registration and its answer, from the wire. */
  const registration = async () => {
    const before = { bu: heard.host.packets.length, ba: heard['home agent'].packets.length };
    const bind = nodeCommand(KAGEMUSHA, '--socket', fleet.daemons.host.socket, 'bind', 'vm1');
    await fleet.host.run(bind);
    return await until('a registration on the wire', async () => {
      const bu = heard.host.packets[before.bu];
      const ba = heard['home agent'].packets[before.ba];
      const { guests } = await fleet.hostStatus();
      const registered = guests.every(({ binding }) => binding.state === 'registered');
      return bu && ba && registered ? { bu, ba } : undefined;
    });
  };

  const attack = async (target: Target, name: string, what: Attack): Promise<void> =>
    void (await t.test(`${name}, at the ${target}`, async (t) => {
      const { packets, reasons, slowly = false, answers = 0 } = what;
      const before = await drops(target);
      const unharmed = await state();
      const answered = heard[target].packets.length;
      if (slowly) await sleep(PAUSE_MS * packets.length);
      await forger.send(packets);
      const counted = async () => {
        const after = await drops(target);
        const grown = Object.entries(after)
          .map(([reason, count]) => [reason, count - (before[reason] ?? 0)] as const)
          .filter(([reason, count]) => count > 0 && !NOISE.has(reason));
        return Object.fromEntries(grown);
      };
      // Why there was no answer is counted besides why there was nothing else.
      const sum = (all: Record<string, number>) =>
        Object.entries(all)
          .filter(([reason]) => !reason.endsWith('_limited'))
          .reduce((total, [, count]) => total + count, 0);
      await until(
        'drops',
        async () => (sum(await counted()) >= packets.length ? true : undefined),
        2000,
      ).catch(() => undefined);
      await sleep(30);
      const seen = await counted();
      const unexpected = Object.keys(seen).filter((reason) => !reasons.includes(reason));
      t.same(unexpected, [], `dropped as ${JSON.stringify(seen)}`);
      t.equal(sum(seen), packets.length, 'and each is counted');
      const said = heard[target].packets.slice(answered);
      t.ok(said.length <= answers, `${said.length} answers`);
      const largest = Math.max(...packets.map(({ length }) => length));
      for (const { length } of said) t.ok(length <= largest, `${length} octets for ${largest}`);
      const now = await state();
      t.same(now.bindings, unharmed.bindings, 'the bindings are the same');
      t.same(now.guests, unharmed.guests, 'and the host sees them so');
      for (const [index, end] of now.ends.entries()) {
        t.ok(end <= (unharmed.ends[index] ?? 0) + 1500, 'none lasts longer');
      }
    }));

  const { bu, ba } = await registration();
  const sequence = (await fleet.homeAgentStatus()).bindings[0]?.sequence ?? 0;
  const next = sequence + 1;

  // ---- what was on the wire once more
  for (const [target, packet] of [
    ['home agent', bu],
    ['host', ba],
  ] as const) {
    const replayed = { reasons: ['esp_replayed'], slowly: true };
    await attack(target, 'a replay', { ...replayed, packets: [packet, packet, packet] });
    // Traffic class, flow label, hop limit; the padding's type and octets, or reserved bits: nothing protects these.
    const type = target === 'host' ? 46 : 42;
    const unprotected = [1, 2, 3, 7, type, 44, 45].map((octet) => forge.flipped(packet, octet, 5));
    await attack(target, 'a replay, changed where nothing protects it', {
      ...replayed,
      packets: unprotected,
    });
  }
  await attack('home agent', 'a replay from another place', {
    packets: [8, 15, 23].map((octet) => forge.flipped(bu, octet, 1)),
    reasons: ['esp_replayed'],
    slowly: true,
  });

  // ---- what will be on the wire next, held back and one bit of it wrong
  const fields: readonly (readonly [string, number, number, readonly string[], boolean?])[] = [
    ['header length', 41, 42, ['malformed', 'routing_header'], true],
    ['home address', 48, 64, ['esp_spi'], true],
    ['SPI', 64, 68, ['esp_spi'], true],
    ['ESP sequence number', 68, 72, ['esp_icv', 'esp_replayed'], true],
    ['IV', 72, 88, ['esp_icv']],
  ];
  for (const target of ['home agent', 'host'] as const) {
    const held = (index: number): Uint8Array =>
      target === 'home agent'
        ? forge
            .sealer(guest, 'mobile-node', forge.espSequence(bu) + 1 + (index % 64))
            .signal(forge.update(guest, next))
        : forge
            .sealer(guest, 'home-agent', forge.espSequence(ba) + 1 + (index % 64))
            .signal(forge.acknowledgement(guest, sequence));
    const length = held(0).length;
    const options: typeof fields =
      target === 'home agent'
        ? [
            // Of a type 2 routing header another next header is a packet for the guest, as any from the Home Agent.
            ['next header', 40, 41, ['malformed'], true],
            ['padding length', 43, 44, ['malformed'], true],
            ['Home Address option', 46, 48, ['malformed', 'esp_spi', 'unrecognized_option'], true],
          ]
        : [
            [
              'routing type and segments left',
              42,
              44,
              ['malformed', 'routing_header', 'unexpected_routing_header'],
              true,
            ],
            ['source', 8, 24, ['esp_peer', 'esp_spi'], true],
          ];
    const all: typeof fields = [
      ...fields,
      ...options,
      ['encrypted message', 88, length - 12, ['esp_icv']],
      ['ICV', length - 12, length, ['esp_icv']],
    ];
    for (const [name, start, end, reasons, slowly = false] of all) {
      const octets = Array.from({ length: end - start }, (_, index) => start + index);
      await attack(target, `a bit flip in each octet: ${name}`, {
        packets: octets.map((octet) => forge.flipped(held(octet), octet, (octet * 5 + 3) % 8)),
        reasons,
        slowly,
      });
    }
    const cuts = [1, 4, 8, 11, 12, 13, 16, 28, 44, length - 72, length - 68, length - 65];
    await attack(target, 'a truncated ICV, and more', {
      packets: cuts.map((octets, index) => forge.truncated(held(index), octets)),
      reasons: ['esp_truncated', 'esp_icv'],
      slowly: true,
    });
  }

  // ---- associations that are not this home address's
  const toAgent = forge.espSequence(bu) + 1;
  const toMobile = forge.espSequence(ba) + 1;
  const mine = forge.sealer(guest, 'mobile-node', toAgent);
  const theirs = forge.sealer(other, 'mobile-node', toAgent);
  const asOther = { ...forge.update(guest, next), homeAddressOption: other.homeAddress };
  await attack('home agent', "another home address's association, an SPI that is nobody's", {
    packets: [
      theirs.signal(forge.update(guest, next), guest.homeAddress),
      mine.signal(asOther, other.homeAddress),
      forge.sealer(guest, 'mobile-node', toAgent, 9999).signal(forge.update(guest, next)),
      forge
        .sealer(guest, 'mobile-node', toAgent, other.spiToHomeAgent)
        .signal(forge.update(guest, next)),
    ],
    reasons: ['esp_spi'],
    slowly: true,
  });
  await attack('home agent', "this SPI with another's keys", {
    packets: [
      forge
        .sealer(other, 'mobile-node', toAgent, guest.spiToHomeAgent)
        .signal(forge.update(guest, next), guest.homeAddress),
    ],
    reasons: ['esp_icv'],
  });
  const toOther = { ...forge.acknowledgement(guest, sequence), routingHeader: other.homeAddress };
  await attack('host', "another home address's association, an SPI that is nobody's", {
    packets: [
      forge
        .sealer(other, 'home-agent', toMobile)
        .signal(forge.acknowledgement(guest, sequence), guest.homeAddress),
      forge.sealer(guest, 'home-agent', toMobile).signal(toOther, other.homeAddress),
      forge
        .sealer(guest, 'home-agent', toMobile, 9999)
        .signal(forge.acknowledgement(guest, sequence)),
    ],
    reasons: ['esp_spi'],
    slowly: true,
  });

  // ---- no protection where there must be some
  await attack('home agent', 'a Binding Update in the clear', {
    packets: [
      emitSignal(forge.update(guest, next)),
      emitSignal(forge.update(guest, next, 0)),
      emitSignal(forge.update(guest, next, 400, STRANGER)),
    ],
    reasons: ['unprotected'],
    slowly: true,
  });
  await attack('host', 'a Binding Acknowledgement in the clear', {
    packets: [0, 129, 135, 144].map((status) =>
      emitSignal(forge.acknowledgement(guest, sequence, status)),
    ),
    reasons: ['unprotected'],
    slowly: true,
  });

  // ---- with the right keys, and something else inside
  const hidden = (home: Address): Uint8Array => {
    // A destination options header and the Mobility Header behind it, without their IPv6 header.
    const whole = emitSignal({ ...forge.update(guest, next), homeAddressOption: home });
    return whole.slice(40);
  };
  const udp = Uint8Array.from([0, 9, 0, 9, 0, 8, 0, 0]);
  const agentEnds = forge.toHomeAgent(guest);
  await attack('home agent', 'a Home Address option, a tunnel, UDP inside ESP', {
    packets: [
      mine.payload(PROTOCOL.destination, hidden(guest.homeAddress), agentEnds, [
        forge.claims(guest.homeAddress),
      ]),
      mine.payload(PROTOCOL.destination, hidden(other.homeAddress), agentEnds, [
        forge.claims(guest.homeAddress),
      ]),
      mine.payload(41, bu, agentEnds, [forge.claims(guest.homeAddress)]),
      mine.payload(PROTOCOL.udp, udp, agentEnds, [forge.claims(guest.homeAddress)]),
    ],
    reasons: ['esp_payload'],
  });
  await attack('home agent', 'a Home Address option inside ESP and none outside', {
    packets: [mine.payload(PROTOCOL.destination, hidden(guest.homeAddress), agentEnds, [])],
    reasons: ['esp_spi'],
  });
  const ours = forge.sealer(guest, 'home-agent', toMobile);
  const guestEnds = forge.toGuest(guest);
  await attack('host', 'a Home Address option, a tunnel, UDP inside ESP', {
    packets: [
      ours.payload(PROTOCOL.destination, hidden(HA), guestEnds, [forge.routed(guest.homeAddress)]),
      ours.payload(41, ba, guestEnds, [forge.routed(guest.homeAddress)]),
      ours.payload(PROTOCOL.udp, udp, guestEnds, [forge.routed(guest.homeAddress)]),
    ],
    reasons: ['esp_payload'],
  });
  await attack('host', 'a Home Address option before ESP', {
    packets: [
      ours.payload(INSIDE.nextHeader, udp, guestEnds, [
        forge.routed(guest.homeAddress),
        forge.claims(HA),
      ]),
    ],
    reasons: ['unexpected_home_address_option'],
    slowly: true,
  });
  for (const [name, message] of [
    ['a Mobility Header with something behind it', forge.FOLLOWED],
    ['an unknown Mobility Header', forge.UNKNOWN],
  ] as const) {
    const reason = message === forge.FOLLOWED ? 'payload_protocol' : 'unknown_mobility_header';
    const claimed = forge.mobility(message, guest.homeAddress, HA);
    const addressed = forge.mobility(message, HA, guest.homeAddress);
    await attack('home agent', `${name}, in the clear`, {
      packets: [
        forge.plain(
          guest.careOfAddress,
          HA,
          [forge.claims(guest.homeAddress)],
          PROTOCOL.mobility,
          claimed,
        ),
      ],
      reasons: ['unprotected'],
      slowly: true,
    });
    await attack('host', `${name}, in the clear`, {
      packets: [
        forge.plain(
          HA,
          guest.careOfAddress,
          [forge.routed(guest.homeAddress)],
          PROTOCOL.mobility,
          addressed,
        ),
      ],
      reasons: ['unprotected'],
      slowly: true,
    });
    const strange = Array.from({ length: 30 }, () =>
      forge.plain(STRANGER, HA, [], PROTOCOL.mobility, forge.mobility(message, STRANGER, HA)),
    );
    await attack('home agent', `${name}, from a stranger`, {
      packets: strange,
      reasons: [reason, 'icmpv6_error_limited', 'binding_error_limited'],
      answers: 12,
    });
    await attack('host', `${name}, from a stranger`, {
      packets: [
        forge.plain(
          STRANGER,
          guest.careOfAddress,
          [],
          PROTOCOL.mobility,
          forge.mobility(message, STRANGER, guest.careOfAddress),
        ),
      ],
      reasons: ['payload_protocol', 'not_the_home_agent'],
      slowly: true,
    });
  }

  // ---- messages that need no protection, or have none
  const echo = {
    kind: 'echo-request',
    identifier: 1,
    sequence: 1,
    data: new Uint8Array(8),
  } as const;
  const claim = [forge.claims(guest.homeAddress)];
  await attack('home agent', 'a Home Address option without a binding', {
    packets: [
      forge.plain(STRANGER, HA, claim, PROTOCOL.udp, udp),
      forge.plain(STRANGER, HA, claim, PROTOCOL.tcp, new Uint8Array(20)),
      forge.icmpv6(STRANGER, HA, echo, claim),
    ],
    reasons: ['home_address_without_binding', 'binding_error_limited'],
    slowly: true,
    answers: 3,
  });
  await attack('home agent', 'a Home Address option with the binding, forged', {
    packets: [
      forge.plain(guest.careOfAddress, HA, claim, PROTOCOL.udp, udp),
      forge.icmpv6(guest.careOfAddress, HA, echo, claim),
      forge.icmpv6(
        guest.careOfAddress,
        HA,
        { kind: 'mobile-prefix-solicitation', identifier: 1 },
        claim,
      ),
    ],
    reasons: ['unexpected_protocol', 'unexpected_icmp', 'unprotected'],
    slowly: true,
  });
  const sent = (message: MobilityMessage, from: Address, to: FleetGuest) =>
    forge.plain(
      from,
      to.careOfAddress,
      [forge.routed(to.homeAddress)],
      PROTOCOL.mobility,
      forge.mobility(message, from, to.homeAddress),
    );
  const errors = [1, 2].map((status) => forge.bindingError(guest.homeAddress, status));
  await attack('home agent', 'Binding Errors and Refresh Requests', {
    packets: [...errors, forge.refreshRequest()].flatMap((message) => [
      forge.plain(
        guest.careOfAddress,
        HA,
        claim,
        PROTOCOL.mobility,
        forge.mobility(message, guest.homeAddress, HA),
      ),
      forge.plain(STRANGER, HA, [], PROTOCOL.mobility, forge.mobility(message, STRANGER, HA)),
    ]),
    reasons: ['unprotected', 'unexpected_message'],
    slowly: true,
  });
  await attack('host', 'Refresh Requests, and Binding Errors that cannot be meant', {
    packets: [
      sent(forge.refreshRequest(), HA, guest),
      sent(forge.refreshRequest(), STRANGER, guest),
      sent(forge.bindingError(guest.homeAddress, 2), HA, guest),
      sent(forge.bindingError(guest.homeAddress, 1), STRANGER, guest),
      sent(forge.bindingError(other.homeAddress, 1), HA, guest),
    ],
    reasons: [
      'unprotected',
      'not_the_home_agent',
      'binding_error_unusable',
      'not_the_home_address',
    ],
    slowly: true,
  });
  const about = (quoted: Uint8Array) =>
    [
      { kind: 'destination-unreachable', code: 0, quoted },
      { kind: 'time-exceeded', code: 0, quoted },
      { kind: 'parameter-problem', code: 1, pointer: 40, quoted },
    ] as const;
  await attack('home agent', 'ICMPv6 errors that quote its acknowledgement', {
    packets: about(ba).map((error) => forge.icmpv6(ROUTER, HA, error)),
    reasons: ['quote_not_tunnel'],
    slowly: true,
  });
  await attack('host', 'ICMPv6 errors that quote what it has not sent', {
    packets: about(ba).map((error) => forge.icmpv6(ROUTER, guest.careOfAddress, error)),
    reasons: ['path_error_unusable'],
    slowly: true,
  });
  await attack('host', 'home agents and prefixes that nobody asked for', {
    packets: [
      forge.icmpv6(HA, guest.careOfAddress, {
        kind: 'home-agent-discovery-reply',
        identifier: 1,
        homeAgents: [parseAddress('2001:db8:2000::666')],
      }),
      forge.icmpv6(
        HA,
        guest.careOfAddress,
        {
          kind: 'mobile-prefix-advertisement',
          identifier: 1,
          managed: false,
          other: false,
          options: [],
        },
        [forge.routed(guest.homeAddress)],
      ),
    ],
    reasons: ['no_such_discovery', 'unprotected'],
    slowly: true,
  });

  await t.test('home agent discovery by strangers is answered ten times a second', async (t) => {
    const anycast = homeAgentsAnycast(parsePrefix(FLEET.homePrefix));
    const before = heard['home agent'].packets.length;
    const limited = async () => (await drops('home agent')).discovery_limited ?? 0;
    const already = await limited();
    await sleep(1000);
    await forger.send(
      Array.from({ length: 30 }, (_, identifier) =>
        forge.icmpv6(STRANGER, anycast, { kind: 'home-agent-discovery-request', identifier }),
      ),
    );
    await until('limited', async () => ((await limited()) > already + 15 ? true : undefined));
    const answers = heard['home agent'].packets.slice(before);
    t.ok(answers.length >= 10 && answers.length <= 12, `${answers.length} answers`);
    for (const { length } of answers) t.ok(length <= 40 + 8 + 8 + 16, `${length} octets`);
  });

  for (const [name, packets] of [
    [
      'Binding Errors',
      [1, 2, 3, 4, 5].map(() => sent(forge.bindingError(guest.homeAddress, 1), HA, guest)),
    ],
    [
      'ICMPv6 errors that quote its Binding Update',
      about(bu).map((error) => forge.icmpv6(ROUTER, guest.careOfAddress, error)),
    ],
  ] as const) {
    await t.test(`${name} can only make the host ask, once a second`, async (t) => {
      await sleep(1100);
      const before = heard.host.packets.length;
      await forger.send(packets);
      await until('a Binding Update', () => heard.host.packets[before]);
      await sleep(200);
      t.equal(heard.host.packets.length, before + 1, 'one Binding Update');
      const { binding } = (await fleet.hostStatus()).guests[0] ?? {};
      t.equal(binding?.state, 'registered');
      const [bound] = (await fleet.homeAgentStatus()).bindings;
      t.equal(bound?.careOfAddress, guest.careOfAddress);
    });
  }

  await t.test('every guest has pinged all the time', async (t) => {
    for (const pinging of pings) {
      const { lost, sent: all } = await pinging.stop();
      // The last request may still be on its way.
      t.ok(lost <= 1, `${lost} of ${all} lost`);
    }
  });

  await t.test('the held back one, unharmed, would have been accepted', async (t) => {
    const { bu: last } = await registration();
    const [before] = (await fleet.homeAgentStatus()).bindings;
    const sealer = forge.sealer(guest, 'mobile-node', forge.espSequence(last) + 1);
    const following = ((before?.sequence ?? 0) + 1) & 0xffff;
    const packet = sealer.signal(forge.update(guest, following));
    // Nothing protects the source: the binding goes where the message says.
    await forger.send([forge.flipped(packet, 23, 1)]);
    const after = await until('the update', async () => {
      const [binding] = (await fleet.homeAgentStatus()).bindings;
      return binding?.sequence === following ? binding : undefined;
    });
    t.equal(after.careOfAddress, guest.careOfAddress);
    t.equal(after.lifetime, 400);
    await registration();
    t.pass('and the guest finds its numbers again');
  });
});
