import type {
  ForeignLinkConfig,
  ForeignLinkEvent,
  ForeignLinkOutput,
} from '../../src/foreignlink/index.js';
import { ForeignLink } from '../../src/foreignlink/index.js';
import type { Address, Icmpv6Message, Mac, NdpOption } from '../../src/wire/index.js';
import { ALL_NODES, parseAddress, parseMac, parsePrefix } from '../../src/wire/index.js';
import { drain, ofType } from './drain.js';
import { icmpv6Frame, read } from './link-frames.js';
import { isMldReport } from './mld.js';
import { seededRandom } from './random.js';
import { CARE_OF } from './testbed-addresses.js';

export const OUR_MAC = parseMac('02:00:00:00:00:01');
export const ROUTER = parseAddress('fe80::aaaa');
export const ROUTER_STATION = parseMac('02:00:00:00:00:0a');
export const SECOND_ROUTER = parseAddress('fe80::bbbb');
export const SECOND_STATION = parseMac('02:00:00:00:00:0b');
export const NEIGHBOR = parseAddress('2001:db8:3000::77');
export const NEIGHBOR_STATION = parseMac('02:00:00:00:00:77');
export const FOREIGN_PREFIX = parsePrefix('2001:db8:3000::/64');
export const FAR = parseAddress('2001:db8:2000::1');

type RouterAdvertisement = Extract<Icmpv6Message, { kind: 'router-advertisement' }>;
type NeighborAdvertisement = Extract<Icmpv6Message, { kind: 'neighbor-advertisement' }>;

/** By default of a router for half an hour that tells nothing else. */
export function routerAdvertisement(of: Partial<RouterAdvertisement> = {}): RouterAdvertisement {
  return {
    kind: 'router-advertisement',
    hopLimit: 64,
    managed: false,
    other: false,
    homeAgent: false,
    preference: 'medium',
    routerLifetime: 1800,
    reachableTime: 0,
    retransTimer: 0,
    options: [],
    ...of,
  };
}

/** Prefix information for the foreign link: on-link, for addresses, a day long. */
export function prefixOption(
  of: Partial<Extract<NdpOption, { kind: 'prefix-information' }>> = {},
): NdpOption {
  return {
    kind: 'prefix-information',
    prefix: FOREIGN_PREFIX,
    onLink: true,
    autonomous: true,
    routerAddress: false,
    validLifetime: 86_400,
    preferredLifetime: 43_200,
    ...of,
  };
}

export function sourceOption(mac: Mac): NdpOption {
  return { kind: 'source-link-layer-address', mac };
}

/** The answer of a neighbour to a solicitation. @param mac of its option; none: it has no option */
export function neighborAdvertisement(
  target: Address,
  mac: Mac | undefined,
  flags: Partial<NeighborAdvertisement> = {},
): NeighborAdvertisement {
  return {
    kind: 'neighbor-advertisement',
    router: false,
    solicited: true,
    override: true,
    target,
    options: mac === undefined ? [] : [{ kind: 'target-link-layer-address', mac }],
    ...flags,
  };
}

export interface Timed {
  readonly at: number;
  readonly output: ForeignLinkOutput;
}

/** A foreign link with a clock. Its Multicast Listener reports go to `reports`, everything else comes back. */
export class ForeignLinkHarness {
  now = 0;
  readonly reports: { at: number; bytes: Uint8Array }[] = [];
  readonly link: ForeignLink;

  constructor(config: Partial<ForeignLinkConfig> = {}) {
    this.link = new ForeignLink({ mac: OUR_MAC, random: seededRandom(1), ...config });
  }

  handle(event: ForeignLinkEvent): ForeignLinkOutput[] {
    this.link.handle(this.now, event);
    return drain(this.link).filter((output) => {
      if (output.type !== 'frame' || !isMldReport(output.bytes)) return true;
      this.reports.push({ at: this.now, bytes: output.bytes });
      return false;
    });
  }

  /** What happens by itself meanwhile. */
  pass(milliseconds: number): Timed[] {
    const end = this.now + milliseconds;
    const outputs: Timed[] = [];
    const next = () => this.link.wakeAt();
    for (let at = next(); at !== undefined && at <= end; at = next()) {
      this.now = Math.max(this.now, at);
      for (const output of this.handle({ type: 'tick' })) outputs.push({ at: this.now, output });
    }
    this.now = end;
    return outputs;
  }

  hear(
    message: Icmpv6Message,
    {
      // RFC 4861 7.2.4: an answer goes to who has asked, and to no group.
      destination = 'solicited' in message && message.solicited ? CARE_OF : ALL_NODES,
      source = ROUTER,
      sourceMac = ROUTER_STATION,
      packet = {},
    }: {
      destination?: Address;
      source?: Address;
      sourceMac?: Mac;
      packet?: { hopLimit?: number };
    } = {},
  ): ForeignLinkOutput[] {
    const bytes = icmpv6Frame({ message, destination, source, sourceMac, packet });
    return this.handle({ type: 'frame', bytes });
  }

  /** The first router advertises itself and the prefix of the link. */
  advertise(of: Partial<RouterAdvertisement> = {}): ForeignLinkOutput[] {
    const options = [sourceOption(ROUTER_STATION), prefixOption()];
    return this.hear(routerAdvertisement({ options, ...of }));
  }

  /** A care-of address past duplicate address detection and announcement. */
  settle(address = CARE_OF): void {
    this.handle({ type: 'add', address });
    this.pass(5000);
  }
}

/** ICMPv6 messages of the frames among these, taken apart. */
export function sent(outputs: readonly (ForeignLinkOutput | Timed)[]) {
  const plain = outputs.map((one) => ('output' in one ? one.output : one));
  return ofType(plain, 'frame').map(({ bytes }) => read(bytes));
}

/** The Neighbor Solicitations among these, with their times. */
export function asked(outputs: readonly Timed[]) {
  return outputs.flatMap(({ at, output }) => {
    if (output.type !== 'frame') return [];
    const { message, destination, source } = read(output.bytes);
    return message.kind === 'neighbor-solicitation'
      ? [{ at, target: message.target, destination, source }]
      : [];
  });
}
