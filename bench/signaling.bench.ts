// State machines on a clock of their own: no timer, no socket.
import { GuestLink } from '../src/homelink/index.js';
import { ReservedCounter } from '../src/reserved-counter.js';
import type { HomeAgentOutput, Signal } from '../src/signaling/index.js';
import { emitSignal, HomeAgent, MobileNode, readSignal } from '../src/signaling/index.js';
import { parsePacket, solicitedNode, WireError } from '../src/wire/index.js';
import { drain } from '../test/support/drain.js';
import { ADVERTISED } from '../test/support/guest-link-harness.js';
import { icmpv6Frame, SLLA, solicitation } from '../test/support/link-frames.js';
import {
  CARE_OF,
  HOME_ADDRESS,
  HOME_AGENT,
  HOME_PREFIX,
  HOME_ROUTER,
  ROUTER_MAC,
} from '../test/support/testbed-addresses.js';
import { report, suite } from './harness.js';

const NOW = 1000;

/** A signal that goes over the wire: its packet is built and taken apart again. */
function overTheWire(signal: Signal): Signal {
  const received = readSignal(parsePacket(emitSignal(signal)));
  if (received instanceof WireError) throw received;
  return received;
}

/** A first registration of new machines: Binding Update, duplicate address detection answered at once, acknowledgement. */
function register(carry: (signal: Signal) => Signal): void {
  const node = new MobileNode({
    homeAddress: HOME_ADDRESS,
    homeAgent: HOME_AGENT,
    careOfAddress: CARE_OF,
    lifetime: 60,
    sequence: new ReservedCounter({
      next: 1,
      last: 0xffff,
      wraps: true,
      block: 64,
      reserve: () => {},
    }),
    random: () => 0.5,
  });
  const agent = new HomeAgent({
    address: HOME_AGENT,
    homePrefix: HOME_PREFIX,
    maxLifetime: 3600,
    allow: 'listed',
    mobileNodes: [{ homeAddress: HOME_ADDRESS, protection: 'none' }],
    maxBindings: 10,
  });
  const follow = (output: HomeAgentOutput) => {
    if (output.type === 'probe') {
      agent.handle(NOW, { type: 'unique', homeAddress: output.homeAddress });
    } else if (output.type === 'transmit') {
      node.handle(NOW, { type: 'signal', signal: carry(output.signal) });
    }
  };
  node.handle(NOW, { type: 'register' });
  for (const output of drain(node)) {
    if (output.type !== 'transmit') continue;
    agent.handle(NOW, { type: 'signal', signal: carry(output.signal) });
  }
  for (let next = agent.poll(); next !== undefined; next = agent.poll()) follow(next);
  if (!drain(node).some(({ type }) => type === 'bound')) throw new Error('not bound');
}

/** The guest asks for its router; the answer is a whole frame. */
function neighborSolicitation(): () => void {
  const link = new GuestLink({
    homeAddresses: [HOME_ADDRESS],
    homePrefix: HOME_PREFIX,
    homeRouter: HOME_ROUTER,
    routerMac: ROUTER_MAC,
    routerAdvertisement: ADVERTISED,
    random: () => 0.5,
  });
  const bytes = icmpv6Frame({
    destination: solicitedNode(HOME_ROUTER),
    message: solicitation(HOME_ROUTER, [SLLA]),
  });
  return () => {
    link.handle(NOW, { type: 'frame', bytes });
    if (!drain(link).some(({ type }) => type === 'frame')) throw new Error('no answer');
  };
}

report([
  ...suite('signaling', {
    'registration, machines alone': () => register((signal) => signal),
    'registration, BU and BA as packets': () => register(overTheWire),
  }),
  ...suite('homelink', { 'guest link answers NS': neighborSolicitation() }),
]);
