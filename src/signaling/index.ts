export type { BindingSummary } from './binding-summary.js';
export type {
  Binding,
  HomeAgentConfig,
  HomeAgentEvent,
  HomeAgentOutput,
} from './home-agent.js';
export { HomeAgent } from './home-agent.js';
export type { MobileNodeConfig, MobileNodeEvent, MobileNodeOutput } from './mobile-node.js';
export { MobileNode } from './mobile-node.js';
export type { ConfirmedBinding, MobileNodeState } from './mobile-node-state.js';
export type { Protection } from './protection.js';
export { authOption, espProtection, noProtection } from './protection.js';
export type { AuthOptionOptions } from './protection-auth-option.js';
export type { EspOptions } from './protection-esp.js';
export type { HomeAddressPolicy } from './protection-table.js';
export type { OutgoingIcmpv6, ReceivedSignaling } from './security-policies.js';
export { SecurityPolicies } from './security-policies.js';
export type { AuthenticationResult, Envelope, ProtectionKind, Signal } from './signal.js';
export { emitSignal, readSignal } from './signal.js';
