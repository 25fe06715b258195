import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { writePcap } from './pcap.js';

/** One packet as tshark sees it: field name → the values shown, in order. */
export type Dissection = ReadonlyMap<string, readonly string[]>;

function run(command: string, args: readonly string[], input?: string): string {
  const { error, status, stdout, stderr } = spawnSync(command, args, {
    encoding: 'utf8',
    ...(input === undefined ? {} : { input }),
    maxBuffer: 64 << 20,
  });
  if (error) {
    throw new Error(`${command} is missing, "npm run setup" installs it: ${error.message}`);
  }
  if (status !== 0) {
    throw new Error(`${command} failed with ${status} ("npm run setup" installs it): ${stderr}`);
  }
  return stdout;
}

function unescapeXml(text: string): string {
  return text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&amp;', '&');
}

function dissection(packet: string): Dissection {
  const fields = new Map<string, string[]>();
  for (const [, name = '', attributes = ''] of packet.matchAll(
    /<(?:field|proto) name="([^"]*)"([^>]*)>/g,
  )) {
    const show = / show="([^"]*)"/.exec(attributes)?.[1] ?? '';
    fields.set(name, [...(fields.get(name) ?? []), unescapeXml(show)]);
  }
  return fields;
}

/**
 * Has tshark read the packets, all in one run, with checksum validation on.
 * @param preferences more of them: `name:value`
 */
export function tshark(
  linktype: number,
  packets: readonly Uint8Array[],
  preferences: readonly string[] = [],
): Dissection[] {
  const directory = mkdtempSync(join(tmpdir(), 'kagemusha-judge-'));
  try {
    const file = join(directory, 'packets.pcap');
    writePcap(file, linktype, packets);
    const options = ['udp.check_checksum:TRUE', 'tcp.check_checksum:TRUE', ...preferences];
    const args = ['-r', file, '-n', '-T', 'pdml', ...options.flatMap((option) => ['-o', option])];
    return run('tshark', args).split('<packet>').slice(1).map(dissection);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

/** What tshark holds against a packet: malformed parts, wrong checksums, warnings and errors. */
export function complaints(seen: Dissection): string[] {
  const warning = 0x00600000; // PI_WARN, epan/proto.h
  const severities = seen.get('_ws.expert.severity') ?? [];
  const messages = seen.get('_ws.expert.message') ?? [];
  const wrong = [...seen].filter(
    ([name, values]) => /checksum.*status$/.test(name) && values.some((value) => value === '0'),
  );
  return [
    ...messages.filter((_, index) => Number(severities[index]) >= warning),
    ...wrong.map(([name]) => `${name} is bad`),
    ...[...seen.keys()].filter((name) => /^_ws\.(malformed|short|unreassembled)/.test(name)),
  ];
}

/** Runs a script with Debian's Python (the one that has python3-scapy); it prints one JSON value, and may read one. */
export function scapy(script: string, input?: unknown): unknown {
  const text = input === undefined ? undefined : JSON.stringify(input);
  return JSON.parse(run('/usr/bin/python3', ['-W', 'ignore', script], text));
}
