import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import {
  clausesOf,
  conformanceFiles,
  conformanceTables,
  withTables,
} from '../../scripts/conformance.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const README = readFileSync(`${ROOT}/README.md`, 'utf8');

t.test(
  'README.md lists the clauses that the titles name; `npm run conformance` writes them',
  (t) => {
    const written = withTables(README, conformanceTables(ROOT));
    t.equal(README, written);
    t.end();
  },
);

t.test('every row of "Not covered" names a clause and says why', (t) => {
  const [, section = ''] = README.split('### Not covered\n');
  const rows = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => /^\| RFC/.test(line));
  t.ok(rows.length > 5);
  for (const row of rows) t.match(row, /^\| RFC \d+[^|]* \| [^|]{10,} \|$/);
  t.end();
});

t.test('clauses are read from titles', (t) => {
  const source = `
    t.test('RFC 6275 10.3.1, 10.6.4: no longer', () => {});
    'RFC 6275 10.6.3, RFC 3776 3.3: dropped',
    \`RFC 6275 9.5.4: source \${text}\`,
    t.test("RFC 4862 5.5.3 e: two hours", () => {});
    TEST_CASE("RFC 2473 7.1: in C++") {
    'RFC 4443 2.4(f): limited'
    // RFC 6275 11.1: a comment is no title
    'a sentence about RFC 6275 11.1: no title either',
  `;
  t.same(clausesOf(source), [
    'RFC 6275 9.5.4',
    'RFC 6275 10.3.1',
    'RFC 6275 10.6.3',
    'RFC 6275 10.6.4',
    'RFC 2473 7.1',
    'RFC 3776 3.3',
    'RFC 4443 2.4(f)',
    'RFC 4862 5.5.3 e',
  ]);
  t.end();
});

t.test('every title with an RFC is read', (t) => {
  for (const { role, files } of conformanceFiles(ROOT)) {
    t.ok(files.length > 0, role);
    for (const path of files) {
      const source = readFileSync(join(ROOT, path), 'utf8');
      // A title that the pattern misses would be a clause that the tables hide.
      // Elsewhere what has no colon is no title.
      const strict = path.startsWith('test/conformance/');
      const title = strict ? /['"`]RFC \d+ \d[^\n]*/g : /['"`]RFC \d+ \d[^\n'"`$:]*:/g;
      const missed = [...source.matchAll(title)]
        .map(([found]) => found)
        .filter((found) => clausesOf(found).length === 0);
      t.same(missed, [], path);
    }
  }
  t.end();
});
