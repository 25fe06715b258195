import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';

t.test('kill -9 of the host daemon and a restart', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, guest } = testbed;
  await testbed.startHomeAgent();
  // The guest has a NIC of its own, bridged to the persistent tap that stays with the daemon.
  const first = await testbed.startHost();
  await testbed.moveGuestToHostB();
  await until('tunnel', async () =>
    (await ping(guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined,
  );
  await testbed.registered();
  const stream = await TcpStream.open(guest, hostA, PAPER.hostA);
  t.teardown(() => stream.close());
  await until('TCP', () => (stream.report.bytes > 100_000 ? true : undefined));

  const closed = new Promise<void>((resolve) => first.process.once('close', () => resolve()));
  first.process.kill('SIGKILL');
  await closed;
  const killedAt = stream.report.bytes;

  const restarted = performance.now();
  await testbed.startHost();
  await testbed.registered();
  const took = performance.now() - restarted;
  t.comment(`registered again ${took.toFixed(0)} ms after the restart`);
  t.ok(took < 2000, 'registered again within 2 s');

  await until('TCP after the restart', () =>
    stream.report.error !== undefined || stream.report.bytes > killedAt + 100_000
      ? true
      : undefined,
  );
  t.equal(stream.report.error, undefined, "the guest's TCP stream is alive");
  t.equal((await ping(guest, PAPER.hostA, 20, 20)).lost, 0, 'nothing is lost afterwards');
});

t.test('kill -9 of the Home Agent and a restart', async (t) => {
  const testbed = await buildTestbed({ register: 'traffic' });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, homeAgent, guest } = testbed;
  const agent = await testbed.startHomeAgent();
  const host = await testbed.startHost();
  await testbed.moveGuestToHostB();
  await until('tunnel', async () =>
    (await ping(guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined,
  );
  const routes = async (): Promise<string> =>
    await homeAgent.run(['ip', '-6', 'route', 'show', 'dev', 'kgha0']);
  t.match(await routes(), PAPER.guest, 'the home address is routed into the tunnel');

  const closed = new Promise<void>((resolve) => agent.process.once('close', () => resolve()));
  agent.process.kill('SIGKILL');
  await closed;
  await testbed.startHomeAgent();
  t.notMatch(await routes(), PAPER.guest, 'what the killed one left is taken away');

  // The new one knows no binding; `bind` asks at once instead of at the next refresh.
  await hostB.run(nodeCommand(KAGEMUSHA, '--socket', host.socket, 'bind', 'vm1'));
  await until('tunnel', async () =>
    (await ping(hostA, PAPER.guest, 1, 1000)).received === 1 ? true : undefined,
  );
  t.match(await routes(), PAPER.guest, 'and it is bound again');
});
