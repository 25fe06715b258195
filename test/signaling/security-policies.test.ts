import t from 'tap';
import type { Signal } from '../../src/signaling/index.js';
import {
  emitSignal,
  espProtection,
  noProtection,
  SecurityPolicies,
} from '../../src/signaling/index.js';
import { parseAddress, parsePacket } from '../../src/wire/index.js';
import { counterFrom, keysFor } from '../support/esp-keys.js';
import { espEnds, sent, TIME_OF_DAY } from '../support/protected-pairs.js';
import { ACKNOWLEDGEMENT, UPDATE } from '../support/signals.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const AES_SHA1 = { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' } as const;
const SECOND_AGENT = parseAddress('2001:db8:2000::2');
const CORRESPONDENT = parseAddress('2001:db8:9::9');
const clock = () => TIME_OF_DAY;
const BARE_ACKNOWLEDGEMENT: Signal = {
  source: HOME_AGENT,
  destination: CARE_OF,
  message: ACKNOWLEDGEMENT.message,
};
const ERROR: Signal = {
  source: HOME_AGENT,
  destination: CARE_OF,
  message: { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS, options: [] },
};

function association(spiOut: number, spiIn: number, next = 1, tops = new Map<string, number>()) {
  const protection = espProtection({
    algorithms: AES_SHA1,
    keys: keysFor(AES_SHA1),
    spiOut,
    spiIn,
    counter: counterFrom(next),
    replayWindow: 64,
    replayTop: (peer) => tops.get(peer),
    accepted: (peer, top) => tops.set(peer, top),
  });
  if (protection.kind !== 'esp') throw new Error(protection.kind);
  return protection;
}

function node(protection: ReturnType<typeof association>): SecurityPolicies {
  return new SecurityPolicies('mobile-node', [{ homeAddress: HOME_ADDRESS, protection }], clock);
}

function agent(protection: ReturnType<typeof association>): SecurityPolicies {
  return new SecurityPolicies('home-agent', [{ homeAddress: HOME_ADDRESS, protection }], clock);
}

const reasons = (policies: SecurityPolicies) => [...policies.drops];

t.test('the policy of a home address is the one that was given, else none', async (t) => {
  const { mobileNode } = espEnds(AES_SHA1);
  t.equal(mobileNode.kindOf(HOME_ADDRESS), 'esp');
  t.equal(mobileNode.kindOf(CORRESPONDENT), 'none');
});

t.test('no protection: signals travel as they are', async (t) => {
  const policies = [{ homeAddress: HOME_ADDRESS, protection: noProtection() }];
  const mobileNode = new SecurityPolicies('mobile-node', policies, clock);
  const homeAgent = new SecurityPolicies('home-agent', policies, clock);
  const update = sent(mobileNode.emit(UPDATE));
  t.same(update, emitSignal(UPDATE));
  t.same(homeAgent.read(parsePacket(update)), {
    kind: 'mobility',
    signal: { ...UPDATE, protection: 'none' },
  });
  const acknowledgement = sent(homeAgent.emit(ACKNOWLEDGEMENT));
  t.same(mobileNode.read(parsePacket(acknowledgement)), {
    kind: 'mobility',
    signal: { ...ACKNOWLEDGEMENT, protection: 'none' },
  });
});

t.test('RFC 6275 5.1: at home, without option and routing header, ESP all the same', async (t) => {
  const { mobileNode, homeAgent } = espEnds(AES_SHA1);
  const { homeAddressOption: _, ...rest } = UPDATE;
  const update = parsePacket(sent(mobileNode.emit({ ...rest, source: HOME_ADDRESS })));
  t.equal(update.protocol, 50);
  t.match(homeAgent.read(update), { kind: 'mobility', signal: { protection: 'esp' } });
  const bare = { ...BARE_ACKNOWLEDGEMENT, destination: HOME_ADDRESS };
  const acknowledgement = parsePacket(sent(homeAgent.emit(bare)));
  t.match(mobileNode.read(acknowledgement), { kind: 'mobility', signal: { protection: 'esp' } });
});

t.test('only home registrations are protected: correspondents share no key with us', async (t) => {
  const { mobileNode } = espEnds(AES_SHA1);
  const toCorrespondent: Signal = {
    ...UPDATE,
    destination: CORRESPONDENT,
    message: { ...UPDATE.message, homeRegistration: false },
  };
  t.equal(parsePacket(sent(mobileNode.emit(toCorrespondent))).protocol, 135);
  const answer = emitSignal({ ...ACKNOWLEDGEMENT, source: CORRESPONDENT });
  t.match(mobileNode.read(parsePacket(answer)), {
    kind: 'mobility',
    signal: { source: CORRESPONDENT, protection: 'none' },
  });
});

t.test('what a home agent sends unprotected is dropped, but for Binding Errors', async (t) => {
  const { mobileNode, homeAgent } = espEnds(AES_SHA1);
  mobileNode.emit(UPDATE);
  for (const signal of [ACKNOWLEDGEMENT, BARE_ACKNOWLEDGEMENT]) {
    t.equal(mobileNode.read(parsePacket(emitSignal(signal))), undefined);
  }
  t.same(reasons(mobileNode), [['unprotected', 2]]);
  const error = parsePacket(sent(homeAgent.emit(ERROR)));
  t.equal(error.protocol, 135);
  t.match(mobileNode.read(error), { kind: 'mobility', signal: { ...ERROR, protection: 'none' } });
});

t.test('each home agent numbers its packets itself, and has a window of its own', async (t) => {
  const tops = new Map<string, number>();
  const mobileNode = node(association(1000, 1001, 1, tops));
  mobileNode.emit(UPDATE);
  mobileNode.emit({ ...UPDATE, destination: SECOND_AGENT });
  const first = parsePacket(sent(agent(association(1001, 1000, 900)).emit(ACKNOWLEDGEMENT)));
  const other = { ...ACKNOWLEDGEMENT, source: SECOND_AGENT };
  const second = parsePacket(sent(agent(association(1001, 1000, 5)).emit(other)));
  t.match(mobileNode.read(first), { kind: 'mobility' });
  t.match(mobileNode.read(second), { kind: 'mobility' });
  t.same(
    [...tops],
    [
      [HOME_AGENT, 900],
      [SECOND_AGENT, 5],
    ],
  );
  // What the first said is not believed of the second, and does not move its window.
  const ahead = parsePacket(sent(agent(association(1001, 1000, 950)).emit(ACKNOWLEDGEMENT)));
  t.equal(mobileNode.read({ ...ahead, source: SECOND_AGENT }), undefined);
  t.equal(mobileNode.read({ ...ahead, source: CORRESPONDENT }), undefined);
  t.same(reasons(mobileNode), [
    ['checksum', 1],
    ['esp_peer', 1],
  ]);
  t.equal(tops.get(SECOND_AGENT), 5);
  // A restart begins at the stored tops.
  const restarted = node(association(1000, 1001, 1, tops));
  restarted.emit(UPDATE);
  t.equal(restarted.read(first), undefined);
  t.same(reasons(restarted), [['esp_replayed', 1]]);
  t.match(restarted.read(ahead), { kind: 'mobility' });
});

t.test('resumed: no number that another host may have used is used again', async (t) => {
  const protection = association(1000, 1001, 500);
  const mobileNode = node(protection);
  const number = () => {
    const { payload } = parsePacket(sent(mobileNode.emit(UPDATE)));
    return new DataView(payload.buffer, payload.byteOffset).getUint32(4);
  };
  t.equal(number(), 500);
  protection.resume(900);
  t.equal(number(), 900);
  protection.resume(100);
  t.equal(number(), 901, 'never back');
  protection.resume(2 ** 32);
  t.equal(mobileNode.emit(UPDATE), 'sequence_exhausted', 'the other host has used the last one');
});

t.test('resumed: who was asked is heard, from where the other host had heard it', async (t) => {
  const tops = new Map<string, number>();
  const protection = association(1000, 1001, 1, tops);
  const mobileNode = node(protection);
  const answer = (next: number) =>
    parsePacket(sent(agent(association(1001, 1000, next)).emit(ACKNOWLEDGEMENT)));
  mobileNode.emit(UPDATE);
  tops.set(HOME_AGENT, 700);
  protection.resume(10);
  t.equal(mobileNode.read(answer(600)), undefined);
  t.same(reasons(mobileNode), [['esp_replayed', 1]], 'the other host may have heard that one');
  t.match(mobileNode.read(answer(701)), { kind: 'mobility', signal: { protection: 'esp' } });
  t.equal(tops.get(HOME_AGENT), 701);

  protection.resume(10);
  t.equal(mobileNode.read(answer(701)), undefined, 'nothing is heard twice');
  t.notOk(protection.expects(SECOND_AGENT), 'who was not asked is not expected');
});

t.test(
  'home agents that were made up do not fill the memory, nor push a real one out',
  async (t) => {
    const mobileNode = node(association(1000, 1001));
    const homeAgent = agent(association(1001, 1000));
    mobileNode.emit(UPDATE);
    const first = parsePacket(sent(homeAgent.emit(ACKNOWLEDGEMENT)));
    t.match(mobileNode.read(first), { kind: 'mobility' });
    for (let index = 0; index < 200; index += 1) {
      const destination = parseAddress(`2001:db8:bad::${index.toString(16)}`);
      mobileNode.emit({ ...UPDATE, destination });
    }
    t.equal(mobileNode.read(first), undefined);
    t.same(reasons(mobileNode), [['esp_replayed', 1]]);
  },
);

t.test('other policies: what stays keeps its window and numbers', async (t) => {
  const protection = association(1001, 1000);
  const homeAgent = agent(protection);
  const mobileNode = node(association(1000, 1001));
  const packet = parsePacket(sent(mobileNode.emit(UPDATE)));
  t.match(homeAgent.read(packet), { kind: 'mobility' });
  homeAgent.update([
    { homeAddress: HOME_ADDRESS, protection },
    { homeAddress: CORRESPONDENT, protection: association(3000, 3001) },
  ]);
  t.equal(homeAgent.read(packet), undefined);
  t.same(reasons(homeAgent), [['esp_replayed', 1]]);
  homeAgent.update([]);
  t.equal(homeAgent.kindOf(HOME_ADDRESS), 'none');
  t.equal(homeAgent.read(packet), undefined);
  t.equal(homeAgent.drops.get('unexpected_esp'), 1);
});

t.test('RFC 3776 4.1: one association for two home addresses is refused', async (t) => {
  const protection = association(1001, 1000);
  const policies = [HOME_ADDRESS, CORRESPONDENT].map((homeAddress) => ({
    homeAddress,
    protection,
  }));
  t.throws(() => new SecurityPolicies('home-agent', policies, clock), RangeError);
});

t.test('what cannot be sent comes back as a reason', async (t) => {
  const mobileNode = node(association(1000, 1001, 2 ** 32));
  t.equal(mobileNode.emit(UPDATE), 'sequence_exhausted');
  const odd = { ...UPDATE, message: { ...UPDATE.message, lifetime: 3 } };
  t.equal(mobileNode.emit(odd), 'not_encodable');
});

t.test(
  'RFC 6275 9.2: a payload protocol other than 59 is told, where to point at too',
  async (t) => {
    const policies = [{ homeAddress: HOME_ADDRESS, protection: noProtection() }];
    const homeAgent = new SecurityPolicies('home-agent', policies, clock);
    const bytes = emitSignal(UPDATE);
    bytes[64] = 60;
    const before = ((bytes[68] ?? 0) << 8) | (bytes[69] ?? 0);
    bytes.set([(before - 0x100) >> 8, before & 255], 68);
    t.same(homeAgent.read(parsePacket(bytes)), {
      kind: 'not-mobility',
      source: CARE_OF,
      destination: HOME_AGENT,
      homeAddress: HOME_ADDRESS,
      offset: 0,
    });
  },
);

t.test('home agent discovery and echo are never protected', async (t) => {
  const { mobileNode, homeAgent } = espEnds(AES_SHA1);
  const message = { kind: 'home-agent-discovery-request', identifier: 3 } as const;
  const outgoing = { source: CARE_OF, destination: HOME_AGENT, message };
  const packet = parsePacket(sent(mobileNode.emitIcmpv6(outgoing)));
  t.equal(packet.protocol, 58);
  t.same(homeAgent.read(packet), {
    kind: 'icmpv6',
    source: CARE_OF,
    destination: HOME_AGENT,
    homeAddress: CARE_OF,
    message,
    protection: 'none',
  });
});

t.test(
  'a prefix advertisement comes in ESP, with the home address in its routing header',
  async (t) => {
    const { mobileNode, homeAgent } = espEnds(AES_SHA1);
    mobileNode.emit(UPDATE);
    const message = {
      kind: 'mobile-prefix-advertisement',
      identifier: 3,
      managed: false,
      other: false,
      options: [],
    } as const;
    const packet = sent(
      homeAgent.emitIcmpv6({
        source: HOME_AGENT,
        destination: CARE_OF,
        routingHeader: HOME_ADDRESS,
        message,
      }),
    );
    t.match(mobileNode.read(parsePacket(packet)), {
      kind: 'icmpv6',
      source: HOME_AGENT,
      homeAddress: HOME_ADDRESS,
      protection: 'esp',
      message,
    });
  },
);
