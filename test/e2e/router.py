# A router that advertises itself on an interface: once a second, and at once to who solicits.
#   router.py INTERFACE 'PREFIX|VALID|PREFERRED'...
import select
import socket
import struct
import sys
import time

interface, prefixes = sys.argv[1], [prefix.rsplit("|", 2) for prefix in sys.argv[2:]]
index = socket.if_nametoindex(interface)
with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as card:
    card.bind((interface, 0))
    mac = card.getsockname()[4]

message = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
message += struct.pack("!BB6s", 1, 1, mac)
for prefix, valid, preferred in prefixes:
    flags = 0xC0  # on-link, autonomous
    option = struct.pack("!BBBBIII", 3, 4, 64, flags, int(valid), int(preferred), 0)
    message += option + socket.inet_pton(socket.AF_INET6, prefix)

speaker = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
speaker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
speaker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
group = socket.inet_pton(socket.AF_INET6, "ff02::2") + struct.pack("@I", index)
speaker.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
last = 0.0
while True:
    readable, _, _ = select.select([speaker], [], [], 1.0)
    solicited = False
    if readable:
        heard, source = speaker.recvfrom(2048)
        solicited = heard[:1] == b"\x85" and source[3] == index
    if solicited or time.monotonic() - last >= 1:
        last = time.monotonic()
        try:
            speaker.sendto(message, ("ff02::1", 0, 0, index))
        except OSError:
            pass  # its link-local address is still being proven
