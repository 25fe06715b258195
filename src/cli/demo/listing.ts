import { readFileSync } from 'node:fs';
import { KagemushaError } from '../../errors.js';
import { run } from './netns.js';
import type { DemoResult } from './result.js';
import { PAPER } from './testbed.js';

/** Both ends of the tunnel, outside and inside, as the packet's four kinds of the paper's Listing 1 have them. */
const OUT = `${PAPER.careOf} > ${PAPER.homeAgent}: `;
const BACK = `${PAPER.homeAgent} > ${PAPER.careOf}: `;

/** The four packet kinds, by the words that tcpdump has for them (older ones call the routing header `srcrt`). */
const KINDS: Record<string, (line: string) => boolean> = {
  binding_update: (line) => line.includes(OUT) && / DSTOPT .*mobility: BU /.test(line),
  binding_acknowledgement: (line) =>
    line.includes(BACK) && / (RT6|srcrt) .*mobility: BA /.test(line),
  guest_to_correspondent: (line) =>
    line.includes(`${OUT}IP6 ${PAPER.guest} > ${PAPER.hostA}: ICMP6, echo request`),
  correspondent_to_guest: (line) =>
    line.includes(`${BACK}IP6 ${PAPER.hostA} > ${PAPER.guest}: ICMP6, echo reply`),
};

/**
 * Reads a capture with tcpdump and picks the first packet of each kind.
 *
 * @throws KagemushaError LISTING_INCOMPLETE when the capture lacks one: the demo has then failed
 */
export async function listing(file: string): Promise<DemoResult['capture']> {
  const command = `tcpdump -n -t -r ${file}`;
  const lines = (await run([...unprivileged(), ...command.split(' '), '-Z', 'root'])).split('\n');
  const pick = (kind: keyof DemoResult['capture']): string => {
    const line = lines.find((candidate) => KINDS[kind]?.(candidate));
    if (line === undefined) {
      throw new KagemushaError('LISTING_INCOMPLETE', `no ${kind} among ${lines.length} packets`);
    }
    return line;
  };
  return {
    binding_update: pick('binding_update'),
    binding_acknowledgement: pick('binding_acknowledgement'),
    guest_to_correspondent: pick('guest_to_correspondent'),
    correspondent_to_guest: pick('correspondent_to_guest'),
    command,
  };
}

/**
 * Started by root, tcpdump changes its user and groups, even to `-Z root`; root of a user namespace may not (user_namespaces(7)).
 * In a namespace further in it is nobody, and need not.
 */
function unprivileged(): string[] {
  const groups = readFileSync('/proc/self/setgroups', 'utf8').trim();
  return groups === 'deny' ? ['unshare', '--user'] : [];
}
