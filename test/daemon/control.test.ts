import { spawn } from 'node:child_process';
import { chmodSync, existsSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { request, requestDevices, requestStatus } from '../../src/daemon/control-client.js';
import { type ControlHandlers, controlRoutes } from '../../src/daemon/control-routes.js';
import { type ControlServer, createControlServer } from '../../src/daemon/control-server.js';
import { KagemushaError } from '../../src/errors.js';
import { shortDirectory } from '../support/short-directory.js';
import { changes, hostStatus, reload } from './fixtures.js';

const handlers: ControlHandlers = {
  status: () => hostStatus,
  devices: () => [{ device: 'kg0', name: 'uplink' }],
  metrics: async () => 'up 1\n',
  reload,
  guests: {
    bind: (guest) => {
      if (guest !== 'vm1') throw new KagemushaError('GUEST_UNKNOWN', `no guest "${guest}"`);
    },
    unbind: () => {
      throw new Error('a mistake of ours');
    },
    ping: async (_, count, size) => ({ sent: count, received: 1, rtts_ms: [size] }),
    ...changes,
  },
};

async function serve(
  socketPath: string,
  onFailure?: (error: unknown) => void,
): Promise<ControlServer> {
  const routes = controlRoutes(handlers);
  return await createControlServer(
    onFailure === undefined ? { socketPath, routes } : { socketPath, routes, onFailure },
  );
}

/** A request as curl would make it: whatever body, whatever method. */
function raw(
  socketPath: string,
  method: string,
  path: string,
  body: string | Buffer = '',
  type = '',
) {
  return new Promise<{ status: number; type: string; json: unknown; text: string }>(
    (resolve, reject) => {
      const headers = type === '' ? {} : { 'content-type': type };
      const options = { socketPath, method, path, headers, agent: false };
      const call = httpRequest(options, (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (chunk) => {
          text += chunk;
        });
        response.once('end', () => {
          const type = response.headers['content-type'] ?? '';
          const json: unknown = type.includes('json') ? JSON.parse(text) : undefined;
          resolve({ status: response.statusCode ?? 0, type, json, text });
        });
      });
      call.once('error', reject);
      call.end(body);
    },
  );
}

t.test('what a daemon is asked for', async (t) => {
  const socket = join(shortDirectory(t), 'deep', 'er', 'host.sock');
  const failures: unknown[] = [];
  const server = await serve(socket, (error) => failures.push(error));
  t.equal(statSync(socket).mode & 0o777, 0o660, 'only for its owner and group');

  t.same(await requestStatus(socket), hostStatus);
  t.same(await requestDevices(socket), [{ device: 'kg0', name: 'uplink' }]);
  const metrics = await raw(socket, 'GET', '/metrics');
  t.match(metrics, { status: 200, type: /^text\/plain; version=0.0.4/, text: 'up 1\n' });
  t.same(await request(socket, 'POST', '/v1/guests/vm1/bind'), {});
  t.same(await request(socket, 'POST', '/v1/guests/vm1/ping', { count: 2, size: 7 }), {
    sent: 2,
    received: 1,
    rtts_ms: [7],
  });

  await t.rejects(request(socket, 'POST', '/v1/guests/vm%202/bind'), {
    code: 'GUEST_UNKNOWN',
    message: 'no guest "vm 2"',
  });
  t.match(await raw(socket, 'GET', '/v1/nothing'), {
    status: 404,
    json: { code: 'ROUTE_UNKNOWN' },
  });
  t.match(await raw(socket, 'GET', '/v1/guests//bind'), { status: 404 });
  t.match(await raw(socket, 'GET', '/v1/guests/%ff/bind'), { status: 404 });
  t.match(await raw(socket, 'GET', '/v1/guests/vm1/bind'), {
    status: 405,
    json: { code: 'METHOD_NOT_ALLOWED', message: '/v1/guests/vm1/bind takes POST, not GET' },
  });
  const ping = '/v1/guests/vm1/ping';
  t.match(await raw(socket, 'POST', ping, '{'), { status: 400, json: { code: 'BODY_INVALID' } });
  t.match(await raw(socket, 'POST', ping, '{"count": 0}'), { status: 400 });
  t.match(await raw(socket, 'POST', ping, '[]'), { status: 200 }, 'count and size have defaults');
  t.match(await raw(socket, 'POST', ping, `"${'x'.repeat(70_000)}"`), {
    status: 413,
    json: { code: 'BODY_TOO_LARGE' },
  });
  t.match(await raw(socket, 'POST', '/v1/guests/vm1/unbind'), {
    status: 500,
    json: { code: 'INTERNAL' },
  });
  t.match(failures, [{ message: 'a mistake of ours' }], 'which the log hears of');

  await server.close();
  t.notOk(existsSync(socket), 'the socket goes with the server');
});

t.test('guests are added, changed and removed', async (t) => {
  const socketPath = join(shortDirectory(t), 'host.sock');
  const told: string[] = [];
  const routes = controlRoutes({
    ...handlers,
    reload: async () => {
      throw new KagemushaError('CONFIG_INVALID', 'host.toml:3: guest.lifetime: is wrong');
    },
    guests: {
      ...changes,
      bind: () => {},
      unbind: () => {},
      ping: async () => ({ sent: 0, received: 0, rtts_ms: [] }),
      put: async (name, text) => {
        told.push(`${name} ${text}`);
        if (text === '') throw new KagemushaError('GUEST_INVALID', 'request:1: is empty');
        if (name === 'vm1') throw new KagemushaError('GUEST_CONFIGURED', 'in host.toml:3');
        return told.length > 1 ? { change: 'changed', waits: 'a prefix' } : { change: 'added' };
      },
      remove: async (name) => {
        if (name !== 'vm2') throw new KagemushaError('GUEST_UNKNOWN', `no guest "${name}"`);
      },
    },
  });
  const server = await createControlServer({ socketPath, routes });
  const put = (name: string, body: string | Buffer, type = 'application/toml') =>
    raw(socketPath, 'PUT', `/v1/guests/${name}`, body, type);

  t.match(await put('vm2', 'lifetime = 60'), { status: 201, json: { change: 'added' } });
  t.match(await put('vm2', 'lifetime = 64', 'Application/TOML; charset=utf-8'), {
    status: 200,
    json: { change: 'changed', waits: 'a prefix' },
  });
  t.same(told, ['vm2 lifetime = 60', 'vm2 lifetime = 64'], 'the text as it was sent');
  t.match(await put('vm2', ''), { status: 400, json: { code: 'GUEST_INVALID' } });
  t.match(await put('vm1', 'x = 1'), { status: 409, json: { code: 'GUEST_CONFIGURED' } });
  told.length = 0;
  for (const type of ['', 'application/json', 'application/tomlet']) {
    const refused = await put('vm2', 'x = 1', type);
    t.match(refused, { status: 415, json: { code: 'BODY_KIND', message: /application\/toml$/ } });
  }
  t.match(await put('vm2', 'x'.repeat(64 * 1024 + 1)), {
    status: 413,
    json: { code: 'BODY_TOO_LARGE' },
  });
  t.match(await put('vm2', Buffer.from([0xff, 0xfe])), {
    status: 400,
    json: { code: 'BODY_INVALID', message: 'the body is not UTF-8' },
  });
  t.same(told, [], 'nobody heard of these');
  const full = '#'.repeat(64 * 1024);
  t.match(await put('vm2', full), { status: 201 }, '64 KiB are taken');

  const remove = (name: string) => raw(socketPath, 'DELETE', `/v1/guests/${name}`);
  t.match(await remove('vm2'), { status: 200, json: {} });
  t.match(await remove('vm3'), { status: 404, json: { code: 'GUEST_UNKNOWN' } });
  t.match(await raw(socketPath, 'POST', '/v1/reload'), {
    status: 409,
    json: { code: 'CONFIG_INVALID', message: 'host.toml:3: guest.lifetime: is wrong' },
  });
  await server.close();
});

t.test('a home agent has no guests', async (t) => {
  const socketPath = join(shortDirectory(t), 'ha.sock');
  const { guests: _, ...common } = handlers;
  const server = await createControlServer({ socketPath, routes: controlRoutes(common) });
  t.match(await raw(socketPath, 'POST', '/v1/guests/vm1/bind'), { status: 404 });
  await server.close();
});

t.test('an idle connection does not hold the end back', async (t) => {
  const socket = join(shortDirectory(t), 'host.sock');
  const server = await serve(socket);
  const idle = connect(socket);
  await new Promise((resolve) => idle.once('connect', resolve));
  await server.close();
  idle.destroy();
});

t.test('one daemon a socket', async (t) => {
  const directory = shortDirectory(t);
  const socket = join(directory, 'host.sock');
  const server = await serve(socket);
  await t.rejects(serve(socket), {
    code: 'DAEMON_RUNNING',
    message: `another kagemusha answers on ${socket}; stop it or choose another control_socket`,
  });
  t.same(await requestStatus(socket), hostStatus, 'the first goes on');
  await server.close();
});

t.test('the socket of a daemon that was killed is replaced', async (t) => {
  const socket = join(shortDirectory(t), 'host.sock');
  const script = `require('node:net').createServer().listen(${JSON.stringify(socket)}, () => console.log(1))`;
  const dead = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((resolve) => dead.stdout.once('data', resolve));
  dead.kill('SIGKILL');
  await new Promise((resolve) => dead.once('exit', resolve));
  t.ok(existsSync(socket));
  await t.rejects(requestStatus(socket), {
    code: 'DAEMON_UNREACHABLE',
    message: /nobody listens on/,
  });
  const server = await serve(socket);
  t.same(await requestStatus(socket), hostStatus);
  await server.close();
});

t.test('what is no socket is left alone', async (t) => {
  const path = join(shortDirectory(t), 'file');
  writeFileSync(path, 'precious');
  await t.rejects(serve(path), { code: 'CONTROL_SOCKET', message: /is there and is no socket/ });
  await t.rejects(serve(join(path, 'host.sock')), {
    code: 'CONTROL_SOCKET',
    message: /cannot make the control socket/,
  });
  t.ok(statSync(path).isFile());
});

t.test('a daemon that cannot be asked', async (t) => {
  const directory = shortDirectory(t);
  const missing = join(directory, 'none.sock');
  await t.rejects(requestStatus(missing), {
    code: 'DAEMON_UNREACHABLE',
    message: new RegExp(`^there is no socket ${missing}; is the daemon running\\? start it with`),
  });
  const strange = join(directory, 'strange.sock');
  const server = await createControlServer({
    socketPath: strange,
    routes: [
      { method: 'GET', path: '/v1/status', handle: () => ({ json: { schemaVersion: 99 } }) },
    ],
  });
  await t.rejects(requestStatus(strange), { code: 'DAEMON_STRANGE' });
  await server.close();
});

t.test('another user is told whose it is', { skip: process.getuid?.() !== 0 }, async (t) => {
  const directory = shortDirectory(t);
  chmodSync(directory, 0o755);
  const socket = join(directory, 'host.sock');
  const server = await serve(socket);
  // The group of this process is the socket's too.
  chmodSync(socket, 0o600);
  process.seteuid?.(65_534);
  try {
    await t.rejects(requestStatus(socket), {
      code: 'DAEMON_UNREACHABLE',
      message: /permission denied on .*; run as the user that owns it/,
    });
  } finally {
    process.seteuid?.(0);
  }
  await server.close();
});
