import { request } from '../daemon/control-client.js';
import type { ReloadAnswer } from '../daemon/status.js';
import { KagemushaError } from '../errors.js';
import { chooseSocket } from './socket.js';

export interface ReloadArguments {
  readonly socket?: string;
}

/** `kagemusha reload`: has the daemon read its configuration again, and tells what came of it. */
export async function reload(options: ReloadArguments): Promise<number> {
  const answer = await request(chooseSocket(options.socket), 'POST', '/v1/reload');
  const { notes, failures } = answer as ReloadAnswer;
  process.stdout.write('configuration read again\n');
  for (const note of notes) process.stdout.write(`note: ${note}\n`);
  const [first] = failures;
  if (first === undefined) return 0;
  const more = failures.length > 1 ? ` (and ${failures.length - 1} more)` : '';
  throw new KagemushaError('GUEST_FAILED', `${first}${more}`);
}
