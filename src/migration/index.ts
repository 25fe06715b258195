export { Arrival, type ArrivalReport } from './arrival.js';
export { QmpSession, type QmpSessionOutput } from './qmp-session.js';
export { VirtualMachine, type VmChange, type VmState } from './virtual-machine.js';
