import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { z } from 'zod';
import { Secret } from '../../crypto/secret.js';
import type { Path } from './locate.js';
import type { Reading } from './reading.js';
import { absolutePath, endpoint, hostName, table } from './scalars.js';
import type { PeerConfig, PeeringConfig } from './types.js';

/** `[host.peering]`: this host, as its peers see it. */
export const peering = table({
  listen: endpoint('[2001:db8:3000::3]:7626'),
  certificate: absolutePath('/etc/kagemusha/host-b.crt'),
  key_file: absolutePath('/etc/kagemusha/host-b.key'),
  authority: absolutePath('/etc/kagemusha/peers.crt'),
});

/** `[[host.peer]]`: another host. */
export const peer = table({
  name: hostName('host-c'),
  address: endpoint('[2001:db8:4000::3]:7626'),
});

/** The two tables with their files; what is wrong goes into `reading`. */
export function toPeering(
  own: z.output<typeof peering> | undefined,
  others: readonly z.output<typeof peer>[],
  reading: Reading,
): PeeringConfig | undefined {
  if (own === undefined) {
    if (others.length > 0) {
      const message =
        'is missing beside [[host.peer]]; write listen, certificate, key_file, authority';
      reading.faults.push({ path: ['host', 'peering'], message });
    }
    return undefined;
  }
  const at = (key: string): Path => ['host', 'peering', key];
  const certificate = readCertificate(at('certificate'), own.certificate, reading);
  const authority = readCertificate(at('authority'), own.authority, reading);
  const key = reading.privateKey(at('key_file'), own.key_file);
  if (certificate !== '' && key !== '' && !belongTogether(certificate, key)) {
    const message = `${own.key_file} is not the key of ${own.certificate}; name the one that it was made with`;
    reading.faults.push({ path: at('key_file'), message });
  }
  return {
    listen: own.listen,
    certificate,
    key: new Secret(Buffer.from(key)),
    authority,
    peers: others
      .map(({ name, address }): PeerConfig => ({ name, ...address }))
      // One list may be that of all hosts.
      .filter(({ name }) => certificate === '' || !isOf(certificate, name)),
  };
}

/** Empty when it cannot be used. */
function readCertificate(path: Path, file: string, reading: Reading): string {
  if (!reading.reads) return '';
  const fault = (message: string): string => {
    reading.faults.push({ path, message });
    return '';
  };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    return fault(
      `${file} cannot be read (${(error as NodeJS.ErrnoException).code}); see README, Peers`,
    );
  }
  try {
    new X509Certificate(text);
    return text;
  } catch {
    return fault(`${file} is no certificate in PEM; see README, Peers`);
  }
}

function isOf(certificate: string, name: string): boolean {
  return new X509Certificate(certificate).checkHost(name) !== undefined;
}

function belongTogether(cert: string, key: string): boolean {
  try {
    createSecureContext({ cert, key });
    return true;
  } catch {
    return false;
  }
}
