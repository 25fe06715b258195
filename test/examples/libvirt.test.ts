import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { CHECKOUT } from '../../src/checkout.js';
import { Netns } from '../../src/cli/demo/netns.js';
import { LIBVIRT } from '../support/libvirt.js';

const EXAMPLES = join(CHECKOUT, 'examples/libvirt');
const DOMAIN = join(EXAMPLES, 'domain.xml');
const HOOK = join(EXAMPLES, 'hooks/qemu');
const SCHEMA = join(LIBVIRT, 'usr/share/libvirt/schemas/domain.rng');
const XMLLINT = join(LIBVIRT, 'usr/bin/xmllint');

t.test('the domain is well-formed XML, and has the monitor that the README names', async (t) => {
  const parse = 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])';
  execFileSync('python3', ['-c', parse, DOMAIN]);
  const path = '/run/kagemusha-qemu/vm1.qmp';
  const domain = readFileSync(DOMAIN, 'utf8');
  t.match(domain, `<qemu:arg value="unix:${path},server=on,wait=off"/>`);
  t.match(readFileSync(join(EXAMPLES, 'README.md'), 'utf8'), `qmp = "${path}"`);
  t.match(readFileSync(join(EXAMPLES, 'tmpfiles.conf'), 'utf8'), /^d \/run\/kagemusha-qemu 2750 /m);
});

const noSchema = [SCHEMA, XMLLINT].every((file) => existsSync(file))
  ? false
  : "needs libvirt's schemas in .setup/libvirt (node scripts/setup.mjs test)";
t.test('the domain is what libvirt calls one', { skip: noSchema }, async (t) => {
  const validate = (text: string): number | null =>
    spawnSync(XMLLINT, ['--noout', '--relaxng', SCHEMA, '-'], { input: text }).status;
  const domain = readFileSync(DOMAIN, 'utf8');
  t.equal(validate(domain), 0);
  t.not(validate(domain.replace('<vcpu>', '<vcpus>').replace('</vcpu>', '</vcpus>')), 0);
});

for (const shell of ['sh', 'dash', 'bash', 'busybox']) {
  const skip = spawnSync('which', [shell]).status === 0 ? false : `no ${shell} here`;
  t.test(`the hook is right for ${shell}`, { skip }, async () => {
    execFileSync(shell, [...(shell === 'busybox' ? ['sh'] : []), '-n', HOOK]);
  });
}
const noShellcheck = spawnSync('which', ['shellcheck']).status === 0 ? false : 'no shellcheck here';
t.test('shellcheck has nothing to say of it', { skip: noShellcheck }, async () => {
  execFileSync('shellcheck', ['--shell=sh', HOOK]);
});

interface Called {
  readonly code: number | null;
  /** what it printed, which libvirt would take for XML */
  readonly output: string;
  readonly kagemusha: string;
  readonly log: string;
  readonly took: number;
}

/** The hook with a kagemusha that notes its words and then does `body`, and a logger that notes what it is told. */
function hook(t: Test, body: string) {
  const directory = t.testdir();
  const note = (name: string) => join(directory, `${name}.said`);
  for (const [name, then] of [
    ['kagemusha', body],
    ['logger', ''],
  ] as const) {
    const file = join(directory, name);
    writeFileSync(file, `#!/bin/sh\necho "$*" >>${note(name)}\n${then}\n`);
    chmodSync(file, 0o755);
  }
  const said = (name: string): string =>
    existsSync(note(name)) ? readFileSync(note(name), 'utf8') : '';
  return async (words: readonly string[], input: string | undefined = ''): Promise<Called> => {
    for (const name of ['kagemusha', 'logger']) writeFileSync(note(name), '');
    const began = performance.now();
    const argv =
      input === undefined ? ['-c', 'exec "$@" <&-', 'sh', HOOK] : ['-c', '"$@"', 'sh', HOOK];
    const child = spawn('sh', [...argv, ...words], {
      env: { PATH: `${directory}:${process.env.PATH}` },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (data) => {
        output += data;
      });
    }
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    const took = performance.now() - began;
    return { code, output, kagemusha: said('kagemusha'), log: said('logger'), took };
  };
}

const XML = readFileSync(DOMAIN, 'utf8');

t.test('of what libvirt tells only the end of QEMU is passed on', async (t) => {
  const call = hook(t, 'echo "vm1: released; another host may register it"');
  for (const [operation, sub] of [
    ['prepare', 'begin'],
    ['start', 'begin'],
    ['started', 'begin'],
    ['stopped', 'end'],
    ['migrate', 'begin'],
    ['restore', 'begin'],
    ['reconnect', 'begin'],
    ['attach', 'begin'],
    ['what libvirt may yet think of', '-'],
  ] as const) {
    const { code, output, kagemusha, log } = await call(['vm1', operation, sub, '-'], XML);
    t.same(
      { code, output, kagemusha, log },
      { code: 0, output: '', kagemusha: '', log: '' },
      operation,
    );
  }
  for (const reason of ['-', 'shutdown', 'destroyed', 'crashed', 'migrated', 'saved', 'failed']) {
    const { code, output, kagemusha, log } = await call(['vm1', 'release', 'end', reason], XML);
    t.same({ code, output, kagemusha }, { code: 0, output: '', kagemusha: 'release -- vm1\n' });
    t.match(log, `vm1: QEMU is gone (${reason}): released`);
  }
  t.match(await call(['-vm 2', 'release', 'end', '-']), { kagemusha: 'release -- -vm 2\n' });
  t.match(await call([]), { code: 0, output: '', kagemusha: '' });
});

t.test('standard input that is closed, or large and not wanted', async (t) => {
  const call = hook(t, '');
  for (const operation of ['migrate', 'started', 'release']) {
    for (const input of [undefined, XML.repeat(100)]) {
      const { code, output } = await call(['vm1', operation, '-', '-'], input);
      t.same({ code, output }, { code: 0, output: '' }, operation);
    }
  }
});

t.test(
  "a guest that is none of kagemusha's is no news, a daemon that does not answer is",
  async (t) => {
    const unknown = hook(t, `echo 'kagemusha: GUEST_UNKNOWN: no guest "vm9"' >&2; exit 1`);
    t.match(await unknown(['vm9', 'release', 'end', '-']), { code: 0, output: '', log: '' });
    const away = hook(t, `echo 'kagemusha: DAEMON_UNREACHABLE: there is no socket' >&2; exit 1`);
    t.match(await away(['vm1', 'release', 'end', '-']), {
      code: 0,
      output: '',
      log: /-p daemon.warning -- vm1: kagemusha release: .*DAEMON_UNREACHABLE/,
    });
  },
);

t.test('a kagemusha that hangs holds libvirt up for seconds at most', async (t) => {
  for (const body of ['sleep 60', "trap '' TERM; sleep 60; sleep 60"]) {
    const { code, output, log, took } = await hook(t, body)(['vm1', 'release', 'end', '-']);
    t.same({ code, output }, { code: 0, output: '' });
    t.match(log, 'no answer in 3 s');
    t.ok(took < 10_000, `${took} ms`);
  }
});

t.test("a tap on a bridge without the host's IPv6 has none either", async (t) => {
  const netns = await Netns.create('kghook');
  t.teardown(() => netns.remove());
  for (const [bridge, tap, off] of [
    ['br-vm1', 'vnet0', 1],
    ['br-lan', 'vnet1', 0],
  ] as const) {
    await netns.ip(`link add ${bridge} type bridge`);
    await netns.ip(`tuntap add dev ${tap} mode tap`);
    await netns.ip(`link set ${tap} master ${bridge}`);
    await netns.sysctl({ [`net.ipv6.conf.${bridge}.disable_ipv6`]: off });
  }
  await netns.ip('tuntap add dev vnet2 mode tap');
  const targets = ['vnet0', 'vnet1', 'vnet2', 'vda'].map((name) => `<target dev='${name}'/>`);
  const script = `printf '%s\\n' "$@" | ${HOOK} vm1 started begin -`;
  await netns.run(['sh', '-c', script, 'sh', ...targets]);
  const off = async (tap: string): Promise<string> =>
    await netns.run(['sysctl', '-n', `net.ipv6.conf.${tap}.disable_ipv6`]);
  t.same([await off('vnet0'), await off('vnet1'), await off('vnet2')], ['1\n', '0\n', '0\n']);
});
