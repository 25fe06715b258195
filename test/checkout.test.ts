import { existsSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { CHECKOUT } from '../src/checkout.js';
import { KAGEMUSHA } from '../src/cli/demo/processes.js';

t.test(
  'the checkout is where package.json is, and what is found from there is there',
  async (t) => {
    t.ok(existsSync(join(CHECKOUT, 'package.json')));
    t.ok(existsSync(KAGEMUSHA));
  },
);
