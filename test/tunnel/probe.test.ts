import t from 'tap';
import { encapsulate, probeReply, probeRequest, readProbe } from '../../src/tunnel/index.js';
import { emitIcmpv6, emitPacket, parseAddress, parsePacket } from '../../src/wire/index.js';
import { complaints, tshark } from '../support/judges.js';
import { LINKTYPE } from '../support/pcap.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';
import { byScapy, ENDS, LABEL, toHex } from '../support/tunnel-packets.js';

const TOKEN = 0xdeadbeef;
const ends = { source: HOME_ADDRESS, destination: HOME_AGENT };
const request = (size: number, overhead = 40) =>
  probeRequest({ ...ends, size, overhead, token: TOKEN });
const read = (bytes: Uint8Array) => readProbe(parsePacket(bytes));

t.test('RFC 4443 4.1: a probe is an echo request, octet by octet', (t) => {
  t.equal(toHex(request(1400)), toHex(byScapy('probe')));
  t.end();
});

t.test(
  'RFC 8899 4.1: the tunnel packet of a probe has exactly the size that is asked about',
  (t) => {
    for (const size of [1280, 1281, 1400, 1500, 9000, 9216]) {
      const plain = { ...ENDS, hopLimit: 64, flowLabel: LABEL };
      t.equal(encapsulate(request(size), plain).length, size);
      const limited = { ...plain, encapsulationLimit: 4 };
      t.equal(encapsulate(request(size, 48), limited).length, size);
    }
    t.end();
  },
);

t.test('RFC 2473 3.1, 4.1.1: tunnel headers, octet by octet', (t) => {
  const inner = byScapy('encapsulated').subarray(40);
  const plain = { ...ENDS, hopLimit: 64, flowLabel: LABEL };
  t.equal(toHex(encapsulate(inner, plain)), toHex(byScapy('encapsulated')));
  const limited = { ...plain, hopLimit: 9, encapsulationLimit: 4 };
  t.equal(toHex(encapsulate(inner, limited)), toHex(byScapy('encapsulatedWithLimit')));
  t.end();
});

t.test('a probe and its answer are read by token', (t) => {
  t.match(read(byScapy('probe')), { kind: 'request', token: TOKEN, ...ends });
  t.match(read(byScapy('answer')), { kind: 'reply', token: TOKEN, source: HOME_AGENT });
  t.match(read(byScapy('shortAnswer')), { kind: 'reply', token: TOKEN });
  for (const token of [0, 1, 0xffff, 0x10000, 0xffffffff]) {
    t.match(read(probeRequest({ ...ends, size: 1280, overhead: 40, token })), { token });
  }
  t.end();
});

t.test('RFC 4443 4.2: the answer has the data of the request', (t) => {
  const probe = read(byScapy('probe'));
  if (probe === undefined) throw new Error('no probe');
  t.equal(toHex(probeReply(probe)), toHex(byScapy('answer')));
  t.equal(toHex(probeReply(probe, 1360)), toHex(byScapy('answer')));
  t.end();
});

t.test('an answer that the way back would not take has less data, the magic always', (t) => {
  const probe = read(byScapy('probe'));
  if (probe === undefined) throw new Error('no probe');
  t.equal(toHex(probeReply(probe, 1320)), toHex(byScapy('shortAnswer')));
  t.match(read(probeReply(probe, 0)), { kind: 'reply', token: TOKEN });
  t.equal(probeReply(probe, 0).length, 56);
  t.end();
});

t.test('other echo messages are no probes', (t) => {
  const echo = (data: Uint8Array, source = HOME_ADDRESS) =>
    emitPacket({
      trafficClass: 0,
      flowLabel: 0,
      hopLimit: 64,
      source,
      destination: HOME_AGENT,
      extensions: [],
      protocol: 58,
      payload: emitIcmpv6(
        { kind: 'echo-request', identifier: 1, sequence: 2, data },
        { source, destination: HOME_AGENT },
      ),
    });
  const magic = new TextEncoder().encode('kagemush');
  t.match(read(echo(magic)), { kind: 'request', token: 0x10002 });
  t.equal(read(echo(new Uint8Array(0))), undefined);
  t.equal(read(echo(magic.subarray(0, 7))), undefined);
  t.equal(read(echo(new Uint8Array(1200))), undefined);
  t.equal(read(echo(magic, parseAddress('::'))), undefined);
  t.equal(read(echo(magic, parseAddress('ff0e::1'))), undefined);
  const wrong = echo(magic);
  wrong[42] = (wrong[42] ?? 0) ^ 1;
  t.equal(read(wrong), undefined, 'wrong checksum');
  t.equal(read(byScapy('tooBig')), undefined);
  t.equal(read(byScapy('inner')), undefined);
  const fragment = {
    kind: 'fragment' as const,
    offset: 0,
    more: false,
    identification: 1,
    reserved: 0,
  };
  const packet = parsePacket(echo(magic));
  t.equal(readProbe({ ...packet, extensions: [fragment] }), undefined, 'in fragments');
  t.end();
});

t.test('tshark sees a sound echo request in a tunnel', (t) => {
  const outer = { local: CARE_OF, remote: HOME_AGENT, hopLimit: 64, flowLabel: LABEL };
  const [seen] = tshark(LINKTYPE.raw, [encapsulate(request(1500), outer)]);
  if (seen === undefined) throw new Error('not seen');
  t.same(complaints(seen), []);
  t.same(seen.get('icmpv6.type'), ['128']);
  t.same(seen.get('icmpv6.checksum.status'), ['1']);
  t.same(seen.get('ipv6.plen'), ['1460', '1420']);
  t.end();
});
