import { isDeepStrictEqual } from 'node:util';
import type { SecurityConfig } from './config/schema.js';

/** Whether two configurations mean the same associations: keys are compared by their `keyId`. */
export function sameSecurity(a: SecurityConfig, b: SecurityConfig): boolean {
  return isDeepStrictEqual(withoutKeys(a), withoutKeys(b));
}

function withoutKeys(security: SecurityConfig): object {
  if (security.kind === 'none') return security;
  const { keys: _, ...rest } = security;
  return rest;
}
