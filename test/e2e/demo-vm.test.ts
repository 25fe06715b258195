import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import t from 'tap';
import { installed, KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import { noVirtualMachine } from '../../src/cli/demo/vm/machine.js';
import type { VmResult } from '../../src/cli/demo/vm/result.js';

const skip =
  noVirtualMachine || ((await installed('qemu-nbd')) ? false : 'needs qemu-nbd (qemu-utils)');

t.test(
  'demo --vm --disk --json: a machine moves and its blackout is split',
  { skip },
  async (t) => {
    const figure = join(t.testdir(), 'figure.svg');
    const words = ['--vm', '--disk', '--json', '--figure', figure];
    const [program = '', ...rest] = nodeCommand(KAGEMUSHA, 'demo', ...words);
    const { KAGEMUSHA_SANDBOX: _, ...env } = process.env;
    const child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const said = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text) => {
        said[stream] += text;
      });
    }
    const code = await new Promise((resolve) => child.once('close', resolve));
    t.equal(code, 0, said.stderr.split('\n').slice(-3).join(' | '));
    const result = JSON.parse(said.stdout) as VmResult;
    t.match(result.binding, { state: 'registered', status: 0, protection: /esp/ });
    t.match(result.tcp, { alive: true });
    t.equal(result.ping.reachable_after, true);
    t.equal(result.ping.before.lost, 0);
    t.equal(result.disk?.records_intact, result.disk?.records_written);
    t.ok((result.disk?.records_after_move ?? 0) > 0, 'it writes on Host B');

    const { marks, blackout, migration } = result;
    t.comment(JSON.stringify({ marks, blackout, migration }));
    t.ok(migration.octets > 60e6 && migration.total_ms > 5000, "the WAN was the paper's");
    t.ok(0 < marks.stop_ms && marks.stop_ms < marks.resume_ms);
    t.ok(marks.binding_update_ms < marks.binding_acknowledgement_ms);
    const { hypervisor_ms, trigger_ms, home_agent_ms, delivery_ms, total_ms } = blackout;
    const sum = hypervisor_ms + trigger_ms + home_agent_ms + delivery_ms;
    if (!blackout.early) t.ok(Math.abs(sum - total_ms) < 0.01, 'the parts are the whole');
    t.ok(trigger_ms < 500, `the Binding Update leaves ${trigger_ms.toFixed(1)} ms after RESUME`);
    t.ok((result.ping.copy.median_ms ?? 0) > (result.ping.before.median_ms ?? 0), 'a full wire');
    const svg = await readFile(figure, 'utf8');
    t.match(svg, /<svg .*STOP.*RESUME.*BU.*BA.*<\/svg>\n$/s);
  },
);
