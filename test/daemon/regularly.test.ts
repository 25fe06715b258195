import t from 'tap';
import { Regularly } from '../../src/daemon/regularly.js';
import { eventually } from '../datapath/world.js';

t.test('each has its turn in every round, until it is removed', async (t) => {
  const regularly = new Regularly(5);
  const done = { one: 0, other: 0 };
  const one = () => {
    done.one += 1;
    // Whoever goes during a round keeps nobody from their turn.
    if (done.one === 3) regularly.remove(one);
  };
  const other = () => {
    done.other += 1;
  };
  regularly.remove(other);
  regularly.add(one);
  regularly.add(other);
  t.teardown(() => regularly.remove(other));
  t.same(done, { one: 0, other: 0 }, 'not at once');
  await eventually('some rounds', () => (done.other >= 6 ? true : undefined));
  t.equal(done.one, 3);
  regularly.remove(other);
  const { other: before } = done;
  const again = () => {
    done.one += 1;
  };
  regularly.add(again);
  await eventually('a round of another one', () => (done.one > 3 ? true : undefined));
  regularly.remove(again);
  t.equal(done.other, before);
});
