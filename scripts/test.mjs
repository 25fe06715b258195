// `npm test`: sets up what is missing, then runs every check and test and ends with one line, `N passed, N failed`.
//
//   npm test                        everything
//   npm test -- test/wire ...       only these TypeScript test files or folders
//
// The tests run in namespaces of their own (see src/cli/demo/sandbox.ts): whatever they make ends with them.
import { spawn, spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
process.chdir(ROOT);

const setUp = spawnSync(process.execPath, ['scripts/setup.mjs', 'test'], {
  stdio: ['inherit', 2, 2],
});
if (setUp.status !== 0) process.exit(setUp.status ?? 1);

const chosen = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };
/** What failed, with what it said: shown again at the end. */
const failures = [];
const began = Date.now();

if (chosen.length === 0) {
  await check('format and lint', ['node_modules/.bin/biome', 'check', '--error-on-warnings']);
  await check('types', ['node_modules/.bin/tsc', '--noEmit']);
  await check('C++ format', [
    'clang-format',
    '--dry-run',
    '-Werror',
    ...sources('native', /\.(cc|h|inl)$/),
  ]);
  await cxx();
}
const all = (chosen.length === 0 ? ['test'] : chosen).flatMap((path) =>
  sources(path, /\.test\.ts$/),
);
const alone = (file) => file.startsWith('test/e2e/');
await tap(
  all.filter((file) => !alone(file)),
  2,
);
await tap(all.filter(alone), 1);

const seconds = Math.round((Date.now() - began) / 1000);
for (const failure of failures) process.stdout.write(`\nfailed: ${failure}\n`);
process.stdout.write(`\nin ${seconds} s\n`);
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
process.stdout.write(`${total.passed} passed, ${total.failed} failed${skipped}\n`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);

/** A command that passes or fails as a whole. */
async function check(name, argv) {
  const { code } = await run(argv);
  count(name, code === 0);
}

/** The C++ tests under AddressSanitizer and UndefinedBehaviorSanitizer; doctest's summary counts them. */
async function cxx() {
  const { code, output } = await run(['make', '-s', '-j2', '-C', 'native/test', 'run']);
  const cases = /test cases:\s+(\d+) \|\s+(\d+) passed \|\s+(\d+) failed/.exec(output);
  if (cases === null || (code !== 0 && cases[3] === '0')) return count('C++ tests', false, output);
  if (cases[3] !== '0') failures.push(`C++ tests\n${output}`);
  total.passed += Number(cases[2]);
  total.failed += Number(cases[3]);
}

/** TypeScript tests; each named test of a file counts, and a file that ends badly without one counts as a failure. */
async function tap(files, jobs) {
  if (files.length === 0) return;
  const { sandboxCommand } = await import('../dist/cli/demo/sandbox.js');
  const runner = [
    process.execPath,
    'node_modules/.bin/tap',
    'run',
    '--reporter=tap',
    `--jobs=${jobs}`,
    ...files,
  ];
  const { code, output } = await run(sandboxCommand(runner));
  let failedBefore = total.failed;
  for (const line of output.split('\n')) {
    const test = /^ {4}(not )?ok \d+ - .*?(# (SKIP|TODO).*)?$/.exec(line);
    const file = /^(not )?ok \d+ - /.exec(line);
    if (test) {
      if (test[2]) total.skipped += 1;
      else if (test[1]) total.failed += 1;
      else total.passed += 1;
    } else if (file) {
      if (file[1] && total.failed === failedBefore) total.failed += 1;
      failedBefore = total.failed;
    }
  }
  failures.push(...failedAssertions(output));
  if (code !== 0 && total.failed === 0) count('tap', false, output.slice(-4000));
}

/** The innermost `not ok` lines of a TAP stream with the file they are of and what follows each between `---` and `...`. */
function failedAssertions(output) {
  const found = [];
  const parents = [];
  let details;
  for (const line of output.split('\n')) {
    const [, indent, what] = /^( *)(.*)$/.exec(line);
    if (details !== undefined) {
      details.push(line);
      if (what === '...') details = undefined;
    } else if (what.startsWith('# Subtest: ')) {
      parents[indent.length / 4] = what.slice('# Subtest: '.length);
    } else if (what.startsWith('not ok ')) {
      found.push({
        depth: indent.length,
        lines: [[...parents.slice(0, indent.length / 4), what].join(' > ')],
      });
    } else if (what === '---') {
      details = found.at(-1)?.lines ?? [];
    }
  }
  // A test is reported after what failed in it.
  const innermost = found.filter(
    ({ depth }, index) => index === 0 || depth >= found[index - 1].depth,
  );
  return innermost.map(({ lines }) => lines.join('\n'));
}

function count(name, passed, said = '') {
  if (passed) total.passed += 1;
  else {
    total.failed += 1;
    failures.push(`${name}\n${said}`);
  }
  process.stdout.write(`${passed ? 'ok' : 'not ok'} - ${name}\n`);
}

/** Runs a command, shows what it says, and keeps it. */
async function run([program, ...args]) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 2] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text;
    process.stdout.write(text);
  });
  return await new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 1, output: error.message }));
    child.once('close', (code) => resolve({ code, output }));
  });
}

function sources(path, pattern) {
  if (statSync(path).isFile()) return [path];
  return readdirSync(path, { recursive: true })
    .map((name) => join(path, name))
    .filter((name) => pattern.test(name))
    .sort();
}
