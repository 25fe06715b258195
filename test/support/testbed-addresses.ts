import type { Mac } from '../../src/wire/index.js';
import { parseAddress, parseMac, parsePrefix } from '../../src/wire/index.js';

/** The paper's testbed. */
export const HOME_AGENT = parseAddress('2001:db8:2000::1');
export const HOST_A = parseAddress('2001:db8:2000::2');
export const HOME_ADDRESS = parseAddress('2001:db8:2000::10');
export const HOME_PREFIX = parsePrefix('2001:db8:2000::/64');
export const CARE_OF = parseAddress('2001:db8:3000::33');
export const OTHER_CARE_OF = parseAddress('2001:db8:4000::44');
export const HOME_ROUTER = parseAddress('fe80::1');
export const ROUTER_MAC: Mac = parseMac('02:6b:67:00:00:01');
export const GUEST_MAC: Mac = parseMac('52:54:00:12:34:56');
export const GUEST_LINK_LOCAL = parseAddress('fe80::5054:ff:fe12:3456');
