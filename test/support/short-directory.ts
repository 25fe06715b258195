import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of this test's for sockets: their paths have 107 octets at most. */
export function shortDirectory(t: { teardown(end: () => void): void }): string {
  const directory = mkdtempSync(join(tmpdir(), 'kgtest-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}
