import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { DaemonStatus, Drops, TrafficStatus } from './status.js';

export interface Metrics {
  /** The Prometheus text of this moment. */
  scrape(): Promise<string>;
}

/** Something with traffic of its own: a guest of a host, a binding of a Home Agent. */
interface Source {
  readonly label: string;
  readonly registered: boolean;
  readonly expiresIn: number | undefined;
  readonly traffic: TrafficStatus;
  readonly drops: Drops;
}

/**
 * The metrics of a daemon, read from its status at every scrape: nothing is counted twice. The label `guest` is the
 * guest's name on a host and the home address at a Home Agent; it is empty for drops that belong to nobody.
 */
export function createMetrics(status: () => DaemonStatus): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const registered = new Gauge({
    name: 'kagemusha_guest_registered',
    help: 'Whether the binding of the guest is in force',
    labelNames: ['guest'],
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
  const drops = new Counter({
    name: 'kagemusha_drops_total',
    help: 'Packets dropped, by reason',
    labelNames: ['guest', 'reason'],
    registers,
  });

  const refresh = (): void => {
    for (const metric of [registered, expires, packets, bytes, drops]) metric.reset();
    const now = status();
    for (const [reason, count] of Object.entries(now.drops))
      drops.inc({ guest: '', reason }, count);
    for (const source of sourcesOf(now)) {
      const guest = source.label;
      registered.set({ guest }, source.registered ? 1 : 0);
      if (source.expiresIn !== undefined) expires.set({ guest }, source.expiresIn);
      for (const [direction, count] of [
        ['to_home', source.traffic.toHome],
        ['to_guest', source.traffic.toGuest],
      ] as const) {
        packets.inc({ guest, direction }, count.packets);
        bytes.inc({ guest, direction }, count.bytes);
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

function sourcesOf(status: DaemonStatus): Source[] {
  if (status.role === 'host') {
    return status.guests.map(({ name, binding, traffic, drops }) => ({
      label: name,
      registered: binding.state === 'registered',
      expiresIn: binding.expiresIn,
      traffic,
      drops,
    }));
  }
  return status.bindings.map(({ homeAddress, state, expiresIn, traffic, drops }) => ({
    label: homeAddress,
    registered: state === 'bound',
    expiresIn,
    traffic,
    drops,
  }));
}
