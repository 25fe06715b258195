/** Sends one datagram to a unix socket; a leading `@` in `path` means the abstract namespace (unix(7)). */
export type SendDatagram = (path: string, message: string) => void;

/** Tells the service manager about this process (sd_notify(3)); does nothing where there is none. */
export interface Notifier {
  /** The devices are configured and may be moved or bridged. */
  ready(): void;
  /** The file is being read again; `ready` ends it. */
  reloading(): void;
  stopping(): void;
}

/**
 * @param send writes a datagram: Node has none for unix sockets, the native addon does
 * @param socket `$NOTIFY_SOCKET`: an absolute path, or `@name` in the abstract namespace
 */
export function createNotifier(
  send: SendDatagram,
  socket: string | undefined = process.env.NOTIFY_SOCKET,
): Notifier {
  const tell = (message: string): void => {
    if (socket === undefined || !/^[/@]/.test(socket)) return;
    try {
      send(socket, message);
    } catch {
      // A service manager that went away is no reason for tunnels to stop.
    }
  };
  // Type=notify-reload wants the time of the signal, on the monotonic clock, in microseconds.
  const now = (): bigint => process.hrtime.bigint() / 1000n;
  return {
    ready: () => tell('READY=1'),
    reloading: () => tell(`RELOADING=1\nMONOTONIC_USEC=${now()}`),
    stopping: () => tell('STOPPING=1'),
  };
}
