import type { Address, NdpMessage } from '../wire/index.js';
import { isLinkLocal } from '../wire/index.js';

type RouterAdvertisement = Extract<NdpMessage, { kind: 'router-advertisement' }>;

/** What a Router Advertisement says of its sender as a home agent (RFC 6275 10.5.1). */
export interface HomeAgentAdvertisement {
  /** link-local */
  readonly source: Address;
  /** the H flag (RFC 6275 7.1) */
  readonly homeAgent: boolean;
  /** RFC 6275 7.4, higher is better; 0 when it says nothing */
  readonly preference: number;
  /** seconds as a home agent: RFC 6275 7.4, or the router lifetime */
  readonly lifetime: number;
  /** whole addresses in Prefix Information options (R flag, RFC 6275 7.2) */
  readonly addresses: readonly Address[];
}

/** Reads a Router Advertisement that RFC 4861 6.1.2 has found valid. */
export function homeAgentAdvertisement(
  source: Address,
  message: RouterAdvertisement,
): HomeAgentAdvertisement {
  const { homeAgent, options } = message;
  // RFC 6275 7.4: without the H flag the option is to be ignored, as is a lifetime of 0.
  const information = options.find(
    (option) => homeAgent && option.kind === 'home-agent-information' && option.lifetime > 0,
  );
  const told = information?.kind === 'home-agent-information' ? information : undefined;
  return {
    source,
    homeAgent,
    preference: told?.preference ?? 0,
    lifetime: told?.lifetime ?? message.routerLifetime,
    addresses: options.flatMap((option) =>
      option.kind === 'prefix-information' &&
      option.routerAddress &&
      !isLinkLocal(option.prefix.address)
        ? [option.prefix.address]
        : [],
    ),
  };
}
