import fc from 'fast-check';
import t from 'tap';
import {
  type AutoRequest,
  chooseCareOf,
  isReserved,
  stableIdentifier,
} from '../../src/daemon/care-of-auto.js';
import { careOfSteps } from '../../src/daemon/care-of-steps.js';
import type { KernelAddress, Route, SystemState } from '../../src/daemon/setup/system.js';
import { addressBytes, contains, parseAddress, parsePrefix } from '../../src/wire/index.js';

const secret = Uint8Array.from({ length: 16 }, (_, i) => i);
const request: AutoRequest = { guest: 'vm1', secret, uplink: 'kg0' };

const route = (prefix: string, device: string, rest: Partial<Route> = {}): Route => ({
  prefix: parsePrefix(prefix),
  device,
  onLink: prefix !== '::/0',
  protocol: 'kernel',
  mtu: undefined,
  ...rest,
});
const own = (address: string, device: string, deprecated = false): KernelAddress => ({
  address: parseAddress(address),
  prefixLength: 64,
  device,
  deprecated,
});
const system = (routes: Route[], addresses: KernelAddress[] = []): SystemState => ({
  links: new Map(),
  tunTaps: new Map(),
  addresses,
  routes,
  unreachable: new Set(),
  blackholes: new Set(),
  proxies: new Set(),
  sysctl: () => undefined,
});
const NETWORK = [
  route('2001:db8:3000::/64', 'eth0'),
  route('::/0', 'eth0', { protocol: 'ra' }),
  route('fe80::/64', 'eth0'),
];

const address = (state: SystemState, rest: Partial<AutoRequest> = {}) => {
  const choice = chooseCareOf(state, { ...request, ...rest });
  return choice.kind === 'address' ? choice.address : choice.reason;
};
const prefixOf = (state: SystemState, rest: Partial<AutoRequest> = {}) => {
  const choice = chooseCareOf(state, { ...request, ...rest });
  return choice.kind === 'address' ? choice.prefix.address : choice.reason;
};

t.test('RFC 7217 5: stable, and different for each prefix, guest, conflict and host', async (t) => {
  const state = system(NETWORK);
  const first = address(state);
  t.equal(first, address(state), 'the same again');
  t.ok(contains(parsePrefix('2001:db8:3000::/64'), parseAddress(first)));
  const elsewhere = system([route('2001:db8:3001::/64', 'eth0')]);
  const identifier = (text: string) => addressBytes(parseAddress(text)).subarray(8).toString();
  const all = [
    first,
    address(elsewhere),
    address(state, { guest: 'vm2' }),
    address(state, { conflicts: 1 }),
    address(state, { secret: new Uint8Array(16) }),
  ].map(identifier);
  t.equal(new Set(all).size, all.length);
  t.equal(address(system(NETWORK.toReversed())), first, 'whatever the order of the routes');
});

t.test('RFC 7217 5: SHA-256 over prefix, name, counter and secret; the last 64 bits', async (t) => {
  const found = stableIdentifier(parsePrefix('2001:db8:3000::/64'), 'vm1', 0, secret);
  // printf of 20010db830000000 00000003 00000000 "vm1" 000102…0f, through sha256sum
  t.equal(Buffer.from(found).toString('hex'), 'e1ef90d6477c37fa');
});

t.test('no address that the host or another guest has', async (t) => {
  const first = address(system(NETWORK));
  const second = address(system(NETWORK), { conflicts: 1 });
  t.equal(address(system(NETWORK, [own(first, 'eth0')])), second);
  t.equal(address(system(NETWORK), { taken: [parseAddress(first)] }), second);
  const everything = Array.from({ length: 64 }, (_, conflicts) =>
    parseAddress(address(system(NETWORK), { conflicts })),
  );
  t.equal(
    address(system(NETWORK), { taken: everything }),
    'no address is free in 2001:db8:3000::/64',
  );
});

t.test('RFC 5453: reserved interface identifiers', async (t) => {
  const reserved = (hex: string) => isReserved(Buffer.from(hex, 'hex'));
  for (const hex of [
    '0000000000000000',
    '02005efffe000000',
    '02005efffe005213',
    '02005efffeffffff',
    'fdffffffffffff80',
    'fdfffffffffffffe',
    'fdffffffffffffff',
  ])
    t.ok(reserved(hex), hex);
  for (const hex of [
    '0000000000000001',
    '02005efffdffffff',
    '02005effff000000',
    'fdffffffffffff7f',
    'fe00000000000000',
  ])
    t.notOk(reserved(hex), hex);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.string(), (key, guest) => {
      const found = address(system(NETWORK), { secret: key, guest });
      return !isReserved(addressBytes(parseAddress(found)).subarray(8));
    }),
  );
});

t.test('the interface that has the default route, by its metric; else the only one', async (t) => {
  const two = [route('2001:db8:1::/64', 'eth0'), route('2001:db8:2::/64', 'eth1')];
  const byDefault = (device: string, metric = 0) => route('::/0', device, { metric });
  t.equal(prefixOf(system([...two, byDefault('eth1')])), '2001:db8:2::');
  t.equal(
    prefixOf(system([...two, byDefault('eth1', 1024), byDefault('eth0', 100)])),
    '2001:db8:1::',
  );
  t.match(prefixOf(system(two)), /^eth0 and eth1 have a global \/64 each, and there is no default/);
  t.equal(prefixOf(system(two.slice(1))), '2001:db8:2::');
  t.match(prefixOf(system([])), /^no interface has a global \/64 on its link, and there is no/);
  t.match(
    prefixOf(system([...two, byDefault('ppp0')])),
    /^ppp0 has the default route and no global/,
  );
  t.equal(
    prefixOf(system([...two, byDefault('kg0'), byDefault('eth0')])),
    '2001:db8:1::',
    'not ours',
  );
});

t.test('only global /64s on the link', async (t) => {
  for (const wrong of [
    route('2001:db8:3000::/48', 'eth0'),
    route('2001:db8:3000::1/128', 'eth0'),
    route('2001:db8:3000::/64', 'eth0', { onLink: false }),
    route('2001:db8:3000::/64', 'kg0'),
    route('fe80::/64', 'eth0'),
    route('ff00::/64', 'eth0'),
    route('::/64', 'lo'),
  ])
    t.match(prefixOf(system([wrong])), /^no interface/, `${wrong.prefix.address} ${wrong.device}`);
});

t.test('of several prefixes: the present one, not deprecated, global, the lowest', async (t) => {
  const several = (addresses: KernelAddress[] = []) =>
    system(
      [
        route('fd00:1::/64', 'eth0'),
        route('2001:db8:b::/64', 'eth0'),
        route('2001:db8:a::/64', 'eth0'),
        route('::/0', 'eth0'),
      ],
      addresses,
    );
  t.equal(prefixOf(several()), '2001:db8:a::');
  const current = parseAddress('2001:db8:b::7');
  t.equal(prefixOf(several(), { current }), '2001:db8:b::', 'it stays');
  const old = [own('2001:db8:b::3', 'eth0', true)];
  t.equal(prefixOf(several(old), { current }), '2001:db8:a::', 'until its prefix is given up');
  t.equal(prefixOf(several([...old, own('2001:db8:b::4', 'eth0')]), { current }), '2001:db8:b::');
  t.equal(prefixOf(system([route('fd00:1::/64', 'eth0')])), 'fd00:1::', 'unique local when alone');
});

t.test('what one care-of address needs', async (t) => {
  const careOf = parseAddress('2001:db8:3000::44');
  const place = { name: 'vm1', uplink: 'kg0' };
  const kinds = (state: SystemState) =>
    careOfSteps(careOf, { ...place, system: state }).map(({ resource }) => resource.kind);
  t.strictSame(kinds(system(NETWORK)), ['route', 'sysctl', 'sysctl', 'proxy']);
  t.strictSame(kinds(system([])), ['route'], 'routed here by a router');
});
