// Codecs, one message or packet at a time. The messages are those that the codec tests hold against tshark and scapy.
import type { Ipv6Packet } from '../src/wire/index.js';
import {
  alignOptions,
  emitIcmpv6,
  emitMobility,
  emitPacket,
  internetChecksum,
  PROTOCOL,
  parseIcmpv6,
  parseMobility,
  parsePacket,
  pseudoHeader,
} from '../src/wire/index.js';
import { CARE_OF, HOME_ADDRESS, HOME_AGENT } from '../test/support/testbed-addresses.js';
import { SAMPLES } from '../test/wire/samples.js';
import { report, suite } from './harness.js';

type Cases = Record<string, () => void>;

/** Parse and emit of the Mobility Header or ICMPv6 message of a sample, its checksum included. */
function messageCases(name: string): Cases {
  const sample = SAMPLES[name];
  if (sample === undefined) throw new Error(`no sample "${name}"`);
  const { frame, upper } = sample;
  const pseudo = pseudoHeader({ ...frame, protocol: PROTOCOL.noNext, payload: new Uint8Array() });
  if ('mobility' in upper) {
    const bytes = emitMobility(upper.mobility, pseudo);
    return {
      [`parse ${name}`]: () => parseMobility(bytes, pseudo),
      [`emit ${name}`]: () => emitMobility(upper.mobility, pseudo),
    };
  }
  if ('icmpv6' in upper) {
    const bytes = emitIcmpv6(upper.icmpv6, pseudo);
    return {
      [`parse ${name}`]: () => parseIcmpv6(bytes, pseudo),
      [`emit ${name}`]: () => emitIcmpv6(upper.icmpv6, pseudo),
    };
  }
  throw new Error(`"${name}" is no message`);
}

/** The headers of RFC 6275 6.3 and 6.4 in one packet, in the order of RFC 8200 4.1; what is behind them stays as it is. */
function packetCases(): Cases {
  const packet: Ipv6Packet = {
    trafficClass: 0,
    flowLabel: 0,
    hopLimit: 64,
    source: CARE_OF,
    destination: HOME_AGENT,
    extensions: [
      { kind: 'routing-type-2', segmentsLeft: 1, homeAddress: HOME_ADDRESS },
      {
        kind: 'destination',
        options: alignOptions([{ kind: 'home-address', address: HOME_ADDRESS }]),
      },
    ],
    protocol: PROTOCOL.mobility,
    payload: new Uint8Array(32),
  };
  const bytes = emitPacket(packet);
  return {
    'parse packet with HAO and RH2': () => parsePacket(bytes),
    'emit packet with HAO and RH2': () => emitPacket(packet),
  };
}

function checksumCases(length: number): Cases {
  const octets = new Uint8Array(length).fill(0x5a);
  return { [`checksum, ${length} octets`]: () => internetChecksum(octets) };
}

report(
  suite('wire', {
    ...messageCases('binding update'),
    ...messageCases('binding acknowledgement'),
    ...messageCases('neighbor solicitation'),
    ...messageCases('neighbor advertisement'),
    ...messageCases('router advertisement'),
    ...packetCases(),
    ...checksumCases(64),
    ...checksumCases(1280),
  }),
);
