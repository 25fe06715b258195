import { putToml, request } from '../daemon/control-client.js';
import type { GuestChange } from '../daemon/status.js';
import { KagemushaError } from '../errors.js';
import { readGuestFile } from './guest-file.js';
import { chooseSocket } from './socket.js';

export interface GuestArguments {
  readonly socket?: string;
  readonly name?: string;
}

const pathOf = (name: string) => `/v1/guests/${encodeURIComponent(name)}`;

/** `kagemusha guest add FILE`: adds a guest to the running host, or changes one that was added so. */
export async function addGuest(file: string, options: GuestArguments): Promise<number> {
  const { name, text } = readGuestFile(file, options.name);
  const answer = await toFile(file, putToml(chooseSocket(options.socket), pathOf(name), text));
  const { change, waits } = answer as GuestChange;
  process.stdout.write(`${name}: ${change}${waits === undefined ? '' : `, waits: ${waits}`}\n`);
  return 0;
}

/** `kagemusha guest remove NAME` */
export async function removeGuest(name: string, options: GuestArguments): Promise<number> {
  await request(chooseSocket(options.socket), 'DELETE', pathOf(name));
  process.stdout.write(`${name}: removed\n`);
  return 0;
}

/** What the daemon says of the request is of the file here. */
async function toFile(file: string, answer: Promise<unknown>): Promise<unknown> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof KagemushaError)) throw error;
    const message = error.message
      .replace(/^request(?=:\d)/, () => file)
      .replace(' --guest FILE ', () => ` --guest ${file} `);
    throw new KagemushaError(error.code, message, { cause: error });
  }
}
