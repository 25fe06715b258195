import { PAPER } from '../configuration.js';
import { shapeDevice } from '../measure.js';
import { Netns } from '../netns.js';
import { type Testbed, wireOffloads } from '../testbed.js';

/** The nodes of the home network that the paper's testbed has not. */
export const HOME_NODES = {
  correspondent: '2001:db8:2000::9',
  storage: '2001:db8:2000::8',
} as const;

/**
 * The home network with a switch, which Host A hangs on by one cable: its migration and its guest's packets share that.
 *
 *     Host A ── home0 ── lan0 ═══ host-a ─┐            ┌─ router ── lan0  Home Agent
 *                 └ vmtap (guest)         ├── switch ──┤
 *     correspondent ── eth0 ─────── peer ─┘            └─ storage ── eth0  storage
 */
export class HomeLan {
  readonly correspondent: Netns;
  readonly storage: Netns;
  readonly #hostA: Netns;
  readonly #switch: Netns;

  private constructor(hostA: Netns, lan: Netns, correspondent: Netns, storage: Netns) {
    this.#hostA = hostA;
    this.#switch = lan;
    this.correspondent = correspondent;
    this.storage = storage;
  }

  /** Puts the switch between Host A and the Home Agent. */
  static async build({ hostA }: Testbed): Promise<HomeLan> {
    const made: Netns[] = [];
    const create = async (role: string): Promise<Netns> => {
      const netns = await Netns.create(`${hostA.name}${role}`);
      made.push(netns);
      return netns;
    };
    try {
      const lan = await create('s');
      const home = new HomeLan(hostA, lan, await create('c'), await create('d'));
      await home.#wire();
      return home;
    } catch (error) {
      for (const netns of made) await netns.remove();
      throw error;
    }
  }

  /** Host A's cable, each way. */
  async shape(rate: string): Promise<void> {
    await shapeDevice(this.#hostA, 'lan0', rate);
    await shapeDevice(this.#switch, 'host-a', rate);
  }

  async remove(): Promise<void> {
    for (const netns of [this.correspondent, this.storage, this.#switch]) await netns.remove();
  }

  async #wire(): Promise<void> {
    const lan = this.#switch;
    await lan.ip('link add switch type bridge');
    // The router's cable moves over; Host A gets one of its own.
    await this.#hostA.ip(`link set lan0 netns ${lan.name}`);
    await lan.ip('link set lan0 name router');
    await this.#hostA.ip(`link add lan0 type veth peer name host-a netns ${lan.name}`);
    await this.#hostA.sysctl({ 'net.ipv6.conf.lan0.disable_ipv6': 1 });
    await this.#hostA.ip('link set lan0 master home0 up');
    await wireOffloads(this.#hostA, 'lan0');
    await wireOffloads(lan, 'host-a');
    for (const [port, netns, address] of [
      ['peer', this.correspondent, HOME_NODES.correspondent],
      ['storage', this.storage, HOME_NODES.storage],
    ] as const) {
      await lan.ip(`link add ${port} type veth peer name eth0 netns ${netns.name}`);
      await netns.ip(`address add ${address}/64 dev eth0 nodad`);
      await netns.ip('link set eth0 up');
      await netns.ip(`-6 route add default via ${PAPER.homeRouter} dev eth0`);
    }
    for (const device of ['switch', 'router', 'host-a', 'peer', 'storage']) {
      await lan.sysctl({ [`net.ipv6.conf.${device}.disable_ipv6`]: 1 });
      if (device !== 'switch') await lan.ip(`link set ${device} master switch`);
      await lan.ip(`link set ${device} up`);
    }
  }
}
