import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { answers } from '../../src/cli/demo/measure.js';
import { endProcess, until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus } from '../../src/cli/demo/processes.js';
import { MAC, noVirtualMachine } from '../../src/cli/demo/vm/machine.js';
import type { VmHost } from '../../src/cli/demo/vm/vm-host.js';
import type { GuestStatus } from '../../src/daemon/status.js';
import { virtualFleet } from '../support/virtual-fleet.js';

const skip = noVirtualMachine;

/** It stands still for a second or more: all of its memory is copied then. */
const SLOWLY = { 'max-bandwidth': 40_000_000, 'downtime-limit': 100_000 };

/** Of an echo in ping's words, milliseconds. */
function delayOf(line: string): number {
  return Number(/time=([\d.]+) ms/.exec(line)?.[1] ?? 0);
}

t.test('home, Host B, Host C, home', { skip, timeout: 240_000 }, async (t) => {
  const fleet = await virtualFleet(t);
  const { hosts } = fleet;
  const { homeAgent, files } = hosts.testbed;
  for (const host of [fleet.a, fleet.b, fleet.c]) await host.start();
  let guest = await fleet.boot();
  await fleet.a.machineIs('running');

  let echoes = '';
  const pinging = homeAgent.spawn(
    ['ping', '-6', '-n', '-O', '-i', '0.02', '-I', '2001:db8:2000::ff', PAPER.guest],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  pinging.stdout?.on('data', (data) => {
    echoes += data;
  });

  /** @param state that its binding has in the end */
  const move = async (to: VmHost, name: string, state: string): Promise<GuestStatus> => {
    const next = await to.awaitGuest(name);
    await hosts.migrate(guest, `unix:${hosts.path(name)}`, SLOWLY);
    await to.bindingIs(state);
    await guest.machine.kill();
    guest = next;
    const status = await until('a first packet', async () => {
      const now = await to.guest();
      return now.arrival?.firstPacket === undefined && state === 'registered' ? undefined : now;
    });
    t.comment(`${name}: ${JSON.stringify(status.arrival)}`);
    return status;
  };

  const first = await move(fleet.b, 'first', 'registered');
  t.match(first.arrival, { trigger: Number, hypervisor: Number, blackout: Number });
  t.ok((first.arrival?.trigger ?? 0) < 0, 'registered before it ran');
  const before = echoes.split('\n').length;
  const second = await move(fleet.c, 'second', 'registered');
  t.ok((second.arrival?.trigger ?? -1) >= 0);
  const { bindings } = await homeAgentStatus(files.homeAgentSocket);
  t.match(bindings, [{ careOfAddress: fleet.c.careOf }]);
  // What came to the old care-of address while it stood still waited for it here: only what QEMU's own queue had is lost.
  const late = echoes
    .split('\n')
    .slice(before)
    .filter((line) => delayOf(line) > 40);
  t.ok(late.length > 0, `${late.length} echoes were answered late, not lost`);
  await move(fleet.a, 'third', 'at-home');
  await answers(homeAgent, PAPER.guest);
  const neighbour = await homeAgent.run(['ip', '-6', 'neigh', 'show', PAPER.guest, 'dev', 'lan0']);
  t.match(neighbour, MAC, 'the home link knows it again');
  t.match((await homeAgentStatus(files.homeAgentSocket)).bindings, []);
  for (const away of [fleet.b, fleet.c]) {
    t.match(await away.guest(), { binding: { state: 'idle' }, machine: { state: 'gone' } });
  }
  await endProcess(pinging);
  t.comment(echoes.split('\n').filter((line) => !/bytes from/.test(line)).length);
  t.notMatch(echoes, /DUP/);
  await guest.machine.kill();
});
