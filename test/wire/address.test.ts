import t from 'tap';
import {
  addressBytes,
  attempt,
  contains,
  emitPacket,
  formatPrefix,
  homeAgentsAnycast,
  isAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnicastMac,
  isUnspecified,
  multicastMac,
  PROTOCOL,
  parseAddress,
  parseMac,
  parsePrefix,
  peekAddresses,
  readAddress,
  readMac,
  solicitedNode,
  UNSPECIFIED,
  writeAddress,
  writeMac,
} from '../../src/wire/index.js';

t.test('every text form gives the one RFC 5952 form', async (t) => {
  const forms: readonly (readonly [string, string, string])[] = [
    ['2001:0db8::0001', '2001:db8::1', '4.1 leading zeros'],
    ['2001:db8:0:0:0:0:2:1', '2001:db8::2:1', '4.2.1 shortened as much as possible'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1', '4.2.2 one group is not shortened'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1', '4.2.3 the longest run'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1', '4.2.3 the first on a tie'],
    ['2001:DB8::A', '2001:db8::a', '4.3 lower case'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.1', '5 IPv4-mapped'],
    ['::ffff:c000:201', '::ffff:192.0.2.1', '5 IPv4-mapped'],
    ['64:ff9b::192.0.2.33', '64:ff9b::c000:221', '4291 2.2 dotted quad'],
    ['1:2:3:4:5:6:1.2.3.4', '1:2:3:4:5:6:102:304', '4291 2.2 dotted quad'],
    ['::', '::', 'all zero'],
    ['0:0:0:0:0:0:0:0', '::', 'all zero'],
    ['1::', '1::', 'at the end'],
    ['::1', '::1', 'at the start'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0', 'one group written as ::'],
  ];
  for (const [text, canonical, title] of forms) t.equal(parseAddress(text), canonical, title);
});

t.test('what is no address is refused with the reason (RFC 4291 2.2)', async (t) => {
  const refused: readonly (readonly [string, RegExp, number])[] = [
    ['fe80::1%eth0', /zone id/, 7],
    ['', /bad group|0 groups/, 0],
    ['1:2:3:4:5:6:7', /7 groups instead of 8/, 0],
    ['1:2:3:4:5:6:7:8:9', /9 groups instead of 8/, 0],
    ['1::2::3', /more than one '::'/, 4],
    [':::', /bad group/, 0],
    ['1:2:3:4:5:6:7:8::', /stands for no group/, 15],
    ['2001:db8::g', /bad group "g"/, 10],
    ['2001:db8::12345', /bad group "12345"/, 10],
    ['::1.2.3', /dotted quad/, 2],
    ['::1.2.3.256', /dotted quad/, 2],
    ['::01.2.3.4', /dotted quad/, 2],
    ['::1.2.3.4:1', /bad group "1.2.3.4"/, 2],
    [' ::1', /bad group/, 0],
    ['::1\n', /bad group/, 2],
    ['1'.repeat(1000), /too long/, 45],
  ];
  for (const [text, reason, offset] of refused) {
    const result = attempt(() => parseAddress(text));
    t.match(result, { code: 'WIRE_MALFORMED', message: reason, offset }, JSON.stringify(text));
    t.notMatch(result, { message: /\n/ }, 'one line');
    t.notOk(isAddress(text));
  }
  t.ok(isAddress('::1'));
});

t.test('octets (RFC 4291 2)', async (t) => {
  const address = parseAddress('2001:db8:2000::10');
  t.equal(Buffer.from(addressBytes(address)).toString('hex'), '20010db8200000000000000000000010');
  const into = new Uint8Array(20);
  writeAddress(address, into, 3);
  t.equal(readAddress(into, 3), address);
  t.match(
    attempt(() => readAddress(into, 5)),
    { code: 'WIRE_TRUNCATED', offset: 5 },
  );
  t.match(
    attempt(() => writeAddress(address, into, 5)),
    { code: 'WIRE_RANGE', offset: 5 },
  );
});

t.test('scopes (RFC 4291 2.5, 2.7)', async (t) => {
  const scopes = (text: string) => {
    const address = parseAddress(text);
    return [
      isMulticast(address) ? 'multicast' : '',
      isLinkLocal(address) ? 'link-local' : '',
      isUnspecified(address) ? 'unspecified' : '',
      isLoopback(address) ? 'loopback' : '',
    ]
      .join(' ')
      .trim();
  };
  t.equal(scopes('ff02::1'), 'multicast');
  t.equal(scopes('fe80::1'), 'link-local');
  t.equal(scopes('febf:ffff::1'), 'link-local');
  t.equal(scopes('fec0::1'), '');
  t.equal(scopes('ff::1'), '', 'ff:: is 00ff::');
  t.equal(scopes('fe8::1'), '');
  t.equal(scopes('::'), 'unspecified');
  t.equal(scopes('::1'), 'loopback');
  t.equal(scopes('2001:db8::1'), '');
  t.equal(UNSPECIFIED, '::');
  t.equal(solicitedNode(parseAddress('4037::01:800:200E:8C6C')), 'ff02::1:ff0e:8c6c', '2.7.1');
});

t.test('prefixes (RFC 4291 2.3)', async (t) => {
  const home = parsePrefix('2001:DB8:2000::/64');
  t.same(home, { address: '2001:db8:2000::', length: 64 });
  t.equal(formatPrefix(home), '2001:db8:2000::/64');
  t.ok(contains(home, parseAddress('2001:db8:2000::10')));
  t.notOk(contains(home, parseAddress('2001:db8:2001::10')));
  t.ok(contains(parsePrefix('::/0'), parseAddress('ffff::1')));
  t.ok(contains(parsePrefix('2001:db8::/33'), parseAddress('2001:db8:7fff::')));
  t.notOk(contains(parsePrefix('2001:db8::/33'), parseAddress('2001:db8:8000::')));
  const host = { address: parseAddress('2001:db8::7'), length: 64 };
  t.ok(contains(host, parseAddress('2001:db8::8')), 'bits beyond the length do not count');
  t.equal(formatPrefix(parsePrefix('::1/128')), '::1/128');
  const message = (text: string) => attempt(() => parsePrefix(text));
  t.match(message('2001:db8::'), { message: /no prefix length/ });
  t.match(message('2001:db8::/129'), { message: /from 0 to 128/ });
  t.match(message('2001:db8::/'), { message: /from 0 to 128/ });
  t.match(message('2001:db8::/-1'), { message: /from 0 to 128/ });
  t.match(message('2001:db8::1/64'), { message: /the prefix is 2001:db8::\/64/ });
});

t.test('MAC addresses (RFC 2464 7)', async (t) => {
  const mac = parseMac('02:00:5E:10:00:FF');
  t.equal(mac, '02:00:5e:10:00:ff');
  const into = new Uint8Array(8);
  writeMac(mac, into, 1);
  t.equal(readMac(into, 1), mac);
  t.match(
    attempt(() => readMac(into, 3)),
    { code: 'WIRE_TRUNCATED' },
  );
  t.match(
    attempt(() => writeMac(mac, into, 3)),
    { code: 'WIRE_RANGE' },
  );
  t.match(
    attempt(() => parseMac('02:00:5e:10:00')),
    { message: /write aa:bb:cc:dd:ee:ff/ },
  );
  t.equal(multicastMac(parseAddress('ff02::1:ff0e:8c6c')), '33:33:ff:0e:8c:6c');
  t.notOk(isUnicastMac(parseMac('33:33:00:00:00:01')));
  t.notOk(isUnicastMac(parseMac('ff:ff:ff:ff:ff:ff')));
  t.ok(isUnicastMac(mac));
  t.notOk(isUnicastMac(parseMac('00:00:00:00:00:00')));
});

t.test('RFC 4443 2.4(c): the addresses of a packet that is quoted in part', (t) => {
  const bytes = emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source: parseAddress('2001:db8::1'),
    destination: parseAddress('2001:db8::2'),
    extensions: [],
    protocol: PROTOCOL.tcp,
    payload: new Uint8Array(60),
  });
  const addresses = { source: '2001:db8::1', destination: '2001:db8::2' };
  t.same(peekAddresses(bytes), addresses);
  t.same(peekAddresses(bytes.subarray(0, 40)), addresses);
  t.equal(peekAddresses(bytes.subarray(0, 39)), undefined);
  t.equal(peekAddresses(new Uint8Array(40)), undefined, 'RFC 8200 3: not of version 6');
  t.end();
});

t.test('RFC 2526 2: the anycast address of the home agents of a prefix', async (t) => {
  const anycast = (prefix: string) => homeAgentsAnycast(parsePrefix(prefix));
  t.equal(anycast('2001:db8:2000::/64'), '2001:db8:2000:0:fdff:ffff:ffff:fffe', 'EUI-64');
  t.equal(anycast('2001:db8::/48'), '2001:db8:0:ffff:ffff:ffff:ffff:fffe', 'another length');
  t.equal(anycast('2001:db8::/96'), '2001:db8::ffff:fffe', 'a longer one');
});
