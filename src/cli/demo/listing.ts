import { KagemushaError } from '../../errors.js';
import { run } from './netns.js';
import type { DemoResult } from './result.js';

/** The four packet kinds of the paper's Listing 1, by the words tcpdump has for them. */
const KINDS = {
  binding_update: / DSTOPT .*mobility: BU /,
  binding_acknowledgement: / srcrt .*mobility: BA /,
  guest_to_correspondent: / > .* IP6 .*ICMP6, echo request/,
  correspondent_to_guest: / > .* IP6 .*ICMP6, echo reply/,
} as const;

/**
 * Reads a capture with tcpdump and picks the first packet of each kind.
 *
 * @throws KagemushaError LISTING_INCOMPLETE when the capture lacks one: the demo has then failed
 */
export async function listing(file: string): Promise<DemoResult['capture']> {
  const command = `tcpdump -n -t -r ${file}`;
  // Debian's tcpdump changes to a user that a user namespace does not have, unless told otherwise.
  const lines = (await run([...command.split(' '), '-Z', 'root'])).split('\n');
  const pick = (kind: keyof typeof KINDS): string => {
    const line = lines.find((candidate) => KINDS[kind].test(candidate));
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
