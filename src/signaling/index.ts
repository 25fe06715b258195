export type { BindingSummary } from './binding-summary.js';
export { HomeAgent } from './home-agent.js';
export type {
  AdvertisedPrefix,
  Binding,
  HomeAgentAdvertisement,
  HomeAgentConfig,
  HomeAgentEvent,
  HomeAgentOutput,
  ServedNode,
  StoredBinding,
} from './home-agent-types.js';
export { mobilityFaultPointer } from './icmpv6-errors.js';
export type { MobileNodeConfig, MobileNodeEvent, MobileNodeOutput } from './mobile-node.js';
export { MobileNode } from './mobile-node.js';
export type { ConfirmedBinding, MobileNodeState } from './mobile-node-state.js';
export type { Signal } from './signal.js';
export { emitSignal, readSignal } from './signal.js';
