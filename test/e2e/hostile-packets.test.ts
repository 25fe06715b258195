import { fileURLToPath } from 'node:url';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../src/cli/demo/processes.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { sumDrops } from '../../src/daemon/drop-counts.js';

const SCRIPT = fileURLToPath(new URL('./hostile-packets.py', import.meta.url));
/** Each hostile packet is sent this often. */
const COPIES = 5;

async function attack(from: Netns, role: string, device: string, towards: string): Promise<void> {
  await from.run(['/usr/bin/python3', SCRIPT, role, device, towards]);
}

t.test(
  'junk, truncated and spoofed packets are counted by reason and change nothing',
  async (t) => {
    const testbed = await buildTestbed({ register: 'traffic', protection: 'none' });
    t.teardown(() => testbed.remove());
    const { homeAgent, hostA, hostB, guest } = testbed;
    const agent = await testbed.startHomeAgent();
    await testbed.startHost();
    await testbed.moveGuestToHostB();
    await until('tunnel', async () =>
      (await ping(guest, PAPER.hostA, 1, 1000)).received === 1 ? true : undefined,
    );
    await testbed.registered();
    const [binding] = (await homeAgentStatus(agent.socket)).bindings;
    const neighbours = await guest.run(['ip', '-6', 'route', 'show']);

    /** Waits until each reason was counted at least as often as packets of its kind were sent. */
    const counted = async (
      read: () => Promise<Record<string, number>>,
      reasons: Record<string, number>,
    ): Promise<void> => {
      const seen = await until('drops', async () => {
        const drops = await read();
        const all = Object.entries(reasons).every(
          ([reason, kinds]) => (drops[reason] ?? 0) >= kinds * COPIES,
        );
        return all ? drops : undefined;
      }).catch(read);
      for (const [reason, kinds] of Object.entries(reasons)) {
        t.ok((seen[reason] ?? 0) >= kinds * COPIES, `${reason}: ${seen[reason] ?? 0} counted`);
      }
    };
    const guestDrops = async () => (await testbed.hostStatus()).guests[0]?.drops ?? {};
    const hostDrops = async () => {
      const { drops, guests } = await testbed.hostStatus();
      return sumDrops(drops, guests[0]?.drops ?? {});
    };
    const agentDrops = async () => {
      const { drops, bindings } = await homeAgentStatus(agent.socket);
      return sumDrops(drops, bindings[0]?.drops ?? {});
    };

    await t.test('from the guest', async () => {
      await attack(hostB, 'guest', 'kgtap0', '02:6b:67:00:00:01');
      await counted(guestDrops, {
        not_ipv6: 2,
        malformed: 3,
        source_not_home: 2,
        link_local: 1,
        multicast: 1,
      });
    });
    await t.test('from the network to the host', async () => {
      await attack(hostB, 'network-to-host', 'kg0', '-');
      await counted(hostDrops, {
        outer_source: 1,
        inner_destination: 1,
        inner_source: 1,
        malformed: 6,
        not_ours: 1,
        routing_header: 2,
        unexpected_protocol: 1,
      });
    });
    await t.test('from the network to the Home Agent', async () => {
      await attack(homeAgent, 'network-to-home-agent', 'kgha0', '-');
      await counted(agentDrops, {
        outer_source: 1,
        no_tunnel: 1,
        multicast: 1,
        malformed: 2,
        checksum: 1,
      });
    });

    const status = await testbed.hostStatus();
    t.equal(status.guests[0]?.binding.state, 'registered');
    const [after] = (await homeAgentStatus(agent.socket)).bindings;
    t.equal(after?.careOfAddress, binding?.careOfAddress, 'the binding is the same');
    t.equal(after?.state, 'bound');
    t.equal(await guest.run(['ip', '-6', 'route', 'show']), neighbours, "the guest's routes too");
    t.equal((await ping(guest, PAPER.hostA, 20, 20)).lost, 0, 'the guest pings on');
    t.equal((await ping(hostA, PAPER.guest, 20, 20)).lost, 0, 'and is pinged');
  },
);
