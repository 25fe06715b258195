/** The part of package `cap` that is used here; it brings no types of its own. */
declare module 'cap' {
  export class Cap {
    /**
     * Opens a device and begins to capture.
     * @returns the name of the link type: `ETHERNET`, `RAW`, …
     */
    open(device: string, filter: string, bufferSize: number, buffer: Buffer): string;
    on(event: 'packet', listener: (length: number, truncated: boolean) => void): this;
    close(): void;
  }
}
