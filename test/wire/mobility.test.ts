import t from 'tap';
import type { MobilityMessage, MobilityOption } from '../../src/wire/index.js';
import {
  alignMobilityOptions,
  attempt,
  BINDING_STATUS,
  bindingStatus,
  emitMobility,
  emitPacket,
  homeAddressOption,
  PROTOCOL,
  parseAddress,
  parseMobility,
  parsePacket,
  pseudoHeader,
  type2HomeAddress,
  upperLayerChecksum,
} from '../../src/wire/index.js';

const HOME_ADDRESS = parseAddress('2001:db8:2000::10');
const CARE_OF = parseAddress('2001:db8:3000::33');
const HOME_AGENT = parseAddress('2001:db8:2000::1');
const pseudo = { source: HOME_ADDRESS, destination: HOME_AGENT };

const hex = (text: string) => new Uint8Array(Buffer.from(text.replaceAll(/\s/g, ''), 'hex'));

// A registration that a stock Linux Home Agent accepted, and its answer (PROTOCOL.md).
const BINDING_UPDATE = hex(`
  60000000 00383c40 20010db8300000000000000000000033 20010db8200000000000000000000001
  87020102 0000c910 20010db8200000000000000000000010
  3b030500 a7193a25 e0000096 01000310 20010db8300000000000000000000033`);
const BINDING_ACKNOWLEDGEMENT = hex(`
  60000000 00282b40 20010db8200000000000000000000001 20010db8300000000000000000000033
  87020201 00000000 20010db8200000000000000000000010
  3b010600 e7260000 3a250096 01020000`);

/** The octets of a message after a change, its checksum right again. */
function changed(message: MobilityMessage, change: (bytes: Uint8Array) => void): Uint8Array {
  const bytes = emitMobility(message, pseudo);
  change(bytes);
  bytes.set([0, 0], 4);
  const checksum = upperLayerChecksum(pseudo, PROTOCOL.mobility, bytes);
  bytes.set([checksum >> 8, checksum & 255], 4);
  return bytes;
}

const error: MobilityMessage = {
  kind: 'binding-error',
  status: 1,
  homeAddress: HOME_ADDRESS,
  options: [],
};

t.test('the binding update that a Home Agent accepted (RFC 6275 6.1.7)', async (t) => {
  const packet = parsePacket(BINDING_UPDATE);
  t.same(
    { source: packet.source, destination: packet.destination, hopLimit: packet.hopLimit },
    { source: CARE_OF, destination: HOME_AGENT, hopLimit: 64 },
  );
  t.equal(homeAddressOption(packet), HOME_ADDRESS);
  t.same(pseudoHeader(packet), pseudo, 'the checksum covers the home address (6.1.1)');
  const message = parseMobility(packet.payload, pseudoHeader(packet));
  t.same(message, {
    kind: 'binding-update',
    sequence: 14885,
    acknowledge: true,
    homeRegistration: true,
    linkLocalCompatible: true,
    keyManagement: false,
    reserved: 0,
    lifetime: 600,
    options: alignMobilityOptions([{ kind: 'alternate-care-of-address', address: CARE_OF }]),
  });
  const payload = emitMobility(message, pseudoHeader(packet));
  t.same(emitPacket({ ...packet, payload }), BINDING_UPDATE);
  t.match(
    attempt(() => parseMobility(packet.payload, packet)),
    { code: 'WIRE_CHECKSUM', offset: 4 },
    'over the care-of address it is wrong',
  );
});

t.test('the binding acknowledgement that it answered with (RFC 6275 6.1.8)', async (t) => {
  const packet = parsePacket(BINDING_ACKNOWLEDGEMENT);
  t.equal(type2HomeAddress(packet), HOME_ADDRESS);
  t.same(pseudoHeader(packet), { source: HOME_AGENT, destination: HOME_ADDRESS });
  const message = parseMobility(packet.payload, pseudoHeader(packet));
  t.same(message, {
    kind: 'binding-acknowledgement',
    status: 0,
    keyManagement: false,
    reserved: 0,
    sequence: 14885,
    lifetime: 600,
    options: alignMobilityOptions([], 'binding-acknowledgement'),
  });
  const payload = emitMobility(message, pseudoHeader(packet));
  t.same(emitPacket({ ...packet, payload }), BINDING_ACKNOWLEDGEMENT);
});

t.test('checks come in the order of RFC 6275 9.2', async (t) => {
  const payload = (to: number) => (bytes: Uint8Array) => {
    bytes[0] = to;
  };
  const broken = changed(error, payload(17));
  broken[4] = (broken[4] ?? 0) ^ 1;
  const parse = (bytes: Uint8Array) => attempt(() => parseMobility(bytes, pseudo));
  t.match(parse(broken), { code: 'WIRE_CHECKSUM', offset: 4 }, 'checksum first');
  const unknown: MobilityMessage = { kind: 'unknown', type: 99, data: new Uint8Array(2) };
  t.match(parse(changed(unknown, payload(17))), {
    kind: 'unknown',
    type: 99,
    payloadProtocol: 17,
  });
  const both = changed(unknown, (bytes) => bytes.set([17, 0, 7]));
  t.match(parse(both), { code: 'WIRE_PAYLOAD_PROTOCOL', offset: 0 }, 'then the payload protocol');
  const short = changed(unknown, (bytes) => bytes.set([59, 0, 7]));
  t.match(parse(short), { code: 'WIRE_MALFORMED', offset: 1 }, 'then the length');
});

t.test('every message has its smallest length (RFC 6275 9.2)', async (t) => {
  const smallest = [8, 16, 16, 24, 24, 16, 16, 24];
  smallest.forEach((octets, type) => {
    for (let length = 8; length <= 32; length += 8) {
      const data = new Uint8Array(length - 6);
      const unknown: MobilityMessage = { kind: 'unknown', type: 99, data };
      const bytes = changed(unknown, (b) => b.set([type], 2));
      const result = attempt(() => parseMobility(bytes, pseudo));
      if (length < octets) t.match(result, { code: 'WIRE_MALFORMED', offset: 1 }, `type ${type}`);
      else t.ok('kind' in result, `type ${type}, ${length} octets`);
    }
  });
});

t.test('octets behind the header are ignored (RFC 8200 4.7)', async (t) => {
  const bytes = emitMobility(error, pseudo);
  const longer = new Uint8Array(bytes.length + 3).fill(0xaa);
  longer.set(bytes);
  t.same(parseMobility(longer, pseudo), error);
});

t.test('options start where RFC 6275 6.2 wants them', async (t) => {
  const starts: Record<string, readonly [number, number]> = {
    'binding-refresh-advice': [2, 0],
    'alternate-care-of-address': [8, 6],
    'nonce-indices': [2, 0],
    'binding-authorization-data': [8, 2],
  };
  const sizes: Record<string, number> = {
    pad1: 1,
    'binding-refresh-advice': 4,
    'alternate-care-of-address': 18,
    'nonce-indices': 6,
    'binding-authorization-data': 14,
  };
  const options: MobilityOption[] = [
    { kind: 'unknown', type: 99, data: new Uint8Array(1) },
    { kind: 'binding-refresh-advice', interval: 4 },
    { kind: 'alternate-care-of-address', address: CARE_OF },
    { kind: 'unknown', type: 99, data: new Uint8Array(2) },
    { kind: 'nonce-indices', home: 1, careOf: 2 },
    { kind: 'binding-authorization-data', authenticator: new Uint8Array(12) },
  ];
  for (const [kind, start] of [
    ['binding-refresh-request', 8],
    ['home-test-init', 16],
    ['home-test', 24],
    ['binding-update', 12],
    ['binding-acknowledgement', 12],
    ['binding-error', 24],
  ] as const) {
    const aligned = alignMobilityOptions(options, kind);
    let offset: number = start;
    for (const option of aligned) {
      const [x, y] = starts[option.kind] ?? [1, 0];
      t.equal(offset % x, y % x, `${kind}: ${option.kind} at ${offset}`);
      offset += 'data' in option ? 2 + option.data.length : (sizes[option.kind] ?? 0);
    }
    t.equal(offset % 8, 0, `${kind} ends on 8 octets`);
    t.same(alignMobilityOptions(aligned, kind), aligned, 'padding is not piled up');
    t.equal(aligned.at(-1)?.kind, 'binding-authorization-data', 'it stays last (6.2.7)');
  }
});

t.test('a known option with a wrong length is malformed (RFC 6275 6.2)', async (t) => {
  const wrong: readonly (readonly [number, number])[] = [
    [2, 4],
    [3, 4],
    [4, 2],
  ];
  for (const [type, length] of wrong) {
    const options: MobilityOption[] = alignMobilityOptions(
      [{ kind: 'unknown', type, data: new Uint8Array(length) }],
      'binding-error',
    );
    const bytes = emitMobility({ ...error, options }, pseudo);
    t.match(
      attempt(() => parseMobility(bytes, pseudo)),
      { code: 'WIRE_MALFORMED', offset: 25 },
    );
  }
});

t.test('lifetimes count units of 4 seconds (RFC 6275 6.1.7, 6.2.4)', async (t) => {
  const lifetime = (seconds: number): MobilityMessage => ({
    kind: 'binding-acknowledgement',
    status: 0,
    keyManagement: false,
    reserved: 0,
    sequence: 1,
    lifetime: seconds,
    options: alignMobilityOptions([], 'binding-acknowledgement'),
  });
  t.match(parseMobility(emitMobility(lifetime(262140), pseudo), pseudo), { lifetime: 262140 });
  for (const seconds of [1, -4, 262144, Number.NaN, Number.POSITIVE_INFINITY]) {
    t.match(
      attempt(() => emitMobility(lifetime(seconds), pseudo)),
      { code: 'WIRE_RANGE' },
    );
  }
});

t.test('a message that its fields cannot carry is not emitted', async (t) => {
  const cookie = new Uint8Array(8);
  const refused: MobilityMessage[] = [
    { ...error, status: 256 },
    { ...error, options: [{ kind: 'pad1' }] },
    { ...error, headerReserved: 256 },
    { kind: 'home-test-init', cookie: new Uint8Array(7), options: [] },
    { kind: 'home-test', cookie, keygenToken: new Uint8Array(9), nonceIndex: 1, options: [] },
    { kind: 'care-of-test', cookie, keygenToken: cookie, nonceIndex: 65536, options: [] },
    { kind: 'unknown', type: 99, data: new Uint8Array(3) },
    { kind: 'unknown', type: 256, data: new Uint8Array(2) },
    { kind: 'unknown', type: 99, data: new Uint8Array(2050) },
  ];
  for (const message of refused) {
    t.match(
      attempt(() => emitMobility(message, pseudo)),
      { code: 'WIRE_RANGE' },
      message.kind,
    );
  }
});

t.test('binding status: below 128 is accepted (RFC 6275 6.1.8)', async (t) => {
  for (let status = 0; status < 256; status++) {
    t.equal(bindingStatus(status).accepted, status < 128, `status ${status}`);
  }
  t.match(BINDING_STATUS[135], { name: 'sequence number out of window', accepted: false });
  t.match(bindingStatus(200), { name: 'status 200' });
});
