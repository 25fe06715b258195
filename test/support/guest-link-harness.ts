import type { GuestLinkConfig, GuestLinkEvent, GuestLinkOutput } from '../../src/homelink/index.js';
import { GuestLink } from '../../src/homelink/index.js';
import type { Address } from '../../src/wire/index.js';
import { ALL_ROUTERS } from '../../src/wire/index.js';
import { drain, ofType } from './drain.js';
import type { Sent } from './link-frames.js';
import { icmpv6Frame, read } from './link-frames.js';
import { HOME_ADDRESS, HOME_PREFIX, HOME_ROUTER, ROUTER_MAC } from './testbed-addresses.js';

export const ADVERTISED = {
  lifetime: 1800,
  validLifetime: 86_400,
  preferredLifetime: 14_400,
  autonomous: false,
  managed: false,
  other: false,
} as const;

/** A guest link on a clock of its own. */
export class GuestLinkHarness {
  now = 0;
  readonly link: GuestLink;

  constructor(config: Partial<GuestLinkConfig> = {}) {
    this.link = new GuestLink({
      homeAddresses: [HOME_ADDRESS],
      homePrefix: HOME_PREFIX,
      homeRouter: HOME_ROUTER,
      routerMac: ROUTER_MAC,
      routerAdvertisement: ADVERTISED,
      random: () => 0.5,
      ...config,
    });
  }

  handle(event: GuestLinkEvent): GuestLinkOutput[] {
    this.link.handle(this.now, event);
    return drain(this.link);
  }

  frame(bytes: Uint8Array): GuestLinkOutput[] {
    return this.handle({ type: 'frame', bytes });
  }

  /** What the guest gets for a message of its. */
  ask(sent: Sent): ReturnType<typeof read>[] {
    return frames(this.frame(icmpv6Frame(sent)));
  }

  /** What the guest gets within MAX_RA_DELAY_TIME of a Router Solicitation (RFC 4861 6.2.6), from this source. */
  askRouter(source?: Address): ReturnType<typeof read>[] {
    const message = { kind: 'router-solicitation', options: [] } as const;
    const sent = { destination: ALL_ROUTERS, message, ...(source === undefined ? {} : { source }) };
    const answers = this.ask(sent);
    return [...answers, ...frames(this.pass(500).map(({ output }) => output))];
  }

  /** Lets time pass and ticks when the link asks for it; every output with its time. */
  pass(milliseconds: number): { at: number; output: GuestLinkOutput }[] {
    const end = this.now + milliseconds;
    const outputs: { at: number; output: GuestLinkOutput }[] = [];
    for (let at = this.link.wakeAt(); at !== undefined && at <= end; at = this.link.wakeAt()) {
      this.now = Math.max(this.now, at);
      for (const output of this.handle({ type: 'tick' })) outputs.push({ at: this.now, output });
    }
    this.now = end;
    return outputs;
  }

  drops(): Record<string, number> {
    return Object.fromEntries(this.link.drops);
  }
}

/** The frames among the outputs, taken apart. */
export function frames(outputs: readonly GuestLinkOutput[]): ReturnType<typeof read>[] {
  return ofType(outputs, 'frame').map(({ bytes }) => read(bytes));
}
