export { Arrival, type ArrivalReport, LONGEST_STOP } from './arrival.js';
export {
  type BoundState,
  type EspState,
  GUEST_STATE_VERSION,
  type GuestState,
  type HomeState,
  readGuestState,
} from './guest-state.js';
export { QmpSession, type QmpSessionOutput } from './qmp-session.js';
export { VirtualMachine, type VmChange, type VmState } from './virtual-machine.js';
