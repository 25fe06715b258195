import type { AuthOptionOptions } from './protection-auth-option.js';
import { AuthOptionProtection } from './protection-auth-option.js';
import type { EspOptions } from './protection-esp.js';
import { EspProtection } from './protection-esp.js';

/** How one home address's signaling is protected, with the state that this needs: it must never serve a second one. */
export type Protection = { readonly kind: 'none' } | EspProtection | AuthOptionProtection;

/** Messages travel as they are, and anybody can make them. */
export function noProtection(): Protection {
  return { kind: 'none' };
}

/** RFC 3776, RFC 4877: ESP in transport mode. @throws RangeError */
export function espProtection(options: EspOptions): Protection {
  return new EspProtection(options);
}

/** RFC 4285: an option in the messages themselves. @throws RangeError */
export function authOption(options: AuthOptionOptions): Protection {
  return new AuthOptionProtection(options);
}
