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
import { eventually, ipv6, udp } from './world.js';

const CHILD = fileURLToPath(new URL('packet-port-child.ts', import.meta.url));

/** One end of the link, with what it saw. */
class End {
  readonly frames: Uint8Array[] = [];
  mac: Mac | undefined;
  private readonly child: ChildProcess;
  private readonly closed: Promise<unknown>;

  constructor(netns: Netns, device: string) {
    const argv = [process.execPath, ...process.execArgv, CHILD, device];
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
