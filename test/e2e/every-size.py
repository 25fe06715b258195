"""Echoes of many sizes, and which of them never came back.

usage: every-size.py serve                     answers UDP on port 7
       every-size.py udp|icmp ADDRESS SECONDS SIZES    asks, and waits so long for each; SIZES: octets of whole IPv6 packets, "48-9000,1232" say, in this order

A size is the length of the packet before anybody fragments it: 40 octets IPv6, 8 octets UDP or ICMPv6, data. The data tells where it
stands, so that a packet put together wrongly is found. A lost one is asked for again: the first of a kind may be answered by Packet
Too Big, and may get there at the next attempt. Writes one line of JSON: how many sizes, those that needed another attempt, those that
never came, those that came wrong, the seconds that it took. When too many never came, the rest is not asked for.
"""
import json
import select
import socket
import struct
import sys
import time

HEADERS, PORT = 48, 7
ATTEMPT_FOR = 3  # seconds that a size is asked for again and again
UNDER_WAY = 40_000  # octets, so that no socket's buffer overflows
ENOUGH_LOST = 50
SO_RCVBUFFORCE = 33
PATTERN = bytes(index * 7 % 251 for index in range(65536))


def data(size):
    """Of `size` octets, that starts with the size where there is room for it."""
    body = size - HEADERS
    return (struct.pack("!HH", size, 0xBEEF) + PATTERN)[:body] if body >= 4 else bytes([body]) * body


def size_of(body):
    return len(body) + HEADERS


def make_room(sock):
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
    except PermissionError:  # in a user namespace of an older kernel; the usual room does
        pass


def serve():
    service = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    make_room(service)
    service.bind(("::", PORT))
    print("ready", flush=True)
    while True:
        body, peer = service.recvfrom(65536)
        try:
            service.sendto(body, peer)
        except OSError:  # what an earlier answer met: Packet Too Big, say
            pass


class Udp:
    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.connect((address, PORT))

    def send(self, size):
        self.socket.send(data(size))

    def receive(self):
        return self.socket.recv(65536)


class Icmp:
    """With a raw socket, as ping has it: the kernel computes the checksum and cuts what is too long."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
        self.socket.connect((address, 0))
        self.identifier = int(time.monotonic_ns() // 1000) & 0xFFFF
        # icmp6_filter: a bit that is set keeps the type away; 129 is Echo Reply
        words = [0xFFFFFFFF] * 8
        words[129 >> 5] &= ~(1 << (129 & 31))
        self.socket.setsockopt(socket.IPPROTO_ICMPV6, 1, struct.pack("@8I", *words))

    def send(self, size):
        self.socket.send(struct.pack("!BBHHH", 128, 0, 0, self.identifier, size & 0xFFFF) + data(size))

    def receive(self):
        message = self.socket.recv(65536)
        kind, _, _, identifier, _ = struct.unpack("!BBHHH", message[:8])
        return message[8:] if kind == 129 and identifier == self.identifier else None


def ask(kind, address, timeout, sizes):
    peer = {"udp": Udp, "icmp": Icmp}[kind](address)
    make_room(peer.socket)
    peer.socket.setblocking(False)
    waiting = list(reversed(sizes))
    attempts, under_way, seen, again, wrong, lost = {}, {}, set(), set(), [], []
    octets, began = 0, time.monotonic()
    while (waiting or under_way) and len(lost) < ENOUGH_LOST:
        # The first packet goes alone: what it finds out holds for those after it.
        room = UNDER_WAY if seen else 1
        while waiting and octets < room:
            size = waiting.pop()
            attempts[size] = attempts.get(size, 0) + 1
            try:
                peer.send(size)
            except BlockingIOError:
                attempts[size] -= 1
                waiting.append(size)
                break
            except OSError:  # what an earlier one met; this one was not sent
                pass
            under_way[size] = time.monotonic() + timeout
            octets += size
        oldest = next(iter(under_way.values()), time.monotonic())
        if select.select([peer.socket], [], [], max(0, min(0.05, oldest - time.monotonic())))[0]:
            try:
                body = peer.receive()
            except OSError:
                body = None
            if body is not None:
                size = size_of(body)
                if body != data(size):
                    wrong.append(size)
                elif size in under_way:
                    del under_way[size]
                    octets -= size
                    seen.add(size)
        now = time.monotonic()
        for size in [size for size, end in under_way.items() if end < now]:
            del under_way[size]
            octets -= size
            again.add(size)
            if attempts[size] * timeout < ATTEMPT_FOR:
                waiting.append(size)
            else:
                lost.append(size)
    print(json.dumps({
        "sizes": len(sizes),
        "again": sorted(again),
        "lost": sorted(lost),
        "wrong": wrong,
        "most_attempts": max(attempts.values(), default=0),
        "seconds": round(time.monotonic() - began, 3),
    }))


def expand(words):
    for word in words.split(","):
        first, _, last = word.partition("-")
        yield from range(int(first), int(last or first) + 1)


if sys.argv[1] == "serve":
    serve()
else:
    ask(sys.argv[1], sys.argv[2], float(sys.argv[3]), list(expand(sys.argv[4])))
