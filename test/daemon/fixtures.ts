import type {
  BindingStatus,
  GuestChange,
  HomeAgentStatus,
  HomeStatus,
  HostStatus,
  ReloadAnswer,
  TunnelStatus,
} from '../../src/daemon/status.js';
import type { GuestState } from '../../src/migration/index.js';
import { parseAddress } from '../../src/wire/address.js';
import { parseMac } from '../../src/wire/mac.js';

const none = { packets: 0, bytes: 0 };

const registered: BindingStatus = { state: 'registered', status: 0, lifetime: 60, expiresIn: 41.2 };
const rejected: BindingStatus = {
  state: 'rejected',
  status: 132,
  reason: 'not home subnet, next try in 10 s',
};

const events = { ecnAlarms: 0, fragmentsSent: 0, mssClamped: 0 };
const tunnel: TunnelStatus = { mtu: 1360, pathMtu: 1400, state: 'confirmed' };

/** A home address, unless told behind the care-of address of the first guest. */
export function home(
  homeAddress: string,
  binding: BindingStatus,
  careOfAddress = '2001:db8:3000::44',
): HomeStatus {
  return {
    homeAddress: parseAddress(homeAddress),
    careOfAddress: parseAddress(careOfAddress),
    protection: 'esp',
    ...binding,
  };
}

/** One guest at work and one that was refused. */
export const hostStatus: HostStatus = {
  schemaVersion: 1,
  role: 'host',
  memory: { mapped: 10_485_760, uplinkRing: 2_097_152 },
  uplink: {
    kind: 'packet',
    device: 'eth0',
    mac: parseMac('02:00:00:00:00:01'),
    sending: 'xdp',
    router: { address: parseAddress('fe80::1'), state: 'unreachable' },
    addresses: [
      { address: parseAddress('2001:db8:3000::44'), state: 'usable' },
      { address: parseAddress('2001:db8:3000::45'), state: 'duplicate' },
    ],
    reason: 'router fe80::1 on eth0 does not answer',
  },
  guests: [
    {
      name: 'vm1',
      port: { kind: 'tap', name: 'kgtap0' },
      homeAddresses: [parseAddress('2001:db8:2000::10')],
      careOfAddress: parseAddress('2001:db8:3000::44'),
      homeAgent: parseAddress('2001:db8:2000::1'),
      protection: 'esp',
      bindings: [{ ...home('2001:db8:2000::10', registered), tunnel }],
      binding: registered,
      tunnel,
      traffic: { toHome: { packets: 10, bytes: 12_345 }, toGuest: { packets: 20, bytes: 1 } },
      events,
      drops: { spoofed_source: 3, malformed: 0 },
    },
    {
      name: 'vm2',
      port: { kind: 'qemu-stream', name: '/run/vm2.sock', connected: true },
      homeAddresses: [parseAddress('2001:db8:2000::11')],
      careOfAddress: parseAddress('2001:db8:3000::45'),
      homeAgent: parseAddress('2001:db8:2000::1'),
      protection: 'none',
      bindings: [home('2001:db8:2000::11', rejected, '2001:db8:3000::45')],
      binding: rejected,
      traffic: { toHome: none, toGuest: none },
      events,
      drops: {},
    },
  ],
  drops: { unknown_tunnel: 7 },
};

export const homeAgentStatus: HomeAgentStatus = {
  schemaVersion: 1,
  role: 'home-agent',
  memory: { mapped: 10_485_760, uplinkRing: 0 },
  address: parseAddress('2001:db8:2000::1'),
  bindings: [
    {
      homeAddress: parseAddress('2001:db8:2000::10'),
      careOfAddress: parseAddress('2001:db8:3000::44'),
      protection: 'esp',
      sequence: 5,
      lifetime: 60,
      expiresIn: 41.2,
      state: 'bound',
      tunnel: { mtu: 1280, pathMtu: 1280, state: 'searching' },
      traffic: { toHome: { packets: 1, bytes: 2 }, toGuest: { packets: 3, bytes: 4 } },
      events,
      drops: {},
    },
  ],
  drops: {},
};

/** Of a daemon that follows nothing. */
export const reload = async (): Promise<ReloadAnswer> => ({ notes: [], failures: [] });
export const changes = {
  adopt: (): void => {},
  release: (): GuestState => ({ version: 1, homes: [] }),
  put: async (): Promise<GuestChange> => ({ change: 'added' }),
  remove: async (): Promise<void> => {},
};
