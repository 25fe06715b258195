import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Netns } from '../../src/cli/demo/netns.js';
import { eventually } from './world.js';

// Devices that are deleted under an engine that has nothing else to do. Nothing is sent to them, so nothing but the engine notices.

const CHILD = fileURLToPath(new URL('lost-devices-child.ts', import.meta.url));

interface Said {
  opened?: boolean;
  lost?: string;
  wakeups?: number;
  devicesLost?: number;
  uplinksLost?: number;
  ports?: number[];
}

const skip = process.getuid?.() === 0 ? false : 'needs root';

for (const [uplink, workers] of [
  ['tun', 1],
  ['packet', 1],
  ['packet', 3],
] as const) {
  t.test(`${uplink} uplink, ${workers} workers: what is deleted is told`, { skip }, async (t) => {
    const netns = await Netns.create(`kgld${process.pid}`);
    t.teardown(async () => await netns.remove());
    await netns.ip('link add l0 type veth peer name l1');
    if (uplink === 'packet') await netns.ip('link add w0 type veth peer name w1');
    for (const device of uplink === 'packet' ? ['l0', 'l1', 'w0', 'w1'] : ['l0', 'l1']) {
      await netns.ip(`link set ${device} up`);
    }
    const argv = [process.execPath, ...process.execArgv, CHILD, uplink, String(workers)];
    const child = netns.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    const closed = new Promise((resolve) => child.once('close', resolve));
    const said: Said[] = [];
    if (!child.stdout) throw new Error('no pipes');
    createInterface(child.stdout).on('line', (line) => said.push(JSON.parse(line) as Said));
    await eventually('the devices', () => said[0]?.opened);
    if (uplink === 'tun') await netns.ip('link set w0 up');
    await netns.ip('link set kgtap0 up');

    for (const [device, name] of [
      ['l0', 'link'],
      ['w0', 'uplink'],
      ['kgtap0', 'tap'],
    ] as const) {
      const before = said.length;
      await netns.ip(`link set ${device} down`);
      await new Promise((resolve) => setTimeout(resolve, 1500));
      t.equal(said.length, before, `${device} is down: it may come again`);
      await netns.ip(`link delete ${device}`);
      const { lost } = await eventually('a loss', () => said[before]);
      t.equal(lost, name);
    }
    child.stdin?.end();
    await closed;
    const { wakeups = 0, ...rest } = said.at(-1) ?? {};
    t.same(rest, { devicesLost: 3, uplinksLost: 1, ports: [1, 1] });
    t.equal(said.length, 5, 'each once');
    t.ok(wakeups < 100, `${wakeups} wakeups`);
  });
}
