import type { ChildProcess } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { KagemushaError } from '../../errors.js';
import { endProcess, type Netns, until } from './netns.js';
import { KAGEMUSHA, nodeCommand } from './processes.js';

/** A packet capture by tcpdump, the judge's own eyes. */
export interface Capture {
  readonly file: string;
  stop(): Promise<void>;
}

/** Takes every packet of a device until `stop`, with the kernel's times; resolves when packets are being taken. */
export async function captureOn(
  netns: Netns,
  device: string,
  file: string,
  filter = '',
): Promise<Capture> {
  // In immediate mode: what the kernel has not handed over yet when tcpdump ends, up to a second's packets, would be missing.
  const options = ['-Z', 'root', '--immediate-mode', '-s', '65535', '-U', '-n', '-B', '65536'];
  const argv = ['tcpdump', ...options, '-i', device, '-w', file];
  const child = netns.spawn([...argv, ...(filter === '' ? [] : [filter])], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until(`tcpdump on ${device}`, () => (/listening on/.test(said) ? true : undefined));
  return { file, stop: async () => await endProcess(child) };
}

/**
 * `kagemusha capture` on an interface, as its option has it; resolves once packets are being taken: the file begins then. It runs
 * where tcpdump may not change its user.
 */
export async function startCapture(
  netns: Netns,
  device: string,
  file: string,
  filter = '',
): Promise<ChildProcess> {
  const words = ['--interface', device, '--write', file];
  const only = filter === '' ? [] : ['--filter', filter];
  const child = netns.spawn(nodeCommand(KAGEMUSHA, 'capture', ...words, ...only), {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  await until('kagemusha capture', () => {
    if (child.exitCode !== null) {
      throw new KagemushaError('CAPTURE_FAILED', said.trim().split('\n').at(-1) ?? '');
    }
    return existsSync(file) && statSync(file).size > 0 ? true : undefined;
  });
  return child;
}
