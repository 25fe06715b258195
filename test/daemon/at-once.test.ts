import t from 'tap';
import { Coalesced } from '../../src/daemon/coalesced.js';
import { FewAtATime } from '../../src/daemon/few-at-a-time.js';

t.test('what is asked for in one turn is done once', async (t) => {
  const done: string[] = [];
  const errors: unknown[] = [];
  let fail = false;
  const coalesced = new Coalesced(
    () => {
      done.push('work');
      if (fail) throw new Error('no');
    },
    (error) => errors.push(error),
  );
  coalesced.after(() => done.push('at once'));
  t.same(done, ['at once'], 'nothing was asked for');
  for (let i = 0; i < 3; i++) {
    coalesced.ask();
    coalesced.after(() => done.push(`after ${i}`));
  }
  t.same(done, ['at once'], 'not within the turn');
  await Promise.resolve();
  t.same(done, ['at once', 'work', 'after 0', 'after 1', 'after 2']);

  done.length = 0;
  fail = true;
  coalesced.ask();
  coalesced.after(() => coalesced.ask());
  await Promise.resolve();
  await Promise.resolve();
  t.same(done, ['work', 'work'], 'asked for again by what came after it');
  t.match(errors, [{ message: 'no' }, { message: 'no' }], 'its failure ends nobody');
});

t.test('the first few at once, the others a few at a time', async (t) => {
  const errors: unknown[] = [];
  const few = new FewAtATime((error) => errors.push(error));
  t.teardown(() => few.stop());
  const done: number[] = [];
  const owners = Array.from({ length: 35 }, (_, i) => ({ i }));
  for (const owner of owners) few.add(owner, () => done.push(owner.i));
  t.same(done, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  for (const owner of owners.slice(12, 14)) few.forget(owner);
  let most = 0;
  let before = done.length;
  while (done.length < 33) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    most = Math.max(most, done.length - before);
    before = done.length;
  }
  t.ok(most <= 10, `${most} at a time`);
  const wanted = owners.map(({ i }) => i).filter((i) => i !== 12 && i !== 13);
  t.same(done, wanted, 'in order, but for those that are gone');
  few.add({}, () => {
    throw new Error('no');
  });
  t.match(errors, [{ message: 'no' }], 'whatever one throws, the others have their turn');
  few.add({}, () => done.push(99));
  few.stop();
});
