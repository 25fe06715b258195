import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { Signal } from '../../src/signaling/index.js';
import { authOption, SecurityPolicies } from '../../src/signaling/index.js';
import { parsePacket } from '../../src/wire/index.js';
import { complaints, scapy, tshark } from '../support/judges.js';
import { LINKTYPE } from '../support/pcap.js';
import { authOptionEnds, MOBILITY_KEY, sent, TIME_OF_DAY } from '../support/protected-pairs.js';
import { ACKNOWLEDGEMENT, UPDATE } from '../support/signals.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const BY_HAND = scapy(
  fileURLToPath(new URL('protection-auth-option.py', import.meta.url)),
) as Record<'update' | 'identified' | 'acknowledgement' | 'required', string>;
const byHand = (name: keyof typeof BY_HAND) => Buffer.from(BY_HAND[name], 'hex');

function world(options: Parameters<typeof authOptionEnds>[1] = {}) {
  const time = { mobileNode: TIME_OF_DAY, homeAgent: TIME_OF_DAY };
  const ends = authOptionEnds(
    { mobileNode: () => time.mobileNode, homeAgent: () => time.homeAgent },
    options,
  );
  return { time, ...ends };
}

function received(policies: SecurityPolicies, packet: Uint8Array): Signal | undefined {
  const result = policies.read(parsePacket(packet));
  return result?.kind === 'mobility' ? result.signal : undefined;
}

const update = (sequence: number): Signal => ({
  ...UPDATE,
  message: { ...UPDATE.message, sequence },
});
const answer = (sequence: number, status = 0): Signal => ({
  ...ACKNOWLEDGEMENT,
  message: { ...ACKNOWLEDGEMENT.message, sequence, status, lifetime: status < 128 ? 600 : 0 },
});
const timestampOf = (signal: Signal | undefined) => {
  const options = signal !== undefined && 'options' in signal.message ? signal.message.options : [];
  return options.find((option) => option.kind === 'replay-protection')?.timestamp;
};

t.test('RFC 4285 5.1, 6: Binding Update and Acknowledgement, octet by octet', async (t) => {
  const { mobileNode, homeAgent } = world();
  const request = sent(mobileNode.emit(UPDATE));
  t.equal(toHex(request), BY_HAND.update);
  t.match(received(homeAgent, byHand('update')), {
    protection: 'auth-option',
    authentication: 'ok',
    message: { kind: 'binding-update', sequence: 14885 },
  });
  t.equal(toHex(sent(homeAgent.emit(ACKNOWLEDGEMENT))), BY_HAND.acknowledgement);
  t.match(received(mobileNode, byHand('acknowledgement')), {
    protection: 'auth-option',
    authentication: 'ok',
    message: { kind: 'binding-acknowledgement', status: 0 },
  });
  t.equal(mobileNode.drops.size + homeAgent.drops.size, 0);
});

t.test('RFC 4283 3: the identifier is sent, and asked for', async (t) => {
  const named = world({ identifier: 'vm1@a.net' });
  t.equal(toHex(sent(named.mobileNode.emit(UPDATE))), BY_HAND.identified);
  t.equal(received(named.homeAgent, byHand('identified'))?.authentication, 'ok');
  const other = world({ identifier: 'vm2@a.net' });
  t.equal(received(other.homeAgent, byHand('identified'))?.authentication, 'failed');
  t.equal(received(other.homeAgent, byHand('update'))?.authentication, 'failed');
});

t.test('tshark finds nothing wrong with the options', async (t) => {
  const packets = (Object.keys(BY_HAND) as (keyof typeof BY_HAND)[]).map(byHand);
  const seen = tshark(LINKTYPE.raw, packets);
  for (const packet of seen) t.same(complaints(packet), []);
  t.same(seen[0]?.get('mip6.mhtype'), ['5']);
});

t.test('RFC 4285 6, status 145: a timestamp is required; the answer has none either', async (t) => {
  const { homeAgent } = world();
  const mobileNode = new SecurityPolicies('mobile-node', [], () => TIME_OF_DAY);
  t.equal(toHex(sent(homeAgent.emit(answer(14885, 145)))), BY_HAND.required);
  t.equal(received(mobileNode, byHand('required'))?.protection, 'none');
});

t.test(
  'RFC 4285 5.1.1, status 146: what another key made is told apart, and grants nothing',
  async (t) => {
    const { homeAgent, mobileNode } = world();
    const forged = byHand('update');
    // Another authenticator; the checksum is made right again: what one word loses the next one gains.
    forged.writeUInt16BE(forged.readUInt16BE(forged.length - 4) - 1, forged.length - 4);
    forged.writeUInt16BE(forged.readUInt16BE(forged.length - 2) + 1, forged.length - 2);
    const signal = received(homeAgent, forged);
    t.match(signal, { protection: 'none', authentication: 'failed' });
    mobileNode.emit(UPDATE);
    const refusal = sent(homeAgent.emit(answer(14885, 146)));
    t.ok(refusal.length <= forged.length, 'the answer is not longer than its cause');
    t.match(received(mobileNode, refusal), { protection: 'auth-option', authentication: 'ok' });
    t.equal(
      received(homeAgent, byHand('update'))?.authentication,
      'ok',
      'the true one still passes',
    );
  },
);

t.test(
  'a Binding Update without the option, or of another association, gets no answer',
  async (t) => {
    const { homeAgent } = world();
    const plain = new SecurityPolicies('mobile-node', [], () => TIME_OF_DAY);
    t.equal(received(homeAgent, sent(plain.emit(UPDATE))), undefined);
    const other = world({ spi: 1338 });
    t.equal(received(homeAgent, sent(other.mobileNode.emit(UPDATE))), undefined);
    t.same(
      [...homeAgent.drops],
      [
        ['unprotected', 1],
        ['auth_option_spi', 1],
      ],
    );
  },
);

t.test(
  'RFC 4285 5.1: every bit from the care-of address to the authenticator counts',
  async (t) => {
    const golden = byHand('update');
    const { homeAgent } = world();
    const results = new Map<string, number>();
    const note = (what: string) => results.set(what, (results.get(what) ?? 0) + 1);
    for (let bit = 8 * 8; bit < golden.length * 8; bit += 1) {
      // Not in the Mobility Data: who it was sent to (the home agent looks), padding before the Home Address option.
      const octet = bit >> 3;
      if ((octet >= 24 && octet < 40) || (octet >= 42 && octet < 46)) continue;
      if (octet === 68 || octet === 69) continue; // the checksum, which the forger makes right
      const forged = Uint8Array.from(golden);
      forged[bit >> 3] = (forged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      let signal: Signal | undefined;
      try {
        signal = received(homeAgent, repaired(forged));
      } catch {
        note('no packet');
        continue;
      }
      if (signal === undefined) note('dropped');
      else if (signal.protection === 'none') note('not believed');
      else t.fail(`bit ${bit} was believed`);
    }
    t.ok((results.get('not believed') ?? 0) > 300, JSON.stringify([...results]));
    t.equal(received(homeAgent, golden)?.authentication, 'ok', 'no state was changed');
  },
);

/** The packet with its Mobility Header's checksum made right, as a forger would. */
function repaired(bytes: Uint8Array): Uint8Array {
  const packet = parsePacket(bytes);
  if (packet.protocol !== 135) return bytes;
  const start = bytes.length - packet.payload.length;
  const home = packet.extensions.some(
    (header) =>
      header.kind === 'destination' && header.options.some(({ kind }) => kind === 'home-address'),
  );
  const pseudo = [home ? bytes.slice(48, 64) : bytes.slice(8, 24), bytes.slice(24, 40)];
  const header = bytes.slice(start);
  header.fill(0, 4, 6);
  let sum = header.length + 135;
  for (const part of [...pseudo, header]) {
    for (let at = 0; at < part.length; at += 2) sum += ((part[at] ?? 0) << 8) | (part[at + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  const fixed = Uint8Array.from(bytes);
  fixed.set([(~sum >> 8) & 0xff, ~sum & 0xff], start + 4);
  return fixed;
}

t.test('RFC 4285 6.1: a replayed Binding Update, and one that is older, get 144', async (t) => {
  const { homeAgent, mobileNode, time } = world();
  const first = sent(mobileNode.emit(update(1)));
  time.mobileNode += 500;
  const second = sent(mobileNode.emit(update(2)));
  t.equal(received(homeAgent, second)?.authentication, 'ok');
  t.match(received(homeAgent, second), { protection: 'none', authentication: 'replayed' });
  t.match(received(homeAgent, first), { protection: 'none', authentication: 'replayed' });
});

t.test('RFC 4285 6.1: timestamps only grow, even when the clock stands still', async (t) => {
  const { homeAgent, mobileNode } = world();
  for (let sequence = 1; sequence < 40; sequence += 1) {
    const signal = received(homeAgent, sent(mobileNode.emit(update(sequence))));
    t.equal(signal?.authentication, 'ok');
  }
});

for (const apart of [-6_900, 6_900]) {
  t.test(`RFC 4285 5.1: clocks ${apart} ms apart are close enough`, async (t) => {
    const { homeAgent, mobileNode, time } = world();
    time.homeAgent += apart;
    t.equal(received(homeAgent, sent(mobileNode.emit(update(1))))?.authentication, 'ok');
  });
}

for (const apart of [-7_100, 7_100, -86_400_000, 3_600_000_000, -1_000_000_000_000]) {
  t.test(`RFC 4285 6.1: clocks ${apart} ms apart meet by one answer`, async (t) => {
    const { homeAgent, mobileNode, time } = world({ noise: Math.random });
    time.homeAgent += apart;
    const refused = received(homeAgent, sent(mobileNode.emit(update(1))));
    t.equal(refused?.authentication, 'replayed');
    const refusal = sent(homeAgent.emit(answer(1, 144)));
    const told = received(mobileNode, refusal);
    t.match(told, { authentication: 'ok', message: { status: 144 } });
    const low = (signal: Signal | undefined) => (timestampOf(signal) ?? 0n) & 0xffff_ffffn;
    t.equal(low(told), low(refused), 'the low-order bits come back');
    t.equal(received(mobileNode, refusal), undefined, 'it tells the time once');
    t.equal(mobileNode.drops.get('auth_option_replayed'), 1);
    t.equal(received(homeAgent, sent(mobileNode.emit(update(2))))?.authentication, 'ok');
    t.match(received(mobileNode, sent(homeAgent.emit(answer(2)))), { protection: 'auth-option' });
  });
}

t.test('a 144 for a retransmission that was overtaken does not turn the clock back', async (t) => {
  const { homeAgent, mobileNode, time } = world({ noise: Math.random });
  const first = sent(mobileNode.emit(update(1)));
  time.mobileNode += 1000;
  time.homeAgent += 1000;
  received(homeAgent, sent(mobileNode.emit(update(2))));
  received(homeAgent, first);
  t.match(received(mobileNode, sent(homeAgent.emit(answer(1, 144)))), { authentication: 'ok' });
  const next = received(homeAgent, sent(mobileNode.emit(update(3))));
  t.equal(next?.authentication, 'ok');
});

t.test('RFC 4285 6.1: an answer carries the timestamp of its own request', async (t) => {
  const { homeAgent, mobileNode, time } = world();
  const requests = [1, 2, 3].map((sequence) => {
    time.mobileNode += 100;
    return received(homeAgent, sent(mobileNode.emit(update(sequence))));
  });
  // Duplicate address detection takes a second: the answer to the first comes after the third.
  const first = received(mobileNode, sent(homeAgent.emit(answer(1))));
  t.equal(timestampOf(first), timestampOf(requests[0]));
  // 135 carries the sequence number that the home agent wants, not the request's.
  const resynchronise = received(mobileNode, sent(homeAgent.emit(answer(1, 135))));
  t.equal(timestampOf(resynchronise), timestampOf(requests[2]));
});

t.test('an acknowledgement that answers nothing of ours is dropped', async (t) => {
  const { homeAgent, mobileNode, time } = world();
  received(homeAgent, sent(mobileNode.emit(update(1))));
  const old = sent(homeAgent.emit(answer(1)));
  for (let sequence = 2; sequence < 30; sequence += 1) {
    time.mobileNode += 1000;
    mobileNode.emit(update(sequence));
  }
  t.equal(received(mobileNode, old), undefined);
  t.same([...mobileNode.drops], [['auth_option_replayed', 1]]);
});

t.test(
  'an acknowledgement of the home agent must be signed, with or without routing header',
  async (t) => {
    const { mobileNode } = world();
    mobileNode.emit(UPDATE);
    const plain = new SecurityPolicies('home-agent', [], () => TIME_OF_DAY);
    const bare = { source: HOME_AGENT, destination: CARE_OF, message: ACKNOWLEDGEMENT.message };
    t.equal(received(mobileNode, sent(plain.emit(ACKNOWLEDGEMENT))), undefined);
    t.equal(received(mobileNode, sent(plain.emit(bare))), undefined);
    t.same([...mobileNode.drops], [['unprotected', 2]]);
    const forged = byHand('acknowledgement');
    forged.writeUInt16BE(forged.readUInt16BE(forged.length - 4) ^ 0x0100, forged.length - 4);
    t.equal(received(mobileNode, forged), undefined);
    t.equal(mobileNode.drops.get('auth_option'), 1);
  },
);

t.test('what the authentication option does not protect comes through unprotected', async (t) => {
  const { mobileNode, homeAgent } = world();
  mobileNode.emit(UPDATE);
  const error: Signal = {
    source: HOME_AGENT,
    destination: CARE_OF,
    message: { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS, options: [] },
  };
  t.match(received(mobileNode, sent(homeAgent.emit(error))), { protection: 'none' });
  t.equal(received(mobileNode, sent(homeAgent.emit(error)))?.authentication, undefined);
});

t.test('a restart: what was accepted before stays accepted once', async (t) => {
  const accepted: number[] = [];
  const before = world({ accepted: (milliseconds) => accepted.push(milliseconds) });
  const packet = sent(before.mobileNode.emit(update(1)));
  t.equal(received(before.homeAgent, packet)?.authentication, 'ok');
  t.same(accepted, [TIME_OF_DAY]);
  const [lastAccepted = 0] = accepted;
  const after = world({ lastAccepted });
  t.equal(received(after.homeAgent, packet)?.authentication, 'replayed');
  after.time.mobileNode += 2;
  t.equal(received(after.homeAgent, sent(after.mobileNode.emit(update(2))))?.authentication, 'ok');
});

for (const ahead of [60_000, 86_400_000, 3_600_000_000]) {
  t.test(`a clock that was ${ahead} ms ahead and is set back locks nobody out`, async (t) => {
    const stored: number[] = [];
    const setBack: number[] = [];
    const { homeAgent, mobileNode, time } = world({
      noise: Math.random,
      accepted: (milliseconds) => stored.push(milliseconds),
      setBack: (milliseconds) => setBack.push(milliseconds),
    });
    time.homeAgent += ahead;
    received(homeAgent, sent(mobileNode.emit(update(1))));
    received(mobileNode, sent(homeAgent.emit(answer(1, 144))));
    const bound = sent(mobileNode.emit(update(2)));
    t.equal(received(homeAgent, bound)?.authentication, 'ok');
    received(mobileNode, sent(homeAgent.emit(answer(2))));

    time.homeAgent -= ahead;
    t.equal(received(homeAgent, bound)?.authentication, 'replayed', 'it is not of our time');
    t.equal(received(homeAgent, sent(mobileNode.emit(update(3))))?.authentication, 'replayed');
    received(mobileNode, sent(homeAgent.emit(answer(3, 144))));
    t.equal(received(homeAgent, sent(mobileNode.emit(update(4))))?.authentication, 'ok');
    t.match(received(mobileNode, sent(homeAgent.emit(answer(4)))), { authentication: 'ok' });
    t.equal(setBack.length, 1, 'told once');
    t.ok((setBack[0] ?? 0) > 50_000);
    t.ok(Math.abs((stored.at(-1) ?? 0) - TIME_OF_DAY) < 8000, 'what is stored is of our time');
  });
}

t.test('a restart with a clock that was set back: what was stored locks nobody out', async (t) => {
  const near = world({ lastAccepted: TIME_OF_DAY + 7000 });
  t.equal(
    received(near.homeAgent, sent(near.mobileNode.emit(update(1))))?.authentication,
    'replayed',
  );
  const far = world({ lastAccepted: TIME_OF_DAY + 7001 });
  t.equal(received(far.homeAgent, sent(far.mobileNode.emit(update(1))))?.authentication, 'ok');
  const again = sent(far.mobileNode.emit(update(2)));
  t.equal(received(far.homeAgent, again)?.authentication, 'ok');
  t.equal(received(far.homeAgent, again)?.authentication, 'replayed', 'timestamps grow again');
});

t.test('an association is not made of wrong parts, and says so without the key', async (t) => {
  for (const spi of [0, 255, 2 ** 32, 300.5]) {
    t.throws(() => authOption({ spi, key: MOBILITY_KEY }), RangeError);
  }
  const identifier = 'x'.repeat(254);
  t.throws(() => authOption({ spi: 256, key: MOBILITY_KEY, identifier }), RangeError);
});
