import { fileURLToPath } from 'node:url';
import t from 'tap';
import { loadConfig } from '../../src/daemon/config/load.js';

const example = (name: string): string =>
  fileURLToPath(new URL(`../../examples/${name}`, import.meta.url));

t.test('the example configurations are good ones', async (t) => {
  t.equal(loadConfig(example('host.toml')).role, 'host');
  t.equal(loadConfig(example('home-agent.toml')).role, 'home-agent');
});
