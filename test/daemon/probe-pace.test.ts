import t from 'tap';
import { monotonicNow } from '../../src/daemon/driver.js';
import { ErrorBudget, sharedErrorBudget } from '../../src/daemon/error-budget.js';
import { Gathered } from '../../src/daemon/gathered.js';
import { ProbePace } from '../../src/daemon/probe-pace.js';
import { eventually } from '../datapath/world.js';

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

t.test(
  'RFC 4821 7: thousands of tunnels that open at once probe 500 times a second, all in their turn',
  async (t) => {
    const pace = new ProbePace();
    t.teardown(() => pace.stop());
    const began = monotonicNow();
    let sent = 0;
    let refused = 0;
    let opened = 0;
    for (let tunnel = 0; tunnel < 100; tunnel++) {
      pace.begin(() => {
        opened += 1;
        for (let probe = 0; probe < 8; probe++) {
          if (pace.take()) sent += 1;
          else refused += 1;
        }
      });
    }
    t.equal(opened, 0, 'not before begin() has returned');
    await eventually('all tunnels', () => (opened === 100 ? true : undefined));
    const seconds = (monotonicNow() - began) / 1000;
    t.equal(sent, 800);
    t.equal(refused, 0, 'none looks lost that was not sent');
    t.ok(sent <= 500 + 500 * seconds + 1, `${sent} probes in ${seconds} s`);
  },
);

t.test('a tunnel that closes before its turn does not open', async (t) => {
  const pace = new ProbePace();
  t.teardown(() => pace.stop());
  const opened: string[] = [];
  const first = () => opened.push('first');
  pace.begin(first);
  pace.begin(() => opened.push('second'));
  pace.withdraw(first);
  await eventually('the second', () => opened[0]);
  t.strictSame(opened, ['second']);
  pace.stop();
  pace.begin(() => opened.push('third'));
  await after(5);
  t.strictSame(opened, ['second']);
});

t.test('many changes of paths are one table', async (t) => {
  const acted: number[] = [];
  const gathered = new Gathered(() => acted.push(performance.now()), 50);
  t.teardown(() => gathered.stop());
  for (let change = 0; change < 1000; change++) gathered.soon();
  t.equal(acted.length, 0);
  await eventually('the first', () => acted[0]);
  gathered.soon();
  gathered.soon();
  const second = await eventually('the second', () => acted[1]);
  // The pause begins a little before the act that is timed here.
  t.ok(second - (acted[0] ?? 0) >= 30, 'later ones are about as far apart as was asked for');
  gathered.soon();
  gathered.done();
  await after(70);
  t.equal(acted.length, 2, 'what somebody else has done is not done again');
});

t.test('RFC 4443 2.4(f): errors are limited for each guest, and for all of them', async (t) => {
  const began = monotonicNow();
  const shared = sharedErrorBudget();
  const many = (budget: ErrorBudget) => Array.from({ length: 40 }, () => budget.take());
  const passed = (budget: ErrorBudget) => many(budget).filter(Boolean).length;
  const one = passed(new ErrorBudget(shared));
  t.ok(one <= 12 + (monotonicNow() - began) / 100, 'one guest has its ten');
  const others = Array.from({ length: 30 }, () => passed(new ErrorBudget(shared)));
  t.ok((others[0] ?? 0) >= 10, 'and leaves theirs to the others');
  const sum = others.reduce((total, count) => total + count, 0);
  t.ok(sum <= 100 + (monotonicNow() - began) / 10, `${sum} for all`);
});
