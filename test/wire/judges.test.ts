import { fileURLToPath } from 'node:url';
import t from 'tap';
import type { EthernetFrame } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ETHERTYPE_IPV6,
  emitEthernet,
  multicastMac,
  parseMac,
} from '../../src/wire/index.js';
import { complaints, scapy, tshark } from '../support/judges.js';
import { LINKTYPE } from '../support/pcap.js';
import { compose, dissect, SAMPLES } from './samples.js';

const toHex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

t.test('scapy builds the same octets and they parse to the same records', async (t) => {
  const built = scapy(fileURLToPath(new URL('scapy-packets.py', import.meta.url)));
  const packets = new Map(Object.entries(built as Record<string, string>));
  t.same([...packets.keys()].sort(), Object.keys(SAMPLES).sort(), 'one packet of each kind');
  for (const [name, { frame, upper }] of Object.entries(SAMPLES)) {
    const octets = packets.get(name) ?? '';
    t.equal(toHex(compose(frame, upper)), octets, `${name}: emitted as scapy does`);
    t.same(dissect(Buffer.from(octets, 'hex')), { frame, upper }, `${name}: parsed`);
  }
});

t.test('tshark reads our packets: fields right, nothing malformed, checksums good', async (t) => {
  const samples = Object.entries(SAMPLES);
  const seen = tshark(
    LINKTYPE.raw,
    samples.map(([, { frame, upper }]) => compose(frame, upper)),
  );
  t.equal(seen.length, samples.length);
  samples.forEach(([name, sample], index) => {
    const fields = seen[index] ?? new Map<string, readonly string[]>();
    const unexpected = complaints(fields).filter((text) => !sample.complaint?.test(text));
    t.same(unexpected, [], `${name}: no complaint`);
    for (const [field, value] of Object.entries(sample.tshark)) {
      t.same(fields.get(field), [value].flat(), `${name}: ${field}`);
    }
    if ('icmpv6' in sample.upper) {
      t.equal(fields.get('icmpv6.checksum.status')?.[0], '1', `${name}: checksum good`);
    }
  });
});

t.test('tshark reads our Ethernet frames (RFC 2464)', async (t) => {
  const source = parseMac('02:00:00:00:00:01');
  const sample = SAMPLES['router advertisement'];
  if (sample === undefined) throw new Error('no sample');
  const frame: EthernetFrame = {
    destination: multicastMac(ALL_NODES),
    source,
    etherType: ETHERTYPE_IPV6,
    payload: compose(sample.frame, sample.upper),
  };
  const [seen = new Map<string, string[]>()] = tshark(LINKTYPE.ethernet, [emitEthernet(frame)]);
  t.same(complaints(seen), []);
  t.same(seen.get('eth.dst'), ['33:33:00:00:00:01']);
  t.same(seen.get('eth.src'), [source]);
  t.same(seen.get('eth.type'), ['0x86dd']);
  t.same(seen.get('icmpv6.type'), ['134']);
});

t.test('the judges do judge: a broken checksum and a cut option are complained of', async (t) => {
  const sample = SAMPLES['neighbor solicitation'];
  if (sample === undefined) throw new Error('no sample');
  const broken = compose(sample.frame, sample.upper);
  broken[42] = (broken[42] ?? 0) ^ 1;
  const cut = compose(sample.frame, sample.upper);
  cut[65] = 9;
  const seen = tshark(LINKTYPE.raw, [broken, cut]);
  t.ok(complaints(seen[0] ?? new Map()).length > 0, 'checksum');
  t.ok(complaints(seen[1] ?? new Map()).length > 0, 'option length');
});
