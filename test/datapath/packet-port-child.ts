// What packet-port.test.ts runs in its namespace: a packet port that says each frame it sees, in hexadecimal, and sends each
// line of stdin. With `home-link` it sees signaling too, and what a bridge carries.
import { createInterface } from 'node:readline';
import { Engine } from '../../src/datapath/index.js';

const engine = new Engine();
const { port, mac } = engine.openPacketPort(process.argv[2] ?? '', {
  signaling: process.argv[3] === 'home-link',
  promiscuous: process.argv[3] === 'home-link',
});
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);

engine.onReadable(() => {
  for (let packet = engine.receive(); packet; packet = engine.receive()) {
    if (packet.kind === 'control' && packet.port === port) {
      say({ frame: Buffer.from(packet.bytes).toString('hex') });
    }
    packet.release();
  }
});
say({ mac });
createInterface(process.stdin)
  .on('line', (line) => engine.transmit(port, Buffer.from(line, 'hex')))
  .on('close', () => engine.close());
