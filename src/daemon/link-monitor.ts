import { KagemushaError } from '../errors.js';
import { type Mac, parseMac } from '../wire/index.js';
import { IpMonitor, type IpMonitorOptions } from './ip-monitor.js';
import { runJson } from './ip-route.js';

/** A cable that is moved from one switch to the next is out for seconds, a virtual one for less. */
const BETWEEN_MS = 250;

/** An interface, as far as what is on its link depends on it. */
export interface LinkState {
  /** It was switched on. */
  readonly up: boolean;
  /** What is sent goes somewhere. */
  readonly carrier: boolean;
  /** How often it got or lost its carrier: it may have been away between two looks. */
  readonly changes: number;
  /** Left out where it is no Ethernet. */
  readonly mac?: Mac;
}

interface IpLink {
  readonly flags?: readonly string[];
  readonly address?: string;
  readonly link_type?: string;
  readonly stats64?: { readonly tx?: { readonly carrier_changes?: number } };
}

/** @throws KagemushaError IP_COMMAND_FAILED when there is no such interface */
export async function readLink(device: string): Promise<LinkState> {
  const [link] = (await runJson([
    'ip',
    '-j',
    '-s',
    '-s',
    'link',
    'show',
    'dev',
    device,
  ])) as IpLink[];
  return linkState(link ?? {});
}

/** Of what `ip -j -s -s link` says. */
export function linkState({ flags = [], address, link_type, stats64 }: IpLink): LinkState {
  const up = flags.includes('UP');
  const state = {
    up,
    // Of an interface that waits (for 802.1X, say) LOWER_UP is told and NO-CARRIER, too.
    carrier: up && flags.includes('LOWER_UP') && !flags.includes('NO-CARRIER'),
    changes: stats64?.tx?.carrier_changes ?? 0,
  };
  return link_type === 'ether' && address !== undefined
    ? { ...state, mac: parseMac(address) }
    : state;
}

/** Watches one interface; `undefined`: there is none of this name any more. */
export class LinkMonitor extends IpMonitor<LinkState | undefined> {
  constructor(device: string, options: IpMonitorOptions<LinkState | undefined>) {
    const read = async (): Promise<LinkState | undefined> => await readLink(device).catch(goneOr);
    super({ words: ['-o', 'monitor', 'link', 'dev', device], read, between: BETWEEN_MS }, options);
  }
}

/** @throws what is no sign of a missing interface */
function goneOr(error: unknown): undefined {
  if (error instanceof KagemushaError && /does not exist|Cannot find device/.test(error.message))
    return;
  throw error;
}
