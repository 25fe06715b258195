import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of package.json, bin/ and build/: above src/, above dist/, above wherever else this file was compiled to. */
export const CHECKOUT = folderWith('package.json', dirname(fileURLToPath(import.meta.url)));

function folderWith(name: string, below: string): string {
  const above = dirname(below);
  return existsSync(join(below, name)) || above === below ? below : folderWith(name, above);
}
