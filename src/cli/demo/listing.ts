import { readFileSync } from 'node:fs';
import { KagemushaError } from '../../errors.js';
import { PAPER, SPI } from './configuration.js';
import { run } from './netns.js';

/** Both ends of the tunnel, outside and inside, as the packet's four kinds of the paper's Listing 1 have them. */
const OUT = `${PAPER.careOf} > ${PAPER.homeAgent}: `;
const BACK = `${PAPER.homeAgent} > ${PAPER.careOf}: `;

type Judge = (line: string) => boolean;
const spi = (value: number): string => `ESP(spi=0x${value.toString(16).padStart(8, '0')},`;

/**
 * The packet kinds of the paper's Listings 1 (in the clear) and 2 (under ESP), by the words that tcpdump has for them (older ones call
 * the routing header `srcrt`).
 */
const KINDS = {
  protected_binding_update: (line) =>
    line.includes(OUT) && line.includes(` DSTOPT ${spi(SPI.toHomeAgent)}`),
  protected_binding_acknowledgement: (line) =>
    line.includes(BACK) && / (RT6|srcrt) /.test(line) && line.includes(spi(SPI.toMobileNode)),
  binding_update: (line) => line.includes(OUT) && / DSTOPT .*mobility: BU /.test(line),
  binding_acknowledgement: (line) =>
    line.includes(BACK) && / (RT6|srcrt) .*mobility: BA /.test(line),
  guest_to_correspondent: (line) =>
    line.includes(`${OUT}IP6 ${PAPER.guest} > ${PAPER.hostA}: ICMP6, echo request`),
  correspondent_to_guest: (line) =>
    line.includes(`${BACK}IP6 ${PAPER.hostA} > ${PAPER.guest}: ICMP6, echo reply`),
} satisfies Record<string, Judge>;

export type ListedKind = keyof typeof KINDS;

/** The command that reads a capture. @param times `-t`: none; `-tt`: seconds since 1970 */
export function readingCommand(file: string, times: '-t' | '-tt' = '-t'): string {
  return `tcpdump -n ${times} -r ${file}`;
}

/**
 * Reads a capture with tcpdump and picks the first packet of each kind that is asked for.
 *
 * @throws KagemushaError LISTING_INCOMPLETE when the capture lacks one: the demo has then failed
 */
export async function listing<Kind extends ListedKind>(
  file: string,
  kinds: readonly Kind[],
  times: '-t' | '-tt' = '-t',
): Promise<Record<Kind, string>> {
  const lines = await readCapture(file, times);
  const picked = kinds.map((kind): [Kind, string] => {
    const judge: Judge = KINDS[kind];
    const line = lines.find(judge);
    if (line === undefined) {
      throw new KagemushaError('LISTING_INCOMPLETE', `no ${kind} among ${lines.length} packets`);
    }
    return [kind, line];
  });
  return Object.fromEntries(picked) as Record<Kind, string>;
}

/** The packets of a capture in tcpdump's words. */
export async function readCapture(file: string, times: '-t' | '-tt'): Promise<string[]> {
  const words = readingCommand(file, times).split(' ');
  const lines = (await run([...unprivileged(), ...words, '-Z', 'root'])).split('\n');
  return lines.filter((line) => line !== '');
}

/** Of a line that was read with `-tt`: milliseconds since 1970. */
export function timeOf(line: string): number {
  return Number(/^\d+\.\d+/.exec(line)?.[0]) * 1000;
}

/** True where tcpdump may not change its user, as it does when it captures. */
export function mayNotChangeUser(): boolean {
  return readFileSync('/proc/self/setgroups', 'utf8').trim() === 'deny';
}

/**
 * Started by root, tcpdump changes its user and groups, even to `-Z root`; root of a user namespace may not (user_namespaces(7)).
 * In a namespace further in it is nobody, and need not.
 */
function unprivileged(): string[] {
  return mayNotChangeUser() ? ['unshare', '--user'] : [];
}
