import t from 'tap';
import type { Icmpv6Message } from '../../src/wire/index.js';
import {
  attempt,
  emitIcmpv6,
  isMld,
  PROTOCOL,
  parseAddress,
  parseIcmpv6,
  parseMac,
  upperLayerChecksum,
} from '../../src/wire/index.js';

const pseudo = { source: parseAddress('fe80::1'), destination: parseAddress('ff02::1') };
const target = parseAddress('2001:db8:2000::10');
const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

/** The octets of a message after a change, its checksum right again. */
function changed(message: Icmpv6Message, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = emitIcmpv6(message, pseudo);
  change(bytes);
  bytes.set([0, 0], 2);
  const checksum = upperLayerChecksum(pseudo, PROTOCOL.icmpv6, bytes);
  bytes.set([checksum >> 8, checksum & 255], 2);
  return bytes;
}

const parse = (bytes: Uint8Array) => attempt(() => parseIcmpv6(bytes, pseudo));

t.test('the checksum (RFC 4443 2.3)', async (t) => {
  const bytes = emitIcmpv6({ kind: 'unknown', type: 200, code: 1, body: hex('0102') }, pseudo);
  t.same(parse(bytes), { kind: 'unknown', type: 200, code: 1, body: hex('0102') });
  bytes[4] = 0;
  t.match(parse(bytes), { code: 'WIRE_CHECKSUM', offset: 2 });
  t.match(parse(bytes.subarray(0, 3)), { code: 'WIRE_TRUNCATED', offset: 0 });
});

t.test(
  'every message has its smallest length (RFC 4443 3, 4; RFC 4861 6.1, 7.1, 8.1)',
  async (t) => {
    const smallest = { 1: 8, 2: 8, 3: 8, 4: 8, 128: 8, 129: 8, 133: 8, 134: 16, 135: 24, 136: 24 };
    for (const [type, length] of Object.entries({ ...smallest, 137: 40 })) {
      const message = (octets: number): Icmpv6Message => {
        return { kind: 'unknown', type: Number(type), code: 0, body: new Uint8Array(octets - 4) };
      };
      const short = emitIcmpv6(message(length - 1), pseudo);
      t.match(parse(short), { code: 'WIRE_TRUNCATED' }, `type ${type}`);
      const enough = parse(emitIcmpv6(message(length), pseudo));
      t.ok('kind' in enough && enough.kind !== 'unknown', `type ${type}`);
    }
  },
);

t.test('the code of a Neighbor Discovery message is 0 (RFC 4861 6.1, 7.1, 8.1)', async (t) => {
  const bytes = changed({ kind: 'neighbor-solicitation', target, options: [] }, (b) =>
    b.set([1], 1),
  );
  t.match(parse(bytes), { code: 'WIRE_MALFORMED', offset: 1 });
});

t.test('an option of length 0 is malformed (RFC 4861 4.6)', async (t) => {
  const mac = parseMac('02:00:00:00:00:01');
  const message: Icmpv6Message = {
    kind: 'router-solicitation',
    options: [{ kind: 'source-link-layer-address', mac }],
  };
  t.match(parse(changed(message, (b) => b.set([0], 9))), { code: 'WIRE_MALFORMED', offset: 9 });
  t.match(parse(changed(message, (b) => b.set([2], 9))), { code: 'WIRE_TRUNCATED', offset: 8 });
});

t.test('a prefix is at most 128 bits long (RFC 4861 4.6.2)', async (t) => {
  const message = (length: number): Icmpv6Message => ({
    kind: 'router-solicitation',
    options: [
      {
        kind: 'prefix-information',
        prefix: { address: target, length },
        onLink: true,
        autonomous: false,
        routerAddress: false,
        validLifetime: 1,
        preferredLifetime: 1,
      },
    ],
  });
  t.match(parse(changed(message(128), (b) => b.set([129], 10))), {
    code: 'WIRE_MALFORMED',
    offset: 10,
  });
  t.match(
    attempt(() => emitIcmpv6(message(129), pseudo)),
    { code: 'WIRE_RANGE' },
  );
});

t.test('router preference is two signed bits (RFC 4191 2.1)', async (t) => {
  const message = (preference: 'low' | 'medium' | 'high' | 'reserved'): Icmpv6Message => ({
    kind: 'router-advertisement',
    hopLimit: 64,
    managed: false,
    other: false,
    homeAgent: false,
    preference,
    routerLifetime: 0,
    reachableTime: 0,
    retransTimer: 0,
    options: [],
  });
  const flags = (preference: 'low' | 'medium' | 'high' | 'reserved') =>
    emitIcmpv6(message(preference), pseudo)[5];
  t.same([flags('medium'), flags('high'), flags('reserved'), flags('low')], [0, 8, 16, 24]);
});

t.test('a message that its fields cannot carry is not emitted', async (t) => {
  const none = new Uint8Array();
  const refused: Icmpv6Message[] = [
    { kind: 'packet-too-big', mtu: 2 ** 32, quoted: none },
    { kind: 'parameter-problem', code: 256, pointer: 0, quoted: none },
    { kind: 'echo-request', identifier: 65536, sequence: 0, data: none },
    { kind: 'unknown', type: -1, code: 0, body: none },
    { kind: 'router-solicitation', options: [{ kind: 'unknown', type: 9, data: none }] },
    {
      kind: 'router-solicitation',
      options: [{ kind: 'unknown', type: 256, data: hex('000000000000') }],
    },
    {
      kind: 'router-solicitation',
      options: [{ kind: 'unknown', type: 9, data: new Uint8Array(8 * 256 - 2) }],
    },
    { kind: 'neighbor-solicitation', target, options: [], reserved: 2 ** 32 },
    {
      kind: 'neighbor-advertisement',
      router: true,
      solicited: true,
      override: true,
      target,
      options: [],
      reserved: 2 ** 29,
    },
  ];
  for (const message of refused) {
    t.match(
      attempt(() => emitIcmpv6(message, pseudo)),
      { code: 'WIRE_RANGE' },
      message.kind,
    );
  }
});

t.test('a message owns its octets: it outlives the ring slot', async (t) => {
  const bytes = emitIcmpv6(
    { kind: 'echo-reply', identifier: 1, sequence: 2, data: hex('07') },
    pseudo,
  );
  const message = parseIcmpv6(bytes, pseudo);
  bytes.fill(0);
  t.match(message, { data: hex('07') });
});

t.test('Multicast Listener Discovery types (RFC 2710 3.1, RFC 3810 5.2)', async (t) => {
  const types = Array.from({ length: 256 }, (_, type) => type).filter(isMld);
  t.same(types, [130, 131, 132, 143]);
});
