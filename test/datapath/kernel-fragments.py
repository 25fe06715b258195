"""Tunnel packets that the kernel fragments, because the link's MTU is 1280, and what becomes of them.

usage: kernel-fragments.py send SOURCE DESTINATION INNER...    INNER: the inner packet in hexadecimal
       kernel-fragments.py receive ADDRESS PORT COUNT          the length of each UDP datagram, as JSON
"""

import json
import socket
import sys

IPV6_DSTOPTS = 59
# RFC 2473 4.1.1: tunnel encapsulation limit 4, padded
LIMIT = bytes([41, 0, 4, 1, 4, 1, 0, 0])

role, *words = sys.argv[1:]
if role == "send":
    source, destination, *inners = words
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, 41) as sender:
        sender.bind((source, 0))
        for inner in inners:
            sender.sendto(bytes.fromhex(inner), (destination, 0))
        sender.setsockopt(socket.IPPROTO_IPV6, IPV6_DSTOPTS, LIMIT)
        for inner in inners:
            sender.sendto(bytes.fromhex(inner), (destination, 0))
else:
    address, port, count = words
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        receiver.bind((address, int(port)))
        print("ready", flush=True)
        print(json.dumps([len(receiver.recv(65536)) for _ in range(int(count))]), flush=True)
