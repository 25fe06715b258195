import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { DaemonStatus, Drops, TrafficStatus, TunnelStatus } from './status.js';
import type { TunnelEvents } from './tunnel-events.js';

export interface Metrics {
  /** The Prometheus text of this moment. */
  scrape(): Promise<string>;
}

/** A home address and the state of its binding. */
interface Home {
  readonly homeAddress: string;
  readonly state: string;
  readonly tunnel?: TunnelStatus;
}

/** Something with traffic of its own: a guest of a host, a binding of a Home Agent. */
interface Source {
  readonly label: string;
  readonly registered: boolean;
  /** Of a guest's port that is a stream of QEMU's. */
  readonly connected?: boolean | undefined;
  readonly homes: readonly Home[];
  /** The state of each correspondent. */
  readonly correspondents: readonly string[];
  readonly expiresIn: number | undefined;
  readonly traffic: TrafficStatus;
  readonly events: TunnelEvents;
  readonly drops: Drops;
}

/**
 * The metrics of a daemon, read from its status at every scrape: nothing is counted twice. The label `guest` is the
 * guest's name on a host and the home address at a Home Agent; it is empty for drops that belong to nobody.
 */
export function createMetrics(status: () => DaemonStatus): Metrics {
  const registry = new Registry();
  // It looks at the event loop that often: 100 times a second, as it would, costs more than all else of an idle daemon.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1000 });
  const registers = [registry];
  const registered = new Gauge({
    name: 'kagemusha_guest_registered',
    help: 'Whether the binding of the guest is in force, that of each home address',
    labelNames: ['guest'],
    registers,
  });
  const states = new Gauge({
    name: 'kagemusha_guest_state',
    help: '1 for the state that the binding of a home address is in',
    labelNames: ['guest', 'home_address', 'state'],
    registers,
  });
  const portConnected = new Gauge({
    name: 'kagemusha_guest_port_connected',
    help: 'Whether QEMU is at the other end of the port of a guest with port.kind = "qemu-stream"',
    labelNames: ['guest'],
    registers,
  });
  const correspondents = new Gauge({
    name: 'kagemusha_correspondents',
    help: 'Correspondents of a guest with route optimisation, by state',
    labelNames: ['guest', 'state'],
    registers,
  });
  const tunnelMtu = new Gauge({
    name: 'kagemusha_tunnel_mtu_bytes',
    help: 'The largest packet that the tunnel of a home address takes',
    labelNames: ['guest', 'home_address'],
    registers,
  });
  const pathMtu = new Gauge({
    name: 'kagemusha_tunnel_path_mtu_bytes',
    help: 'The largest outer packet that the path of the tunnel carries, as far as is known',
    labelNames: ['guest', 'home_address'],
    registers,
  });
  const expires = new Gauge({
    name: 'kagemusha_binding_expires_seconds',
    help: 'Seconds until the binding ends',
    labelNames: ['guest'],
    registers,
  });
  const packets = new Counter({
    name: 'kagemusha_packets_total',
    help: 'Packets through the tunnel',
    labelNames: ['guest', 'direction'],
    registers,
  });
  const bytes = new Counter({
    name: 'kagemusha_bytes_total',
    help: 'Octets of inner packets through the tunnel',
    labelNames: ['guest', 'direction'],
    registers,
  });
  const events = new Counter({
    name: 'kagemusha_tunnel_events_total',
    help: 'What happened to packets that were carried: ECN alarms (RFC 6040), outer fragments sent, MSS of a SYN lowered',
    labelNames: ['guest', 'event'],
    registers,
  });
  const drops = new Counter({
    name: 'kagemusha_drops_total',
    help: 'Packets dropped, by reason',
    labelNames: ['guest', 'reason'],
    registers,
  });

  const uplink = new Gauge({
    name: 'kagemusha_uplink_info',
    help: '1 for the kind of uplink that the host has',
    labelNames: ['kind', 'device'],
    registers,
  });
  const uplinkConnected = new Gauge({
    name: 'kagemusha_uplink_connected',
    help: 'Whether packets can leave by a packet uplink: a router answers',
    labelNames: ['device'],
    registers,
  });
  const addresses = new Gauge({
    name: 'kagemusha_uplink_addresses',
    help: 'Addresses of this host on the link of a packet uplink, by what came of duplicate address detection',
    labelNames: ['device', 'state'],
    registers,
  });

  const metrics = [
    uplink,
    uplinkConnected,
    addresses,
    registered,
    states,
    portConnected,
    correspondents,
    tunnelMtu,
    pathMtu,
    expires,
    packets,
    bytes,
    events,
    drops,
  ];
  const refresh = (): void => {
    for (const metric of metrics) metric.reset();
    const now = status();
    for (const [reason, count] of Object.entries(now.drops))
      drops.inc({ guest: '', reason }, count);
    if (now.role === 'host') {
      const { kind, device } = now.uplink;
      uplink.set({ kind, device }, 1);
      if (now.uplink.kind === 'packet') {
        uplinkConnected.set({ device }, now.uplink.reason === undefined ? 1 : 0);
        for (const { state } of now.uplink.addresses) addresses.inc({ device, state });
      }
    }
    for (const source of sourcesOf(now)) {
      const guest = source.label;
      registered.set({ guest }, source.registered ? 1 : 0);
      if (source.connected !== undefined) portConnected.set({ guest }, source.connected ? 1 : 0);
      for (const { homeAddress, state, tunnel } of source.homes) {
        states.set({ guest, home_address: homeAddress, state }, 1);
        if (tunnel === undefined) continue;
        tunnelMtu.set({ guest, home_address: homeAddress }, tunnel.mtu);
        pathMtu.set({ guest, home_address: homeAddress }, tunnel.pathMtu);
      }
      for (const state of source.correspondents) correspondents.inc({ guest, state });
      if (source.expiresIn !== undefined) expires.set({ guest }, source.expiresIn);
      for (const [direction, count] of [
        ['to_home', source.traffic.toHome],
        ['to_guest', source.traffic.toGuest],
      ] as const) {
        packets.inc({ guest, direction }, count.packets);
        bytes.inc({ guest, direction }, count.bytes);
      }
      for (const [event, count] of Object.entries(source.events)) {
        events.inc({ guest, event }, count);
      }
      for (const [reason, count] of Object.entries(source.drops)) {
        drops.inc({ guest, reason }, count);
      }
    }
  };

  return {
    scrape: async () => {
      refresh();
      return await registry.metrics();
    },
  };
}

const stands = ({ expiresIn = 0 }: { readonly expiresIn?: number }) => expiresIn > 0;

function sourcesOf(status: DaemonStatus): Source[] {
  if (status.role === 'host') {
    return status.guests.map(
      ({ name, port, binding, bindings, correspondents, traffic, events, drops }) => ({
        label: name,
        connected: port.connected,
        // Whatever the last answer said: the tunnel is open as long as the binding stands.
        registered: bindings.length > 0 && bindings.every(stands),
        homes: bindings,
        correspondents: (correspondents ?? []).map(({ state }) => state),
        expiresIn: binding.expiresIn,
        traffic,
        events,
        drops,
      }),
    );
  }
  return status.bindings.map(
    ({ homeAddress, state, tunnel, expiresIn, traffic, events, drops }) => ({
      label: homeAddress,
      registered: state === 'bound' && stands({ expiresIn }),
      homes: [{ homeAddress, state, ...(tunnel === undefined ? {} : { tunnel }) }],
      correspondents: [],
      expiresIn,
      traffic,
      events,
      drops,
    }),
  );
}
