/** The part of package `raw-socket` that is used here; it brings no types of its own. */
declare module 'raw-socket' {
  export const AddressFamily: { readonly IPv4: number; readonly IPv6: number };
  export const Protocol: { readonly ICMPv6: number };

  export interface Socket {
    on(event: 'message', listener: (message: Buffer, source: string) => void): this;
    on(event: 'error', listener: (error: Error) => void): this;
    send(
      buffer: Buffer,
      offset: number,
      length: number,
      address: string,
      sent: (error: Error | null, bytes: number) => void,
    ): this;
    close(): this;
  }

  export function createSocket(options: { addressFamily: number; protocol: number }): Socket;
}
