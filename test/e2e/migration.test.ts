import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { endProcess, until } from '../../src/cli/demo/netns.js';
import { homeAgentStatus, KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { noVirtualMachine } from '../../src/cli/demo/vm/machine.js';
import { answers, end, twenty } from '../support/journey.js';
import { captureOn, tsharkFields } from '../support/judge.js';
import { hostC as makeHostC, virtualHosts } from '../support/virtual-hosts.js';

const skip = noVirtualMachine;

t.test(
  'a machine migrates to Host B, which registers it when it runs there',
  { skip, timeout: 240_000 },
  async (t) => {
    const hosts = await virtualHosts(t, { protection: 'none' });
    const { hostB } = hosts;
    const { hostA, files } = hosts.testbed;
    await hostB.start();
    t.match(await hostB.guest(), {
      binding: { state: 'idle' },
      machine: { state: 'unknown', reason: /^waiting for QEMU's monitor at .*b.qmp$/ },
    });
    const home = await hosts.boot();
    const there = await hostB.awaitGuest('first');

    // A migration that is cancelled: nothing was said in the guest's name.
    const capture = await captureOn(hostB.netns, 'wan0', hosts.path('wan.pcap'), 'ip6');
    await home.qmp.do('migrate-set-parameters', { 'max-bandwidth': 1_000_000 });
    await home.qmp.do('migrate', { uri: `unix:${hosts.path('first')}` });
    await home.qmp.event('MIGRATION', 'active');
    await home.qmp.do('migrate_cancel');
    await home.qmp.event('MIGRATION', 'cancelled');
    await there.machine.kill();
    await answers(hostA, PAPER.guest);

    const again = await hostB.awaitGuest('second');
    await hosts.migrate(home, `unix:${hosts.path('second')}`);
    const resume = await again.qmp.event('RESUME');
    await hostB.bindingIs('registered');
    await answers(hostA, PAPER.guest);
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'echoes from home');
    t.match(
      await again.machine.run(`ping6 -c 5 -i 0.1 ${PAPER.hostA}`),
      / 0% packet loss/,
      'and from the guest, which has its address',
    );
    await home.machine.kill();
    await capture.stop();
    const updates = await tsharkFields(capture.file, 'mip6.mhtype == 5', ['frame.time_epoch']);
    const [first = ''] = updates[0] ?? [];
    const trigger = Number(first) * 1000 - resume.at;
    t.comment(`RESUME to Binding Update: ${trigger.toFixed(2)} ms`);
    t.ok(trigger > -1 && trigger < 1000, 'and no other came before');

    // The daemon ends and starts again: the monitor says that the machine runs here.
    await end(hostB.daemon, 'SIGKILL');
    await hostB.start();
    await hostB.machineIs('running');
    await hostB.bindingIs('registered');
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'after a restart of the daemon');

    // By hand, as a script of another hypervisor would.
    const kagemusha = (...words: string[]) =>
      hostB.netns.run(nodeCommand(KAGEMUSHA, ...words, '--socket', hostB.socket));
    t.match(await kagemusha('release', 'vm1'), /^vm1: released;/);
    t.match((await hostB.guest()).binding, { state: 'idle' });
    const { bindings } = await homeAgentStatus(files.homeAgentSocket);
    t.equal(bindings.length, 1, 'the Home Agent was told nothing');
    t.equal((await ping(hostA, PAPER.guest, 1, 500)).received, 0, 'and no packet passes here');
    t.match(await kagemusha('adopt', 'vm1'), /^vm1: registered/);
    t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'adopted again');

    // The machine ends.
    await again.qmp.do('quit');
    await hostB.bindingIs('idle');
  },
);

/** Takes one TCP connection, and tells how many octets came and whether it ended. */
const LISTENER = `require('node:net').createServer((c) => {
  let octets = 0;
  c.on('data', (data) => console.log((octets += data.length)));
  c.on('close', () => console.log('closed'));
}).listen(7000, '::', () => console.log('ready'))`;

t.test(
  'home, Host B, Host C, Host B: TCP goes on, no echo is answered twice',
  { skip, timeout: 240_000 },
  async (t) => {
    // ESP with one set of keys for both hosts, and a replay window at the Home Agent.
    const hosts = await virtualHosts(t);
    const { hostB } = hosts;
    const hostC = await makeHostC(t, hosts);
    const { hostA, files } = hosts.testbed;
    await hostB.start();
    await hostC.start();
    let guest = await hosts.boot();

    let heard = '';
    const listener = hostA.spawn([process.execPath, '-e', LISTENER], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    listener.stdout?.on('data', (data) => {
      heard += data;
    });
    await until('a listener', () => (heard.includes('ready') ? true : undefined));
    await guest.machine.run(
      `(while :; do echo tick; sleep 0.1; done | nc ${PAPER.hostA} 7000) >/dev/null 2>&1 &`,
    );
    const ticks = (): number => heard.split('\n').length;
    const goesOn = async (): Promise<void> => {
      const before = ticks();
      await until('the TCP stream', () => (ticks() > before + 3 ? true : undefined), 60_000);
    };
    await goesOn();
    let echoes = '';
    const pinging = hostA.spawn(['ping', '-6', '-n', '-O', '-i', '0.1', PAPER.guest], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    pinging.stdout?.on('data', (data) => {
      echoes += data;
    });

    for (const [move, to] of [hostB, hostC, hostB].entries()) {
      const from = `move${move}`;
      const next = await to.awaitGuest(from);
      await hosts.migrate(guest, `unix:${hosts.path(from)}`);
      await guest.machine.kill();
      guest = next;
      await to.bindingIs('registered');
      const { bindings } = await homeAgentStatus(files.homeAgentSocket);
      t.match(bindings, [{ careOfAddress: to.careOf }], `move ${move}: the Home Agent knows`);
      const { arrival } = await to.guest();
      t.comment(`move ${move}: ${JSON.stringify(arrival)}`);
      t.ok((arrival?.trigger ?? -1) > 0 && (arrival?.answer ?? -1) > 0);
      await answers(hostA, PAPER.guest);
      await goesOn();
    }
    t.match((await hostC.guest()).binding, { state: 'idle' }, 'Host C has forgotten it');
    t.match((await hostC.guest()).machine, { state: 'gone' });
    await endProcess(pinging);
    t.notMatch(echoes, /DUP/, 'no echo was answered twice');
    t.ok(echoes.split('bytes from').length > 30);
    t.notMatch(heard, /closed/, 'one connection all the way');
    await endProcess(listener);
    await guest.machine.kill();
  },
);
