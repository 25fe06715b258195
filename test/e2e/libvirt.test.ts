import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { CHECKOUT } from '../../src/checkout.js';
import { run, until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../src/cli/demo/processes.js';
import { Libvirt, noLibvirt } from '../support/libvirt.js';
import { ORDINARY_USER } from '../support/ordinary-user.js';
import { shortDirectory } from '../support/short-directory.js';
import { hostC as makeHostC, virtualHosts } from '../support/virtual-hosts.js';

/** The example, as a machine that can be had here: emulated, with a kernel of the test's and no disk. */
function domain(folder: string): string {
  return readFileSync(join(CHECKOUT, 'examples/libvirt/domain.xml'), 'utf8')
    .replace('<domain type="kvm"', '<domain type="qemu"')
    .replace('<memory unit="GiB">2<', '<memory unit="MiB">160<')
    .replace(/<cpu [\s\S]*<\/cpu>/, '')
    .replace(/<disk [\s\S]*<\/disk>/, '')
    .replace(
      '</os>',
      `<kernel>${folder}/vmlinuz</kernel><initrd>${folder}/initramfs.gz</initrd></os>`,
    );
}

t.test(
  "a guest of libvirt's: started, killed, started again, migrated",
  { skip: noLibvirt, timeout: 280_000 },
  async (t) => {
    const hosts = await virtualHosts(t, { protection: 'none' });
    const { hostB, testbed } = hosts;
    const folder = shortDirectory(t);
    chmodSync(folder, 0o755);
    for (const name of ['vmlinuz', 'initramfs.gz']) {
      copyFileSync(join(CHECKOUT, '.setup/vm', name), join(folder, name));
      chmodSync(join(folder, name), 0o644);
    }
    const at = (name: string): string => join(folder, name);
    const monitored = async (config: string, name: string): Promise<void> => {
      mkdirSync(at(name));
      const text = await readFile(config, 'utf8');
      await writeFile(config, text.replace(/^qmp = .*$/m, `qmp = "${Libvirt.monitor(at(name))}"`));
    };
    const hostC = await makeHostC(t, hosts);
    await monitored(testbed.files.host, 'b');
    await monitored(hosts.path('c.toml'), 'c');
    await hostB.start();
    await hostC.start();
    // overlayfs wants an upper directory of an ordinary file system.
    const [b, c] = [
      await Libvirt.start(hostB.netns, at('b'), hostB.socket),
      await Libvirt.start(hostC.netns, at('c'), hostC.socket),
    ];
    writeFileSync(at('domain.xml'), domain(folder));

    await b.virsh(hostB.netns, 'create', at('domain.xml'));
    await hostB.bindingIs('registered');
    const socket = statSync(Libvirt.monitor(at('b')));
    t.equal(socket.gid, ORDINARY_USER, "the monitor's group is the folder's");
    t.ok(socket.mode & 0o020, 'which may write to it');
    const ordinary = `${ORDINARY_USER}`;
    const connect = 'import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])';
    execFileSync('setpriv', [
      ...['--reuid', ordinary, '--regid', ordinary, '--clear-groups'],
      ...['/usr/bin/python3', '-c', connect, Libvirt.monitor(at('b'))],
    ]);
    const off = await hostB.netns.run(['sysctl', '-n', 'net.ipv6.conf.vnet0.disable_ipv6']);
    t.equal(off, '1\n', 'the host does not speak to the guest by its tap');

    const pid = (await run(['pgrep', '-n', '-f', 'guest=vm1'])).trim();
    process.kill(Number(pid), 'SIGKILL');
    await hostB.bindingIs('idle');
    await hostB.machineIsGone();
    await until('the domain to be gone', async () =>
      (await b.virsh(hostB.netns, 'list', '--all', '--name')).includes('vm1') ? undefined : true,
    );
    await b.virsh(hostB.netns, 'create', at('domain.xml'));
    await hostB.bindingIs('registered');

    const begun = b.calls.length;
    const how = ['--live', 'vm1', c.uri, '--migrateuri', `unix://${at('c/qemu/move')}`];
    await b.virsh(hostB.netns, 'migrate', ...how);
    await hostC.bindingIs('registered');
    await hostB.bindingIs('idle');
    const { bindings } = await homeAgentStatus(testbed.files.homeAgentSocket);
    t.match(bindings, [{ careOfAddress: hostC.careOf }]);
    t.same(
      b.calls.slice(begun).map(({ words }) => words.replace(/ \S+$/, '')),
      ['vm1 stopped end', 'vm1 release end'],
      'what libvirt tells where the guest leaves',
    );
    t.same(
      c.calls.map(({ words }) => words),
      ['migrate', 'prepare', 'start', 'started'].map((what) => `vm1 ${what} begin -`),
      'and where it comes: nothing when it runs',
    );
    await c.virsh(hostC.netns, 'destroy', 'vm1');
    await hostC.bindingIs('idle');
  },
);
