"""Packets that a kagemusha daemon must refuse, written to its tap or TUN as the kernel would.

usage: hostile-packets.py guest|network-to-host|network-to-home-agent DEVICE MAC|-
"""
import socket
import sys
from scapy.all import (ARP, IP, UDP, Ether, ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6ND_RA, ICMPv6NDOptPrefixInfo, IPv6,
                       IPv6ExtHdrDestOpt, IPv6ExtHdrRouting, Raw, TCP, conf)
from scapy.layers.inet6 import HAO, MIP6MH_BA, MIP6MH_BU, MIP6OptAltCoA

HOA, HOST_A, HA = "2001:db8:2000::10", "2001:db8:2000::2", "2001:db8:2000::1"
COA, STRANGER, OTHER_COA = "2001:db8:3000::44", "2001:db8:3000::1", "2001:db8:3000::77"
role, iface, target = sys.argv[1], sys.argv[2], sys.argv[3]
conf.verb = 0
COPIES = 5


MOBILITY = 135


def rh2(home, **fields):
    return IPv6ExtHdrRouting(type=2, segleft=1, addresses=[home], **fields)


def hao(home, **fields):
    # scapy pads the option to 8n+6 by itself
    return IPv6ExtHdrDestOpt(options=[HAO(hoa=home)], **fields)


def echo(source, destination):
    return IPv6(src=source, dst=destination) / ICMPv6EchoRequest(id=1, seq=1)


def cut(packet, count):
    return Raw(bytes(packet)[:-count])


PACKETS = {
    "guest": [
        ARP(pdst="10.0.0.1"),
        IP(dst="10.0.0.1") / UDP(),
        cut(IPv6(src=HOA, dst=HOST_A) / UDP() / Raw(b"x" * 100), 60),
        Raw(b"\x60"),
        Raw(b"\x00" * 60),
        IPv6(src="2001:db8:2000::99", dst=HOST_A) / UDP() / Raw(b"spoofed"),
        IPv6(src="2001:db8:9999::1", dst=HOST_A) / TCP(),
        IPv6(src=HOA, dst="fe80::1234") / UDP() / Raw(b"link-local"),
        IPv6(src=HOA, dst="ff02::fb") / UDP() / Raw(b"multicast"),
        IPv6(src="fe80::bad", dst="ff02::1") / ICMPv6ND_RA() / ICMPv6NDOptPrefixInfo(prefix="2001:db8:bad::"),
        IPv6(src=HOA, dst="ff02::1:ff00:2", hlim=1) / ICMPv6ND_NS(tgt=HOST_A),
        IPv6(src=HOA, dst="ff02::1:ff00:2") / ICMPv6ND_NS(tgt=HOST_A, cksum=0xbad),
    ],
    "network-to-host": [
        IPv6(src=STRANGER, dst=COA) / echo(HOST_A, HOA),
        IPv6(src=HA, dst=COA) / echo(HOST_A, "2001:db8:2000::99"),
        IPv6(src=HA, dst=COA) / echo("fe80::1", HOA),
        IPv6(src=HA, dst=COA, nh=41) / cut(echo(HOST_A, HOA), 3),
        IPv6(src=HA, dst=COA, nh=41) / Raw(b"\x45junk"),
        IPv6(src=STRANGER, dst=COA) / rh2(HOA) / TCP(dport=80),
        IPv6(src=HA, dst=COA) / rh2("2001:db8:2000::99") / TCP(dport=80),
        IPv6(src=STRANGER, dst=COA) / rh2(HOA) / MIP6MH_BA(status=0, seq=1, mhtime=0),
        IPv6(src=HA, dst=COA) / rh2(HOA) / MIP6MH_BA(status=135, seq=1, mhtime=0),
        IPv6(src=HA, dst=COA) / rh2(HOA) / MIP6MH_BA(status=0, seq=1, mhtime=0, cksum=0xbad),
        IPv6(src=HA, dst=COA) / rh2(HOA, nh=MOBILITY) / cut(MIP6MH_BA(status=0), 4),
        IPv6(src=STRANGER, dst=COA) / UDP(dport=9) / Raw(b"not for us"),
        IPv6(src=STRANGER, dst="2001:db8:3000::99") / UDP(dport=9),
        Raw(b"\x60"),
        Raw(b"\x45" * 60),
    ],
    "network-to-home-agent": [
        IPv6(src=OTHER_COA, dst=HA) / echo(HOA, HOST_A),
        IPv6(src=COA, dst=HA) / echo("2001:db8:2000::99", HOST_A),
        IPv6(src=COA, dst=HA) / echo(HOA, "ff02::1"),
        IPv6(src=COA, dst=HA, nh=41) / Raw(b"\x60"),
        IPv6(src=OTHER_COA, dst=HA) / MIP6MH_BU(seq=7, mhtime=15, flags=0xC000),
        IPv6(src=OTHER_COA, dst=HA) / hao(HOA) / MIP6MH_BU(seq=7, mhtime=15, cksum=0xbad),
        IPv6(src=OTHER_COA, dst=HA) / hao(HOA, nh=MOBILITY) / cut(MIP6MH_BU(seq=7, mhtime=15), 4),
        IPv6(src=OTHER_COA, dst=HA) / hao(HOA) / MIP6MH_BU(
            seq=7, mhtime=15, flags=0xC000,
            options=[MIP6OptAltCoA(acoa="ff02::1")]),
    ],
}

def on_the_device(packet):
    """An Ethernet frame for a tap, the bare packet for a TUN ("-")."""
    if target == "-":
        return bytes(packet)
    frame = Ether(src="02:00:00:00:00:10", dst=target) / packet
    # Ether guesses no type for junk; it must still arrive as IPv6.
    if isinstance(frame.payload, Raw) or frame.payload.name == "NoPayload":
        frame.type = 0x86DD
    return bytes(frame)


device = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
device.bind((iface, 0x86DD))
for packet in PACKETS[role]:
    data = on_the_device(packet)
    for _ in range(COPIES):
        device.send(data)
