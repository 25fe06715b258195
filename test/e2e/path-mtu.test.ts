import t from 'tap';
import { type CellFigures, tryPath } from '../support/path-cell.js';
import { record } from '../support/record.js';

// Paths whose narrow link is in the middle, where only Packet Too Big or probes tell of it: no black hole, whatever the routers drop.

const COMMAND =
  'PATH_MTU_RECORD=bench/results/path-mtu.json PATH_MTU_SIZES=all npm test -- test/e2e/path-mtu.test.ts';
const FILTERS = ['none', 'icmpv6-errors', 'all-icmpv6'] as const;
const figures: CellFigures[] = [];

for (const path of [
  { path: 1280, uplink: 1500, nic: 1500 },
  { path: 1400, uplink: 1500, nic: 1500 },
  { path: 1500, uplink: 9000, nic: 9000 },
  { path: 9000, uplink: 9000, nic: 9000 },
]) {
  t.test(`a path of ${path.path} octets between links of ${path.uplink}`, async (t) => {
    figures.push(...(await tryPath(t, path, FILTERS)));
  });
}

t.teardown(async () => {
  const output = process.env.PATH_MTU_RECORD;
  if (output !== undefined) await record(output, COMMAND, figures);
});
