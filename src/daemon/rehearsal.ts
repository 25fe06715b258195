import pino from 'pino';
import { Engine, type MemoryUplink } from '../datapath/index.js';
import { KagemushaError } from '../errors.js';
import type { Millis } from '../time.js';
import type { Address } from '../wire/index.js';
import type { GuestConfig, HostConfig } from './config/schema.js';
import { monotonicNow } from './driver.js';
import { sharedErrorBudget } from './error-budget.js';
import { Guest, ROUTER_MAC } from './guest.js';
import { ProbePace } from './probe-pace.js';
import { MemoryStore } from './store/index.js';
import { tunnelServices } from './tunnel-path.js';
import { wallClock } from './wall-clock.js';

/** The first time compiles, the next ones teach the compiler what it works with; more than these save nothing. */
const TIMES = 20;

/** Between two rehearsals. */
const PAUSE: Millis = 10_000;

const silent = pino({ level: 'silent' });

/** The configuration of a host, as far as a guest's tunnels depend on it. */
export type RehearsedHost = Parameters<typeof tunnelServices>[0] & Pick<HostConfig, 'tunnelMtu'>;

/** A guest, as far as it takes part. */
type Rehearsed = Pick<Guest, 'config' | 'careOfAddress'>;

/** When to rehearse the arrivals of one host's guests: when one begins to be awaited, and of hundreds at the same time one. */
export class Rehearsals {
  readonly #host: RehearsedHost;
  readonly #clock: () => Millis;
  readonly #rehearse: typeof rehearseArrival;
  readonly #awaited = new WeakSet<Rehearsed>();
  #last: Millis = Number.NEGATIVE_INFINITY;

  /** @param rehearse another one in tests */
  constructor(host: RehearsedHost, clock = monotonicNow, rehearse = rehearseArrival) {
    this.#host = host;
    this.#clock = clock;
    this.#rehearse = rehearse;
  }

  /** The guest is awaited. Told again, when its machine may be about to run, this costs nothing. */
  before(guest: Rehearsed): void {
    if (this.#awaited.has(guest)) return;
    this.#awaited.add(guest);
    const { config, careOfAddress } = guest;
    const now = this.#clock();
    if (careOfAddress === undefined || now < this.#last + PAUSE) return;
    this.#last = now;
    this.#rehearse(this.#host, config, careOfAddress);
  }

  /** It is not awaited any more. */
  over(guest: Rehearsed): void {
    this.#awaited.delete(guest);
  }
}

/**
 * Lets a guest arrive that is a double of this one, with an engine whose devices are memory and a store that ends with it: nothing of it is
 * sent, counted, logged or kept, and no sequence number is used up. What runs for the first time takes longer, and
 * when the real one arrives its Binding Update is waited for.
 *
 * @returns what the double sent; nothing where there are no descriptors or no memory left for it
 */
export function rehearseArrival(
  host: RehearsedHost,
  config: GuestConfig,
  careOfAddress: Address,
): Uint8Array[] {
  const pace = new ProbePace();
  let engine: Engine | undefined;
  try {
    const slots = config.homeAddresses.map((_, index) => index);
    engine = new Engine({ maxPorts: 1, maxTunnels: slots.length, maxSignalers: slots.length });
    const uplink = engine.openMemoryUplink();
    const { port } = engine.openMemoryPort({ localMac: ROUTER_MAC });
    const changed = (): void => {};
    const services = {
      engine,
      log: silent,
      tunnelMtu: host.tunnelMtu,
      tunnels: tunnelServices(host, { engine, pace, log: silent, changed }),
      errors: sharedErrorBudget(),
      slots: { take: () => undefined, release: () => {} },
      changed,
      here: () => {},
      monitored: () => true,
    };
    for (let times = 0; times < TIMES; times += 1) {
      const store = new MemoryStore();
      const double = new Guest(config, port, slots, careOfAddress, { ...services, store });
      double.expect();
      double.adopt(wallClock());
      double.stop();
    }
    engine.close(); // when what is in its ring was sent
    return packetsOf(uplink);
  } catch (error) {
    if (error instanceof KagemushaError) return [];
    throw error;
  } finally {
    pace.stop();
    engine?.close();
  }
}

function packetsOf(uplink: MemoryUplink): Uint8Array[] {
  const packets: Uint8Array[] = [];
  for (let next = uplink.take(); next !== undefined; next = uplink.take()) packets.push(next);
  return packets;
}
