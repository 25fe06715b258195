// What `npm run demo` and `npm test` need, made on a fresh Debian machine that has Node, git and a C++ compiler:
// Debian packages, npm packages, the native addon, the compiled TypeScript. Each part is skipped when nothing it depends on
// has changed, so a second run takes milliseconds. Everything it says goes to standard error.
//
//   node scripts/setup.mjs [run|vm|test]     run: what the demo needs (default); vm: the demo with a virtual machine as well;
//                                            test: the judges of the tests, and the virtual machine where it can be had
import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeTestLibvirt } from './test-libvirt.mjs';
import { makeTestVm, VM_PACKAGES } from './test-vm.mjs';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const STATE = join(ROOT, '.setup');
const profile = process.argv[2] ?? 'run';

/** Debian packages, with a file that each brings: where dpkg is not there, the file is looked for instead. */
const PACKAGES = {
  run: {
    iproute2: '/sbin/ip',
    'iputils-ping': '/bin/ping',
    procps: '/sbin/sysctl',
    openssl: '/usr/bin/openssl',
    'util-linux': '/usr/bin/unshare',
    ethtool: '/sbin/ethtool',
    tcpdump: '/usr/bin/tcpdump',
    iperf3: '/usr/bin/iperf3',
    make: '/usr/bin/make',
    'g++': '/usr/bin/g++',
    python3: '/usr/bin/python3',
    'libpcap-dev': '/usr/include/pcap.h',
  },
  test: {
    tshark: '/usr/bin/tshark',
    'python3-scapy': '/usr/lib/python3/dist-packages/scapy/__init__.py',
    'doctest-dev': '/usr/include/doctest/doctest.h',
    'clang-format': '/usr/bin/clang-format',
    curl: '/usr/bin/curl',
    nftables: '/usr/sbin/nft',
    'iputils-tracepath': '/usr/bin/tracepath',
  },
};

const say = (line) => process.stderr.write(`setup: ${line}\n`);
const fail = (line) => {
  say(line);
  process.exit(1);
};

const profiles = { run: {}, vm: VM_PACKAGES, test: PACKAGES.test };
if (!Object.hasOwn(profiles, profile)) {
  say(`unknown profile "${profile}": run, vm or test`);
  process.exit(2);
}
const wanted = { ...PACKAGES.run, ...profiles[profile] };
if (Number(process.versions.node.split('.')[0]) < 20)
  fail(`Node 20 or newer is needed, this is ${process.version}`);

installDebianPackages(wanted);
if (profile === 'test') installOptionalPackages(VM_PACKAGES);
withLock(() => {
  step(
    'npm packages',
    'node_modules',
    hash(['package-lock.json', 'package.json'], process.version),
    () => {
      // npm refuses half a tree: what an interrupted run left is taken away first by `npm ci` itself.
      command('npm', ['ci', '--loglevel=error', '--no-audit', '--no-fund'], nodeHeaders());
    },
  );
  step(
    'native engine',
    'build/Release/kagemusha_native.node',
    hash(['binding.gyp', 'native/engine', 'native/addon'], process.version),
    () => {
      const gyp = join(npmRoot(), 'node_modules/node-gyp/bin/node-gyp.js');
      command(process.execPath, [gyp, 'rebuild', '--loglevel=error', '-j', '2'], nodeHeaders());
    },
  );
  step(
    'TypeScript',
    'dist/cli/main.js',
    hash(['src', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json']),
    () => {
      rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
      command(process.execPath, ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']);
    },
  );
  if (profile === 'vm') makeOptional('virtual machine', makeVm, fail);
  if (profile === 'test') {
    makeOptional('virtual machine, and no tests with it', makeVm);
    makeOptional('libvirt, and no tests with it', makeLibvirt);
  }
});

function installDebianPackages(packages) {
  const missing = Object.keys(packages).filter((name) => !isInstalled(name, packages[name]));
  if (missing.length === 0) return;
  if (!existsSync('/usr/bin/apt-get')) {
    fail(
      `this is not a Debian system; install what brings: ${missing.map((name) => packages[name]).join(' ')}`,
    );
  }
  const root = process.getuid() === 0;
  const sudo =
    !root &&
    spawnSync('sudo', [process.stdin.isTTY ? '-v' : '-nv'], { stdio: 'inherit' }).status === 0;
  if (!root && !sudo) {
    fail(
      `Debian packages are missing and need root; run once: sudo apt-get update && sudo apt-get install -y ${missing.join(' ')}`,
    );
  }
  const how = root ? [] : ['sudo'];
  say(`installing Debian packages ${root ? 'as root' : 'with sudo'}: ${missing.join(' ')}`);
  const environment = ['env', 'DEBIAN_FRONTEND=noninteractive'];
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing];
  const [first, ...rest] = [...how, ...environment, ...install];
  // A list that is already there may do; a fresh machine has none.
  if (spawnSync(first, rest, { stdio: ['inherit', 'ignore', 'ignore'] }).status === 0) return;
  command(...split([...how, 'apt-get', 'update', '-qq']));
  command(first, rest);
}

/** What some tests need that are left out without it: no reason to fail. */
function installOptionalPackages(packages) {
  const missing = Object.keys(packages).filter((name) => !isInstalled(name, packages[name]));
  if (missing.length === 0 || process.arch !== 'x64' || !existsSync('/usr/bin/apt-get')) return;
  const how = process.getuid() === 0 ? [] : ['sudo', '-n'];
  say(`installing Debian packages for the tests with QEMU: ${missing.join(' ')}`);
  const environment = ['env', 'DEBIAN_FRONTEND=noninteractive'];
  const install = ['apt-get', 'install', '-y', '-qq', '--no-install-recommends', ...missing];
  const [first, ...rest] = [...how, ...environment, ...install];
  const { status } = spawnSync(first, rest, { stdio: ['inherit', 'ignore', 'ignore'] });
  if (status !== 0) say('they cannot be installed: the tests with QEMU will be left out');
}

function makeVm() {
  step('virtual machine', '.setup/vm/vmlinuz', hash(['scripts/test-vm.mjs']), () =>
    makeTestVm(join(STATE, 'vm')),
  );
}

function makeLibvirt() {
  step('libvirt for tests', '.setup/libvirt', hash(['scripts/test-libvirt.mjs']), () =>
    makeTestLibvirt(join(STATE, 'libvirt')),
  );
}

/** @param without called with the reason where it cannot be made */
function makeOptional(what, make, without = say) {
  try {
    make();
  } catch (error) {
    const [why] = String(error.message).split('\n');
    without(`no ${what}: ${why}`);
  }
}

function isInstalled(name, file) {
  if (existsSync(file)) return true;
  // biome-ignore lint/suspicious/noTemplateCurlyInString: it is dpkg-query's own placeholder
  const asked = spawnSync('dpkg-query', ['-W', '-f=${db:Status-Status}', name], {
    encoding: 'utf8',
  });
  return asked.status === 0 && asked.stdout === 'installed';
}

/** Runs `make` when `product` is not there or was made from other sources. */
function step(name, product, key, make) {
  const stamp = join(STATE, name.replaceAll(' ', '-'));
  if (existsSync(join(ROOT, product)) && read(stamp) === key) return;
  const started = Date.now();
  say(`${name} …`);
  rmSync(stamp, { force: true });
  make();
  if (!existsSync(join(ROOT, product))) fail(`${name}: ${product} was not made`);
  writeFileSync(stamp, key);
  say(`${name}: done in ${((Date.now() - started) / 1000).toFixed(1)} s`);
}

/** One set-up at a time in a checkout; a lock whose process is gone is taken over. An unchanged checkout needs no lock. */
function withLock(work) {
  if (!canWrite()) return work();
  mkdirSync(STATE, { recursive: true });
  const lock = join(STATE, 'lock');
  for (let told = false; ; told = true) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
      const holder = Number(read(lock));
      if (!existsSync(`/proc/${holder}`)) rmSync(lock, { force: true });
      else if (!told) say(`waiting for the set-up that runs as process ${holder}`);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200);
    }
  }
  const release = () => rmSync(lock, { force: true });
  process.on('exit', release);
  work();
}

function canWrite() {
  try {
    mkdirSync(STATE, { recursive: true });
    const probe = join(STATE, `probe-${process.pid}`);
    writeFileSync(probe, '');
    rmSync(probe);
    return true;
  } catch {
    return false;
  }
}

function hash(paths, ...more) {
  const sum = createHash('sha256');
  for (const path of paths) {
    for (const file of files(join(ROOT, path)))
      sum.update(file).update('\0').update(readFileSync(file));
  }
  return sum.update(more.join('\0')).digest('hex');
}

function files(path) {
  if (!existsSync(path)) return [];
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function read(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Node's own headers where its package brought them; else node-gyp fetches them. */
function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? { npm_config_nodedir: prefix } : {};
}

function npmRoot() {
  const from = process.env.npm_execpath;
  if (from?.endsWith('npm-cli.js')) return dirname(dirname(from));
  return join(
    execFileSync('npm', ['root', '-g'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim(),
    'npm',
  );
}

function split([first, ...rest]) {
  return [first, rest];
}

function command(program, args, environment = {}) {
  // Standard output belongs to whoever called us (`demo --json`).
  const ran = spawnSync(program, args, {
    cwd: ROOT,
    stdio: ['inherit', 2, 2],
    env: { ...process.env, ...environment },
  });
  if (ran.error) fail(`${program}: ${ran.error.message}`);
  if (ran.status !== 0)
    fail(`\`${program} ${args.join(' ')}\` failed (${ran.signal ?? ran.status})`);
}
