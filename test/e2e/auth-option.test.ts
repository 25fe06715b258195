import { randomBytes } from 'node:crypto';
import { appendFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { run, until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus, KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { buildTestbed, type Testbed } from '../../src/cli/demo/testbed.js';
import { request } from '../../src/daemon/control-client.js';
import { answers, homeIs, readAgain, twenty } from '../support/journey.js';
import { captureOn, tshark } from '../support/judge.js';

const SHIM = fileURLToPath(new URL('../support/clock-shift.c', import.meta.url));

/** A key file for each end; the same key in both. */
async function authOption(testbed: Testbed): Promise<{ host: string; agent: string }> {
  const { files, directory } = testbed;
  const keys = { host: join(directory, 'host.keys'), agent: join(directory, 'agent.keys') };
  const table = (name: string, file: string): string =>
    `\n[${name}.security]\nkind = "auth-option"\nspi = 1000\nkey_file = "${file}"\n`;
  await writeKey(keys.host, keys.agent);
  await appendFile(files.host, table('guest', keys.host));
  await appendFile(files.homeAgent, table('mobile_node', keys.agent));
  return keys;
}

async function writeKey(...files: string[]): Promise<void> {
  const text = `authentication_key = "${randomBytes(16).toString('hex')}"\n`;
  for (const file of files) await writeFile(file, text, { mode: 0o600 });
}

t.test('RFC 4285: the mobility message authentication option', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic', protection: 'none' });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, guest, files, directory } = testbed;
  const keys = await authOption(testbed);
  const agent = await testbed.startHomeAgent();
  const capture = await captureOn(hostB, 'wan0', join(directory, 'wan.pcap'), 'ip6');
  const host = await testbed.startHost();
  await testbed.moveGuestToHostB();
  await answers(guest, PAPER.hostA);
  const home = await homeIs(testbed, 'registered', ({ state }) => state === 'registered');
  t.equal(home.protection, 'auth-option');
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0);
  await capture.stop();
  for (const type of [5, 6]) {
    const seen = await tshark(capture.file, `mip6.mhtype == ${type}`);
    t.ok(seen.length > 0, `Mobility Header type ${type}`);
  }

  // Somebody gives the Home Agent another key.
  await writeKey(keys.agent);
  await readAgain(agent);
  await request(host.socket, 'POST', '/v1/guests/vm1/bind');
  const wrong = await homeIs(testbed, 'a sentence', ({ reason = '' }) => /key_file/.test(reason));
  t.comment(`${wrong.state}, status ${wrong.status}: ${wrong.reason}`);
  t.match(wrong.reason, /key_file.*guest\.security/);
  const counted = (await homeAgentStatus(agent.socket)).drops.authentication ?? 0;
  t.ok(counted > 0, 'counted at the Home Agent');
  const shown = await hostB.run(nodeCommand(KAGEMUSHA, '--socket', files.hostSocket, 'status'));
  t.match(shown, /key_file.*guest\.security/, 'and `kagemusha status` says so');
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'the binding that stands goes on');
});

t.test('RFC 4285 6: the clocks of the two ends are an hour apart', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic', protection: 'none' });
  t.teardown(() => testbed.remove());
  const { hostA, guest, directory } = testbed;
  await authOption(testbed);
  const shim = join(directory, 'clock-shift.so');
  await run(['gcc', '-O2', '-shared', '-fPIC', '-o', shim, SHIM]);
  const agent = await testbed.startHomeAgent();
  await testbed.startHost((argv) => ['env', `LD_PRELOAD=${shim}`, 'CLOCK_SHIFT=-3600', ...argv]);
  await testbed.moveGuestToHostB();
  await answers(guest, PAPER.hostA);
  const home = await homeIs(testbed, 'registered', ({ state }) => state === 'registered');
  t.equal(home.status, 0, "the Home Agent's answer told the time");
  const mismatches = await until('a count', async () => {
    const { drops } = await homeAgentStatus(agent.socket);
    return drops.authentication;
  });
  t.ok(mismatches > 0, 'refused at first (status 144)');
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0);
});
