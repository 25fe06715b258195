/** Next header values (IANA "Assigned Internet Protocol Numbers"). */
export const PROTOCOL = {
  hopByHop: 0,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  routing: 43,
  fragment: 44,
  esp: 50,
  icmpv6: 58,
  noNext: 59,
  destination: 60,
  mobility: 135,
} as const;
