import t from 'tap';
import { type CellFigures, FILTERS, tryPath } from '../support/path-cell.js';
import { ALL, LONG_MS } from '../support/path-traffic.js';
import { record } from '../support/record.js';

// Paths whose narrow link is in the middle, where only Packet Too Big or probes tell of it: no black hole, whatever the routers drop.

const sizes = process.env.PATH_MTU_SIZES;
const COMMAND = [
  'PATH_MTU_RECORD=bench/results/path-mtu.json',
  ...(sizes === undefined ? [] : [`PATH_MTU_SIZES=${sizes}`]),
  'npm test -- test/e2e/path-mtu.test.ts',
].join(' ');
const figures: CellFigures[] = [];

if (ALL) t.setTimeout(LONG_MS);

for (const path of [1280, 1400]) {
  t.test(`a path of ${path} octets between links of 1500`, async (t) => {
    figures.push(...(await tryPath(t, { path, uplink: 1500, nic: 1500 }, FILTERS)));
  });
}

t.teardown(async () => {
  const output = process.env.PATH_MTU_RECORD;
  if (output !== undefined) await record(output, COMMAND, figures);
});
