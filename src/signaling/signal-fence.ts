import { STATUS } from './home-agent-status.js';
import type { ProtectionKind } from './protection-kind.js';
import type { Signal } from './signal.js';

/**
 * Why nothing with this protection may be heard in the name of a home address whose policy demands another one, if so.
 * The security policies refuse it before; here nothing depends on them.
 */
export function protectionFault(
  demanded: ProtectionKind,
  given: ProtectionKind = 'none',
): string | undefined {
  if (demanded === 'esp') return given === 'esp' ? undefined : 'unprotected';
  return given === 'esp' ? 'unexpected_esp' : undefined;
}

/** The status that refuses a Binding Update whose policy demands the authentication option (RFC 4285 5, 6), if one must. */
export function authenticationRefusal(
  demanded: ProtectionKind,
  { authentication = 'failed' }: Signal,
): number | undefined {
  if (demanded !== 'auth-option') return undefined;
  switch (authentication) {
    case 'ok':
      return undefined;
    case 'missing':
      return STATUS.identificationRequired;
    case 'replayed':
      return STATUS.identificationMismatch;
    case 'failed':
      return STATUS.authenticationFailed;
  }
}
