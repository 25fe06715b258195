import t from 'tap';
import { VirtualMachine } from '../../src/migration/index.js';
import type { VmNews } from '../../src/migration/virtual-machine.js';

const status = (text: string): VmNews => ({ kind: 'status', status: text });
const migration = (text: string): VmNews => ({ kind: 'migration', status: text });
const stop: VmNews = { kind: 'stop' };
const resume: VmNews = { kind: 'resume' };

/** What each piece of news changes for the guest, and how its machine is at the end. */
function after(...news: VmNews[]): { changes: (string | undefined)[]; state: string } {
  const machine = new VirtualMachine();
  return { changes: news.map((one) => machine.tell(one)), state: machine.state };
}

t.test('one that comes arrives when it runs, not when its state is here', async (t) => {
  const there = [migration('setup'), migration('active'), migration('completed')];
  t.strictSame(after(status('inmigrate'), ...there, resume), {
    changes: ['awaited', 'awaited', 'awaited', 'awaited', 'arrived'],
    state: 'running',
  });
  const now = [migration('active'), resume, migration('completed'), stop, resume];
  t.strictSame(
    after(status('inmigrate'), ...now).changes,
    ['awaited', 'awaited', 'arrived', undefined, undefined, undefined],
    'QEMU 7.2 says so in this order',
  );
  t.strictSame(
    after(status('inmigrate'), migration('active'), migration('failed')).changes,
    ['awaited', 'awaited', 'awaited'],
    'it never came',
  );
  t.strictSame(
    after(status('paused'), resume).changes,
    [undefined, 'arrived'],
    'the monitor was asked when all of it was there',
  );
  t.strictSame(after(status('running')).changes, ['arrived']);
  t.strictSame(after(status('prelaunch'), resume).changes, ['awaited', 'arrived']);
});

t.test(
  'one that goes is leaving when it stops, and has left when all of it is there',
  async (t) => {
    const going = [status('running'), migration('setup'), migration('active')];
    t.strictSame(after(...going, stop, migration('completed')), {
      changes: ['arrived', undefined, 'departing', 'leaving', 'left'],
      state: 'gone',
    });
    t.strictSame(
      after(...going, stop, migration('failed'), resume).changes.slice(3),
      ['leaving', undefined, 'returned'],
      'it comes back',
    );
    t.strictSame(
      after(...going, migration('cancelled'), stop, resume).changes.slice(3),
      [undefined, undefined, undefined],
      'cancelled while it ran; a pause afterwards is nothing',
    );
    t.strictSame(
      after(status('running'), stop, migration('active'), migration('completed')).changes.slice(1),
      [undefined, 'leaving', 'left'],
      'paused before',
    );
    t.strictSame(after(status('finish-migrate'), migration('completed')).changes, [
      'leaving',
      'left',
    ]);
    t.strictSame(after(status('postmigrate')).changes, ['left'], 'it left while nobody looked');
  },
);

t.test('what looks like leaving, and is not; what leaves without saying so', async (t) => {
  const snapshot = [migration('setup'), stop, migration('completed'), resume];
  t.strictSame(
    after(status('running'), ...snapshot).changes,
    ['arrived', undefined, undefined, undefined, undefined],
    'savevm',
  );
  t.strictSame(
    after(status('running'), migration('active'), stop, migration('postcopy-active')).changes,
    ['arrived', 'departing', 'leaving', 'left'],
    'it runs there already',
  );
  t.strictSame(
    after(status('inmigrate'), migration('active'), resume, stop, migration('completed')).changes,
    ['awaited', 'awaited', 'arrived', undefined, undefined],
    'somebody pauses it before all of it is here',
  );
  t.strictSame(after(status('running'), stop, status('postmigrate')).changes, [
    'arrived',
    undefined,
    'left',
  ]);
  t.strictSame(
    after(status('running'), status('inmigrate')).changes,
    ['arrived', 'awaited'],
    'another QEMU at the same place',
  );
  t.strictSame(after(status('running'), { kind: 'shutdown' }, stop).state, 'gone', '-no-shutdown');
  t.strictSame(after(status('suspended')).changes, ['arrived'], 'it sleeps, here');
  t.strictSame(
    after(status('finish-migrate'), status('paused'), resume).changes,
    ['leaving', undefined, 'arrived'],
    'asked while it stands still',
  );
});

t.test('there and back again; and the end', async (t) => {
  const away = [status('running'), migration('active'), stop, migration('completed')];
  t.strictSame(after(...away, status('inmigrate'), resume).changes.slice(3), [
    'left',
    'awaited',
    'arrived',
  ]);
  t.strictSame(after(status('running'), { kind: 'shutdown' }, status('shutdown')).changes, [
    'arrived',
    'left',
    undefined,
  ]);
  t.strictSame(
    after(status('running'), stop, status('paused'), resume, status('running')).changes,
    ['arrived', undefined, undefined, undefined, undefined],
    'somebody pauses it, the monitor is asked again',
  );
});
