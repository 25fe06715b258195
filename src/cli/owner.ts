import { run } from '../daemon/ip-route.js';
import { KagemushaError } from '../errors.js';

/**
 * The user that devices are made for: `--user`, else who called sudo, else who runs this.
 * @throws KagemushaError USER_UNKNOWN
 */
export async function ownerOf(user: string | undefined): Promise<number | undefined> {
  if (user === undefined) {
    const sudo = Number(process.env.SUDO_UID ?? '');
    return process.getuid?.() === 0 && sudo > 0 ? sudo : process.getuid?.();
  }
  try {
    return Number((await run(['id', '-u', '--', user])).trim());
  } catch (cause) {
    throw new KagemushaError('USER_UNKNOWN', `there is no user "${user}"`, { cause });
  }
}
