import { pino } from 'pino';
import t, { type Test } from 'tap';
import { until } from '../../src/cli/demo/netns.js';
import { Authority, pem } from '../../src/cli/demo/vm/certificates.js';
import { Secret } from '../../src/crypto/index.js';
import type { PeeringConfig } from '../../src/daemon/config/schema.js';
import type { Route } from '../../src/daemon/http-service.js';
import { PeerClient } from '../../src/daemon/peers/peer-client.js';
import { createPeerServer, type PeerServer } from '../../src/daemon/peers/peer-server.js';
import { PeerService } from '../../src/daemon/peers/peer-service.js';

const directory = t.testdir();
const ours = new Authority(directory);
const others = new Authority(directory, 'others');

const routes: Route[] = [
  {
    method: 'POST',
    path: '/v1/echo',
    handle: ({ body, caller }) => ({ json: { body, caller } }),
  },
];

/** A host of this name. @param peer of the other one */
function host(name: string, peer: string, port = 0, authority = ours): PeeringConfig {
  const { certificate, key } = authority.issue(name);
  return {
    listen: { host: '::1', port: 0 },
    certificate: pem(certificate),
    key: new Secret(Buffer.from(pem(key))),
    authority: pem(ours.certificate),
    peers: [{ name: peer, host: '::1', port }],
  };
}

async function serve(
  t: Test,
  config: PeeringConfig,
): Promise<{ server: PeerServer; said: string[] }> {
  const said: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void said.push(line) });
  const server = await createPeerServer(config, routes, log);
  t.teardown(() => server.close());
  return { server, said };
}

function client(t: Test, own: PeeringConfig, port: number, name?: string): PeerClient {
  const [peer] = own.peers;
  if (peer === undefined) throw new Error('no peer');
  const made = new PeerClient(own, { ...peer, port, ...(name === undefined ? {} : { name }) });
  t.teardown(() => made.close());
  return made;
}

t.test('peers are who their certificates say', async (t) => {
  const { server } = await serve(t, host('host-b', 'host-c'));
  const c = client(t, host('host-c', 'host-b'), server.port);
  t.strictSame(await c.ask('/v1/echo', { x: 1 }), { body: { x: 1 }, caller: 'host-c' });
  t.strictSame(await c.ask('/v1/echo', { x: 2 }), { body: { x: 2 }, caller: 'host-c' });
  await t.rejects(c.ask('/v1/status', {}), { code: 'ROUTE_UNKNOWN', message: /^host-b: / });
});

t.test('who is no peer, or has a certificate of others, is told nothing', async (t) => {
  const { server, said } = await serve(t, host('host-b', 'host-c'));
  const stranger = client(t, host('host-d', 'host-b'), server.port);
  await t.rejects(stranger.ask('/v1/echo', {}), {
    code: 'PEER_UNKNOWN',
    message: /a certificate for DNS:host-d is no peer's/,
  });
  const forged = client(t, host('host-c', 'host-b', 0, others), server.port);
  await t.rejects(forged.ask('/v1/echo', {}), { message: /certificate/ });
  t.match(said.join(''), /a caller was refused: a peer needs a certificate of the authority/);
});

t.test('a server that is not the peer gets nothing', async (t) => {
  const { server } = await serve(t, host('host-b', 'host-c'));
  const wrongName = client(t, host('host-c', 'host-b'), server.port, 'host-x');
  await t.rejects(wrongName.ask('/v1/echo', {}), {
    code: 'PEER_UNTRUSTED',
    message: /^host-x at ::1 port \d+: its certificate has another name/,
  });
  const forged = await serve(t, host('host-b', 'host-c', 0, others));
  await t.rejects(client(t, host('host-c', 'host-b'), forged.server.port).ask('/v1/echo', {}), {
    code: 'PEER_UNTRUSTED',
    message: /its certificate is not believed/,
  });
});

t.test('nobody there, or no room to listen', async (t) => {
  const { server } = await serve(t, host('host-b', 'host-c'));
  const config = { ...host('host-b', 'host-c'), listen: { host: '::1', port: server.port } };
  await t.rejects(createPeerServer(config, routes, pino({ level: 'silent' })), {
    code: 'PEERING_LISTEN',
    message: /EADDRINUSE.*choose another host.peering.listen/,
  });
  const c = client(t, host('host-c', 'host-b'), server.port);
  await c.ask('/v1/echo', {});
  await server.close();
  await t.rejects(c.ask('/v1/echo', {}), {
    code: 'PEER_UNREACHABLE',
    message: /kagemusha running/,
  });
});

t.test('peers are served when there is room to listen, and nothing waits for it', async (t) => {
  const { server } = await serve(t, host('host-b', 'host-c'));
  const config = { ...host('host-b', 'host-c'), listen: { host: '::1', port: server.port } };
  const said: string[] = [];
  const log = pino({ base: null }, { write: (line: string) => void said.push(line) });
  const service = new PeerService(config, routes, log);
  t.teardown(() => service.close());
  await until('a line', () => (/EADDRINUSE/.test(said.join('')) ? true : undefined));
  t.match(said.join(''), /the certificate of host.peering ends/, 'within two weeks');
  await server.close();
  const c = client(t, host('host-c', 'host-b'), server.port);
  const answer = await until('an answer', () => c.ask('/v1/echo', {}).catch(() => undefined));
  t.match(answer, { caller: 'host-c' });
});
