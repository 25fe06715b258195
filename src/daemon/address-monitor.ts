import { IpMonitor, type IpMonitorOptions } from './ip-monitor.js';
import { readSystem, type SystemState } from './setup/system.js';

/** Watches the addresses and routes of this network namespace. */
export class AddressMonitor extends IpMonitor<SystemState> {
  constructor(options: IpMonitorOptions<SystemState>) {
    super({ words: ['-6', 'monitor', 'address', 'route'], read: readSystem }, options);
  }
}
