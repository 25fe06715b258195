import { z } from 'zod';
import { KagemushaError } from '../../errors.js';
import { type Address, formatPrefix } from '../../wire/address.js';
import { DEFAULT_HOME_AGENT_SOCKET, DEFAULT_HOST_SOCKET } from '../default-sockets.js';
import { peer, peering, toPeering } from './peering.js';
import type { Fault, Reading } from './reading.js';
import {
  absolutePath,
  choice,
  deviceName,
  either,
  flag,
  integer,
  linkLocalAddress,
  list,
  networkPrefix,
  plainName,
  socketPath,
  stationMac,
  table,
  unicastAddress,
} from './scalars.js';
import { guestSecurity, mobileNodeSecurity, toGuestSecurity, toSecurity } from './security.js';
import type {
  AdvertisedPrefixConfig,
  GuestConfig,
  HomeAgentConfig,
  HomeAgents,
  HostConfig,
  MobileNodeConfig,
  UplinkConfig,
} from './types.js';

export type * from './types.js';

/** What the outer IPv6 header adds (RFC 2473 section 3), and the encapsulation limit (4.1.1): a tunnel's MTU is the uplink's less these. */
const OUTER_HEADER = 40;
const ENCAPSULATION_LIMIT = 8;

/** RFC 8200 5: every link carries so much, and packets inside a tunnel may be so large whatever it takes (RFC 2473 7.1). */
const MINIMUM_MTU = 1280;

/** Lifetimes of bindings travel in units of 4 s in 16 bits (RFC 6275 6.1.7). */
const LIFETIME = { min: 4, max: 262_140, multiple: 4, unit: 'seconds' } as const;

/** The most home agents of one guest: each is tried for some seconds when those before it do not answer. */
const MAX_HOME_AGENTS = 8;

/** The most bindings of a Home Agent: each has room of its own in the engine. */
const MAX_BINDINGS = 4096;

/** Each is asked when a guest goes or comes. */
const MAX_PEERS = 64;

/** So many Prefix Information options fit into a Mobile Prefix Advertisement of 1280 octets. */
const MAX_PREFIXES = 32;

const homeAgentAddress = unicastAddress('2001:db8:2000::1');
const homeAgentAddresses = list(homeAgentAddress, '["2001:db8:2000::1"]', 1, MAX_HOME_AGENTS);

/** One, a list in order of preference, or `"auto"`. */
const homeAgents = either((value) => {
  if (value === 'auto') return z.literal('auto');
  return Array.isArray(value) ? homeAgentAddresses : homeAgentAddress;
});

const careOfAddress = unicastAddress('2001:db8:3000::44');

const seconds = (example: number) =>
  integer({ min: 0, max: 0xffff_ffff, example, unit: 'seconds' }).default(example);

/** Three advertisements fit, at the least interval of 4 s (RFC 4861 6.2.1): none runs out under the guest. */
const LEAST_ADVERTISED = 12;

const advertised = (max: number, example: number) =>
  integer({ min: LEAST_ADVERTISED, max, example, unit: 'seconds', orZero: true }).default(example);

const advertisedMtu = integer({ min: 1280, max: 9216, example: 1280 });

const routerAdvertisement = table({
  autonomous: flag(false).default(false),
  // 16 bits in RFC 4861 4.2, of which 9000 s is the most that routers may send (6.2.1).
  router_lifetime: advertised(9000, 1800),
  valid_lifetime: advertised(0xffff_ffff, 86_400),
  preferred_lifetime: advertised(0xffff_ffff, 14_400),
  managed: flag(false).default(false),
  other: flag(false).default(false),
  // RFC 4861 4.6.4; a guest keeps it when it has gone home.
  mtu: either((value) => (typeof value === 'number' ? advertisedMtu : choice(['none']))).default(
    'none',
  ),
});

const PORT_KINDS = ['tap', 'qemu-stream'] as const;

const tapPort = table(
  { kind: z.literal('tap'), device: deviceName('kgtap0') },
  { path: 'is of kind = "qemu-stream"; write device = "kgtap0", or that kind' },
);

const streamPort = table(
  { kind: z.literal('qemu-stream'), path: socketPath('/run/kagemusha/vm1.sock') },
  { device: 'is of kind = "tap"; write path = "/run/kagemusha/vm1.sock", or that kind' },
);

/** What it must have besides, its kind would tell. */
const portOfNoKind = z.looseObject({ kind: choice(PORT_KINDS) }).transform(() => z.NEVER);

/** A guest's port: its kind says which keys it has. */
const port = either((value) => {
  if (typeof value !== 'object' || value === null) return tapPort;
  const kind = 'kind' in value ? value.kind : undefined;
  if (kind === 'qemu-stream') return streamPort;
  return kind === 'tap' ? tapPort : portOfNoKind;
});

const guest = table({
  name: plainName('vm1'),
  home_addresses: list(unicastAddress('2001:db8:2000::10'), '["2001:db8:2000::10"]', 1),
  home_prefix: networkPrefix('2001:db8:2000::/64'),
  home_router: linkLocalAddress('fe80::1').prefault('fe80::1'),
  home_agent: homeAgents,
  care_of_address: either((value) =>
    value === 'auto' ? z.literal('auto') : careOfAddress,
  ).optional(),
  home_link: deviceName('br0').optional(),
  mac: stationMac('52:54:00:12:34:56').optional(),
  lifetime: integer({ ...LIFETIME, example: 60 }).default(60),
  liveness_interval: integer({
    min: 5,
    max: 3600,
    example: 30,
    unit: 'seconds, 0: off',
    orZero: true,
  }).default(30),
  route_optimisation: flag(false).default(false),
  register: choice(['start', 'traffic', 'command', 'qmp']).default('start'),
  qmp: socketPath('/run/kagemusha/vm1.qmp').optional(),
  port,
  router_advertisement: routerAdvertisement.prefault({}),
  security: guestSecurity,
});

const common = {
  workers: integer({ min: 1, max: 64, example: 1 }).default(1),
  poll: choice(['sleep', 'busy']).default('sleep'),
  uplink_mtu: integer({ min: MINIMUM_MTU, max: 9216, example: 1500 }).default(1500),
  path_mtu_probing: flag(true).default(true),
  mss_clamp: flag(true).default(true),
  tunnel_hop_limit: integer({ min: 1, max: 255, example: 64 }).default(64),
  tunnel_dscp: either((value) =>
    typeof value === 'string' ? choice(['copy']) : integer({ min: 0, max: 63, example: 46 }),
  ).default('copy'),
  tunnel_encapsulation_limit: either((value) =>
    typeof value === 'string' ? choice(['none']) : integer({ min: 0, max: 255, example: 4 }),
  ).default('none'),
};

const uplinkKind = choice(['tun', 'packet']);

const packetOnly = 'belongs to kind = "packet"; write that kind, or take this away';

const tunUplink = table(
  { kind: uplinkKind, device: deviceName('kg0') },
  {
    mac: packetOnly,
    router: packetOnly,
    frames: packetOnly,
    queue_bytes: packetOnly,
    bypass_qdisc: packetOnly,
  },
);

const packetUplink = table({
  kind: z.literal('packet'),
  device: deviceName('eth0'),
  mac: either((value) =>
    typeof value === 'string' && value.includes(':')
      ? stationMac('02:00:00:12:34:56')
      : choice(['own', 'device']),
  ).default('own'),
  router: either((value) =>
    typeof value === 'string' && /^fe[89ab]/i.test(value)
      ? linkLocalAddress('fe80::1')
      : unicastAddress('fe80::1'),
  ).optional(),
  frames: integer({ min: 64, max: 65_536, multiple: 64, example: 1024 }).default(1024),
  queue_bytes: integer({
    min: 65_536,
    max: 268_435_456,
    example: 4_194_304,
    unit: 'octets',
  }).default(4_194_304),
  bypass_qdisc: flag(true).default(false),
});

const uplink = either((value) => {
  const kind = typeof value === 'object' && value !== null && 'kind' in value ? value.kind : '';
  return kind === 'packet' ? packetUplink : tunUplink;
});

/** The file of a VM host, in the words of the file. */
export const hostSchema = table({
  host: table({
    control_socket: socketPath(DEFAULT_HOST_SOCKET).default(DEFAULT_HOST_SOCKET),
    state_directory: absolutePath('/var/lib/kagemusha').default('/var/lib/kagemusha'),
    uplink: uplink.default({ kind: 'tun', device: 'kg0' }),
    peering: peering.optional(),
    peer: list(peer, '[[host.peer]]', 0, MAX_PEERS).default([]),
    ...common,
  }).prefault({}),
  guest: list(guest, '[[guest]]').default([]),
});

const advertisedPrefix = table({
  prefix: networkPrefix('2001:db8:2000::/64'),
  // RFC 4861 6.2.1: 30 days and 7 days.
  valid_lifetime: seconds(2_592_000),
  preferred_lifetime: seconds(604_800),
  on_link: flag(true).default(true),
  autonomous: flag(true).default(true),
});

/** The file of a Home Agent, in the words of the file. */
export const homeAgentSchema = table({
  home_agent: table({
    control_socket: socketPath(DEFAULT_HOME_AGENT_SOCKET).default(DEFAULT_HOME_AGENT_SOCKET),
    state_directory: absolutePath('/var/lib/kagemusha-ha').default('/var/lib/kagemusha-ha'),
    address: unicastAddress('2001:db8:2000::1'),
    home_prefix: networkPrefix('2001:db8:2000::/64'),
    home_link: deviceName('eth0').optional(),
    virtual_home_link: flag(true).default(false),
    tunnel_device: deviceName('kgha0').default('kgha0'),
    max_lifetime: integer({ ...LIFETIME, example: 3600 }).default(3600),
    max_bindings: integer({ min: 1, max: MAX_BINDINGS, example: 1024 }).default(1024),
    allow: choice(['listed', 'any']).default('listed'),
    prefix: list(advertisedPrefix, '[[home_agent.prefix]]', 1, MAX_PREFIXES).optional(),
    ...common,
  }),
  mobile_node: list(
    table({
      home_address: unicastAddress('2001:db8:2000::10'),
      max_lifetime: integer({ ...LIFETIME, example: 3600 }).optional(),
      security: mobileNodeSecurity,
    }),
    '[[mobile_node]]',
  ).default([]),
});

type Common = { [Key in keyof typeof common]: z.output<(typeof common)[Key]> };

function daemonPart(path: string, raw: Common) {
  const { tunnel_dscp: dscp, tunnel_encapsulation_limit: limit } = raw;
  const overhead = OUTER_HEADER + (limit === 'none' ? 0 : ENCAPSULATION_LIMIT);
  return {
    path,
    workers: raw.workers,
    poll: raw.poll,
    uplinkMtu: raw.uplink_mtu,
    tunnelMtu: Math.max(MINIMUM_MTU, raw.uplink_mtu - overhead),
    pathMtuProbing: raw.path_mtu_probing,
    mssClamp: raw.mss_clamp,
    outer: {
      overhead,
      hopLimit: raw.tunnel_hop_limit,
      ...(dscp === 'copy' ? {} : { dscp }),
      ...(limit === 'none' ? {} : { encapsulationLimit: limit }),
    },
  };
}

function toGuest(raw: z.output<typeof guest>, index: number, reading: Reading): GuestConfig {
  const [first, ...others] = raw.home_addresses;
  if (first === undefined) throw new KagemushaError('CONFIG_INVALID', 'home_addresses is empty');
  const advertisement = raw.router_advertisement;
  const path = ['guest', index, 'security'];
  return {
    name: raw.name,
    homeAddresses: [first, ...others],
    homePrefix: raw.home_prefix,
    homeRouter: raw.home_router,
    homeAgents: toHomeAgents(raw.home_agent),
    careOfAddress: raw.care_of_address,
    homeLink:
      raw.home_link === undefined || raw.mac === undefined
        ? undefined
        : { device: raw.home_link, mac: raw.mac },
    lifetime: raw.lifetime,
    livenessInterval: raw.liveness_interval,
    routeOptimisation: raw.route_optimisation,
    register: raw.register,
    qmp: raw.qmp,
    port: raw.port,
    routerAdvertisement: {
      autonomous: advertisement.autonomous,
      routerLifetime: advertisement.router_lifetime,
      validLifetime: advertisement.valid_lifetime,
      preferredLifetime: advertisement.preferred_lifetime,
      managed: advertisement.managed,
      other: advertisement.other,
      mtu: advertisement.mtu === 'none' ? undefined : advertisement.mtu,
    },
    security: toGuestSecurity(raw.security, raw.home_addresses, path, reading),
  };
}

function toUplink(raw: z.output<typeof uplink>): UplinkConfig {
  if (!('mac' in raw)) return { kind: 'tun', device: raw.device };
  return {
    kind: 'packet',
    device: raw.device,
    mac: raw.mac,
    router: raw.router,
    frames: raw.frames,
    queueBytes: raw.queue_bytes,
    bypassQdisc: raw.bypass_qdisc,
  };
}

function toHomeAgents(raw: 'auto' | Address | readonly Address[]): HomeAgents {
  if (raw === 'auto') return { kind: 'auto' };
  const [first, ...others] = typeof raw === 'string' ? [raw] : raw;
  if (first === undefined) throw new KagemushaError('CONFIG_INVALID', 'home_agent is empty');
  return { kind: 'list', addresses: [first, ...others] };
}

/** What is wrong between `register` and `qmp`. */
function registerFaults(raw: z.output<typeof guest>, index: number): Fault[] {
  const fault = (key: string, message: string): Fault[] => [
    { path: ['guest', index, key], message },
  ];
  if (raw.register === 'qmp' && raw.qmp === undefined) {
    const how = "the path of QEMU's monitor, that QEMU has as -qmp unix:PATH,server=on,wait=off";
    return fault('qmp', `is missing; write "/run/kagemusha/vm1.qmp", ${how}`);
  }
  if (raw.register !== 'qmp' && raw.qmp !== undefined) {
    return fault('qmp', 'is only used with register = "qmp"; write that, or take it away');
  }
  return [];
}

/** What is wrong between `home_link` and what goes with it, before they become one value. */
function linkFaults(raw: z.output<typeof guest>, index: number): Fault[] {
  if (raw.home_link !== undefined) return homeFaults(raw, index);
  const fault = (key: string, message: string): Fault[] => [
    { path: ['guest', index, key], message },
  ];
  if (raw.mac !== undefined) {
    return fault(
      'mac',
      'is only used on the home network; write home_link = "br0" beside it, or take it away',
    );
  }
  if (raw.care_of_address === undefined) {
    const home = 'on the home network home_link and mac instead';
    return fault('care_of_address', `is missing; write "2001:db8:3000::44" or "auto", ${home}`);
  }
  return [];
}

/** What is wrong with a guest on the home network. */
function homeFaults(raw: z.output<typeof guest>, index: number): Fault[] {
  const faults: Fault[] = [];
  const fault = (key: string, message: string): void => {
    faults.push({ path: ['guest', index, key], message });
  };
  if (raw.mac === undefined) {
    const why = "the guest's own, for home_link to announce";
    fault('mac', `is missing; write "52:54:00:12:34:56", ${why}`);
  }
  if (raw.care_of_address !== undefined) {
    const what = `"${raw.care_of_address}" is of a network visited, and home_link = "${raw.home_link}"`;
    fault('care_of_address', `${what} of the home network; take one of the two away`);
  }
  if (raw.register === 'traffic') {
    const why = 'waits for the guest to register it, and at home it is de-registered';
    fault('register', `"traffic" ${why}; write "start" or "command" beside home_link`);
  }
  return faults;
}

/** The daemon's view of a host's file that met the schema; what is still wrong goes into `reading`. */
export function toHostConfig(
  path: string,
  raw: z.output<typeof hostSchema>,
  reading: Reading,
): HostConfig {
  reading.faults.push(...raw.guest.flatMap(linkFaults), ...raw.guest.flatMap(registerFaults));
  return {
    ...daemonPart(path, raw.host),
    role: 'host',
    controlSocket: raw.host.control_socket,
    stateDirectory: raw.host.state_directory,
    uplink: toUplink(raw.host.uplink),
    peering: toPeering(raw.host.peering, raw.host.peer, reading),
    guests: raw.guest.map((each, i) => toGuest(each, i, reading)),
  };
}

/** The daemon's view of a Home Agent's file that met the schema; what is still wrong goes into `reading`. */
export function toHomeAgentConfig(
  path: string,
  raw: z.output<typeof homeAgentSchema>,
  reading: Reading,
): HomeAgentConfig {
  const own = raw.home_agent;
  reading.faults.push(...homeLinkFaults(own));
  const [first, ...others] = own.prefix ?? [
    advertisedPrefix.parse({ prefix: formatPrefix(own.home_prefix) }),
  ];
  if (first === undefined) throw new KagemushaError('CONFIG_INVALID', 'prefix is empty');
  return {
    ...daemonPart(path, own),
    role: 'home-agent',
    controlSocket: own.control_socket,
    stateDirectory: own.state_directory,
    address: own.address,
    homePrefix: own.home_prefix,
    homeLink: own.home_link,
    tunnelDevice: own.tunnel_device,
    prefixes: [toPrefix(first), ...others.map(toPrefix)],
    maxLifetime: own.max_lifetime,
    allow: own.allow,
    maxBindings: own.max_bindings,
    mobileNodes: raw.mobile_node.map((node, i): MobileNodeConfig => {
      const at = ['mobile_node', i, 'security'];
      const security = toSecurity(node.security, node.home_address, at, reading);
      const maxLifetime = node.max_lifetime;
      const entry = { homeAddress: node.home_address, security };
      return maxLifetime === undefined ? entry : { ...entry, maxLifetime };
    }),
  };
}

function homeLinkFaults(own: z.output<typeof homeAgentSchema>['home_agent']): Fault[] {
  const path = ['home_agent', 'home_link'];
  if (own.virtual_home_link && own.home_link !== undefined) {
    const message = `"${own.home_link}" is a real link, and virtual_home_link = true; take one of the two away`;
    return [{ path, message }];
  }
  if (own.virtual_home_link || own.home_link !== undefined) return [];
  const message =
    'is missing; write "eth0", or virtual_home_link = true when there is no home network';
  return [{ path, message }];
}

function toPrefix(raw: z.output<typeof advertisedPrefix>): AdvertisedPrefixConfig {
  return {
    prefix: raw.prefix,
    validLifetime: raw.valid_lifetime,
    preferredLifetime: raw.preferred_lifetime,
    onLink: raw.on_link,
    autonomous: raw.autonomous,
  };
}
