import { createHash, randomBytes } from 'node:crypto';
import { chmod, chown, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { KAGEMUSHA, nodeCommand, startDaemon } from '../../src/cli/demo/processes.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { noVirtualMachine, streamNetdev, VirtualMachine } from '../../src/cli/demo/vm/machine.js';
import { ORDINARY_USER, ordinaryUser } from '../support/ordinary-user.js';

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

// A real QEMU with a Linux of its own in it, on a host where nobody but root may create a device, and QEMU and the daemon are
// an ordinary user's: neither a tap nor a bridge, nor a right to make one.
t.test(
  'a guest in QEMU, by a stream socket',
  { skip: noVirtualMachine, timeout: 180_000 },
  async (t) => {
    const testbed = await buildTestbed({ register: 'start' });
    t.teardown(() => testbed.remove());
    const user = await ordinaryUser();
    t.teardown(() => user.remove());
    const { hostA, hostB, files } = testbed;
    // The testbed's own guest has the same home address.
    await hostA.ip('link set vm1 down');
    await chmod(testbed.directory, 0o755);
    await chown(files.run, ORDINARY_USER, ORDINARY_USER);
    const keys = join(testbed.directory, 'user.keys');
    await copyFile(files.keys, keys);
    await chown(keys, ORDINARY_USER, ORDINARY_USER);
    const socket = join(files.run, 'vm1.sock');
    const written = await readFile(files.host, 'utf8');
    const port = `port = { kind = "qemu-stream", path = "${socket}" }`;
    await writeFile(files.host, written.replace(files.keys, keys).replace(/^port = .*$/m, port));
    const kagemusha = (...words: string[]) => hostB.run(nodeCommand(KAGEMUSHA, ...words));
    await kagemusha('setup', '--config', files.host, '--apply', '--user', `${ORDINARY_USER}`);
    await testbed.startHomeAgent();
    const host = await startDaemon(hostB, 'host', files.host, files.hostSocket, user.wrap);
    const rights = await readFile(`/proc/${host.pid}/status`, 'utf8');
    t.match(rights, /^CapEff:\s+0+$/m, 'the daemon has no right of its own');
    const tunnels = (await hostB.run(['ip', '-o', 'link']))
      .split('\n')
      .filter((line) => /^\d+: kg/.test(line));
    t.equal(tunnels.length, 1, 'one device: the uplink');
    await testbed.registered();
    const waiting = `waiting for QEMU at ${socket}`;
    t.match(await kagemusha('status', '--socket', host.socket), `vm1: ${waiting}`);

    const content = join(testbed.directory, 'www');
    await mkdir(content);
    const blob = randomBytes(4_000_000);
    await writeFile(join(content, 'blob'), blob);
    hostA.spawn(['busybox', 'httpd', '-f', '-p', '[::]:8080', '-h', content], { stdio: 'ignore' });
    const connected = async (is: boolean): Promise<void> => {
      await until(`connected: ${is}`, async () =>
        (await testbed.hostStatus()).guests[0]?.port.connected === is ? true : undefined,
      );
    };
    const state = async (): Promise<unknown> =>
      (await testbed.hostStatus()).guests[0]?.binding.state;

    for (const round of ['first', 'second']) {
      const machine = await VirtualMachine.boot(hostB, {
        netdev: streamNetdev(socket),
        wrap: user.wrap,
      });
      await connected(true);
      t.match(
        await hostB.run(user.wrap(nodeCommand(KAGEMUSHA, 'check', '--config', files.host))),
        `ok       socket ${socket} of guest vm1`,
      );
      await machine.run(
        `ip link set lo up; ip link set eth0 up; ip -6 addr add ${PAPER.guest}/64 dev eth0`,
      );
      // The router of home is there, as at home: nobody told the guest that it is elsewhere.
      await until(
        'the default route of an advertisement',
        async () =>
          (await machine.run('ip -6 route')).includes(`default via ${PAPER.homeRouter} dev eth0`) ||
          undefined,
      );
      await until('the first echo', async () =>
        (await ping(hostA, PAPER.guest, 1, 1000)).received === 1 ? true : undefined,
      );
      t.equal((await ping(hostA, PAPER.guest, 20, 20)).lost, 0, `${round} QEMU: echoes from home`);
      t.match(await machine.run(`ping6 -c 5 -i 0.1 ${PAPER.hostA}`), / 0% packet loss/);
      t.match(
        await machine.run(
          `wget -q -O /tmp/down http://[${PAPER.hostA}]:8080/blob && md5sum /tmp/down`,
        ),
        md5(blob),
        'TCP down, every octet',
      );
      await machine.run('httpd -p [::]:80 -h /tmp');
      const up = join(testbed.directory, `up-${round}`);
      await hostA.run(['curl', '-sfg', '-o', up, `http://[${PAPER.guest}]/down`]);
      t.equal(md5(await readFile(up)), md5(blob), 'TCP up, every octet');

      await machine.kill();
      await connected(false);
      t.equal(await state(), 'registered', 'QEMU was killed, the registration stands');
      t.match(await kagemusha('status', '--socket', host.socket), `vm1: ${waiting}`);
    }
    const { drops = {} } = (await testbed.hostStatus()).guests[0] ?? {};
    t.notOk(drops.stream_nonsense, 'QEMU speaks as it should');
    await host.stop();
  },
);
