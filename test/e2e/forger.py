"""A forger's hands and ears.

usage: forger.py send                      packets from standard input, one a line in hexadecimal, through the kernel's
                                           routes; a line `=NAME` is said back when everything before it was sent
       forger.py listen DEVICE ADDRESS...  what the process behind a TUN writes from one of the addresses, but for tunnel
                                           packets, one a line in hexadecimal
"""
import socket
import sys

IPV6, TUNNEL = 0x86DD, 41
OUTGOING = 4  # packet(7): towards the process


def send():
    raw = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
    for line in sys.stdin:
        if line.startswith("="):
            print(line.strip(), flush=True)
            continue
        packet = bytes.fromhex(line)
        try:
            raw.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))
        except OSError as error:  # a flipped destination may be nowhere
            print(error, file=sys.stderr)


def listen(device, addresses):
    sources = {socket.inet_pton(socket.AF_INET6, address) for address in addresses}
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(IPV6))
    tap.bind((device, IPV6))
    print("=listening", flush=True)
    while True:
        packet, (_, _, direction, *_) = tap.recvfrom(65535)
        if direction != OUTGOING and packet[8:24] in sources and packet[6] != TUNNEL:
            print(packet.hex(), flush=True)


if sys.argv[1] == "send":
    send()
else:
    listen(sys.argv[2], sys.argv[3:])
