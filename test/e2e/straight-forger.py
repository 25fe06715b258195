"""Packets with a Home Address option that no binding covers (RFC 6275 9.3.1).

usage: straight-forger.py COPIES GUEST CARE-OF CLAIMED SOURCE
"""
import socket
import sys
from scapy.all import ICMPv6EchoRequest, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, Raw, TCP, UDP
from scapy.layers.inet6 import HAO

copies, guest, care_of, claimed, source = sys.argv[1:]
IPV6_HDRINCL = 36  # linux/in6.h


def hao(home):
    # scapy pads the option to 8n+6 by itself
    return IPv6ExtHdrDestOpt(options=[HAO(hoa=home)])


def rh2(home):
    return IPv6ExtHdrRouting(type=2, segleft=1, addresses=[home])


PACKETS = [
    # straight, as if from a correspondent that is somewhere else
    IPv6(src=source, dst=care_of) / rh2(guest) / hao(claimed) / ICMPv6EchoRequest(id=7, seq=1),
    IPv6(src=source, dst=care_of) / rh2(guest) / hao(claimed) / TCP(dport=80),
    # the same by way of the home network and the tunnel
    IPv6(src=source, dst=guest) / hao(claimed) / UDP(dport=9) / Raw(b"x"),
]
# The kernel sends them: it resolves neighbours, scapy would for each packet.
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
    sender.setsockopt(socket.IPPROTO_IPV6, IPV6_HDRINCL, 1)
    for packet in PACKETS:
        for _ in range(int(copies)):
            sender.sendto(bytes(packet), (packet.dst, 0))
