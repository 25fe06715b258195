import t from 'tap';
import { Move } from '../../src/migration/index.js';

t.test('from the first instant here to the answer', async (t) => {
  const move = new Move(1000);
  t.equal(move.report, undefined, 'nothing has left yet');
  t.equal(move.answered(1001), false);
  move.sent(1004.5);
  t.strictSame(move.report, { at: 1000, trigger: 4.5 });
  move.sent(2004);
  t.equal(move.answered(2010), true);
  t.equal(move.answered(9000), false, 'once');
  t.strictSame(move.report, { at: 1000, trigger: 4.5, answer: 1005.5 }, 'from the first update on');
});
