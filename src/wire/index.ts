export type { Address, Prefix } from './address.js';
export {
  ALL_NODES,
  ALL_ROUTERS,
  addressBytes,
  contains,
  formatPrefix,
  homeAgentsAnycast,
  isAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  networkOf,
  parseAddress,
  parsePrefix,
  readAddress,
  solicitedNode,
  UNSPECIFIED,
  writeAddress,
} from './address.js';
export type { BindingStatus } from './binding-status.js';
export { BINDING_ERROR, BINDING_STATUS, bindingStatus } from './binding-status.js';
export type { PseudoHeader } from './checksum.js';
export { internetChecksum, upperLayerChecksum } from './checksum.js';
export type { WireErrorCode } from './error.js';
export { attempt, WireError } from './error.js';
export type { EthernetFrame } from './ethernet.js';
export { ETHERTYPE_IPV6, emitEthernet, parseEthernet } from './ethernet.js';
export type { ExtensionHeader } from './extension-headers.js';
export type { HomeDiscoveryKind, HomeDiscoveryMessage } from './home-agent-discovery.js';
export type { Icmpv6Message } from './icmpv6.js';
export { emitIcmpv6, isMld, parseIcmpv6 } from './icmpv6.js';
export type { Icmpv6Error, Icmpv6Fault, NoIcmpv6Error } from './icmpv6-error.js';
export { icmpv6ErrorAbout, MINIMUM_MTU } from './icmpv6-error.js';
export type { Icmpv6Ends } from './icmpv6-packet.js';
export { emitIcmpv6Packet } from './icmpv6-packet.js';
export { IPV6_HEADER_LENGTH, peekAddresses } from './ipv6.js';
export type { Mac } from './mac.js';
export { isUnicastMac, multicastMac, parseMac, readMac, writeMac } from './mac.js';
export type { MobilityMessage } from './mobility.js';
export { alignMobilityOptions, emitMobility, parseMobility } from './mobility.js';
export type { MobilityOption } from './mobility-options.js';
export type { NdpMessage, RouterPreference } from './ndp.js';
export type { NdpOption } from './ndp-options.js';
export type { Option } from './options.js';
export { alignOptions, emitOptions, parseOptions } from './options.js';
export type { Ipv6Packet } from './packet.js';
export {
  emitPacket,
  homeAddressOption,
  parsePacket,
  pseudoHeader,
  type2HomeAddress,
} from './packet.js';
export { PROTOCOL } from './protocol.js';
