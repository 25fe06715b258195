import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { PAPER, SPI } from '../../src/cli/demo/configuration.js';
import { Pinging, ping } from '../../src/cli/demo/measure.js';
import { type Netns, until } from '../../src/cli/demo/netns.js';
import {
  homeAgentStatus,
  hostStatus,
  KAGEMUSHA,
  nodeCommand,
  startDaemon,
} from '../../src/cli/demo/processes.js';
import { TcpStream } from '../../src/cli/demo/tcp-stream.js';
import { buildTestbed, type Testbed } from '../../src/cli/demo/testbed.js';
import { moveAway, twenty } from '../support/journey.js';
import { captureOn, FLAWS, tshark } from '../support/judge.js';
import { testbedPreferences } from '../support/testbed-keys.js';

for (const protection of ['esp', 'none'] as const) {
  t.test(`RFC 6275 11.5.5: the guest comes home, protection ${protection}`, (t) =>
    comeHome(t, protection),
  );
}

/** What Host A needs to look after the guest, now that it is back: no care-of address, but the home link. */
async function writeHostA(
  { files, directory }: Testbed,
  mac: string,
  protection: 'esp' | 'none',
): Promise<{ file: string; socket: string }> {
  const socket = join(files.run, 'host-a.sock');
  const file = join(directory, 'host-a.toml');
  const security =
    protection === 'none'
      ? ''
      : `[guest.security]
kind = "esp"
encryption = "aes-128-cbc"
authentication = "hmac-sha1-96"
spi_out = ${SPI.toHomeAgent}
spi_in = ${SPI.toMobileNode}
key_file = "${files.keys}"
`;
  await writeFile(
    file,
    `[host]
control_socket = "${socket}"
state_directory = "${join(files.run, 'host-a')}"

[[guest]]
name = "vm1"
home_addresses = ["${PAPER.guest}"]
home_prefix = "${PAPER.homePrefix}"
home_agent = "${PAPER.homeAgent}"
home_link = "home0"
mac = "${mac}"
register = "command"
port = { kind = "tap", device = "kgtap0" }
${security}`,
  );
  return { file, socket };
}

async function comeHome(t: Test, protection: 'esp' | 'none'): Promise<void> {
  // Two hosts with one association, each with a store of its own: the numbers of the second go on where those of the first
  // are, or the Home Agent's replay window would refuse them.
  const testbed = await buildTestbed({ register: 'traffic', protection, realWire: true });
  t.teardown(() => testbed.remove());
  const { hostA, hostB, homeAgent, guest, directory } = testbed;
  const agent = await testbed.startHomeAgent();
  await testbed.startHost();
  await moveAway(testbed);
  const stream = await TcpStream.open(guest, hostA, PAPER.hostA);
  t.teardown(() => stream.close());
  await until('TCP', () => (stream.report.bytes > 100_000 ? true : undefined));
  const mac = await macOf(guest, 'eth0');
  const { file, socket } = await writeHostA(testbed, mac, protection);
  await startDaemon(hostA, 'host', file, socket);
  const neighbour = async (): Promise<string | undefined> => await neighbourOf(hostA, 'home0');
  t.equal(
    await neighbour(),
    await macOf(homeAgent, 'lan0'),
    'while it is away the Home Agent has it',
  );

  const capture = await captureOn(hostA, 'lan0', join(directory, 'home.pcap'));
  const bytes = stream.report.bytes;
  const pinging = new Pinging(hostA, PAPER.guest, 10);
  const plugged = performance.now();
  await hostB.ip(`link set vm1 netns ${hostA.name}`);
  await hostA.sysctl({ 'net.ipv6.conf.vm1.disable_ipv6': 1 });
  await hostA.ip('link set vm1 master home0 up');
  const asked = performance.now();
  await hostA.run(nodeCommand(KAGEMUSHA, '--socket', socket, 'bind', 'vm1'));
  const at = await until('de-registration', async () => {
    const [at] = (await hostStatus(socket)).guests;
    return at?.binding.state === 'at-home' ? at : undefined;
  });
  t.comment(
    `cable ${(asked - plugged).toFixed(0)} ms, at home ${(performance.now() - asked).toFixed(0)} ms after \`bind\``,
  );
  t.match(at.binding.reason, /at home/);
  t.same((await homeAgentStatus(agent.socket)).bindings, [], 'the Home Agent let go of it');
  await until("Host A's cache", async () => ((await neighbour()) === mac ? true : undefined), 1000);
  t.pass("Host A's cache has the guest's own link-layer address");
  await until('TCP at home', () =>
    stream.report.error !== undefined || stream.report.bytes > bytes + 100_000 ? true : undefined,
  );
  t.equal(stream.report.error, undefined, 'the TCP stream crosses the way home');
  t.equal((await twenty(hostA, PAPER.guest)).lost, 0, 'ping6 to the guest');
  t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'and from it');
  t.equal((await ping(homeAgent, PAPER.guest, 5, 20)).lost, 0, 'the router reaches it too');
  t.equal(await neighbourOf(homeAgent, 'lan0'), mac);
  const routes = await homeAgent.run(['ip', '-6', 'route', 'show', 'dev', 'kgha0']);
  t.notMatch(routes, new RegExp(`${PAPER.guest} `), 'no route leads into a tunnel');
  const { lost } = await pinging.stop();
  t.comment(`${lost} echoes 10 ms apart were lost on the way home`);
  await capture.stop();

  const preferences = protection === 'esp' ? await testbedPreferences(testbed.files) : [];
  const seen = async (filter: string): Promise<string[]> =>
    await tshark(capture.file, filter, preferences);
  // A redirect quotes the start of a packet, whose checksum then looks wrong.
  const flaws = await seen(`(${FLAWS}) && !(icmpv6.type == 137)`);
  t.same(flaws, [], 'no flaw for tshark');
  const update = `mip6.mhtype == 5 && mip6.bu.lifetime == 0 && ipv6.src == ${PAPER.guest}`;
  t.ok((await seen(update)).length > 0, 'the de-registration comes from the home address itself');
  const claim = `icmpv6.nd.na.target_address == ${PAPER.guest} && icmpv6.nd.na.flag.o == 1 && eth.src == ${mac}`;
  t.ok((await seen(`${claim} && ipv6.dst == ff02::1`)).length > 0, 'the override NA');
  // The guest's own kernel hears its host's signaling at home, for it has the address: it does not know the protocol, and says so.
  const others = `!(icmpv6.code == 1 && eth.src == ${mac})`;
  const errors = await seen(`(icmpv6.type == 4 || icmpv6.type == 1) && ${others}`);
  t.same(errors, [], 'no kernel complains of our signaling');
}

async function macOf(netns: Netns, device: string): Promise<string> {
  const [link] = JSON.parse(await netns.ip(`-j link show ${device}`)) as { address: string }[];
  return link?.address ?? '';
}

/** The link-layer address that a kernel has for the guest. */
async function neighbourOf(netns: Netns, device: string): Promise<string | undefined> {
  const text = await netns.ip(`-j -6 neighbour show ${PAPER.guest} dev ${device}`);
  const [entry] = JSON.parse(text) as { lladdr?: string }[];
  return entry?.lladdr;
}
