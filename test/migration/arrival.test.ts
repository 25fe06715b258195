import t from 'tap';
import { Arrival } from '../../src/migration/index.js';

t.test('from the first instant here to the answer', async (t) => {
  const arrival = new Arrival(1000);
  t.equal(arrival.report, undefined, 'nothing has left yet');
  t.equal(arrival.answered(1001), false);
  arrival.sent(1004.5);
  t.strictSame(arrival.report, { at: 1000, trigger: 4.5 });
  arrival.sent(2004);
  t.equal(arrival.answered(2010), true);
  t.equal(arrival.answered(9000), false, 'once');
  t.strictSame(
    arrival.report,
    { at: 1000, trigger: 4.5, answer: 1005.5 },
    'from the first update on',
  );
});
