/** What a home agent answers a Binding Update with (RFC 6275 6.1.8). */
export const STATUS = {
  accepted: 0,
  prefixDiscoveryNecessary: 1,
  reasonUnspecified: 128,
  administrativelyProhibited: 129,
  insufficientResources: 130,
  notHomeSubnet: 132,
  notHomeAgent: 133,
  duplicate: 134,
  sequence: 135,
  typeChange: 139,
  /** RFC 3963 4.2 */
  mobileRouterNotPermitted: 140,
  /** RFC 4285 6 */
  identificationMismatch: 144,
  identificationRequired: 145,
  authenticationFailed: 146,
  /** RFC 5213 8.9 */
  proxyRegistrationNotEnabled: 152,
} as const;
