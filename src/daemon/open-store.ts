import type { Drops } from '../drops.js';
import type { Logger } from './log.js';
import { makeStateDirectory } from './setup/apply.js';
import { GuardedStore, SqliteStore, type Store } from './store/index.js';

/**
 * Opens the store of a daemon, and prepares the system with it open: whoever else has it open has the devices and routes as well.
 *
 * @param drops counts what could not be written
 * @throws KagemushaError STORE_BUSY when another daemon has it, the others of SqliteStore, and those of `prepare`
 */
export async function openStore(
  stateDirectory: string,
  prepare: () => Promise<void>,
  drops: Drops,
  log: Logger,
): Promise<Store> {
  // Who may not make it is told by `prepare` what to run.
  if (!makeStateDirectory(stateDirectory)) await prepare();
  const store = new SqliteStore(stateDirectory);
  try {
    await prepare();
  } catch (error) {
    store.close();
    throw error;
  }
  return new GuardedStore(store, drops, ({ code, message }) =>
    log.error({ code }, `${message}; what stands goes on, what is new waits`),
  );
}
