import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Pinging } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../src/cli/demo/processes.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { request } from '../../src/daemon/control-client.js';
import { answers, homeIs, readAgain, twenty } from '../support/journey.js';

const OTHER = '2001:db8:2000::20';

/** A table of an association with a key file of its own. */
function association(table: string, keys: string, out: number, back: number): string {
  return `${table}
kind = "esp"
encryption = "aes-128-cbc"
authentication = "hmac-sha1-96"
spi_out = ${out}
spi_in = ${back}
key_file = "${keys}"
`;
}

t.test('RFC 3776 4.1: an association for each of two home addresses of a guest', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic', protection: 'none' });
  t.teardown(() => testbed.remove());
  const { hostA, guest, files, directory } = testbed;
  const otherKeys = join(directory, 'vm1-other.keys');
  const hex = (octets: number): string => randomBytes(octets).toString('hex');
  const keys = `encryption_key = "${hex(16)}"\nauthentication_key = "${hex(20)}"\n`;
  await writeFile(otherKeys, keys, { mode: 0o600 });

  const host = (await readFile(files.host, 'utf8')).replace(
    `["${PAPER.guest}"]`,
    `["${PAPER.guest}", "${OTHER}"]`,
  );
  const of = (address: string): string => `[[guest.security]]\nhome_address = "${address}"`;
  await writeFile(
    files.host,
    `${host}
${association(of(PAPER.guest), files.keys, 1000, 1001)}
${association(of(OTHER), otherKeys, 2000, 2001)}`,
  );
  const agentText = await readFile(files.homeAgent, 'utf8');
  const [common] = agentText.split('[[mobile_node]]');
  const served = (first: string, second: string): string => `${common}
[[mobile_node]]
home_address = "${PAPER.guest}"
${first}
[[mobile_node]]
home_address = "${OTHER}"
${second}`;
  const first = (spi = 1000): string =>
    association('[mobile_node.security]', files.keys, 1001, spi);
  const second = (spi = 2000): string =>
    association('[mobile_node.security]', otherKeys, 2001, spi);
  const drops = async (reason: string): Promise<number> =>
    (await homeAgentStatus(agent.socket)).drops[reason] ?? 0;
  const bindings = async (): Promise<Record<string, number>> => {
    const now = (await homeAgentStatus(agent.socket)).bindings;
    return Object.fromEntries(now.map(({ homeAddress, sequence }) => [homeAddress, sequence]));
  };

  // The Home Agent has them the wrong way round.
  await writeFile(files.homeAgent, served(second(), first()));
  await guest.ip(`address add ${OTHER}/64 dev eth0 nodad`);
  const agent = await testbed.startHomeAgent();
  const daemon = await testbed.startHost();
  await testbed.moveGuestToHostB();
  const pinging = new Pinging(guest, PAPER.hostA, 100);
  t.teardown(() => pinging.stop());
  await until('both refused', async () => ((await drops('esp_spi')) >= 2 ? true : undefined));
  t.same(await bindings(), {}, 'an association of one home address registers no other');

  await writeFile(files.homeAgent, served(first(), second()));
  await readAgain(agent);
  for (const index of [0, 1]) {
    await homeIs(testbed, `home address ${index}`, (at) => at.state === 'registered', { index });
  }
  for (const address of [PAPER.guest, OTHER]) {
    await answers(hostA, address);
    t.equal((await twenty(hostA, address)).lost, 0, `${address} is pinged`);
  }

  // From now on it has another association for the second one.
  await writeFile(files.homeAgent, served(first(), second(2999)));
  await readAgain(agent);
  const [before, dropped] = [await bindings(), await drops('esp_spi')];
  await request(daemon.socket, 'POST', '/v1/guests/vm1/bind');
  await until('the refusal', async () => ((await drops('esp_spi')) > dropped ? true : undefined));
  await until('the refresh of the other', async () =>
    (await bindings())[PAPER.guest] !== before[PAPER.guest] ? true : undefined,
  );
  t.equal((await bindings())[OTHER], before[OTHER], 'what does not belong changed nothing');
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'the other one is unharmed');
});
