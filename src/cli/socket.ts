import { existsSync } from 'node:fs';
import { DEFAULT_HOME_AGENT_SOCKET, DEFAULT_HOST_SOCKET } from '../daemon/default-sockets.js';

/** The control socket to ask: the one named, else the host's, else the Home Agent's where only that is there. */
export function chooseSocket(named: string | undefined): string {
  if (named !== undefined) return named;
  const onlyHomeAgent = !existsSync(DEFAULT_HOST_SOCKET) && existsSync(DEFAULT_HOME_AGENT_SOCKET);
  return onlyHomeAgent ? DEFAULT_HOME_AGENT_SOCKET : DEFAULT_HOST_SOCKET;
}
