import { chmod, chown, copyFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { iperf, ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { ORDINARY_USER, ordinaryUser } from '../support/ordinary-user.js';

t.test('on devices from `kagemusha setup --apply` the host needs no capability', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const user = await ordinaryUser();
  t.teardown(() => user.remove());
  const { hostA, hostB, guest, files } = testbed;
  await chmod(testbed.directory, 0o755);
  await chown(files.run, ORDINARY_USER, ORDINARY_USER);
  const keys = join(testbed.directory, 'user.keys');
  await copyFile(files.keys, keys);
  await chown(keys, ORDINARY_USER, ORDINARY_USER);
  await writeFile(files.host, (await readFile(files.host, 'utf8')).replace(files.keys, keys));
  await testbed.startHomeAgent();

  const refused = await hostB
    .run(user.wrap(nodeCommand(KAGEMUSHA, 'host', '--config', files.host)))
    .then(() => 'ended well', String);
  t.match(refused, /setup/, 'before that, one line names the command that is missing');

  await hostB.run(
    nodeCommand(
      KAGEMUSHA,
      'setup',
      '--config',
      files.host,
      '--apply',
      '--user',
      `${ORDINARY_USER}`,
    ),
  );
  const host = await testbed.startHost(user.wrap);
  const status = await readFile(`/proc/${host.pid}/status`, 'utf8');
  t.match(status, /^Uid:\s+65534\s+65534/m);
  for (const set of ['CapEff', 'CapPrm', 'CapBnd', 'CapInh', 'CapAmb']) {
    t.match(status, new RegExp(`^${set}:\\s+0+$`, 'm'), `${set} is empty`);
  }

  await testbed.moveGuestToHostB();
  await until('tunnel', async () =>
    (await ping(guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined,
  );
  const { guests } = await testbed.registered();
  t.equal(guests[0]?.protection, 'esp', 'protected with a key file of that user');
  t.equal((await ping(guest, PAPER.hostA, 20, 20)).lost, 0, 'ping6 through the tunnel');
  for (const down of [false, true]) {
    const { bits_per_second } = await iperf(guest, hostA, PAPER.hostA, { seconds: 1, down });
    t.ok(bits_per_second > 50e6, `TCP ${down ? 'down' : 'up'}`);
  }

  const another = join(testbed.directory, 'vm2.toml');
  await writeFile(
    another,
    `name = "vm2"
home_addresses = ["2001:db8:2000::11"]
home_prefix = "2001:db8:2000::/64"
home_agent = "2001:db8:2000::1"
care_of_address = "2001:db8:3000::45"
port = { kind = "tap", device = "kgtap1" }
`,
  );
  const kagemusha = (...words: string[]) => hostB.run(nodeCommand(KAGEMUSHA, ...words));
  const add = () => kagemusha('guest', 'add', another, '--socket', host.socket);
  const said = await add().then(() => 'added', String);
  const setup = `setup --config ${files.host} --guest ${another} --apply`;
  t.match(said, new RegExp(`SETUP_MISSING: missing: .*; run once: sudo kagemusha ${setup}`));
  await kagemusha(...setup.split(' '), '--user', `${ORDINARY_USER}`);
  t.equal(await add(), 'vm2: added\n', 'a guest that is added is set up like those of the file');
  t.equal((await ping(guest, PAPER.hostA, 20, 20)).lost, 0);

  await host.stop();
  await hostB.run(nodeCommand(KAGEMUSHA, 'setup', '--config', files.host, '--undo'));
  const left = await hostB.run(['ip', '-o', 'link']);
  t.notMatch(left, /kg0|kgtap/, '`setup --undo` takes the devices away');
});
