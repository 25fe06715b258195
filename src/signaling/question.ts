import type { Address } from '../wire/index.js';
import { BINDING_ERROR } from '../wire/index.js';
import type { Signal } from './signal.js';

/**
 * Whether a home agent asks for a Binding Update: by a Binding Refresh Request (RFC 6275 11.7.4), or by a Binding Error that
 * says it has no binding (11.3.6). Neither needs to be authentic: an answer costs one update. Undefined when it asks; else
 * why the message is ignored.
 */
export function notAQuestion(signal: Signal, homeAddress: Address): string | undefined {
  const { message, routingHeader } = signal;
  switch (message.kind) {
    case 'binding-refresh-request':
      return routingHeader === homeAddress ? undefined : 'not_the_home_address';
    case 'binding-error':
      if (message.homeAddress !== homeAddress) return 'not_the_home_address';
      return message.status === BINDING_ERROR.unknownBinding ? undefined : 'binding_error_unusable';
    default:
      return 'unexpected_message';
  }
}
