// ESP around signaling: what a Binding Update costs under it, and what a forged one does.
import { InboundAssociation, OutboundAssociation } from '../src/crypto/index.js';
import { emitSignal, espProtection, SecurityPolicies } from '../src/signaling/index.js';
import { PROTOCOL, parsePacket } from '../src/wire/index.js';
import { counterFrom, keysFor } from '../test/support/esp-keys.js';
import { UPDATE } from '../test/support/signals.js';
import { HOME_ADDRESS } from '../test/support/testbed-addresses.js';
import { report, suite } from './harness.js';

const ALGORITHMS = { encryption: 'aes-128-cbc', authentication: 'hmac-sha1-96' } as const;
const KEYS = keysFor(ALGORITHMS);
const [SPI_OUT, SPI_IN] = [1000, 1001];
/** Without a window: the same packet is opened again and again. */
const REPLAY_WINDOW = 0;

/** The policies of one end; its SPIs are those of the other, the other way round. */
function policies(role: 'mobile-node' | 'home-agent', spiOut: number, spiIn: number) {
  const counter = counterFrom(1);
  const options = { algorithms: ALGORITHMS, keys: KEYS, counter, replayWindow: REPLAY_WINDOW };
  const protection = espProtection({ ...options, spiOut, spiIn });
  return new SecurityPolicies(role, [{ homeAddress: HOME_ADDRESS, protection }], () => 0);
}

const node = policies('mobile-node', SPI_OUT, SPI_IN);
const agent = policies('home-agent', SPI_IN, SPI_OUT);
const outbound = new OutboundAssociation({
  spi: SPI_OUT,
  algorithms: ALGORITHMS,
  keys: KEYS,
  counter: counterFrom(1),
});
const inbound = new InboundAssociation({
  spi: SPI_OUT,
  algorithms: ALGORITHMS,
  keys: KEYS,
  window: undefined,
});

function octets(result: Uint8Array | string): Uint8Array {
  if (typeof result === 'string') throw new Error(result);
  return result;
}

const payload = parsePacket(emitSignal(UPDATE)).payload;
const good = octets(outbound.seal(PROTOCOL.mobility, payload));
const bad = good.map((octet, index) => (index === good.length - 1 ? octet ^ 1 : octet));
const packet = octets(node.emit(UPDATE));
const forged = packet.map((octet, index) => (index === packet.length - 1 ? octet ^ 1 : octet));

report(
  suite('ESP aes-128-cbc hmac-sha1-96', {
    seal: () => octets(outbound.seal(PROTOCOL.mobility, payload)),
    open: () => {
      if (typeof inbound.open(good) === 'string') throw new Error('refused');
    },
    'refuse a wrong ICV': () => {
      if (inbound.open(bad) !== 'esp_icv') throw new Error('not refused');
    },
    'BU emitted as a packet': () => octets(node.emit(UPDATE)),
    'BU read from a packet': () => {
      if (agent.read(parsePacket(packet)) === undefined) throw new Error('refused');
    },
    'forged BU read and refused': () => {
      if (agent.read(parsePacket(forged)) !== undefined) throw new Error('not refused');
    },
  }),
);
