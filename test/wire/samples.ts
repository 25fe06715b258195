import type {
  Address,
  ExtensionHeader,
  Icmpv6Message,
  Ipv6Packet,
  MobilityMessage,
  MobilityOption,
  NdpOption,
} from '../../src/wire/index.js';
import {
  alignMobilityOptions,
  alignOptions,
  emitIcmpv6,
  emitMobility,
  emitPacket,
  PROTOCOL,
  parseAddress,
  parseIcmpv6,
  parseMac,
  parseMobility,
  parsePacket,
  pseudoHeader,
} from '../../src/wire/index.js';

/** What a packet carries, taken apart as far as src/wire goes. */
export type Upper =
  | { readonly mobility: MobilityMessage }
  | { readonly icmpv6: Icmpv6Message }
  | { readonly protocol: number; readonly payload: Uint8Array };

export type Frame = Omit<Ipv6Packet, 'protocol' | 'payload'>;

export interface Sample {
  readonly frame: Frame;
  readonly upper: Upper;
  /** Fields as tshark shows them. */
  readonly tshark: Readonly<Record<string, string | readonly string[]>>;
  /** What tshark may say against it. */
  readonly complaint?: RegExp;
}

/** Upper layer and packet → octets. */
export function compose(frame: Frame, upper: Upper): Uint8Array {
  const pseudo = pseudoHeader({ ...frame, protocol: 0, payload: new Uint8Array() });
  if ('mobility' in upper) {
    const payload = emitMobility(upper.mobility, pseudo);
    return emitPacket({ ...frame, protocol: PROTOCOL.mobility, payload });
  }
  if ('icmpv6' in upper) {
    const payload = emitIcmpv6(upper.icmpv6, pseudo);
    return emitPacket({ ...frame, protocol: PROTOCOL.icmpv6, payload });
  }
  return emitPacket({ ...frame, ...upper });
}

/** Octets → packet and upper layer. */
export function dissect(bytes: Uint8Array): { frame: Frame; upper: Upper } {
  const packet = parsePacket(bytes);
  const { protocol, payload, ...frame } = packet;
  const later = packet.extensions.some((h) => h.kind === 'fragment' && h.offset > 0);
  if (protocol === PROTOCOL.mobility && !later) {
    return { frame, upper: { mobility: parseMobility(payload, pseudoHeader(packet)) } };
  }
  if (protocol === PROTOCOL.icmpv6 && !later) {
    return { frame, upper: { icmpv6: parseIcmpv6(payload, pseudoHeader(packet)) } };
  }
  return { frame, upper: { protocol, payload } };
}

export const HOME_ADDRESS = parseAddress('2001:db8:2000::10');
export const HOME_AGENT = parseAddress('2001:db8:2000::1');
export const CARE_OF = parseAddress('2001:db8:3000::33');
const CORRESPONDENT = parseAddress('2001:db8:9::9');
const ROUTER = parseAddress('fe80::1');
const GUEST = parseAddress('fe80::ff:fe00:10');
const SOLICITED = parseAddress('ff02::1:ff00:10');
const ALL_NODES = parseAddress('ff02::1');
const MAC = parseMac('02:00:00:00:00:01');

const hex = (text: string) => new Uint8Array(Buffer.from(text, 'hex'));
const ascii = (text: string) => new Uint8Array(Buffer.from(text, 'latin1'));

function frame(
  source: Address,
  destination: Address,
  more: { extensions?: readonly ExtensionHeader[]; hopLimit?: number } = {},
): Frame {
  return {
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source,
    destination,
    extensions: [],
    ...more,
  };
}

const hao: ExtensionHeader = {
  kind: 'destination',
  options: alignOptions([{ kind: 'home-address', address: HOME_ADDRESS }]),
};
const rh2: ExtensionHeader = {
  kind: 'routing-type-2',
  segmentsLeft: 1,
  homeAddress: HOME_ADDRESS,
};
const up = frame(CARE_OF, HOME_AGENT, { extensions: [hao] });
const down = frame(HOME_AGENT, CARE_OF, { extensions: [rh2] });
const plainDown = frame(HOME_AGENT, CARE_OF);
const toGuest = frame(HOME_AGENT, HOME_ADDRESS);
const cookie = hex('0102030405060708');
const keygenToken = hex('a1a2a3a4a5a6a7a8');

function update(
  message: {
    sequence: number;
    lifetime: number;
    flags: string;
    reserved?: number;
    headerReserved?: number;
  },
  options: readonly MobilityOption[],
): Upper {
  const { flags, ...fields } = message;
  return {
    mobility: {
      kind: 'binding-update',
      acknowledge: flags.includes('A'),
      homeRegistration: flags.includes('H'),
      linkLocalCompatible: flags.includes('L'),
      keyManagement: flags.includes('K'),
      reserved: 0,
      ...fields,
      options: alignMobilityOptions(options, 'binding-update'),
    },
  };
}

function acknowledgement(
  message: { status: number; sequence: number; lifetime: number; keyManagement?: boolean },
  options: readonly MobilityOption[] = [],
): Upper {
  return {
    mobility: {
      kind: 'binding-acknowledgement',
      keyManagement: false,
      reserved: 0,
      ...message,
      options: alignMobilityOptions(options, 'binding-acknowledgement'),
    },
  };
}

function echo(
  kind: 'echo-request' | 'echo-reply',
  identifier: number,
  sequence: number,
  text: string,
): Icmpv6Message {
  return { kind, identifier, sequence, data: ascii(text) };
}

const inner = compose(frame(HOME_ADDRESS, CORRESPONDENT), {
  icmpv6: echo('echo-request', 1, 2, 'inner'),
});
const quoted = compose(frame(HOME_ADDRESS, CORRESPONDENT, { hopLimit: 63 }), {
  icmpv6: echo('echo-request', 7, 1, 'quoted'),
});
const sourceMac: NdpOption = { kind: 'source-link-layer-address', mac: MAC };
const targetMac: NdpOption = { kind: 'target-link-layer-address', mac: MAC };

/** One packet of each kind; scapy-packets.py builds the same ones, by the same names. */
export const SAMPLES: Readonly<Record<string, Sample>> = {
  'binding refresh request': {
    frame: down,
    upper: { mobility: { kind: 'binding-refresh-request', options: [] } },
    tshark: { 'mip6.mhtype': '0', 'ipv6.routing.mipv6.home_address': '2001:db8:2000::10' },
  },
  'home test init': {
    frame: frame(HOME_ADDRESS, CORRESPONDENT),
    upper: { mobility: { kind: 'home-test-init', cookie, options: [] } },
    tshark: { 'mip6.mhtype': '1', 'mip6.hoti.cookie': '0x0102030405060708' },
  },
  'care-of test init': {
    frame: frame(CARE_OF, CORRESPONDENT),
    upper: { mobility: { kind: 'care-of-test-init', cookie, options: [] } },
    tshark: { 'mip6.mhtype': '2', 'mip6.coti.cookie': '0x0102030405060708' },
  },
  'home test': {
    frame: frame(CORRESPONDENT, HOME_ADDRESS),
    upper: {
      mobility: { kind: 'home-test', nonceIndex: 513, cookie, keygenToken, options: [] },
    },
    tshark: {
      'mip6.mhtype': '3',
      'mip6.hot.nindex': '513',
      'mip6.hot.cookie': '0x0102030405060708',
      'mip6.hot.token': '0xa1a2a3a4a5a6a7a8',
    },
  },
  'care-of test': {
    frame: frame(CORRESPONDENT, CARE_OF),
    upper: {
      mobility: { kind: 'care-of-test', nonceIndex: 65535, cookie, keygenToken, options: [] },
    },
    tshark: {
      'mip6.mhtype': '4',
      'mip6.cot.nindex': '65535',
      'mip6.cot.cookie': '0x0102030405060708',
      // tshark 4.0 files this token under the home test
      'mip6.hot.token': '0xa1a2a3a4a5a6a7a8',
    },
  },
  'binding update': {
    frame: up,
    upper: update({ sequence: 14885, lifetime: 600, flags: 'AHL' }, [
      { kind: 'alternate-care-of-address', address: CARE_OF },
    ]),
    tshark: {
      'ipv6.opt.mipv6.home_address': '2001:db8:2000::10',
      'mip6.proto': '59',
      'mip6.mhtype': '5',
      'mip6.bu.seqnr': '14885',
      'mip6.bu.a_flag': '1',
      'mip6.bu.h_flag': '1',
      'mip6.bu.l_flag': '1',
      'mip6.bu.k_flag': '0',
      'mip6.bu.lifetime': '150',
      'mip6.acoa.acoa': '2001:db8:3000::33',
    },
  },
  'binding update to a correspondent': {
    frame: frame(CARE_OF, CORRESPONDENT, { extensions: [hao] }),
    upper: update({ sequence: 65535, lifetime: 420, flags: 'AK' }, [
      { kind: 'nonce-indices', home: 258, careOf: 772 },
      { kind: 'binding-authorization-data', authenticator: hex('c0c1c2c3c4c5c6c7c8c9cacb') },
    ]),
    tshark: {
      'mip6.bu.seqnr': '65535',
      'mip6.bu.h_flag': '0',
      'mip6.bu.k_flag': '1',
      'mip6.ni.hni': '258',
      'mip6.ni.cni': '772',
      'mip6.bad.auth': 'c0:c1:c2:c3:c4:c5:c6:c7:c8:c9:ca:cb',
    },
  },
  'binding update with reserved bits and an unknown option': {
    frame: up,
    upper: update(
      { sequence: 0, lifetime: 262140, flags: 'AH', reserved: 0x555, headerReserved: 0x5a },
      [{ kind: 'unknown', type: 200, data: ascii('guest') }],
    ),
    tshark: {
      'mip6.reserved': '0x5a',
      'mip6.bu.seqnr': '0',
      'mip6.nemo.bu.r_flag': '1',
      'mip6.bu.lifetime': '65535',
    },
  },
  'authenticated binding update': {
    frame: up,
    upper: update({ sequence: 3, lifetime: 60, flags: 'AH' }, [
      { kind: 'alternate-care-of-address', address: CARE_OF },
      { kind: 'mobile-node-identifier', subtype: 1, identifier: ascii('vm1@example.org') },
      { kind: 'replay-protection', timestamp: 0xe8d4a51000000001n },
      {
        kind: 'mobility-authentication',
        subtype: 1,
        spi: 4096,
        authenticator: hex('000102030405060708090a0b'),
      },
    ]),
    tshark: {
      'mip6.mnid.subtype': '1',
      'mip6.auth.mobility_spi': '4096',
    },
  },
  'de-registration at home': {
    frame: frame(HOME_ADDRESS, HOME_AGENT),
    upper: update({ sequence: 14886, lifetime: 0, flags: 'AHL' }, [
      { kind: 'alternate-care-of-address', address: HOME_ADDRESS },
    ]),
    tshark: { 'mip6.bu.lifetime': '0', 'mip6.acoa.acoa': '2001:db8:2000::10' },
  },
  'binding acknowledgement': {
    frame: down,
    upper: acknowledgement({ status: 0, sequence: 14885, lifetime: 600 }),
    tshark: {
      'ipv6.routing.type': '2',
      'ipv6.routing.segleft': '1',
      'ipv6.routing.mipv6.home_address': '2001:db8:2000::10',
      'mip6.mhtype': '6',
      'mip6.ba.status': '0',
      'mip6.ba.seqnr': '14885',
      'mip6.ba.lifetime': '150',
    },
  },
  'binding acknowledgement with refresh advice': {
    frame: down,
    upper: acknowledgement({ status: 1, sequence: 1, lifetime: 3600, keyManagement: true }, [
      { kind: 'binding-refresh-advice', interval: 1800 },
    ]),
    tshark: { 'mip6.ba.status': '1', 'mip6.ba.k_flag': '1', 'mip6.bra.interval': '450' },
  },
  'binding acknowledgement 135': {
    frame: plainDown,
    upper: acknowledgement({ status: 135, sequence: 777, lifetime: 0 }),
    tshark: { 'mip6.ba.status': '135', 'mip6.ba.seqnr': '777' },
  },
  'binding error': {
    frame: plainDown,
    upper: {
      mobility: { kind: 'binding-error', status: 1, homeAddress: HOME_ADDRESS, options: [] },
    },
    tshark: {
      'mip6.mhtype': '7',
      'mip6.be.status': '1',
      'mip6.be.haddr': '2001:db8:2000::10',
    },
  },
  'unknown mobility header': {
    frame: plainDown,
    upper: { mobility: { kind: 'unknown', type: 77, data: hex('0102030405060708090a') } },
    tshark: { 'mip6.mhtype': '77' },
  },
  'router alert': {
    frame: frame(GUEST, parseAddress('ff02::16'), {
      hopLimit: 1,
      extensions: [
        { kind: 'hop-by-hop', options: alignOptions([{ kind: 'router-alert', value: 0 }]) },
      ],
    }),
    upper: {
      icmpv6: {
        kind: 'unknown',
        type: 131,
        code: 0,
        body: hex('00000000ff0200000000000000000001ff000010'),
      },
    },
    tshark: {
      'ipv6.opt.router_alert': '0',
      'icmpv6.type': '131',
      'icmpv6.mld.multicast_address': 'ff02::1:ff00:10',
    },
  },
  'tunnel encapsulation limit': {
    frame: frame(CARE_OF, HOME_AGENT, {
      extensions: [
        {
          kind: 'destination',
          options: alignOptions([{ kind: 'tunnel-encapsulation-limit', limit: 4 }]),
        },
      ],
    }),
    upper: { protocol: PROTOCOL.ipv6, payload: inner },
    tshark: { 'ipv6.opt.tel': '4', 'ipv6.src': ['2001:db8:3000::33', '2001:db8:2000::10'] },
  },
  tunnel: {
    frame: frame(CARE_OF, HOME_AGENT),
    upper: {
      protocol: PROTOCOL.ipv6,
      payload: compose(
        { ...frame(HOME_ADDRESS, CORRESPONDENT), trafficClass: 0xb8, flowLabel: 0xabcde },
        { icmpv6: echo('echo-request', 1, 2, 'inner') },
      ),
    },
    tshark: {
      'ipv6.dst': ['2001:db8:2000::1', '2001:db8:9::9'],
      'ipv6.tclass': ['0x00000000', '0x000000b8'],
      'ipv6.flow': ['0x000000', '0x0abcde'],
    },
  },
  'first fragment': {
    frame: frame(CARE_OF, HOME_AGENT, {
      extensions: [
        { kind: 'fragment', offset: 0, more: true, identification: 0xdeadbeef, reserved: 0 },
      ],
    }),
    upper: { protocol: PROTOCOL.udp, payload: ascii('A'.repeat(16)) },
    tshark: {
      'ipv6.fraghdr.offset': '0',
      'ipv6.fraghdr.more': '1',
      'ipv6.fraghdr.ident': '0xdeadbeef',
    },
  },
  'later fragment': {
    frame: frame(CARE_OF, HOME_AGENT, {
      extensions: [
        { kind: 'fragment', offset: 1448, more: false, identification: 0xdeadbeef, reserved: 0 },
      ],
    }),
    upper: { protocol: PROTOCOL.destination, payload: ascii('B'.repeat(11)) },
    tshark: { 'ipv6.fraghdr.offset': '181', 'ipv6.fraghdr.more': '0', 'ipv6.fraghdr.nxt': '60' },
  },
  'unknown routing header': {
    frame: frame(CARE_OF, HOME_AGENT, {
      extensions: [
        {
          kind: 'routing',
          routingType: 253,
          segmentsLeft: 0,
          data: hex('0000000020010db800090000000000000000000920010db8200000000000000000000001'),
        },
      ],
    }),
    upper: { icmpv6: echo('echo-request', 1, 2, '') },
    tshark: { 'ipv6.routing.type': '253', 'icmpv6.echo.sequence_number': '2' },
  },
  'type 2 routing header already taken': {
    frame: frame(HOME_AGENT, HOME_ADDRESS, {
      extensions: [{ kind: 'routing-type-2', segmentsLeft: 0, homeAddress: CARE_OF }],
    }),
    upper: { icmpv6: echo('echo-request', 9, 9, '') },
    tshark: { 'ipv6.routing.segleft': '0', 'ipv6.routing.mipv6.home_address': '2001:db8:3000::33' },
    complaint: /^IPv6 Type 2 Routing Header segments left/, // RFC 6275 6.4.1 lets it on the wire only with 1 segment left
  },
  'unknown destination option': {
    frame: frame(CARE_OF, HOME_AGENT, {
      extensions: [
        {
          kind: 'destination',
          options: alignOptions([
            { kind: 'unknown', type: 0x1e, data: ascii('hello') },
            { kind: 'home-address', address: HOME_ADDRESS },
          ]),
        },
      ],
    }),
    upper: { protocol: PROTOCOL.noNext, payload: new Uint8Array() },
    tshark: {
      'ipv6.opt.mipv6.home_address': '2001:db8:2000::10',
      'ipv6.opt.experimental': '68:65:6c:6c:6f',
    },
  },
  'no next header': {
    frame: frame(CARE_OF, HOME_AGENT),
    upper: { protocol: PROTOCOL.noNext, payload: new Uint8Array() },
    tshark: { 'ipv6.nxt': '59', 'ipv6.plen': '0' },
  },
  'destination unreachable': {
    frame: toGuest,
    upper: { icmpv6: { kind: 'destination-unreachable', code: 4, quoted } },
    tshark: { 'icmpv6.type': ['1', '128'], 'icmpv6.code': ['4', '0'] },
  },
  'packet too big': {
    frame: toGuest,
    upper: { icmpv6: { kind: 'packet-too-big', mtu: 1460, quoted } },
    tshark: { 'icmpv6.type': ['2', '128'], 'icmpv6.mtu': '1460' },
  },
  'time exceeded': {
    frame: toGuest,
    upper: { icmpv6: { kind: 'time-exceeded', code: 0, quoted } },
    tshark: { 'icmpv6.type': ['3', '128'] },
  },
  'parameter problem': {
    frame: toGuest,
    upper: { icmpv6: { kind: 'parameter-problem', code: 2, pointer: 42, quoted } },
    tshark: { 'icmpv6.type': ['4', '128'], 'icmpv6.code': ['2', '0'], 'icmpv6.pointer': '42' },
  },
  'echo request': {
    frame: toGuest,
    upper: { icmpv6: echo('echo-request', 0x1234, 0xffff, '0123456789') },
    tshark: {
      'icmpv6.type': '128',
      'icmpv6.echo.identifier': '0x1234',
      'icmpv6.echo.sequence_number': '65535',
    },
  },
  'echo reply': {
    frame: frame(HOME_ADDRESS, HOME_AGENT),
    upper: { icmpv6: echo('echo-reply', 0x1234, 0, 'odd') },
    tshark: { 'icmpv6.type': '129', 'icmpv6.echo.sequence_number': '0' },
  },
  'home agent discovery request': {
    frame: frame(CARE_OF, parseAddress('2001:db8:2000:0:fdff:ffff:ffff:fffe')),
    upper: { icmpv6: { kind: 'home-agent-discovery-request', identifier: 0x1234 } },
    tshark: { 'icmpv6.type': '144', 'icmpv6.mip6.identifier': '4660' },
  },
  'home agent discovery reply': {
    frame: plainDown,
    upper: {
      icmpv6: {
        kind: 'home-agent-discovery-reply',
        identifier: 0x1234,
        homeAgents: [HOME_AGENT, parseAddress('2001:db8:2000::2')],
      },
    },
    tshark: {
      'icmpv6.type': '145',
      'icmpv6.mip6.home_agent_address': ['2001:db8:2000::1', '2001:db8:2000::2'],
    },
  },
  'mobile prefix solicitation': {
    frame: up,
    upper: { icmpv6: { kind: 'mobile-prefix-solicitation', identifier: 7 } },
    tshark: { 'icmpv6.type': '146', 'icmpv6.mip6.identifier': '7' },
  },
  'mobile prefix advertisement': {
    frame: down,
    upper: {
      icmpv6: {
        kind: 'mobile-prefix-advertisement',
        identifier: 7,
        managed: true,
        other: false,
        options: [
          {
            kind: 'prefix-information',
            prefix: { address: HOME_AGENT, length: 64 },
            onLink: true,
            autonomous: false,
            routerAddress: true,
            validLifetime: 86400,
            preferredLifetime: 3600,
          },
        ],
      },
    },
    tshark: {
      'icmpv6.type': '147',
      'icmpv6.mip6.flag.m': '1',
      'icmpv6.opt.prefix.length': '64',
    },
  },
  'router solicitation': {
    frame: frame(GUEST, parseAddress('ff02::2'), { hopLimit: 255 }),
    upper: { icmpv6: { kind: 'router-solicitation', options: [sourceMac] } },
    tshark: { 'icmpv6.type': '133', 'icmpv6.opt.src_linkaddr': '02:00:00:00:00:01' },
  },
  'router advertisement': {
    frame: frame(ROUTER, ALL_NODES, { hopLimit: 255 }),
    upper: {
      icmpv6: {
        kind: 'router-advertisement',
        hopLimit: 64,
        managed: true,
        other: true,
        homeAgent: true,
        preference: 'high',
        routerLifetime: 1800,
        reachableTime: 30000,
        retransTimer: 1000,
        options: [
          sourceMac,
          { kind: 'mtu', mtu: 1460 },
          {
            kind: 'prefix-information',
            prefix: { address: HOME_AGENT, length: 64 },
            onLink: true,
            autonomous: true,
            routerAddress: true,
            validLifetime: 86400,
            preferredLifetime: 0xffffffff,
          },
          {
            kind: 'unknown',
            type: 25,
            data: hex('00000000025820010db8000000000000000000000053'),
          },
        ],
      },
    },
    tshark: {
      'icmpv6.type': '134',
      'icmpv6.nd.ra.cur_hop_limit': '64',
      'icmpv6.nd.ra.flag.m': '1',
      'icmpv6.nd.ra.flag.o': '1',
      'icmpv6.nd.ra.flag.h': '1',
      'icmpv6.nd.ra.flag.prf': '1',
      'icmpv6.nd.ra.router_lifetime': '1800',
      'icmpv6.nd.ra.reachable_time': '30000',
      'icmpv6.nd.ra.retrans_timer': '1000',
      'icmpv6.opt.mtu': '1460',
      'icmpv6.opt.prefix.length': '64',
      'icmpv6.opt.prefix.flag.l': '1',
      'icmpv6.opt.prefix.flag.a': '1',
      'icmpv6.opt.prefix.flag.r': '1',
      'icmpv6.opt.prefix.valid_lifetime': '86400',
      'icmpv6.opt.prefix.preferred_lifetime': '4294967295',
      'icmpv6.opt.prefix': '2001:db8:2000::1',
      'icmpv6.opt.rdnss': '2001:db8::53',
    },
  },
  'neighbor solicitation': {
    frame: frame(ROUTER, SOLICITED, { hopLimit: 255 }),
    upper: {
      icmpv6: { kind: 'neighbor-solicitation', target: HOME_ADDRESS, options: [sourceMac] },
    },
    tshark: { 'icmpv6.type': '135', 'icmpv6.nd.ns.target_address': '2001:db8:2000::10' },
  },
  'duplicate address detection': {
    frame: frame(parseAddress('::'), SOLICITED, { hopLimit: 255 }),
    upper: { icmpv6: { kind: 'neighbor-solicitation', target: HOME_ADDRESS, options: [] } },
    tshark: { 'ipv6.src': '::', 'icmpv6.nd.ns.target_address': '2001:db8:2000::10' },
  },
  'neighbor advertisement': {
    frame: frame(ROUTER, GUEST, { hopLimit: 255 }),
    upper: {
      icmpv6: {
        kind: 'neighbor-advertisement',
        router: true,
        solicited: true,
        override: true,
        target: ROUTER,
        options: [targetMac],
      },
    },
    tshark: {
      'icmpv6.type': '136',
      'icmpv6.nd.na.flag.r': '1',
      'icmpv6.nd.na.flag.s': '1',
      'icmpv6.nd.na.flag.o': '1',
      'icmpv6.nd.na.target_address': 'fe80::1',
      'icmpv6.opt.target_linkaddr': '02:00:00:00:00:01',
    },
  },
  'unsolicited neighbor advertisement': {
    frame: frame(HOME_AGENT, ALL_NODES, { hopLimit: 255 }),
    upper: {
      icmpv6: {
        kind: 'neighbor-advertisement',
        router: false,
        solicited: false,
        override: true,
        target: HOME_ADDRESS,
        options: [targetMac],
      },
    },
    tshark: {
      'icmpv6.nd.na.flag.r': '0',
      'icmpv6.nd.na.flag.s': '0',
      'icmpv6.nd.na.flag.o': '1',
      'icmpv6.nd.na.target_address': '2001:db8:2000::10',
    },
  },
  redirect: {
    frame: frame(ROUTER, GUEST, { hopLimit: 255 }),
    upper: {
      icmpv6: {
        kind: 'redirect',
        target: parseAddress('fe80::2'),
        destination: CORRESPONDENT,
        options: [targetMac],
      },
    },
    tshark: {
      'icmpv6.type': '137',
      'icmpv6.nd.rd.target_address': 'fe80::2',
      'icmpv6.rd.na.destination_address': '2001:db8:9::9',
    },
  },
};
