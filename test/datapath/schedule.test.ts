import { spawnSync } from 'node:child_process';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { ordinaryUser } from '../support/ordinary-user.js';

const ADDON = fileURLToPath(new URL('../../build/Release/kagemusha_native.node', import.meta.url));

/** The slice of a thread that asks for 1 ms, and of a process that it starts; /proc/…/sched has it in milliseconds. */
const ASKS = `
  const { execFileSync } = require('node:child_process');
  const { readFileSync } = require('node:fs');
  const slice = (text) => Number(/^se\\.slice\\s*:\\s*(\\d+)/m.exec(text)?.[1] ?? 0);
  const own = () => slice(readFileSync('/proc/thread-self/sched', 'utf8'));
  const before = own();
  const taken = require(process.env.ADDON).shortenSlice(1000);
  const child = slice(execFileSync('cat', ['/proc/self/sched'], { encoding: 'utf8' }));
  console.log(JSON.stringify({ taken, before, own: own(), child }));
`;

const [major = 0, minor = 0] = release().split('.').map(Number);
const old = major * 100 + minor < 612 ? 'needs Linux 6.12' : false;
const skip = process.getuid?.() === 0 ? old : 'needs root, to become an ordinary user';

t.test('an ordinary user gets shorter turns; what it starts does not', { skip }, async (t) => {
  const user = await ordinaryUser();
  t.teardown(async () => await user.remove());
  const argv = user.wrap([
    'env',
    '-u',
    'NODE_OPTIONS',
    `ADDON=${ADDON}`,
    process.execPath,
    '-e',
    ASKS,
  ]);
  const { stdout, stderr } = spawnSync(argv[0] ?? '', argv.slice(1), { encoding: 'utf8' });
  t.equal(stderr, '');
  const { taken, before, own, child } = JSON.parse(stdout);
  t.equal(taken, true);
  t.equal(own, 1_000_000);
  t.ok(before > own, 'it was longer before');
  t.equal(child, before);
});
