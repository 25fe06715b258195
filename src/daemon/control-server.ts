import { chmod, lstat, mkdir, rename, unlink } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { KagemushaError } from '../errors.js';

/** A request that found its route. */
export interface ControlRequest {
  /** Values of the `:name` parts of the route's path. */
  readonly parameters: Readonly<Record<string, string>>;
  /** The JSON of the body, or the text of one that is TOML; undefined without one. */
  readonly body: unknown;
}

/** What a route answers: JSON, or text of a type of its own. */
export type ControlReply =
  | { readonly status?: number; readonly json: unknown }
  | { readonly status?: number; readonly text: string; readonly contentType: string };

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** `/v1/guests/:name/bind` */
  readonly path: string;
  /** What the body is: JSON unless told. */
  readonly takes?: 'json' | 'toml';
  /** A KagemushaError thrown here becomes the answer `{ code, message }`. */
  readonly handle: (request: ControlRequest) => ControlReply | Promise<ControlReply>;
}

export interface ControlServer {
  readonly socketPath: string;
  /** Ends open connections and takes the socket away. */
  close(): Promise<void>;
}

export interface ControlServerOptions {
  readonly socketPath: string;
  readonly routes: readonly Route[];
  /** Told of failures that are no KagemushaError: mistakes of ours. */
  readonly onFailure?: (error: unknown) => void;
}

/** More than any request needs; a body beyond it is refused unread. */
export const MAX_BODY = 64 * 1024;
const MAX_CONNECTIONS = 64;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Serves HTTP with JSON on a unix socket of mode 0660. A socket that a dead daemon left is replaced.
 * @throws KagemushaError DAEMON_RUNNING when a live one answers there, CONTROL_SOCKET when it cannot be made
 */
export async function createControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { socketPath } = options;
  const server = createServer((request, response) => {
    void answer(options, request, response);
  });
  server.requestTimeout = REQUEST_TIMEOUT_MS;
  server.headersTimeout = REQUEST_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await mkdir(dirname(socketPath), { recursive: true });
    await removeStale(socketPath);
    await listen(server, socketPath);
    await chmod(socketPath, 0o660);
  } catch (cause) {
    server.close();
    throw cause instanceof KagemushaError ? cause : unusable(socketPath, cause);
  }
  return {
    socketPath,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function unusable(socketPath: string, cause: unknown): KagemushaError {
  const { code, path } = cause as NodeJS.ErrnoException;
  const mend =
    code === 'EACCES' || code === 'EPERM'
      ? 'run kagemusha setup --apply once as root, or choose another control_socket'
      : 'choose another control_socket';
  const where = path !== undefined && path !== socketPath ? ` (${path})` : '';
  const message = `cannot make the control socket ${socketPath}${where}: ${code ?? cause}; ${mend}`;
  return new KagemushaError('CONTROL_SOCKET', message, { cause });
}

function listen(server: Server, socketPath: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(socketPath, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

/** Whether a process accepts connections on the socket. */
function answers(socketPath: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ENOENT') resolve(false);
      // Its backlog is full: somebody is there.
      else if (error.code === 'EAGAIN') resolve(true);
      else reject(error);
    });
  });
}

/** Before anything is opened or changed. @throws KagemushaError DAEMON_RUNNING when a daemon answers on the socket */
export async function refuseSecond(socketPath: string): Promise<void> {
  // A socket that cannot even be asked is for createControlServer to complain of.
  if (await answers(socketPath).catch(() => false)) throw daemonRunning(socketPath);
}

function daemonRunning(socketPath: string): KagemushaError {
  return new KagemushaError(
    'DAEMON_RUNNING',
    `another kagemusha answers on ${socketPath}; stop it or choose another control_socket`,
  );
}

/**
 * Takes away the socket of a daemon that died. It is renamed first and looked at again under the new name: between the
 * look and the unlink another daemon may have put its own socket there, which then goes back.
 */
async function removeStale(socketPath: string): Promise<void> {
  const found = await lstat(socketPath).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (found === undefined) return;
  if (!found.isSocket()) {
    const message = `${socketPath} is there and is no socket; move it away or choose another control_socket`;
    throw new KagemushaError('CONTROL_SOCKET', message);
  }
  if (await answers(socketPath)) throw daemonRunning(socketPath);
  const aside = `${socketPath}.${process.pid}`;
  try {
    await rename(socketPath, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (await answers(aside)) {
    await rename(aside, socketPath);
    throw daemonRunning(socketPath);
  }
  await unlink(aside);
}

async function answer(
  options: ControlServerOptions,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let reply: ControlReply;
  try {
    reply = await dispatch(options.routes, request);
  } catch (error) {
    if (!(error instanceof KagemushaError)) options.onFailure?.(error);
    reply = failure(error);
  }
  // The rest of a body that was refused is not worth reading.
  if (!request.complete) response.setHeader('connection', 'close');
  const text = 'json' in reply ? `${JSON.stringify(reply.json)}\n` : reply.text;
  const contentType = 'json' in reply ? 'application/json' : reply.contentType;
  response.writeHead(reply.status ?? 200, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

const STATUS_OF_CODE: Readonly<Record<string, number>> = {
  ROUTE_UNKNOWN: 404,
  GUEST_UNKNOWN: 404,
  METHOD_NOT_ALLOWED: 405,
  BODY_INVALID: 400,
  BODY_TOO_LARGE: 413,
  BODY_KIND: 415,
  GUEST_INVALID: 400,
};

function failure(error: unknown): ControlReply {
  if (error instanceof KagemushaError) {
    const { code, message } = error;
    return { status: STATUS_OF_CODE[code] ?? 409, json: { code, message } };
  }
  const message = 'the daemon failed to answer; its log says why';
  return { status: 500, json: { code: 'INTERNAL', message } };
}

async function dispatch(routes: readonly Route[], request: IncomingMessage): Promise<ControlReply> {
  const method = request.method ?? '';
  const path = (request.url ?? '/').split('?')[0] ?? '/';
  const here = routes.flatMap((route) => {
    const parameters = match(route.path, path);
    return parameters === undefined ? [] : [{ route, parameters }];
  });
  if (here.length === 0) {
    const known = routes.map((route) => `${route.method} ${route.path}`).join(', ');
    throw new KagemushaError('ROUTE_UNKNOWN', `${path} is not here; there are ${known}`);
  }
  const found = here.find(({ route }) => route.method === method);
  if (found === undefined) {
    const allowed = here.map(({ route }) => route.method).join(', ');
    throw new KagemushaError('METHOD_NOT_ALLOWED', `${path} takes ${allowed}, not ${method}`);
  }
  const { route, parameters } = found;
  const text = await readBody(request, route.takes === 'toml');
  const body = route.takes === 'toml' ? text : parseJson(text);
  return await route.handle({ parameters, body });
}

/** The values of the `:name` parts, or undefined when the path is not of this pattern. */
function match(pattern: string, path: string): Record<string, string> | undefined {
  const parts = pattern.split('/');
  const given = path.split('/');
  if (parts.length !== given.length) return undefined;
  const parameters: Record<string, string> = {};
  for (const [i, part] of parts.entries()) {
    const value = given[i] ?? '';
    if (part.startsWith(':') && value !== '') {
      const decoded = decode(value);
      if (decoded === undefined) return undefined;
      parameters[part.slice(1)] = decoded;
    } else if (part !== value) {
      return undefined;
    }
  }
  return parameters;
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** The text of a body; undefined without one. */
async function readBody(request: IncomingMessage, toml: boolean): Promise<string | undefined> {
  if (toml && !/^application\/toml *(;|$)/i.test(request.headers['content-type'] ?? '')) {
    throw new KagemushaError('BODY_KIND', 'the body is TOML; say content-type: application/toml');
  }
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_BODY) {
      throw new KagemushaError('BODY_TOO_LARGE', `the body is longer than ${MAX_BODY} octets`);
    }
    chunks.push(chunk);
  }
  if (length === 0) return undefined;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new KagemushaError('BODY_INVALID', 'the body is not UTF-8', { cause });
  }
}

function parseJson(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KagemushaError('BODY_INVALID', 'the body is not JSON', { cause });
  }
}
