// libvirt for test/e2e/libvirt.test.ts and the schema of examples/libvirt/domain.xml, unpacked in .setup/libvirt and not installed: Debian's
// packages that are missing here. Where they cannot be had those tests are left out.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const PACKAGES = [
  'libvirt-daemon',
  'libvirt-daemon-driver-qemu',
  'libvirt-clients',
  'libxml2-utils',
];

/** Unpacks them in `directory`. Throws when it cannot. */
export function makeTestLibvirt(directory) {
  if (process.arch !== 'x64') throw new Error(`no test machine for ${process.arch}`);
  const work = mkdtempSync(join(tmpdir(), 'kagemusha-libvirt-'));
  try {
    const output = (program, args) =>
      execFileSync(program, args, {
        cwd: work,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    const how = ['--simulate', '--no-install-recommends', 'install'];
    const missing = output('apt-get', [...how, ...PACKAGES]).matchAll(/^Inst (\S+) /gm);
    const names = [...missing].map(([, name]) => name);
    mkdirSync(join(work, 'root/usr/lib'), { recursive: true });
    // As on every merged system: some packages still bring /lib.
    symlinkSync('usr/lib', join(work, 'root/lib'));
    mkdirSync(join(work, 'root/etc'));
    if (names.length > 0) output('apt-get', ['download', '-qq', ...names]);
    output('sh', [
      '-c',
      'for deb in *.deb; do [ ! -e "$deb" ] || dpkg-deb --fsys-tarfile "$deb" | tar -xC root --keep-directory-symlink; done',
    ]);
    mkdirSync(dirname(directory), { recursive: true });
    // Whole or not at all, on a file system that may be another one.
    rmSync(`${directory}.new`, { recursive: true, force: true });
    output('cp', ['-a', 'root', `${directory}.new`]);
    rmSync(directory, { recursive: true, force: true });
    renameSync(`${directory}.new`, directory);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
