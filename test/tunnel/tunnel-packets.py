"""Tunnel packets, ICMPv6 errors that quote them, and probes, by scapy. One JSON object, name -> hex of an IPv6 packet."""

import json

from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6ParamProblem,
    ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, HBHOptUnknown, PadN)
from scapy.packet import Raw

HA, COA = "2001:db8:2000::1", "2001:db8:3000::33"
HOST_A, HOA = "2001:db8:2000::2", "2001:db8:2000::10"
ROUTER = "2001:db8:ffff::1"
LABEL = 0x5CAFE


def inner(size, source=HOA, destination=HOST_A):
    return IPv6(src=source, dst=destination, fl=0x12345) / UDP(sport=4660, dport=443) / Raw(b"\xa5" * (size - 48))


def limit(value):
    return IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=4, optdata=bytes([value])), PadN(optdata=b"\0")])


def outer(*layers, source=COA, destination=HA, label=LABEL):
    packet = IPv6(src=source, dst=destination, fl=label, hlim=64)
    for layer in layers:
        packet = packet / layer
    return packet


def error(kind, about, quoted=1232):
    return IPv6(src=ROUTER, dst=COA) / kind / Raw(bytes(about)[:quoted])


def relayed(kind, about, quoted=1232):
    return IPv6(src=HA, dst=HOA) / kind / Raw(bytes(about)[:quoted])


plain = outer(inner(1460))
limited = outer(limit(4), inner(1460))
used_up = outer(limit(0), inner(1460))
fragment = outer(IPv6ExtHdrFragment(offset=0, m=1, id=7, nh=41), Raw(bytes(inner(1280))[:1232]))
limited_fragment = outer(
    limit(4), IPv6ExtHdrFragment(offset=0, m=1, id=7, nh=41), Raw(bytes(inner(1280))[:1224]))
later = outer(IPv6ExtHdrFragment(offset=154, m=0, id=7, nh=41), Raw(bytes(inner(1280))[1232:]))
udp = IPv6(src=COA, dst=HA, fl=LABEL) / UDP(sport=1, dport=2) / Raw(b"\0" * 1400)
small = outer(inner(1280))
# What was quoted inside the quote: all but the tunnel headers.
cut = bytes(inner(1460))[:1232 - 40]

packets = {
    "inner": inner(1460),
    "plain": plain,
    "limited": limited,
    "fragment": fragment,
    "limitedFragment": limited_fragment,
    "later": later,
    "udp": udp,
    "otherSource": outer(inner(1460), source=HOST_A),
    "otherDestination": outer(inner(1460), destination=HOST_A),
    "otherLabel": outer(inner(1460), label=LABEL + 1),
    "tooBig": error(ICMPv6PacketTooBig(mtu=1400), plain),
    "tooBigMinimum": error(ICMPv6PacketTooBig(mtu=1280), plain),
    "tooBigOfSmall": error(ICMPv6PacketTooBig(mtu=1300), small),
    "tooBigOfFragment": error(ICMPv6PacketTooBig(mtu=1280), fragment),
    "timeExceeded": error(ICMPv6TimeExceeded(code=0), plain),
    "unreachable": error(ICMPv6DestUnreach(code=0), plain),
    "prohibited": error(ICMPv6DestUnreach(code=1), plain),
    "limitProblem": error(ICMPv6ParamProblem(code=0, ptr=44), used_up),
    "otherProblem": error(ICMPv6ParamProblem(code=0, ptr=6), used_up),
    "relayedTooBig": relayed(ICMPv6PacketTooBig(mtu=1360), cut),
    "relayedTooBigMinimum": relayed(ICMPv6PacketTooBig(mtu=1280), cut),
    "relayedUnreachable": relayed(ICMPv6DestUnreach(code=3), cut),
    "relayedLimit": relayed(ICMPv6DestUnreach(code=3), cut[:-8]),
    "timeExceededForInner": relayed(ICMPv6TimeExceeded(code=0), inner(1460)),
    "problemForInner": relayed(ICMPv6ParamProblem(code=0, ptr=44), inner(100)),
    # size 1400 in the outer header of 40 octets
    "probe": IPv6(src=HOA, dst=HA, hlim=64)
        / ICMPv6EchoRequest(id=0xDEAD, seq=0xBEEF, data=b"kagemush" + bytes(1400 - 40 - 48 - 8)),
    "answer": IPv6(src=HA, dst=HOA, hlim=64)
        / ICMPv6EchoReply(id=0xDEAD, seq=0xBEEF, data=b"kagemush" + bytes(1400 - 40 - 48 - 8)),
    "shortAnswer": IPv6(src=HA, dst=HOA, hlim=64)
        / ICMPv6EchoReply(id=0xDEAD, seq=0xBEEF, data=b"kagemush" + bytes(1320 - 48 - 8)),
    "encapsulated": IPv6(src=COA, dst=HA, fl=LABEL, hlim=64) / inner(100),
    "encapsulatedWithLimit": IPv6(src=COA, dst=HA, fl=LABEL, hlim=9) / limit(4) / inner(100),
}
print(json.dumps({name: bytes(packet).hex() for name, packet in packets.items()}))
