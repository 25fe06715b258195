import { chmod, lstat, mkdir, rename, unlink } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { KagemushaError } from '../errors.js';
import { type HttpService, httpListener } from './http-service.js';

export interface ControlServer {
  readonly socketPath: string;
  /** Ends open connections and takes the socket away. */
  close(): Promise<void>;
}

export interface ControlServerOptions extends HttpService {
  readonly socketPath: string;
}

const MAX_CONNECTIONS = 64;
const REQUEST_TIMEOUT_MS = 10_000;

/**
 * Serves HTTP with JSON on a unix socket of mode 0660. A socket that a dead daemon left is replaced.
 * @throws KagemushaError DAEMON_RUNNING when a live one answers there, CONTROL_SOCKET when it cannot be made
 */
export async function createControlServer(options: ControlServerOptions): Promise<ControlServer> {
  const { socketPath } = options;
  const server = createServer(httpListener(options));
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
  server.on('error', (error) => options.onFailure?.(error));
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
