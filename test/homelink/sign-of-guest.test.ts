import t from 'tap';
import { isSignOfGuest } from '../../src/homelink/index.js';
import type { Address, Icmpv6Message, Mac } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ALL_ROUTERS,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitPacket,
  PROTOCOL,
  parseAddress,
  parseMac,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { icmpv6Frame, SLLA, solicitation } from '../support/link-frames.js';
import { seededRandom } from '../support/random.js';
import {
  GUEST_LINK_LOCAL,
  GUEST_MAC,
  HOME_ADDRESS,
  HOME_ROUTER,
  HOST_A,
  ROUTER_MAC,
} from '../support/testbed-addresses.js';

const SECOND = parseAddress('2001:db8:2000::11');
const HOMES = [HOME_ADDRESS, SECOND];
const BRIDGE_MAC = parseMac('02:42:00:00:00:01');
const BRIDGE = parseAddress('fe80::42:ff:fe00:1');
const ALL_MLDV2_ROUTERS = parseAddress('ff02::16');
const IPV4 = 0x0800;
const ETHERNET = 14;

function ethernet(etherType: number, payload: Uint8Array, destination: string, source: Mac) {
  return emitEthernet({ destination: parseMac(destination), source, etherType, payload });
}

function tcp(source: Address, length: number): Uint8Array {
  const payload = emitPacket({
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source,
    destination: HOST_A,
    extensions: [],
    protocol: PROTOCOL.tcp,
    payload: new Uint8Array(length),
  });
  return ethernet(ETHERTYPE_IPV6, payload, ROUTER_MAC, GUEST_MAC);
}

function advertisement(target: Address): Icmpv6Message {
  return {
    kind: 'neighbor-advertisement',
    router: false,
    solicited: false,
    override: true,
    target,
    options: [{ kind: 'target-link-layer-address', mac: GUEST_MAC }],
  };
}

const mld: Icmpv6Message = { kind: 'unknown', type: 143, code: 0, body: new Uint8Array(24) };

const SIGNS: readonly (readonly [string, Uint8Array])[] = [
  [
    'RFC 903: RARP, as QEMU announces a VM',
    ethernet(0x8035, new Uint8Array(46), 'ff:ff:ff:ff:ff:ff', GUEST_MAC),
  ],
  ['data from the home address', tcp(HOME_ADDRESS, 20)],
  ['data from another home address', tcp(SECOND, 20)],
  ['a GSO train of 60 000 octets that was cut to 128', tcp(HOME_ADDRESS, 60_000).slice(0, 128)],
  ['a frame that was cut to its IPv6 header', tcp(HOME_ADDRESS, 60_000).slice(0, ETHERNET + 40)],
  [
    'RFC 4862 5.4.2: duplicate address detection for the home address',
    icmpv6Frame({
      source: UNSPECIFIED,
      destination: solicitedNode(SECOND),
      message: solicitation(SECOND),
    }),
  ],
  [
    'RFC 4861 7.2.6: an unsolicited advertisement of the home address, from its link-local address',
    icmpv6Frame({
      source: GUEST_LINK_LOCAL,
      destination: ALL_NODES,
      message: advertisement(HOME_ADDRESS),
    }),
  ],
  [
    'an unsolicited advertisement from the home address',
    icmpv6Frame({
      source: HOME_ADDRESS,
      destination: ALL_NODES,
      message: advertisement(HOME_ADDRESS),
    }),
  ],
  [
    'RFC 3810 5.2: the MLD report of the home address itself',
    icmpv6Frame({ source: HOME_ADDRESS, destination: ALL_MLDV2_ROUTERS, message: mld }),
  ],
];

const fromBridge = { sourceMac: BRIDGE_MAC, source: BRIDGE };
const NO_SIGNS: readonly (readonly [string, Uint8Array])[] = [
  ['nothing', new Uint8Array(0)],
  ['a frame cut within the Ethernet header', tcp(HOME_ADDRESS, 20).slice(0, 13)],
  ['a frame cut within the IPv6 header', tcp(HOME_ADDRESS, 20).slice(0, ETHERNET + 39)],
  ['data from another address of the home prefix', tcp(HOST_A, 20)],
  ['data from another address, cut short', tcp(HOST_A, 60_000).slice(0, 128)],
  [
    'RFC 8200 3: the right octets, not of version 6',
    ((bytes) => bytes.fill(0x45, ETHERNET, ETHERNET + 1))(tcp(HOME_ADDRESS, 20)),
  ],
  ["IGMP: a bridge's query", ethernet(IPV4, new Uint8Array(46), '01:00:5e:00:00:01', BRIDGE_MAC)],
  [
    "spanning tree: a bridge's BPDU",
    ethernet(0x0026, new Uint8Array(46), '01:80:c2:00:00:00', BRIDGE_MAC),
  ],
  ['ARP', ethernet(0x0806, new Uint8Array(46), 'ff:ff:ff:ff:ff:ff', GUEST_MAC)],
  [
    "RFC 3810 5.1: a bridge's MLD query",
    icmpv6Frame({
      ...fromBridge,
      destination: ALL_NODES,
      message: { kind: 'unknown', type: 130, code: 0, body: new Uint8Array(24) },
      packet: { hopLimit: 1 },
    }),
  ],
  [
    'RFC 3810 5.2: an MLD report from nobody',
    icmpv6Frame({ source: UNSPECIFIED, destination: ALL_MLDV2_ROUTERS, message: mld }),
  ],
  [
    "a bridge's duplicate address detection for its own address",
    icmpv6Frame({
      ...fromBridge,
      source: UNSPECIFIED,
      destination: solicitedNode(BRIDGE),
      message: solicitation(BRIDGE),
    }),
  ],
  [
    'RFC 4861 4.3: somebody else who asks for the guest',
    icmpv6Frame({
      ...fromBridge,
      destination: solicitedNode(HOME_ADDRESS),
      message: solicitation(HOME_ADDRESS, [SLLA]),
    }),
  ],
  [
    'a Router Solicitation',
    icmpv6Frame({
      ...fromBridge,
      destination: ALL_ROUTERS,
      message: { kind: 'router-solicitation', options: [] },
    }),
  ],
  [
    "an advertisement of somebody else's address",
    icmpv6Frame({ ...fromBridge, destination: ALL_NODES, message: advertisement(HOME_ROUTER) }),
  ],
  [
    'RFC 4861 7.1.2: an advertisement that has crossed a router',
    icmpv6Frame({
      ...fromBridge,
      destination: ALL_NODES,
      message: advertisement(HOME_ADDRESS),
      packet: { hopLimit: 254 },
    }),
  ],
  [
    'RFC 4861 7.1.1: duplicate address detection to a wrong group',
    icmpv6Frame({
      source: UNSPECIFIED,
      destination: ALL_NODES,
      message: solicitation(HOME_ADDRESS),
    }),
  ],
];

t.test('signs of the guest', (t) => {
  for (const [name, bytes] of SIGNS) t.equal(isSignOfGuest(bytes, HOMES), true, name);
  t.end();
});

t.test('no signs of the guest', (t) => {
  for (const [name, bytes] of NO_SIGNS) t.equal(isSignOfGuest(bytes, HOMES), false, name);
  t.end();
});

t.test('RFC 4443 2.3: an advertisement with a wrong checksum is no sign', (t) => {
  const bytes = icmpv6Frame({ destination: ALL_NODES, message: advertisement(HOME_ADDRESS) });
  bytes[ETHERNET + 42] = (bytes[ETHERNET + 42] ?? 0) ^ 0xff;
  t.equal(isSignOfGuest(bytes, HOMES), false);
  t.end();
});

t.test('without home addresses nothing but RARP is a sign', (t) => {
  const signs = SIGNS.filter(([, bytes]) => isSignOfGuest(bytes, []));
  t.same(
    signs.map(([name]) => name),
    ['RFC 903: RARP, as QEMU announces a VM'],
  );
  t.end();
});

t.test('property: junk neither throws nor is a sign', (t) => {
  const random = seededRandom(4);
  for (let round = 0; round < 20_000; round += 1) {
    const bytes = Uint8Array.from({ length: Math.floor(random() * 120) }, () => random() * 256);
    if (round % 2 === 0)
      bytes.set(
        [0x86, 0xdd, 0x60].slice(0, Math.max(0, bytes.length - 12)),
        Math.min(12, bytes.length),
      );
    if (isSignOfGuest(bytes, HOMES)) t.fail(Buffer.from(bytes).toString('hex'));
  }
  t.end();
});
