import { emitSignal, readSignal } from '../../src/signaling/index.js';
import {
  type Address,
  alignMobilityOptions,
  attempt,
  ETHERTYPE_IPV6,
  emitEthernet,
  parseEthernet,
  parsePacket,
  WireError,
} from '../../src/wire/index.js';

/**
 * All that a kernel which tunnels lacks of a Home Agent: the frame of the Binding Acknowledgement (RFC 6275 6.1.8, status 0, the
 * lifetime asked for) that answers a Binding Update in the clear. No state, no policy: whoever asks is served.
 *
 * @returns undefined for every other frame
 */
export function answerUpdate(frame: Uint8Array, homeAgent: Address): Uint8Array | undefined {
  const ethernet = parseEthernet(frame);
  if (ethernet.etherType !== ETHERTYPE_IPV6) return undefined;
  const packet = attempt(() => parsePacket(ethernet.payload));
  if (packet instanceof WireError || packet.destination !== homeAgent) return undefined;
  const signal = readSignal(packet);
  if (signal instanceof WireError || signal.message.kind !== 'binding-update') return undefined;
  const { source, homeAddressOption, message } = signal;
  if (homeAddressOption === undefined || !message.acknowledge) return undefined;
  const answer = emitSignal({
    source: homeAgent,
    destination: source,
    routingHeader: homeAddressOption,
    message: {
      kind: 'binding-acknowledgement',
      status: 0,
      keyManagement: false,
      reserved: 0,
      sequence: message.sequence,
      lifetime: message.lifetime,
      options: alignMobilityOptions([], 'binding-acknowledgement'),
    },
  });
  return emitEthernet({
    destination: ethernet.source,
    source: ethernet.destination,
    etherType: ETHERTYPE_IPV6,
    payload: answer,
  });
}
