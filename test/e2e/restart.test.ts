import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../src/cli/demo/processes.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { end, home, moveAway, swallow, twenty } from '../support/journey.js';
import { captureOn, tshark } from '../support/judge.js';

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

t.test(
  'a restart of the host: the tunnel is open before the Home Agent has answered',
  async (t) => {
    const testbed = await buildTestbed({ register: 'traffic' });
    t.teardown(() => testbed.remove());
    const { homeAgent, hostA, guest } = testbed;
    const agent = await testbed.startHomeAgent();
    const first = await testbed.startHost();
    await moveAway(testbed);
    const [before] = (await homeAgentStatus(agent.socket)).bindings;

    // From now on the Home Agent hears no Binding Update.
    const hearAgain = await swallow(homeAgent, 'wan0');
    await end(first, 'SIGKILL');
    await testbed.startHost();
    t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'ping6 from the guest at `ready`');
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'and to it');
    const [during] = (await homeAgentStatus(agent.socket)).bindings;
    t.equal(during?.sequence, before?.sequence, 'no Binding Update came through');

    await hearAgain();
    const asked = async (): Promise<number | undefined> => {
      const [binding] = (await homeAgentStatus(agent.socket)).bindings;
      return binding !== undefined && binding.sequence !== before?.sequence
        ? binding.sequence
        : undefined;
    };
    await until('the refresh', asked);
    await testbed.registered();
  },
);

for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
  t.test(`${signal} of the Home Agent and a restart: nobody notices`, async (t) => {
    const testbed = await buildTestbed({ register: 'traffic' });
    t.teardown(() => testbed.remove());
    const { hostA, hostB, homeAgent, guest, directory } = testbed;
    const agent = await testbed.startHomeAgent();
    const host = await testbed.startHost();
    await moveAway(testbed);
    const stream = await TcpStream.open(guest, hostA, PAPER.hostA);
    t.teardown(() => stream.close());
    await until('TCP', () => (stream.report.bytes > 100_000 ? true : undefined));
    const [before] = (await homeAgentStatus(agent.socket)).bindings;
    const said = host.log;
    const captures = {
      dad: await captureOn(homeAgent, 'lan0', join(directory, 'dad.pcap'), 'icmp6 and src ::'),
      signaling: await captureOn(
        hostB,
        'wan0',
        join(directory, 'signaling.pcap'),
        'ip6 proto 60 or icmp6',
      ),
    };

    await end(agent, signal);
    const bytes = stream.report.bytes;
    const restarted = performance.now();
    await testbed.startHomeAgent();
    t.comment(`ready ${(performance.now() - restarted).toFixed(0)} ms after the restart`);
    const [after] = (await homeAgentStatus(agent.socket)).bindings;
    t.equal(after?.careOfAddress, PAPER.careOf, 'the binding is there at `ready`');
    t.equal(after?.state, 'bound', 'without duplicate address detection');
    t.equal(after?.sequence, before?.sequence);
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'ping6 to the guest at once');
    t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'and from it');
    await until('TCP after the restart', () =>
      stream.report.error !== undefined || stream.report.bytes > bytes + 100_000 ? true : undefined,
    );
    t.equal(stream.report.error, undefined, "the guest's TCP stream is alive");

    for (const capture of Object.values(captures)) await capture.stop();
    const probes = await tshark(captures.dad.file, `icmpv6.nd.ns.target_address == ${PAPER.guest}`);
    t.same(probes, [], 'nobody asked whether the home address is unique');
    const signaling = await tshark(captures.signaling.file, 'ipv6.dstopts || icmpv6.type < 128');
    t.same(signaling, [], 'no Binding Update was needed, no error told of the restart');
    t.equal(host.log, said, 'the mobile node noticed nothing');
    t.equal((await home(testbed))?.state, 'registered');
  });
}
