import type { Millis } from '../time.js';
import type { Mac } from '../wire/index.js';

/** RFC 4861 10: between retransmissions, unless a router tells otherwise. */
export const RETRANS_TIMER: Millis = 1000;
/** RFC 4861 10 */
export const MAX_MULTICAST_SOLICIT = 3;
/** RFC 4861 10: unsolicited ones in a row. */
export const MAX_NEIGHBOR_ADVERTISEMENT = 3;
/** For a destination that is a group: its link-layer address follows from it (see icmpv6Frame). */
export const ANY_MAC = '33:33:00:00:00:01' as Mac;
