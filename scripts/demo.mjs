// `npm run demo -- …`: sets up what the demo with these words needs, then runs `kagemusha demo …`.
import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const words = process.argv.slice(2);
const profile = words.includes('--vm') ? 'vm' : 'run';

// Standard output belongs to the demo (`--json`).
const setUp = spawnSync(process.execPath, [join(ROOT, 'scripts/setup.mjs'), profile], {
  stdio: ['inherit', 2, 2],
});
if (setUp.status === 0) {
  const { main } = await import('../dist/cli/main.js');
  process.exitCode = await main(['demo', ...words]);
} else {
  process.exitCode = setUp.status ?? 1;
}
