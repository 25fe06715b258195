import t from 'tap';
import type { HomeComingEvent, HomeComingOutput } from '../../src/homelink/index.js';
import { HomeComing } from '../../src/homelink/index.js';
import type { Address, Icmpv6Message } from '../../src/wire/index.js';
import {
  ALL_NODES,
  ETHERTYPE_IPV6,
  emitEthernet,
  emitPacket,
  parseAddress,
  parseEthernet,
  parseMac,
  solicitedNode,
  UNSPECIFIED,
} from '../../src/wire/index.js';
import { drain, ofType } from '../support/drain.js';
import { icmpv6Frame, read, solicitation } from '../support/link-frames.js';
import { GUEST_MAC, HOME_ADDRESS, HOME_AGENT } from '../support/testbed-addresses.js';

const AGENT_MAC = parseMac('02:00:00:00:00:01');
const ROUTER = parseAddress('fe80::1');
const PACKET = emitPacket({
  trafficClass: 0,
  flowLabel: 0,
  hopLimit: 64,
  source: HOME_ADDRESS,
  destination: HOME_AGENT,
  extensions: [],
  protocol: 135,
  payload: new Uint8Array(8),
});

class Harness {
  now = 0;
  readonly machine = new HomeComing({ mac: GUEST_MAC, homeAddresses: [HOME_ADDRESS] });

  handle(event: HomeComingEvent): HomeComingOutput[] {
    this.machine.handle(this.now, event);
    return drain(this.machine);
  }

  pass(milliseconds: number): HomeComingOutput[] {
    const end = this.now + milliseconds;
    const outputs: HomeComingOutput[] = [];
    for (let at = this.machine.wakeAt(); at !== undefined && at <= end; ) {
      this.now = at;
      outputs.push(...this.handle({ type: 'tick' }));
      at = this.machine.wakeAt();
    }
    this.now = end;
    return outputs;
  }

  hear(message: Icmpv6Message, source: Address, destination: Address): HomeComingOutput[] {
    const bytes = icmpv6Frame({ message, source, destination, sourceMac: AGENT_MAC });
    return this.handle({ type: 'frame', bytes });
  }

  /** The home agent tells its link-layer address to all nodes. */
  resolve(): HomeComingOutput[] {
    return this.hear(
      {
        kind: 'neighbor-advertisement',
        router: true,
        solicited: false,
        override: true,
        target: HOME_AGENT,
        options: [{ kind: 'target-link-layer-address', mac: AGENT_MAC }],
      },
      HOME_AGENT,
      ALL_NODES,
    );
  }
}

function frames(outputs: readonly HomeComingOutput[]): Uint8Array[] {
  return ofType(outputs, 'frame').map(({ bytes }) => bytes);
}

t.test(
  'RFC 6275 11.5.5: the home agent is asked for by nobody, then gets the packet',
  async (t) => {
    const harness = new Harness();
    const [asked] = frames(
      harness.handle({ type: 'packet', homeAgent: HOME_AGENT, bytes: PACKET }),
    );
    const question = read(asked ?? new Uint8Array());
    t.equal(question.source, UNSPECIFIED, 'the home address is not ours yet');
    t.equal(question.destination, solicitedNode(HOME_AGENT));
    t.same(question.message, { kind: 'neighbor-solicitation', target: HOME_AGENT, options: [] });
    const [sent] = frames(harness.resolve());
    const frame = parseEthernet(sent ?? new Uint8Array());
    t.equal(frame.destination, AGENT_MAC);
    t.equal(frame.source, GUEST_MAC);
    t.same(frame.payload, PACKET);
    const [again] = frames(
      harness.handle({ type: 'packet', homeAgent: HOME_AGENT, bytes: PACKET }),
    );
    t.equal(parseEthernet(again ?? new Uint8Array()).destination, AGENT_MAC, 'known from now on');
  },
);

t.test(
  'RFC 4861 7.2.2: asked three times a second apart, then given up until the next packet',
  async (t) => {
    const harness = new Harness();
    t.equal(
      frames(harness.handle({ type: 'packet', homeAgent: HOME_AGENT, bytes: PACKET })).length,
      1,
    );
    t.equal(frames(harness.pass(10_000)).length, 2);
    t.equal(harness.machine.wakeAt(), undefined);
    t.equal(harness.machine.drops.get('home_agent_unresolved'), 1);
    t.equal(
      frames(harness.handle({ type: 'packet', homeAgent: HOME_AGENT, bytes: PACKET })).length,
      1,
    );
  },
);

t.test('what waits for the link-layer address is bounded', async (t) => {
  const harness = new Harness();
  for (let n = 0; n < 50; n += 1) {
    harness.handle({ type: 'packet', homeAgent: HOME_AGENT, bytes: PACKET });
  }
  t.equal(frames(harness.resolve()).length, 4);
});

t.test('RFC 6275 11.5.5: the home address is claimed with Override, three times', async (t) => {
  const harness = new Harness();
  const claims = [
    ...frames(harness.handle({ type: 'announce', address: HOME_ADDRESS })),
    ...frames(harness.pass(10_000)),
  ].map(read);
  t.equal(claims.length, 3);
  for (const claim of claims) {
    t.equal(claim.destination, ALL_NODES);
    t.equal(claim.sourceMac, GUEST_MAC);
    t.match(claim.message, {
      kind: 'neighbor-advertisement',
      solicited: false,
      override: true,
      target: HOME_ADDRESS,
      options: [{ kind: 'target-link-layer-address', mac: GUEST_MAC }],
    });
  }
  t.same(frames(harness.handle({ type: 'announce', address: HOME_AGENT })), [], 'nothing else is');
});

t.test(
  'RFC 4861 7.2.4: whom the guest has wrong is asked in its name, once it may speak',
  async (t) => {
    const harness = new Harness();
    const addresses = [HOME_AGENT, ROUTER, HOME_ADDRESS];
    t.same(harness.handle({ type: 'neighbours', addresses }), [], 'not yet');
    const [first, second, claim, ...more] = frames(
      harness.handle({ type: 'announce', address: HOME_ADDRESS }),
    ).map(read);
    t.equal(more.length, 0, 'nobody asks for itself');
    t.match(claim?.message, { kind: 'neighbor-advertisement' });
    for (const [asked, target] of [
      [first, HOME_AGENT],
      [second, ROUTER],
    ] as const) {
      t.match(asked, {
        source: HOME_ADDRESS,
        sourceMac: GUEST_MAC,
        destination: solicitedNode(target),
      });
      t.match(asked?.message, {
        kind: 'neighbor-solicitation',
        target,
        options: [{ kind: 'source-link-layer-address', mac: GUEST_MAC }],
      });
    }
    harness.pass(10_000);
    t.equal(frames(harness.handle({ type: 'announce', address: HOME_ADDRESS })).length, 1, 'once');

    harness.handle({ type: 'neighbours', addresses });
    harness.handle({ type: 'left' });
    t.equal(frames(harness.handle({ type: 'announce', address: HOME_ADDRESS })).length, 1, 'left');
  },
);

t.test('RFC 4862 5.4.4: who leaves claims nothing more, until it is back', async (t) => {
  const harness = new Harness();
  const announce = () => frames(harness.handle({ type: 'announce', address: HOME_ADDRESS }));
  t.equal(announce().length, 1);
  t.same(harness.handle({ type: 'left' }), []);
  t.equal(harness.machine.wakeAt(), undefined);
  t.same(harness.pass(10_000), [], 'the other two would be duplicates to the home agent');
  t.equal([...announce(), ...frames(harness.pass(10_000))].length, 3);
});

t.test('RFC 6275 11.5.5: the home agent that asks for the home address is answered', async (t) => {
  const harness = new Harness();
  t.same(harness.hear(solicitation(HOME_ADDRESS), ROUTER, solicitedNode(HOME_ADDRESS)), []);
  harness.handle({ type: 'packet', homeAgent: HOME_AGENT, bytes: PACKET });
  harness.resolve();
  const [bytes] = frames(
    harness.hear(solicitation(HOME_ADDRESS), ROUTER, solicitedNode(HOME_ADDRESS)),
  );
  const answer = read(bytes ?? new Uint8Array());
  t.equal(answer.destination, ROUTER);
  t.match(answer.message, { kind: 'neighbor-advertisement', solicited: true, override: true });
});

t.test('what comes for the home address goes up, what comes for others does not', async (t) => {
  const harness = new Harness();
  const frame = (destination: Address): Uint8Array =>
    emitEthernet({
      destination: GUEST_MAC,
      source: AGENT_MAC,
      etherType: ETHERTYPE_IPV6,
      payload: emitPacket({
        trafficClass: 0,
        flowLabel: 0,
        hopLimit: 64,
        source: HOME_AGENT,
        destination,
        extensions: [],
        protocol: 135,
        payload: new Uint8Array(8),
      }),
    });
  const [up] = ofType(harness.handle({ type: 'frame', bytes: frame(HOME_ADDRESS) }), 'packet');
  t.equal(up?.packet.destination, HOME_ADDRESS);
  t.same(harness.handle({ type: 'frame', bytes: frame(HOME_AGENT) }), []);
  t.same(harness.handle({ type: 'frame', bytes: frame(HOME_ADDRESS).subarray(0, 20) }), []);
  t.equal(harness.machine.drops.get('malformed'), 1);
});
