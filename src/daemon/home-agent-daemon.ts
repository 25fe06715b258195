import { isDeepStrictEqual } from 'node:util';
import { Engine, type PortId, type SlowPathPacket } from '../datapath/index.js';
import { Drops } from '../drops.js';
import { answerEcho, HomeLinkDefender, type HomeLinkDefenderOutput } from '../homelink/index.js';
import {
  emitSignal,
  HomeAgent,
  type HomeAgentOutput,
  readSignal,
  type Signal,
} from '../signaling/index.js';
import {
  type Address,
  attempt,
  emitPacket,
  homeAddressOption,
  type Ipv6Packet,
  PROTOCOL,
  parsePacket,
  WireError,
} from '../wire/index.js';
import type { HomeAgentConfig } from './config/schema.js';
import { Driver, monotonicNow } from './driver.js';
import { sumDrops } from './drop-counts.js';
import type { RouteWriter } from './ip-route.js';
import type { Logger } from './log.js';
import { drainSlowPath } from './slow-path.js';
import type { CaptureDevice, HomeAgentBindingStatus, HomeAgentStatus } from './status.js';
import { TunnelSlots } from './tunnel-slots.js';
import { openUplink } from './uplink.js';

/** Tunnels of one process. */
const MAX_TUNNELS = 1024;

/** The tunnel of a binding and its counter block. */
interface Tunnel {
  readonly slot: number;
  careOfAddress: Address;
}

/** A userspace Home Agent: binding cache, home link, tunnels, and the routes that bring it the home addresses' packets. */
export class HomeAgentDaemon {
  #config: HomeAgentConfig;
  readonly #log: Logger;
  readonly #engine: Engine;
  readonly #homePort: PortId;
  readonly #agent: HomeAgent;
  readonly #agentDriver: Driver<Parameters<HomeAgent['handle']>[1], HomeAgentOutput>;
  readonly #defender: HomeLinkDefender;
  readonly #defenderDriver: Driver<
    Parameters<HomeLinkDefender['handle']>[1],
    HomeLinkDefenderOutput
  >;
  readonly #routes: RouteWriter;
  readonly #routing = new Map<Address, Promise<void>>();
  readonly #tunnels = new Map<Address, Tunnel>();
  readonly #slots: TunnelSlots;
  readonly #drops = new Drops();

  /**
   * Opens the tunnel device and the home link; the devices are there already (see home-agent-setup.ts).
   *
   * @param threadedNapi see openUplink
   * @throws KagemushaError of the engine when a device cannot be opened
   */
  constructor(config: HomeAgentConfig, routes: RouteWriter, log: Logger, threadedNapi?: string) {
    this.#config = config;
    this.#log = log;
    this.#routes = routes;
    this.#slots = new TunnelSlots(MAX_TUNNELS);
    this.#engine = new Engine({ workers: config.workers, maxPorts: 1, maxTunnels: MAX_TUNNELS });
    try {
      openUplink(this.#engine, config.tunnelDevice, threadedNapi);
      const { port, mac } = this.#engine.openPacketPort(config.homeLink ?? '');
      this.#homePort = port;
      this.#agent = new HomeAgent(policy(config));
      this.#agentDriver = new Driver(this.#agent, (output) => this.#onAgent(output));
      this.#defender = new HomeLinkDefender({
        mac,
        address: config.address,
        homePrefix: config.homePrefix,
        random: Math.random,
      });
      this.#defenderDriver = new Driver(this.#defender, (output) => this.#onDefender(output));
    } catch (error) {
      this.#engine.close();
      throw error;
    }
    this.#engine.onReadable(() => drainSlowPath(this.#engine, (packet) => this.#dispatch(packet)));
    this.#publish();
  }

  /** Announces the Home Agent's address on the home link. */
  start(): void {
    this.#defenderDriver.send({ type: 'start' });
  }

  /** Follows a changed configuration; bindings that are still allowed are not touched. */
  reload(config: HomeAgentConfig): void {
    const fixed = ({ mobileNodes, allow, maxLifetime, maxBindings, ...rest }: HomeAgentConfig) =>
      rest;
    if (!isDeepStrictEqual(fixed(config), fixed(this.#config))) {
      this.#log.warn('changes of devices and addresses take effect with the next start');
    }
    const { mobileNodes, allow, maxLifetime, maxBindings } = config;
    this.#config = { ...this.#config, mobileNodes, allow, maxLifetime, maxBindings };
    this.#agent.reconfigure(policy(this.#config));
    this.#agentDriver.send({ type: 'tick' });
  }

  status(): HomeAgentStatus {
    const now = monotonicNow();
    return {
      schemaVersion: 1,
      role: 'home-agent',
      address: this.#config.address,
      bindings: [...this.#agent.bindings()].map((binding): HomeAgentBindingStatus => {
        const tunnel = this.#tunnels.get(binding.homeAddress);
        const counted = tunnel && this.#engine.tunnelCounters(tunnel.slot);
        return {
          homeAddress: binding.homeAddress,
          careOfAddress: binding.careOfAddress,
          state: binding.state,
          sequence: binding.sequence,
          lifetime: binding.lifetime,
          expiresIn: Math.max(0, Math.round((binding.expiresAt - now) / 1000)),
          traffic: {
            toHome: counted?.toHome ?? { packets: 0, bytes: 0 },
            toGuest: counted?.toGuest ?? { packets: 0, bytes: 0 },
          },
          drops: sumDrops(counted?.drops ?? {}),
        };
      }),
      drops: sumDrops(
        this.#engine.drops(),
        this.#engine.portDrops(this.#homePort),
        this.#agent.drops,
        this.#defender.drops,
        this.#drops,
      ),
    };
  }

  /** The devices that packets can be seen on, and what they are. */
  devices(): CaptureDevice[] {
    return [
      { device: this.#config.tunnelDevice, name: 'tunnel' },
      { device: this.#config.homeLink ?? '', name: 'home link' },
    ];
  }

  /** Ends the machines and the engine, and takes the home addresses' routes away. */
  async close(): Promise<void> {
    this.#agentDriver.stop();
    this.#defenderDriver.stop();
    this.#engine.close();
    const removed = [...this.#tunnels.keys()].map((home) =>
      this.#routes.removeHomeRoute(home, this.#config.tunnelDevice),
    );
    await Promise.allSettled(removed);
  }

  #onAgent(output: HomeAgentOutput): void {
    switch (output.type) {
      case 'transmit':
        this.#onceRouted(receiver(output.signal), () =>
          this.#engine.transmit('uplink', emitSignal(output.signal)),
        );
        break;
      case 'probe':
        this.#defenderDriver.send({ type: 'probe', address: output.homeAddress });
        break;
      case 'defend':
        this.#onceRouted(output.homeAddress, () =>
          this.#defenderDriver.send({ type: 'defend', address: output.homeAddress }),
        );
        break;
      case 'release':
        this.#onceRouted(output.homeAddress, () =>
          this.#defenderDriver.send({ type: 'release', address: output.homeAddress }),
        );
        break;
      case 'bind':
        this.#bind(output.homeAddress, output.careOfAddress);
        break;
      case 'unbind':
        this.#unbind(output.homeAddress, output.reason);
        break;
    }
  }

  /**
   * Acts once the route of a home address is as its binding says: what follows makes neighbours, or the mobile node, send packets
   * that need it.
   */
  #onceRouted(homeAddress: Address, act: () => void): void {
    const routing = this.#routing.get(homeAddress);
    if (routing === undefined) act();
    else void routing.then(act);
  }

  #bind(homeAddress: Address, careOfAddress: Address): void {
    const known = this.#tunnels.get(homeAddress);
    if (known !== undefined) known.careOfAddress = careOfAddress;
    else {
      const slot = this.#slots.take();
      this.#engine.resetTunnelCounters(slot);
      this.#tunnels.set(homeAddress, { slot, careOfAddress });
      this.#route(homeAddress, () =>
        this.#routes.addHomeRoute(homeAddress, this.#config.tunnelDevice),
      );
    }
    this.#publish();
    this.#log.info({ homeAddress, careOfAddress }, known === undefined ? 'bound' : 'moved');
  }

  #unbind(homeAddress: Address, reason: string): void {
    const tunnel = this.#tunnels.get(homeAddress);
    if (tunnel === undefined) return;
    this.#tunnels.delete(homeAddress);
    this.#publish();
    this.#slots.release(tunnel.slot);
    this.#route(homeAddress, () =>
      this.#routes.removeHomeRoute(homeAddress, this.#config.tunnelDevice),
    );
    this.#log.info({ homeAddress, reason }, 'unbound');
  }

  #route(homeAddress: Address, change: () => Promise<void>): void {
    const done = change()
      .catch((error: Error) => this.#log.error({ homeAddress }, error.message))
      .finally(() => {
        if (this.#routing.get(homeAddress) === done) this.#routing.delete(homeAddress);
      });
    this.#routing.set(homeAddress, done);
  }

  #onDefender(output: HomeLinkDefenderOutput): void {
    switch (output.type) {
      case 'frame':
        this.#engine.transmit(this.#homePort, output.bytes);
        break;
      case 'unique':
      case 'duplicate':
        this.#agentDriver.send({ type: output.type, homeAddress: output.address });
        break;
    }
  }

  #publish(): void {
    const { address, tunnelMtu } = this.#config;
    this.#engine.publish({
      tunnels: [...this.#tunnels].map(([homeAddress, { slot, careOfAddress }]) => ({
        slot,
        side: 'home-agent',
        local: address,
        remote: careOfAddress,
        homeAddresses: [homeAddress],
        mtu: tunnelMtu,
      })),
      locals: [{ address, side: 'home-agent' }],
    });
  }

  #dispatch(packet: SlowPathPacket): void {
    if (packet.port !== undefined) {
      this.#defenderDriver.send({ type: 'frame', bytes: packet.bytes });
      return;
    }
    const parsed = attempt(() => parsePacket(packet.bytes));
    if (parsed instanceof WireError) this.#drops.count('malformed');
    else this.#onPacket(parsed, packet.kind === 'inner');
  }

  /** A packet to the Home Agent's own address, from outside or out of a tunnel (`inner`). */
  #onPacket(packet: Ipv6Packet, inner: boolean): void {
    const homeAddress = homeAddressOption(packet);
    if (packet.protocol === PROTOCOL.mobility) {
      this.#onMobility(packet);
    } else if (homeAddress !== undefined && !this.#isBound(homeAddress, packet.source)) {
      // RFC 6275 9.3.1: the option is only good with a binding.
      this.#agentDriver.send({ type: 'home-address-option', source: packet.source, homeAddress });
    } else if (packet.protocol === PROTOCOL.icmpv6) {
      this.#answer(packet, inner);
    } else {
      this.#drops.count('unexpected_protocol');
    }
  }

  #onMobility(packet: Ipv6Packet): void {
    const signal = readSignal(packet);
    if (signal instanceof WireError) this.#drops.count('malformed');
    else this.#agentDriver.send({ type: 'signal', signal });
  }

  #isBound(homeAddress: Address, careOfAddress: Address): boolean {
    return this.#tunnels.get(homeAddress)?.careOfAddress === careOfAddress;
  }

  /** Answers an echo request; to a bound home address with a type 2 routing header (RFC 6275 10.4.2: not in the tunnel). */
  #answer(packet: Ipv6Packet, inner: boolean): void {
    const careOf = inner ? this.#tunnels.get(packet.source)?.careOfAddress : undefined;
    const reply = answerEcho(packet, careOf);
    if (reply === undefined) this.#drops.count('unexpected_icmp');
    else this.#engine.transmit('uplink', emitPacket(reply));
  }
}

/** The node that a signal is for in the end. */
function receiver(signal: Signal): Address {
  return signal.routingHeader ?? signal.destination;
}

function policy(config: HomeAgentConfig): ConstructorParameters<typeof HomeAgent>[0] {
  return {
    address: config.address,
    homePrefix: config.homePrefix,
    maxLifetime: config.maxLifetime,
    allow: config.allow,
    mobileNodes: config.mobileNodes.map(({ homeAddress }) => ({
      homeAddress,
      protection: 'none',
    })),
    maxBindings: Math.min(config.maxBindings, MAX_TUNNELS),
  };
}
