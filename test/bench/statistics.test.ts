import t from 'tap';
import { median, percentile, significant } from '../../bench/path/statistics.js';

t.test('median: the middle one, or the mean of two', async (t) => {
  t.equal(median([3, 1, 2]), 2);
  t.equal(median([4, 1, 3, 2]), 2.5);
  t.equal(median([7]), 7);
  t.ok(Number.isNaN(median([])));
  const values = [2, 1];
  median(values);
  t.same(values, [2, 1], 'what it is given stays');
});

t.test('percentile: nearest rank', async (t) => {
  const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
  t.equal(percentile(hundred, 99), 99);
  t.equal(percentile(hundred, 50), 50);
  t.equal(percentile(hundred, 100), 100);
  t.equal(percentile([5], 99), 5);
  t.equal(percentile([1, 2, 3], 99), 3);
  t.ok(Number.isNaN(percentile([], 50)));
});

t.test('significant digits', async (t) => {
  t.equal(significant(1234.56), 1235);
  t.equal(significant(0.000123456, 3), 0.000123);
  t.ok(Number.isNaN(significant(Number.NaN)));
});
