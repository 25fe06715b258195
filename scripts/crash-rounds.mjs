// `npm run crash-rounds`: kill -9 of both daemons at random instants, as test/e2e/crash-rounds.test.ts does it, but with as many
// rounds as asked for; what came of them goes to bench/results/crash-rounds.json.
//
//   npm run crash-rounds                        1000 rounds, about 20 minutes
//   npm run crash-rounds -- --rounds 100        fewer
//   npm run crash-rounds -- --seed 7            the same choices as a run before
//   npm run crash-rounds -- --minutes 60        no new round after so long (60 unless told)
import { spawn, spawnSync } from 'node:child_process';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

process.chdir(dirname(dirname(fileURLToPath(import.meta.url))));

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '1000' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string' },
    output: { type: 'string', default: 'bench/results/crash-rounds.json' },
  },
});
const [rounds, minutes] = [Number(values.rounds), Number(values.minutes)];
if (!(rounds >= 1 && minutes > 0)) {
  process.stderr.write('--rounds and --minutes are numbers above 0\n');
  process.exit(2);
}

const setUp = spawnSync(process.execPath, ['scripts/setup.mjs', 'test'], { stdio: 'inherit' });
if (setUp.status !== 0) process.exit(setUp.status ?? 1);

const { sandboxCommand } = await import('../dist/cli/demo/sandbox.js');
const seconds = Math.round(60 * minutes);
const [program, ...args] = sandboxCommand([
  process.execPath,
  'node_modules/.bin/tap',
  'run',
  '--reporter=tap',
  // Beyond the bound of the rounds themselves: a round may take its time, and so do the judges.
  `--timeout=${seconds + 300}`,
  'test/e2e/crash-rounds.test.ts',
]);
const child = spawn(program, args, {
  stdio: ['ignore', 'inherit', 'inherit'],
  env: {
    ...process.env,
    CRASH_ROUNDS: String(rounds),
    CRASH_SECONDS: String(seconds),
    CRASH_RECORD: values.output,
    ...(values.seed === undefined ? {} : { CRASH_SEED: values.seed }),
  },
});
child.once('close', (code) => process.exit(code ?? 1));
