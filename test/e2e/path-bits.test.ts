import { join } from 'node:path';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { ping } from '../../src/cli/demo/measure.js';
import { until } from '../../src/cli/demo/netns.js';
import { answers, twenty } from '../support/journey.js';
import { captureOn, tshark, tsharkFields } from '../support/judge.js';
import { PathLab, ruleset } from '../support/path-lab.js';
import { serve, transfer } from '../support/path-traffic.js';

const LOST = 20;
/** DSCP EF, as the octet that ping(8) wants. */
const EXPEDITED = { tos: '0xb8', dscp: '46' };
const FLOWS = 6;

/** What the routers in the middle do to tunnel packets that they forward. */
const mark = (what: string): string =>
  `chain passing { type filter hook forward priority 0; meta l4proto 41 ${what} counter ip6 ecn set ce; }`;

t.test('ECN, DSCP and flow labels on a real path', async (t) => {
  const lab = await PathLab.start({ path: 1500, uplink: 1500, nic: 1500 });
  t.teardown(() => lab.remove());
  const { guest, correspondent, host, routers } = lab.nodes;
  const [, r2] = routers;
  for (const netns of [guest, correspondent]) {
    await netns.sysctl({ 'net.ipv4.tcp_ecn': 1 });
    await serve(netns, 'web.py');
  }
  await lab.register();
  await answers(guest, PAPER.hostA);

  await t.test(
    'RFC 6040 4: a router in the middle marks, and TCP inside hears of it',
    async (t) => {
      await ruleset(r2, 'marks', mark('ip6 ecn { ect0, ect1 }'));
      const captures = {
        'to the correspondent': await captureOn(
          correspondent,
          'eth0',
          join(lab.directory, 'ecn-c.pcap'),
          'tcp',
        ),
        'to the guest': await captureOn(guest, 'eth0', join(lab.directory, 'ecn-g.pcap'), 'tcp'),
      };
      await transfer(guest, PAPER.hostA, 1_000_000, 'down', '');
      await transfer(correspondent, PAPER.guest, 1_000_000, 'down', '');
      await ruleset(r2, 'marks', '');
      for (const [where, capture] of Object.entries(captures)) {
        await capture.stop();
        const away = where === 'to the guest' ? PAPER.hostA : PAPER.guest;
        const from = `ipv6.src == ${away} && tcp.len > 0`;
        t.ok(
          (await tshark(capture.file, `${from} && ipv6.tclass.ecn == 3`)).length,
          `${where}: CE`,
        );
        t.same(
          await tshark(capture.file, `${from} && ipv6.tclass.ecn == 2`),
          [],
          'no ECT(0) is left',
        );
        const heard = `ipv6.dst == ${away} && tcp.flags.ece == 1 && tcp.flags.syn == 0`;
        t.ok((await tshark(capture.file, heard)).length, `${where}: and ECE goes back`);
        t.ok(
          (await tshark(capture.file, `${from} && tcp.flags.cwr == 1 && tcp.flags.syn == 0`))
            .length,
          'and CWR comes',
        );
      }
    },
  );

  await t.test('RFC 6040 4.2: Not-ECT inside and CE outside is dropped and counted', async (t) => {
    const drops = async () => ({
      host: (await lab.guestStatus()).drops.ecn_congestion ?? 0,
      homeAgent: (await lab.bindingStatus()).drops.ecn_congestion ?? 0,
    });
    const before = await drops();
    await ruleset(r2, 'marks', mark('ip6 daddr 2001:db8:2000::1'));
    t.equal(
      (await ping(guest, PAPER.hostA, LOST, 10)).received,
      0,
      'nothing comes to the correspondent',
    );
    await ruleset(r2, 'marks', mark(`ip6 daddr ${PAPER.careOf}`));
    t.equal((await ping(correspondent, PAPER.guest, LOST, 10)).received, 0, 'nor to the guest');
    await ruleset(r2, 'marks', '');
    const after = await until('drops', async () => {
      const now = await drops();
      return now.host - before.host >= LOST && now.homeAgent - before.homeAgent >= LOST
        ? now
        : undefined;
    }).catch(drops);
    t.ok(after.host - before.host >= LOST, `the host counted ${after.host - before.host}`);
    t.ok(
      after.homeAgent - before.homeAgent >= LOST,
      `the Home Agent counted ${after.homeAgent - before.homeAgent}`,
    );
    t.equal((await twenty(guest, PAPER.hostA)).lost, 0, 'and then all is well');
  });

  await t.test('RFC 2983: the outer DSCP is the inner one', async (t) => {
    const capture = await captureOn(host, 'wan0', join(lab.directory, 'dscp.pcap'), 'ip6 proto 41');
    const marked = (from: typeof guest, to: string) =>
      from.run(['ping', '-6', '-n', '-c', '5', '-i', '0.02', '-Q', EXPEDITED.tos, to]);
    await marked(guest, PAPER.hostA);
    await marked(correspondent, PAPER.guest);
    await ping(guest, PAPER.hostA, 5, 20);
    await capture.stop();
    const rows = await tsharkFields(capture.file, 'icmpv6.type == 128', ['ipv6.tclass.dscp']);
    const both = rows.map(([value]) => value ?? '');
    t.equal(
      both.filter((value) => value === `${EXPEDITED.dscp},${EXPEDITED.dscp}`).length,
      10,
      'EF both ways',
    );
    t.equal(both.filter((value) => value === '0,0').length, 5, 'and none where there is none');
  });

  await t.test('RFC 6438 3: a flow has one label outside, and another flow another', async (t) => {
    const capture = await captureOn(host, 'wan0', join(lab.directory, 'flow.pcap'), 'ip6 proto 41');
    for (let flow = 0; flow < FLOWS; flow++)
      await transfer(guest, PAPER.hostA, 100_000, 'down', '');
    await capture.stop();
    const fields = ['ipv6.flow', 'ipv6.src', 'tcp.srcport', 'tcp.dstport'];
    const labels = new Map<string, Set<string>>();
    for (const [flow, source, from, to] of await tsharkFields(capture.file, 'tcp', fields)) {
      const key = [source, from, to].join(' ');
      const label = flow?.split(',')[0] ?? '';
      labels.set(key, (labels.get(key) ?? new Set()).add(label));
    }
    t.equal(labels.size, 2 * FLOWS, 'flows, of one direction each');
    for (const [flow, seen] of labels) t.equal(seen.size, 1, `${flow}: ${[...seen]}`);
    const all = new Set([...labels.values()].flatMap((seen) => [...seen]));
    // One in 2^20 for each pair of flows.
    t.ok(all.size >= 2 * FLOWS - 1, `${all.size} labels`);
    t.notOk(all.has('0x000000') || all.has('0'), 'none is zero');
  });
});
