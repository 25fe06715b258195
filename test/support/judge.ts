import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const execFileAsync = promisify(execFile);

export { type Capture, captureOn } from '../../src/cli/demo/captures.js';

/**
 * Packets of a capture that match a display filter, one line each in tshark's words. Checksums are verified.
 *
 * @param preferences more of them: security associations, say
 */
export async function tshark(
  file: string,
  displayFilter: string,
  preferences: readonly string[] = [],
): Promise<string[]> {
  const checks = ['tcp.check_checksum:TRUE', 'udp.check_checksum:TRUE', ...preferences];
  const { stdout } = await execFileAsync(
    'tshark',
    ['-n', '-r', file, ...checks.flatMap((check) => ['-o', check]), '-Y', displayFilter],
    { maxBuffer: 256 * 1024 * 1024 },
  );
  return stdout.split('\n').filter((line) => line !== '');
}

/** Fields of the packets of a capture that match a display filter; what a packet has several of is separated by commas. */
export async function tsharkFields(
  file: string,
  displayFilter: string,
  fields: readonly string[],
  preferences: readonly string[] = [],
): Promise<string[][]> {
  const options = preferences.flatMap((preference) => ['-o', preference]);
  const asked = fields.flatMap((field) => ['-e', field]);
  const { stdout } = await execFileAsync(
    'tshark',
    ['-n', '-r', file, ...options, '-Y', displayFilter, '-T', 'fields', ...asked],
    { maxBuffer: 256 * 1024 * 1024 },
  );
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t'));
}

/** What no capture may show: malformed packets, wrong checksums (but in what an ICMPv6 error quotes: that is cut short). */
export const FLAWS =
  '_ws.malformed || icmpv6.checksum.status == "Bad" || (!(icmpv6.type < 128) && (tcp.checksum.status == "Bad" || udp.checksum.status == "Bad"))';

/**
 * ICMPv6 errors that tell of a kernel that was asked for something it does not know (destination unreachable, time exceeded, parameter problem).
 * Packet Too Big is no such thing: it is how the Home Agent's kernel and the home link tell the tunnel's MTU.
 */
export const KERNEL_ERRORS = 'icmpv6.type == 1 || icmpv6.type == 3 || icmpv6.type == 4';

/** Octets of a file, to see that a capture is not empty. */
export async function sizeOf(file: string): Promise<number> {
  return (await readFile(file)).length;
}
