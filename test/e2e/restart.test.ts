import t from 'tap';
import { ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { buildTestbed, PAPER } from '../../src/cli/demo/testbed.js';

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
