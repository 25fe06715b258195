export type { BindingSummary } from './binding-summary.js';
export { HomeAgent } from './home-agent.js';
export type { HomeAgents } from './home-agent-choice.js';
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
export { HomeRegistration } from './home-registration.js';
export type {
  HomeRegistrationConfig,
  HomeRegistrationEvent,
  HomeRegistrationOutput,
} from './home-registration-events.js';
export { MobileNode } from './mobile-node.js';
export type { MobileNodeConfig, MobileNodeEvent, MobileNodeOutput } from './mobile-node-events.js';
export type { ConfirmedBinding, HeldBinding, MobileNodeState } from './mobile-node-state.js';
export type { LearntPrefix } from './prefix-discovery.js';
export type { Protection } from './protection.js';
export { authOption, espProtection, noProtection } from './protection.js';
export type { AuthOptionOptions } from './protection-auth-option.js';
export type { EspOptions } from './protection-esp.js';
export type { ProtectionKind } from './protection-kind.js';
export type { HomeAddressPolicy } from './protection-table.js';
export type { OutgoingIcmpv6, ReceivedSignaling } from './security-policies.js';
export { SecurityPolicies } from './security-policies.js';
export { isNewer } from './sequence.js';
export type { AuthenticationResult, Envelope, Signal } from './signal.js';
export { emitSignal, readSignal } from './signal.js';
export { UpdateRate } from './update-rate.js';
