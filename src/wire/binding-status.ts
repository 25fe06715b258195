/** What a Binding Acknowledgement says (RFC 6275 6.1.8; 140-143: RFC 3963 4.2; 144-146: RFC 4285 6). */
export interface BindingStatus {
  readonly name: string;
  readonly accepted: boolean;
}

/** The assigned values, by number. */
export const BINDING_STATUS: Readonly<Record<number, BindingStatus>> = {
  0: { name: 'binding update accepted', accepted: true },
  1: { name: 'accepted but prefix discovery necessary', accepted: true },
  128: { name: 'reason unspecified', accepted: false },
  129: { name: 'administratively prohibited', accepted: false },
  130: { name: 'insufficient resources', accepted: false },
  131: { name: 'home registration not supported', accepted: false },
  132: { name: 'not home subnet', accepted: false },
  133: { name: 'not home agent for this mobile node', accepted: false },
  134: { name: 'duplicate address detection failed', accepted: false },
  135: { name: 'sequence number out of window', accepted: false },
  136: { name: 'expired home nonce index', accepted: false },
  137: { name: 'expired care-of nonce index', accepted: false },
  138: { name: 'expired nonces', accepted: false },
  139: { name: 'registration type change disallowed', accepted: false },
  140: { name: 'mobile router operation not permitted', accepted: false },
  141: { name: 'invalid prefix', accepted: false },
  142: { name: 'not authorized for prefix', accepted: false },
  143: { name: 'forwarding setup failed', accepted: false },
  144: { name: 'mobility message identification mismatch', accepted: false },
  145: { name: 'mobility message identification required', accepted: false },
  146: { name: 'mobility message authentication failed', accepted: false },
  174: { name: 'invalid care-of address', accepted: false },
};

/** Any status, the unassigned ones too: below 128 the binding was accepted (RFC 6275 6.1.8). */
export function bindingStatus(status: number): BindingStatus {
  return BINDING_STATUS[status] ?? { name: `status ${status}`, accepted: status < 128 };
}

/** What a Binding Error says (RFC 6275 6.1.9). */
export const BINDING_ERROR = {
  unknownBinding: 1,
  unrecognizedMobilityHeader: 2,
} as const;
