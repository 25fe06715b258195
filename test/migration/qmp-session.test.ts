import t from 'tap';
import { QmpSession, type QmpSessionOutput } from '../../src/migration/index.js';

/** As a QEMU 7.2 says it. */
const GREETING =
  '{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": "Debian 1:7.2+dfsg-7+deb12u16"}, "capabilities": ["oob"]}}\r\n';

class Monitor {
  readonly session = new QmpSession();

  /** What the session does when the monitor says this. */
  says(text: string): QmpSessionOutput[] {
    this.session.receive(text);
    const outputs: QmpSessionOutput[] = [];
    for (let next = this.session.poll(); next; next = this.session.poll()) outputs.push(next);
    return outputs;
  }

  /** Past the handshake: its machine is in this state. */
  static in(status: string): { monitor: Monitor; outputs: QmpSessionOutput[] } {
    const monitor = new Monitor();
    monitor.says(GREETING);
    monitor.says('{"return": {}, "id": 0}\r\n');
    monitor.says('{"return": {}, "id": 1}\r\n');
    const running = status === 'running';
    const json = JSON.stringify({
      return: { status, singlestep: false, running },
      id: 2,
    });
    return { monitor, outputs: monitor.says(`${json}\r\n`) };
  }
}

const sent = (outputs: readonly QmpSessionOutput[]): unknown[] =>
  outputs.map((output) => (output.type === 'send' ? JSON.parse(output.line) : output));

t.test('greeted, it asks for the events of migrations and for the state', async (t) => {
  const monitor = new Monitor();
  t.strictSame(sent(monitor.says(GREETING.slice(0, 30))), [], 'half a line is none');
  t.strictSame(sent(monitor.says(GREETING.slice(30))), [{ execute: 'qmp_capabilities', id: 0 }]);
  t.match(sent(monitor.says('{"return": {}, "id": 0}\r\n')), [
    {
      execute: 'migrate-set-capabilities',
      arguments: { capabilities: [{ capability: 'events', state: true }] },
      id: 1,
    },
  ]);
  // It is refused while a migration runs.
  const refusal = "There's a migration process in progress";
  const error = JSON.stringify({ id: 1, error: { class: 'GenericError', desc: refusal } });
  t.strictSame(sent(monitor.says(`${error}\r\n`)), [{ execute: 'query-status', id: 2 }]);
  t.strictSame(
    monitor.says(
      '{"return": {"status": "inmigrate", "singlestep": false, "running": false}, "id": 2}\r\n',
    ),
    [
      { type: 'ready', version: '7.2.22' },
      { type: 'news', news: { kind: 'status', status: 'inmigrate' } },
    ],
  );
});

t.test('what its machine does', async (t) => {
  const { monitor, outputs } = Monitor.in('running');
  t.match(outputs, [{ type: 'ready' }, { news: { kind: 'status', status: 'running' } }]);
  const told = (event: object) =>
    monitor
      .says(`${JSON.stringify({ timestamp: { seconds: 1, microseconds: 2 }, ...event })}\r\n`)
      .map((output) => (output.type === 'news' ? output.news : output));
  t.strictSame(told({ event: 'STOP' }), [{ kind: 'stop' }]);
  t.strictSame(told({ event: 'RESUME' }), [{ kind: 'resume' }]);
  t.strictSame(told({ event: 'MIGRATION', data: { status: 'pre-switchover' } }), [
    { kind: 'migration', status: 'pre-switchover' },
  ]);
  t.strictSame(told({ event: 'SHUTDOWN', data: { guest: true, reason: 'guest-shutdown' } }), [
    { kind: 'shutdown' },
  ]);
  t.strictSame(told({ event: 'NIC_RX_FILTER_CHANGED', data: { name: 'x' } }), [], 'others');
  t.strictSame(told({ event: 'MIGRATION' }), [], 'one without a status');
  monitor.session.ask();
  t.match(sent(monitor.says('')), [{ execute: 'query-status', id: 2 }], 'asked once more');
  t.strictSame(
    monitor.says('{"return": {"status": "postmigrate", "running": false}, "id": 2}\r\n'),
    [{ type: 'news', news: { kind: 'status', status: 'postmigrate' } }],
  );
});

t.test('what is no monitor, or does not let us in', async (t) => {
  const useless = (...texts: string[]): unknown => {
    const monitor = new Monitor();
    const outputs = texts.flatMap((text) => monitor.says(text));
    t.strictSame(monitor.says(GREETING), [], 'it is not listened to any more');
    return outputs.at(-1);
  };
  t.match(useless('SSH-2.0-OpenSSH_9.2\r\n'), { type: 'useless', reason: /is no monitor/ });
  t.match(useless('{"return": {}, "id": 7}\n'), { reason: /does not say so first/ });
  t.match(useless('[1, 2]\n'), { reason: /is no monitor/ });
  t.match(useless('{"QMP": {"version": 1}}\n'), { reason: /is no monitor/ });
  t.match(useless('x'.repeat(1 << 20), 'x'), { reason: /lines without an end/ });
  const refusal = '{"error": {"class": "CommandNotFound", "desc": "no"}, "id": 0}\n';
  t.match(useless(GREETING, refusal), { reason: 'QEMU says: no' });
  t.match(
    useless(
      GREETING,
      '{"return": {}, "id": 0}\n{"return": {}, "id": 1}\n{"return": {"status": 1}, "id": 2}\n',
    ),
    { reason: /does not tell whether its machine runs/ },
  );
});
