import t from 'tap';
import { ALL_NODES, parseAddress, solicitedNode, UNSPECIFIED } from '../../../src/wire/index.js';
import { AGENT_MAC, HOST_MAC, HomeLinkWorld } from '../../support/home-link-world.js';
import {
  HOME_ADDRESS,
  HOME_AGENT,
  HOST_A,
  OTHER_CARE_OF,
} from '../../support/testbed-addresses.js';

const LINK_LOCAL = parseAddress('fe80::10');

function registered(fields: Parameters<HomeLinkWorld['update']>[0] = {}): HomeLinkWorld {
  const world = new HomeLinkWorld();
  world.update(fields);
  world.pass(1000);
  return world;
}

t.test('RFC 6275 10.3.1: DAD on the home link: a solicitation from nobody, then 1 s', (t) => {
  const world = new HomeLinkWorld();
  world.update();
  t.match(world.frames(), [
    {
      source: UNSPECIFIED,
      destination: solicitedNode(HOME_ADDRESS),
      message: { kind: 'neighbor-solicitation', target: HOME_ADDRESS },
    },
  ]);
  world.pass(999);
  t.same(world.take(), []);
  world.pass(1);
  t.equal(world.take().length, 5, 'bind, store, defend, its advertisement, acknowledgement');
  t.end();
});

t.test('RFC 6275 10.4.1: three advertisements to all nodes, Override set, Solicited clear', (t) => {
  const world = registered();
  world.pass(60_000 - 10_000);
  const said = world.frames().filter(({ message }) => message.kind === 'neighbor-advertisement');
  t.same(
    said.map(({ at }) => at),
    [1000, 2000, 3000],
    'MAX_NEIGHBOR_ADVERTISEMENT',
  );
  for (const frame of said) {
    t.match(frame, {
      sourceMac: AGENT_MAC,
      source: HOME_AGENT,
      destination: ALL_NODES,
      hopLimit: 255,
      message: {
        solicited: false,
        override: true,
        router: false,
        target: HOME_ADDRESS,
        options: [{ kind: 'target-link-layer-address', mac: AGENT_MAC }],
      },
    });
  }
  t.end();
});

t.test(
  'RFC 6275 10.4.1: the tunnel stands before the advertisement, that before the answer',
  (t) => {
    const world = registered();
    const told = world.take().map((e) => (e.kind === 'agent' ? e.output.type : e.message.kind));
    t.same(told, [
      'probe',
      'neighbor-solicitation',
      'bind',
      'store',
      'defend',
      'neighbor-advertisement',
      'transmit',
    ]);
    t.end();
  },
);

t.test('RFC 6275 10.4.1: solicitations for the home address are answered', (t) => {
  const world = registered();
  world.pass(5000);
  world.take();
  world.ask(HOME_ADDRESS);
  t.match(world.frames(), [
    {
      destinationMac: HOST_MAC,
      destination: HOST_A,
      message: { solicited: true, override: true, router: false, target: HOME_ADDRESS },
    },
  ]);
  t.end();
});

t.test('RFC 6275 10.4.1: DAD by another node finds the home address taken', (t) => {
  const world = registered();
  world.take();
  world.ask(HOME_ADDRESS, UNSPECIFIED);
  t.match(world.frames(), [
    { destination: ALL_NODES, message: { kind: 'neighbor-advertisement', target: HOME_ADDRESS } },
  ]);
  t.end();
});

t.test('RFC 6275 10.4.1: a refresh and a move need no new advertisement', (t) => {
  const world = registered();
  world.pass(5000);
  world.take();
  world.update({ sequence: 2 });
  world.update({ sequence: 3, source: OTHER_CARE_OF });
  t.same(world.frames(), []);
  t.end();
});

t.test('RFC 6275 10.4.1: with L the link-local address is defended, without it is not', (t) => {
  for (const linkLocalCompatible of [true, false]) {
    const world = registered({ linkLocalCompatible });
    world.take();
    world.ask(LINK_LOCAL);
    t.equal(world.frames().length, linkLocalCompatible ? 1 : 0);
  }
  t.end();
});

t.test('RFC 6275 10.3.2: after de-registration nothing is answered for it any more', (t) => {
  const world = registered();
  world.update({ sequence: 2, lifetime: 0 });
  world.take();
  world.ask(HOME_ADDRESS);
  world.ask(HOME_ADDRESS, UNSPECIFIED);
  world.pass(10_000);
  t.same(world.frames(), []);
  t.end();
});

t.test('RFC 6275 10.3.1: nor after the binding has run out', (t) => {
  const world = registered();
  world.pass(60_000);
  world.take();
  world.ask(HOME_ADDRESS);
  t.same(world.frames(), []);
  t.end();
});

t.test('RFC 6275 10.3.1: while DAD runs nothing is answered for it', (t) => {
  const world = new HomeLinkWorld();
  world.update();
  world.take();
  world.ask(HOME_ADDRESS);
  t.same(world.frames(), []);
  t.end();
});

t.test('RFC 6275 10.3.1: an advertisement during DAD: status 134, no defence', (t) => {
  const world = new HomeLinkWorld();
  world.update();
  world.take();
  world.hear(
    {
      kind: 'neighbor-advertisement',
      router: false,
      solicited: false,
      override: true,
      target: HOME_ADDRESS,
      options: [{ kind: 'target-link-layer-address', mac: HOST_MAC }],
    },
    ALL_NODES,
  );
  t.match(world.take(), [
    { output: { type: 'release' } },
    { output: { type: 'transmit', signal: { message: { status: 134 } } } },
  ]);
  world.ask(HOME_ADDRESS);
  world.pass(5000);
  t.same(world.frames(), []);
  t.end();
});

t.test('RFC 6275 10.4.1: after a restart it is defended at once, without DAD', (t) => {
  const world = new HomeLinkWorld();
  world.harness.agent.restore(0, [
    {
      homeAddress: HOME_ADDRESS,
      careOfAddress: OTHER_CARE_OF,
      sequence: 1,
      lifetime: 60,
      expiresAt: 30_000,
      linkLocal: true,
      protection: 'none',
    },
  ]);
  world.agent({ type: 'tick' });
  const said = world.frames();
  t.match(
    said.map(({ message }) => message),
    [
      { kind: 'neighbor-advertisement', target: HOME_ADDRESS },
      { kind: 'neighbor-advertisement', target: LINK_LOCAL },
    ],
  );
  t.equal(said.length, 2);
  t.end();
});
