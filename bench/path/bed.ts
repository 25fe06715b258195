import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { Netns, until } from '../../src/cli/demo/netns.js';
import { wireForeign } from '../../src/cli/demo/testbed.js';
import type { KernelTunnel } from './kernel-tunnel.js';
import { kernelTunnel } from './kernel-tunnel.js';

/**
 * What every row has: the correspondent on the home link, the home router where the Home Agent's end of a tunnel is, the wire, and
 * the guest's host.
 *
 *      correspondent            router                      host
 *     +--------------+     +----------------+          +--------------+      +-------+
 *     | lan0   ::2   |-----| lan0     wan0  |== wire ==| wan0      g0 |------| guest |
 *     +--------------+     | fe80::1        |          | ...3000::3   |      +-------+
 *                          +----------------+          +--------------+
 *
 * A row makes the guest, in a namespace of its own, and what is between the two ends of the wire, and takes it away after its turn.
 */
export interface Bed {
  readonly correspondent: Netns;
  readonly router: Netns;
  readonly host: Netns;
  readonly kernel: KernelTunnel;
  /** A new folder for files of a turn. */
  folder(): Promise<string>;
  /** A namespace of a turn; it is the row that takes it away. */
  netns(name: string): Promise<Netns>;
  remove(): Promise<void>;
}

export async function buildBed(): Promise<Bed> {
  const prefix = `kg${process.pid.toString(36)}p-`;
  const directory = await mkdtemp(join(tmpdir(), 'kagemusha-path-'));
  const made: Netns[] = [];
  const remove = async (): Promise<void> => {
    for (const netns of made.splice(0).reverse()) await netns.remove();
    await rm(directory, { recursive: true, force: true });
  };
  const netns = async (name: string): Promise<Netns> => await Netns.create(`${prefix}${name}`);
  try {
    for (const name of ['a', 'r', 'b']) made.push(await netns(name));
    const [correspondent, router, host] = made as [Netns, Netns, Netns];
    for (const one of made) await commonSettings(one);
    await wireHome(correspondent, router);
    await wireForeign(router, host);
    for (const end of [router, host]) {
      // The receiver's work is not done inside the sender's system call, as it is not between two machines.
      await end.run(['sh', '-c', 'echo 1 > /sys/class/net/wan0/threaded']);
      await end.sysctl({ 'net.ipv6.conf.wan0.seg6_enabled': 1 });
    }
    await until('the wire', async () =>
      (await ping(host, PAPER.foreignRouter, 1, 1000)).received === 1 ? true : undefined,
    );
    return {
      correspondent,
      router,
      host,
      kernel: await kernelTunnel(router),
      folder: async () => await mkdtemp(join(directory, 'turn-')),
      netns,
      remove,
    };
  } catch (error) {
    await remove();
    throw error;
  }
}

async function commonSettings(netns: Netns): Promise<void> {
  await netns.sysctl({
    'net.ipv6.conf.all.forwarding': 1,
    'net.ipv6.conf.all.seg6_enabled': 1,
    'net.ipv6.conf.default.seg6_enabled': 1,
    // A row's connections know nothing of those of the row before.
    'net.ipv4.tcp_no_metrics_save': 1,
  });
}

async function wireHome(correspondent: Netns, router: Netns): Promise<void> {
  await correspondent.sysctl({ 'net.ipv6.conf.all.forwarding': 0 });
  await router.ip(`link add lan0 type veth peer name lan0 netns ${correspondent.name}`);
  await router.ip('link set lan0 addrgenmode none');
  await router.ip(`address add ${PAPER.homeRouter}/64 dev lan0 nodad`);
  await router.ip('address add 2001:db8:2000::ff/64 dev lan0 nodad');
  await router.ip('link set lan0 up');
  await router.sysctl({
    'net.ipv6.conf.lan0.seg6_enabled': 1,
    // As a Home Agent answers for its mobile nodes; at once.
    'net.ipv6.conf.lan0.proxy_ndp': 1,
    'net.ipv6.neigh.lan0.proxy_delay': 0,
  });
  await correspondent.ip(`address add ${PAPER.hostA}/64 dev lan0 nodad`);
  await correspondent.ip('link set lan0 up');
  await correspondent.ip(`-6 route add default via ${PAPER.homeRouter} dev lan0`);
}

/** Forgets what the kernels have learnt of a row's addresses: the next row has some of them elsewhere. */
export async function forget(bed: Bed): Promise<void> {
  for (const netns of [bed.correspondent, bed.router, bed.host]) {
    await netns.ip('-6 route flush cache');
    await netns.ip('-6 neigh flush all');
  }
}
