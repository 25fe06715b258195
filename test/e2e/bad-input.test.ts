import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { until } from '../../src/cli/demo/netns.js';
import { KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';

t.test('what goes wrong at start is one clear line with what to do', async (t) => {
  const testbed = await buildTestbed({ register: 'start' });
  t.teardown(() => testbed.remove());
  const { hostB, files, directory } = testbed;
  const text = await readFile(files.host, 'utf8');

  /** Runs `kagemusha host` with a changed configuration; gives what it said at its end. */
  const start = async (
    name: string,
    change: (text: string) => string,
    wrap: readonly string[] = [],
  ): Promise<string> => {
    const file = join(directory, `${name}.toml`);
    await writeFile(file, change(text));
    const argv = [...wrap, ...nodeCommand(KAGEMUSHA, 'host', '--config', file)];
    const said = await hostB
      .run(['sh', '-c', '"$@" 2>&1 >/dev/null && echo ended well; true', 'sh', ...argv], 20_000)
      .catch(String);
    const lines = said.trim().split('\n');
    return lines.at(-1) ?? '';
  };
  /** What two daemons of one host must not share besides. */
  const noClash = (t: string): string =>
    t.replace('host.sock', 'other.sock').replace('/run/host"', '/run/other"');

  t.match(
    await start('key', (text) => text.replace('care_of_address', 'care_of_adress')),
    /key\.toml:\d+: guest\.care_of_adress.*care_of_address/,
    'a wrong key: file, line, key, and the one that was meant',
  );
  t.match(
    await start('value', (text) => text.replace('lifetime = 60', 'lifetime = "long"')),
    /value\.toml:\d+: guest\.lifetime: /,
    'a wrong value: file, line and key',
  );
  const hidden = 'mount -t tmpfs none /dev/net && exec "$@"';
  t.match(
    await start('no-tun', noClash, ['unshare', '--mount', 'sh', '-c', hidden, 'sh']),
    /\/dev\/net\/tun/,
    'no TUN device on the machine',
  );

  await testbed.startHost();
  t.match(
    await start('busy', (text) => noClash(text).replaceAll('"kg0"', '"kg1"')),
    /DEVICE_BUSY.*kgtap0/,
    'a tap that another process has',
  );
  t.match(
    await start('store', (text) => text.replace('host.sock', 'other.sock')),
    /STORE_BUSY.*run\/host/,
    'a state directory that another process has',
  );
  t.match(await start('twice', (text) => text), /DAEMON_RUNNING.*host\.sock/, 'started twice');

  // No Home Agent was started.
  const reason = await until('a reason', async () => {
    const { binding } = (await testbed.hostStatus()).guests[0] ?? {};
    return binding?.reason;
  });
  t.match(reason, /Home Agent|home agent|2001:db8:2000::1/, `unreachable Home Agent: ${reason}`);
});
