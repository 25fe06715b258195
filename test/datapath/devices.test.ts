import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Netns } from '../../src/cli/demo/netns.js';
import { ordinaryUser } from '../support/ordinary-user.js';

// TUN and tap as the kernel has them, in namespaces of this test's own.
//
//   guest            host                        agent
//   kgtap0 ── tap ── engine ── kg0 ── w0 ═══ w1 ── kga0 ── engine       2001:db8:5::5 on lo

const CHILD = fileURLToPath(new URL('device-child.mjs', import.meta.url));

interface Answer {
  opened?: string;
  code?: string;
  message?: string;
}

interface Child {
  answer: Answer;
  /** Lets the child end: the last thing it said. */
  end(): Promise<unknown>;
}

/** Runs `argv` and waits for the child's first line. */
async function answer(child: ChildProcess): Promise<Child> {
  const { stdout, stdin } = child;
  if (!stdout || !stdin) throw new Error('no pipes');
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  let last = '';
  const line = await new Promise<string>((resolve, reject) => {
    createInterface(stdout).on('line', (said) => {
      last = said;
      resolve(said);
    });
    child.once('close', () => reject(new Error('the child said nothing')));
  });
  return {
    answer: JSON.parse(line) as Answer,
    end: async () => {
      stdin.end();
      await closed;
      return JSON.parse(last);
    },
  };
}

const STDIO: { stdio: ('pipe' | 'inherit')[] } = { stdio: ['pipe', 'pipe', 'inherit'] };

async function start(netns: Netns, words: readonly string[]): Promise<Child> {
  return await answer(netns.spawn([process.execPath, CHILD, ...words], STDIO));
}

/** Opens a device and lets go of it: what the engine said. */
async function tryOpen(netns: Netns, kind: string, name: string): Promise<Answer> {
  const child = await start(netns, ['open', kind, name]);
  await child.end();
  return child.answer;
}

t.test('devices', { skip: process.getuid?.() === 0 ? false : 'needs root' }, async (t) => {
  const netns = await Netns.create(`kgdp${process.pid}`);
  t.teardown(async () => await netns.remove());

  await t.test('what is not there is created and stays', async (t) => {
    t.match(await tryOpen(netns, 'tap', 'kgtap9'), { opened: 'kgtap9' });
    t.match(await netns.ip('-d link show kgtap9'), /tun type tap .*persist on/);
    t.match(
      await tryOpen(netns, 'tap', 'kgtap9'),
      { opened: 'kgtap9' },
      'and can be attached again',
    );
    t.match(await tryOpen(netns, 'tun', 'kgtun9'), { opened: 'kgtun9' });
    t.match(await netns.ip('-d link show kgtun9'), /tun type tun .*persist on/);
  });

  await t.test('a device that another process has', async (t) => {
    const first = await start(netns, ['open', 'tun', 'kgtun9']);
    t.match(await tryOpen(netns, 'tun', 'kgtun9'), {
      code: 'DEVICE_BUSY',
      message: /kgtun9 .*stop/,
    });
    await first.end();
    t.match(await tryOpen(netns, 'tun', 'kgtun9'), { opened: 'kgtun9' });
  });

  await t.test('a device that goes down, and away, is not waited for in a loop', async (t) => {
    const child = await start(netns, ['open', 'tun', 'kggone']);
    await netns.ip('link set kggone up');
    await netns.ip('link set kggone down');
    await netns.ip('link delete kggone');
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const { wakeups, ...rest } = (await child.end()) as { wakeups: number; devicesLost: number };
    t.same(rest, { devicesLost: 1, uplinksLost: 1 });
    t.ok(wakeups < 20, `${wakeups} wakeups`);
  });

  await t.test('a device of another kind', async (t) => {
    const wrong = { code: 'DEVICE_KIND', message: /not a single-queue tap .*sudo ip tuntap add/ };
    t.match(await tryOpen(netns, 'tap', 'kgtun9'), wrong);
    t.match(await tryOpen(netns, 'tap', 'lo'), { code: 'DEVICE_KIND' });
    await netns.ip('tuntap add dev kgmq mode tun multi_queue');
    t.match(await tryOpen(netns, 'tun', 'kgmq'), { code: 'DEVICE_KIND' });
    t.match(await tryOpen(netns, 'packet', 'lo'), { code: 'DEVICE_KIND' });
  });

  await t.test('names that cannot be', async (t) => {
    for (const name of ['', 'kg%d', 'a/b', 'sixteen-letters-']) {
      t.match(await tryOpen(netns, 'tun', name), { code: 'DEVICE_MISSING' }, `"${name}"`);
    }
    t.match(await tryOpen(netns, 'packet', 'none'), { code: 'DEVICE_MISSING' });
  });

  await t.test('an ordinary user', async (t) => {
    const user = await ordinaryUser();
    t.teardown(async () => await user.remove());
    const asUser = async (kind: string, name: string): Promise<Answer> => {
      // tap watches child processes by NODE_OPTIONS and files that this user may not write.
      const argv = user.wrap([
        'env',
        '-u',
        'NODE_OPTIONS',
        process.execPath,
        CHILD,
        'open',
        kind,
        name,
      ]);
      const child = await answer(netns.spawn(argv, STDIO));
      await child.end();
      return child.answer;
    };
    await netns.ip('tuntap add dev kgown mode tap user 65534');
    await netns.ip('tuntap add dev kgother mode tap user 12345');
    t.match(
      await asUser('tap', 'kgown'),
      { opened: 'kgown' },
      'needs no capability for a tap of theirs',
    );
    t.match(await asUser('tap', 'kgother'), {
      code: 'DEVICE_PERMISSION',
      message: /sudo ip link delete kgother && sudo ip tuntap add dev kgother mode tap user \$USER/,
    });
    t.match(await asUser('tun', 'kgnone'), {
      code: 'DEVICE_MISSING',
      message: /sudo ip tuntap add dev kgnone mode tun user \$USER/,
    });
    await netns.ip('link add kgeth type veth peer name kgpeer');
    t.match(await asUser('packet', 'kgeth'), { code: 'DEVICE_PERMISSION', message: /CAP_NET_RAW/ });
  });

  await t.test('no /dev/net/tun', async (t) => {
    const script = 'mount -t tmpfs none /dev/net && exec "$@"';
    const argv = [
      'unshare',
      '-m',
      'sh',
      '-c',
      script,
      'sh',
      process.execPath,
      CHILD,
      'open',
      'tun',
      'kgtun9',
    ];
    const child = await answer(spawn('ip', ['netns', 'exec', netns.name, ...argv], STDIO));
    await child.end();
    t.match(child.answer, { code: 'TUN_UNAVAILABLE', message: /sudo modprobe tun/ });
  });
});

t.test(
  'a tunnel over real devices',
  { skip: process.getuid?.() === 0 ? false : 'needs root' },
  async (t) => {
    const [guest, host, agent] = await Promise.all([
      Netns.create(`kgdpg${process.pid}`),
      Netns.create(`kgdph${process.pid}`),
      Netns.create(`kgdpa${process.pid}`),
    ]);
    t.teardown(async () => {
      for (const netns of [guest, host, agent]) await netns.remove();
    });
    for (const netns of [guest, host, agent]) {
      await netns.sysctl({
        'net.ipv6.conf.all.forwarding': 1,
        'net.ipv6.conf.default.accept_dad': 0,
        'net.ipv6.conf.all.accept_dad': 0,
      });
    }
    await host.ip(`link add w0 type veth peer name w1 netns ${agent.name}`);
    await host.ip('addr add 2001:db8:1::2/64 dev w0 nodad');
    await agent.ip('addr add 2001:db8:1::1/64 dev w1 nodad');
    await agent.ip('addr add 2001:db8:5::5/128 dev lo');
    await host.ip('link set w0 up');
    await agent.ip('link set w1 up');

    const hostEnd = await start(host, ['host', 'kgtap0', 'kg0']);
    const agentEnd = await start(agent, ['agent', 'kga0']);
    t.match(hostEnd.answer, { opened: 'kgtap0' });
    t.match(agentEnd.answer, { opened: 'kga0' });
    await host.ip('link set kg0 up');
    await host.ip('route add 2001:db8:3000::44/128 dev kg0');
    await host.ip('route add 2001:db8:2000::/64 via 2001:db8:1::1');
    await agent.ip('link set kga0 up');
    await agent.ip('route add 2001:db8:3000::/64 via 2001:db8:1::2');
    await agent.ip('route add 2001:db8:2000::1/128 dev kga0');
    // The device carries outer packets too, so the tunnel's MTU is the route's.
    await agent.ip('route add 2001:db8:2000::10/128 dev kga0 mtu lock 1460');

    await host.ip(`link set kgtap0 netns ${guest.name}`);
    await guest.ip('link set kgtap0 up');
    await guest.ip('addr add 2001:db8:2000::10/64 dev kgtap0 nodad');
    await guest.ip('neigh add fe80::1 lladdr 02:00:00:00:00:01 dev kgtap0');
    await guest.ip('route add default via fe80::1 dev kgtap0');

    t.match(
      await guest.run(['ping', '-6', '-c', '3', '-i', '0.1', '2001:db8:5::5']),
      / 0% packet loss/,
    );
    // 1412 octets of data: an inner packet of the tunnel's MTU exactly.
    t.match(
      await guest.run(['ping', '-6', '-c', '1', '-s', '1412', '2001:db8:5::5']),
      / 0% packet loss/,
    );

    const server = agent.spawn(['iperf3', '-s'], { stdio: 'ignore' });
    const ended = new Promise((resolve) => server.once('close', resolve));
    const client = ['iperf3', '-c', '2001:db8:5::5', '-n', '30M', '-J'];
    const bytes = await (async () => {
      for (let attempt = 0; ; attempt++) {
        try {
          const { end, error } = JSON.parse(await guest.run(client)) as {
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
    })();
    t.ok(bytes > 25e6, 'TCP gets through, trains and all');
    server.kill();
    await ended;
    await hostEnd.end();
    await agentEnd.end();
  },
);
