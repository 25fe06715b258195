import fc from 'fast-check';
import t from 'tap';
import { quotedTunnelPacket } from '../../src/tunnel/index.js';
import { byScapy, ENDS, LABEL, quoteOf, toHex } from '../support/tunnel-packets.js';

const label = () => LABEL;
const read = (quoted: Uint8Array) => quotedTunnelPacket(quoted, ENDS, label);

t.test('RFC 2473 8: the tunnel packet that an error quotes, and the packet inside', (t) => {
  const inner = toHex(byScapy('inner'));
  const quotes: [string, number, number][] = [
    ['tooBig', 1500, 40],
    ['timeExceeded', 1500, 40],
    ['unreachable', 1500, 40],
    ['limitProblem', 1508, 48],
  ];
  for (const [name, outerLength, innerOffset] of quotes) {
    const quoted = quoteOf(name);
    const got = read(quoted);
    if (typeof got === 'string') throw new Error(`${name}: ${got}`);
    t.equal(got.outerLength, outerLength, name);
    t.equal(got.innerOffset, innerOffset, name);
    t.equal(got.inner.length, 1232 - innerOffset);
    t.equal(toHex(got.inner), inner.slice(0, 2 * got.inner.length));
  }
  t.end();
});

t.test('the flow label is asked for of the inner packet as far as it is there', (t) => {
  const quoted = quoteOf('tooBig');
  const asked: string[] = [];
  quotedTunnelPacket(quoted, ENDS, (inner) => {
    asked.push(toHex(inner));
    return LABEL;
  });
  t.same(asked, [toHex(quoted.subarray(40))]);
  t.end();
});

t.test(
  'RFC 2473 5: an encapsulation limit, a fragment header, or both may be before the inner packet',
  (t) => {
    t.match(read(byScapy('limited')), { outerLength: 1508, innerOffset: 48 });
    t.match(read(byScapy('fragment')), { outerLength: 1280, innerOffset: 48 });
    t.match(read(byScapy('limitedFragment')), { outerLength: 1280, innerOffset: 56 });
    t.end();
  },
);

t.test('RFC 8201 4, RFC 4443 5.2: an error about no packet of ours is not believed', (t) => {
  const reasons: Record<string, string> = {
    otherSource: 'quote_not_ours',
    otherDestination: 'quote_not_ours',
    otherLabel: 'quote_flow_label',
    udp: 'quote_not_tunnel',
    later: 'quote_later_fragment',
    inner: 'quote_not_ours',
  };
  for (const [name, reason] of Object.entries(reasons)) t.equal(read(byScapy(name)), reason, name);
  t.end();
});

t.test('a quote that ends before the inner header does says nothing', (t) => {
  for (const name of ['plain', 'limited', 'fragment', 'limitedFragment']) {
    const whole = byScapy(name);
    const headers = { plain: 40, limited: 48, fragment: 48, limitedFragment: 56 }[name] ?? 0;
    for (let length = 0; length < headers + 40; length += 1) {
      t.equal(read(whole.subarray(0, length)), 'quote_truncated', `${name}, ${length} octets`);
    }
    t.match(read(whole.subarray(0, headers + 40)), { innerOffset: headers });
  }
  t.end();
});

t.test('tunnel headers of other kinds, twice, or with no IPv6 inside are not ours', (t) => {
  const change = (name: string, at: number, value: number) => {
    const bytes = byScapy(name);
    bytes[at] = value;
    return read(bytes);
  };
  t.equal(change('plain', 6, 0), 'quote_not_tunnel', 'hop-by-hop');
  t.equal(change('plain', 6, 43), 'quote_not_tunnel', 'routing');
  t.equal(change('plain', 6, 4), 'quote_not_tunnel', 'IPv4');
  t.equal(change('limitedFragment', 48, 44), 'quote_not_tunnel', 'two fragment headers');
  t.equal(change('plain', 40, 0x45), 'quote_not_tunnel', 'IPv4 announced as IPv6');
  t.equal(change('limited', 41, 255), 'quote_truncated', 'options longer than the packet');
  t.end();
});

t.test('what follows the payload length is no part of the inner packet', (t) => {
  const padded = new Uint8Array(1520);
  padded.set(byScapy('plain'));
  const got = read(padded);
  t.equal(typeof got === 'string' ? got : got.inner.length, 1460);
  t.end();
});

t.test(
  'property: octets of any kind throw nothing, and an inner packet is always within the quote',
  (t) => {
    const samples = ['plain', 'limited', 'fragment', 'limitedFragment', 'udp', 'later'].map(
      byScapy,
    );
    const flip = fc.tuple(
      fc.oneof(fc.nat(120), fc.constantFrom(4, 5, 6, 40, 41, 42, 43)),
      fc.nat(255),
    );
    const any = (inner: Uint8Array) => {
      if (inner.length < 40) throw new Error('less than a header');
      return LABEL;
    };
    fc.assert(
      fc.property(
        ...[fc.constantFrom(...samples), fc.array(flip, { maxLength: 6 }), fc.nat(1600)],
        fc.uint8Array({ maxLength: 120 }),
        (sample, flips, length, junk) => {
          const quoted = sample.slice(0, length);
          for (const [at, value] of flips) if (at < quoted.length) quoted[at] = value;
          for (const bytes of [quoted, junk]) {
            const got = quotedTunnelPacket(bytes, ENDS, any);
            if (typeof got === 'string') continue;
            const end = got.innerOffset + got.inner.length;
            if (got.inner.length < 40 || end > bytes.length) throw new Error('outside');
            if (got.innerOffset < 40 || got.outerLength < 40) throw new Error('headers');
          }
        },
      ),
      { seed: 8_104, numRuns: 5000 },
    );
    t.end();
  },
);
