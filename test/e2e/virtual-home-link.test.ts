import { readFile, writeFile } from 'node:fs/promises';
import t from 'tap';
import { PAPER } from '../../src/cli/demo/configuration.js';
import { buildTestbed } from '../../src/cli/demo/testbed.js';
import { request } from '../../src/daemon/control-client.js';
import { answers, homeIs, twenty } from '../support/journey.js';

t.test(
  'RFC 6275 10.1: on a virtual home link nobody is asked, and the binding is at once',
  async (t) => {
    const testbed = await buildTestbed({ register: 'command' });
    t.teardown(() => testbed.remove());
    const { homeAgent, hostB, guest, files } = testbed;
    const text = await readFile(files.homeAgent, 'utf8');
    await writeFile(
      files.homeAgent,
      text.replace('home_link = "lan0"', 'virtual_home_link = true'),
    );
    // There is no home network: nothing is on that link but this router's address.
    await homeAgent.ip('address del 2001:db8:2000::ff/64 dev lan0');
    await testbed.startHomeAgent();
    t.match(await homeAgent.ip('-6 route show'), /unreachable 2001:db8:2000::\/64/);
    const host = await testbed.startHost();
    await testbed.moveGuestToHostB();
    // New links do duplicate address detection for themselves first.
    await answers(homeAgent, PAPER.careOf);
    const asked = performance.now();
    await request(host.socket, 'POST', '/v1/guests/vm1/bind');
    await homeIs(testbed, 'registered', ({ state }) => state === 'registered');
    const took = performance.now() - asked;
    t.comment(`registered ${took.toFixed(0)} ms after \`bind\``);
    t.ok(took < 900, 'duplicate address detection would take a second');
    await answers(guest, PAPER.hostB);
    t.equal((await twenty(guest, PAPER.hostB)).lost, 0, 'ping6 to the world');
    t.equal((await twenty(hostB, PAPER.guest)).lost, 0, 'and from it');
  },
);
