// What flood.test.ts runs in its namespace: an engine on a TUN that is a mobile node's and a home agent's at once. From one line
// on stdin to the next it sends itself, through the kernel, valid signaling and payload, and then says what came of it.
import { readdirSync, readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Engine } from '../../src/datapath/index.js';
import { PROTOCOL } from '../../src/wire/index.js';
import { acknowledgement, espAcknowledgement, espUpdate, update } from '../datapath/signaling.js';
import {
  AGENT,
  CARE_OF,
  GUEST_MAC,
  HOME,
  MTU,
  OTHER_CARE_OF,
  OTHER_HOME,
  ROUTER_MAC,
  tunnelled,
  udp,
} from '../datapath/world.js';

/** Between two rounds of valid messages, ms. */
const PAUSE = 50;

const engine = new Engine({ maxPorts: 4, maxTunnels: 4, maxSignalers: 4 });
const guest = engine.openMemoryPort({ localMac: ROUTER_MAC });
engine.openTun(process.argv[2] ?? '');
const mobileNode = { side: 'mobile-node', local: CARE_OF } as const;
const homeAgent = { side: 'home-agent', local: AGENT } as const;
engine.publish({
  tunnels: [
    { ...mobileNode, slot: 0, remote: AGENT, homeAddresses: [HOME], port: guest.port, mtu: MTU },
    { ...homeAgent, slot: 1, remote: OTHER_CARE_OF, homeAddresses: [OTHER_HOME], mtu: MTU },
  ],
  locals: [
    { address: CARE_OF, side: 'mobile-node' },
    { address: AGENT, side: 'home-agent' },
  ],
  signalers: [
    { ...mobileNode, index: 0, homeAddress: HOME, protection: 'esp', spi: 1001 },
    { ...mobileNode, index: 1, homeAddress: OTHER_HOME, protection: 'plain' },
    { ...homeAgent, index: 2, homeAddress: HOME, protection: 'plain' },
    { ...homeAgent, index: 3, homeAddress: OTHER_HOME, protection: 'esp', spi: 1000 },
  ],
});
engine.setPeerMac(guest.port, GUEST_MAC);

/** What only the valid ones end with: what a key would prove. */
const MARK = 0x6b;
let sequence = 5000;
let sent = 0;
let heard = 0;
let forged = 0;
let payloadSent = 0;
let payloadHeard = 0;

engine.onReadable(() => {
  for (let packet = engine.receive(); packet; packet = engine.receive()) {
    if (packet.bytes.at(-1) === MARK && packet.bytes[6] !== PROTOCOL.icmpv6) heard++;
    else forged++;
    packet.release();
  }
});

function expect(): void {
  for (const index of [0, 2, 3]) engine.expectSequence(index, sequence);
  engine.expectSequence(1, sequence + 1);
}

function round(): void {
  expect();
  sequence++;
  const valid = [
    espAcknowledgement(HOME, 1001, sequence, MARK),
    acknowledgement(OTHER_HOME, sequence, MARK),
    update(OTHER_CARE_OF, HOME, sequence, MARK),
    espUpdate(OTHER_CARE_OF, OTHER_HOME, 1000, sequence, MARK),
  ];
  for (const packet of valid) if (engine.transmit('uplink', packet)) sent++;
  if (engine.transmit('uplink', tunnelled(AGENT, CARE_OF, udp(AGENT, HOME)))) payloadSent++;
  while (guest.take()) payloadHeard++;
}

/** Seconds of CPU that the engine's thread used, its own and the kernel's (proc(5): utime and stime, in ticks of 10 ms). */
function workerSeconds(): { user: number; system: number } {
  for (const id of readdirSync('/proc/self/task')) {
    const stat = readFileSync(`/proc/self/task/${id}/stat`, 'utf8');
    if (!stat.includes('(kagemusha/0)')) continue;
    const fields = stat.slice(stat.indexOf(')') + 2).split(' ');
    return { user: Number(fields[11]) / 100, system: Number(fields[12]) / 100 };
  }
  return { user: 0, system: 0 };
}

interface Snapshot {
  readonly [name: string]: number;
}

function snapshot(): Snapshot {
  const policed = [engine.drops(), ...[0, 1].map((slot) => engine.tunnelCounters(slot).drops)]
    .map((drops) => drops.policed ?? 0)
    .reduce((sum, count) => sum + count);
  const { uplinkPacketsRead: read = 0, wakeups = 0 } = engine.counters();
  const { user, system } = workerSeconds();
  const all = process.cpuUsage();
  const script = (all.user + all.system) / 1e6 - user - system;
  const messages = { sent, heard, forged, policed, read, wakeups };
  return { ...messages, payloadSent, payloadHeard, user, system, script };
}

let before: Snapshot | undefined;
let timer: NodeJS.Timeout | undefined;
expect();
process.stdout.write('"open"\n');
createInterface(process.stdin)
  .on('line', () => {
    if (before === undefined) {
      before = snapshot();
      timer = setInterval(round, PAUSE);
      return;
    }
    clearInterval(timer);
    const from = before;
    before = undefined;
    // What is under way arrives first.
    setTimeout(() => {
      while (guest.take()) payloadHeard++;
      const difference = Object.entries(snapshot()).map(([name, value]) => [
        name,
        value - (from[name] ?? 0),
      ]);
      const rss = process.memoryUsage.rss();
      process.stdout.write(`${JSON.stringify({ ...Object.fromEntries(difference), rss })}\n`);
    }, 200);
  })
  .on('close', () => engine.close());
