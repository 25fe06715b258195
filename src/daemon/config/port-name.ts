import type { PortConfig } from './types.js';

/** The name of a guest's port, which no other guest's has: its device, or its path. */
export function portName(port: PortConfig): string {
  return port.kind === 'tap' ? port.device : port.path;
}
