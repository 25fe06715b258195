"""Packets that lie about the outer path, and floods of them.

usage: path-forger.py sniff DEVICE SOURCE LENGTH        the first tunnel packet from SOURCE of so many octets or more, in hexadecimal
       path-forger.py errors PACKET FROM                Packet Too Big about that packet, each with something wrong, but for `right`:
                                                        a JSON object of name to hexadecimal
       path-forger.py overlaps LOCAL REMOTE SOURCE DESTINATION PORT   tunnel packets in fragments that overlap, but for `whole`:
                                                        a JSON object of name to a list of hexadecimal, in the order of sending
       path-forger.py flood KIND RATE SECONDS TARGETS   sends and says how many packets it sent. KIND `fragments`: of packets that never
                                                        become whole, TARGETS a JSON list of [source, destination]; KIND `errors`:
                                                        ICMPv6 errors, TARGETS a JSON list of [source, quoted packet]
       path-forger.py hear PORT                         UDP that comes for PORT, a line each
"""
import json
import random
import socket
import struct
import sys
import time
from scapy.all import (ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrFragment,
                       Raw, UDP)

TUNNEL = 41
QUOTE = 1280 - 48
STRANGER = "2001:db8:77::1"


def sniff(device, source, length):
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
    tap.bind((device, 0x86DD))
    print("ready", flush=True)
    source = socket.inet_pton(socket.AF_INET6, source)
    while True:
        packet = tap.recv(65535)
        if packet[6] == TUNNEL and packet[8:24] == source and len(packet) >= int(length):
            print(packet.hex(), flush=True)
            return


def errors(packet, router):
    genuine = IPv6(bytes.fromhex(packet))
    length = len(bytes(genuine))

    def changed(**fields):
        other = genuine.copy()
        for name, value in fields.items():
            setattr(other, name, value)
        return other

    def inner(**fields):
        other = genuine.copy()
        for name, value in fields.items():
            setattr(other.payload, name, value)
        return other

    def about(quote, mtu, **fields):
        error = IPv6(src=router, dst=genuine.src) / ICMPv6PacketTooBig(mtu=mtu, **fields) / Raw(bytes(quote)[:QUOTE])
        return bytes(error).hex()

    made_up = IPv6(src=genuine.src, dst=genuine.dst, plen=1400) / IPv6(
        src=genuine.payload.src, dst=genuine.payload.dst, plen=1360) / UDP(sport=1, dport=2) / Raw(bytes(1200))
    fragment = IPv6(src=genuine.src, dst=genuine.dst, fl=genuine.fl, plen=genuine.plen) / IPv6ExtHdrFragment(
        nh=TUNNEL, offset=100, id=1) / Raw(bytes(genuine.payload))
    return {
        "MTU 0": about(genuine, 0),
        "MTU 68": about(genuine, 68),
        "MTU 1279": about(genuine, 1279),
        "MTU of the packet itself": about(genuine, length),
        "MTU larger than the packet": about(genuine, length + 8),
        "another destination": about(changed(dst=STRANGER), 1280),
        "another care-of address": about(changed(src=STRANGER), 1280),
        "another flow label": about(changed(fl=genuine.fl ^ 1), 1280),
        "no flow label": about(changed(fl=0), 1280),
        "another correspondent inside": about(inner(src=STRANGER) if inner_first(genuine) else inner(dst=STRANGER), 1280),
        "another guest inside": about(inner(dst="2001:db8:2000::11") if inner_first(genuine) else
                                      inner(src="2001:db8:2000::11"), 1280),
        "made-up inner packet": about(made_up, 1280),
        "later fragment": about(fragment, 1280),
        "cut off": about(bytes(genuine)[:39], 1280),
        "cut off inside": about(bytes(genuine)[:60], 1280),
        "wrong checksum": about(genuine, 1280, cksum=0xBAD),
        "right": about(genuine, 1400),
    }


def inner_first(genuine):
    """From the Home Agent: the inner source is the correspondent."""
    return genuine.payload.dst.startswith("2001:db8:2000::10")


def overlaps(local, remote, source, destination, port):
    identification = iter(range(random.randrange(1 << 31), 1 << 32))

    def packet(name):
        text = name.encode().ljust(1000, b".")
        return bytes(IPv6(src=source, dst=destination) / UDP(sport=9, dport=int(port)) / Raw(text))

    def pieces(name, cuts):
        """cuts: (first octet, end); every first octet a multiple of 8."""
        whole, number = packet(name), next(identification)
        return [
            bytes(IPv6(src=local, dst=remote) / IPv6ExtHdrFragment(nh=TUNNEL, offset=first // 8, id=number,
                                                                   m=int(end < len(whole))) / Raw(whole[first:end])).hex()
            for first, end in cuts
        ]

    end = len(packet(""))
    return {
        "whole": pieces("whole", [(0, 520), (520, end)]),
        "whole, last first": pieces("whole, last first", [(520, end), (0, 520)]),
        "by eight octets": pieces("by eight octets", [(0, 520), (512, end)]),
        "by eight octets, last first": pieces("by eight octets, last first", [(512, end), (0, 520)]),
        "within": pieces("within", [(0, 520), (128, 256), (520, end)]),
        "around": pieces("around", [(128, 256), (0, 520), (520, end)]),
        "the headers": pieces("the headers", [(0, 520), (0, 64), (520, end)]),
        "and then the rest": pieces("and then the rest", [(0, 520), (512, 800), (520, 800), (800, end)]),
        "and then all": pieces("and then all", [(0, 520), (512, end), (0, 520), (520, end)]),
    }


def flood(kind, rate, seconds, targets):
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    packets = []
    for source, what in json.loads(targets):
        if kind == "fragments":
            for offset in (0, 64, 1280):
                fragment = IPv6(src=source, dst=what) / IPv6ExtHdrFragment(nh=TUNNEL, offset=offset, id=0, m=1) / Raw(bytes(1024))
                packets.append((bytearray(bytes(fragment)), what))
        else:
            quote = bytes.fromhex(what)
            target = socket.inet_ntop(socket.AF_INET6, quote[8:24])
            for error in (ICMPv6DestUnreach(code=0), ICMPv6DestUnreach(code=3), ICMPv6TimeExceeded(), ICMPv6ParamProblem(ptr=6)):
                packets.append((bytearray(bytes(IPv6(src=source, dst=target) / error / Raw(quote[:QUOTE]))), target))
    sent, began, rate, seconds = 0, time.monotonic(), int(rate), float(seconds)
    while (elapsed := time.monotonic() - began) < seconds:
        for _ in range(min(200, int(elapsed * rate) - sent)):
            packet, target = packets[sent % len(packets)]
            if kind == "fragments":
                struct.pack_into("!I", packet, 44, random.getrandbits(32))
            try:
                raw.sendto(packet, (target, 0))
            except OSError:
                pass
            sent += 1
        time.sleep(0.002)
    print(json.dumps({"sent": sent}))


def hear(port):
    ear = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    ear.bind(("::", int(port)))
    print("ready", flush=True)
    while True:
        print(ear.recv(65536).decode().rstrip("."), flush=True)


command, words = sys.argv[1], sys.argv[2:]
answer = {"sniff": sniff, "errors": errors, "overlaps": overlaps, "flood": flood, "hear": hear}[command](*words)
if answer is not None:
    print(json.dumps(answer))
