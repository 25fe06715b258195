// A tiny virtual machine for `kagemusha demo --vm` and the tests with QEMU: Debian's cloud kernel, which is fetched and unpacked but never
// installed, and busybox with the modules of a virtio network card and disk, kept in .setup/vm. It cannot be had everywhere (another
// distribution, another processor, no network).
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** What the packages bring that the machine is made and run with. */
export const VM_PACKAGES = {
  'qemu-system-x86': '/usr/bin/qemu-system-x86_64',
  'busybox-static': '/bin/busybox',
  cpio: '/usr/bin/cpio',
  'qemu-utils': '/usr/bin/qemu-nbd',
};

/** In the order in which they are loaded. */
const MODULES = [
  'drivers/virtio/virtio_ring',
  'drivers/virtio/virtio',
  'drivers/virtio/virtio_pci_modern_dev',
  'drivers/virtio/virtio_pci_legacy_dev',
  'drivers/virtio/virtio_pci',
  'net/core/failover',
  'drivers/net/net_failover',
  'drivers/net/virtio_net',
  'drivers/block/virtio_blk',
];

const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in ${MODULES.map((path) => path.split('/').at(-1)).join(' ')}; do insmod /modules/$module.ko; done
exec sh
`;

/** Makes the machine's files in `directory`. Throws when it cannot. */
export function makeTestVm(directory) {
  const kernel = join(directory, 'vmlinuz');
  const initramfs = join(directory, 'initramfs.gz');
  if (process.arch !== 'x64') throw new Error(`no test machine for ${process.arch}`);
  for (const file of Object.values(VM_PACKAGES)) {
    if (!existsSync(file)) throw new Error(`there is no ${file}`);
  }
  const work = mkdtempSync(join(tmpdir(), 'kagemusha-vm-'));
  try {
    const output = (program, args, cwd = work) =>
      execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
    const depends = output('apt-cache', ['depends', 'linux-image-cloud-amd64']);
    const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (name === undefined) {
      throw new Error('apt-cache knows no linux-image-cloud-amd64; run: sudo apt-get update');
    }
    output('apt-get', ['download', '-qq', name]);
    const deb = readdirSync(work).find((file) => file.endsWith('.deb'));
    output('dpkg-deb', ['-x', deb, 'kernel']);
    const boot = readdirSync(join(work, 'kernel/boot')).find((file) => file.startsWith('vmlinuz'));
    const [version] = readdirSync(join(work, 'kernel/lib/modules'));

    const root = join(work, 'root');
    for (const folder of ['bin', 'dev', 'modules', 'proc', 'sys', 'tmp']) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    cpSync('/bin/busybox', join(root, 'bin/busybox'));
    for (const path of MODULES) {
      const file = join(work, 'kernel/lib/modules', version, 'kernel', `${path}.ko`);
      cpSync(file, join(root, 'modules', `${path.split('/').at(-1)}.ko`));
    }
    writeFileSync(join(root, 'init'), INIT);
    chmodSync(join(root, 'init'), 0o755);
    output('sh', ['-c', 'find . | cpio -o -H newc --quiet | gzip -1 > ../initramfs.gz'], root);
    mkdirSync(directory, { recursive: true });
    // The kernel last, and whole or not at all: it says that the machine is there.
    for (const [from, to] of [
      [join(work, 'initramfs.gz'), initramfs],
      [join(work, 'kernel/boot', boot), kernel],
    ]) {
      cpSync(from, `${to}.new`);
      renameSync(`${to}.new`, to);
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
