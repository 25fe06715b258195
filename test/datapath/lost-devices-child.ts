// What lost-devices.test.ts runs in its namespace: a tap, a packet port and an uplink ('tun' or 'packet'), and a line for each that is lost.
import { Engine } from '../../src/datapath/index.js';
import { parseMac } from '../../src/wire/index.js';

const [uplink, workers] = process.argv.slice(2);
const engine = new Engine({ workers: Number(workers) });
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);
const tap = engine.openTap('kgtap0', { localMac: parseMac('02:00:00:00:00:01') });
const { port: link } = engine.openPacketPort('l0');
if (uplink === 'packet') engine.openPacketUplink('w0', { mac: parseMac('02:00:00:00:00:44') });
else engine.openTun('w0');
const names = new Map<unknown, string>([
  [tap, 'tap'],
  [link, 'link'],
]);
engine.onLost((which) => say({ lost: names.get(which) ?? which }));
say({ opened: true });
process.stdin.resume().on('end', () => {
  const { wakeups, devicesLost, uplinksLost } = engine.counters();
  const lost = [tap, link].map((port) => engine.portCounters(port).lost);
  say({ wakeups, devicesLost, uplinksLost, ports: lost });
  engine.close();
});
