import { readFile } from 'node:fs/promises';
import { type ConfigurationFiles, SPI } from '../../src/cli/demo/configuration.js';
import type { Algorithms } from '../../src/crypto/index.js';
import { Secret } from '../../src/crypto/index.js';
import { TSHARK_ESP, tsharkAssociation } from './esp-keys.js';

/** What writeConfigurations() asks for. */
const ALGORITHMS: Algorithms = { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' };

/** tshark's preferences that let it read, and check, what the testbed's daemons say to each other. */
export async function testbedPreferences({ keys }: ConfigurationFiles): Promise<string[]> {
  const text = await readFile(keys, 'utf8');
  const key = (name: string): Secret => {
    const hex = new RegExp(`^${name} = "([0-9a-f]+)"$`, 'm').exec(text)?.[1] ?? '';
    return new Secret(Uint8Array.from(Buffer.from(hex, 'hex')));
  };
  const pair = { encryption: key('encryption_key'), authentication: key('authentication_key') };
  return [
    ...TSHARK_ESP,
    ...Object.values(SPI).map((spi) => tsharkAssociation(spi, ALGORITHMS, pair)),
  ];
}
