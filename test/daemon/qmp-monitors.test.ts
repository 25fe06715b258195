import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { until } from '../../src/cli/demo/netns.js';
import { QmpMonitors } from '../../src/daemon/qmp-monitors.js';
import { shortDirectory } from '../support/short-directory.js';

const GREETING = '{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 9}}}}\r\n';

/** Listens as QEMU does, and serves one client at a time. */
class Qemu {
  readonly server: Server;
  client: Socket | undefined;
  status = 'running';
  served = 0;

  constructor(path: string) {
    this.server = createServer((socket) => {
      this.client = socket;
      this.served += 1;
      socket.on('error', () => {});
      socket.write(GREETING);
      socket.setEncoding('utf8').on('data', (text) => {
        for (const line of String(text).split('\n').filter(Boolean)) {
          const { execute, id } = JSON.parse(line);
          const value = execute === 'query-status' ? { running: true, status: this.status } : {};
          socket.write(`${JSON.stringify({ return: value, id })}\r\n`);
        }
      });
    });
    this.server.listen(path);
  }

  says(event: object): void {
    const timestamp = { seconds: 1_700_000_000, microseconds: 0 };
    this.client?.write(`${JSON.stringify({ timestamp, ...event })}\r\n`);
  }

  async end(): Promise<void> {
    this.client?.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

function monitors(t: Test): {
  monitors: QmpMonitors;
  changes: string[];
  lost: string[];
  path: string;
} {
  const changes: string[] = [];
  const log = pino({ level: 'silent' });
  const lost: string[] = [];
  const made = new QmpMonitors(
    log,
    (guest, change) => changes.push(`${guest} ${change}`),
    (guest) => lost.push(guest),
  );
  t.teardown(() => made.stop());
  return { monitors: made, changes, lost, path: join(shortDirectory(t), 'q') };
}

t.test('QEMU comes, says what happens, ends, and comes again', async (t) => {
  const { monitors: all, changes, lost, path } = monitors(t);
  all.follow({ guest: 'vm1', path });
  const reason = `waiting for QEMU's monitor at ${path}`;
  t.strictSame(all.status('vm1'), { monitor: path, state: 'unknown', reason });
  t.equal(all.status('vm2'), undefined);

  const first = new Qemu(path);
  const told = (count: number) =>
    until('changes', () => (changes.length === count ? true : undefined));
  await told(1);
  t.strictSame(all.status('vm1'), { monitor: path, state: 'running' });
  first.says({ event: 'MIGRATION', data: { status: 'active' } });
  first.says({ event: 'STOP' });
  await told(3);
  t.strictSame(all.status('vm1'), { monitor: path, state: 'leaving' });
  t.strictSame(lost, ['vm1'], 'before it was there');
  await first.end();
  await until('its end', () => (all.status('vm1')?.reason === undefined ? undefined : true));
  t.match(all.status('vm1'), { state: 'leaving', reason: /: it closed the connection$/ });
  const seen = ['vm1 arrived', 'vm1 departing', 'vm1 leaving'];
  t.strictSame(changes, seen, 'no connection is no sign of the guest');
  t.ok(lost.length > 1);

  const second = new Qemu(path);
  second.status = 'postmigrate';
  await told(4);
  t.strictSame(changes.slice(3), ['vm1 left']);
  await second.end();
});

t.test(
  'QEMU is killed, somebody says that the guest is gone, and it is started again',
  async (t) => {
    const { monitors: all, changes, path } = monitors(t);
    all.follow({ guest: 'vm1', path });
    const arrivals = (count: number) =>
      until('arrivals', () => (changes.length === count ? true : undefined));
    const first = new Qemu(path);
    await arrivals(1);
    all.released('vm1');
    t.match(
      all.status('vm1'),
      { state: 'running' },
      'of a machine that is there its monitor tells',
    );
    await first.end();
    await until('its end', () => (all.status('vm1')?.reason === undefined ? undefined : true));
    all.released('vm1');
    t.match(all.status('vm1'), { state: 'gone' });
    const second = new Qemu(path);
    await arrivals(2);
    t.strictSame(changes, ['vm1 arrived', 'vm1 arrived']);
    await second.end();
  },
);

t.test('one that serves another client, one that is none, one that is forgotten', async (t) => {
  const { monitors: all, changes, path } = monitors(t);
  const accepted: Socket[] = [];
  const silent = createServer((socket) => accepted.push(socket.on('error', () => {})));
  silent.listen(path);
  all.follow({ guest: 'vm1', path });
  await until('patience to end', () =>
    /has another client.*-qmp of its own$/.test(all.status('vm1')?.reason ?? '') ? true : undefined,
  );
  for (const socket of accepted) socket.destroy();
  await new Promise((resolve) => silent.close(resolve));

  const other = createServer((socket) => socket.on('error', () => {}).write('220 hello\r\n'));
  other.listen(path);
  await until('nonsense', () =>
    /is no monitor of QEMU's; name the path/.test(all.status('vm1')?.reason ?? '')
      ? true
      : undefined,
  );
  all.forget('vm1');
  t.equal(all.status('vm1'), undefined);
  await new Promise((resolve) => other.close(resolve));
  t.strictSame(changes, []);
});
