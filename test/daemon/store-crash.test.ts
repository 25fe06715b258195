import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { SqliteStore } from '../../src/daemon/store/index.js';
import { seededRandom } from '../support/random.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
/** More of them on request: CRASH_ROUNDS=1000. */
const ROUNDS = Number(process.env.CRASH_ROUNDS ?? 20);
const seed = Date.now() % 0x1_0000_0000;

/** The writer as JavaScript: it starts in a tenth of the time, and it starts often. */
function compile(directory: string): string {
  const flags = '--noCheck --module nodenext --target es2023 --types node --skipLibCheck'.split(
    ' ',
  );
  const files = ['--rootDir', ROOT, '--outDir', directory, 'test/daemon/store-writer.ts'];
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  execFileSync(process.execPath, [tsc, ...flags, ...files], { cwd: ROOT });
  return join(directory, 'test/daemon/store-writer.js');
}

/** Lets the writer work, kills it soon after its `lines`th line, gives all that it said. */
async function writeAndKill(argv: string[], lines: number, delay: number): Promise<string[]> {
  const env = { PATH: process.env.PATH };
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'inherit'], env });
  let said = '';
  let seen = 0;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    const before = seen;
    seen += text.split('\n').length - 1;
    if (before < lines && seen >= lines) setTimeout(() => child.kill('SIGKILL'), delay);
  });
  const [code, signal] = await once(child, 'close');
  if (signal !== 'SIGKILL') throw new Error(`the writer ended with ${code}`);
  return said.split('\n').slice(0, -1);
}

t.test('kill -9 at any instant: no number twice, no binding lost', async (t) => {
  t.comment(`seed ${seed}`);
  const random = seededRandom(seed);
  const directory = t.testdir({ built: {} });
  const writer = compile(join(directory, 'built'));
  const given = new Set<number>();
  const bindings = new Map<string, number>();
  const secrets = new Set<string>();
  let twice = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const lines = 1 + Math.floor(random() * 400);
    let last: string | undefined;
    for (const line of await writeAndKill([writer, directory], lines, random() * 4)) {
      const [what = '', value = '', sequence = ''] = line.split(' ');
      if (what === 'secret') secrets.add(value);
      else if (what === 'stored') bindings.set(value, Number(sequence));
      else if (what === 'deleted') bindings.delete(value);
      else if (given.has(Number(value))) twice += 1;
      else given.add(Number(value));
      last = line;
    }
    const store = new SqliteStore(directory);
    const next = store.reserved('esp/2001:db8::10/1000') ?? 0;
    const kept = new Map(store.bindings().map((each) => [String(each.homeAddress), each.sequence]));
    store.close();
    const highest = Math.max(0, ...given);
    if (next <= highest) t.fail(`${next} would be given out again after ${highest}`);
    // The writer may have done one thing more than it could say: what follows its last line.
    const changed = [...new Set([...bindings.keys(), ...kept.keys()])].filter(
      (address) => bindings.get(address) !== kept.get(address),
    );
    if (changed.length > 1) t.fail(`after "${last}" the store differs for ${changed.join(', ')}`);
    for (const address of changed) {
      const stored = kept.get(address);
      if (stored === undefined) bindings.delete(address);
      else bindings.set(address, stored);
    }
  }
  t.equal(twice, 0, 'numbers given out twice');
  t.equal(secrets.size, 1, 'one secret for all lives');
  t.ok(given.size > ROUNDS, `${given.size} numbers, ${bindings.size} bindings`);
});
