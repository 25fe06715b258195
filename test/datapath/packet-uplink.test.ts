import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Netns } from '../../src/cli/demo/netns.js';

// The packet uplink against the kernel's own IP6IP6 (SRv6 with reduced encapsulation and one segment) in namespaces of this test's.
//
//   guest0 ── kgtap0 ┐ host                     far: home agent and correspondent
//                    ├─ engine ── w0 ═══ w1 ── End.DT6, encap.red, 2001:db8:5::5
//   guest1 ── kgtap1 ┘

const CHILD = fileURLToPath(new URL('device-child.mjs', import.meta.url));
const AGENT = '2001:db8:2000::1';
const FAR = '2001:db8:5::5';
const OWN = '02:00:00:00:00:44';
const homeOf = (guest: number) => `2001:db8:2000::1${guest}`;
const careOfOf = (guest: number) => `2001:db8:1::4${guest}`;

interface Said {
  opened?: string;
  mac?: string;
  message?: string;
  wakeups?: number;
  devicesLost?: number;
  uplinksLost?: number;
  drops?: Record<string, number>;
}

/** The engine in its namespace: what it says, line by line. */
class EngineProcess {
  private readonly child: ChildProcess;
  private readonly said: Said[] = [];
  private readonly closed: Promise<unknown>;

  constructor(netns: Netns, options: object) {
    const argv = [process.execPath, CHILD, 'packet-host', JSON.stringify(options)];
    this.child = netns.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.closed = new Promise((resolve) => this.child.once('close', resolve));
    if (!this.child.stdout) throw new Error('no pipes');
    createInterface(this.child.stdout).on('line', (line) =>
      this.said.push(JSON.parse(line) as Said),
    );
  }

  /** The first line. */
  async opened(): Promise<Said> {
    while (this.said.length === 0 && this.child.exitCode === null) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return this.said[0] ?? {};
  }

  async end(): Promise<Said> {
    this.child.stdin?.end();
    await this.closed;
    return this.said.at(-1) ?? {};
  }
}

class World {
  private constructor(
    readonly host: Netns,
    readonly far: Netns,
    readonly guests: readonly Netns[],
    readonly router: string,
  ) {}

  static async create(name: string, guests: number): Promise<World> {
    const names = ['h', 'f', ...Array.from({ length: guests }, (_, guest) => `g${guest}`)];
    const made = await Promise.all(
      names.map(async (end) => await Netns.create(`kg${name}${end}${process.pid}`)),
    );
    const [host, far, ...rest] = made;
    if (!host || !far) throw new Error('no namespaces');
    for (const netns of made) {
      await netns.sysctl({
        'net.ipv6.conf.all.accept_dad': 0,
        'net.ipv6.conf.default.accept_dad': 0,
        'net.ipv6.conf.all.seg6_enabled': 1,
        'net.ipv6.conf.default.seg6_enabled': 1,
      });
    }
    await far.sysctl({ 'net.ipv6.conf.all.forwarding': 1 });
    await host.ip(`link add w0 type veth peer name w1 netns ${far.name}`);
    // A link between two machines: packets of wire size, merged again by the receiver.
    for (const [netns, device] of [
      [host, 'w0'],
      [far, 'w1'],
    ] as const) {
      await netns.run(['ethtool', '-K', device, 'tso', 'off', 'gso', 'off', 'gro', 'on']);
      await netns.ip(`link set ${device} up`);
    }
    await far.ip('addr add 2001:db8:1::1/64 dev w1 nodad');
    await far.ip(`addr add ${FAR}/128 dev lo`);
    const router = / link\/ether (\S+)/.exec(await far.ip('link show w1'))?.[1] ?? '';
    return new World(host, far, rest, router);
  }

  /** The kernel as the home agent; `mac` has the care-of addresses. */
  async homeAgent(mac: string): Promise<void> {
    const { far } = this;
    await far.run(['ip', 'sr', 'tunsrc', 'set', AGENT]);
    await far.ip(`-6 route add ${AGENT}/128 encap seg6local action End.DT6 table 255 dev w1`);
    for (const guest of this.guests.keys()) {
      const careOf = careOfOf(guest);
      await far.ip(
        `-6 route add ${homeOf(guest)}/128 encap seg6 mode encap.red segs ${careOf} dev w1`,
      );
      await far.ip(`neigh replace ${careOf} lladdr ${mac} dev w1 nud permanent`);
    }
  }

  /** Gives each guest its tap. */
  async plug(): Promise<void> {
    for (const [guest, netns] of this.guests.entries()) {
      await this.host.ip(`link set kgtap${guest} netns ${netns.name}`);
      await netns.ip(`link set kgtap${guest} up`);
      await netns.ip(`addr add ${homeOf(guest)}/64 dev kgtap${guest} nodad`);
      await netns.ip(`neigh add fe80::1 lladdr 02:00:00:00:00:01 dev kgtap${guest}`);
      await netns.ip(`route add default via fe80::1 dev kgtap${guest}`);
    }
  }

  engine(uplink: object): EngineProcess {
    const guests = [...this.guests.keys()];
    return new EngineProcess(this.host, {
      taps: guests.map((guest) => `kgtap${guest}`),
      nic: 'w0',
      uplink,
      pairs: guests.map((guest) => ({ home: homeOf(guest), careOf: careOfOf(guest) })),
      router: this.router,
    });
  }

  async ping(guest: number, ...more: string[]): Promise<string> {
    const argv = ['ping', '-6', '-c', '3', '-i', '0.1', '-W', '2', ...more, FAR];
    // Without an answer it ends with 1.
    const script = ['sh', '-c', '"$@" || true', 'sh', ...argv];
    return (await this.guests[guest]?.run(script)) ?? '';
  }

  async remove(): Promise<void> {
    for (const netns of [this.host, this.far, ...this.guests]) await netns.remove();
  }
}

/** Octets that got through of `-n 30M`, `reverse`: to the guest. */
async function iperf(guest: Netns, reverse: boolean): Promise<number> {
  // It ends when all is sent; what then waits in the sockets is not counted, so their buffers are small.
  const words = ['-C', 'cubic', '-n', '30M', '-w', '1M', '-J', ...(reverse ? ['-R'] : [])];
  const argv = ['iperf3', '-c', FAR, ...words];
  for (let attempt = 0; ; attempt++) {
    try {
      const { end, error } = JSON.parse(await guest.run(argv)) as {
        end: { sum_received?: { bytes: number } };
        error?: string;
      };
      if (end.sum_received === undefined) throw new Error(error ?? 'iperf3 says nothing');
      return end.sum_received.bytes;
    } catch (error) {
      if (attempt > 50) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

const skip = process.getuid?.() === 0 ? false : 'needs root';

for (const bypassQdisc of [false, true]) {
  const how = bypassQdisc ? 'AF_XDP' : 'a packet socket';
  t.test(`a MAC of its own, by ${how}: two guests, against the kernel`, { skip }, async (t) => {
    const world = await World.create(bypassQdisc ? 'px' : 'pu', 2);
    t.teardown(async () => await world.remove());
    const engine = world.engine({ mac: OWN, bypassQdisc });
    t.match(await engine.opened(), { opened: 'w0', mac: OWN, withoutXdp: null });
    await world.homeAgent(OWN);
    await world.plug();
    t.match(await world.host.ip('-d link show w0'), /promiscuity 1/);

    for (const guest of [0, 1]) {
      t.match(await world.ping(guest), / 0% packet loss/);
      // 1412 octets of data: an inner packet of the tunnel's MTU exactly.
      t.match(await world.ping(guest, '-s', '1412'), / 0% packet loss/);
    }
    const server = world.far.spawn(['iperf3', '-s'], { stdio: 'ignore' });
    const ended = new Promise((resolve) => server.once('close', resolve));
    for (const guest of world.guests) {
      t.ok((await iperf(guest, false)) > 15e6, 'TCP gets out');
      t.ok((await iperf(guest, true)) > 15e6, 'and in');
    }
    server.kill();
    await ended;

    await world.host.ip('link set w0 down');
    t.match(await world.ping(0), / 100% packet loss/);
    await world.host.ip('link set w0 up');
    t.match(await world.ping(0), / 0% packet loss/, 'up again');

    await world.host.ip('link delete w0');
    await world.ping(0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    const said = await engine.end();
    t.equal(said.devicesLost, 1);
    t.equal(said.uplinksLost, 1);
    t.ok((said.wakeups ?? 0) < 1e6, `${said.wakeups} wakeups`);
    // A busy machine may leave the ring unread for longer than it lasts.
    const { uplink_overrun, ...drops } = said.drops ?? {};
    t.same(drops, {}, 'nothing was dropped by the engine itself');
  });
}

t.test("the interface's own MAC: only what is for a care-of address", { skip }, async (t) => {
  const world = await World.create('pv', 1);
  t.teardown(async () => await world.remove());
  await world.host.ip('addr add 2001:db8:1::2/64 dev w0 nodad');
  const engine = world.engine({});
  const { mac = '' } = await engine.opened();
  t.match(await world.host.ip('link show w0'), new RegExp(mac));
  t.match(await world.host.ip('-d link show w0'), /promiscuity 0/);
  await world.homeAgent(mac);
  await world.plug();
  t.match(await world.ping(0), / 0% packet loss/);
  // The host's own traffic is the host's.
  t.match(
    await world.far.run(['ping', '-6', '-c', '3', '-i', '0.1', '2001:db8:1::2']),
    / 0% packet loss/,
  );
  const { drops } = await engine.end();
  t.same(drops, {}, 'none of it came here');
});
