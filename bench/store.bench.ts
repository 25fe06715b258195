// The store in a file: what it costs to write something down before anything else happens.
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { SqliteStore } from '../src/daemon/store/index.js';
import { CARE_OF, HOME_ADDRESS } from '../test/support/testbed-addresses.js';
import { report, suite } from './harness.js';

// Beside the figures, not in a /tmp that may be memory: `reserve` waits for the medium.
const directory = mkdtempSync(join(process.cwd(), 'build', 'store-'));
const store = new SqliteStore(directory);
let number = 0;
try {
  report(
    suite('store', {
      'reserve, on the medium': () => store.reserve('esp-out', ++number),
      'put a replay top': () => store.putReplayTop('esp-in', ++number),
      'put a binding': () =>
        store.putBinding({
          homeAddress: HOME_ADDRESS,
          careOfAddress: CARE_OF,
          sequence: ++number & 0xffff,
          lifetime: 60,
          expiresAt: 1_000_000 + number,
          linkLocal: true,
          protection: 'esp',
        }),
    }),
  );
} finally {
  store.close();
  rmSync(directory, { recursive: true, force: true });
}
