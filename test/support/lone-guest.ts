import { join } from 'node:path';
import { pino } from 'pino';
import type { Test } from 'tap';
import { monotonicNow } from '../../src/daemon/driver.js';
import { sharedErrorBudget } from '../../src/daemon/error-budget.js';
import { Guest, ROUTER_MAC } from '../../src/daemon/guest.js';
import { ProbePace } from '../../src/daemon/probe-pace.js';
import { MemoryStore } from '../../src/daemon/store/index.js';
import { tunnelServices } from '../../src/daemon/tunnel-path.js';
import { Engine, type PortId, type UplinkId } from '../../src/datapath/index.js';
import type { Signal } from '../../src/signaling/index.js';
import { espProtection, SecurityPolicies } from '../../src/signaling/index.js';
import { type Address, type Ipv6Packet, parsePacket } from '../../src/wire/index.js';
import { counterFrom, keysFor, writeKeys } from './esp-keys.js';
import { loadGuest, NO_MONITOR } from './guest-file.js';
import { type BindingUpdate, bindingAcknowledgement } from './mobile-node-harness.js';
import { CARE_OF, HOME_ADDRESS } from './testbed-addresses.js';

const ALGORITHMS = { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' } as const;
const KEYS = keysFor(ALGORITHMS);
const silent = pino({ level: 'silent' });

/** A Binding Update as it left. */
export interface Sent {
  readonly update: BindingUpdate;
  readonly signal: Signal;
  /** Of ESP (RFC 4303 2.2). */
  readonly number: number;
}

/** The home agent of lone guests: it reads what they send, and answers when a test says so. */
export class LoneAgent {
  readonly #policies = new SecurityPolicies(
    'home-agent',
    [
      {
        homeAddress: HOME_ADDRESS,
        protection: espProtection({
          algorithms: ALGORITHMS,
          keys: KEYS,
          spiOut: 1001,
          spiIn: 1000,
          counter: counterFrom(1),
          replayWindow: 64,
        }),
      },
    ],
    Date.now,
  );

  /** Throws at what a home agent would drop. */
  read(packet: Ipv6Packet): Sent {
    const received = this.#policies.read(packet);
    if (received?.kind !== 'mobility' || received.signal.message.kind !== 'binding-update') {
      throw new Error(`not taken: ${JSON.stringify([...this.#policies.drops])}`);
    }
    const { payload } = packet;
    const number = new DataView(payload.buffer, payload.byteOffset).getUint32(4);
    return { update: received.signal.message, signal: received.signal, number };
  }

  acknowledge({ update, signal }: Sent, status = 0): Ipv6Packet {
    const { sequence, lifetime } = update;
    const fields = { sequence, lifetime, status };
    const bytes = this.#policies.emit(
      bindingAcknowledgement(fields, { destination: signal.source }),
    );
    if (typeof bytes === 'string') throw new Error(bytes);
    return parsePacket(bytes);
  }
}

/** What the guest's link and its uplink are given, told apart. */
class TellingEngine extends Engine {
  readonly outside: Ipv6Packet[] = [];

  override transmit(to: PortId | UplinkId, bytes: Uint8Array): boolean {
    if (to === 'uplink') this.outside.push(parsePacket(bytes.slice()));
    return true;
  }
}

export interface LoneGuestOptions {
  readonly register?: 'command' | 'traffic' | 'qmp';
  readonly careOfAddress?: Address;
  readonly store?: MemoryStore;
  readonly agent?: LoneAgent;
}

/** A guest under ESP with a daemon that consists of what it needs: what it sends stays here. */
export class LoneGuest {
  readonly guest: Guest;
  readonly store: MemoryStore;
  readonly agent: LoneAgent;
  /** all its Binding Updates so far */
  readonly sent: Sent[] = [];
  /** since when it is here, whenever it says so */
  readonly here: number[] = [];
  readonly #engine: TellingEngine;

  private constructor(
    t: Test,
    { config, guest }: ReturnType<typeof loadGuest>,
    options: LoneGuestOptions,
  ) {
    this.store = options.store ?? new MemoryStore();
    this.agent = options.agent ?? new LoneAgent();
    this.#engine = new TellingEngine({ maxPorts: 1, maxTunnels: 2, maxSignalers: 1 });
    const { port } = this.#engine.openMemoryPort({ localMac: ROUTER_MAC });
    const pace = new ProbePace();
    const changed = (): void => {};
    const common = { engine: this.#engine, log: silent, changed };
    const spare = [1];
    this.guest = new Guest(guest, port, [0], options.careOfAddress ?? CARE_OF, {
      ...common,
      store: this.store,
      tunnelMtu: config.tunnelMtu,
      tunnels: tunnelServices(config, { ...common, pace }),
      errors: sharedErrorBudget(),
      slots: { take: () => spare.shift(), release: (slot) => void spare.push(slot) },
      here: () => void this.here.push(this.guest.since ?? -1),
      monitored: () => true,
    });
    t.teardown(() => {
      this.guest.stop();
      pace.stop();
      this.#engine.close();
    });
  }

  static async make(t: Test, options: LoneGuestOptions = {}): Promise<LoneGuest> {
    const { register = 'command', careOfAddress = CARE_OF } = options;
    const directory = t.testdir();
    const keys = join(directory, 'keys');
    await writeKeys(keys, KEYS);
    const loaded = loadGuest(
      directory,
      `home_addresses = ["${HOME_ADDRESS}"]
care_of_address = "${careOfAddress}"
register = "${register}"
${register === 'qmp' ? NO_MONITOR : ''}

[guest.security]
kind = "esp"
encryption = "${ALGORITHMS.encryption}"
authentication = "${ALGORITHMS.authentication}"
spi_out = 1000
spi_in = 1001
replay_window = 64
key_file = "${keys}"
`,
    );
    return new LoneGuest(t, loaded, options);
  }

  /** The Binding Updates that left since it was asked the last time. */
  updates(): Sent[] {
    const now = this.#engine.outside.splice(0).flatMap((packet) => {
      // Probes of the tunnel's path are none.
      return packet.protocol === 41 ? [] : [this.agent.read(packet)];
    });
    this.sent.push(...now);
    return now;
  }

  /** Has the home agent answer the one Binding Update that left; gives what it sent. */
  answer(status = 0): Ipv6Packet {
    const [sent, ...more] = this.updates();
    if (sent === undefined || more.length > 0) throw new Error('not one Binding Update');
    const packet = this.agent.acknowledge(sent, status);
    this.guest.onPacket(packet);
    return packet;
  }

  get last(): Sent {
    const last = this.sent.at(-1);
    if (last === undefined) throw new Error('no Binding Update yet');
    return last;
  }

  /** How its binding does. */
  get binding(): string {
    return this.guest.status(monotonicNow()).binding.state;
  }

  /** Where its tunnels lead. */
  get tunnels(): Address[] {
    return this.guest.table().tunnels.map(({ remote }) => remote);
  }
}
