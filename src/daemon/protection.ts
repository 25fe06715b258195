import { authOption, espProtection, noProtection, type Protection } from '../signaling/index.js';
import type { Address } from '../wire/index.js';
import type { SecurityConfig } from './config/schema.js';
import { espNumbers } from './numbers.js';
import type { Store } from './store/index.js';
import { authTimestamp, espReplayTop } from './store/index.js';

/**
 * The protection of one home address as its configuration asks for it, its numbers kept in the store.
 *
 * @param seen told the latest number of each authentic ESP packet, for the engine's policing
 */
export function protectionOf(
  homeAddress: Address,
  security: SecurityConfig,
  store: Store,
  seen: (sequence: number) => void,
): Protection {
  switch (security.kind) {
    case 'none':
      return noProtection();
    case 'esp': {
      const { spiOut, spiIn, replayWindow, keyId } = security;
      // Those of a foreign home agent begin at 1; of ours the first one tells where it is.
      seen(0);
      const top = (peer: Address): string => espReplayTop(homeAddress, spiIn, keyId, peer);
      return espProtection({
        algorithms: { encryption: security.encryption, authentication: security.authentication },
        keys: security.keys,
        spiOut,
        spiIn,
        counter: espNumbers(store, homeAddress, security),
        replayWindow,
        replayTop: (peer) => {
          const known = store.replayTop(top(peer));
          if (known !== undefined) seen(known);
          return known;
        },
        accepted: (peer, sequence) => {
          // Without a window too: there may be one after the next start.
          store.putReplayTop(top(peer), sequence);
          seen(sequence);
        },
      });
    }
    case 'auth-option': {
      const { spi, identifier } = security;
      const name = authTimestamp(homeAddress, spi, security.keyId);
      const lastAccepted = store.replayTop(name);
      return authOption({
        spi,
        key: security.keys.authentication,
        ...(identifier === undefined ? {} : { identifier }),
        ...(lastAccepted === undefined ? {} : { lastAccepted }),
        accepted: (milliseconds) => store.putReplayTop(name, Math.floor(milliseconds)),
      });
    }
  }
}
