import type { Algorithms } from '../../src/crypto/index.js';
import { Secret } from '../../src/crypto/index.js';
import type { AuthOptionOptions, EspOptions } from '../../src/signaling/index.js';
import { authOption, espProtection, SecurityPolicies } from '../../src/signaling/index.js';
import { counterFrom, keysFor } from './esp-keys.js';
import { HOME_ADDRESS } from './testbed-addresses.js';

/** Both ends of the security associations of one home address. */
export interface BothEnds {
  readonly mobileNode: SecurityPolicies;
  readonly homeAgent: SecurityPolicies;
}

/** The test's time of day: 2023-11-14, in milliseconds since 1970. */
export const TIME_OF_DAY = 1_700_000_000_000;

export function espEnds(
  algorithms: Algorithms,
  spi = { toAgent: 1000, toNode: 1001 },
  options: Partial<EspOptions> = {},
): BothEnds {
  const keys = keysFor(algorithms);
  const common = { algorithms, keys, replayWindow: 64, ...options };
  const policies = (protection: ReturnType<typeof espProtection>) => [
    { homeAddress: HOME_ADDRESS, protection },
  ];
  const clock = () => TIME_OF_DAY;
  const atNode = { spiOut: spi.toAgent, spiIn: spi.toNode, counter: counterFrom(1) };
  const atAgent = { spiOut: spi.toNode, spiIn: spi.toAgent, counter: counterFrom(1) };
  return {
    mobileNode: new SecurityPolicies(
      'mobile-node',
      policies(espProtection({ ...common, ...atNode })),
      clock,
    ),
    homeAgent: new SecurityPolicies(
      'home-agent',
      policies(espProtection({ ...common, ...atAgent })),
      clock,
    ),
  };
}

/** The key of test/signaling/protection-auth-option.py. */
export const MOBILITY_KEY = new Secret(Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index));
export const MOBILITY_SPI = 1337;

/** Both ends of a mobility security association; each has a clock of its own. */
export function authOptionEnds(
  clocks: { mobileNode: () => number; homeAgent: () => number },
  options: Partial<AuthOptionOptions> = {},
): BothEnds {
  const association = { spi: MOBILITY_SPI, key: MOBILITY_KEY, noise: () => 0, ...options };
  const end = (role: 'mobile-node' | 'home-agent', clock: () => number) =>
    new SecurityPolicies(
      role,
      [{ homeAddress: HOME_ADDRESS, protection: authOption(association) }],
      clock,
    );
  return {
    mobileNode: end('mobile-node', clocks.mobileNode),
    homeAgent: end('home-agent', clocks.homeAgent),
  };
}

/** What was emitted; a test that gets a reason instead fails. */
export function sent(result: Uint8Array | string): Uint8Array {
  if (typeof result === 'string') throw new Error(result);
  return result;
}
