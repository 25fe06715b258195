import { readFile, writeFile } from 'node:fs/promises';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { Pinging, ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../src/cli/demo/processes.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';

t.test('SIGHUP follows the file and does not disturb a guest that did not change', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, guest, files } = testbed;
  const agent = await testbed.startHomeAgent();
  const host = await testbed.startHost();
  await testbed.moveGuestToHostB();
  await until('tunnel', async () =>
    (await ping(guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined,
  );
  await testbed.registered();
  const names = async (): Promise<string[]> =>
    (await testbed.hostStatus()).guests.map(({ name }) => name);
  const sequence = async (): Promise<number | undefined> =>
    (await homeAgentStatus(agent.socket)).bindings.find(
      ({ homeAddress }) => homeAddress === PAPER.guest,
    )?.sequence;
  const before = await sequence();
  const pinging = new Pinging(hostA, PAPER.guest, 20);

  const text = await readFile(files.host, 'utf8');
  const second = text
    // An association belongs to one home address: the second guest has none.
    .slice(text.indexOf('[[guest]]'), text.indexOf('[guest.security]'))
    .replace('vm1', 'vm2')
    .replaceAll('2000::10', '2000::11')
    .replace('3000::44', '3000::45')
    .replace('kgtap0', 'kgtap1')
    .replace('register = "traffic"', 'register = "start"');
  await writeFile(files.host, `${text}\n${second}`);
  host.process.kill('SIGHUP');
  await until('a second guest', async () => ((await names()).length === 2 ? true : undefined));
  const rejected = await until('an answer to the second guest', async () => {
    const { binding } = (await testbed.hostStatus()).guests[1] ?? {};
    return binding?.state === 'rejected' ? binding : undefined;
  });
  t.equal(rejected.status, 129, 'the Home Agent does not list it (administratively prohibited)');

  // The Home Agent's file lists it now: the next Binding Update is accepted.
  const agentText = await readFile(files.homeAgent, 'utf8');
  await writeFile(
    files.homeAgent,
    `${agentText}\n[[mobile_node]]\nhome_address = "2001:db8:2000::11"\n`,
  );
  agent.process.kill('SIGHUP');
  await until('the Home Agent', () => (/read again/.test(agent.log) ? true : undefined));
  await writeFile(files.host, text);
  host.process.kill('SIGHUP');
  await until('one guest', async () => ((await names()).length === 1 ? true : undefined));
  await writeFile(files.host, `${text}\n${second}`);
  host.process.kill('SIGHUP');
  await until('the second guest registered', async () =>
    (await testbed.hostStatus()).guests[1]?.binding.state === 'registered' ? true : undefined,
  );

  await writeFile(files.host, text.replace('lifetime = 60', 'lifetime = "sixty"'));
  host.process.kill('SIGHUP');
  await until('a complaint', () =>
    /CONFIG_INVALID.*guest\.lifetime.*running configuration stays/.test(host.log)
      ? true
      : undefined,
  );
  t.same(await names(), ['vm1', 'vm2'], 'a bad file changes nothing');

  const { lost } = await pinging.stop();
  t.equal(lost, 0, 'the first guest was pinged through all of it');
  t.equal(await sequence(), before, 'and did not register again');
});

t.test('a tap that was deleted is told of, and SIGHUP makes the guest anew', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostB, guest } = testbed;
  await testbed.startHomeAgent();
  const host = await testbed.startHost();
  await testbed.moveGuestToHostB();
  const answered = async () =>
    (await ping(guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined;
  await until('tunnel', answered);
  await testbed.registered();
  const port = async () => (await testbed.hostStatus()).guests[0]?.port;
  t.match(await port(), { kind: 'tap', name: 'kgtap0', reason: undefined });

  const links = await hostB.run(['ip', '-json', 'link', 'show', 'kgtap0']);
  const [before] = JSON.parse(links) as { readonly master?: string }[];
  await hostB.ip('link del kgtap0');
  const lost = await until('it is told', async () => {
    const now = await port();
    return now?.connected === false ? now : undefined;
  });
  t.equal(lost.reason, 'its tap kgtap0 was deleted: make it again, then run kagemusha reload');
  t.match(host.log, /DEVICE_MISSING.*its tap kgtap0 was deleted/);

  await hostB.ip('tuntap add dev kgtap0 mode tap');
  if (before?.master !== undefined) await hostB.ip(`link set kgtap0 master ${before.master}`);
  await hostB.ip('link set kgtap0 up');
  host.process.kill('SIGHUP');
  await until('the guest', async () => {
    const now = await port();
    return now !== undefined && now.connected === undefined ? now : undefined;
  });
  await until('it carries', answered);
});
