import { join } from 'node:path';
import { CHECKOUT } from '../../src/checkout.js';

/** libvirt's programs and schemas, unpacked: scripts/test-libvirt.mjs. */
export const LIBVIRT = join(CHECKOUT, '.setup/libvirt');
