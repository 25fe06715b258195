import { createServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { checkServerIdentity, type TLSSocket } from 'node:tls';
import { KagemushaError } from '../../errors.js';
import type { PeeringConfig } from '../config/schema.js';
import { httpListener, type Route } from '../http-service.js';
import type { Logger } from '../log.js';

export interface PeerServer {
  /** That it listens on. */
  readonly port: number;
  close(): Promise<void>;
}

/** Whoever has nothing to say is not waited for. */
const HANDSHAKE_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
/** A peer keeps its connection for the next guest. */
const KEEP_ALIVE_MS = 600_000;
/** Each peer has one or two. */
const MAX_CONNECTIONS = 256;
/** Between two lines of the log about callers who may not come in. */
const SAY_AGAIN_MS = 60_000;

/**
 * Serves HTTPS (TLS 1.3) to peers alone: whose certificate is of the authority, and has the name of a peer. A caller is its name.
 *
 * @throws KagemushaError PEERING_LISTEN when nothing can listen there
 */
export async function createPeerServer(
  config: PeeringConfig,
  routes: readonly Route[],
  log: Logger,
): Promise<PeerServer> {
  const names = config.peers.map(({ name }) => name);
  const server = createServer(
    {
      cert: config.certificate,
      key: Buffer.from(config.key.reveal()),
      ca: config.authority,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    httpListener({
      routes,
      nameOf: ({ socket }) => nameOf(socket as TLSSocket, names),
      onFailure: (error) => log.error({ err: error }, 'a peer was not answered'),
    }),
  );
  server.maxConnections = MAX_CONNECTIONS;
  let saidAt = Number.NEGATIVE_INFINITY;
  server.on('tlsClientError', (error, socket) => {
    if (performance.now() < saidAt + SAY_AGAIN_MS) return;
    saidAt = performance.now();
    const mend = 'a peer needs a certificate of the authority that this host names';
    const said = socket.authorizationError ?? error.message;
    log.warn({ from: socket.remoteAddress, error: said }, `a caller was refused: ${mend}`);
  });
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const { host, port } = config.listen;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: NodeJS.ErrnoException) => {
      const where = `${host} port ${port} (${cause.code ?? cause.message})`;
      const message = `cannot listen to peers on ${where}; choose another host.peering.listen`;
      reject(new KagemushaError('PEERING_LISTEN', message, { cause }));
    });
    server.listen({ host, port, ipv6Only: true }, resolve);
  });
  server.on('error', (error) => log.error({ err: error }, 'peers are not served'));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      // Those that have not proven themselves yet, too.
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** @throws KagemushaError PEER_UNKNOWN */
function nameOf(socket: TLSSocket, names: readonly string[]): string {
  const certificate = socket.getPeerCertificate();
  const name = names.find((peer) => checkServerIdentity(peer, certificate) === undefined);
  if (name !== undefined) return name;
  const subject = certificate.subjectaltname ?? 'no name';
  const mend = 'add it as [[host.peer]] there, or give it the name that stands there';
  throw new KagemushaError('PEER_UNKNOWN', `a certificate for ${subject} is no peer's; ${mend}`);
}
