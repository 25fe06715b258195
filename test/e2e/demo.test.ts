import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import t from 'tap';
import { until } from '../../src/cli/demo/netns.js';
import { KAGEMUSHA, nodeCommand } from '../../src/cli/demo/processes.js';
import type { DemoResult } from '../../src/cli/demo/result.js';
import { ordinaryUser } from '../support/ordinary-user.js';

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(words: readonly string[], wrap = (argv: string[]): string[] => argv) {
  const [program = '', ...rest] = wrap(nodeCommand(KAGEMUSHA, 'demo', ...words));
  const { KAGEMUSHA_SANDBOX: _, ...env } = process.env;
  const child = spawn(program, rest, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const said = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    said.stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    said.stderr += text;
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code) => resolve({ code, ...said }));
  });
  return { child, said, ended };
}

/** Processes below a process, by /proc. */
function descendants(pid: number): number[] {
  const parents = readdirSync('/proc').flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      return [[Number(name), parent] as const];
    } catch {
      return [];
    }
  });
  const below = (of: number): number[] =>
    parents.filter(([, parent]) => parent === of).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

function leftovers(): string[] {
  return readdirSync(tmpdir()).filter((name) => name.startsWith('kagemusha-'));
}

t.test('demo --json as root', async (t) => {
  const { code, stdout, stderr } = await start(['--json']).ended;
  t.equal(code, 0, stderr.split('\n').slice(-3).join(' | '));
  const result = JSON.parse(stdout) as DemoResult;
  t.equal(result.binding.status, 0);
  t.equal(result.ping.lost, 0);
  t.equal(result.tcp.survived, true);
  t.ok(result.tcp.bytes_before_move > 0 && result.tcp.bytes_after_move > 0);
  t.ok(result.tcp.longest_gap_ms > 0 && result.tcp.longest_gap_ms < 10_000);
  t.ok(result.iperf.up_bps > 1e9, `up ${(result.iperf.up_bps / 1e9).toFixed(2)} Gbit/s > 1`);
  t.ok(result.iperf.down_bps > 1e9, `down ${(result.iperf.down_bps / 1e9).toFixed(2)} Gbit/s > 1`);
  t.match(result.capture.binding_update, /DSTOPT.*mobility: BU seq#=\d+.*lifetime=60/);
  t.match(result.capture.binding_acknowledgement, /(RT6|srcrt) .*type=2.*mobility: BA status=0/);
  t.match(result.capture.guest_to_correspondent, /IP6.*echo request/);
  t.match(result.capture.correspondent_to_guest, /IP6.*echo reply/);
});

t.test('demo as an ordinary user, in a user namespace', async (t) => {
  const user = await ordinaryUser();
  t.teardown(() => user.remove());
  const { code, stdout, stderr } = await start([], user.wrap).ended;
  t.equal(code, 0, stderr.split('\n').slice(-3).join(' | '));
  t.match(stdout, /registered, status 0/);
  t.match(stdout, /lost while registered: 0/);
  t.match(stdout, /TCP stream +alive/);
});

for (const [signal, what] of [
  ['SIGINT', 'Ctrl-C'],
  ['SIGKILL', 'kill -9'],
] as const) {
  t.test(`${what} in the middle takes everything away`, async (t) => {
    const before = leftovers();
    const { child, said, ended } = start(['--json']);
    await until('the move', () => (/the cable moves/.test(said.stderr) ? true : undefined), 60_000);
    const processes = descendants(child.pid ?? 0);
    t.ok(processes.length > 4, 'daemons and tools run');
    child.kill(signal);
    const { code, stdout } = await ended;
    t.equal(code, signal === 'SIGINT' ? 130 : null);
    t.equal(stdout, '');
    await until('processes gone', () => (processes.some((pid) => alive(pid)) ? undefined : true));
    await until('files gone', () => (leftovers().length > before.length ? undefined : true));
    t.same(leftovers(), before, 'no files');
  });
}

function alive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
