import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { Netns } from '../../src/cli/demo/netns.js';
import {
  emitEthernet,
  emitIcmpv6,
  isMld,
  type Mac,
  multicastMac,
  PROTOCOL,
  parseAddress,
  parseEthernet,
  parseIcmpv6,
  parseMac,
  parsePacket,
} from '../../src/wire/index.js';
import { esp, homeAddressOptions, mobility, type2Routing } from './signaling.js';
import { eventually, ipv6, udp } from './world.js';

const CHILD = fileURLToPath(new URL('packet-port-child.ts', import.meta.url));

/** One end of the link, with what it saw. */
class End {
  readonly frames: Uint8Array[] = [];
  mac: Mac | undefined;
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown>;

  constructor(netns: Netns, device: string, ...how: string[]) {
    const argv = [process.execPath, ...process.execArgv, CHILD, device, ...how];
    this.child = netns.spawn(argv, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.closed = new Promise((resolve) => this.child.once('close', resolve));
    if (!this.child.stdout) throw new Error('no pipes');
    createInterface(this.child.stdout).on('line', (line) => {
      const said = JSON.parse(line) as { mac?: string; frame?: string };
      if (said.mac !== undefined) this.mac = parseMac(said.mac);
      if (said.frame !== undefined) this.frames.push(Buffer.from(said.frame, 'hex'));
    });
  }

  send(frame: Uint8Array): void {
    this.child.stdin?.write(`${Buffer.from(frame).toString('hex')}\n`);
  }

  async end(): Promise<void> {
    this.child.stdin?.end();
    await this.closed;
  }
}

const skip = process.getuid?.() === 0 ? false : 'needs root';

t.test('a packet port sees the ICMPv6 of its link and nothing else', { skip }, async (t) => {
  const near = await Netns.create(`kgpp${process.pid}`);
  const far = await Netns.create(`kgpq${process.pid}`);
  t.teardown(async () => {
    await near.remove();
    await far.remove();
  });
  await near.ip(`link add l0 type veth peer name l1 netns ${far.name}`);
  await near.ip('link set l0 up');
  const [a, b] = [new End(near, 'l0'), new End(far, 'l1')];
  const mac = await eventually('both ends', () => (b.mac ? a.mac : undefined));
  t.match(await near.ip('link show l0'), new RegExp(mac));

  // A far end that comes up reports its groups (MLD behind hop-by-hop options) and looks for duplicates of its address.
  await far.ip('link set l1 up');
  const types = () =>
    a.frames.map((frame) => parsePacket(parseEthernet(frame).payload).payload[0] ?? 0);
  await eventually('a report', () => (types().some(isMld) ? true : undefined));
  await eventually('a solicitation', () => (types().includes(135) ? true : undefined));

  const source = parseAddress('2001:db8::1');
  const group = parseAddress('ff02::1:ff00:77');
  const message = { kind: 'neighbor-solicitation', target: source, options: [] } as const;
  const packet = ipv6(
    source,
    group,
    PROTOCOL.icmpv6,
    emitIcmpv6(message, { source, destination: group }),
    {
      hopLimit: 255,
    },
  );
  const ethernet = { destination: multicastMac(group), source: mac, etherType: 0x86dd };
  const solicitation = emitEthernet({ ...ethernet, payload: packet });
  a.send(emitEthernet({ ...ethernet, payload: udp(source, group) }));
  a.send(solicitation);
  const same = (frame: Uint8Array) => Buffer.compare(frame, solicitation) === 0;
  const got = await eventually('the solicitation', () => b.frames.find(same));
  t.equal(
    parseIcmpv6(parsePacket(parseEthernet(got).payload).payload, { source, destination: group })
      .kind,
    'neighbor-solicitation',
    'of a group that nobody joined',
  );
  t.same(
    b.frames.filter(
      (frame) => parsePacket(parseEthernet(frame).payload).protocol !== PROTOCOL.icmpv6,
    ),
    [],
    'no UDP',
  );
  t.equal(a.frames.find(same), undefined, 'not what we sent ourselves');
  await a.end();
  await b.end();
});

//   far                       near: the bridge is the home link
//   l1 ═══ l0 ─┬─ br0        what l1 sends m1 goes through br0, to nobody there
//   m1 ═══ m0 ─┘
t.test("on a bridge: signaling between its ports, nobody's ICMPv6", { skip }, async (t) => {
  const near = await Netns.create(`kgpb${process.pid}`);
  const far = await Netns.create(`kgpc${process.pid}`);
  t.teardown(async () => {
    await near.remove();
    await far.remove();
  });
  await near.sysctl({
    'net.ipv6.conf.all.disable_ipv6': 1,
    'net.ipv6.conf.default.disable_ipv6': 1,
  });
  await far.sysctl({
    'net.ipv6.conf.all.disable_ipv6': 1,
    'net.ipv6.conf.default.disable_ipv6': 1,
  });
  await near.ip('link add br0 type bridge mcast_snooping 0');
  await near.ip('link set br0 up');
  for (const port of ['l', 'm']) {
    await near.ip(`link add ${port}0 type veth peer name ${port}1 netns ${far.name}`);
    await near.ip(`link set ${port}0 master br0 up`);
    await far.ip(`link set ${port}1 up`);
  }
  const ends = [new End(near, 'br0', 'home-link'), new End(far, 'l1'), new End(far, 'm1')] as const;
  const [bridge, sender, receiver] = ends;
  await eventually('all ends', () => ends.every(({ mac }) => mac !== undefined) || undefined);
  const mac = (end: End): Mac => end.mac ?? parseMac('02:00:00:00:00:00');

  const source = parseAddress('2001:db8::1');
  const destination = parseAddress('2001:db8::10');
  const ethernet = { destination: mac(receiver), source: mac(sender), etherType: 0x86dd };
  const pseudo = { source, destination };
  const echo = (sequence: number) =>
    ipv6(
      source,
      destination,
      PROTOCOL.icmpv6,
      emitIcmpv6(
        { kind: 'echo-request', identifier: 1, sequence, data: new Uint8Array(0) },
        pseudo,
      ),
    );
  const others = [udp(source, destination), echo(1)];
  const signaling = [
    ipv6(source, destination, PROTOCOL.mobility, mobility(6, 1)),
    ipv6(source, destination, PROTOCOL.esp, esp(1000, 1)),
    ipv6(source, destination, PROTOCOL.esp, esp(1000, 2), {
      extensions: [type2Routing(destination)],
    }),
    ipv6(source, destination, PROTOCOL.mobility, mobility(5, 1), {
      extensions: [homeAddressOptions(source)],
    }),
  ];
  const send = (payload: Uint8Array, to = ethernet.destination) =>
    sender.send(emitEthernet({ ...ethernet, destination: to, payload }));
  // The bridge knows the receiver's port before anything counts.
  receiver.send(
    emitEthernet({
      ...ethernet,
      destination: mac(sender),
      source: mac(receiver),
      payload: echo(0),
    }),
  );
  const payloads = (end: End) =>
    end.frames.map((frame) => Buffer.from(parseEthernet(frame).payload).toString('hex'));
  const hex = (packet: Uint8Array) => Buffer.from(packet).toString('hex');
  await eventually('learnt', () => payloads(sender).includes(hex(echo(0))) || undefined);
  for (const packet of [...others, ...signaling]) send(packet);
  send(echo(2), mac(bridge));
  await eventually('the last', () => payloads(bridge).includes(hex(echo(2))) || undefined);
  t.same(
    payloads(bridge),
    [...signaling, echo(2)].map(hex),
    'signaling, and the ICMPv6 that is for it',
  );
  await eventually('the echo', () => payloads(receiver).includes(hex(echo(1))) || undefined);
  t.same(payloads(receiver), [hex(echo(1))], 'no signaling where none was asked for');
  for (const end of ends) await end.end();
});
