/** What a signal was protected by (RFC 6275 5.1; RFC 4285 is the mobility message authentication option). */
export type ProtectionKind = 'none' | 'esp' | 'auth-option';
