import { formatPrefix } from '../../wire/address.js';
import type { HomeAgentConfig, HomeSecurity, HostConfig } from './types.js';

/** What is allowed in a configuration and yet worth a word, one line each. */
export function configNotes(config: HostConfig | HomeAgentConfig): string[] {
  const homes =
    config.role === 'host' ? config.guests.flatMap(({ security }) => security) : config.mobileNodes;
  const notes = homes.flatMap(noteOf);
  for (const [i, { homeAddress, security }] of homes.entries()) {
    if (security.kind === 'none' || security.keyId === '') continue;
    const twin = homes
      .slice(0, i)
      .find((other) => other.security.kind !== 'none' && other.security.keyId === security.keyId);
    if (twin === undefined) continue;
    notes.push(`${homeAddress} has the same keys as ${twin.homeAddress}: make it keys of its own`);
  }
  if (config.role === 'home-agent' && config.allow === 'any') {
    const where = formatPrefix(config.homePrefix);
    notes.push(
      `allow = "any": whoever sends a Binding Update may take any address of ${where} that is not listed`,
    );
  }
  return notes;
}

function noteOf({ homeAddress, security }: HomeSecurity): string[] {
  if (security.kind === 'none') {
    return [
      `${homeAddress} is not protected: whoever can send as its peer can redirect its packets; write security with kind = "esp"`,
    ];
  }
  if (security.kind === 'esp' && security.encryption === 'null') {
    return [`${homeAddress}: encryption = "null" authenticates and hides nothing`];
  }
  if (security.kind === 'esp' && security.encryption === '3des-cbc') {
    return [`${homeAddress}: 3des-cbc is for old peers only (RFC 8221); aes-128-cbc is stronger`];
  }
  return [];
}
