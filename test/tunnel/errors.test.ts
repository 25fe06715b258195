import t from 'tap';
import { packetTooBig, parameterProblem, timeExceeded } from '../../src/tunnel/index.js';
import type { Icmpv6Error } from '../../src/wire/index.js';
import { icmpv6ErrorAbout } from '../../src/wire/index.js';
import { HOME_ADDRESS } from '../support/testbed-addresses.js';
import { byScapy, errorPacket, toHex } from '../support/tunnel-packets.js';

const packetOf = (error: Icmpv6Error | string) =>
  typeof error === 'string' ? error : toHex(errorPacket(error));

t.test('RFC 4443 3.3: Time Exceeded, quoting what fits in 1280 octets', (t) => {
  t.equal(packetOf(timeExceeded(byScapy('inner'))), toHex(byScapy('timeExceededForInner')));
  t.end();
});

t.test('RFC 2473 4.1.1: Parameter Problem that points at an encapsulation limit', (t) => {
  const inner = byScapy('encapsulated').subarray(40);
  t.equal(packetOf(parameterProblem(inner, 44)), toHex(byScapy('problemForInner')));
  t.end();
});

t.test('RFC 4443 3.2, RFC 8201 4: Packet Too Big says 1280 at the least', (t) => {
  const inner = byScapy('inner');
  for (const [mtu, said] of [
    [1400, 1400],
    [1280, 1280],
    [1240, 1280],
    [0, 1280],
  ] as const) {
    t.match(packetTooBig(inner, mtu), {
      destination: HOME_ADDRESS,
      message: { kind: 'packet-too-big', mtu: said },
    });
  }
  t.end();
});

t.test('a packet whose end was cut off is quoted as far as it is there', (t) => {
  const error = timeExceeded(byScapy('inner').slice(0, 100));
  t.equal(typeof error === 'string' ? error : errorPacket(error).length, 148);
  t.end();
});

t.test('an error may be held to the size of its cause', (t) => {
  const cause = byScapy('inner').slice(0, 100);
  const fault = { kind: 'destination-unreachable', code: 4 } as const;
  const error = icmpv6ErrorAbout(cause, fault, cause.length);
  t.equal(typeof error === 'string' ? error : errorPacket(error).length, 100);
  t.equal(icmpv6ErrorAbout(cause.slice(0, 47), fault, 47), 'too_small');
  t.end();
});

t.test('junk is no packet', (t) => {
  for (const bytes of [new Uint8Array(0), new Uint8Array(39), new Uint8Array(100)]) {
    t.equal(timeExceeded(bytes), 'error_malformed');
  }
  t.end();
});
