// Runs where the Home Agent would: `node responder-main.js DEVICE ADDRESS` answers the Binding Updates that come by DEVICE for
// ADDRESS, and says `ready` first. Tunnel packets are the kernel's.
import { Engine } from '../../src/datapath/index.js';
import { parseAddress } from '../../src/wire/index.js';
import { answerUpdate } from './responder.js';

const [device = '', address = ''] = process.argv.slice(2);
const homeAgent = parseAddress(address);
const engine = new Engine({ maxPorts: 1, maxTunnels: 1, maxSignalers: 1 });
const { port } = engine.openPacketPort(device, { signaling: true });
engine.publish({ tunnels: [], locals: [{ address: homeAgent, side: 'home-agent' }] });
engine.onReadable(() => {
  for (let packet = engine.receive(); packet; packet = engine.receive()) {
    const answer = packet.port === port ? answerUpdate(packet.bytes, homeAgent) : undefined;
    packet.release();
    if (answer !== undefined) engine.transmit(port, answer);
  }
});
process.stdout.write('ready\n');
// An open engine does not keep the process alive; whoever started this holds standard input, and ends it by closing it.
process.stdin.on('close', () => process.exit(0)).resume();
