import t from 'tap';
import { type CellFigures, FILTERS, tryPath } from '../support/path-cell.js';
import { ALL, LONG_MS } from '../support/path-traffic.js';
import { record } from '../support/record.js';

// As path-mtu.test.ts, with 9000 octets on every other link, the guest's too.

const sizes = process.env.PATH_MTU_SIZES;
const COMMAND = [
  'PATH_MTU_RECORD=bench/results/path-mtu-jumbo.json',
  ...(sizes === undefined ? [] : [`PATH_MTU_SIZES=${sizes}`]),
  'npm test -- test/e2e/path-mtu-jumbo.test.ts',
].join(' ');
const figures: CellFigures[] = [];

if (ALL) t.setTimeout(LONG_MS);

for (const path of [1500, 9000]) {
  t.test(`a path of ${path} octets between links of 9000`, async (t) => {
    figures.push(...(await tryPath(t, { path, uplink: 9000, nic: 9000 }, FILTERS)));
  });
}

t.teardown(async () => {
  const output = process.env.PATH_MTU_RECORD;
  if (output !== undefined) await record(output, COMMAND, figures);
});
