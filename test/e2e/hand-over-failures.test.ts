import { readFile, writeFile } from 'node:fs/promises';
import t, { type Test } from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { answers } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import {
  type Daemon,
  homeAgentStatus,
  KAGEMUSHA,
  nodeCommand,
} from '../../src/cli/demo/processes.js';
import { Authority } from '../../src/cli/demo/vm/certificates.js';
import { noVirtualMachine } from '../../src/cli/demo/vm/machine.js';
import { SlowWire } from '../../src/cli/demo/vm/slow-wire.js';
import type { Qemu, VmHost } from '../../src/cli/demo/vm/vm-host.js';
import { end } from '../support/journey.js';
import { virtualFleet } from '../support/virtual-fleet.js';

/** It stands still early: nearly all of its memory is copied then. */
const STANDING = { 'max-bandwidth': 10_000_000, 'downtime-limit': 1_000_000 };
const SLOW = 20_000_000;

const said = async (daemon: Daemon, line: RegExp): Promise<true> =>
  await until(`${line}`, () => (line.test(daemon.log) ? true : undefined)).catch((cause: Error) => {
    throw new Error(`${cause.message} in ${daemon.log}`);
  });

t.test(
  'whatever fails while it goes, the guest is reached in the end, and is in one place',
  { skip: noVirtualMachine, timeout: 400_000 },
  async (t) => {
    const fleet = await virtualFleet(t);
    const { a, b, c, hosts } = fleet;
    const { homeAgent, files } = hosts.testbed;
    for (const host of [a, b, c]) await host.start();
    let guest = await fleet.boot();
    await a.machineIs('running');

    /** Where the Home Agent sends its packets. */
    const boundAt = async (careOf: string | undefined): Promise<true> =>
      await until(`a binding at ${careOf ?? 'home'}`, async () => {
        const { bindings } = await homeAgentStatus(files.homeAgentSocket);
        return bindings[0]?.careOfAddress === careOf ? true : undefined;
      });
    const reachedAt = async (t: Test, host: VmHost): Promise<void> => {
      await boundAt(host.careOf);
      await answers(homeAgent, PAPER.guest);
      for (const other of [a, b, c]) {
        if (other === host) continue;
        const { binding } = await other.guest().catch(() => ({ binding: { state: 'idle' } }));
        t.match(binding.state, /^(idle|at-home)$/, 'nobody else has it');
      }
    };
    const uri = (name: string): string => `unix:${hosts.path(name)}`;
    const move = async (to: Qemu, name: string): Promise<void> => {
      await hosts.migrate(guest, uri(name));
      await guest.machine.kill();
      guest = to;
    };

    await t.test(
      'it breaks while the guest stands still: the early binding is given back',
      async (t) => {
        const there = await b.awaitGuest('one');
        await guest.qmp.do('migrate-set-parameters', STANDING);
        const wire = new SlowWire(hosts.path('slow-one'), hosts.path('one'), SLOW);
        await guest.qmp.do('migrate', { uri: uri('slow-one') });
        await guest.qmp.event('STOP');
        wire.hold();
        await b.bindingIs('registered');
        await boundAt(b.careOf);
        wire.cut();
        await guest.qmp.event('RESUME');
        await there.machine.kill();
        await b.bindingIs('idle');
        await a.bindingIs('at-home');
        await reachedAt(t, a);
      },
    );

    await t.test('no monitor where it comes: its first frame tells', async (t) => {
      const there = await b.awaitGuest('two', undefined, { daemon: 'without' });
      await move(there, 'two');
      await b.bindingIs('registered');
      await reachedAt(t, b);
    });

    await t.test('no monitor where it leaves: the next host says that it has it', async (t) => {
      await move(await c.awaitGuest('three'), 'three');
      await c.bindingIs('registered');
      await b.bindingIs('idle');
      await said(b.daemon, /"to":"host-c","msg":"another host has the guest"/);
      await reachedAt(t, c);
    });

    await t.test('no daemon where it comes', async (t) => {
      await end(b.daemon, 'SIGKILL');
      const there = await b.awaitGuest('four', undefined, { daemon: 'later' });
      await move(there, 'four');
      await c.bindingIs('idle');
      await said(c.daemon, /no hand-over: host-b at .* is kagemusha running there\?/);
      await b.start();
      await b.bindingIs('registered');
      await reachedAt(t, b);
    });

    await t.test('the daemon where it leaves dies in the middle', async (t) => {
      const there = await c.awaitGuest('five');
      await guest.qmp.do('migrate-set-parameters', STANDING);
      const before = guest.qmp.events.length;
      const wire = new SlowWire(hosts.path('slow-five'), hosts.path('five'), SLOW);
      await guest.qmp.do('migrate', { uri: uri('slow-five') });
      await guest.qmp.event('STOP', undefined, before);
      wire.hold();
      await end(b.daemon, 'SIGKILL');
      wire.go();
      t.teardown(() => wire.cut());
      await guest.qmp.event('MIGRATION', 'completed', before);
      await c.bindingIs('registered');
      await boundAt(c.careOf);
      await b.start();
      await b.machineIs('gone');
      await reachedAt(t, c);

      // Its QEMU is told to run it once more, by mistake.
      await guest.qmp.do('cont');
      await b.machineIs('running');
      await c.bindingIs('idle');
      const conflict = /it was here, and is on host-b, which keeps it/;
      t.match((await c.guest()).conflict, conflict);
      await said(c.daemon, conflict);
      await said(b.daemon, /its machine ran on host-c too, which has let go of it/);
      await reachedAt(t, b);
      await guest.machine.kill();
      guest = there;
      await c.netns.run(nodeCommand(KAGEMUSHA, 'adopt', 'vm1', '--socket', c.socket));
      await b.bindingIs('idle');
      t.equal((await c.guest()).conflict, undefined);
      await reachedAt(t, c);
    });

    await t.test('a certificate of an authority that nobody knows', async (t) => {
      const others = new Authority(hosts.testbed.directory, 'others').issue('host-b');
      const config = hosts.path('host-b.toml');
      const text = (await readFile(config, 'utf8'))
        .replace(/^certificate = .*$/m, `certificate = "${others.certificate}"`)
        .replace(/^key_file = .*\.key"$/m, `key_file = "${others.key}"`);
      await end(b.daemon, 'SIGTERM');
      await writeFile(config, text);
      await b.start();
      await move(await b.awaitGuest('six'), 'six');
      await b.bindingIs('registered');
      await said(c.daemon, /no hand-over: host-b at .*: its certificate is not believed/);
      await said(b.daemon, /no hand-over: host-[ac] at .*: it closed the connection/);
      await c.bindingIs('idle');
      await reachedAt(t, b);
    });
    await guest.machine.kill();
  },
);
