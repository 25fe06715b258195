// `npm run conformance`: writes the tables of README.md that say which clauses the tests check, those in TypeScript and those
// in C++. What they say is read from the titles of the tests ("RFC 6275 10.3.1, 10.6.4: no longer than ..."), so it cannot be
// wrong about them; test/conformance/table.test.ts fails where README.md has fallen behind.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const BEGIN = '<!-- conformance: written by `npm run conformance` -->';
export const END = '<!-- /conformance -->';

/** A role, and where it is tested: a folder, or those files of one whose names begin so. A folder may be missing. */
const ROLES = [
  ['Home Agent', [['test/conformance/home-agent']]],
  ['Mobile Node', [['test/conformance/mobile-node']]],
  ['Correspondent Node and Route Optimisation', [['test/conformance/route-optimisation']]],
  ['Home Link', [['test/homelink']]],
  ['Foreign Link', [['test/foreignlink']]],
  ['Tunnel', [['native/test'], ['test/tunnel'], ['test/e2e', 'path-mtu']]],
];
const TESTS = /\.test\.(?:ts|cc)$/;

/** Titles begin a string: 'RFC 6275 10.6.3, RFC 3776 3.3: ...'; letters are list items of a clause (RFC 4862 5.5.3 e, RFC 4443 2.4(f)). */
const CLAUSE = String.raw`\d+(?:\.\d+)*(?: [a-z](?=[:,])|\([a-z]\))?`;
const TITLE = new RegExp(`['"\`](RFC \\d+ ${CLAUSE}(?:, (?:RFC \\d+ )?${CLAUSE})*):`, 'g');

export function clausesOf(source) {
  const clauses = new Set();
  for (const [, list] of source.matchAll(TITLE)) {
    let rfc = '';
    for (const part of list.split(', ')) {
      rfc = /^RFC \d+/.exec(part)?.[0] ?? rfc;
      clauses.add(part.startsWith('RFC ') ? part : `${rfc} ${part}`);
    }
  }
  return [...clauses].sort(byNumber);
}

/** The files that the tables are read from, by role; paths below `root`. */
export function conformanceFiles(root) {
  return ROLES.map(([role, places]) => ({
    role,
    files: places.flatMap(([folder, begin = '']) => {
      const directory = join(root, folder);
      if (!existsSync(directory)) return [];
      return readdirSync(directory)
        .filter((name) => TESTS.test(name) && name.startsWith(begin))
        .sort()
        .map((name) => `${folder}/${name}`);
    }),
  }));
}

export function conformanceTables(root) {
  return conformanceFiles(root)
    .map(({ role, files }) => {
      const rows = files
        .map((path) => row(path, readFileSync(join(root, path), 'utf8')))
        .filter((line) => line !== undefined);
      return [`### ${role}`, '', '| Group | Clauses |', '|---|---|', ...rows].join('\n');
    })
    .join('\n\n');
}

export function withTables(readme, tables) {
  const begin = readme.indexOf(BEGIN);
  const end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`README.md lacks "${BEGIN}" or "${END}"`);
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${tables}\n\n${readme.slice(end)}`;
}

function row(path, source) {
  const clauses = clausesOf(source);
  if (clauses.length === 0) return undefined;
  const group = basename(path).replace(TESTS, '');
  const title = group
    .replaceAll(/[-_]/g, ' ')
    .replace(/^(icmpv6|ipv6|mtu|mss)\b/, (word) => word.toUpperCase().replace('V6', 'v6'))
    .replace(/\b(mld|mtu)\b/g, (word) => word.toUpperCase())
    .replace(/^de /, 'de-')
    .replace(/^care of/, 'care-of');
  const label = title[0].toUpperCase() + title.slice(1);
  return `| [${label}](${path}) | ${shorten(clauses)} |`;
}

/** "RFC 6275 9.2, 9.5.1; RFC 3776 3.1" */
function shorten(clauses) {
  const byRfc = new Map();
  for (const clause of clauses) {
    const rfc = rfcOf(clause);
    byRfc.set(rfc, [...(byRfc.get(rfc) ?? []), clause]);
  }
  return [...byRfc]
    .map(
      ([rfc, ofIt]) => `${rfc}: ${ofIt.map((clause) => clause.slice(rfc.length + 1)).join(', ')}`,
    )
    .join('; ');
}

function rfcOf(clause) {
  return clause.split(' ', 2).join(' ');
}

/** RFC 6275 first, the others by number; sections by their parts. */
function byNumber(one, other) {
  const numbers = (clause) => (clause.match(/\d+/g) ?? []).map(Number);
  const [a, b] = [numbers(one), numbers(other)];
  if (a[0] !== b[0]) return rank(a[0]) - rank(b[0]);
  for (let at = 1; at < Math.max(a.length, b.length); at++) {
    const difference = (a[at] ?? -1) - (b[at] ?? -1);
    if (difference !== 0) return difference;
  }
  return one < other ? -1 : 1;
}

function rank(rfc) {
  return rfc === 6275 ? 0 : rfc;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  const path = join(root, 'README.md');
  writeFileSync(path, withTables(readFileSync(path, 'utf8'), conformanceTables(root)));
}
