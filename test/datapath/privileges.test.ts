import { spawnSync } from 'node:child_process';
import { getPriority } from 'node:os';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { ordinaryUser } from '../support/ordinary-user.js';

// A process that gives up its capabilities: what is left for the engine's threads, and that it still has its standard streams.

const ADDON = fileURLToPath(new URL('../../build/Release/kagemusha_native.node', import.meta.url));

/** The second image: its sets of capabilities, and the nice values of its engine's threads. */
const AFTER = `
  const { readFileSync, readdirSync } = require('node:fs');
  const { NativeEngine } = require(process.env.ADDON);
  const engine = new NativeEngine({ workers: 2, maxPorts: 4, maxTunnels: 4 }, () => {});
  setTimeout(() => {
    const status = readFileSync('/proc/self/status', 'utf8');
    const sets = Object.fromEntries(['CapEff', 'CapPrm', 'CapInh', 'CapAmb', 'NoNewPrivs'].map((name) =>
      [name, Number('0x' + new RegExp('^' + name + ':\\\\s*(\\\\w+)', 'm').exec(status)[1])]));
    const stats = readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/stat', 'utf8'));
    const nice = stats.filter((stat) => stat.includes('(kagemusha/')).map((stat) => Number(stat.split(') ')[1].split(' ')[16]));
    console.log(JSON.stringify({ ...sets, nice }));
    engine.close();
  }, 200);
`;
const BEFORE = `
  const { replaceProcess } = require(process.env.ADDON);
  const environment = ['ADDON=' + process.env.ADDON];
  replaceProcess(process.execPath, ['node', '-e', process.env.AFTER], environment);
`;

const skip = process.getuid?.() === 0 ? false : 'needs root';
const CAP_SYS_NICE = 1 << 23;

for (const [rights, kept, nice] of [
  ['net_raw', 0, getPriority()],
  ['net_raw,+sys_nice', CAP_SYS_NICE, -10],
] as const) {
  t.test(`with ${rights}`, { skip }, async (t) => {
    const user = await ordinaryUser(rights);
    t.teardown(async () => await user.remove());
    const variables = ['-u', 'NODE_OPTIONS', `ADDON=${ADDON}`, `AFTER=${AFTER}`];
    const argv = user.wrap(['env', ...variables, process.execPath, '-e', BEFORE]);
    const { stdout, stderr } = spawnSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' });
    t.equal(stderr, '');
    t.same(JSON.parse(stdout), {
      CapEff: kept,
      CapPrm: kept,
      CapInh: kept,
      CapAmb: kept,
      NoNewPrivs: 1,
      nice: [nice, nice],
    });
  });
}
